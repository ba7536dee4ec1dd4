/* Rows that repeat: whole tensors one behind the other, and single entries. */
#include "ops/index.h"
#include "ops/rows.h"
#include "ops/view.h"

/* ---- tile ----
 * note d: how often dimension d of the result is repeated. */

static peri_status infer_tile(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *repeats = &call->args[1];
  int ndim = x->ndim > repeats->count ? x->ndim : repeats->count;
  int64_t shape[PERI_MAX_DIMS];
  for (int d = 0; d < ndim; d++) {
    int own = d - (ndim - x->ndim), times = d - (ndim - repeats->count);
    int64_t size = own < 0 ? 1 : x->shape[own];
    call->note[d] = times < 0 ? 1 : repeats->sizes[times];
    if (call->note[d] < 0) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "repeats has %lld (expected at least 0)",
                            (long long)call->note[d]);
    }
    if (__builtin_mul_overflow(size, call->note[d], &shape[d])) {
      return peri_fail_memory(call->context, "out of memory: %lld times %lld entries are too many",
                              (long long)call->note[d], (long long)size);
    }
  }
  return peri_infer_output(call, 0, x->dtype, ndim, shape);
}

/* What is there of dimension d, `filled` entries in the first of the dimensions before it, is copied behind itself
 * until there are `wanted`; the dimensions after it are complete. */
static peri_status fill_dimension(peri_call *call, const int64_t *first, int d, int64_t filled, int64_t wanted) {
  const peri_view *y = &call->outputs[0].tensor->view;
  int64_t inner = y->layout.strides[d], bytes = (int64_t)peri_dtype_size(y->layout.dtype);
  while (filled < wanted) {
    int64_t count = peri_min(filled, wanted - filled);
    peri_view from = *y, to;
    from.layout.ndim = d + 1; /* an entry with all that is in it is a run of elements */
    memcpy(from.layout.shape, first, (size_t)d * sizeof *first);
    from.layout.shape[d] = count * inner;
    from.layout.strides[d] = 1;
    to = from;
    to.data += filled * inner * bytes;
    PERI_TRY(peri_view_copy_into(call->context, &to, &from));
    filled += count;
  }
  return PERI_OK;
}
static peri_status run_tile(peri_call *call) {
  peri_view first = call->outputs[0].tensor->view;
  int64_t shape[PERI_MAX_DIMS];
  if (first.layout.numel == 0) return PERI_OK;
  for (int d = 0; d < first.layout.ndim; d++) shape[d] = first.layout.shape[d] / call->note[d];
  memcpy(first.layout.shape, shape, sizeof shape);
  PERI_TRY(peri_view_copy_into(call->context, &first, &call->args[0].tensor->view));
  for (int d = first.layout.ndim - 1; d >= 0; d--) {
    PERI_TRY(fill_dimension(call, shape, d, shape[d], call->outputs[0].tensor->layout.shape[d]));
  }
  return PERI_OK;
}
/* The sum over the repetitions, a dimension at a time: all before it, the times, all of it and after it. */
static peri_status grad_tile(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]);
  const peri_layout y = B->grad_outputs[0]->layout;
  if (y.numel == 0) return PERI_OK;
  int64_t before = 1, rest = y.numel;
  for (int d = 0; d < y.ndim; d++) {
    int64_t times = B->note[d], size = y.shape[d] / times;
    rest /= times;
    if (times > 1) {
      g = peri_step_reshape(B, g, 3, (int64_t[]){before, times, rest / before});
      g = peri_step_sum(B, g, 1, (int64_t[]){1}, false);
    }
    before *= size;
  }
  peri_answer(B, 0, peri_step_reshape(B, g, x->ndim, x->shape));
  return PERI_OK;
}
const peri_op peri_op_tile = {
    .name = "tile",
    .also = "repeat",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"repeats", PERI_KIND_SHAPE}},
    .infer = infer_tile,
    .run = run_tile,
    .grad = grad_tile,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3), 2, 2}, {T(3), {2, 1, 2}}, {T(2, 3), 3}, {T(2), 0}",
    .doc = "tile(x, repeats) -> tensor\n"
           "x repeated so many times along each dimension, the last number standing for the last dimension. A copy; "
           "expand repeats sizes of 1 without one. PyTorch's repeat, which is a word of Lua: x[\"repeat\"](x, 2) does "
           "the same.",
};

/* ---- repeat_interleave ----
 * The entries of a dimension, each as often as the numbers say. note: the dimension (-1: all elements as one row), the
 * number that stands for all, or -1 for a tensor, and the length of the result. */

enum { NOTE_DIM, NOTE_TIMES, NOTE_LENGTH };

