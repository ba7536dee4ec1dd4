/* Systems of equations and factorisations by elimination, over LAPACK: solve, solve_triangular, inv, lu_factor, det,
 * slogdet, cholesky. */
#include "ops/lapack.h"
#include "ops/rows.h"
#include "kernels/scalar.h"

#include <limits.h>
#include <math.h>

#define PROCESSORS "LAPACK, whose bits are the processor's"

/* ---- steps of the formulas ---- */

static peri_value of_two(peri_backward *B, const peri_op *op, peri_value a, peri_value b) {
  return peri_apply(B, op, 2, (peri_value[]){a, b});
}

peri_value peri_step_solve_triangular(peri_backward *B, peri_value A, peri_value b, bool upper, bool left,
                                      bool unitriangular) {
  peri_call call;
  if (B->formula->status != PERI_OK) return b;
  peri_step_open(B, &call, &peri_op_solve_triangular, 2, (peri_value[]){A, b});
  call.args[2].integer = upper;
  call.args[3].integer = left;
  call.args[4].integer = unitriangular;
  return peri_step_run(B, &call);
}

/* Vectors as matrices of one column. */
static peri_value as_columns(peri_backward *B, peri_value x, bool vector) {
  if (B->formula->status != PERI_OK || !vector) return x;
  const peri_layout *layout = &x.tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, layout->shape, sizeof shape);
  shape[layout->ndim] = 1;
  return peri_step_reshape(B, x, layout->ndim + 1, shape);
}

static peri_value from_columns(peri_backward *B, peri_value x, bool vector) {
  if (B->formula->status != PERI_OK || !vector) return x;
  const peri_layout *layout = &x.tensor->layout;
  return peri_step_reshape(B, x, layout->ndim - 1, layout->shape);
}

/* ---- solve ---- */

enum { COUNT, SIZE, COLUMNS, VECTOR }; /* notes */

static peri_status infer_solve(peri_call *call) {
  peri_right_side b;
  PERI_TRY(peri_need_square(call, 0));
  PERI_TRY(peri_infer_right_side(call, 0, 1, &b));
  PERI_TRY(peri_need_finite(call, 0));
  call->dtype = b.view.layout.dtype;
  PERI_TRY(peri_infer_output(call, 0, call->dtype, b.ndim - b.vector, b.shape));
  int64_t n = b.shape[b.ndim - 2], columns = b.shape[b.ndim - 1], count = 1;
  for (int d = 0; d < b.ndim - 2; d++) count *= b.shape[d];
  memcpy(call->note, (int64_t[]){count, n, columns, b.vector}, 4 * sizeof(int64_t));
  size_t matrices = (size_t)call->outputs[0].layout.numel, bytes;
  if (columns == 0) return PERI_OK;
  if (__builtin_mul_overflow(matrices / (size_t)columns * (size_t)n, peri_dtype_size(call->dtype), &bytes))
    return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: the matrices are too large");
  call->workspace_bytes = peri_room(bytes) + (size_t)n * sizeof(lapack_int);
  return PERI_OK;
}

/* The shape of matrices of n x n in the result's batch. */
static int square_shape(const peri_right_side *b, int64_t n, int64_t *shape) {
  memcpy(shape, b->shape, sizeof b->shape);
  shape[b->ndim - 1] = shape[b->ndim - 2] = n;
  return b->ndim;
}

static void swap_rows(char *x, char *y, size_t bytes) {
  char held[256];
  for (size_t at = 0; at < bytes; at += sizeof held) {
    size_t part = bytes - at < sizeof held ? bytes - at : sizeof held;
    memcpy(held, x + at, part);
    memcpy(x + at, y + at, part);
    memcpy(y + at, held, part);
  }
}

/* LAPACK sees A', which is P L U, so that A is U' L' P'; the columns of b lie in rows. */
static lapack_int solve_one(const peri_blas *blas, peri_dtype dtype, int64_t n, int64_t columns, char *a, char *b,
                            lapack_int *pivots) {
  const peri_lapack *lapack = &peri_lapack_of[dtype];
  lapack_int size = (lapack_int)n, info = lapack->getrf(blas, size, size, a, pivots);
  if (info != 0) return info;
  if (columns == 1) return lapack->getrs(blas, 'T', size, 1, a, pivots, b);
  size_t row = (size_t)columns * peri_dtype_size(dtype);
  lapack->trsm(blas, true, false, false, n, columns, a, b);
  lapack->trsm(blas, true, true, true, n, columns, a, b);
  for (int64_t i = n - 1; i >= 0; i--) {
    int64_t other = pivots[i] - 1;
    if (other != i) swap_rows(b + (size_t)i * row, b + (size_t)other * row, row);
  }
  return 0;
}

