/* Products that are composed of others: with a sum, of vectors, of many matrices. */
#include "ops/contraction.h"
#include "ops/rows.h"

static const peri_layout *layout_of(const peri_call *call, int arg) { return &call->args[arg].tensor->layout; }

static peri_value argument(const peri_call *call, int arg) { return peri_of(call->args[arg].tensor); }

static peri_status expect(peri_call *call, int arg, int ndim, const char *expected) {
  const peri_layout *x = layout_of(call, arg);
  char text[PERI_SHAPE_TEXT];
  if (x->ndim == ndim) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s)", call->op->params[arg].name,
                        peri_shape_text(x->ndim, x->shape, text), expected);
}

/* ---- outer, kron ---- */

static peri_status infer_arithmetic(peri_call *call) {
  PERI_TRY(peri_infer_promote(call, 0, 2, &call->dtype));
  if (peri_is_float(call->dtype) || call->dtype == PERI_INT64) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s and %s are %s and %s (expected floats or int64)",
                        call->op->params[0].name, call->op->params[1].name, peri_dtype_name(layout_of(call, 0)->dtype),
                        peri_dtype_name(layout_of(call, 1)->dtype));
}

static peri_status infer_outer(peri_call *call) {
  PERI_TRY(expect(call, 0, 1, "a vector"));
  PERI_TRY(expect(call, 1, 1, "a vector"));
  PERI_TRY(infer_arithmetic(call));
  return peri_infer_output(call, 0, call->dtype, 2, (int64_t[]){layout_of(call, 0)->numel, layout_of(call, 1)->numel});
}

static peri_status compose_outer(peri_backward *B) {
  peri_call *call = B->call;
  peri_value column = peri_step_reshape(B, argument(call, 0), 2, (int64_t[]){layout_of(call, 0)->numel, 1});
  peri_answer(B, 0, peri_step_mul(B, column, argument(call, 1)));
  return PERI_OK;
}

#define OUTER(operation, text)                                                                                         \
  static const peri_op row_##operation = {                                                                             \
      .name = #operation,                                                                                              \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},                                                    \
      .infer = infer_outer,                                                                                            \
      .compose = compose_outer,                                                                                        \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3), T(4)}, {T(0), T(2)}",                                                                          \
      .doc = text,                                                                                                     \
  };
OUTER(outer,
      "outer(a, b) -> tensor\nAll products of the elements of two vectors: of n and of m elements, n x m. Floats "
      "or int64.")
OUTER(ger, "ger(a, b) -> tensor\nThe same as outer.")

static peri_status infer_kron(peri_call *call) {
  const peri_layout *a = layout_of(call, 0), *b = layout_of(call, 1);
  int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(infer_arithmetic(call));
  if (2 * ndim > PERI_MAX_DIMS)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "a and b have %d and %d dimensions (expected at most %d)", a->ndim,
                          b->ndim, PERI_MAX_DIMS / 2);
  for (int d = 0; d < ndim; d++) {
    int of_a = d - (ndim - a->ndim), of_b = d - (ndim - b->ndim);
    int64_t m = of_a < 0 ? 1 : a->shape[of_a], n = of_b < 0 ? 1 : b->shape[of_b];
    if (__builtin_mul_overflow(m, n, &shape[d])) shape[d] = INT64_MAX;
  }
  return peri_infer_output(call, 0, call->dtype, ndim, shape);
}

/* x with a dimension of size 1 behind (or before) each of its own */
static peri_value spaced(peri_backward *B, peri_value x, int ndim, bool behind) {
  const peri_layout *layout = &x.tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  for (int d = 0; d < ndim; d++) {
    int own = d - (ndim - layout->ndim);
    shape[2 * d + !behind] = own < 0 ? 1 : layout->shape[own];
    shape[2 * d + behind] = 1;
  }
  return peri_step_reshape(B, x, 2 * ndim, shape);
}

