/* Rows over the factorisations: P L U, solutions from factors, products of reflections; and the exponential. */
#include "ops/lapack.h"
#include "ops/rows.h"

#include <math.h>

#define PROCESSORS "whose bits are the processor's"

static const peri_layout *layout_of(const peri_call *call, int arg) { return &call->args[arg].tensor->layout; }
static peri_value argument(const peri_call *call, int arg) { return peri_of(call->args[arg].tensor); }
static peri_value times(peri_backward *B, peri_value a, peri_value b) {
  return peri_step_matmul(B, a, b, false, false);
}

/* ---- lu ---- */

static peri_status infer_plu(peri_call *call) {
  const peri_layout *A = layout_of(call, 0);
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(peri_need_matrices(call, 0));
  PERI_TRY(peri_need_finite(call, 0));
  peri_matrices of = peri_matrices_of(A);
  int64_t k = peri_min(of.m, of.n), sizes[3][2] = {{of.m, of.m}, {of.m, k}, {k, of.n}};
  memcpy(shape, A->shape, sizeof shape);
  for (int i = 0; i < 3; i++) {
    memcpy(shape + A->ndim - 2, sizes[i], sizeof sizes[i]);
    PERI_TRY(peri_infer_output(call, i, A->dtype, A->ndim, shape));
  }
  return PERI_OK;
}

static peri_status compose_plu(peri_backward *B) {
  peri_call *call = B->call;
  peri_value A = argument(call, 0), of[2];
  peri_matrices size = peri_matrices_of(layout_of(call, 0));
  int64_t k = peri_min(size.m, size.n), last = layout_of(call, 0)->ndim - 1;
  peri_dtype dtype = layout_of(call, 0)->dtype;
  peri_call step;
  peri_step_open(B, &step, &peri_op_lu_factor, 1, &A);
  peri_step_run_outputs(B, &step, 2, of);
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_value L =
      peri_step_mul(B, peri_step_narrow(B, of[0], last, 0, k), peri_step_triangles(B, dtype, size.m, k, 1, 0, 0));
  peri_value U = peri_step_narrow(B, of[0], last - 1, 0, k);
  peri_answer(B, 0, peri_step_permutation(B, of[1].tensor, dtype, size.m));
  peri_answer(B, 1, peri_step_add(B, L, peri_step_triangles(B, dtype, size.m, k, 0, 1, 0)));
  peri_answer(B, 2, peri_step_mul(B, U, peri_step_triangles(B, dtype, k, size.n, 0, 1, 1)));
  return PERI_OK;
}

static const peri_op row_lu = {
    .name = "linalg.lu",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 3,
    .params = {{"A", PERI_KIND_TENSOR}},
    .infer = infer_plu,
    .compose = compose_plu,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 3) + peri.eye(3) * 3}, {T(2, 2, 2) + peri.eye(2) * 3}",
    .doc =
        "linalg.lu(A) -> P, L, U\n"
        "P L U = A by elimination with partial pivoting (LAPACK, " PROCESSORS "), of matrices ... x m x n, k the "
        "smaller of m and n: P exchanges rows (m x m), L is lower triangular with ones on its diagonal (m x k), U upper "
        "triangular (k x n). The gradient is that of square, regular A. Floats only.",
};

/* ---- solutions from factors ---- */

static peri_status infer_from_factor(peri_call *call, int factor, int side) {
  const peri_layout *L = layout_of(call, factor), *b = layout_of(call, side);
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  PERI_TRY(peri_need_square(call, factor));
  PERI_TRY(peri_need_matrices(call, side));
  PERI_TRY(peri_infer_same_dtype(call, factor, side));
  int64_t n = L->shape[L->ndim - 1], shape[PERI_MAX_DIMS];
  int ndim = L->ndim > b->ndim ? L->ndim : b->ndim;
  bool fits = b->shape[b->ndim - 2] == n;
  for (int d = 0; fits && d < ndim - 2; d++) {
    int in_L = d - (ndim - L->ndim), in_b = d - (ndim - b->ndim);
    int64_t p = in_L < 0 ? 1 : L->shape[in_L], q = in_b < 0 ? 1 : b->shape[in_b];
    fits = p == q || p == 1 || q == 1;
    shape[d] = p == 1 ? q : p;
  }
  if (!fits)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "%s is %s but %s is %s (expected %lld rows, and batches that broadcast)",
                          call->op->params[factor].name, peri_shape_text(L->ndim, L->shape, s),
                          call->op->params[side].name, peri_shape_text(b->ndim, b->shape, t), (long long)n);
  shape[ndim - 2] = n;
  shape[ndim - 1] = b->shape[b->ndim - 1];
  return peri_infer_output(call, 0, b->dtype, ndim, shape);
}

