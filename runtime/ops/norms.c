/* Norms of vectors and matrices, and what singular values say of a matrix. Euclid's norm is a row of its own; the
 * others are composed. */
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>

/* ---- Euclid's norm over some dimensions ---- */

static peri_status infer_norm2(peri_call *call) {
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(peri_reduce_dims(call));
  call->dtype = call->args[0].tensor->layout.dtype;
  return peri_reduce_output(call, 0, call->dtype, call->args[2].integer);
}

/* Where squares leave the range of float64, or nearly vanish, the norm of numbers in another unit, a power of 2. */
static peri_status norms_in_unit(peri_call *call, const peri_folded *f, double *y, double unit) {
  int64_t n = f->outer * f->n * f->inner, outputs = f->outer * f->inner;
  double *scaled, *norms;
  void *block;
  PERI_TRY(peri_alloc_array(call->context, (size_t)(n + outputs), sizeof(double), &block));
  scaled = block;
  norms = scaled + n;
  for (int64_t i = 0; i < n; i++) scaled[i] = ((const double *)(const void *)f->x->data)[i] * unit;
  peri_status status = peri_reduce_norm(call->context, PERI_FLOAT64, f->outer, f->n, f->inner, scaled, norms);
  for (int64_t i = 0; status == PERI_OK && i < outputs; i++) {
    bool other = unit < 1 ? y[i] > DBL_MAX : y[i] < 0x1p-500;
    if (other) y[i] = norms[i] / unit;
  }
  peri_free(call->context, block, (size_t)(n + outputs) * sizeof(double));
  return status;
}

static peri_status run_norm2(peri_call *call) {
  peri_folded f;
  char *y = call->outputs[0].tensor->data;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], call->dtype, &f));
  peri_status status = peri_reduce_norm(call->context, call->dtype, f.outer, f.n, f.inner, f.x->data, y);
  bool large = false, small = false;
  double *values = (double *)(void *)y;
  for (int64_t i = 0; call->dtype == PERI_FLOAT64 && i < f.outer * f.inner; i++) {
    large |= values[i] > DBL_MAX;
    small |= values[i] < 0x1p-500;
  }
  if (status == PERI_OK && large) status = norms_in_unit(call, &f, values, 0x1p-600);
  if (status == PERI_OK && small) status = norms_in_unit(call, &f, values, 0x1p600);
  peri_tensor_release(&f.x);
  return status;
}

/* gx = g x / y, and 0 where y is 0 */
static peri_status grad_norm2(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor), y = peri_of(B->outputs[0]);
  peri_value zero = peri_step_convert(B, peri_step_eq(B, y, peri_constant(0)), B->layouts[0]->dtype);
  peri_value slope = peri_step_div(B, peri_of(B->grad_outputs[0]), peri_step_add(B, y, zero));
  peri_answer(B, 0, peri_step_mul(B, x, peri_step_unreduce(B, slope)));
  return PERI_OK;
}

const peri_op peri_op_norm2 = {
    .name = "norm2",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_norm2,
    .run = run_norm2,
    .grad = grad_norm2,
    .doc = "norm2(x, dims, keepdim = false) -> tensor\nThe root of the sum of squares over dims.",
};

peri_value peri_step_norm2(peri_backward *B, peri_value x, int dims, const int64_t *dim, bool keepdim) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_norm2, 1, &x);
  peri_call_sizes(&call, 1, dims, dim);
  call.args[2].integer = keepdim;
  return peri_step_run(B, &call);
}

/* ---- which norm is asked for ---- */

enum { X, ORDER, DIMS, KEEPDIM };
enum { SET, COUNT, MATRIX, ROWS, COLUMNS, KIND }; /* notes: the first two as reduce.h says */
enum { NUMBER, FROBENIUS, NUCLEAR };              /* the last */

#define ORDERS        "fro nuc inf -inf"
#define VECTOR_ORDERS "inf -inf"

