/* Orthogonal factorisations and eigenvalues, over LAPACK: qr, svd, eigh, eig. LAPACK leaves the signs of vectors to
 * rounding; here they follow rules that the documentation says. */
#include "ops/lapack.h"
#include "ops/rows.h"

#include <limits.h>

#define PROCESSORS "LAPACK, whose bits are the processor's"

enum { COUNT, M, N, LWORK, LIWORK }; /* notes */

/* The sizes of A's matrices; LAPACK sees each as it lies, transposed. */
static peri_status infer_matrices(peri_call *call, bool square) {
  PERI_TRY(square ? peri_need_square(call, 0) : peri_need_matrices(call, 0));
  PERI_TRY(peri_need_finite(call, 0));
  const peri_layout *A = &call->args[0].tensor->layout;
  peri_matrices of = peri_matrices_of(A);
  call->dtype = A->dtype;
  memcpy(call->note, (int64_t[]){of.count, of.m, of.n}, 3 * sizeof(int64_t));
  return PERI_OK;
}

/* An output of A's batch, with these last sizes; -1 stands for none. */
static peri_status infer_last(peri_call *call, int output, int64_t rows, int64_t columns) {
  const peri_layout *A = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  int ndim = A->ndim - 2;
  memcpy(shape, A->shape, sizeof shape);
  shape[ndim++] = rows;
  if (columns >= 0) shape[ndim++] = columns;
  return peri_infer_output(call, output, A->dtype, ndim, shape);
}

static size_t size_of(const peri_call *call) { return peri_dtype_size(call->dtype); }
static char *matrix_of(const peri_call *call, const peri_tensor *x, int64_t i, int64_t elements) {
  return x == NULL ? NULL : x->data + (size_t)(i * elements) * size_of(call);
}

/* A matrix of m x n in rows, as columns; or of n columns of m, in rows. */
#define TURN(T)                                                                                                        \
  static void turn_##T(const T *from, int64_t m, int64_t n, T *to) {                                                   \
    for (int64_t j0 = 0; j0 < n; j0 += 16) {                                                                           \
      for (int64_t i = 0; i < m; i++) {                                                                                \
        for (int64_t j = j0; j < n && j < j0 + 16; j++) to[j * m + i] = from[i * n + j];                               \
      }                                                                                                                \
    }                                                                                                                  \
  }
TURN(float)
TURN(double)

static void turn(peri_dtype dtype, const char *from, int64_t m, int64_t n, char *to) {
  if (dtype == PERI_FLOAT32) {
    turn_float((const float *)(const void *)from, m, n, (float *)(void *)to);
  } else {
    turn_double((const double *)(const void *)from, m, n, (double *)(void *)to);
  }
}

static peri_status too_large(peri_call *call) {
  const peri_layout *A = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: A is %s, whose matrices are too large",
                        peri_shape_text(A->ndim, A->shape, text));
}

static peri_status not_converged(peri_call *call, int64_t i, const char *routine, lapack_int info) {
  char which[64];
  return peri_call_fail(call, PERI_ERR_NUMERIC, "%sA: the iteration did not converge (LAPACK %s: %d)",
                        peri_which(which, sizeof which, i, call->note[COUNT]), routine, (int)info);
}

/* ---- qr: of a turned copy, since LAPACK is faster at it than at L Q = A' ---- */

enum { REDUCED, COMPLETE, R_ALONE };
#define QR_BLOCK 64

static peri_status infer_qr(peri_call *call) {
  PERI_TRY(infer_matrices(call, false));
  int64_t m = call->note[M], n = call->note[N], k = peri_min(m, n), mode = call->args[1].integer;
  int64_t most = peri_max(m, n);
  if (most > INT_MAX / QR_BLOCK) return too_large(call);
  call->note[LWORK] = peri_max(1, most) * QR_BLOCK;
  int64_t wide = mode == COMPLETE ? most : n; /* columns that Q needs room for */
  if ((double)m * (double)peri_max(wide, m) > 0x1p58) return too_large(call);
  call->workspace_bytes = peri_room((size_t)(m * wide) * size_of(call)) + peri_room((size_t)k * size_of(call)) +
                          (size_t)call->note[LWORK] * size_of(call);
  if (mode == R_ALONE) {
    PERI_TRY(peri_infer_output(call, 0, call->dtype, 1, (int64_t[]){0}));
  } else {
    PERI_TRY(infer_last(call, 0, m, mode == COMPLETE ? m : k));
  }
  return infer_last(call, 1, mode == COMPLETE ? m : k, n);
}