static peri_status infer_lu_solve(peri_call *call) {
  const peri_layout *LU = layout_of(call, 0), *pivots = layout_of(call, 1);
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  PERI_TRY(infer_from_factor(call, 0, 2));
  bool fits = pivots->dtype == PERI_INT64 && pivots->ndim == LU->ndim - 1;
  for (int d = 0; fits && d < pivots->ndim; d++) fits = pivots->shape[d] == LU->shape[d];
  if (!fits)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "LU is %s but pivots is %s of %s (expected those of linalg.lu_factor)",
                          peri_shape_text(LU->ndim, LU->shape, s), peri_shape_text(pivots->ndim, pivots->shape, t),
                          peri_dtype_name(pivots->dtype));
  peri_tensor *own;
  int64_t n = LU->shape[LU->ndim - 1], wrong = -1;
  PERI_TRY(peri_tensor_contiguous(call->args[1].tensor, &own));
  const int64_t *values = (const int64_t *)(void *)own->data;
  for (int64_t i = 0; i < pivots->numel && wrong < 0; i++) {
    if (values[i] < i % n + 1 || values[i] > n) wrong = i;
  }
  int64_t value = wrong < 0 ? 0 : values[wrong];
  peri_tensor_release(&own);
  if (wrong < 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "pivots has %lld in the place of row %lld (expected %lld to %lld)",
                        (long long)value, (long long)(wrong % n) + 1, (long long)(wrong % n) + 1, (long long)n);
}

/* A = P L U: the exchanges of b's rows, then two triangles. */
static peri_status compose_lu_solve(peri_backward *B) {
  peri_call *call = B->call;
  int64_t n = layout_of(call, 0)->shape[layout_of(call, 0)->ndim - 1];
  peri_value LU = argument(call, 0);
  peri_value P = peri_step_permutation(B, call->args[1].tensor, layout_of(call, 0)->dtype, n);
  peri_value x = peri_step_matmul(B, P, argument(call, 2), true, false);
  x = peri_step_solve_triangular(B, LU, x, false, true, true);
  peri_answer(B, 0, peri_step_solve_triangular(B, LU, x, true, true, false));
  return PERI_OK;
}

static const peri_op row_lu_solve = {
    .name = "linalg.lu_solve",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"LU", PERI_KIND_TENSOR}, {"pivots", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},
    .infer = infer_lu_solve,
    .compose = compose_lu_solve,
    .low = -1,
    .high = 1,
    .sample =
        "{T(3, 3) + peri.eye(3) * 3, ints{1, 3, 3}, T(3, 2)}, {T(2, 2, 2) + peri.eye(2) * 3, ints{{2, 2}, {1, 2}}, "
        "T(2, 1)}",
    .doc = "linalg.lu_solve(LU, pivots, b) -> tensor\n"
           "The solutions X of A X = b from the factors of A that linalg.lu_factor gave, for matrices b (... x n x c); "
           "batches broadcast (" PROCESSORS "). A zero on the diagonal of U is an error. Floats of one dtype.",
};

static peri_status infer_cholesky_solve(peri_call *call) { return infer_from_factor(call, 1, 0); }