static peri_status singular(peri_call *call, int64_t i, int64_t count, lapack_int pivot) {
  char which[64];
  return peri_call_fail(call, PERI_ERR_NUMERIC, "%sA is singular (pivot %d is zero)",
                        peri_which(which, sizeof which, i, count), (int)pivot);
}

static peri_status run_solve(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_right_side b;
  int64_t count = call->note[COUNT], n = call->note[SIZE], columns = call->note[COLUMNS], shape[PERI_MAX_DIMS];
  size_t size = peri_dtype_size(call->dtype), square = (size_t)(n * n) * size, side = (size_t)(n * columns) * size;
  if (y->layout.numel == 0) return PERI_OK;
  PERI_TRY(peri_infer_right_side(call, 0, 1, &b));
  char *a = call->workspace;
  lapack_int *pivots = (lapack_int *)(void *)(a + peri_room((size_t)count * square)), info = 0;
  int ndim = square_shape(&b, n, shape);
  PERI_TRY(peri_matrices_copy(call->context, &call->args[0].tensor->view, ndim, shape, false, 0, a));
  PERI_TRY(peri_matrices_copy(call->context, &b.view, b.ndim, b.shape, false, 0, y->data));
  PERI_TRY(peri_blas_begin(call->context));
  int64_t i = 0;
  for (; i < count && !peri_cancelled(call->context); i++) {
    info = solve_one(call->context->blas, call->dtype, n, columns, a + (size_t)i * square, y->data + (size_t)i * side,
                     pivots);
    if (info != 0) break;
  }
  peri_blas_end(call->context);
  PERI_TRY(peri_check_cancel(call->context));
  return info > 0 ? singular(call, i, count, info) : PERI_OK;
}

/* x = A^-1 b: gb = A'^-1 gx, gA = -gb x' (Giles 2008, 2.3.1) */
static peri_status grad_solve(peri_backward *B) {
  bool vector = B->note[VECTOR];
  peri_value A = peri_of(B->args[0].tensor), x = as_columns(B, peri_of(B->outputs[0]), vector);
  peri_value gx = as_columns(B, peri_of(B->grad_outputs[0]), vector);
  peri_value gb = of_two(B, &peri_op_solve, peri_step_transpose(B, A), gx);
  if (B->needs[1]) peri_answer(B, 1, from_columns(B, gb, vector));
  if (B->needs[0]) peri_answer(B, 0, peri_step_neg(B, peri_step_matmul(B, gb, x, false, true)));
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
    .sample = "{T(4, 4) + peri.eye(4) * 3, T(4)}, {T(3, 3) + peri.eye(3) * 3, T(3, 2)}, {T(2, 3, 3) + peri.eye(3) * 3, "
              "T(3)}, {T(2, 1, 2, 2) + peri.eye(2) * 3, T(3, 2, 2)}, {T(2, 3, 3) + peri.eye(3) * 3, T(2, 3)}",
    .doc =
        "linalg.solve(A, b) -> tensor\n"
        "The solutions x of A x = b for square matrices A (... x n x n) and vectors or matrices b, by LU with partial "
        "pivoting (" PROCESSORS "). b is a matrix (... x n x c), a vector (n), or vectors for each matrix, of A's "
        "shape without its last dimension; batches broadcast. A singular A is an error. Floats of one dtype.",
};

/* ---- solve_triangular ---- */

enum { UPPER = 2, LEFT, UNIT };

static peri_status infer_triangular(peri_call *call) {
  const peri_layout *A = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  bool left = call->args[LEFT].integer;
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  PERI_TRY(peri_need_square(call, 0));
  PERI_TRY(peri_need_matrices(call, 1));
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  int64_t n = A->shape[A->ndim - 1], shape[PERI_MAX_DIMS];
  int ndim = A->ndim > b->ndim ? A->ndim : b->ndim;
  bool fits = b->shape[b->ndim - (left ? 2 : 1)] == n;
  for (int d = 0; fits && d < ndim - 2; d++) {
    int in_A = d - (ndim - A->ndim), in_b = d - (ndim - b->ndim);
    int64_t p = in_A < 0 ? 1 : A->shape[in_A], q = in_b < 0 ? 1 : b->shape[in_b];
    fits = p == q || p == 1 || q == 1;
    shape[d] = p == 1 ? q : p;
  }
  if (!fits)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "A is %s but b is %s (expected b with %lld %s, and batches that broadcast)",
                          peri_shape_text(A->ndim, A->shape, s), peri_shape_text(b->ndim, b->shape, t), (long long)n,
                          left ? "rows" : "columns");
  call->dtype = b->dtype;
  peri_layout matrices = {.dtype = call->dtype, .ndim = ndim};
  memcpy(matrices.shape, shape, sizeof shape);
  matrices.shape[ndim - 2] = matrices.shape[ndim - 1] = n;
  PERI_TRY(peri_layout_contiguous(call->context, peri_call_name(call), &matrices));
  call->workspace_bytes = (size_t)matrices.numel * peri_dtype_size(call->dtype);
  shape[ndim - 2] = b->shape[b->ndim - 2];
  shape[ndim - 1] = b->shape[b->ndim - 1];
  return peri_infer_output(call, 0, call->dtype, ndim, shape);
}

