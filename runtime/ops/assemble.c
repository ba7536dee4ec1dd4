/* Rows that put tensors together after giving them as many dimensions as it takes, and tensors of all combinations. */
#include "ops/index.h"
#include "ops/view.h"
#include "ops/rows.h"

/* ---- hstack, vstack, dstack, column_stack: cat of tensors with further dimensions of size 1 ---- */

typedef enum arrangement { SIDE_BY_SIDE, ONE_BELOW_ANOTHER, ONE_BEHIND_ANOTHER, AS_COLUMNS } arrangement;

/* How tensor i is seen. Of fewer dimensions than the arrangement wants it is lifted; a vector may be a column. */
static peri_layout seen_as(const peri_layout *x, arrangement how) {
  static const int dims[] = {1, 2, 3, 2};
  peri_layout y = *x;
  peri_layout_lift(&y, dims[how]);
  if (how == AS_COLUMNS && x->ndim == 1) {
    y.shape[0] = y.shape[1], y.strides[0] = y.strides[1];
    y.shape[1] = y.strides[1] = 1;
  }
  return y;
}

static int joined_dim(const peri_layout *y, arrangement how) {
  if (how == ONE_BELOW_ANOTHER) return 0;
  if (how == ONE_BEHIND_ANOTHER) return 2;
  return y->ndim > 1;
}

static peri_status infer_arranged(peri_call *call, arrangement how) {
  const peri_arg *list = &call->args[0];
  peri_layout first = seen_as(&list->tensors[0]->layout, how);
  int dim = joined_dim(&first, how);
  int64_t total = 0;
  peri_dtype dtype = first.dtype;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  for (int i = 0; i < list->count; i++) {
    const peri_layout *own = &list->tensors[i]->layout, *one = &list->tensors[0]->layout;
    peri_layout x = seen_as(own, how);
    bool fits = x.ndim == first.ndim;
    for (int d = 0; d < x.ndim && fits; d++) fits = d == dim || x.shape[d] == first.shape[d];
    if (!fits || __builtin_add_overflow(total, x.shape[dim], &total)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s but tensor 1 is %s", i + 1,
                            peri_shape_text(own->ndim, own->shape, a), peri_shape_text(one->ndim, one->shape, b));
    }
    dtype = peri_wider_dtype(dtype, own->dtype);
  }
  call->note[0] = how;
  call->note[1] = dim;
  first.shape[dim] = total;
  return peri_infer_output(call, 0, dtype, first.ndim, first.shape);
}
static peri_status run_arranged(peri_call *call) {
  const peri_tensor *y = call->outputs[0].tensor;
  peri_view part = y->view;
  int64_t dim = call->note[1];
  for (int i = 0; i < call->args[0].count; i++) {
    peri_view x = call->args[0].tensors[i]->view;
    x.layout = seen_as(&x.layout, (arrangement)call->note[0]);
    part.layout.shape[dim] = x.layout.shape[dim];
    PERI_TRY(peri_view_copy_into(call->context, &part, &x));
    part.data += x.layout.shape[dim] * y->layout.strides[dim] * (int64_t)peri_dtype_size(y->layout.dtype);
  }
  return PERI_OK;
}
static peri_status grad_arranged(peri_backward *B) {
  int64_t start = 0, dim = B->note[1];
  for (int i = 0; i < B->edges; i++) {
    int64_t length = seen_as(B->layouts[i], (arrangement)B->note[0]).shape[dim];
    if (B->needs[i]) {
      peri_value part = peri_step_narrow(B, peri_of(B->grad_outputs[0]), dim, start, length);
      peri_answer(B, i, peri_step_reshape(B, part, B->layouts[i]->ndim, B->layouts[i]->shape));
    }
    start += length;
  }
  return PERI_OK;
}
static peri_status infer_hstack(peri_call *call) { return infer_arranged(call, SIDE_BY_SIDE); }
static peri_status infer_vstack(peri_call *call) { return infer_arranged(call, ONE_BELOW_ANOTHER); }
static peri_status infer_dstack(peri_call *call) { return infer_arranged(call, ONE_BEHIND_ANOTHER); }
static peri_status infer_column_stack(peri_call *call) { return infer_arranged(call, AS_COLUMNS); }
#define ROW_OF_ARRANGED                                                                                                \
  .flags = PERI_OP_ELEMENTWISE | PERI_OP_NO_METHOD, .outputs = 1, .params = {{"tensors", PERI_KIND_TENSORS}},          \
  .run = run_arranged, .grad = grad_arranged, .low = -1, .high = 1