static peri_value solve_by_cholesky(peri_call *call, peri_backward *B, peri_value b, int factor) {
  bool upper = call->args[factor + 1].integer;
  peri_value L = argument(call, factor), turned = peri_step_transpose(B, L);
  peri_value x = peri_step_solve_triangular(B, upper ? turned : L, b, false, true, false);
  return peri_step_solve_triangular(B, upper ? L : turned, x, true, true, false);
}

static peri_status compose_cholesky_solve(peri_backward *B) {
  peri_call *call = B->call;
  peri_answer(B, 0, solve_by_cholesky(call, B, argument(call, 0), 1));
  return PERI_OK;
}

static const peri_op row_cholesky_solve = {
    .name = "cholesky_solve",
    .outputs = 1,
    .params = {{"b", PERI_KIND_TENSOR}, {"L", PERI_KIND_TENSOR}, {"upper", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_cholesky_solve,
    .compose = compose_cholesky_solve,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 2), T(3, 3) + peri.eye(3) * 3}, {T(2, 2, 1), T(2, 2) + peri.eye(2) * 3, true}",
    .doc =
        "cholesky_solve(b, L, upper = false) -> tensor\n"
        "The solutions X of A X = b for A = L L' (or U' U with upper) from the factor that linalg.cholesky gave, for "
        "matrices b (... x n x c); batches broadcast (" PROCESSORS "). Floats of one dtype.",
};

static peri_status infer_cholesky_inverse(peri_call *call) {
  const peri_layout *L = layout_of(call, 0);
  PERI_TRY(peri_need_square(call, 0));
  return peri_infer_output(call, 0, L->dtype, L->ndim, L->shape);
}

static peri_status compose_cholesky_inverse(peri_backward *B) {
  peri_call *call = B->call;
  const peri_layout *L = layout_of(call, 0);
  int64_t n = L->shape[L->ndim - 1];
  peri_answer(B, 0, solve_by_cholesky(call, B, peri_step_triangles(B, L->dtype, n, n, 0, 1, 0), 0));
  return PERI_OK;
}

static const peri_op row_cholesky_inverse = {
    .name = "cholesky_inverse",
    .outputs = 1,
    .params = {{"L", PERI_KIND_TENSOR}, {"upper", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_cholesky_inverse,
    .compose = compose_cholesky_inverse,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 3) + peri.eye(3) * 3}, {T(2, 2, 2) + peri.eye(2) * 3, true}",
    .doc = "cholesky_inverse(L, upper = false) -> tensor\n"
           "The inverses of A = L L' (or U' U with upper) from the factor that linalg.cholesky gave (" PROCESSORS "). "
           "Floats only.",
};

/* ---- householder_product ---- */

static peri_status infer_householder(peri_call *call) {
  const peri_layout *A = layout_of(call, 0), *tau = layout_of(call, 1);
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  PERI_TRY(peri_need_matrices(call, 0));
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  int64_t m = A->shape[A->ndim - 2], n = A->shape[A->ndim - 1];
  bool fits = m >= n && tau->ndim == A->ndim - 1 && tau->shape[tau->ndim - 1] <= n;
  for (int d = 0; fits && d < tau->ndim - 1; d++) fits = tau->shape[d] == A->shape[d];
  if (fits) return peri_infer_output(call, 0, A->dtype, A->ndim, A->shape);
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "A is %s and tau is %s (expected at least as many rows as columns, and one tau for each of the "
                        "first columns)",
                        peri_shape_text(A->ndim, A->shape, s), peri_shape_text(tau->ndim, tau->shape, t));
}