/* Words for infinities become these, other words the note. `first` is the number of the list's first word in ORDERS. */
static peri_status read_order(peri_call *call, int first, double otherwise) {
  peri_arg *order = &call->args[ORDER];
  int word = order->word == 0 ? 0 : order->word + first;
  if (!order->given) order->number = otherwise;
  if (word > NUCLEAR) order->number = word == 3 ? HUGE_VAL : -HUGE_VAL;
  call->note[KIND] = word > NUCLEAR ? NUMBER : word;
  if (order->number == order->number) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is not a number", call->op->params[ORDER].name);
}

static peri_status nothing_to_choose(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s: there is no element to choose", call->op->params[X].name,
                        peri_shape_text(x->ndim, x->shape, text));
}

static peri_status infer_vector(peri_call *call) {
  PERI_TRY(peri_infer_float(call, X));
  PERI_TRY(peri_reduce_dims_of(call, DIMS));
  call->note[MATRIX] = false;
  double order = call->args[ORDER].number;
  if (call->note[COUNT] == 0 && call->note[KIND] == NUMBER && (order < 0 || order > DBL_MAX))
    return nothing_to_choose(call);
  return peri_reduce_output(call, 0, call->args[X].tensor->layout.dtype, call->args[KEEPDIM].integer);
}

/* The two dimensions: as given, in that order, else the last. */
static peri_status infer_matrix(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  peri_arg *dims = &call->args[DIMS];
  char text[PERI_SHAPE_TEXT];
  if (!dims->given && x->ndim >= 2) peri_call_sizes(call, DIMS, 2, (int64_t[]){-2, -1});
  if (dims->count != 2)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s and %d dimensions are given (expected the 2 of a matrix)",
                          call->op->params[X].name, peri_shape_text(x->ndim, x->shape, text), dims->count);
  PERI_TRY(infer_vector(call));
  call->note[MATRIX] = true;
  call->note[ROWS] = dims->sizes[0] < 0 ? dims->sizes[0] + x->ndim : dims->sizes[0];
  call->note[COLUMNS] = dims->sizes[1] < 0 ? dims->sizes[1] + x->ndim : dims->sizes[1];
  double order = fabs(call->args[ORDER].number);
  if (call->note[KIND] == NUMBER && order != 1 && order != 2 && order <= DBL_MAX)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected fro, nuc, inf, -inf, 1, -1, 2 or -2)",
                          call->op->params[ORDER].name, call->args[ORDER].number);
  if (call->note[KIND] == NUMBER && call->note[COUNT] == 0) return nothing_to_choose(call);
  return PERI_OK;
}

/* ---- vectors ---- */

/* The largest (or smallest) elements along dims; equal ones share the gradient. */
static peri_value extreme(peri_backward *B, bool largest, peri_value x, int count, const int64_t *dims, bool keepdim) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, largest ? &peri_op_amax : &peri_op_amin, 1, &x);
  peri_call_sizes(&call, 1, count, dims);
  call.args[2].integer = keepdim;
  return peri_step_run(B, &call);
}

static peri_value reshape_result(peri_call *call, peri_backward *B, peri_value y) {
  const peri_layout *result = &call->outputs[0].layout;
  return peri_step_reshape(B, y, result->ndim, result->shape);
}

/* (sum |x|^p)^(1/p); a sum of 0 stays 0, and so does its gradient. */
static peri_value root_of_powers(peri_backward *B, peri_value x, double p, int count, const int64_t *dims,
                                 bool keepdim) {
  peri_value powers = peri_step_pow(B, peri_step_abs(B, x), peri_constant(p));
  peri_value sum = peri_step_sum(B, powers, count, dims, keepdim);
  peri_value zero = peri_step_eq(B, sum, peri_constant(0));
  peri_value safe = peri_step_where(B, zero, peri_constant(1), sum);
  return peri_step_where(B, zero, peri_constant(p < 0 ? HUGE_VAL : 0), peri_step_pow(B, safe, peri_constant(1 / p)));
}

