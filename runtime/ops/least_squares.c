/* Least squares and the pseudo-inverse, by singular values. */
#include "ops/lapack.h"
#include "ops/rows.h"

#include <limits.h>

#define PROCESSORS "whose bits are the processor's"

static const peri_layout *layout_of(const peri_call *call, int arg) { return &call->args[arg].tensor->layout; }
static peri_value argument(const peri_call *call, int arg) { return peri_of(call->args[arg].tensor); }
static peri_value times(peri_backward *B, peri_value a, peri_value b) {
  return peri_step_matmul(B, a, b, false, false);
}

/* ---- the gradient of the pseudo-inverse ----
 * gA = -P' G P' + (I - A P) G' P P' + P' P G' (I - P A), for matrices of constant rank (Golub and Pereyra 1973). */
static peri_value grad_of_pinv(peri_backward *B, peri_value A, peri_value P, peri_value G) {
  peri_value Gt = peri_step_transpose(B, G), Pt = peri_step_transpose(B, P);
  peri_value gA = peri_step_neg(B, times(B, times(B, Pt, G), Pt));
  peri_value right = times(B, times(B, Gt, P), Pt), left = times(B, Pt, times(B, P, Gt));
  right = peri_step_sub(B, right, times(B, A, times(B, P, right)));
  left = peri_step_sub(B, left, times(B, times(B, left, P), A));
  return peri_step_add(B, gA, peri_step_add(B, right, left));
}

/* ---- pinv ---- */

static peri_status infer_pinv(peri_call *call) {
  const peri_layout *A = layout_of(call, 0);
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(call->args[2].integer ? peri_need_square(call, 0) : peri_need_matrices(call, 0));
  if (call->args[1].given && !(call->args[1].number >= 0))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "rtol is %g (expected a number from 0)", call->args[1].number);
  memcpy(shape, A->shape, sizeof shape);
  shape[A->ndim - 2] = A->shape[A->ndim - 1];
  shape[A->ndim - 1] = A->shape[A->ndim - 2];
  return peri_infer_output(call, 0, A->dtype, A->ndim, shape);
}

/* 1 / s, and 0 where |s| is at most rtol times the largest */
static peri_value reciprocals(peri_backward *B, peri_value s, double rtol) {
  peri_call most;
  peri_value size = peri_step_abs(B, s);
  if (B->formula->status != PERI_OK) return s;
  peri_step_open(B, &most, &peri_op_max, 1, &size);
  most.args[1].given = true;
  most.args[1].integer = -1;
  most.args[2].integer = true;
  peri_value limit = peri_step_mul(B, peri_step_run(B, &most), peri_constant(rtol));
  return peri_step_where(B, peri_step_gt(B, size, limit), peri_step_reciprocal(B, s), peri_constant(0));
}

static peri_status compose_pinv(peri_backward *B) {
  peri_call *call = B->call;
  const peri_layout *A = layout_of(call, 0), *y = &call->outputs[0].layout;
  double rtol = call->args[1].given ? call->args[1].number : peri_rank_tolerance(A);
  peri_value x = argument(call, 0), of[3];
  peri_call step;
  if (A->numel == 0) {
    peri_tensor *zeros = NULL;
    peri_status status = peri_tensor_full(call->context, y, 0, &zeros);
    peri_answer(B, 0, peri_formula_own(B, status, zeros));
    return PERI_OK;
  }
  bool hermitian = call->args[2].integer;
  peri_step_open(B, &step, hermitian ? &peri_op_eigh : &peri_op_svd, 1, &x);
  if (!hermitian) step.args[1].integer = false;
  peri_step_run_outputs(B, &step, hermitian ? 2 : 3, of);
  if (hermitian) {
    peri_value scaled = peri_step_mul(B, of[1], peri_step_as_matrix(B, reciprocals(B, of[0], rtol), false));
    peri_answer(B, 0, peri_step_matmul(B, scaled, of[1], false, true));
  } else {
    peri_value scaled = peri_step_mul(B, of[0], peri_step_as_matrix(B, reciprocals(B, of[1], rtol), false));
    peri_answer(B, 0, peri_step_matmul(B, of[2], scaled, true, true));
  }
  return PERI_OK;
}