static peri_status compose_kron(peri_backward *B) {
  peri_call *call = B->call;
  const peri_layout *y = &call->outputs[0].layout;
  peri_value a = spaced(B, argument(call, 0), y->ndim, true), b = spaced(B, argument(call, 1), y->ndim, false);
  peri_answer(B, 0, peri_step_reshape(B, peri_step_mul(B, a, b), y->ndim, y->shape));
  return PERI_OK;
}

static const peri_op row_kron = {
    .name = "kron",
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},
    .infer = infer_kron,
    .compose = compose_kron,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3), T(3, 2)}, {T(2), T(2, 2)}, {T(), T(3)}, {T(1, 2, 2), T(2)}",
    .doc = "kron(a, b) -> tensor\n"
           "Kronecker's product: each element of a times the whole of b, in a's place. Sizes multiply; of fewer "
           "dimensions, the first are 1; at most 4 dimensions. Floats or int64.",
};

/* ---- products that are added to something ---- */

enum { INPUT, A, BB };

static peri_status infer_added(peri_call *call, int ndim, const int64_t *shape) {
  const peri_layout *input = layout_of(call, INPUT);
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_promote(call, 0, 3, &call->dtype));
  if (!peri_is_float(call->dtype))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "a and b are %s and %s (expected float32 or float64)",
                          peri_dtype_name(layout_of(call, A)->dtype), peri_dtype_name(layout_of(call, BB)->dtype));
  bool fits = input->ndim <= ndim;
  for (int d = 0; fits && d < input->ndim; d++) {
    int64_t size = input->shape[input->ndim - 1 - d];
    fits = size == 1 || size == shape[ndim - 1 - d];
  }
  if (fits) return peri_infer_output(call, 0, call->dtype, ndim, shape);
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "input is %s but the product is %s",
                        peri_shape_text(input->ndim, input->shape, s), peri_shape_text(ndim, shape, t));
}

/* Checks a and b of these numbers of dimensions, whose sizes must agree, and of batches the first. */
static peri_status infer_addends(peri_call *call, int dims_a, int dims_b, bool summed) {
  static const char *const expected[] = {"", "a vector", "a matrix", "a batch of matrices"};
  const peri_layout *a = layout_of(call, A), *b = layout_of(call, BB);
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  int64_t shape[3];
  int ndim = 0;
  PERI_TRY(expect(call, A, dims_a, expected[dims_a]));
  PERI_TRY(expect(call, BB, dims_b, expected[dims_b]));
  bool batched = dims_a == 3;
  if (a->shape[dims_a - 1] != b->shape[batched] || (batched && a->shape[0] != b->shape[0]))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "a is %s but b is %s (the inner sizes%s must be equal)",
                          peri_shape_text(a->ndim, a->shape, s), peri_shape_text(b->ndim, b->shape, t),
                          batched ? " and the batches" : "");
  if (batched && !summed) shape[ndim++] = a->shape[0];
  shape[ndim++] = a->shape[dims_a - 2];
  if (dims_b > 1) shape[ndim++] = b->shape[dims_b - 1];
  return infer_added(call, ndim, shape);
}

/* beta input + alpha product; what is times 0 is not read. */
static peri_value add_scaled(peri_call *call, peri_backward *B, peri_value product) {
  double beta = call->args[3].number, alpha = call->args[4].number;
  peri_value input = argument(call, INPUT);
  if (alpha != 1) product = peri_step_mul(B, product, peri_constant(alpha));
  if (beta == 0) return product;
  if (beta != 1) input = peri_step_mul(B, input, peri_constant(beta));
  return peri_step_add(B, input, product);
}

static peri_value in_dtype(const peri_call *call, peri_backward *B, peri_value x) {
  if (B->formula->status != PERI_OK || x.tensor->layout.dtype == call->dtype) return x;
  return peri_step_convert(B, x, call->dtype);
}