static peri_value vector_norm(peri_call *call, peri_backward *B) {
  const peri_layout *layout = &call->args[X].tensor->layout;
  peri_value x = peri_of(call->args[X].tensor);
  double p = call->note[KIND] == NUMBER ? call->args[ORDER].number : 2;
  bool keepdim = call->args[KEEPDIM].integer;
  int64_t dims[PERI_MAX_DIMS];
  int count = 0;
  for (int d = 0; d < layout->ndim; d++) {
    if (call->note[SET] >> d & 1) dims[count++] = d;
  }
  if (count == 0 && p != 0) return peri_step_abs(B, x);
  if (p == 2) return peri_step_norm2(B, x, count, dims, keepdim);
  if (p == 1) return peri_step_sum(B, peri_step_abs(B, x), count, dims, keepdim);
  if (p == 0) {
    peri_value there = peri_step_convert(B, peri_step_ne(B, x, peri_constant(0)), layout->dtype);
    return peri_step_sum(B, there, count, dims, keepdim);
  }
  if (fabs(p) > DBL_MAX) return extreme(B, p > 0, peri_step_abs(B, x), count, dims, keepdim);
  return root_of_powers(B, x, p, count, dims, keepdim);
}

/* ---- matrices ---- */

/* x with its two dimensions last */
static peri_value matrices_last(peri_call *call, peri_backward *B) {
  const peri_layout *x = &call->args[X].tensor->layout;
  int64_t order[PERI_MAX_DIMS];
  int at = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (d != call->note[ROWS] && d != call->note[COLUMNS]) order[at++] = d;
  }
  order[at++] = call->note[ROWS];
  order[at] = call->note[COLUMNS];
  return peri_step_permute(B, peri_of(call->args[X].tensor), x->ndim, order);
}

/* The first or last singular value. */
static peri_value singular_value(peri_backward *B, peri_value x, bool largest) {
  peri_value s = peri_apply(B, &peri_op_svdvals, 1, &x);
  if (B->formula->status != PERI_OK) return s;
  const peri_layout *layout = &s.tensor->layout;
  int64_t last = layout->ndim - 1;
  return peri_step_narrow(B, s, last, largest ? 0 : layout->shape[last] - 1, 1);
}

static peri_value matrix_norm(peri_call *call, peri_backward *B) {
  if (call->note[KIND] == FROBENIUS) {
    call->note[KIND] = NUMBER;
    call->args[ORDER].number = 2;
    return vector_norm(call, B);
  }
  int64_t last = call->args[X].tensor->layout.ndim - 1;
  double order = call->args[ORDER].number;
  peri_value x = matrices_last(call, B), y;
  if (call->note[KIND] == NUCLEAR) {
    y = peri_step_sum(B, peri_apply(B, &peri_op_svdvals, 1, &x), 1, (int64_t[]){last - 1}, false);
  } else if (fabs(order) == 2) {
    y = singular_value(B, x, order > 0);
  } else {
    int64_t summed = fabs(order) == 1 ? last - 1 : last;
    y = peri_step_sum(B, peri_step_abs(B, x), 1, &summed, false);
    y = extreme(B, order > 0, y, 1, (int64_t[]){last - 1}, false);
  }
  return reshape_result(call, B, y);
}

static peri_status compose_norm(peri_backward *B) {
  peri_call *call = B->call;
  peri_answer(B, 0, call->note[MATRIX] ? matrix_norm(call, B) : vector_norm(call, B));
  return PERI_OK;
}

/* ---- the rows ---- */

static peri_status infer_vector_norm(peri_call *call) {
  PERI_TRY(read_order(call, 2, 2));
  return infer_vector(call);
}

static peri_status infer_matrix_norm(peri_call *call) {
  PERI_TRY(read_order(call, 0, 0));
  if (!call->args[ORDER].given) call->note[KIND] = FROBENIUS;
  return infer_matrix(call);
}