/* R in rows from the upper triangle in columns; then Q and R with a diagonal of R that is not negative. */
#define POSITIVE(T)                                                                                                    \
  static void take_upper_##T(const T *a, int64_t m, int64_t k, int64_t n, T *r) {                                      \
    for (int64_t j = 0; j < n; j++) {                                                                                  \
      for (int64_t i = 0; i < k && i <= j; i++) r[i * n + j] = a[j * m + i];                                           \
    }                                                                                                                  \
  }                                                                                                                    \
                                                                                                                       \
  static void make_positive_##T(T *r, int64_t k, int64_t n, T *q, int64_t m, int64_t columns) {                        \
    for (int64_t j = 0; j < k; j++) {                                                                                  \
      if (!(r[j * n + j] < 0)) continue;                                                                               \
      for (int64_t i = j; i < n; i++) r[j * n + i] = -r[j * n + i];                                                    \
      for (int64_t i = 0; q != NULL && i < m; i++) q[i * columns + j] = -q[i * columns + j];                           \
    }                                                                                                                  \
  }
POSITIVE(float)
POSITIVE(double)

static lapack_int qr_one(peri_call *call, const char *from, char *q, char *r, int64_t rows) {
  const peri_lapack *lapack = &peri_lapack_of[call->dtype];
  const peri_blas *blas = call->context->blas;
  int64_t m = call->note[M], n = call->note[N], k = peri_min(m, n);
  size_t size = size_of(call);
  char *a = call->workspace,
       *tau = a + peri_room((size_t)(m * (call->args[1].integer == COMPLETE ? peri_max(m, n) : n)) * size);
  char *work = tau + peri_room((size_t)k * size);
  turn(call->dtype, from, m, n, a);
  lapack_int info = lapack->geqrf(blas, (lapack_int)m, (lapack_int)n, a, tau, work, (lapack_int)call->note[LWORK]);
  memset(r, 0, (size_t)(rows * n) * size);
  if (call->dtype == PERI_FLOAT32)
    take_upper_float((const float *)(const void *)a, m, k, n, (float *)(void *)r);
  else
    take_upper_double((const double *)(const void *)a, m, k, n, (double *)(void *)r);
  if (q != NULL) {
    info |= lapack->orgqr(blas, (lapack_int)m, (lapack_int)rows, (lapack_int)k, a, tau, work,
                          (lapack_int)call->note[LWORK]);
    turn(call->dtype, a, rows, m, q);
  }
  if (call->dtype == PERI_FLOAT32)
    make_positive_float((float *)(void *)r, k, n, (float *)(void *)q, m, rows);
  else
    make_positive_double((double *)(void *)r, k, n, (double *)(void *)q, m, rows);
  return info;
}

static void identities(const peri_call *call, peri_tensor *y, int64_t n) {
  size_t size = size_of(call);
  memset(y->data, 0, (size_t)y->layout.numel * size);
  for (int64_t i = 0; i < call->note[COUNT]; i++) {
    for (int64_t j = 0; j < n; j++)
      peri_store_number(call->dtype, matrix_of(call, y, i, n * n) + (size_t)(j * (n + 1)) * size, 1);
  }
}

static peri_status run_qr(peri_call *call) {
  peri_tensor *q = call->args[1].integer == R_ALONE ? NULL : call->outputs[0].tensor, *r = call->outputs[1].tensor;
  int64_t m = call->note[M], n = call->note[N], k = peri_min(m, n);
  int64_t rows = call->args[1].integer == COMPLETE ? m : k; /* of R, which are Q's columns */
  if (call->note[COUNT] == 0 || m == 0) return PERI_OK;
  if (n == 0) { /* nothing to do, and in the complete mode any Q */
    if (q != NULL && rows > 0) identities(call, q, m);
    return PERI_OK;
  }
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &own));
  peri_status status = peri_blas_begin(call->context);
  for (int64_t i = 0; status == PERI_OK && i < call->note[COUNT]; i++) {
    qr_one(call, matrix_of(call, own, i, m * n), matrix_of(call, q, i, m * rows), matrix_of(call, r, i, rows * n),
           rows);
    if (peri_cancelled(call->context)) break;
  }
  peri_blas_end(call->context);
  peri_tensor_release(&own);
  return status == PERI_OK ? peri_check_cancel(call->context) : status;
}

/* The gradient of A = Q R with as many columns as R has rows: gA = (gQ + Q copyltu(R gR' - gQ' Q)) R'^-1, where copyltu
 * mirrors the lower triangle (Walter and Lehmann 2013, 3.2). */