static peri_status answer_added(peri_call *call, peri_backward *B, peri_value a, peri_value b) {
  peri_value sum = add_scaled(call, B, peri_step_matmul(B, in_dtype(call, B, a), in_dtype(call, B, b), false, false));
  peri_answer(B, 0, sum);
  return PERI_OK;
}

static peri_status compose_added(peri_backward *B) {
  peri_call *call = B->call;
  return answer_added(call, B, argument(call, A), argument(call, BB));
}

/* The sum over a batch is the product of matrices side by side, and one above the other. */
static peri_status compose_addbmm(peri_backward *B) {
  peri_call *call = B->call;
  const peri_layout *a = layout_of(call, A), *b = layout_of(call, BB);
  int64_t inner = a->shape[0] * a->shape[2];
  peri_value left = peri_step_permute(B, argument(call, A), 3, (int64_t[]){1, 0, 2});
  left = peri_step_reshape(B, left, 2, (int64_t[]){a->shape[1], inner});
  return answer_added(call, B, left, peri_step_reshape(B, argument(call, BB), 2, (int64_t[]){inner, b->shape[2]}));
}

static peri_status infer_addmm(peri_call *call) { return infer_addends(call, 2, 2, false); }
static peri_status infer_addmv(peri_call *call) { return infer_addends(call, 2, 1, false); }
static peri_status infer_baddbmm(peri_call *call) { return infer_addends(call, 3, 3, false); }
static peri_status infer_addbmm(peri_call *call) { return infer_addends(call, 3, 3, true); }

#define ADDED(operation, composition, samples, text)                                                                   \
  static const peri_op row_##operation = {                                                                             \
      .name = #operation,                                                                                              \
      .flags = PERI_OP_IN_PLACE,                                                                                       \
      .outputs = 1,                                                                                                    \
      .params = {{"input", PERI_KIND_TENSOR},                                                                          \
                 {"a", PERI_KIND_TENSOR},                                                                              \
                 {"b", PERI_KIND_TENSOR},                                                                              \
                 {"beta", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1},                          \
                 {"alpha", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1}},                        \
      .infer = infer_##operation,                                                                                      \
      .compose = composition,                                                                                          \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = samples,                                                                                               \
      .doc = text "It must broadcast to the product's shape. With beta = 0 it is not read. Floats only.",              \
  };
ADDED(addmm, compose_added,
      "{T(3, 2), T(3, 4), T(4, 2)}, {T(2), T(3, 4), T(4, 2), {beta = 0.5, alpha = -2}}, {T(3, 2), T(3, 4), T(4, 2), "
      "{beta = 0}}",
      "addmm(input, a, b, {beta = 1, alpha = 1}) -> tensor\nbeta input + alpha (a b) for matrices a, n x m, and b, m x "
      "p. ")
ADDED(
    addmv, compose_added, "{T(3), T(3, 4), T(4)}, {T(1), T(3, 4), T(4), {beta = 2, alpha = 3}}",
    "addmv(input, a, b, {beta = 1, alpha = 1}) -> tensor\nbeta input + alpha (a b) for a matrix a, n x m, and a vector "
    "b of m elements. ")
ADDED(
    baddbmm, compose_added,
    "{T(2, 3, 2), T(2, 3, 4), T(2, 4, 2)}, {T(3, 1), T(2, 3, 4), T(2, 4, 2), {beta = 0.5, alpha = 2}}",
    "baddbmm(input, a, b, {beta = 1, alpha = 1}) -> tensor\nbeta input + alpha (a b) for batches of matrices a, b x n "
    "x m, and b, b x m x p, one by one. ")
ADDED(
    addbmm, compose_addbmm,
    "{T(3, 2), T(2, 3, 4), T(2, 4, 2)}, {T(2), T(2, 3, 4), T(2, 4, 2), {beta = 0.5, alpha = 2}}",
    "addbmm(input, a, b, {beta = 1, alpha = 1}) -> tensor\nbeta input + alpha (the sum of the products of the matrices "
    "of two batches), b x n x m and b x m x p. ")