/* torch.norm: numbers mean vectors, whatever the dimensions. */
static peri_status infer_norm(peri_call *call) {
  PERI_TRY(read_order(call, 0, 2));
  if (call->note[KIND] == NUCLEAR) return infer_matrix(call);
  call->note[KIND] = call->note[KIND] == FROBENIUS ? FROBENIUS : NUMBER;
  return infer_vector(call);
}

/* Of one dimension a vector's, of two a matrix's; without an order of all elements. */
static peri_status infer_linalg_norm(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  const peri_arg *dims = &call->args[DIMS];
  char text[PERI_SHAPE_TEXT];
  int ndim = dims->given ? dims->count : x->ndim;
  if (!call->args[ORDER].given && !(dims->given && ndim == 2)) return infer_vector_norm(call);
  if (ndim == 2) return infer_matrix_norm(call);
  PERI_TRY(read_order(call, 0, 2));
  if (ndim != 1)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "A is %s and %d dimensions are meant (expected 1 of vectors or 2 of matrices: give dim)",
                          peri_shape_text(x->ndim, x->shape, text), ndim);
  if (call->note[KIND] != NUMBER)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "ord is that of matrices, but 1 dimension is meant");
  return infer_vector(call);
}

#define NORM(linkage, row, operation, more, first, order, words, inference, samples, text)                             \
  linkage const peri_op row = {                                                                                        \
      .name = operation,                                                                                               \
      .flags = more,                                                                                                   \
      .outputs = 1,                                                                                                    \
      .params = {{first, PERI_KIND_TENSOR},                                                                            \
                 {order, PERI_KIND_NUMBER, .optional = true, .choices = words},                                        \
                 {"dim", PERI_KIND_DIMS, .optional = true},                                                            \
                 {"keepdim", PERI_KIND_BOOL, .optional = true}},                                                       \
      .infer = inference,                                                                                              \
      .compose = compose_norm,                                                                                         \
      .low = 0.5,                                                                                                      \
      .high = 3,                                                                                                       \
      .sample = samples,                                                                                               \
      .doc = text,                                                                                                     \
  };
NORM(static, row_norm, "norm", 0, "x", "p", ORDERS, infer_norm,
     "{T(3, 4)}, {T(3, 4), 3, 1}, {T(3, 4), 1, {1, 2}, true}, {T(3, 4), 'nuc'}, {T(2, 3), 'inf'}, {T(4), 0.5}",
     "norm(x, p = 'fro', dim, keepdim = false) -> tensor\n"
     "The norm of all elements, or over dim (a number or a list): of order p as linalg.vector_norm has it, where 'fro' "
     "is 2; or 'nuc', the sum of the singular values of matrices (whose bits are the processor's). Floats only.")
NORM(, peri_op_vector_norm, "linalg.vector_norm", PERI_OP_NO_METHOD, "x", "ord", VECTOR_ORDERS, infer_vector_norm,
     "{T(3, 4)}, {T(3, 4), 1, 1}, {T(2, 3), 3}, {T(2, 3), 'inf', 2}, {T(3, 3), '-inf', {1, 2}, true}, {T(2, 3), 0, 1}",
     "linalg.vector_norm(x, ord = 2, dim, keepdim = false) -> tensor\n"
     "(sum |x|^ord)^(1/ord) over all elements or over dim (a number or a list); ord 'inf' or math.huge is the largest "
     "|x|, '-inf' the smallest, 0 counts what is not 0. That of order 2 neither overflows nor underflows on the way. "
     "The gradient where the norm is 0 is 0; equal largest or smallest ones share it. Floats only.")