static peri_value grad_square_qr(peri_backward *B, peri_value Q, peri_value R, peri_value gQ, peri_value gR,
                                 int64_t k) {
  peri_dtype dtype = B->layouts[0]->dtype;
  peri_value lower = peri_step_triangles(B, dtype, k, k, 1, 1, 0),
             strict = peri_step_triangles(B, dtype, k, k, 1, 0, 0);
  peri_value inner = {NULL, 0};
  if (gR.tensor != NULL) inner = peri_step_matmul(B, R, gR, false, true);
  if (gQ.tensor != NULL) {
    peri_value turned = peri_step_matmul(B, gQ, Q, true, false);
    inner = inner.tensor != NULL ? peri_step_sub(B, inner, turned) : peri_step_neg(B, turned);
  }
  inner = peri_step_add(B, peri_step_mul(B, inner, lower), peri_step_transpose(B, peri_step_mul(B, inner, strict)));
  peri_value gA = peri_step_matmul(B, Q, inner, false, false);
  if (gQ.tensor != NULL) gA = peri_step_add(B, gA, gQ);
  return peri_step_solve_triangular(B, peri_step_transpose(B, R), gA, false, false, false);
}

/* A wide A is [X Y] = Q [U V]: V = Q' Y, so that gQ gains Y gV' and gY is Q gV. */
static peri_status grad_qr(peri_backward *B) {
  int64_t m = B->note[M], n = B->note[N], k = peri_min(m, n), last = B->layouts[0]->ndim - 1;
  int64_t mode = B->args[1].integer;
  if (mode == R_ALONE || (mode == COMPLETE && m > n))
    return peri_fail(B->context, PERI_ERR_STATE, "%s: mode is %s, which has no gradient (use mode = 'reduced')",
                     B->op->name, mode == COMPLETE ? "complete and A has more rows than columns" : "r");
  peri_value Q = peri_of(B->outputs[0]), R = peri_of(B->outputs[1]);
  peri_value gQ = peri_of(B->grad_outputs[0]), gR = peri_of(B->grad_outputs[1]);
  if (m >= n) {
    peri_answer(B, 0, grad_square_qr(B, Q, R, gQ, gR, k));
    return PERI_OK;
  }
  peri_value A = peri_of(B->args[0].tensor), gU = {NULL, 0}, gV = {NULL, 0};
  peri_value U = peri_step_narrow(B, R, last, 0, m);
  if (gR.tensor != NULL) {
    gU = peri_step_narrow(B, gR, last, 0, m);
    gV = peri_step_narrow(B, gR, last, m, n - m);
    peri_value more = peri_step_matmul(B, peri_step_narrow(B, A, last, m, n - m), gV, false, true);
    gQ = gQ.tensor == NULL ? more : peri_step_add(B, gQ, more);
  }
  peri_value gX = grad_square_qr(B, Q, U, gQ, gU, m), gY;
  if (gV.tensor != NULL) {
    gY = peri_step_matmul(B, Q, gV, false, false);
  } else {
    gY = peri_step_mul(B, peri_step_narrow(B, A, last, m, n - m), peri_constant(0));
  }
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_call cat;
  peri_step_open(B, &cat, &peri_op_cat, 0, NULL);
  cat.args[0] = (peri_arg){.given = true, .tensors = (peri_tensor *[]){gX.tensor, gY.tensor}, .count = 2};
  cat.args[1].integer = last;
  peri_answer(B, 0, peri_step_run(B, &cat));
  return PERI_OK;
}

const peri_op peri_op_qr = {
    .name = "linalg.qr",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0) | PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {{"A", PERI_KIND_TENSOR}, {"mode", PERI_KIND_CHOICE, .optional = true, .choices = "reduced complete r"}},
    .infer = infer_qr,
    .run = run_qr,
    .grad = grad_qr,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3)}, {T(3, 3) + peri.eye(3) * 2}, {T(2, 4)}, {T(2, 3, 2)}, {T(2, 3), 'complete'}",
    .doc =
        "linalg.qr(A, mode = 'reduced') -> Q, R\n"
        "Q R = A, where Q has orthonormal columns and R is upper triangular with a diagonal that is not negative, which "
        "makes them unique where the columns of A are independent (" PROCESSORS "). A is ... x m x n; with k the "
        "smaller of m and n, Q is m x k and R k x n, in the mode 'complete' m x m and m x n; 'r' computes R alone and "
        "Q is empty. Gradients but of 'r', and of 'complete' with m > n; the first k columns must be independent. "
        "Floats only.",
};

/* ---- svd: A' = U S V' is A = V S U' ---- */

