/* Linear algebra over LAPACKE. Matrices are copied to column-major order, which LAPACK works in. */
#include "base/blas.h"
#include "ops/ops.h"
#include "ops/rows.h"

#include <limits.h>

/* ---- LAPACK's drivers by dtype, on column-major matrices of n rows ---- */

typedef struct drivers {
  lapack_int (*gesv)(const peri_blas *lapack, lapack_int n, lapack_int columns, void *a, lapack_int *pivots, void *b);
  lapack_int (*syevd)(const peri_blas *lapack, lapack_int n, void *a, void *values, void *work, lapack_int lwork,
                      lapack_int *iwork, lapack_int liwork);
} drivers;

#define DRIVERS(letter)                                                                                                \
  static lapack_int letter##gesv(const peri_blas *lapack, lapack_int n, lapack_int columns, void *a,                   \
                                 lapack_int *pivots, void *b) {                                                        \
    return lapack->LAPACKE_##letter##gesv_work(LAPACK_COL_MAJOR, n, columns, a, n, pivots, b, n);                      \
  }                                                                                                                    \
  static lapack_int letter##syevd(const peri_blas *lapack, lapack_int n, void *a, void *values, void *work,            \
                                  lapack_int lwork, lapack_int *iwork, lapack_int liwork) {                            \
    return lapack->LAPACKE_##letter##syevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, a, n, values, work, lwork, iwork,       \
                                                liwork);                                                               \
  }
DRIVERS(s)
DRIVERS(d)

static const drivers drivers_of[] = {[PERI_FLOAT32] = {sgesv, ssyevd}, [PERI_FLOAT64] = {dgesv, dsyevd}};

/* ---- operands ---- */

static peri_status need_square(peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (a->ndim == 2 && a->shape[0] == a->shape[1] && a->shape[0] <= INT_MAX) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "A is %s (expected a square matrix)",
                        peri_shape_text(a->ndim, a->shape, text));
}

/* LAPACK does not promise to stop on NaN. */
static peri_status need_finite(peri_call *call, int arg) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(call->args[arg].tensor, &own));
  size_t size = peri_dtype_size(own->layout.dtype);
  int64_t wrong = -1;
  for (int64_t i = 0; i < own->layout.numel && wrong < 0; i++) {
    double value = peri_load_number(own->layout.dtype, own->data + (size_t)i * size);
    if (!(value - value == 0)) wrong = i;
  }
  peri_tensor_release(&own);
  if (wrong < 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld of %s is not finite", (long long)wrong + 1,
                        call->op->params[arg].name);
}

/* Column-major memory, seen as a matrix of x's shape (or a vector, as one column). */
static peri_view columns_of(const peri_tensor *x, char *memory) {
  peri_view columns = {.layout = x->layout, .data = memory};
  columns.layout.strides[0] = 1;
  if (x->layout.ndim == 2) columns.layout.strides[1] = x->layout.shape[0];
  return columns;
}

static peri_status to_columns(const peri_tensor *x, char *memory) {
  peri_view columns = columns_of(x, memory);
  return peri_view_copy_into(peri_tensor_context(x), &columns, &x->view);
}

static peri_status from_columns(peri_tensor *y, char *memory) {
  peri_view columns = columns_of(y, memory);
  return peri_view_copy_into(peri_tensor_context(y), &y->view, &columns);
}

/* ---- solve ---- */

static peri_status infer_solve(peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(need_square(call));
  int64_t n = a->shape[0], columns = b->ndim == 2 ? b->shape[1] : 1;
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  if (b->ndim < 1 || b->ndim > 2 || b->shape[0] != n || columns > INT_MAX) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "b is %s of %s (expected %s with %lld rows)",
                          peri_dtype_name(b->dtype), peri_shape_text(b->ndim, b->shape, text),
                          peri_dtype_name(a->dtype), (long long)n);
  }
  PERI_TRY(need_finite(call, 0));
  size_t size = peri_dtype_size(a->dtype);
  call->workspace_bytes = ((size_t)(n * n) + (size_t)(n * columns)) * size + (size_t)n * sizeof(lapack_int);
  return peri_infer_output(call, 0, a->dtype, b->ndim, b->shape);
}