static peri_status grad_pinv(peri_backward *B) {
  peri_value A = peri_of(B->args[0].tensor);
  if (B->args[2].integer) { /* only a triangle is read */
    int64_t n = B->layouts[0]->shape[B->layouts[0]->ndim - 1];
    peri_dtype dtype = B->layouts[0]->dtype;
    peri_value lower = peri_step_mul(B, A, peri_step_triangles(B, dtype, n, n, 1, 1, 0));
    peri_value strict = peri_step_mul(B, A, peri_step_triangles(B, dtype, n, n, 1, 0, 0));
    A = peri_step_add(B, lower, peri_step_transpose(B, strict));
  }
  peri_value gA = grad_of_pinv(B, A, peri_of(B->outputs[0]), peri_of(B->grad_outputs[0]));
  if (B->args[2].integer) gA = peri_step_mul(B, peri_step_add(B, gA, peri_step_transpose(B, gA)), peri_constant(0.5));
  peri_answer(B, 0, gA);
  return PERI_OK;
}

const peri_op peri_op_pinv = {
    .name = "linalg.pinv",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"A", PERI_KIND_TENSOR},
               {"rtol", PERI_KIND_NUMBER, .optional = true, .named = true},
               {"hermitian", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_pinv,
    .compose = compose_pinv,
    .grad = grad_pinv,
    .low = -1,
    .high = 1,
    .sample =
        "{T(4, 3) + peri.eye(4, 3) * 3}, {T(2, 3) + peri.eye(2, 3) * 3}, {T(2, 3, 3) + peri.eye(3) * 4}, {symmetric(3) + peri.eye(3) * 5, {hermitian = true}}, {T(3, 2) + peri.eye(3, 2) * 3, {rtol = 1e-3}}",
    .doc =
        "linalg.pinv(A, {rtol =, hermitian = false}) -> tensor\n"
        "The pseudo-inverses (Moore and Penrose) of matrices (... x m x n), n x m, from linalg.svd, " PROCESSORS "; "
        "with hermitian of symmetric ones from linalg.eigh, which reads the lower triangle. Singular values of at most "
        "rtol times the largest count as 0; rtol is the larger of m and n times the dtype's epsilon. The gradient "
        "takes those that count as 0 to be 0, and to stay so. Floats only.",
};

/* ---- lstsq ---- */

enum { COUNT, COLUMNS, LWORK, LIWORK, VECTOR }; /* notes */

static lapack_int call_gelsd(const peri_call *call, int64_t m, int64_t n, int64_t columns, void *a, void *b, void *s,
                             lapack_int *rank, void *work, lapack_int lwork, lapack_int *iwork) {
  double rcond = call->args[2].given ? call->args[2].number : peri_rank_tolerance(layout_of(call, 0));
  return peri_lapack_of[call->dtype].gelsd(call->context, (lapack_int)m, (lapack_int)n, (lapack_int)columns, a, b,
                                           (lapack_int)peri_max(1, peri_max(m, n)), s, rcond, rank, work, lwork, iwork);
}

static peri_status infer_lstsq(peri_call *call) {
  peri_right_side b;
  const peri_layout *A = layout_of(call, 0);
  PERI_TRY(peri_need_matrices(call, 0));
  PERI_TRY(peri_infer_right_side(call, 0, 1, &b));
  PERI_TRY(peri_need_finite(call, 0));
  PERI_TRY(peri_need_finite(call, 1));
  if (call->args[2].given && !(call->args[2].number >= 0))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "rcond is %g (expected a number from 0)", call->args[2].number);
  call->dtype = A->dtype;
  int64_t count = 1, columns = b.shape[b.ndim - 1];
  for (int d = 0; d < b.ndim - 2; d++) count *= b.shape[d];
  memcpy(call->note, (int64_t[]){count, columns, 0, 0, b.vector}, 5 * sizeof(int64_t));
  PERI_TRY(peri_infer_output(call, 0, A->dtype, b.ndim - b.vector, b.shape));
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, b.shape, sizeof shape);
  shape[b.ndim - 2] = columns;
  PERI_TRY(peri_infer_output(call, 1, A->dtype, b.ndim - 1 - b.vector, shape));
  return peri_infer_output(call, 2, PERI_INT64, b.ndim - 2, b.shape);
}

typedef struct lstsq_room {
  char *a, *b, *s, *work;
  lapack_int *iwork, lwork;
  size_t of_a, of_b; /* bytes of one matrix */
} lstsq_room;

static peri_status solve_least_squares(peri_call *call, const lstsq_room *room, int64_t m, int64_t n) {
  int64_t *rank = (int64_t *)(void *)call->outputs[2].tensor->data, i = 0;
  lapack_int found = 0, info = 0;
  char which[64];
  PERI_TRY(peri_blas_begin(call->context));
  for (; i < call->note[COUNT] && !peri_cancelled(call->context); i++) {
    info = call_gelsd(call, m, n, call->note[COLUMNS], room->a + (size_t)i * room->of_a,
                      room->b + (size_t)i * room->of_b, room->s, &found, room->work, room->lwork, room->iwork);
    if (info != 0) break;
    rank[i] = found;
  }
  peri_blas_end(call->context);
  PERI_TRY(peri_check_cancel(call->context));
  if (info == 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_NUMERIC, "%sA: the iteration did not converge (LAPACK gelsd: %d)",
                        peri_which(which, sizeof which, i, call->note[COUNT]), (int)info);
}

