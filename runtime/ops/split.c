/* Rows that give the parts of a tensor along a dimension as a list of views. Their gradient joins what arrived for the
 * parts; one that had none counts as zeros. */
#include "ops/view.h"
#include "ops/rows.h"

/* ---- where parts end ---- */

enum { NOTE_DIM, NOTE_FORM, NOTE_COUNT, NOTE_SIZE };
typedef enum form {
  FORM_EACH,  /* of one size, which is noted, the last of what is left */
  FORM_SIZES, /* of the sizes in a list */
  FORM_ENDS,  /* with the positions of a list as their last entries, the last part of what is left */
  FORM_EVEN   /* so many that differ by one at most, the larger ones first */
} form;

/* Of part k, which begins behind `start`, of a dimension of that size; numbers is the list, where there is one. */
static int64_t part_end(const int64_t *note, const peri_arg *numbers, int64_t k, int64_t start, int64_t size) {
  const int64_t n = note[NOTE_COUNT];
  switch ((form)note[NOTE_FORM]) {
  case FORM_EACH:
    return k == n - 1 ? size : start + note[NOTE_SIZE];
  case FORM_SIZES:
    return start + numbers->sizes[k];
  case FORM_ENDS:
    return k == n - 1 ? size : numbers->sizes[k];
  case FORM_EVEN:
    break;
  }
  return start + size / n + (k < size % n);
}

static peri_status note_parts(peri_call *call, int dim, form how, int64_t count, int64_t *out) {
  call->note[NOTE_DIM] = dim;
  call->note[NOTE_FORM] = how;
  call->note[NOTE_COUNT] = *out = count;
  return PERI_OK;
}

static peri_status infer_parts(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int64_t dim = call->note[NOTE_DIM], size = x->shape[dim], each = size == 0 ? 0 : x->numel / size;
  for (int64_t k = 0, start = 0, end; k < call->output_count; k++, start = end) {
    end = part_end(call->note, &call->args[1], k, start, size);
    peri_layout *y = &call->outputs[k].layout;
    *y = *x;
    y->shape[dim] = end - start;
    y->numel = each * (end - start);
    y->offset = peri_tensor_offset(call->args[0].tensor);
    if (y->numel > 0) y->offset += start * x->strides[dim];
  }
  return PERI_OK;
}

static void drop_dim(peri_layout *layout, int64_t dim) {
  layout->ndim--;
  for (int64_t d = dim; d < layout->ndim; d++) {
    layout->shape[d] = layout->shape[d + 1];
    layout->strides[d] = layout->strides[d + 1];
  }
}

/* ---- gradients ---- */

/* What arrived for part k; zeros of its shape where nothing did. */
static peri_tensor *gradient_of_part(peri_backward *B, int64_t k, const peri_layout *part) {
  if (B->grad_outputs[k] != NULL) return B->grad_outputs[k];
  peri_layout single;
  peri_tensor *zero = NULL;
  peri_layout_set(&single, part->dtype, 0, NULL);
  peri_status status = peri_tensor_full(B->context, &single, 0, &zero);
  peri_value value = peri_formula_fixed(B, status, zero);
  if (value.tensor == NULL) return NULL;
  peri_call call;
  peri_step_open(B, &call, &peri_op_expand, 1, &value);
  peri_call_sizes(&call, 1, part->ndim, part->shape);
  return peri_step_run(B, &call).tensor;
}

/* The parts are joined along the dimension that they have (cat), or do not have (stack). */
static peri_status join_gradients(peri_backward *B, const peri_op *join, peri_tensor **parts) {
  const peri_layout *x = B->layouts[0];
  int64_t dim = B->note[NOTE_DIM], n = B->note[NOTE_COUNT];
  for (int64_t k = 0, start = 0, end; k < n; k++, start = end) {
    end = part_end(B->note, &B->args[1], k, start, x->shape[dim]);
    peri_layout part = *x;
    part.shape[dim] = end - start;
    if (join == &peri_op_stack) drop_dim(&part, dim);
    parts[k] = gradient_of_part(B, k, &part);
    if (parts[k] == NULL) return PERI_OK; /* the formula has failed */
  }
  peri_call call;
  peri_call_open(&call, B->context, join);
  call.args[0].given = call.args[1].given = true;
  call.args[0].tensors = parts;
  call.args[0].count = (int)n;
  call.args[1].integer = dim;
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
static peri_status grad_joined(peri_backward *B, const peri_op *join) {
  void *parts;
  size_t n = (size_t)B->note[NOTE_COUNT];
  PERI_TRY(peri_alloc_array(B->context, n, sizeof(peri_tensor *), &parts));
  peri_status status = join_gradients(B, join, parts);
  peri_free(B->context, parts, n * sizeof(peri_tensor *));
  return status;
}
static peri_status grad_parts(peri_backward *B) { return grad_joined(B, &peri_op_cat); }

#define ROW_OF_PARTS .flags = PERI_OP_VIEW, .infer = infer_parts, .grad = grad_parts, .low = -1, .high = 1

/* ---- split and chunk ---- */

static peri_status at_least_one(peri_call *call, int64_t number, const char *expected) {
  if (number >= 1) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %lld (expected %s)", call->op->params[1].name,
                        (long long)number, expected);
}