/* The first matrix with a zero on its diagonal, and where; -1 when there is none. */
static int64_t find_zero(peri_dtype dtype, const char *a, int64_t count, int64_t n, int64_t *place) {
  size_t size = peri_dtype_size(dtype);
  for (int64_t i = 0; i < count; i++) {
    for (*place = 0; *place < n; ++*place) {
      if (peri_load_number(dtype, a + (size_t)(i * n * n + *place * (n + 1)) * size) == 0) return i;
    }
  }
  return -1;
}

static peri_status run_triangular(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  char *a = call->workspace;
  if (y->layout.numel == 0) return PERI_OK;
  peri_matrices of = peri_matrices_of(&y->layout);
  int64_t shape[PERI_MAX_DIMS], n = call->args[LEFT].integer ? of.m : of.n, place;
  memcpy(shape, y->layout.shape, sizeof shape);
  shape[y->layout.ndim - 2] = shape[y->layout.ndim - 1] = n;
  size_t size = peri_dtype_size(call->dtype);
  PERI_TRY(peri_matrices_copy(call->context, &call->args[0].tensor->view, y->layout.ndim, shape, false, 0, a));
  int64_t zero = call->args[UNIT].integer ? -1 : find_zero(call->dtype, a, of.count, n, &place);
  if (zero >= 0) return singular(call, zero, of.count, (lapack_int)place + 1);
  PERI_TRY(peri_matrices_copy(call->context, &call->args[1].tensor->view, y->layout.ndim, y->layout.shape, false, 0,
                              y->data));
  PERI_TRY(peri_blas_begin(call->context));
  for (int64_t i = 0; i < of.count && !peri_cancelled(call->context); i++) {
    peri_lapack_of[call->dtype].trsm(call->context->blas, call->args[LEFT].integer, call->args[UPPER].integer,
                                     call->args[UNIT].integer, of.m, of.n, a + (size_t)(i * n * n) * size,
                                     y->data + (size_t)(i * of.m * of.n) * size);
  }
  peri_blas_end(call->context);
  return peri_check_cancel(call->context);
}

/* gb = A'^-1 gx and gA = -gb x', from the right gb = gx A'^-1 and gA = -x' gb, of the triangle that was read */
static peri_status grad_triangular(peri_backward *B) {
  peri_value A = peri_of(B->args[0].tensor), x = peri_of(B->outputs[0]), gx = peri_of(B->grad_outputs[0]);
  bool upper = B->args[UPPER].integer, left = B->args[LEFT].integer, unit = B->args[UNIT].integer;
  int64_t n = B->layouts[0]->shape[B->layouts[0]->ndim - 1];
  peri_value gb = peri_step_solve_triangular(B, peri_step_transpose(B, A), gx, !upper, left, unit);
  if (B->needs[1]) peri_answer(B, 1, gb);
  if (!B->needs[0]) return PERI_OK;
  peri_value gA = left ? peri_step_matmul(B, gb, x, false, true) : peri_step_matmul(B, x, gb, true, false);
  peri_value mask = peri_step_triangles(B, B->layouts[0]->dtype, n, n, upper ? 0 : -1, unit ? 0 : -1, upper ? -1 : 0);
  peri_answer(B, 0, peri_step_mul(B, gA, mask));
  return PERI_OK;
}

const peri_op peri_op_solve_triangular = {
    .name = "linalg.solve_triangular",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"A", PERI_KIND_TENSOR},
               {"b", PERI_KIND_TENSOR},
               {"upper", PERI_KIND_BOOL, .named = true},
               {"left", PERI_KIND_BOOL, .optional = true, .named = true, .otherwise = 1},
               {"unitriangular", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_triangular,
    .run = run_triangular,
    .grad = grad_triangular,
    .low = -1,
    .high = 1,
    .sample =
        "{T(3, 3) + peri.eye(3) * 3, T(3, 2), {upper = true}}, {T(2, 3, 3) + peri.eye(3) * 3, T(3, 2), {upper = "
        "false}}, {T(2, 2) + peri.eye(2) * 3, T(3, 2), {upper = false, left = false}}, {T(3, 3), T(3, 1), {upper = "
        "true, unitriangular = true}}",
    .doc =
        "linalg.solve_triangular(A, b, {upper =, left = true, unitriangular = false}) -> tensor\n"
        "The solutions X of A X = b for triangular matrices A (... x n x n), or with left = false of X A = b; of A "
        "only the upper (or lower) triangle is read, and with unitriangular its diagonal counts as 1. b is ... x n x "
        "c (or ... x c x n); batches broadcast (BLAS trsm, whose bits are the processor's). A zero on the diagonal is "
        "an error. Floats of one dtype.",
};