/* The solutions from memory, with room for the longer of b and x, in columns. */
static peri_status take_solutions(peri_call *call, const peri_right_side *b, int64_t room, char *memory) {
  peri_tensor column = *call->outputs[0].tensor; /* its layout is changed, and nothing else is looked at */
  if (b->vector) peri_layout_set(&column.layout, call->dtype, b->ndim, b->shape);
  return peri_matrices_turn(call->context, &column, room, memory);
}

static peri_status run_in_room(peri_call *call, const lstsq_room *room, const peri_right_side *b) {
  const peri_layout *A = layout_of(call, 0);
  int64_t m = A->shape[A->ndim - 2], n = A->shape[A->ndim - 1], shape[PERI_MAX_DIMS];
  memcpy(shape, b->shape, sizeof shape);
  shape[b->ndim - 2] = m;
  PERI_TRY(peri_matrices_copy(call->context, &b->view, b->ndim, shape, true, peri_max(m, n), room->b));
  shape[b->ndim - 1] = n;
  PERI_TRY(peri_matrices_copy(call->context, &call->args[0].tensor->view, b->ndim, shape, true, 0, room->a));
  PERI_TRY(solve_least_squares(call, room, m, n));
  return take_solutions(call, b, peri_max(m, n), room->b);
}

/* What is left: the sums of squares of A x - b. */
static peri_status take_residuals(peri_call *call, const peri_right_side *b) {
  const peri_layout *A = layout_of(call, 0);
  int64_t shape[PERI_MAX_DIMS];
  peri_backward B = {.context = call->context, .op = call->op, .answers = (peri_tensor *[]){NULL}};
  peri_formula formula;
  bool grad_mode = call->context->grad_mode;
  call->context->grad_mode = false;
  peri_formula_begin(&B, &formula);
  peri_value x = peri_of(call->outputs[0].tensor), right = argument(call, 1);
  if (b->vector) {
    x = peri_step_reshape(&B, x, b->ndim, b->shape);
    memcpy(shape, b->view.layout.shape, sizeof shape);
    right = peri_step_reshape(&B, right, b->view.layout.ndim, shape);
  }
  peri_value rest = peri_step_sub(&B, times(&B, argument(call, 0), x), right);
  int64_t rows = b->ndim - 2;
  peri_value sums = peri_step_sum(&B, peri_step_square(&B, rest), 1, &rows, false);
  peri_status status = formula.status;
  if (status == PERI_OK) {
    memcpy(call->outputs[1].tensor->data, sums.tensor->data,
           (size_t)call->outputs[1].tensor->layout.numel * peri_dtype_size(A->dtype));
  }
  peri_status steps = peri_formula_end(&B);
  call->context->grad_mode = grad_mode;
  return status == PERI_OK ? steps : status;
}

static peri_status run_lstsq(peri_call *call) {
  peri_right_side b;
  const peri_layout *A = layout_of(call, 0);
  int64_t m = A->shape[A->ndim - 2], n = A->shape[A->ndim - 1], columns = call->note[COLUMNS],
          count = call->note[COUNT];
  size_t size = peri_dtype_size(call->dtype);
  PERI_TRY(peri_infer_right_side(call, 0, 1, &b));
  if (count == 0 || m == 0 || n == 0 || columns == 0) { /* nothing to fit */
    memset(call->outputs[0].tensor->data, 0, (size_t)call->outputs[0].tensor->layout.numel * size);
    memset(call->outputs[2].tensor->data, 0, (size_t)call->outputs[2].tensor->layout.numel * sizeof(int64_t));
    return call->outputs[1].tensor->layout.numel == 0 ? PERI_OK : take_residuals(call, &b);
  }
  double best[1] = {0};
  lapack_int iwork_best = 0, found;
  PERI_TRY(peri_blas_begin(call->context));
  call_gelsd(call, m, n, columns, NULL, NULL, NULL, &found, best, -1, &iwork_best);
  peri_blas_end(call->context);
  lstsq_room room = {.lwork = peri_lapack_size(call->dtype, best)};
  double bytes_wanted =
      ((double)m * (double)n + (double)peri_max(m, n) * (double)columns) * (double)count * (double)size;
  if (room.lwork == INT_MAX || bytes_wanted > 0x1p62)
    return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: the matrices are too large");
  room.of_a = (size_t)(m * n) * size;
  room.of_b = (size_t)(peri_max(m, n) * columns) * size;
  size_t a = peri_room((size_t)count * room.of_a), of_b = peri_room((size_t)count * room.of_b);
  size_t s = peri_room((size_t)peri_min(m, n) * size), work = peri_room((size_t)room.lwork * size);
  size_t bytes = a + of_b + s + work + (size_t)peri_max(1, iwork_best) * sizeof(lapack_int);
  void *block;
  PERI_TRY(peri_alloc(call->context, bytes, &block));
  memset(block, 0, a + of_b);
  room.a = block;
  room.b = room.a + a;
  room.s = room.b + of_b;
  room.work = room.s + s;
  room.iwork = (lapack_int *)(void *)(room.work + work);
  peri_status status = run_in_room(call, &room, &b);
  peri_free(call->context, block, bytes);
  return status == PERI_OK ? take_residuals(call, &b) : status;
}