/* (I - tau_1 v_1 v_1') (I - tau_2 v_2 v_2') .., of which the last is multiplied first. */
static peri_status compose_householder(peri_backward *B) {
  peri_call *call = B->call;
  const peri_layout *A = layout_of(call, 0), *tau = layout_of(call, 1);
  int64_t m = A->shape[A->ndim - 2], n = A->shape[A->ndim - 1], last = A->ndim - 1, shape[PERI_MAX_DIMS];
  peri_value eye = peri_step_triangles(B, A->dtype, m, n, 0, 1, 0);
  peri_value V = peri_step_mul(B, argument(call, 0), peri_step_triangles(B, A->dtype, m, n, 1, 0, 0));
  V = peri_step_add(B, V, eye);
  memcpy(shape, tau->shape, sizeof shape);
  shape[tau->ndim] = 1;
  peri_value scale = peri_step_reshape(B, argument(call, 1), tau->ndim + 1, shape);
  peri_value Q = peri_step_expand_to(B, eye, A->ndim, A->shape);
  for (int64_t i = tau->shape[tau->ndim - 1] - 1; i >= 0; i--) {
    peri_value v = peri_step_narrow(B, V, last, i, 1);
    peri_value along =
        peri_step_mul(B, peri_step_matmul(B, v, Q, true, false), peri_step_narrow(B, scale, last - 1, i, 1));
    Q = peri_step_sub(B, Q, times(B, v, along));
  }
  peri_answer(B, 0, peri_apply(B, &peri_op_clone, 1, &Q));
  return PERI_OK;
}

static const peri_op row_householder = {
    .name = "linalg.householder_product",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"A", PERI_KIND_TENSOR}, {"tau", PERI_KIND_TENSOR}},
    .infer = infer_householder,
    .compose = compose_householder,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), T(3)}, {T(2, 3, 2), T(2, 1)}, {T(3, 3), T(0)}",
    .doc =
        "linalg.householder_product(A, tau) -> tensor\n"
        "The first n columns of the product of the reflections I - tau_i v_i v_i', where v_i is column i of A (... x m "
        "x n, m >= n) below the diagonal, 1 on it and 0 above; tau has at most n numbers for each matrix. Floats of one "
        "dtype.",
};

/* ---- matrix_exp: a Taylor polynomial of A / 2^s, squared s times ---- */

static peri_status infer_exp(peri_call *call) {
  const peri_layout *A = layout_of(call, 0);
  PERI_TRY(peri_need_square(call, 0));
  return peri_infer_output(call, 0, A->dtype, A->ndim, A->shape);
}

/* Polynomials of degree 9 (float32) and 16 leave out less than half a unit of the last place of matrices whose norm is
 * at most this: norm^(degree + 1) / (degree + 1)! */
static double largest_norm(peri_dtype dtype) { return dtype == PERI_FLOAT32 ? 0.8 : 0.78; }

/* 1-norms of the matrices of contiguous x, as the halvings that each needs; and the largest of these. */
static int64_t count_halvings(const peri_tensor *x, int64_t *halvings) {
  peri_matrices of = peri_matrices_of(&x->layout);
  size_t size = peri_dtype_size(x->layout.dtype);
  int64_t most = 0;
  for (int64_t i = 0; i < of.count; i++) {
    double norm = 0;
    for (int64_t c = 0; c < of.n; c++) {
      double sum = 0;
      for (int64_t r = 0; r < of.n; r++)
        sum += fabs(peri_load_number(x->layout.dtype, x->data + (size_t)((i * of.n + r) * of.n + c) * size));
      if (!(sum <= norm)) norm = sum;
    }
    int exponent = 0;
    if (norm < HUGE_VAL && norm > largest_norm(x->layout.dtype)) frexp(norm / largest_norm(x->layout.dtype), &exponent);
    halvings[i] = exponent;
    if (exponent > most) most = exponent;
  }
  return most;
}

/* A number for each matrix, ... x 1 x 1: 2^-halvings, or whether it is squared once more when `done` squarings were
 * made of the most. */
static peri_value for_each_matrix(peri_backward *B, const peri_layout *A, const int64_t *halvings, int64_t done,
                                  bool mask) {
  peri_layout layout = {.dtype = mask ? PERI_BOOL : A->dtype, .ndim = A->ndim};
  peri_tensor *numbers = NULL;
  memcpy(layout.shape, A->shape, sizeof layout.shape);
  layout.shape[A->ndim - 1] = layout.shape[A->ndim - 2] = 1;
  peri_layout_set(&layout, layout.dtype, A->ndim, layout.shape);
  peri_status status = peri_tensor_empty(B->context, &layout, &numbers);
  for (int64_t i = 0; status == PERI_OK && i < layout.numel; i++) {
    double number = mask ? halvings[i] > done : ldexp(1, (int)-halvings[i]);
    peri_store_number(layout.dtype, numbers->data + (size_t)i * peri_dtype_size(layout.dtype), number);
  }
  return peri_formula_own(B, status, numbers);
}