/* ---- one matrix in, one out ---- */

/* notes: count, n. The result has A's shape; workspace holds pivots and what else is asked for. */
static peri_status infer_same(peri_call *call, size_t more) {
  const peri_layout *A = &call->args[0].tensor->layout;
  PERI_TRY(peri_need_square(call, 0));
  PERI_TRY(peri_need_finite(call, 0));
  peri_matrices of = peri_matrices_of(A);
  call->dtype = A->dtype;
  call->note[COUNT] = of.count;
  call->note[SIZE] = of.n;
  call->workspace_bytes = peri_room((size_t)of.n * sizeof(lapack_int)) + more;
  return peri_infer_output(call, 0, A->dtype, A->ndim, A->shape);
}

/* ---- inv ---- */

#define INVERSE_BLOCK 64

static peri_status infer_inv(peri_call *call) {
  const peri_layout *A = &call->args[0].tensor->layout;
  size_t n = A->ndim > 0 ? (size_t)A->shape[A->ndim - 1] : 0;
  return infer_same(call, n > INT_MAX ? 0 : n * INVERSE_BLOCK * sizeof(double));
}

/* The inverse of A' is that of A, transposed. */
static peri_status run_inv(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  const peri_lapack *lapack = &peri_lapack_of[call->dtype];
  int64_t count = call->note[COUNT], i = 0;
  lapack_int n = (lapack_int)call->note[SIZE], info = 0, *pivots = call->workspace;
  lapack_int lwork = n > INT_MAX / INVERSE_BLOCK ? n : n * INVERSE_BLOCK;
  void *work = (char *)call->workspace + peri_room((size_t)n * sizeof(lapack_int));
  size_t square = (size_t)n * (size_t)n * peri_dtype_size(call->dtype);
  if (y->layout.numel == 0) return PERI_OK;
  PERI_TRY(peri_tensor_copy_into(y, call->args[0].tensor));
  PERI_TRY(peri_blas_begin(call->context));
  for (; i < count && !peri_cancelled(call->context); i++) {
    char *a = y->data + (size_t)i * square;
    info = lapack->getrf(call->context->blas, n, n, a, pivots);
    if (info == 0) info = lapack->getri(call->context->blas, n, a, pivots, work, lwork);
    if (info != 0) break;
  }
  peri_blas_end(call->context);
  PERI_TRY(peri_check_cancel(call->context));
  return info > 0 ? singular(call, i, count, info) : PERI_OK;
}

/* gA = -X' g X' */
static peri_status grad_inv(peri_backward *B) {
  peri_value X = peri_of(B->outputs[0]), g = peri_of(B->grad_outputs[0]);
  peri_value gA = peri_step_matmul(B, peri_step_matmul(B, X, g, true, false), X, false, true);
  peri_answer(B, 0, peri_step_neg(B, gA));
  return PERI_OK;
}

