/* Rows that choose and place elements by masks, and that say where something is not 0. */
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"
#include "kernels/masks.h"

/* ---- a mask that has been counted ---- */

typedef struct counted {
  peri_tensor *own; /* the mask's elements one behind the other */
  const uint8_t *mask;
  int64_t n, found, *starts;
  int64_t few[2]; /* those of a small one */
} counted;

static void close_mask(peri_context *context, counted *c) {
  if (c->starts != c->few) peri_free(context, c->starts, (size_t)peri_mask_counts(c->n) * sizeof *c->starts);
  if (c->own != NULL) peri_tensor_release(&c->own);
}

static peri_status open_mask(peri_context *context, const peri_view *mask, counted *c) {
  const char *data;
  void *starts = c->few;
  *c = (counted){.n = mask->layout.numel};
  PERI_TRY(peri_view_contiguous(context, mask, &data, &c->own));
  c->mask = (const uint8_t *)data;
  size_t counts = (size_t)peri_mask_counts(c->n);
  peri_status status =
      counts <= PERI_COUNT(c->few) ? PERI_OK : peri_alloc_array(context, counts, sizeof *c->starts, &starts);
  c->starts = status == PERI_OK ? starts : c->few;
  if (status == PERI_OK) status = peri_mask_count(context, c->n, c->mask, c->starts);
  if (status == PERI_OK) {
    c->found = c->starts[counts - 1];
  } else {
    close_mask(context, c);
  }
  return status;
}

/* ---- where something is not 0 ---- */

/* x as a mask: where it is not 0. */
static peri_status open_nonzero(peri_call *call, counted *c) {
  peri_tensor *mask;
  PERI_TRY(peri_tensor_convert(call->args[0].tensor, PERI_BOOL, &mask));
  peri_status status = open_mask(call->context, &mask->view, c);
  if (status == PERI_OK && c->own == NULL) c->own = peri_tensor_retain(mask);
  peri_tensor_release(&mask);
  return status;
}

static peri_status new_positions(peri_context *context, const counted *c, peri_tensor **out) {
  peri_layout layout;
  peri_layout_set(&layout, PERI_INT64, 1, &c->found);
  PERI_TRY(peri_tensor_empty(context, &layout, out));
  peri_status status = peri_mask_list(context, c->n, c->mask, c->starts, (int64_t *)(void *)(*out)->data);
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

static peri_status infer_nonzero(peri_call *call) {
  return peri_infer_output(call, 0, PERI_INT64, 1, (int64_t[]){0}); /* run knows how many */
}
static peri_status run_nonzero(peri_call *call) {
  counted c;
  PERI_TRY(open_nonzero(call, &c));
  peri_status status = new_positions(call->context, &c, &call->outputs[0].tensor);
  close_mask(call->context, &c);
  return status;
}
const peri_op peri_op_nonzero = {
    .name = "nonzero",
    .flags = PERI_OP_ALLOCATES | PERI_OP_LATE | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_nonzero,
    .run = run_nonzero,
    .sample = "{B(3, 4)}, {B(7)}, {B(0)}, {T(3, 4)}",
    .doc =
        "nonzero(x) -> int64 vector\n"
        "The positions where x is true, or not 0, counted from 1 in row-major order; argwhere and where(x) give them "
        "by dimension.",
};

/* Positions by dimension: coordinate d of position i stands at out[i * step + d * apart]. */
typedef struct coordinates {
  const peri_layout *x;
  const int64_t *positions;
  int64_t count, step, apart, *out;
} coordinates;

#define COORDINATES_PIECE 8192
static void coordinates_piece(void *arg, int64_t piece) {
  const coordinates *c = arg;
  int64_t from = piece * COORDINATES_PIECE, to = peri_min(from + COORDINATES_PIECE, c->count);
  int64_t at[PERI_MAX_DIMS] = {0}, last = c->x->ndim - 1, before = 0;
  for (int64_t i = from; i < to; i++) {
    int64_t position = c->positions[i] - 1;
    at[last] += position - before;
    before = position;
    if (i == from || at[last] >= c->x->shape[last]) {
      for (int64_t d = last, rest = position; d >= 0; d--) {
        at[d] = rest % c->x->shape[d];
        rest /= c->x->shape[d];
      }
    }
    for (int64_t d = 0; d <= last; d++) c->out[i * c->step + d * c->apart] = at[d] + 1;
  }
}

/* A new tensor of them: one row for each position, or one for each dimension. */
static peri_status find_coordinates(peri_call *call, bool by_dimension) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_tensor *positions = NULL, *out;
  counted c;
  PERI_TRY(open_nonzero(call, &c));
  peri_status status = new_positions(call->context, &c, &positions);
  close_mask(call->context, &c);
  PERI_TRY(status);
  int64_t count = positions->layout.numel, shape[2] = {by_dimension ? x->ndim : count, by_dimension ? count : x->ndim};
  status = peri_tensor_shaped(call->context, call->op->name, PERI_INT64, 2, shape, &out);
  if (status == PERI_OK) {
    coordinates job = {.x = x,
                       .positions = (const int64_t *)(const void *)positions->data,
                       .count = count,
                       .step = by_dimension ? 1 : x->ndim,
                       .apart = by_dimension ? count : 1,
                       .out = (int64_t *)(void *)out->data};
    call->outputs[0].tensor = out;
    if (x->ndim > 0) {
      status =
          peri_parallel(call->context, (count + COORDINATES_PIECE - 1) / COORDINATES_PIECE, coordinates_piece, &job);
    }
  }
  peri_tensor_release(&positions);
  return status;
}