typedef struct svd_job {
  char job;
  int64_t u_columns, v_rows; /* of A: U is m x u_columns, Vh v_rows x n */
} svd_job;

static svd_job svd_of(const peri_call *call, bool vectors, bool full) {
  int64_t m = call->note[M], n = call->note[N], k = peri_min(m, n);
  return (svd_job){.job = !vectors ? 'N' : full ? 'A' : 'S', .u_columns = full ? m : k, .v_rows = full ? n : k};
}

static lapack_int call_gesdd(const peri_call *call, const svd_job *job, void *a, void *s, void *u, void *vh, void *work,
                             lapack_int lwork, lapack_int *iwork) {
  lapack_int m = (lapack_int)call->note[M], n = (lapack_int)call->note[N];
  return peri_lapack_of[call->dtype].gesdd(call->context, job->job, n, m, a, s, vh, u,
                                           (lapack_int)peri_max(1, job->u_columns), work, lwork, iwork);
}

/* One decomposition after the other; u and vh may be NULL where the job has no vectors. */
static peri_status decompose(peri_call *call, const svd_job *job, char *s, char *u, char *vh) {
  peri_context *context = call->context;
  int64_t m = call->note[M], n = call->note[N], k = peri_min(m, n), i = 0;
  size_t size = size_of(call), matrix = peri_room((size_t)(m * n) * size),
         iwork_bytes = (size_t)(8 * k) * sizeof(lapack_int);
  double best[1] = {0};
  lapack_int info = 0;
  peri_tensor *own;
  void *block;
  if (call->note[COUNT] == 0) return PERI_OK;
  PERI_TRY(peri_blas_begin(context));
  call_gesdd(call, job, NULL, NULL, NULL, NULL, best, -1, NULL);
  peri_blas_end(context);
  lapack_int lwork = peri_lapack_size(call->dtype, best);
  if (lwork == INT_MAX) return too_large(call);
  size_t bytes = matrix + peri_room((size_t)lwork * size) + iwork_bytes;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &own));
  peri_status status = peri_alloc(context, bytes, &block);
  if (status == PERI_OK) status = peri_blas_begin(context);
  for (; status == PERI_OK && i < call->note[COUNT]; i++) {
    char *a = block, *work = a + matrix;
    char *of_u = u == NULL ? NULL : u + (size_t)(i * m * job->u_columns) * size;
    char *of_vh = vh == NULL ? NULL : vh + (size_t)(i * job->v_rows * n) * size;
    memcpy(a, matrix_of(call, own, i, m * n), (size_t)(m * n) * size);
    info = call_gesdd(call, job, a, s + (size_t)(i * k) * size, of_u, of_vh, work, lwork,
                      (lapack_int *)(void *)(work + peri_room((size_t)lwork * size)));
    if (info != 0 || peri_cancelled(context)) break;
    if (u == NULL) continue;
    peri_vectors columns = {of_u, m, job->u_columns, 1}, rows = {of_vh, n, 1, n};
    peri_fix_signs(call->dtype, k, columns, &rows);
    columns.data = of_u + (size_t)k * size;
    rows.data = of_vh + (size_t)(k * n) * size;
    peri_fix_signs(call->dtype, job->u_columns - k, columns, NULL);
    peri_fix_signs(call->dtype, job->v_rows - k, rows, NULL);
  }
  peri_blas_end(context);
  peri_tensor_release(&own);
  if (block != NULL && bytes > 0) peri_free(context, block, bytes);
  PERI_TRY(status);
  PERI_TRY(peri_check_cancel(context));
  return info == 0 ? PERI_OK : not_converged(call, i, "gesdd", info);
}

static peri_status infer_svd(peri_call *call) {
  PERI_TRY(infer_matrices(call, false));
  svd_job job = svd_of(call, true, call->args[1].integer);
  PERI_TRY(infer_last(call, 0, call->note[M], job.u_columns));
  PERI_TRY(infer_last(call, 1, peri_min(call->note[M], call->note[N]), -1));
  return infer_last(call, 2, job.v_rows, call->note[N]);
}

static peri_status run_svd(peri_call *call) {
  svd_job job = svd_of(call, true, call->args[1].integer);
  peri_tensor *U = call->outputs[0].tensor, *Vh = call->outputs[2].tensor;
  if (peri_min(call->note[M], call->note[N]) == 0) {
    if (U->layout.numel > 0) identities(call, U, call->note[M]);
    if (Vh->layout.numel > 0) identities(call, Vh, call->note[N]);
    return PERI_OK;
  }
  return decompose(call, &job, call->outputs[1].tensor->data, U->data, Vh->data);
}