const peri_op peri_op_hstack = {
    .name = "hstack",
    ROW_OF_ARRANGED,
    .infer = infer_hstack,
    .sample = "{{T(2), T(3), T()}}, {{T(2, 3), T(2, 1)}}",
    .doc = "hstack(tensors) -> tensor\n"
           "The tensors of a list side by side: vectors end to end, others along their second dimension. Dtypes are "
           "promoted.",
};
const peri_op peri_op_vstack = {
    .name = "vstack",
    .also = "row_stack",
    ROW_OF_ARRANGED,
    .infer = infer_vstack,
    .sample = "{{T(3), T(3)}}, {{T(2, 3), T(3)}}",
    .doc = "vstack(tensors) -> tensor\n"
           "The tensors of a list one below the other, along the first dimension; a vector is a row. Dtypes are "
           "promoted. Also called row_stack.",
};
const peri_op peri_op_dstack = {
    .name = "dstack",
    ROW_OF_ARRANGED,
    .infer = infer_dstack,
    .sample = "{{T(3), T(3)}}, {{T(2, 3), T(2, 3, 2)}}",
    .doc =
        "dstack(tensors) -> tensor\n"
        "The tensors of a list one behind the other, along the third dimension: a vector of n is 1 x n x 1, a matrix "
        "m x n x 1. Dtypes are promoted.",
};
const peri_op peri_op_column_stack = {
    .name = "column_stack",
    ROW_OF_ARRANGED,
    .infer = infer_column_stack,
    .sample = "{{T(3), T(3)}}, {{T(3, 2), T(3)}}",
    .doc = "column_stack(tensors) -> tensor\n"
           "Vectors as the columns of a matrix, beside matrices where there are some in the list. Dtypes are promoted.",
};

/* ---- block_diag ---- */

static peri_status infer_block_diag(peri_call *call) {
  const peri_arg *list = &call->args[0];
  int64_t shape[2] = {0, 0};
  peri_dtype dtype = list->tensors[0]->layout.dtype;
  char text[PERI_SHAPE_TEXT];
  for (int i = 0; i < list->count; i++) {
    const peri_layout *x = &list->tensors[i]->layout;
    if (x->ndim > 2) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s (expected a matrix, or less)", i + 1,
                            peri_shape_text(x->ndim, x->shape, text));
    }
    peri_layout block = seen_as(x, ONE_BELOW_ANOTHER);
    for (int d = 0; d < 2; d++) {
      if (__builtin_add_overflow(shape[d], block.shape[d], &shape[d])) {
        return peri_fail_memory(call->context, "out of memory: the matrix is too large");
      }
    }
    dtype = peri_wider_dtype(dtype, x->dtype);
  }
  return peri_infer_output(call, 0, dtype, 2, shape);
}
static peri_status run_block_diag(peri_call *call) {
  const peri_tensor *y = call->outputs[0].tensor;
  int64_t size = (int64_t)peri_dtype_size(y->layout.dtype);
  peri_view part = y->view;
  PERI_TRY(peri_clear(call->context, y->data, (size_t)(y->layout.numel * size)));
  for (int i = 0; i < call->args[0].count; i++) {
    peri_view x = call->args[0].tensors[i]->view;
    x.layout = seen_as(&x.layout, ONE_BELOW_ANOTHER);
    memcpy(part.layout.shape, x.layout.shape, 2 * sizeof(int64_t));
    PERI_TRY(peri_view_copy_into(call->context, &part, &x));
    part.data += (x.layout.shape[0] * y->layout.strides[0] + x.layout.shape[1] * y->layout.strides[1]) * size;
  }
  return PERI_OK;
}
static peri_status grad_block_diag(peri_backward *B) {
  int64_t row = 0, column = 0;
  for (int i = 0; i < B->edges; i++) {
    peri_layout block = seen_as(B->layouts[i], ONE_BELOW_ANOTHER);
    if (B->needs[i]) {
      peri_value part = peri_step_narrow(B, peri_of(B->grad_outputs[0]), 0, row, block.shape[0]);
      part = peri_step_narrow(B, part, 1, column, block.shape[1]);
      peri_answer(B, i, peri_step_reshape(B, part, B->layouts[i]->ndim, B->layouts[i]->shape));
    }
    row += block.shape[0];
    column += block.shape[1];
  }
  return PERI_OK;
}
const peri_op peri_op_block_diag = {
    .name = "block_diag",
    .flags = PERI_OP_ELEMENTWISE | PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"tensors", PERI_KIND_TENSORS}},
    .infer = infer_block_diag,
    .run = run_block_diag,
    .grad = grad_block_diag,
    .low = -1,
    .high = 1,
    .sample = "{{T(2, 2), T(1, 3)}}, {{T(2), T(), T(3, 1)}}",
    .doc =
        "block_diag(tensors) -> tensor\n"
        "A matrix with the matrices of a list one after the other on its diagonal, and zeros elsewhere. A vector is a "
        "row, dtypes are promoted.",
};