static peri_status infer_argwhere(peri_call *call) {
  return peri_infer_output(call, 0, PERI_INT64, 2, (int64_t[]){0, 0});
}
static peri_status run_argwhere(peri_call *call) { return find_coordinates(call, false); }
const peri_op peri_op_argwhere = {
    .name = "argwhere",
    .flags = PERI_OP_ALLOCATES | PERI_OP_LATE | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_argwhere,
    .run = run_argwhere,
    .sample = "{B(3, 4)}, {T(2, 3, 2)}, {B(0)}, {B()}",
    .doc = "argwhere(x) -> int64 matrix\n"
           "A row of coordinates, from 1, for each element of x that is true, or not 0, in row-major order.",
};

static peri_status run_coordinates(peri_call *call) { return find_coordinates(call, true); }
const peri_op peri_op_coordinates = {
    .name = "where",
    .flags = PERI_OP_ALLOCATES | PERI_OP_LATE | PERI_OP_ELEMENTWISE | PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_argwhere,
    .run = run_coordinates,
    .doc = "where(x) -> int64 matrix\nThe transpose of argwhere(x), whose rows where and x[mask] need.",
};

/* ---- masked_select ---- */

/* A view that repeats x in a shape that it broadcasts to. */
static peri_view expanded(const peri_tensor *x, int ndim, const int64_t *shape) {
  peri_view view = {.data = x->data};
  int shift = ndim - x->layout.ndim;
  if (shift == 0 && memcmp(x->layout.shape, shape, (size_t)ndim * sizeof *shape) == 0) return x->view;
  peri_layout_set(&view.layout, x->layout.dtype, ndim, shape);
  for (int d = 0; d < ndim; d++) {
    bool repeated = d < shift || x->layout.shape[d - shift] == 1;
    view.layout.strides[d] = repeated ? 0 : x->layout.strides[d - shift];
  }
  view.contiguous = peri_layout_is_contiguous(&view.layout);
  return view;
}

static peri_status need_mask(peri_call *call) {
  peri_dtype dtype = call->args[1].tensor->layout.dtype;
  if (dtype == PERI_BOOL) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "mask is %s (expected bool; mask:to 'bool' is true where it is not 0)",
                        peri_dtype_name(dtype));
}