/* ---- cross ---- */

/* note: the dimension of the result */
static peri_status infer_cross(peri_call *call) {
  const peri_tensor *both[2] = {call->args[0].tensor, call->args[1].tensor};
  int64_t shape[PERI_MAX_DIMS];
  int ndim, dim;
  char s[PERI_SHAPE_TEXT];
  PERI_TRY(infer_arithmetic(call));
  PERI_TRY(peri_broadcast(call->context, peri_call_name(call), 2, (peri_tensor *const *)both, &ndim, shape));
  if (!call->args[2].given) call->args[2].integer = -1;
  PERI_TRY(peri_infer_dim(call, 2, ndim, &dim));
  for (int i = 0; i < 2; i++) {
    const peri_layout *x = &both[i]->layout;
    int own = dim - (ndim - x->ndim);
    if (own >= 0 && x->shape[own] == 3) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected 3 along dimension %d of the result)",
                          call->op->params[i].name, peri_shape_text(x->ndim, x->shape, s), dim + 1);
  }
  call->note[0] = dim;
  return peri_infer_output(call, 0, call->dtype, ndim, shape);
}

/* Component i of argument arg. */
static peri_value component(peri_call *call, peri_backward *B, int arg, int i) {
  const peri_layout *x = layout_of(call, arg);
  return peri_step_narrow(B, argument(call, arg), call->note[0] - (call->outputs[0].layout.ndim - x->ndim), i % 3, 1);
}

static peri_status compose_cross(peri_backward *B) {
  peri_call *call = B->call;
  peri_tensor *parts[3];
  for (int i = 0; i < 3; i++) {
    peri_value plus = peri_step_mul(B, component(call, B, 0, i + 1), component(call, B, 1, i + 2));
    peri_value minus = peri_step_mul(B, component(call, B, 0, i + 2), component(call, B, 1, i + 1));
    parts[i] = peri_step_sub(B, plus, minus).tensor;
  }
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_call cat;
  peri_step_open(B, &cat, &peri_op_cat, 0, NULL);
  cat.args[0] = (peri_arg){.given = true, .tensors = parts, .count = 3};
  cat.args[1].integer = call->note[0];
  peri_answer(B, 0, peri_step_run(B, &cat));
  return PERI_OK;
}

#define CROSS(row, operation, more, text)                                                                              \
  static const peri_op row = {                                                                                         \
      .name = operation,                                                                                               \
      .flags = more,                                                                                                   \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}},          \
      .infer = infer_cross,                                                                                            \
      .compose = compose_cross,                                                                                        \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3), T(3)}, {T(2, 3), T(1, 3)}, {T(3, 2), T(3, 2), 1}",                                             \
      .doc = text,                                                                                                     \
  };
CROSS(row_cross, "cross", 0,
      "cross(a, b, dim = -1) -> tensor\n"
      "The vector products of vectors of 3 elements that lie along dim; the other dimensions are broadcast, and dim "
      "counts those of the result. Floats or int64.")
CROSS(row_linalg_cross, "linalg.cross", PERI_OP_NO_METHOD, "linalg.cross(a, b, dim = -1) -> tensor\nThe same as cross.")

/* ---- many matrices ---- */

static peri_status infer_square(peri_call *call) {
  const peri_layout *x = layout_of(call, 0);
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (x->ndim < 2 || x->shape[x->ndim - 1] != x->shape[x->ndim - 2])
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected square matrices)", call->op->params[0].name,
                          peri_shape_text(x->ndim, x->shape, text));
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}

peri_value peri_step_identity(peri_backward *B, const peri_layout *like) {
  int64_t n = like->shape[like->ndim - 1];
  return peri_step_expand_to(B, peri_step_triangles(B, like->dtype, n, n, 0, 1, 0), like->ndim, like->shape);
}