/* A = U S V': gA = U (skew(U' gU) / E S + S skew(V' gV) / E + diag(gS)) V' and what lies outside U or V, where E_ij =
 * s_j^2 - s_i^2 and skew(X) = X - X' (Townsend 2016, "Differentiating the singular value decomposition"). */
static peri_value divided_skew(peri_backward *B, peri_value X, peri_value E) {
  return peri_step_div(B, peri_step_sub(B, X, peri_step_transpose(B, X)), E);
}

static peri_value times(peri_backward *B, peri_value a, peri_value b) {
  return peri_step_matmul(B, a, b, false, false);
}

static peri_value plus(peri_backward *B, peri_value sum, peri_value more) {
  return sum.tensor == NULL ? more : peri_step_add(B, sum, more);
}

static peri_status svd_gradient(peri_backward *B, peri_value U, peri_value S, peri_value Vh, peri_value gU,
                                peri_value gS, peri_value gVh) {
  peri_dtype dtype = B->layouts[0]->dtype;
  int64_t m = B->note[M], n = B->note[N], k = peri_min(m, n);
  peri_value inner = {NULL, 0}, gA = {NULL, 0}, eye = peri_step_triangles(B, dtype, k, k, 0, 1, 0);
  peri_value row = peri_step_as_matrix(B, S, false), column = peri_step_as_matrix(B, S, true);
  if (gS.tensor != NULL) inner = peri_step_mul(B, eye, peri_step_as_matrix(B, gS, false));
  if (gU.tensor != NULL || gVh.tensor != NULL) {
    peri_value E = peri_step_mul(B, peri_step_sub(B, row, column), peri_step_add(B, row, column));
    E = peri_step_add(B, E, eye);
    if (gU.tensor != NULL) {
      peri_value turned = divided_skew(B, peri_step_matmul(B, U, gU, true, false), E);
      inner = plus(B, inner, peri_step_mul(B, turned, row));
    }
    if (gVh.tensor != NULL) {
      peri_value turned = divided_skew(B, peri_step_matmul(B, Vh, gVh, false, true), E);
      inner = plus(B, inner, peri_step_mul(B, column, turned));
    }
  }
  gA = times(B, times(B, U, inner), Vh);
  if (gU.tensor != NULL && m > k) {
    peri_value outside = peri_step_div(B, gU, row);
    outside = peri_step_sub(B, outside, times(B, U, peri_step_matmul(B, U, outside, true, false)));
    gA = peri_step_add(B, gA, times(B, outside, Vh));
  }
  if (gVh.tensor != NULL && n > k) {
    peri_value outside = peri_step_div(B, gVh, column);
    outside = peri_step_sub(B, outside, times(B, peri_step_matmul(B, outside, Vh, false, true), Vh));
    gA = peri_step_add(B, gA, times(B, U, outside));
  }
  peri_answer(B, 0, gA);
  return PERI_OK;
}

static peri_status grad_svd(peri_backward *B) {
  if (B->args[1].integer && B->note[M] != B->note[N])
    return peri_fail(B->context, PERI_ERR_STATE,
                     "%s: full_matrices is true and A is not square, which has no gradient (use full_matrices = false)",
                     B->op->name);
  return svd_gradient(B, peri_of(B->outputs[0]), peri_of(B->outputs[1]), peri_of(B->outputs[2]),
                      peri_of(B->grad_outputs[0]), peri_of(B->grad_outputs[1]), peri_of(B->grad_outputs[2]));
}

const peri_op peri_op_svd = {
    .name = "linalg.svd",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_OUTPUT(0) | PERI_SAVE_OUTPUT(1) | PERI_SAVE_OUTPUT(2),
    .outputs = 3,
    .params = {{"A", PERI_KIND_TENSOR},
               {"full_matrices", PERI_KIND_BOOL, .optional = true, .named = true, .otherwise = 1}},
    .infer = infer_svd,
    .run = run_svd,
    .grad = grad_svd,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), {full_matrices = false}}, {T(3, 3)}, {T(2, 4), {full_matrices = false}}, {T(2, 2, 2)}",
    .doc =
        "linalg.svd(A, {full_matrices = true}) -> U, S, Vh\n"
        "U diag(S) Vh = A: the singular values S descend and are not negative, the columns of U and the rows of Vh are "
        "orthonormal (" PROCESSORS "). A is ... x m x n; with k the smaller of m and n, U is m x m and Vh n x n, or "
        "with full_matrices = false m x k and k x n. The largest element of each column of U is positive, the first "
        "where several are as large but for rounding. The gradient is that of the reduced form; it assumes distinct "
        "singular values, and where A is not square none that is 0. Floats only.",
};