/* ---- cartesian_prod ---- */

#define MOST_FACTORS (PERI_MAX_DIMS - 1)

static peri_status infer_cartesian_prod(peri_call *call) {
  const peri_arg *list = &call->args[0];
  int64_t rows = 1;
  bool large = false, empty = false;
  peri_dtype dtype = list->tensors[0]->layout.dtype;
  char text[PERI_SHAPE_TEXT];
  if (list->count > MOST_FACTORS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensors has %d entries (expected at most %d)", list->count,
                          MOST_FACTORS);
  }
  for (int i = 0; i < list->count; i++) {
    const peri_layout *x = &list->tensors[i]->layout;
    if (x->ndim != 1) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s (expected a vector)", i + 1,
                            peri_shape_text(x->ndim, x->shape, text));
    }
    large |= __builtin_mul_overflow(rows, x->numel, &rows);
    empty |= x->numel == 0;
    dtype = peri_wider_dtype(dtype, x->dtype);
  }
  if (empty) rows = 0;
  if (large && !empty) return peri_fail_memory(call->context, "out of memory: there are too many combinations");
  return peri_infer_output(call, 0, dtype, list->count == 1 ? 1 : 2, (int64_t[]){rows, list->count});
}
static peri_status run_cartesian_prod(peri_call *call) {
  const peri_tensor *y = call->outputs[0].tensor;
  const int n = call->args[0].count;
  int64_t shape[PERI_MAX_DIMS];
  if (y->layout.numel == 0) return PERI_OK; /* the other vectors may have more elements than there are numbers */
  for (int i = 0; i < n; i++) shape[i] = call->args[0].tensors[i]->layout.numel;
  shape[n] = n;
  for (int i = 0; i < n; i++) { /* column i, seen with a dimension for each vector */
    peri_view column = y->view, x = call->args[0].tensors[i]->view;
    peri_layout_set(&column.layout, y->layout.dtype, n + 1, shape);
    column.layout.ndim = n;
    column.data += i * (int64_t)peri_dtype_size(y->layout.dtype);
    int64_t stride = x.layout.strides[0];
    x.layout.ndim = n;
    for (int d = 0; d < n; d++) {
      x.layout.shape[d] = d == i ? shape[d] : 1;
      x.layout.strides[d] = d == i ? stride : 0;
    }
    PERI_TRY(peri_view_copy_into(call->context, &column, &x));
  }
  return PERI_OK;
}
static peri_status grad_cartesian_prod(peri_backward *B) {
  int64_t shape[PERI_MAX_DIMS], dims[PERI_MAX_DIMS];
  const int n = B->edges;
  if (B->grad_outputs[0]->layout.numel == 0) return PERI_OK;
  for (int i = 0; i < n; i++) shape[i] = B->layouts[i]->numel;
  shape[n] = n;
  peri_value g = peri_step_reshape(B, peri_of(B->grad_outputs[0]), n + 1, shape);
  for (int i = 0; i < n; i++) {
    if (!B->needs[i]) continue;
    peri_value part = peri_step_narrow(B, g, n, i, 1);
    int count = 0;
    for (int d = 0; d <= n; d++) {
      if (d != i) dims[count++] = d;
    }
    peri_answer(B, i, peri_step_sum(B, part, count, dims, false));
  }
  return PERI_OK;
}
const peri_op peri_op_cartesian_prod = {
    .name = "cartesian_prod",
    .flags = PERI_OP_ELEMENTWISE | PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"tensors", PERI_KIND_TENSORS}},
    .infer = infer_cartesian_prod,
    .run = run_cartesian_prod,
    .grad = grad_cartesian_prod,
    .low = -1,
    .high = 1,
    .sample = "{{T(2), T(3)}}, {{T(2), T(3), T(2)}}, {{T(3)}}",
    .doc =
        "cartesian_prod(tensors) -> tensor\n"
        "All combinations of an element of each vector of a list (at most 7) as the rows of a matrix, the last vector "
        "varying fastest. Of one vector a copy. Dtypes are promoted.",
};