static peri_status compose_power(peri_backward *B) {
  peri_call *call = B->call;
  int64_t exponent = call->args[1].integer;
  uint64_t n = exponent < 0 ? -(uint64_t)exponent : (uint64_t)exponent;
  peri_value square = argument(call, 0), result = {NULL, 0};
  if (n == 0) result = peri_apply(B, &peri_op_clone, 1, (peri_value[]){peri_step_identity(B, layout_of(call, 0))});
  if (exponent < 0) square = peri_apply(B, &peri_op_inv, 1, &square);
  for (; n > 0; n >>= 1) {
    if (n & 1) result = result.tensor == NULL ? square : peri_step_matmul(B, result, square, false, false);
    if (n > 1) square = peri_step_matmul(B, square, square, false, false);
  }
  peri_answer(B, 0, result);
  return PERI_OK;
}

#define POWER(row, operation, more, text)                                                                              \
  static const peri_op row = {                                                                                         \
      .name = operation,                                                                                               \
      .flags = more,                                                                                                   \
      .outputs = 1,                                                                                                    \
      .params = {{"A", PERI_KIND_TENSOR}, {"n", PERI_KIND_INTEGER}},                                                   \
      .infer = infer_square,                                                                                           \
      .compose = compose_power,                                                                                        \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3, 3), 5}, {T(2, 2, 2), 2}, {T(3, 3), 0}, {T(3, 3) + peri.eye(3) * 3, -2}, {T(2, 2), 1}",          \
      .doc = text,                                                                                                     \
  };
POWER(row_matrix_power, "matrix_power", 0,
      "matrix_power(A, n) -> tensor\n"
      "The product of n square matrices A (... x m x m), by repeated squaring; 0 gives the identity, and a negative n "
      "takes the inverse first (whose bits are the processor's; a singular A is an error). Floats only.")
POWER(row_linalg_power, "linalg.matrix_power", PERI_OP_NO_METHOD,
      "linalg.matrix_power(A, n) -> tensor\nThe same as matrix_power.")

/* The sizes of a chain: matrix i is size[i] x size[i + 1]. A vector may stand at either end. */
#define MOST_MATRICES 64

typedef struct chain {
  int count;
  bool row, column; /* a vector begins, ends */
  int64_t size[MOST_MATRICES + 1];
} chain;

static peri_status read_chain(peri_call *call, chain *c) {
  const peri_arg *list = &call->args[0];
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  c->count = list->count;
  if (c->count > MOST_MATRICES)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "there are %d tensors (expected at most %d)", c->count,
                          MOST_MATRICES);
  call->dtype = list->tensors[0]->layout.dtype;
  for (int i = 0; i < c->count; i++) {
    const peri_layout *x = &list->tensors[i]->layout;
    bool end = c->count > 1 && (i == 0 || i == c->count - 1);
    if (!peri_is_float(x->dtype) || x->dtype != call->dtype)
      return peri_call_fail(call, PERI_ERR_ARGUMENT,
                            "tensor %d is %s but tensor 1 is %s (expected floats of one dtype)", i + 1,
                            peri_dtype_name(x->dtype), peri_dtype_name(call->dtype));
    if (x->ndim != 2 && !(end && x->ndim == 1))
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s (expected a matrix, or at the ends a vector)",
                            i + 1, peri_shape_text(x->ndim, x->shape, s));
    bool row = x->ndim == 1 && i == 0, column = x->ndim == 1 && i > 0;
    int64_t rows = row ? 1 : x->shape[0], columns = column ? 1 : x->shape[x->ndim - 1];
    if (i > 0 && c->size[i] != rows) {
      const peri_layout *before = &list->tensors[i - 1]->layout;
      return peri_call_fail(
          call, PERI_ERR_ARGUMENT, "tensor %d is %s but tensor %d is %s (the inner sizes must be equal)", i,
          peri_shape_text(before->ndim, before->shape, s), i + 1, peri_shape_text(x->ndim, x->shape, t));
    }
    if (i == 0) c->row = row;
    c->column = column;
    c->size[i] = rows;
    c->size[i + 1] = columns;
  }
  return PERI_OK;
}

