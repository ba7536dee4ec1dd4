/* Linear algebra over LAPACKE. Matrices are copied to column-major order, which LAPACK works in. */
#include "base/blas.h"
#include "ops/ops.h"
#include "ops/rows.h"

#include <limits.h>

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

/* A matrix (or vector, as one column) into column-major memory. */
static peri_status to_columns(const peri_tensor *x, char *memory) {
  peri_tensor target = *x, from = *x;
  target.data = memory;
  target.contiguous = false;
  if (x->layout.ndim == 2) {
    target.layout.strides[0] = 1;
    target.layout.strides[1] = x->layout.shape[0];
  } else {
    target.layout.strides[0] = 1;
  }
  return peri_tensor_copy_into(&target, &from);
}

static peri_status from_columns(peri_tensor *y, const char *memory) {
  peri_tensor from = *y;
  from.data = (char *)(uintptr_t)memory;
  from.contiguous = false;
  from.layout.strides[0] = 1;
  if (y->layout.ndim == 2) from.layout.strides[1] = y->layout.shape[0];
  return peri_tensor_copy_into(y, &from);
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
  int taken;
  PERI_TRY(peri_blas_begin(call->context, 1, &taken));
  const peri_blas *lapack = call->context->blas;
  lapack_int info = dtype == PERI_FLOAT32
                        ? lapack->LAPACKE_sgesv_work(LAPACK_COL_MAJOR, n, columns, (float *)(void *)a, n, pivots,
                                                     (float *)(void *)b, n)
                        : lapack->LAPACKE_dgesv_work(LAPACK_COL_MAJOR, n, columns, (double *)(void *)a, n, pivots,
                                                     (double *)(void *)b, n);
  peri_blas_end(call->context, taken);
  PERI_TRY(peri_check_cancel(call->context));
  if (info > 0) return peri_call_fail(call, PERI_ERR_NUMERIC, "A is singular (pivot %d is zero)", (int)info);
  return from_columns(y, b);
}

/* x = A^-1 b: gb = A'^-1 g, gA = -gb x' */
static peri_status grad_solve(peri_backward *B) {
  peri_value a = peri_of(B->args[0].tensor), x = peri_of(B->outputs[0]), g = peri_of(B->grad_outputs[0]);
  peri_value transposed = peri_apply(B, &peri_op_t, 1, &a);
  peri_value gb = peri_apply(B, &peri_op_solve, 2, (peri_value[]){transposed, g});
  if (B->needs[1]) peri_answer(B, 1, gb);
  if (!B->needs[0]) return PERI_OK;
  int64_t column[2] = {B->layouts[1]->shape[0], 1};
  bool vector = B->layouts[1]->ndim == 1;
  peri_value outer = peri_step_matmul(B, vector ? peri_step_reshape(B, gb, 2, column) : gb,
                                      vector ? peri_step_reshape(B, x, 2, column) : x, false, true);
  peri_answer(B, 0, peri_apply(B, &peri_op_neg, 1, &outer));
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
           "(LAPACK gesv). A singular A is an error. Floats of one dtype.",
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
  int taken;
  PERI_TRY(peri_blas_begin(call->context, 1, &taken));
  const peri_blas *lapack = call->context->blas;
  lapack_int info =
      dtype == PERI_FLOAT32
          ? lapack->LAPACKE_ssyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, (float *)(void *)a, n,
                                        (float *)(void *)values->data, (float *)(void *)work, lwork, iwork, liwork)
          : lapack->LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, (double *)(void *)a, n,
                                        (double *)(void *)values->data, (double *)(void *)work, lwork, iwork, liwork);
  peri_blas_end(call->context, taken);
  PERI_TRY(peri_check_cancel(call->context));
  if (info != 0)
    return peri_call_fail(call, PERI_ERR_NUMERIC, "the iteration did not converge (LAPACK syevd: %d)", (int)info);
  return from_columns(vectors, a);
}

/* A = V diag(w) V': gA = V (diag(gw) + F o (V' gV)) V' with F_ij = 1/(w_j - w_i), 0 on the diagonal;
 * made symmetric, because A is (Giles 2008). */
static peri_status grad_eigh(peri_backward *B) {
  peri_value w = peri_of(B->outputs[0]), v = peri_of(B->outputs[1]);
  int64_t n = B->layouts[0]->shape[0], row[2] = {1, n}, column[2] = {n, 1};
  peri_call call;
  peri_step_open(B, &call, &peri_op_eye, 0, NULL);
  call.args[0].integer = n;
  call.args[2].integer = B->layouts[0]->dtype;
  peri_value eye = peri_step_run(B, &call), inside = peri_constant(0);
  if (B->grad_outputs[0] != NULL) {
    inside =
        peri_apply(B, &peri_op_mul, 2, (peri_value[]){eye, peri_step_reshape(B, peri_of(B->grad_outputs[0]), 2, row)});
  }
  if (B->grad_outputs[1] != NULL) {
    peri_value gap = peri_apply(B, &peri_op_sub, 2,
                                (peri_value[]){peri_step_reshape(B, w, 2, row), peri_step_reshape(B, w, 2, column)});
    gap = peri_apply(B, &peri_op_add, 2, (peri_value[]){gap, eye});
    peri_value f = peri_apply(B, &peri_op_sub, 2, (peri_value[]){peri_apply(B, &peri_op_reciprocal, 1, &gap), eye});
    peri_value turned = peri_apply(B, &peri_op_mul, 2,
                                   (peri_value[]){f, peri_step_matmul(B, v, peri_of(B->grad_outputs[1]), true, false)});
    inside = inside.tensor == NULL ? turned : peri_apply(B, &peri_op_add, 2, (peri_value[]){inside, turned});
  }
  peri_value g = peri_step_matmul(B, peri_step_matmul(B, v, inside, false, false), v, false, true);
  peri_value sum = peri_apply(B, &peri_op_add, 2, (peri_value[]){g, peri_apply(B, &peri_op_t, 1, &g)});
  peri_answer(B, 0, peri_apply(B, &peri_op_mul, 2, (peri_value[]){sum, peri_constant(0.5)}));
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
    .doc = "linalg.eigh(A) -> values, vectors\n"
           "The eigenvalues of a symmetric matrix in ascending order and its eigenvectors as columns; only the lower "
           "triangle is read (LAPACK syevd). The gradient assumes distinct eigenvalues.",
};

const peri_op *const peri_ops_linalg[] = {&peri_op_solve, &peri_op_eigh, NULL};