/* ---- combinations ---- */

/* How many there are of r among n: m over k, each step of which is a whole number. */
static peri_status count_combinations(peri_call *call, int64_t n, int64_t r, bool again, int64_t *count) {
  int64_t m = n, size;
  *count = 1;
  bool over = again && __builtin_add_overflow(n, r - 1, &m);
  if (!over && (r > m || n == 0)) *count = 0;
  int64_t k = over ? 0 : peri_min(r, m - r);
  for (int64_t i = 1; i <= k && !over && *count > 0; i++) {
    over = __builtin_mul_overflow(*count, m - k + i, count);
    *count /= i;
  }
  if (over || __builtin_mul_overflow(*count, r, &size)) {
    return peri_fail_memory(call->context, "out of memory: there are too many combinations");
  }
  return PERI_OK;
}

static peri_status infer_combinations(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t r = call->args[1].integer, shape[2] = {0, r};
  char text[PERI_SHAPE_TEXT];
  if (x->ndim != 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected a vector)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  if (r < 1) return peri_call_fail(call, PERI_ERR_ARGUMENT, "r is %lld (expected at least 1)", (long long)r);
  PERI_TRY(count_combinations(call, x->numel, r, call->args[2].integer, &shape[0]));
  call->note[0] = 0; /* the dimension that positions choose along */
  call->workspace_bytes = shape[0] > 0 ? (size_t)r * sizeof(int64_t) : 0;
  PERI_TRY(peri_infer_output(call, 0, x->dtype, 2, shape));
  return peri_infer_output(call, 1, PERI_INT64, 2, shape);
}

/* The next choice of r positions below n in lexicographic order: the last that can be raised is, and those behind it
 * follow it as closely as they may. */
static void next_choice(int64_t *at, int64_t n, int64_t r, bool again) {
  int64_t i = r - 1;
  while (i > 0 && at[i] == (again ? n - 1 : n - r + i)) i--;
  int64_t first = at[i] + 1;
  for (int64_t k = i; k < r; k++) at[k] = again ? first : first + k - i;
}

static peri_status run_combinations(peri_call *call) {
  peri_tensor *x, *y = call->outputs[0].tensor, *positions = call->outputs[1].tensor;
  int64_t *at = call->workspace, *written = positions != NULL ? (int64_t *)(void *)positions->data : NULL;
  int64_t r = y->layout.shape[1], rows = y->layout.shape[0];
  size_t size = peri_dtype_size(y->layout.dtype);
  bool again = call->args[2].integer;
  char *to = y->data;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  peri_status status = PERI_OK;
  for (int64_t k = 0; k < r && rows > 0; k++) at[k] = again ? 0 : k;
  for (int64_t row = 0; row < rows && status == PERI_OK; row++) {
    for (int64_t k = 0; k < r; k++, to += size) memcpy(to, x->data + (size_t)at[k] * size, size);
    for (int64_t k = 0; k < r && written != NULL; k++) *written++ = at[k] + 1;
    next_choice(at, x->layout.numel, r, again);
    if (row % 65536 == 0) status = peri_check_cancel(call->context);
  }
  peri_tensor_release(&x);
  return status;
}
static peri_status grad_combinations(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), positions = peri_of(B->outputs[1]);
  peri_answer(B, 0, peri_step_index_backward(B, g, positions, B->layouts[0], 1, B->note));
  return PERI_OK;
}
static const peri_op row_combinations = {
    .name = "combinations",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"r", PERI_KIND_INTEGER, .optional = true, .otherwise = 2},
               {"with_replacement", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_combinations,
    .run = run_combinations,
    .grad = grad_combinations,
    .low = -1,
    .high = 1,
    .sample = "{T(4)}, {T(5), 3}, {T(3), 2, true}, {T(2), 3}",
    .doc = "combinations(x, r = 2, with_replacement = false) -> matrix\n"
           "All choices of r elements of a vector, in its order, as the rows of a matrix, the last varying fastest; "
           "with_replacement an element may be chosen several times.",
};

const peri_op *const peri_ops_assemble[] = {
    &peri_op_hstack,     &peri_op_vstack,         &peri_op_dstack,   &peri_op_column_stack,
    &peri_op_block_diag, &peri_op_cartesian_prod, &row_combinations, NULL};