NORM(static, row_matrix_norm, "linalg.matrix_norm", PERI_OP_NO_METHOD, "A", "ord", ORDERS, infer_matrix_norm,
     "{T(3, 4)}, {T(3, 4), 1}, {T(2, 3, 4), 'inf', {1, 3}}, {T(3, 3), 'nuc', {-2, -1}, true}, {T(3, 4), 2}, {T(3, 2), "
     "-2}, {T(3, 4), -1}",
     "linalg.matrix_norm(A, ord = 'fro', dim = {-2, -1}, keepdim = false) -> tensor\n"
     "Norms of the matrices of two dimensions: 'fro' the root of the sum of squares; 1 the largest sum of |a| of a "
     "column, 'inf' of a row, -1 and '-inf' the smallest; 'nuc' the sum of the singular values, 2 the largest and -2 "
     "the smallest of them (whose bits are the processor's). Floats only.")
NORM(static, row_linalg_norm, "linalg.norm", PERI_OP_NO_METHOD, "A", "ord", ORDERS, infer_linalg_norm,
     "{T(2, 3, 4)}, {T(4), 3}, {T(3, 4), 'fro'}, {T(2, 3, 4), 1, {1, 2}}, {T(3, 4), 1, 2, {keepdim = true}}, {T(3, 2), "
     "'nuc'}",
     "linalg.norm(A, ord, dim, keepdim = false) -> tensor\n"
     "linalg.vector_norm along one dimension, linalg.matrix_norm of two; without dim, of a vector or a matrix, and "
     "without ord the root of the sum of squares of all elements. Norms "
     "over singular values are those whose bits are the processor's. Floats only.")

/* ---- condition and rank ---- */

static peri_status infer_cond(peri_call *call) {
  const peri_layout *A = &call->args[X].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  call->args[DIMS] = (peri_arg){.sizes = call->lists[DIMS]}; /* which cond has not */
  call->args[KEEPDIM] = (peri_arg){.given = false};
  PERI_TRY(read_order(call, 0, 2));
  PERI_TRY(infer_matrix(call));
  bool square = A->shape[A->ndim - 1] == A->shape[A->ndim - 2];
  if (call->note[KIND] == NUMBER && fabs(call->args[ORDER].number) == 2) square = true;
  if (square) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "A is %s (expected square matrices, or p = 2)",
                        peri_shape_text(A->ndim, A->shape, text));
}

/* The same norm of other matrices. */
static peri_value norm_of(peri_call *call, peri_backward *B, peri_value A) {
  peri_call other = *call;
  if (B->formula->status != PERI_OK) return A;
  other.args[X].tensor = A.tensor;
  return matrix_norm(&other, B);
}

static peri_status compose_cond(peri_backward *B) {
  peri_call *call = B->call;
  peri_value A = peri_of(call->args[X].tensor);
  if (call->note[KIND] == NUMBER && fabs(call->args[ORDER].number) == 2) {
    peri_value s = peri_apply(B, &peri_op_svdvals, 1, &A);
    if (B->formula->status != PERI_OK) return PERI_OK;
    int64_t last = s.tensor->layout.ndim - 1, end = s.tensor->layout.shape[last] - 1;
    bool largest = call->args[ORDER].number > 0;
    peri_value over = peri_step_narrow(B, s, last, largest ? 0 : end, 1);
    peri_value under = peri_step_narrow(B, s, last, largest ? end : 0, 1);
    peri_answer(B, 0, reshape_result(call, B, peri_step_div(B, over, under)));
    return PERI_OK;
  }
  peri_value inverse = peri_apply(B, &peri_op_inv, 1, &A);
  peri_answer(B, 0, peri_step_mul(B, norm_of(call, B, A), norm_of(call, B, inverse)));
  return PERI_OK;
}

static const peri_op row_cond = {
    .name = "linalg.cond",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"A", PERI_KIND_TENSOR}, {"p", PERI_KIND_NUMBER, .optional = true, .choices = ORDERS}},
    .infer = infer_cond,
    .compose = compose_cond,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 3) + peri.eye(3) * 3}, {T(4, 2)}, {T(2, 3, 3) + peri.eye(3) * 3, 'fro'}, {T(3, 3) + peri.eye(3) * "
              "3, 1}, {T(2, 3), -2}",
    .doc = "linalg.cond(A, p = 2) -> tensor\n"
           "How much A x = b magnifies relative errors: the norm of A times that of its inverse, in the norm p of "
           "linalg.matrix_norm; for 2 the largest singular value over the smallest, of any matrix (-2: the reverse). "
           "For another p a singular A is an error. Its bits are the processor's. Floats only.",
};