/* The vectors are computed for the gradient alone. */
static peri_status infer_svdvals(peri_call *call) {
  PERI_TRY(infer_matrices(call, false));
  int64_t k = peri_min(call->note[M], call->note[N]);
  PERI_TRY(infer_last(call, 0, k, -1));
  PERI_TRY(infer_last(call, 1, call->note[M], k));
  return infer_last(call, 2, k, call->note[N]);
}

static peri_status run_svdvals(peri_call *call) {
  peri_tensor *U = call->outputs[1].tensor, *Vh = call->outputs[2].tensor;
  svd_job job = svd_of(call, U != NULL, false);
  if (peri_min(call->note[M], call->note[N]) == 0) return PERI_OK;
  return decompose(call, &job, call->outputs[0].tensor->data, U == NULL ? NULL : U->data, Vh == NULL ? NULL : Vh->data);
}

/* Gradients arrive at the vectors where this gradient is differentiated again. */
static peri_status grad_svdvals(peri_backward *B) {
  return svd_gradient(B, peri_of(B->outputs[1]), peri_of(B->outputs[0]), peri_of(B->outputs[2]),
                      peri_of(B->grad_outputs[1]), peri_of(B->grad_outputs[0]), peri_of(B->grad_outputs[2]));
}

const peri_op peri_op_svdvals = {
    .name = "linalg.svdvals",
    .flags = PERI_OP_NO_METHOD,
    .saves =
        PERI_SAVE_OUTPUT(0) | PERI_SAVE_OUTPUT(1) | PERI_SAVE_OUTPUT(2) | PERI_HIDDEN_OUTPUT(1) | PERI_HIDDEN_OUTPUT(2),
    .outputs = 3,
    .params = {{"A", PERI_KIND_TENSOR}},
    .infer = infer_svdvals,
    .run = run_svdvals,
    .grad = grad_svdvals,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3)}, {T(2, 2, 3)}",
    .doc = "linalg.svdvals(A) -> tensor\n"
           "The singular values of matrices (... x m x n), descending (" PROCESSORS "). Floats only.",
};

/* ---- eigh ---- */

/* What syevd asks for, with vectors or without. */
static peri_status infer_eigh_sizes(peri_call *call, bool vectors) {
  PERI_TRY(infer_matrices(call, true));
  double n = (double)call->note[N], work = vectors ? 1 + 6 * n + 2 * n * n : 2 * n + 1;
  if (work > INT_MAX) return too_large(call);
  call->note[LWORK] = (int64_t)work + 32 * call->note[N]; /* and blocks of the reduction */
  call->note[LIWORK] = vectors ? 3 + 5 * call->note[N] : 1;
  call->workspace_bytes = peri_room((size_t)(call->note[N] * call->note[N]) * size_of(call)) +
                          peri_room((size_t)call->note[LWORK] * size_of(call)) +
                          (size_t)call->note[LIWORK] * sizeof(lapack_int);
  PERI_TRY(infer_last(call, 0, call->note[N], -1));
  return infer_last(call, 1, call->note[N], call->note[N]);
}

/* The lower triangle in rows is the upper one in columns. */
static peri_status run_eigh(peri_call *call) {
  peri_tensor *values = call->outputs[0].tensor, *vectors = call->outputs[1].tensor, *own;
  int64_t n = call->note[N], i = 0;
  size_t size = size_of(call);
  char *a = call->workspace, *work = a + peri_room((size_t)(n * n) * size),
       triangle = call->args[1].integer ? 'L' : 'U';
  lapack_int *iwork = (lapack_int *)(void *)(work + peri_room((size_t)call->note[LWORK] * size)), info = 0;
  if (n == 0 || call->note[COUNT] == 0) return PERI_OK;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &own));
  peri_status status = peri_blas_begin(call->context);
  for (; status == PERI_OK && i < call->note[COUNT]; i++) {
    memcpy(a, matrix_of(call, own, i, n * n), (size_t)(n * n) * size);
    info = peri_lapack_of[call->dtype].syevd(call->context, vectors != NULL ? 'V' : 'N', triangle, (lapack_int)n, a,
                                             matrix_of(call, values, i, n), work, (lapack_int)call->note[LWORK], iwork,
                                             (lapack_int)call->note[LIWORK]);
    if (info != 0 || peri_cancelled(call->context)) break;
    if (vectors == NULL) continue;
    peri_fix_signs(call->dtype, n, (peri_vectors){a, n, 1, n}, NULL);
    turn(call->dtype, a, n, n, matrix_of(call, vectors, i, n * n));
  }
  peri_blas_end(call->context);
  peri_tensor_release(&own);
  PERI_TRY(status);
  PERI_TRY(peri_check_cancel(call->context));
  return info == 0 ? PERI_OK : not_converged(call, i, "syevd", info);
}