static peri_status infer_masked_select(peri_call *call) {
  PERI_TRY(need_mask(call));
  return peri_infer_broadcast(call, 0, 2, call->args[0].tensor->layout.dtype); /* run knows how many are chosen */
}
static peri_status run_masked_select(peri_call *call) {
  const peri_layout whole = call->outputs[0].layout;
  peri_view x = expanded(call->args[0].tensor, whole.ndim, whole.shape);
  peri_view mask = expanded(call->args[1].tensor, whole.ndim, whole.shape);
  peri_tensor *own;
  const char *data;
  counted c;
  PERI_TRY(peri_view_contiguous(call->context, &x, &data, &own));
  peri_status status = open_mask(call->context, &mask, &c);
  if (status == PERI_OK) {
    peri_layout layout;
    peri_layout_set(&layout, whole.dtype, 1, &c.found);
    status = peri_tensor_empty(call->context, &layout, &call->outputs[0].tensor);
    if (status == PERI_OK) {
      status = peri_mask_pick(call->context, c.n, c.mask, c.starts, peri_dtype_size(whole.dtype), data,
                              call->outputs[0].tensor->data);
    }
    close_mask(call->context, &c);
  }
  if (own != NULL) peri_tensor_release(&own);
  return status;
}

/* A mask in a shape that it broadcasts to, as a step. */
static peri_value stretched(peri_backward *B, peri_value mask, int ndim, const int64_t *shape) {
  peri_call call;
  if (B->formula->status != PERI_OK) return mask;
  peri_step_open(B, &call, &peri_op_expand, 1, &mask);
  peri_call_sizes(&call, 1, ndim, shape);
  return peri_step_run(B, &call);
}

static peri_status grad_masked_select(peri_backward *B) {
  peri_layout whole;
  int64_t first = 0;
  peri_value g = peri_of(B->grad_outputs[0]), mask = peri_of(B->args[1].tensor);
  whole.dtype = B->layouts[0]->dtype;
  whole.ndim = (int)peri_max(B->layouts[0]->ndim, mask.tensor->layout.ndim);
  for (int d = 0; d < whole.ndim; d++) {
    int x = B->layouts[0]->ndim - whole.ndim + d, m = mask.tensor->layout.ndim - whole.ndim + d;
    int64_t own = x < 0 ? 1 : B->layouts[0]->shape[x];
    whole.shape[d] = own == 1 && m >= 0 ? mask.tensor->layout.shape[m] : own;
  }
  PERI_TRY(peri_layout_contiguous(B->context, "masked_select", &whole));
  mask = stretched(B, mask, whole.ndim, whole.shape);
  peri_value positions = peri_apply(B, &peri_op_nonzero, 1, &mask);
  peri_layout flat;
  peri_layout_set(&flat, whole.dtype, 1, &whole.numel);
  g = peri_step_index_backward(B, g, positions, &flat, 1, &first);
  peri_answer(B, 0, peri_step_reshape(B, g, whole.ndim, whole.shape));
  return PERI_OK;
}
const peri_op peri_op_masked_select = {
    .name = "masked_select",
    .flags = PERI_OP_ALLOCATES | PERI_OP_LATE | PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"mask", PERI_KIND_TENSOR}},
    .infer = infer_masked_select,
    .run = run_masked_select,
    .grad = grad_masked_select,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), B(3, 4)}, {T(7), B(7)}, {T(3, 4), B(4)}, {T(4), B(3, 1)}",
    .doc = "masked_select(x, mask) -> vector\n"
           "The elements of x where the bool tensor mask is true, in row-major order; shapes are broadcast. What "
           "x[mask] does where they are the same.",
};

/* ---- masked_scatter ---- */