/* The numbers of the tensor: as many as there are entries, none below 0. */
static peri_status add_up(peri_call *call, int64_t entries, int64_t *sum) {
  peri_tensor *counts = call->args[1].tensor, *own;
  char text[PERI_SHAPE_TEXT];
  const peri_layout *layout = &counts->layout;
  if (layout->dtype != PERI_INT64 || layout->ndim > 1 || (layout->numel != entries && layout->numel != 1)) {
    return peri_call_fail(
        call, PERI_ERR_ARGUMENT, "repeats is a tensor %s %s (expected a number, or int64 %lld: one for each entry)",
        peri_dtype_name(layout->dtype), peri_shape_text(layout->ndim, layout->shape, text), (long long)entries);
  }
  PERI_TRY(peri_tensor_contiguous(counts, &own));
  const int64_t *numbers = (const int64_t *)(const void *)own->data;
  int64_t scale = layout->numel == 1 ? entries : 1, bad = -1;
  *sum = 0;
  for (int64_t i = 0; i < layout->numel && bad < 0; i++) {
    int64_t part;
    if (numbers[i] < 0 || __builtin_mul_overflow(numbers[i], scale, &part) || __builtin_add_overflow(*sum, part, sum)) {
      bad = i;
    }
  }
  peri_status status = PERI_OK;
  if (bad >= 0) {
    status = peri_call_fail(call, PERI_ERR_ARGUMENT, "repeats[%lld] is %lld (expected 0 or more, and a size together)",
                            (long long)bad + 1, (long long)numbers[bad]);
  }
  peri_tensor_release(&own);
  return status;
}

static peri_status infer_repeat_interleave(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *repeats = &call->args[1];
  int dim = -1;
  if (call->args[2].given) PERI_TRY(peri_infer_dim(call, 2, x->ndim, &dim));
  int64_t entries = dim < 0 ? x->numel : x->shape[dim], length = 0;
  call->note[NOTE_DIM] = dim;
  call->note[NOTE_TIMES] = repeats->tensor != NULL ? -1 : repeats->integer;
  if (repeats->tensor != NULL) {
    PERI_TRY(add_up(call, entries, &length));
  } else if (!repeats->is_integer || repeats->is_bool || repeats->integer < 0 ||
             __builtin_mul_overflow(entries, repeats->integer, &length)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "repeats is %.17g (expected a whole number, 0 or more, or a tensor)",
                          repeats->number);
  }
  call->note[NOTE_LENGTH] = length;
  if (repeats->tensor != NULL) call->workspace_bytes = ((size_t)entries + 1) * sizeof(int64_t);
  if (dim < 0) return peri_infer_output(call, 0, x->dtype, 1, &length);
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[dim] = length;
  return peri_infer_output(call, 0, x->dtype, x->ndim, shape);
}

/* An entry is a run of bytes in x; entry i of a block goes to places starts[i] .. starts[i + 1] - 1 of the block's
 * `length` in y. */
typedef struct spread {
  const char *x;
  char *y;
  size_t run;
  int64_t entries, length, blocks;
  int64_t times;         /* of each, where there are no starts */
  const int64_t *starts; /* or NULL */
  int64_t per_piece;     /* entries */
} spread;

static char *repeat_entry(const char *entry, size_t run, int64_t times, char *to) {
  for (int64_t k = 0; k < times; k++, to += run) {
    switch (run) { /* elements without a call each */
    case 1:
      *to = *entry;
      break;
    case 4:
      memcpy(to, entry, 4);
      break;
    case 8:
      memcpy(to, entry, 8);
      break;
    default:
      memcpy(to, entry, run);
    }
  }
  return to;
}

/* The most common case: elements of four bytes, all of them twice. */
static void double_elements(const char *x, char *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t element;
    memcpy(&element, x + 4 * i, 4);
    memcpy(y + 8 * i, &(uint64_t){element | (uint64_t)element << 32}, 8);
  }
}

static void spread_piece(void *arg, int64_t piece) {
  const spread *s = arg;
  int64_t begin = piece * s->per_piece, end = peri_min(begin + s->per_piece, s->blocks * s->entries);
  int64_t i = begin % s->entries, place = s->starts != NULL ? s->starts[i] : i * s->times;
  char *to = s->y + (size_t)(begin / s->entries * s->length + place) * s->run;
  if (s->starts == NULL && s->times == 2 && s->run == 4) {
    double_elements(s->x + 4 * begin, to, end - begin);
    return;
  }
  for (int64_t at = begin; at < end; at++, i = i + 1 == s->entries ? 0 : i + 1) {
    int64_t times = s->starts != NULL ? s->starts[i + 1] - s->starts[i] : s->times;
    to = repeat_entry(s->x + (size_t)at * s->run, s->run, times, to);
  }
}