static peri_status run_solve(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_dtype dtype = y->layout.dtype;
  size_t size = peri_dtype_size(dtype);
  lapack_int n = (lapack_int)y->layout.shape[0], columns = y->layout.ndim == 2 ? (lapack_int)y->layout.shape[1] : 1;
  if (y->layout.numel == 0) return PERI_OK;
  char *a = call->workspace, *b = a + (size_t)n * (size_t)n * size;
  lapack_int *pivots = (lapack_int *)(void *)(b + (size_t)n * (size_t)columns * size);
  PERI_TRY(to_columns(call->args[0].tensor, a));
  PERI_TRY(to_columns(call->args[1].tensor, b));
  PERI_TRY(peri_blas_begin(call->context));
  lapack_int info = drivers_of[dtype].gesv(call->context->blas, n, columns, a, pivots, b);
  peri_blas_end(call->context);
  PERI_TRY(peri_check_cancel(call->context));
  if (info > 0) return peri_call_fail(call, PERI_ERR_NUMERIC, "A is singular (pivot %d is zero)", (int)info);
  return from_columns(y, b);
}

static peri_value solve(peri_backward *B, peri_value A, peri_value b) {
  return peri_apply(B, &peri_op_solve, 2, (peri_value[]){A, b});
}

/* a b', of two vectors or two matrices of as many columns */
static peri_value outer(peri_backward *B, peri_value a, peri_value b) {
  if (B->layouts[1]->ndim == 1) {
    int64_t column[2] = {B->layouts[1]->shape[0], 1};
    a = peri_step_reshape(B, a, 2, column);
    b = peri_step_reshape(B, b, 2, column);
  }
  return peri_step_matmul(B, a, b, false, true);
}

/* x = A^-1 b: gb = A'^-1 gx, gA = -gb x' (Giles 2008, 2.3.1) */
static peri_status grad_solve(peri_backward *B) {
  peri_value A = peri_of(B->args[0].tensor), x = peri_of(B->outputs[0]), gx = peri_of(B->grad_outputs[0]);
  peri_value gb = solve(B, peri_step_t(B, A), gx);
  if (B->needs[1]) peri_answer(B, 1, gb);
  if (B->needs[0]) peri_answer(B, 0, peri_step_neg(B, outer(B, gb, x)));
  return PERI_OK;
}

const peri_op peri_op_solve = {
    .name = "linalg.solve",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"A", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},
    .infer = infer_solve,
    .run = run_solve,
    .grad = grad_solve,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 4) + peri.eye(4) * 3, T(4)}, {T(3, 3) + peri.eye(3) * 3, T(3, 2)}",
    .doc = "linalg.solve(A, b) -> tensor\n"
           "The solution x of A x = b for a square matrix A and a vector or matrix b, by LU with partial pivoting "
           "(LAPACK gesv, whose bits are the processor's). A singular A is an error. Floats of one dtype.",
};

/* ---- eigh ---- */

static peri_status infer_eigh(peri_call *call) {
  PERI_TRY(need_square(call));
  PERI_TRY(need_finite(call, 0));
  const peri_layout *a = &call->args[0].tensor->layout;
  int64_t n = a->shape[0];
  size_t size = peri_dtype_size(a->dtype);
  size_t work = 1 + 6 * (size_t)n + 2 * (size_t)n * (size_t)n, iwork = 3 + 5 * (size_t)n; /* what syevd asks for */
  if (work > INT_MAX)
    return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: a matrix of %lld rows is too large", (long long)n);
  call->note[0] = (int64_t)work;
  call->note[1] = (int64_t)iwork;
  call->workspace_bytes = (size_t)(n * n) * size + work * size + iwork * sizeof(lapack_int);
  PERI_TRY(peri_infer_output(call, 0, a->dtype, 1, a->shape));
  return peri_infer_output(call, 1, a->dtype, 2, a->shape);
}