/* The polynomial by Paterson and Stockmeyer: of the powers up to A^q, q + 1 terms at a time by Horner's rule. */
static peri_value taylor(peri_backward *B, peri_value A, peri_value eye, int q, int degree) {
  peri_value power[5] = {eye, A}, sum = {NULL, 0};
  double factor[18] = {1};
  for (int i = 1; i <= degree; i++) factor[i] = factor[i - 1] / i;
  for (int i = 2; i <= q; i++) power[i] = times(B, power[i - 1], A);
  for (int block = degree / q - 1; block >= 0; block--) {
    peri_value terms =
        sum.tensor == NULL ? peri_step_mul(B, power[q], peri_constant(factor[degree])) : times(B, sum, power[q]);
    for (int i = q - 1; i >= 0; i--)
      terms = peri_step_add(B, terms, peri_step_mul(B, power[i], peri_constant(factor[block * q + i])));
    sum = terms;
  }
  return sum;
}

static peri_status compose_exp(peri_backward *B) {
  peri_call *call = B->call;
  const peri_layout *A = layout_of(call, 0);
  int64_t *halvings, n = A->shape[A->ndim - 1];
  void *block;
  peri_tensor *own;
  peri_value x = argument(call, 0);
  if (A->numel == 0) {
    peri_answer(B, 0, peri_apply(B, &peri_op_clone, 1, &x));
    return PERI_OK;
  }
  int64_t count = peri_matrices_of(A).count;
  PERI_TRY(peri_alloc_array(call->context, (size_t)count, sizeof *halvings, &block));
  halvings = block;
  peri_status status = peri_tensor_contiguous(call->args[0].tensor, &own);
  if (status == PERI_OK) {
    int64_t most = count_halvings(own, halvings);
    peri_tensor_release(&own);
    bool single = A->dtype == PERI_FLOAT32;
    x = peri_step_mul(B, x, for_each_matrix(B, A, halvings, 0, false));
    peri_value y = taylor(B, x, peri_step_triangles(B, A->dtype, n, n, 0, 1, 0), single ? 3 : 4, single ? 9 : 16);
    for (int64_t done = 0; done < most; done++) {
      peri_value square = times(B, y, y);
      y = count == 1 ? square : peri_step_where(B, for_each_matrix(B, A, halvings, done, true), square, y);
    }
    peri_answer(B, 0, y);
  }
  peri_free(call->context, block, (size_t)count * sizeof *halvings);
  return status;
}

#define EXPONENTIAL(row, operation, more, text)                                                                        \
  static const peri_op row = {                                                                                         \
      .name = operation,                                                                                               \
      .flags = more,                                                                                                   \
      .outputs = 1,                                                                                                    \
      .params = {{"A", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_exp,                                                                                              \
      .compose = compose_exp,                                                                                          \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3, 3)}, {T(2, 2, 2) * 2}, {T(1, 1)}",                                                              \
      .doc = text,                                                                                                     \
  };
EXPONENTIAL(row_linalg_exp, "linalg.matrix_exp", PERI_OP_NO_METHOD,
            "linalg.matrix_exp(A) -> tensor\n"
            "The exponentials I + A + A A / 2 + .. of square matrices (... x n x n): a Taylor polynomial of A / 2^s, "
            "squared s times. Floats only. Higham 2008, Functions of Matrices, 10.3.")
EXPONENTIAL(row_exp, "matrix_exp", 0, "matrix_exp(A) -> tensor\nThe same as linalg.matrix_exp.")

const peri_op *const peri_ops_solvers[] = {
    &row_lu,  &row_lu_solve, &row_cholesky_solve, &row_cholesky_inverse, &row_householder, &row_linalg_exp,
    &row_exp, NULL};