/* notes: none; rtol is relative to the largest singular value */
static peri_status infer_rank(peri_call *call) {
  const peri_layout *A = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  bool hermitian = call->args[3].integer;
  if (A->ndim < 2 || (hermitian && A->shape[A->ndim - 1] != A->shape[A->ndim - 2]))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "A is %s (expected %s matrices)",
                          peri_shape_text(A->ndim, A->shape, text), hermitian ? "square" : "one or more");
  for (int i = 1; i < 3; i++) {
    if (!call->args[i].given || call->args[i].number >= 0) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a number from 0)", call->op->params[i].name,
                          call->args[i].number);
  }
  return peri_infer_output(call, 0, PERI_INT64, A->ndim - 2, A->shape);
}

double peri_rank_tolerance(const peri_layout *A) {
  int64_t m = A->shape[A->ndim - 2], n = A->shape[A->ndim - 1];
  return (double)(m > n ? m : n) * (A->dtype == PERI_FLOAT32 ? FLT_EPSILON : DBL_EPSILON);
}

static peri_status compose_rank(peri_backward *B) {
  peri_call *call = B->call;
  peri_tensor *detached = NULL;
  peri_status status = peri_tensor_detach(call->args[0].tensor, &detached);
  peri_value A = peri_formula_own(B, status, detached), s;
  const peri_layout *layout = &call->args[0].tensor->layout;
  double absolute = call->args[1].number;
  double relative = call->args[2].given                   ? call->args[2].number
                    : call->args[1].given && absolute > 0 ? 0
                                                          : peri_rank_tolerance(layout);
  if (call->args[3].integer) {
    s = peri_step_abs(B, peri_apply(B, &peri_op_eigvalsh, 1, &A));
  } else {
    s = peri_apply(B, &peri_op_svdvals, 1, &A);
  }
  if (B->formula->status != PERI_OK) return PERI_OK;
  int64_t last = s.tensor->layout.ndim - 1;
  if (s.tensor->layout.shape[last] > 0) {
    peri_call most;
    peri_step_open(B, &most, &peri_op_max, 1, &s);
    most.args[1].given = true;
    most.args[1].integer = last;
    most.args[2].integer = true;
    peri_value limit = peri_step_mul(B, peri_step_run(B, &most), peri_constant(relative));
    s = peri_step_gt(B, s, peri_step_maximum(B, limit, peri_constant(absolute)));
  }
  peri_answer(B, 0, peri_step_sum(B, peri_step_convert(B, s, PERI_INT64), 1, &last, false));
  return PERI_OK;
}

static const peri_op row_rank = {
    .name = "linalg.matrix_rank",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"A", PERI_KIND_TENSOR},
               {"atol", PERI_KIND_NUMBER, .optional = true, .named = true},
               {"rtol", PERI_KIND_NUMBER, .optional = true, .named = true},
               {"hermitian", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_rank,
    .compose = compose_rank,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3)}, {T(2, 3, 3)}, {symmetric(3), {hermitian = true}}, {peri.ones(3, 3)}, {T(0, 3)}",
    .doc =
        "linalg.matrix_rank(A, {atol = 0, rtol =, hermitian = false}) -> int64 tensor\n"
        "How many singular values of each matrix (with hermitian, sizes of eigenvalues of a symmetric one) are above "
        "both atol and rtol times the largest; rtol is the larger of rows and columns times the dtype's epsilon, or "
        "0 where atol is given. Floats only.",
};

const peri_op *const peri_ops_norms[] = {
    &peri_op_norm2, &row_norm, &peri_op_vector_norm, &row_matrix_norm, &row_linalg_norm, &row_cond, &row_rank, NULL};