static peri_status infer_chain(peri_call *call) {
  chain c;
  int64_t shape[2];
  int ndim = 0;
  PERI_TRY(read_chain(call, &c));
  if (!c.row) shape[ndim++] = c.size[0];
  if (!c.column) shape[ndim++] = c.size[c.count];
  return peri_infer_output(call, 0, call->dtype, ndim, shape);
}

/* The product of matrices from .. to, cut where that was found cheapest. */
static peri_value multiply_chain(peri_call *call, peri_backward *B, int8_t cut[][MOST_MATRICES], int from, int to) {
  if (from == to) return peri_of(call->args[0].tensors[from]);
  int last = cut[from][to];
  return peri_step_matmul(B, multiply_chain(call, B, cut, from, last), multiply_chain(call, B, cut, last + 1, to),
                          false, false);
}

/* Cormen, Leiserson, Rivest and Stein, Introduction to Algorithms, 15.2 */
static peri_status compose_chain(peri_backward *B) {
  peri_call *call = B->call;
  chain c;
  double cost[MOST_MATRICES][MOST_MATRICES];
  int8_t cut[MOST_MATRICES][MOST_MATRICES];
  PERI_TRY(read_chain(call, &c));
  for (int i = 0; i < c.count; i++) cost[i][i] = 0;
  for (int length = 1; length < c.count; length++) {
    for (int i = 0; i + length < c.count; i++) {
      int j = i + length;
      for (int k = i; k < j; k++) {
        double product = (double)c.size[i] * (double)c.size[k + 1] * (double)c.size[j + 1];
        double whole = cost[i][k] + cost[k + 1][j] + product;
        if (k > i && whole >= cost[i][j]) continue;
        cost[i][j] = whole;
        cut[i][j] = (int8_t)k;
      }
    }
  }
  peri_answer(B, 0, multiply_chain(call, B, cut, 0, c.count - 1));
  return PERI_OK;
}

#define CHAIN(row, operation, one_by_one, samples, text)                                                               \
  static const peri_op row = {                                                                                         \
      .name = operation,                                                                                               \
      .flags = PERI_OP_NO_METHOD,                                                                                      \
      .outputs = 1,                                                                                                    \
      .params = {{"tensors", PERI_KIND_TENSORS, .spread = one_by_one}},                                                \
      .infer = infer_chain,                                                                                            \
      .compose = compose_chain,                                                                                        \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = samples,                                                                                               \
      .doc = text,                                                                                                     \
  };
CHAIN(row_multi_dot, "linalg.multi_dot", false,
      "{{T(2, 5), T(5, 3), T(3, 4)}}, {{T(4), T(4, 3), T(3)}}, {{T(3), T(3)}}, {{T(2, 2)}}",
      "linalg.multi_dot(tensors) -> tensor\n"
      "The product of a list of matrices, in the order that takes fewest multiplications; the first may be a vector, "
      "which is a row, and the last one, which is a column. Floats of one dtype.")
CHAIN(
    row_chain_matmul, "chain_matmul", true, "{T(2, 5), T(5, 3), T(3, 4)}, {{T(2, 3), T(3, 1)}}",
    "chain_matmul(matrices...) -> tensor\nThe same as linalg.multi_dot; the matrices stand one after the other or in a "
    "table.")

const peri_op *const peri_ops_products[] = {
    &row_outer, &row_ger,          &row_kron,      &row_addmm,        &row_addmv,        &row_baddbmm,      &row_addbmm,
    &row_cross, &row_linalg_cross, &row_multi_dot, &row_chain_matmul, &row_matrix_power, &row_linalg_power, NULL};