/* x = P b with the pseudo-inverse P; the residuals r = A x - b do not change with x, so that of their squares gA is 2 r
 * diag(g) x' and gb -2 r diag(g). */
static peri_status grad_lstsq(peri_backward *B) {
  bool vector = B->note[VECTOR];
  peri_value A = peri_of(B->args[0].tensor), b = peri_of(B->args[1].tensor), x = peri_of(B->outputs[0]);
  peri_value g = peri_of(B->grad_outputs[0]), rest = peri_of(B->grad_outputs[1]), gA = {NULL, 0}, gb = {NULL, 0};
  if (vector) {
    b = peri_step_as_matrix(B, b, true);
    x = peri_step_as_matrix(B, x, true);
    g = peri_step_as_matrix(B, g, true);
    rest = peri_step_as_matrix(B, rest, true);
  }
  if (g.tensor != NULL) {
    peri_call call;
    peri_step_open(B, &call, &peri_op_pinv, 1, &A);
    call.args[1].given = B->args[2].given;
    call.args[1].number = B->args[2].number;
    peri_value P = peri_step_run(B, &call);
    gb = peri_step_matmul(B, P, g, true, false);
    gA = grad_of_pinv(B, A, P, peri_step_matmul(B, g, b, false, true));
  }
  if (rest.tensor != NULL) {
    peri_value scaled = peri_step_mul(B, peri_step_sub(B, times(B, A, x), b), peri_step_as_matrix(B, rest, false));
    scaled = peri_step_mul(B, scaled, peri_constant(2));
    peri_value more = peri_step_matmul(B, scaled, x, false, true);
    gA = gA.tensor == NULL ? more : peri_step_add(B, gA, more);
    gb = gb.tensor == NULL ? peri_step_neg(B, scaled) : peri_step_sub(B, gb, scaled);
  }
  if (B->needs[0]) peri_answer(B, 0, gA);
  if (B->formula->status == PERI_OK && B->needs[1] && gb.tensor != NULL) {
    const peri_layout *layout = &gb.tensor->layout;
    peri_answer(B, 1, vector ? peri_step_reshape(B, gb, layout->ndim - 1, layout->shape) : gb);
  }
  return PERI_OK;
}

static const peri_op row_lstsq = {
    .name = "linalg.lstsq",
    .flags = PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_OUTPUT(0),
    .outputs = 3,
    .params = {{"A", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}, {"rcond", PERI_KIND_NUMBER, .optional = true}},
    .infer = infer_lstsq,
    .run = run_lstsq,
    .grad = grad_lstsq,
    .low = -1,
    .high = 1,
    .sample = "{T(5, 3), T(5)}, {T(4, 2), T(4, 2)}, {T(2, 4), T(2, 3)}, {T(2, 4, 2), T(4, 1)}, {T(2, 3, 3), T(2, 3)}",
    .doc =
        "linalg.lstsq(A, b, rcond) -> solution, residuals, rank\n"
        "The x of smallest length among those that make |A x - b| smallest, for matrices A (... x m x n) and vectors "
        "or matrices b as linalg.solve takes them, by the singular values (LAPACK gelsd, " PROCESSORS "); those of at "
        "most rcond times the largest count as 0 (by default the larger of m and n times the dtype's epsilon). "
        "residuals are the sums of squares of A x - b for each column, rank (int64) is A's. The gradient takes singular "
        "values that count as 0 to be 0, and to stay so. Floats of one dtype.",
};

const peri_op *const peri_ops_least_squares[] = {&peri_op_pinv, &row_lstsq, NULL};