#define INVERSE(linkage, row, operation, more, text)                                                                   \
  linkage const peri_op row = {                                                                                        \
      .name = operation,                                                                                               \
      .flags = more,                                                                                                   \
      .saves = PERI_SAVE_OUTPUT(0),                                                                                    \
      .outputs = 1,                                                                                                    \
      .params = {{"A", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_inv,                                                                                              \
      .run = run_inv,                                                                                                  \
      .grad = grad_inv,                                                                                                \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3, 3) + peri.eye(3) * 3}, {T(2, 2, 2) + peri.eye(2) * 3}, {T(1, 1) + 2}",                          \
      .doc = text,                                                                                                     \
  };
INVERSE(, peri_op_inv, "linalg.inv", PERI_OP_NO_METHOD,
        "linalg.inv(A) -> tensor\n"
        "The inverses of square matrices (... x n x n), by LU with partial pivoting (" PROCESSORS
        "). A singular A is an "
        "error; linalg.solve is faster and more exact where the inverse only multiplies. Floats only.")
INVERSE(static, row_inverse, "inverse", 0, "inverse(A) -> tensor\nThe same as linalg.inv.")

/* ---- lu_factor ---- */

static peri_status infer_lu(peri_call *call) {
  const peri_layout *A = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(peri_need_matrices(call, 0));
  PERI_TRY(peri_need_finite(call, 0));
  peri_matrices of = peri_matrices_of(A);
  call->dtype = A->dtype;
  call->workspace_bytes =
      peri_room((size_t)A->numel * peri_dtype_size(A->dtype)) + (size_t)peri_min(of.m, of.n) * sizeof(lapack_int);
  memcpy(shape, A->shape, sizeof shape);
  shape[A->ndim - 2] = peri_min(of.m, of.n);
  PERI_TRY(peri_infer_output(call, 0, A->dtype, A->ndim, A->shape));
  return peri_infer_output(call, 1, PERI_INT64, A->ndim - 1, shape);
}

static peri_status run_lu(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  int64_t *pivots = (int64_t *)(void *)call->outputs[1].tensor->data;
  peri_matrices of = peri_matrices_of(&y->layout);
  int64_t k = peri_min(of.m, of.n);
  size_t matrix = (size_t)(of.m * of.n) * peri_dtype_size(call->dtype);
  if (y->layout.numel == 0) return PERI_OK;
  char *a = call->workspace;
  lapack_int *own = (lapack_int *)(void *)(a + peri_room((size_t)of.count * matrix));
  PERI_TRY(peri_matrices_copy(call->context, &call->args[0].tensor->view, y->layout.ndim, y->layout.shape, true, 0, a));
  PERI_TRY(peri_blas_begin(call->context));
  for (int64_t i = 0; i < of.count && !peri_cancelled(call->context); i++) {
    peri_lapack_of[call->dtype].getrf(call->context->blas, (lapack_int)of.m, (lapack_int)of.n, a + (size_t)i * matrix,
                                      own);
    for (int64_t j = 0; j < k; j++) pivots[i * k + j] = own[j];
  }
  peri_blas_end(call->context);
  PERI_TRY(peri_check_cancel(call->context));
  return peri_matrices_turn(call->context, y, 0, a);
}

/* The matrix P of exchanges: A = P L U. */
peri_value peri_step_permutation(peri_backward *B, const peri_tensor *pivots, peri_dtype dtype, int64_t m) {
  peri_layout layout = {.dtype = dtype, .ndim = pivots->layout.ndim + 1};
  peri_tensor *P = NULL, *own = NULL;
  if (B->formula->status != PERI_OK) return peri_constant(0);
  int64_t k = pivots->layout.shape[pivots->layout.ndim - 1];
  memcpy(layout.shape, pivots->layout.shape, sizeof layout.shape);
  layout.shape[layout.ndim - 2] = layout.shape[layout.ndim - 1] = m;
  peri_status status = peri_layout_contiguous(B->context, B->op->name, &layout);
  if (status == PERI_OK) status = peri_tensor_full(B->context, &layout, 0, &P);
  peri_value value = peri_formula_own(B, status, P);
  if (status == PERI_OK) status = peri_tensor_contiguous((peri_tensor *)pivots, &own);
  peri_value held = peri_formula_own(B, status, own);
  if (B->formula->status != PERI_OK || held.tensor == NULL || m == 0) return value;
  size_t size = peri_dtype_size(dtype), row = (size_t)m * size;
  for (int64_t i = 0; i < layout.numel / (m * m); i++) {
    const int64_t *exchange = (const int64_t *)(void *)own->data + i * k;
    char *matrix = P->data + (size_t)i * row * (size_t)m;
    for (int64_t j = 0; j < m; j++) peri_store_number(dtype, matrix + (size_t)j * (row + size), 1);
    for (int64_t j = k - 1; j >= 0; j--) {
      int64_t other = exchange[j] - 1;
      if (other != j) swap_rows(matrix + (size_t)j * row, matrix + (size_t)other * row, row);
    }
  }
  return value;
}

/* A = P L U of square A: gA = P L'^-1 (tril(L' gL, -1) + triu(gU U')) U'^-1, where gL and gU are the triangles of g. */
static peri_status grad_lu(peri_backward *B) {
  const peri_layout *A = B->layouts[0];
  int64_t n = A->shape[A->ndim - 1];
  peri_value LU = peri_of(B->outputs[0]), g = peri_of(B->grad_outputs[0]);
  if (g.tensor == NULL) return PERI_OK;
  if (n != A->shape[A->ndim - 2])
    return peri_fail(B->context, PERI_ERR_STATE, "%s: A must be square for a gradient", B->op->name);
  peri_value lower = peri_step_triangles(B, A->dtype, n, n, 1, 0, 0),
             upper = peri_step_triangles(B, A->dtype, n, n, 0, 1, 1);
  peri_value L = peri_step_add(B, peri_step_mul(B, LU, lower), peri_step_triangles(B, A->dtype, n, n, 0, 1, 0));
  peri_value U = peri_step_mul(B, LU, upper);
  peri_value left = peri_step_matmul(B, L, peri_step_mul(B, g, lower), true, false);
  peri_value right = peri_step_matmul(B, peri_step_mul(B, g, upper), U, false, true);
  peri_value inner = peri_step_add(B, peri_step_mul(B, left, lower), peri_step_mul(B, right, upper));
  inner = peri_step_solve_triangular(B, peri_step_transpose(B, L), inner, true, true, true);
  inner = peri_step_solve_triangular(B, peri_step_transpose(B, U), inner, false, false, false);
  peri_value P = peri_step_permutation(B, B->outputs[1], A->dtype, n);
  peri_answer(B, 0, peri_step_matmul(B, P, inner, false, false));
  return PERI_OK;
}

const peri_op peri_op_lu_factor = {
    .name = "linalg.lu_factor",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_OUTPUT(0) | PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {{"A", PERI_KIND_TENSOR}},
    .infer = infer_lu,
    .run = run_lu,
    .grad = grad_lu,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 3) + peri.eye(3) * 3}, {T(2, 2, 2) + peri.eye(2) * 3}",
    .doc =
        "linalg.lu_factor(A) -> LU, pivots\n"
        "A = P L U by elimination with partial pivoting (" PROCESSORS "), of matrices ... x m x n: in one matrix, L "
        "below the diagonal, whose own are 1, and U. pivots (int64) are the rows that were exchanged: row i with row "
        "pivots[i], in order. A singular A has a zero on U's diagonal. For lu_solve; linalg.lu gives P, L and U. The "
        "gradient is that of square, regular A. Floats only.",
};