static peri_status check_sizes(peri_call *call, int dim) {
  const peri_arg *sizes = &call->args[1];
  int64_t size = peri_input(call)->shape[dim], left = size;
  for (int i = 0; i < sizes->count; i++) {
    if (sizes->sizes[i] < 0) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "size %d is %lld (expected at least 0)", i + 1,
                            (long long)sizes->sizes[i]);
    }
    if (left >= 0) left -= sizes->sizes[i]; /* below 0 it stays */
  }
  if (left == 0 && sizes->count > 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "the sizes do not add up to %lld, the size of dimension %d",
                        (long long)size, dim + 1);
}

/* Parts of one size; an empty dimension is one part. */
static peri_status note_each(peri_call *call, int dim, int64_t each, int64_t *count) {
  int64_t size = peri_input(call)->shape[dim];
  call->note[NOTE_SIZE] = each;
  return note_parts(call, dim, FORM_EACH, size == 0 ? 1 : (size - 1) / each + 1, count);
}

static peri_status list_split(peri_call *call, int64_t *count) {
  const peri_arg *sizes = &call->args[1];
  int dim;
  PERI_TRY(peri_infer_dim(call, 2, peri_input(call)->ndim, &dim));
  if (!sizes->is_integer) {
    PERI_TRY(check_sizes(call, dim));
    return note_parts(call, dim, FORM_SIZES, sizes->count, count);
  }
  PERI_TRY(at_least_one(call, sizes->sizes[0], "at least 1, or sizes in a table"));
  return note_each(call, dim, sizes->sizes[0], count);
}
const peri_op peri_op_split = {
    .name = "split",
    ROW_OF_PARTS,
    .list = list_split,
    .params = {{"x", PERI_KIND_TENSOR}, {"sizes", PERI_KIND_INTEGERS}, {"dim", PERI_KIND_DIM, .optional = true}},
    .sample = "{T(5, 3), 2}, {T(2, 6), {1, 3, 2}, 2}",
    .doc = "split(x, sizes, dim = 1) -> list of tensors\n"
           "The parts of x along dim as a Lua table of views: each of that size, the last of what is left; or of the "
           "sizes in a table, which must add up to dim's. for i, part in ipairs(x:split(10)) do ... walks them.",
};

static peri_status list_chunk(peri_call *call, int64_t *count) {
  int64_t chunks = call->args[1].integer;
  int dim;
  PERI_TRY(peri_infer_dim(call, 2, peri_input(call)->ndim, &dim));
  PERI_TRY(at_least_one(call, chunks, "at least 1"));
  int64_t size = peri_input(call)->shape[dim];
  return note_each(call, dim, size == 0 ? 1 : (size - 1) / chunks + 1, count);
}
const peri_op peri_op_chunk = {
    .name = "chunk",
    ROW_OF_PARTS,
    .list = list_chunk,
    .params = {{"x", PERI_KIND_TENSOR}, {"chunks", PERI_KIND_INTEGER}, {"dim", PERI_KIND_DIM, .optional = true}},
    .sample = "{T(5, 3), 2}, {T(2, 7), 3, -1}",
    .doc = "chunk(x, chunks, dim = 1) -> list of tensors\n"
           "x along dim in that many parts, as a Lua table of views: all of one size, rounded up, the last of what is "
           "left, so that there may be fewer of them. tensor_split gives just as many.",
};

/* ---- tensor_split ---- */