static peri_status infer_masked_scatter(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *m = &call->args[1].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(need_mask(call));
  PERI_TRY(peri_infer_broadcast(call, 0, 2, x->dtype));
  if (!peri_same_shape(x, &call->outputs[0].layout)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "mask is %s but x is %s", peri_shape_text(m->ndim, m->shape, a),
                          peri_shape_text(x->ndim, x->shape, b));
  }
  peri_view mask = expanded(call->args[1].tensor, x->ndim, x->shape);
  counted c;
  PERI_TRY(open_mask(call->context, &mask, &c));
  int64_t found = c.found, numel = call->args[2].tensor->layout.numel;
  close_mask(call->context, &c);
  if (found <= numel) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "source has %lld elements but mask chooses %lld", (long long)numel,
                        (long long)found);
}

/* x, one element behind the other, with those of source where the mask is true. */
static peri_status spread(peri_call *call, const counted *c, char *x) {
  peri_tensor *converted, *source;
  PERI_TRY(peri_tensor_convert(call->args[2].tensor, call->args[0].tensor->layout.dtype, &converted));
  peri_status status = peri_tensor_contiguous(converted, &source);
  peri_tensor_release(&converted);
  PERI_TRY(status);
  status = peri_begin_writing(call);
  if (status == PERI_OK) {
    status = peri_mask_spread(call->context, c->n, c->mask, c->starts, peri_dtype_size(source->layout.dtype),
                              source->data, x);
  }
  peri_tensor_release(&source);
  return status;
}
static peri_status run_masked_scatter(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *own;
  peri_view mask = expanded(call->args[1].tensor, y->layout.ndim, y->layout.shape);
  counted c;
  PERI_TRY(peri_tensor_contiguous(y, &own)); /* y itself, or a copy to be written back */
  peri_status status = open_mask(call->context, &mask, &c);
  if (status == PERI_OK) {
    status = spread(call, &c, own->data);
    close_mask(call->context, &c);
  }
  if (status == PERI_OK && own != y) status = peri_tensor_copy_into(y, own);
  peri_tensor_release(&own);
  return status;
}
static peri_status grad_masked_scatter(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), mask = peri_of(B->args[1].tensor);
  if (B->needs[0]) peri_answer(B, 0, peri_step_where(B, mask, peri_constant(0), g));
  if (B->edges <= 2 || !B->needs[2]) return PERI_OK;
  const peri_layout *source = B->layouts[2];
  peri_value taken = peri_apply(B, &peri_op_masked_select, 2, (peri_value[]){g, mask});
  if (B->formula->status != PERI_OK) return PERI_OK;
  if (taken.tensor->layout.numel < source->numel) {
    peri_call call;
    peri_step_open(B, &call, &peri_op_slice_backward, 1, &taken);
    peri_call_sizes(&call, 1, 1, &source->numel);
    call.args[2].integer = call.args[3].integer = 0;
    call.args[4].integer = 1;
    taken = peri_step_run(B, &call);
  }
  peri_answer(B, 2, peri_step_reshape(B, taken, source->ndim, source->shape));
  return PERI_OK;
}
const peri_op peri_op_masked_scatter = {
    .name = "masked_scatter",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"mask", PERI_KIND_TENSOR}, {"source", PERI_KIND_TENSOR}},
    .infer = infer_masked_scatter,
    .run = run_masked_scatter,
    .grad = grad_masked_scatter,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), B(3, 4), T(12)}, {T(3, 4), B(4), T(4, 3)}, {T(2, 2), peri.tensor{true, false}, T(2)}",
    .doc = "masked_scatter(x, mask, source) -> tensor\n"
           "x with the elements of source, in row-major order, where the bool tensor mask, broadcast to x, is true; "
           "source has at least as many elements as there are. Source and mask may share memory with x.",
};

const peri_op *const peri_ops_mask[] = {&peri_op_nonzero,       &peri_op_argwhere,       &peri_op_coordinates,
                                        &peri_op_masked_select, &peri_op_masked_scatter, NULL};