/* ---- det, slogdet ---- */

/* note COUNT, SIZE; the workspace holds the matrices and the pivots of one */
static peri_status infer_det(peri_call *call) {
  const peri_layout *A = &call->args[0].tensor->layout;
  PERI_TRY(infer_same(call, peri_room((size_t)A->numel * peri_dtype_size(A->dtype))));
  for (int i = 0; i < call->op->outputs; i++) PERI_TRY(peri_infer_output(call, i, A->dtype, A->ndim - 2, A->shape));
  return PERI_OK;
}

/* Calls found(i, U's diagonal, the sign of the exchanges) for each matrix. */
typedef void (*found_determinant)(peri_call *call, int64_t i, int64_t n, const char *a, bool negative);

static peri_status find_determinants(peri_call *call, found_determinant found) {
  int64_t count = call->note[COUNT], n = call->note[SIZE];
  lapack_int *pivots = call->workspace, size = (lapack_int)n;
  char *a = (char *)call->workspace + peri_room((size_t)n * sizeof(lapack_int));
  const peri_layout *A = &call->args[0].tensor->layout;
  size_t square = (size_t)(n * n) * peri_dtype_size(call->dtype);
  if (count == 0) return PERI_OK;
  PERI_TRY(peri_matrices_copy(call->context, &call->args[0].tensor->view, A->ndim, A->shape, false, 0, a));
  if (n > 0) PERI_TRY(peri_blas_begin(call->context));
  for (int64_t i = 0; i < count && !peri_cancelled(call->context); i++) {
    char *matrix = a + (size_t)i * square;
    if (n > 0) peri_lapack_of[call->dtype].getrf(call->context->blas, size, size, matrix, pivots);
    bool negative = false;
    for (int64_t j = 0; j < n; j++) negative ^= pivots[j] != j + 1;
    found(call, i, n, matrix, negative);
  }
  if (n > 0) peri_blas_end(call->context);
  return peri_check_cancel(call->context);
}

static double diagonal(const peri_call *call, const char *a, int64_t n, int64_t j) {
  return peri_load_number(call->dtype, a + (size_t)(j * (n + 1)) * peri_dtype_size(call->dtype));
}

/* The product as a fraction and a power of 2, which does not leave the range on the way. */
static void put_determinant(peri_call *call, int64_t i, int64_t n, const char *a, bool negative) {
  double fraction = negative ? -1 : 1;
  int64_t power = 0;
  for (int64_t j = 0; j < n; j++) {
    int exponent;
    fraction = frexp(fraction * diagonal(call, a, n, j), &exponent);
    power += exponent;
  }
  int limited = power > 4000 ? 4000 : power < -4000 ? -4000 : (int)power;
  peri_store_number(call->dtype, call->outputs[0].tensor->data + (size_t)i * peri_dtype_size(call->dtype),
                    ldexp(fraction, limited));
}

static void put_logarithm(peri_call *call, int64_t i, int64_t n, const char *a, bool negative) {
  double sign = negative ? -1 : 1, total = 0;
  for (int64_t j = 0; j < n; j++) {
    double x = diagonal(call, a, n, j);
    if (x == 0) sign = 0;
    if (x < 0) sign = -sign;
    total += peri_log(fabs(x));
  }
  size_t at = (size_t)i * peri_dtype_size(call->dtype);
  peri_store_number(call->dtype, call->outputs[0].tensor->data + at, sign);
  peri_store_number(call->dtype, call->outputs[1].tensor->data + at, total);
}

static peri_status run_det(peri_call *call) { return find_determinants(call, put_determinant); }
static peri_status run_slogdet(peri_call *call) { return find_determinants(call, put_logarithm); }

/* Numbers for each matrix as matrices of one element. */
static peri_value for_matrices(peri_backward *B, peri_value x) { return as_columns(B, as_columns(B, x, true), true); }

/* The matrix of cofactors, which det(A) A'^-1 is where A is regular. From A = U diag(s) V' it is det(U) det(V) U
 * diag(the products of the others in s) V'. */