/* The numbers of the tensor, added up. */
static peri_status add_starts(peri_call *call, int64_t entries, int64_t *starts) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(call->args[1].tensor, &own));
  const int64_t *numbers = (const int64_t *)(const void *)own->data;
  for (int64_t i = starts[0] = 0; i < entries; i++) starts[i + 1] = starts[i] + numbers[own->layout.numel == 1 ? 0 : i];
  peri_tensor_release(&own);
  return PERI_OK;
}

#define PIECE_BYTES (1 << 18) /* of the result */

static peri_status run_repeat_interleave(peri_call *call) {
  const peri_tensor *y = call->outputs[0].tensor;
  const peri_layout *x = peri_input(call);
  peri_tensor *own;
  int64_t dim = call->note[NOTE_DIM], size = (int64_t)peri_dtype_size(x->dtype);
  spread s = {.y = y->data, .blocks = 1, .length = call->note[NOTE_LENGTH], .times = call->note[NOTE_TIMES]};
  if (y->layout.numel == 0) return PERI_OK;
  s.entries = dim < 0 ? x->numel : x->shape[dim];
  for (int d = 0; d < dim; d++) s.blocks *= x->shape[d];
  s.run = (size_t)(x->numel / (s.blocks * s.entries) * size);
  if (s.times < 0) {
    PERI_TRY(add_starts(call, s.entries, call->workspace));
    s.starts = call->workspace;
  }
  int64_t units = s.blocks * s.entries;
  s.per_piece = peri_max(1, units * PIECE_BYTES / (y->layout.numel * size));
  PERI_TRY(peri_view_contiguous(call->context, &call->args[0].tensor->view, &s.x, &own));
  peri_status status = peri_parallel(call->context, (units + s.per_piece - 1) / s.per_piece, spread_piece, &s);
  if (own != NULL) peri_tensor_release(&own);
  return status;
}

/* For each place of the result the entry that it came from, from 1. */
static peri_value positions(peri_backward *B, int64_t entries) {
  peri_call call;
  peri_value number = peri_constant(1), from = peri_constant(0);
  if (B->formula->status != PERI_OK) return from;
  peri_step_open(B, &call, &peri_op_arange, 1, &number);
  call.args[0].is_integer = call.args[1].is_integer = call.args[1].given = true;
  call.args[0].integer = 1;
  call.args[1].integer = entries;
  call.args[1].number = (double)entries;
  from = peri_step_run(B, &call);
  if (B->formula->status != PERI_OK) return from;
  peri_step_open(B, &call, &peri_op_repeat_interleave, 2, (peri_value[]){from, peri_of(B->args[1].tensor)});
  return peri_step_run(B, &call);
}
static peri_status grad_repeat_interleave(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]);
  int64_t dim = peri_max(0, B->note[NOTE_DIM]), times = B->note[NOTE_TIMES], before = 1, after = 1;
  int64_t entries = B->note[NOTE_DIM] < 0 ? x->numel : x->shape[dim];
  if (B->note[NOTE_LENGTH] == 0 || x->numel == 0) return PERI_OK;
  if (times < 0 && B->args[1].tensor->layout.numel == 1) times = B->note[NOTE_LENGTH] / entries;
  if (times >= 0) {
    for (int d = 0; d < x->ndim && B->note[NOTE_DIM] >= 0; d++) {
      if (d < dim) before *= x->shape[d];
      if (d > dim) after *= x->shape[d];
    }
    g = peri_step_reshape(B, g, 4, (int64_t[]){before, entries, times, after});
    g = peri_step_sum(B, g, 1, (int64_t[]){2}, false);
    peri_answer(B, 0, peri_step_reshape(B, g, x->ndim, x->shape));
    return PERI_OK;
  }
  peri_value index = positions(B, entries);
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_layout flat;
  peri_layout_set(&flat, x->dtype, 1, &entries);
  g = peri_step_index_backward(B, g, index, B->note[NOTE_DIM] < 0 ? &flat : x, 1, &dim);
  peri_answer(B, 0, peri_step_reshape(B, g, x->ndim, x->shape));
  return PERI_OK;
}
const peri_op peri_op_repeat_interleave = {
    .name = "repeat_interleave",
    .flags = PERI_OP_COUNTS | PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"repeats", PERI_KIND_OPERAND}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_repeat_interleave,
    .run = run_repeat_interleave,
    .grad = grad_repeat_interleave,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3), 2}, {T(2, 3), 2, 2}, {T(3, 2), I(3, 3), 1}, {T(3), I(3, 3)}",
    .doc =
        "repeat_interleave(x, repeats, dim) -> tensor\n"
        "The entries of x along dim, each repeats times, one behind the other: a number, or an int64 tensor with one "
        "for each entry. Without dim the elements of x as a vector. NumPy's repeat.",
};

const peri_op *const peri_ops_repeat[] = {&peri_op_tile, &peri_op_repeat_interleave, NULL};