static peri_status run_eigh(peri_call *call) {
  peri_tensor *values = call->outputs[0].tensor, *vectors = call->outputs[1].tensor;
  peri_dtype dtype = values->layout.dtype;
  size_t size = peri_dtype_size(dtype);
  lapack_int n = (lapack_int)values->layout.shape[0], lwork = (lapack_int)call->note[0],
             liwork = (lapack_int)call->note[1];
  if (n == 0) return PERI_OK;
  char *a = call->workspace, *work = a + (size_t)n * (size_t)n * size;
  lapack_int *iwork = (lapack_int *)(void *)(work + (size_t)lwork * size);
  PERI_TRY(to_columns(call->args[0].tensor, a));
  PERI_TRY(peri_blas_begin(call->context));
  lapack_int info = drivers_of[dtype].syevd(call->context->blas, n, a, values->data, work, lwork, iwork, liwork);
  peri_blas_end(call->context);
  PERI_TRY(peri_check_cancel(call->context));
  if (info != 0)
    return peri_call_fail(call, PERI_ERR_NUMERIC, "the iteration did not converge (LAPACK syevd: %d)", (int)info);
  return from_columns(vectors, a);
}

static peri_value identity(peri_backward *B, int64_t n) {
  peri_call call;
  peri_step_open(B, &call, &peri_op_eye, 0, NULL);
  call.args[0].integer = n;
  call.args[2].integer = B->layouts[0]->dtype;
  return peri_step_run(B, &call);
}

/* A = V diag(w) V': gA = V (diag(gw) + F o (V' gV)) V' with F_ij = 1 / (w_j - w_i), 0 on the diagonal (Giles 2008,
 * 3.1); made symmetric, because A is. A vector as a row is repeated downwards, as a column across. */
static peri_status grad_eigh(peri_backward *B) {
  peri_value w = peri_of(B->outputs[0]), V = peri_of(B->outputs[1]);
  peri_value gw = peri_of(B->grad_outputs[0]), gV = peri_of(B->grad_outputs[1]);
  int64_t n = B->layouts[0]->shape[0], row[2] = {1, n}, column[2] = {n, 1};
  peri_value eye = identity(B, n), inner = peri_constant(0);
  if (gw.tensor != NULL) inner = peri_step_mul(B, eye, peri_step_reshape(B, gw, 2, row)); /* diag(gw) */
  if (gV.tensor != NULL) {
    peri_value E = peri_step_sub(B, peri_step_reshape(B, w, 2, row), peri_step_reshape(B, w, 2, column));
    peri_value F = peri_step_sub(B, peri_step_reciprocal(B, peri_step_add(B, E, eye)), eye);
    peri_value turned = peri_step_mul(B, F, peri_step_matmul(B, V, gV, true, false));
    inner = gw.tensor != NULL ? peri_step_add(B, inner, turned) : turned;
  }
  peri_value gA = peri_step_matmul(B, peri_step_matmul(B, V, inner, false, false), V, false, true);
  peri_answer(B, 0, peri_step_mul(B, peri_step_add(B, gA, peri_step_t(B, gA)), peri_constant(0.5)));
  return PERI_OK;
}

const peri_op peri_op_eigh = {
    .name = "linalg.eigh",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_OUTPUT(0) | PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {{"A", PERI_KIND_TENSOR}},
    .infer = infer_eigh,
    .run = run_eigh,
    .grad = grad_eigh,
    .low = -1,
    .high = 1,
    .sample = "{symmetric(4)}, {symmetric(1)}",
    .doc =
        "linalg.eigh(A) -> values, vectors\n"
        "The eigenvalues of a symmetric matrix in ascending order and its eigenvectors as columns; only the lower "
        "triangle is read (LAPACK syevd, whose bits are the processor's). The gradient assumes distinct eigenvalues.",
};

const peri_op *const peri_ops_linalg[] = {&peri_op_solve, &peri_op_eigh, NULL};