static peri_value cofactors(peri_backward *B, peri_value A) {
  peri_call call;
  peri_value svd[3], others = {NULL, 0}, parts[2];
  if (B->formula->status != PERI_OK) return A;
  int64_t n = A.tensor->layout.shape[A.tensor->layout.ndim - 1], last = A.tensor->layout.ndim - 1;
  peri_step_open(B, &call, &peri_op_svd, 1, &A);
  call.args[1].integer = false;
  peri_step_run_outputs(B, &call, 3, svd);
  /* row j of a matrix has s with a 1 in the place of j */
  peri_value eye = peri_step_triangles(B, A.tensor->layout.dtype, n, n, 0, 1, 0);
  peri_value without = peri_step_triangles(B, A.tensor->layout.dtype, n, n, 1, 0, 1);
  if (B->formula->status != PERI_OK) return A;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, A.tensor->layout.shape, sizeof shape);
  shape[last - 1] = 1;
  peri_value rows =
      peri_step_add(B, peri_step_mul(B, peri_step_reshape(B, svd[1], (int)last + 1, shape), without), eye);
  if (B->formula->status != PERI_OK) return A;
  peri_step_open(B, &call, &peri_op_prod, 1, &rows);
  peri_call_sizes(&call, 1, 1, &last);
  others = peri_step_run(B, &call);
  for (int i = 0; i < 2; i++) parts[i] = peri_apply(B, &peri_op_det, 1, &svd[2 * i]);
  peri_value sign = for_matrices(B, peri_step_mul(B, parts[0], parts[1]));
  others = peri_step_reshape(B, others, (int)last + 1, shape);
  return peri_step_mul(B, sign, peri_step_matmul(B, peri_step_mul(B, svd[0], others), svd[2], false, false));
}

static bool any_zero(const peri_tensor *x) {
  size_t size = peri_dtype_size(x->layout.dtype);
  for (int64_t i = 0; i < x->layout.numel; i++) {
    if (peri_load_number(x->layout.dtype, x->data + (size_t)i * size) == 0) return true;
  }
  return false;
}

/* gA = g det(A) A'^-1, by the cofactors where a matrix is singular */
static peri_status grad_det(peri_backward *B) {
  peri_value A = peri_of(B->args[0].tensor), y = peri_of(B->outputs[0]),
             g = for_matrices(B, peri_of(B->grad_outputs[0]));
  if (any_zero(y.tensor)) {
    peri_answer(B, 0, peri_step_mul(B, g, cofactors(B, A)));
  } else {
    peri_value inverse = peri_step_transpose(B, peri_apply(B, &peri_op_inv, 1, &A));
    peri_answer(B, 0, peri_step_mul(B, peri_step_mul(B, g, for_matrices(B, y)), inverse));
  }
  return PERI_OK;
}

/* gA = g A'^-1; the sign is constant */
static peri_status grad_slogdet(peri_backward *B) {
  peri_value A = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[1]);
  if (g.tensor == NULL) return PERI_OK;
  peri_value inverse = peri_step_transpose(B, peri_apply(B, &peri_op_inv, 1, &A));
  peri_answer(B, 0, peri_step_mul(B, for_matrices(B, g), inverse));
  return PERI_OK;
}

#define DETERMINANT(linkage, row, operation, more, text)                                                               \
  linkage const peri_op row = {                                                                                        \
      .name = operation,                                                                                               \
      .flags = more,                                                                                                   \
      .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),                                                               \
      .outputs = 1,                                                                                                    \
      .params = {{"A", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_det,                                                                                              \
      .run = run_det,                                                                                                  \
      .grad = grad_det,                                                                                                \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3, 3) + peri.eye(3)}, {T(2, 2, 2)}, {T(1, 1) + 2}",                                                \
      .doc = text,                                                                                                     \
  };
DETERMINANT(, peri_op_det, "linalg.det", PERI_OP_NO_METHOD,
            "linalg.det(A) -> tensor\n"
            "The determinants of square matrices (... x n x n), by LU with partial pivoting (" PROCESSORS "); of 0 x 0 "
            "it is 1. It overflows and underflows easily: linalg.slogdet does not. Floats only.")
DETERMINANT(static, row_det, "det", 0, "det(A) -> tensor\nThe same as linalg.det.")