static peri_status check_ends(peri_call *call, int64_t size) {
  const peri_arg *ends = &call->args[1];
  for (int64_t i = 0, before = 0; i < ends->count; before = ends->sizes[i++]) {
    if (ends->sizes[i] >= before && ends->sizes[i] <= size) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "end %lld is %lld (expected %lld to %lld)", (long long)i + 1,
                          (long long)ends->sizes[i], (long long)before, (long long)size);
  }
  return PERI_OK;
}
static peri_status list_even(peri_call *call, int dim, int64_t *count) {
  const peri_arg *parts = &call->args[1];
  if (!parts->is_integer) {
    PERI_TRY(check_ends(call, peri_input(call)->shape[dim]));
    return note_parts(call, dim, FORM_ENDS, (int64_t)parts->count + 1, count);
  }
  PERI_TRY(at_least_one(call, parts->sizes[0], "at least 1, or ends in a table"));
  return note_parts(call, dim, FORM_EVEN, parts->sizes[0], count);
}
static peri_status list_tensor_split(peri_call *call, int64_t *count) {
  int dim;
  PERI_TRY(peri_infer_dim(call, 2, peri_input(call)->ndim, &dim));
  return list_even(call, dim, count);
}
const peri_op peri_op_tensor_split = {
    .name = "tensor_split",
    ROW_OF_PARTS,
    .list = list_tensor_split,
    .params = {{"x", PERI_KIND_TENSOR}, {"parts", PERI_KIND_INTEGERS}, {"dim", PERI_KIND_DIM, .optional = true}},
    .sample = "{T(5, 3), 2}, {T(2, 7), {3, 4}, -1}",
    .doc = "tensor_split(x, parts, dim = 1) -> list of tensors\n"
           "x along dim in that many parts whose sizes differ by one at most, the larger ones first, as a Lua table of "
           "views. parts may be positions in a table, ascending: each is the last of a part, and the rest is one more, "
           "so that {2, 5} gives 1..2, 3..5 and 6 to the end.",
};

static peri_status list_of_dim(peri_call *call, int dim, int least, int64_t *count) {
  if (peri_input(call)->ndim >= least) return list_even(call, dim, count);
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has %d dimensions (expected at least %d)", peri_input(call)->ndim,
                        least);
}
static peri_status list_hsplit(peri_call *call, int64_t *count) {
  return list_of_dim(call, peri_input(call)->ndim > 1, 1, count);
}
const peri_op peri_op_hsplit = {
    .name = "hsplit",
    ROW_OF_PARTS,
    .list = list_hsplit,
    .params = {{"x", PERI_KIND_TENSOR}, {"parts", PERI_KIND_INTEGERS}},
    .sample = "{T(2, 5), 2}, {T(5), {3}}",
    .doc = "hsplit(x, parts) -> list of tensors\n"
           "tensor_split along the second dimension, of a vector along its only one: side by side.",
};
static peri_status list_vsplit(peri_call *call, int64_t *count) { return list_of_dim(call, 0, 2, count); }
const peri_op peri_op_vsplit = {
    .name = "vsplit",
    ROW_OF_PARTS,
    .list = list_vsplit,
    .params = {{"x", PERI_KIND_TENSOR}, {"parts", PERI_KIND_INTEGERS}},
    .sample = "{T(5, 2), 2}, {T(5, 2), {3}}",
    .doc = "vsplit(x, parts) -> list of tensors\n"
           "tensor_split along the first dimension of a matrix, or of more dimensions: one below the other.",
};

/* ---- unbind ---- */

static peri_status list_unbind(peri_call *call, int64_t *count) {
  int dim;
  PERI_TRY(peri_infer_dim(call, 1, peri_input(call)->ndim, &dim));
  call->note[NOTE_SIZE] = 1;
  return note_parts(call, dim, FORM_EACH, peri_input(call)->shape[dim], count);
}
static peri_status infer_unbind(peri_call *call) {
  PERI_TRY(infer_parts(call));
  for (int k = 0; k < call->output_count; k++) drop_dim(&call->outputs[k].layout, call->note[NOTE_DIM]);
  return PERI_OK;
}
static peri_status grad_unbind(peri_backward *B) { return grad_joined(B, &peri_op_stack); }
const peri_op peri_op_unbind = {
    .name = "unbind",
    .flags = PERI_OP_VIEW,
    .list = list_unbind,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_unbind,
    .grad = grad_unbind,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 2)}, {T(2, 3, 2), -1}",
    .doc = "unbind(x, dim = 1) -> list of tensors\n"
           "The entries of x along dim, without that dimension, as a Lua table of views.",
};

const peri_op *const peri_ops_split[] = {
    &peri_op_split, &peri_op_chunk, &peri_op_tensor_split, &peri_op_hsplit, &peri_op_vsplit, &peri_op_unbind, NULL};