/* A = V diag(w) V': gA = V (diag(gw) + F o (V' gV)) V' with F_ij = 1 / (w_j - w_i), 0 on the diagonal (Giles 2008,
 * 3.1); made symmetric, because A is. A vector as a row is repeated downwards, as a column across. */
static peri_status grad_eigh(peri_backward *B) {
  peri_value w = peri_of(B->outputs[0]), V = peri_of(B->outputs[1]);
  peri_value gw = peri_of(B->grad_outputs[0]), gV = peri_of(B->grad_outputs[1]), inner = {NULL, 0};
  int64_t n = B->note[N];
  peri_value eye = peri_step_triangles(B, B->layouts[0]->dtype, n, n, 0, 1, 0);
  if (gw.tensor != NULL) inner = peri_step_mul(B, eye, peri_step_as_matrix(B, gw, false)); /* diag(gw) */
  if (gV.tensor != NULL) {
    peri_value E = peri_step_sub(B, peri_step_as_matrix(B, w, false), peri_step_as_matrix(B, w, true));
    peri_value F = peri_step_sub(B, peri_step_reciprocal(B, peri_step_add(B, E, eye)), eye);
    inner = plus(B, inner, peri_step_mul(B, F, peri_step_matmul(B, V, gV, true, false)));
  }
  peri_value gA = peri_step_matmul(B, times(B, V, inner), V, false, true);
  peri_answer(B, 0, peri_step_mul(B, peri_step_add(B, gA, peri_step_transpose(B, gA)), peri_constant(0.5)));
  return PERI_OK;
}

static peri_status infer_eigh(peri_call *call) { return infer_eigh_sizes(call, true); }
static peri_status infer_eigvalsh(peri_call *call) { return infer_eigh_sizes(call, call->recording); }

#define EIGH_PARAMS                                                                                                    \
  {"A", PERI_KIND_TENSOR}, { "UPLO", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = "L U" }

const peri_op peri_op_eigh = {
    .name = "linalg.eigh",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_OUTPUT(0) | PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {EIGH_PARAMS},
    .infer = infer_eigh,
    .run = run_eigh,
    .grad = grad_eigh,
    .low = -1,
    .high = 1,
    .sample = "{symmetric(4)}, {symmetric(1)}, {symmetric(3):unsqueeze(1), {UPLO = 'U'}}",
    .doc =
        "linalg.eigh(A, {UPLO = 'L'}) -> values, vectors\n"
        "The eigenvalues of symmetric matrices (... x n x n) in ascending order and their eigenvectors as columns; only "
        "the lower triangle is read, or with 'U' the upper one (" PROCESSORS "). The largest element of each vector is "
        "positive, the first where several are as large but for rounding. The gradient assumes distinct eigenvalues. "
        "Floats only.",
};

const peri_op peri_op_eigvalsh = {
    .name = "linalg.eigvalsh",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_OUTPUT(0) | PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {EIGH_PARAMS},
    .infer = infer_eigvalsh,
    .run = run_eigh,
    .grad = grad_eigh,
    .low = -1,
    .high = 1,
    .sample = "{symmetric(4)}, {symmetric(2):unsqueeze(1), {UPLO = 'U'}}",
    .doc = "linalg.eigvalsh(A, {UPLO = 'L'}) -> tensor\n"
           "The eigenvalues of symmetric matrices as linalg.eigh has them (" PROCESSORS "). Floats only.",
};

/* ---- eig ---- */

static peri_status infer_eig(peri_call *call) {
  PERI_TRY(infer_matrices(call, true));
  int64_t n = call->note[N];
  if (n > INT_MAX / 64) return too_large(call);
  call->note[LWORK] = peri_max(1, 64 * n);
  size_t square = peri_room((size_t)(n * n) * size_of(call));
  call->workspace_bytes = 2 * square + (size_t)call->note[LWORK] * size_of(call);
  for (int i = 0; i < call->op->outputs; i++) PERI_TRY(infer_last(call, i, n, i < 2 ? -1 : n));
  return PERI_OK;
}