#define SLOGDET(row, operation, more, text)                                                                            \
  static const peri_op row = {                                                                                         \
      .name = operation,                                                                                               \
      .flags = more,                                                                                                   \
      .saves = PERI_SAVE_INPUT(0),                                                                                     \
      .outputs = 2,                                                                                                    \
      .params = {{"A", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_det,                                                                                              \
      .run = run_slogdet,                                                                                              \
      .grad = grad_slogdet,                                                                                            \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3, 3) + peri.eye(3) * 2}, {T(2, 2, 2) - peri.eye(2) * 3}",                                         \
      .doc = text,                                                                                                     \
  };
SLOGDET(row_linalg_slogdet, "linalg.slogdet", PERI_OP_NO_METHOD,
        "linalg.slogdet(A) -> sign, logabsdet\n"
        "The signs of the determinants of square matrices (... x n x n) and the logarithms of their sizes, by LU with "
        "partial pivoting (" PROCESSORS
        "); of a singular matrix 0 and -infinity, where the gradient is an error. Floats "
        "only.")
SLOGDET(row_slogdet, "slogdet", 0, "slogdet(A) -> sign, logabsdet\nThe same as linalg.slogdet.")

/* ---- cholesky ---- */

static peri_status infer_cholesky(peri_call *call) { return infer_same(call, 0); }

#define CLEAR(T)                                                                                                       \
  static void clear_##T(T *a, int64_t n, bool below) {                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      if (below) memset(a + i * n, 0, (size_t)i * sizeof *a);                                                          \
      if (!below) memset(a + i * n + i + 1, 0, (size_t)(n - 1 - i) * sizeof *a);                                       \
    }                                                                                                                  \
  }
CLEAR(float)
CLEAR(double)

/* The lower triangle in rows is the upper one in columns. */
static peri_status run_cholesky(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  bool upper = call->args[1].integer;
  int64_t count = call->note[COUNT], n = call->note[SIZE], i = 0;
  lapack_int info = 0;
  char which[64];
  size_t square = (size_t)(n * n) * peri_dtype_size(call->dtype);
  if (y->layout.numel == 0) return PERI_OK;
  PERI_TRY(peri_tensor_copy_into(y, call->args[0].tensor));
  PERI_TRY(peri_blas_begin(call->context));
  for (; i < count && !peri_cancelled(call->context); i++) {
    char *a = y->data + (size_t)i * square;
    info = peri_lapack_of[call->dtype].potrf(call->context->blas, upper ? 'L' : 'U', (lapack_int)n, a);
    if (info != 0) break;
    if (call->dtype == PERI_FLOAT32) clear_float((float *)(void *)a, n, upper);
    if (call->dtype == PERI_FLOAT64) clear_double((double *)(void *)a, n, upper);
  }
  peri_blas_end(call->context);
  PERI_TRY(peri_check_cancel(call->context));
  if (info <= 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_NUMERIC, "%sA is not positive definite (its first %d rows and columns are not)",
                        peri_which(which, sizeof which, i, count), (int)info);
}

/* A = L L': gA = 1/2 (S + S') with S = L'^-1 phi(L' g) L^-1, where phi takes the lower triangle and half of the
 * diagonal (Murray 2016, "Differentiation of the Cholesky decomposition"). An upper U is L'. */
static peri_status grad_cholesky(peri_backward *B) {
  int64_t n = B->layouts[0]->shape[B->layouts[0]->ndim - 1];
  peri_value L = peri_of(B->outputs[0]), g = peri_of(B->grad_outputs[0]);
  if (B->args[1].integer) {
    L = peri_step_transpose(B, L);
    g = peri_step_transpose(B, g);
  }
  peri_value phi = peri_step_triangles(B, B->layouts[0]->dtype, n, n, 0.5, 0.25, 0);
  peri_value S = peri_step_mul(B, peri_step_matmul(B, L, g, true, false), phi);
  S = peri_step_add(B, S, peri_step_transpose(B, S));
  S = peri_step_solve_triangular(B, peri_step_transpose(B, L), S, true, true, false);
  S = peri_step_solve_triangular(B, L, S, false, false, false);
  peri_answer(B, 0, S);
  return PERI_OK;
}

const peri_op peri_op_cholesky = {
    .name = "linalg.cholesky",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"A", PERI_KIND_TENSOR}, {"upper", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_cholesky,
    .run = run_cholesky,
    .grad = grad_cholesky,
    .low = -1,
    .high = 1,
    .sample = "{symmetric(3) + peri.eye(3) * 6}, {symmetric(2) + peri.eye(2) * 6, {upper = true}}, {T(2, 1, 1) + 2}",
    .doc =
        "linalg.cholesky(A, {upper = false}) -> tensor\n"
        "The lower triangular L of L L' = A for symmetric positive definite matrices (... x n x n), or with upper the "
        "U of U' U = A; only that triangle of A is read (" PROCESSORS "). An A that is not positive definite is an "
        "error. The gradient is symmetric. Floats only.",
};

const peri_op *const peri_ops_linalg[] = {&peri_op_solve,
                                          &peri_op_solve_triangular,
                                          &peri_op_inv,
                                          &row_inverse,
                                          &peri_op_lu_factor,
                                          &peri_op_det,
                                          &row_det,
                                          &row_linalg_slogdet,
                                          &row_slogdet,
                                          &peri_op_cholesky,
                                          NULL};