/* LAPACK's vectors v: of a real eigenvalue one, of a pair of conjugates two, the real parts and the imaginary ones. */
#define UNPACK(T)                                                                                                      \
  static void unpack_##T(int64_t n, const T *imaginary, T *v, T *re, T *im) {                                          \
    for (int64_t j = 0; j < n; j++) {                                                                                  \
      bool pair = imaginary[j] != 0 && j + 1 < n;                                                                      \
      if (!pair)                                                                                                       \
        peri_fix_signs(sizeof(T) == 4 ? PERI_FLOAT32 : PERI_FLOAT64, 1, (peri_vectors){v + j * n, n, 1, n}, NULL);     \
      for (int64_t i = 0; i < n; i++) {                                                                                \
        T real = v[j * n + i], other = pair ? v[(j + 1) * n + i] : 0;                                                  \
        re[i * n + j] = real;                                                                                          \
        im[i * n + j] = other;                                                                                         \
        if (pair) re[i * n + j + 1] = real;                                                                            \
        if (pair) im[i * n + j + 1] = -other;                                                                          \
      }                                                                                                                \
      j += pair;                                                                                                       \
    }                                                                                                                  \
  }
UNPACK(float)
UNPACK(double)

static peri_status run_eig(peri_call *call) {
  bool vectors = call->op->outputs == 4;
  peri_tensor **out =
      (peri_tensor *[]){call->outputs[0].tensor, call->outputs[1].tensor, vectors ? call->outputs[2].tensor : NULL,
                        vectors ? call->outputs[3].tensor : NULL};
  int64_t n = call->note[N], i = 0;
  size_t square = peri_room((size_t)(n * n) * size_of(call));
  char *a = call->workspace, *v = a + square, *work = v + square;
  lapack_int info = 0;
  peri_tensor *own;
  if (n == 0 || call->note[COUNT] == 0) return PERI_OK;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &own));
  peri_status status = peri_blas_begin(call->context);
  for (; status == PERI_OK && i < call->note[COUNT]; i++) {
    char *re = matrix_of(call, out[0], i, n), *im = matrix_of(call, out[1], i, n);
    turn(call->dtype, matrix_of(call, own, i, n * n), n, n, a);
    info = peri_lapack_of[call->dtype].geev(call->context, vectors ? 'V' : 'N', (lapack_int)n, a, re, im, v, work,
                                            (lapack_int)call->note[LWORK]);
    if (info != 0 || peri_cancelled(call->context)) break;
    char *of_re = matrix_of(call, out[2], i, n * n), *of_im = matrix_of(call, out[3], i, n * n);
    if (vectors && call->dtype == PERI_FLOAT32)
      unpack_float(n, (float *)(void *)im, (float *)(void *)v, (float *)(void *)of_re, (float *)(void *)of_im);
    if (vectors && call->dtype == PERI_FLOAT64)
      unpack_double(n, (double *)(void *)im, (double *)(void *)v, (double *)(void *)of_re, (double *)(void *)of_im);
  }
  peri_blas_end(call->context);
  peri_tensor_release(&own);
  PERI_TRY(status);
  PERI_TRY(peri_check_cancel(call->context));
  return info == 0 ? PERI_OK : not_converged(call, i, "geev", info);
}

static const peri_op row_eig = {
    .name = "linalg.eig",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 4,
    .params = {{"A", PERI_KIND_TENSOR}},
    .infer = infer_eig,
    .run = run_eig,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 4)}, {T(2, 3, 3)}, {symmetric(3)}",
    .doc =
        "linalg.eig(A) -> values_real, values_imag, vectors_real, vectors_imag\n"
        "The eigenvalues of real square matrices (... x n x n) and their eigenvectors as columns, of length 1. There "
        "are no complex dtypes: real and imaginary parts are separate tensors. Conjugate pairs stand side by side, "
        "the positive imaginary part first; the order is LAPACK's (geev, whose bits are the processor's). Of a vector "
        "without imaginary part the largest element is positive. No gradient; linalg.eigh has one. Floats only.",
};

static const peri_op row_eigvals = {
    .name = "linalg.eigvals",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 2,
    .params = {{"A", PERI_KIND_TENSOR}},
    .infer = infer_eig,
    .run = run_eig,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 4)}, {T(2, 3, 3)}",
    .doc = "linalg.eigvals(A) -> values_real, values_imag\n"
           "The eigenvalues of real square matrices as linalg.eig has them (" PROCESSORS "). No gradient. Floats only.",
};

const peri_op *const peri_ops_spectral[] = {&peri_op_qr,       &peri_op_svd, &peri_op_svdvals, &peri_op_eigh,
                                            &peri_op_eigvalsh, &row_eig,     &row_eigvals,     NULL};
