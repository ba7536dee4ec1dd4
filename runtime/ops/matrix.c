/* Matrix products and the fused row of a dense layer. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"
#include "product/product.h"

/* ---- operands ---- */

/* A view in the call's dtype: itself, or a copy. */
static peri_status in_dtype(peri_call *call, const peri_view *x, peri_view *out, peri_tensor **own) {
  *own = NULL;
  *out = *x;
  if (x->layout.dtype == call->dtype) return PERI_OK;
  PERI_TRY(peri_view_copy(call->context, x, call->dtype, own));
  *out = (*own)->view;
  return PERI_OK;
}

/* The last two dimensions as the rows of A, which lie along the second of them, or transposed along the first. */
static peri_operand rows_of(const peri_view *x, bool transposed) {
  const peri_layout *layout = &x->layout;
  int64_t down = layout->strides[layout->ndim - 2], along = layout->strides[layout->ndim - 1];
  return (peri_operand){.data = x->data, .along = transposed ? along : down, .step = transposed ? down : along};
}

static peri_operand columns_of(const peri_view *x, bool transposed) { return rows_of(x, !transposed); }

/* ---- matmul ---- */

/* A vector counts as a row on the left, as a column on the right. */
static peri_view as_at_least_matrix(const peri_tensor *x, bool left) {
  peri_view y = x->view;
  if (x->layout.ndim != 1) return y;
  y.layout.ndim = 2;
  y.layout.shape[0] = left ? 1 : x->layout.shape[0];
  y.layout.shape[1] = left ? x->layout.shape[0] : 1;
  y.layout.strides[0] = left ? x->layout.shape[0] * x->layout.strides[0] : x->layout.strides[0];
  y.layout.strides[1] = left ? x->layout.strides[0] : 1;
  return y;
}

enum { ROWS, COLUMNS, INNER, BATCHES, FLIP_A, FLIP_B }; /* notes of products */

static peri_status matmul_mismatch(peri_call *call) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  const peri_layout *x = &call->args[0].tensor->layout, *y = &call->args[1].tensor->layout;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "a is %s%s but b is %s%s (the inner sizes must be equal and the others broadcast)",
                        peri_shape_text(x->ndim, x->shape, a), call->note[FLIP_A] ? " transposed" : "",
                        peri_shape_text(y->ndim, y->shape, b), call->note[FLIP_B] ? " transposed" : "");
}

/* The result has no dimension for a vector, so that it can stand in one way only. */
static peri_status vector_transposed(peri_call *call, int arg) {
  char text[PERI_SHAPE_TEXT];
  const peri_layout *x = &call->args[arg].tensor->layout;
  return peri_call_fail(
      call, PERI_ERR_ARGUMENT, "%s is %s and %s is true (a vector cannot be transposed; unsqueeze it)",
      call->op->params[arg].name, peri_shape_text(x->ndim, x->shape, text), call->op->params[arg + 2].name);
}

static peri_status infer_product(peri_call *call, bool flip_a, bool flip_b) {
  const peri_tensor *x = call->args[0].tensor, *y = call->args[1].tensor;
  call->note[FLIP_A] = flip_a;
  call->note[FLIP_B] = flip_b;
  if (x->layout.ndim == 0 || y->layout.ndim == 0) return matmul_mismatch(call);
  if (flip_a && x->layout.ndim == 1) return vector_transposed(call, 0);
  if (flip_b && y->layout.ndim == 1) return vector_transposed(call, 1);
  PERI_TRY(peri_infer_promote(call, 0, 2, &call->dtype));
  if (!peri_is_float(call->dtype)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "a and b are %s and %s (expected float32 or float64)",
                          peri_dtype_name(x->layout.dtype), peri_dtype_name(y->layout.dtype));
  }
  peri_view a = as_at_least_matrix(x, true), b = as_at_least_matrix(y, false);
  int na = a.layout.ndim, nb = b.layout.ndim, n = na > nb ? na : nb;
  int64_t rows = a.layout.shape[na - (flip_a ? 1 : 2)], inner = a.layout.shape[na - (flip_a ? 2 : 1)];
  int64_t inner_b = b.layout.shape[nb - (flip_b ? 1 : 2)], columns = b.layout.shape[nb - (flip_b ? 2 : 1)];
  peri_layout *out = &call->outputs[0].layout;
  *out = (peri_layout){.dtype = call->dtype};
  if (inner != inner_b) return matmul_mismatch(call);
  call->note[BATCHES] = 1;
  for (int d = 0; d < n - 2; d++) {
    int64_t sa = d < n - na ? 1 : a.layout.shape[d - (n - na)], sb = d < n - nb ? 1 : b.layout.shape[d - (n - nb)];
    if (sa != sb && sa != 1 && sb != 1) return matmul_mismatch(call);
    out->shape[out->ndim++] = sa == 1 ? sb : sa;
    call->note[BATCHES] *= sa == 1 ? sb : sa;
  }
  if (x->layout.ndim > 1) out->shape[out->ndim++] = rows;
  if (y->layout.ndim > 1) out->shape[out->ndim++] = columns;
  memcpy(call->note, (int64_t[]){rows, columns, inner}, 3 * sizeof(int64_t));
  return peri_layout_contiguous(call->context, peri_call_name(call), out);
}

static peri_status infer_matmul(peri_call *call) {
  return infer_product(call, call->args[2].integer, call->args[3].integer);
}

/* The strides of x's batch dimensions, broadcast to the `dims` of the result. */
static void batch_strides(const peri_layout *x, int dims, int64_t *strides) {
  int own = x->ndim - 2;
  for (int d = 0; d < dims; d++) {
    int at = d - (dims - own);
    strides[d] = at < 0 || x->shape[at] == 1 ? 0 : x->strides[at];
  }
}

static peri_product product_of(const peri_call *call, const peri_view *a, const peri_view *b, bool onto_zeros) {
  const peri_tensor *y = call->outputs[0].tensor;
  return (peri_product){
      .dtype = call->dtype,
      .m = call->note[ROWS],
      .n = call->note[COLUMNS],
      .k = call->note[INNER],
      .a = rows_of(a, call->note[FLIP_A]),
      .b = columns_of(b, call->note[FLIP_B]),
      .c = y->data,
      .ldc = call->note[COLUMNS],
      .onto_zeros = onto_zeros,
      .batch_dims = (a->layout.ndim > b->layout.ndim ? a->layout.ndim : b->layout.ndim) - 2,
      .batch_shape = y->layout.shape,
  };
}

static peri_status multiply(peri_call *call, const peri_view *a, const peri_view *b, bool onto_zeros) {
  int64_t strides_a[PERI_MAX_DIMS], strides_b[PERI_MAX_DIMS];
  peri_product product = product_of(call, a, b, onto_zeros);
  batch_strides(&a->layout, product.batch_dims, strides_a);
  batch_strides(&b->layout, product.batch_dims, strides_b);
  product.batch_a = strides_a;
  product.batch_b = strides_b;
  return peri_multiply(call->context, &product);
}

static bool is_matrix(const peri_call *call, const peri_tensor *x) {
  return x->layout.dtype == call->dtype && x->layout.ndim > 1;
}

static peri_status multiply_call(peri_call *call, bool onto_zeros) {
  const peri_tensor *x = call->args[0].tensor, *y = call->args[1].tensor;
  peri_tensor *own_left = NULL, *own_right = NULL;
  if (call->outputs[0].tensor->layout.numel == 0) return PERI_OK;
  if (is_matrix(call, x) && is_matrix(call, y)) return multiply(call, &x->view, &y->view, onto_zeros);
  peri_view left = as_at_least_matrix(x, true), right = as_at_least_matrix(y, false), a, b;
  PERI_TRY(in_dtype(call, &left, &a, &own_left));
  peri_status status = in_dtype(call, &right, &b, &own_right);
  if (status == PERI_OK) {
    status = multiply(call, &a, &b, onto_zeros);
    peri_tensor_release(&own_right);
  }
  peri_tensor_release(&own_left);
  return status;
}

/* What is done with a strip of a linear layer's product while it is in cache. */
typedef struct activation {
  peri_loop1 loop;
  int64_t size;
} activation;

/* Of a product, or a linear layer, that is ready. */
typedef struct ready_product {
  peri_product product;
  activation f;
} ready_product;
_Static_assert(sizeof(ready_product) <= PERI_READY_BYTES, "a product that is ready has its room");

static ready_product *product_at(peri_ready *ready) { return (ready_product *)(void *)ready->note; }

static peri_product *find_operands(peri_ready *ready) {
  const peri_call *call = ready->call;
  peri_product *product = &product_at(ready)->product;
  product->a.data = call->args[0].tensor->data;
  product->b.data = call->args[1].tensor->data;
  product->c = call->outputs[0].tensor->data;
  return product;
}

static peri_status run_ready_matmul(peri_ready *ready) {
  return peri_multiply(ready->call->context, find_operands(ready));
}

static bool ready_matmul(const peri_call *call, bool onto_zeros, peri_ready *ready) {
  const peri_tensor *x = call->args[0].tensor, *y = call->args[1].tensor;
  if (!is_matrix(call, x) || !is_matrix(call, y) || x->layout.ndim > 2 || y->layout.ndim > 2) return false;
  product_at(ready)->product = product_of(call, &x->view, &y->view, onto_zeros);
  ready->run = run_ready_matmul;
  return true;
}

static peri_status run_matmul(peri_call *call) { return multiply_call(call, false); }
static peri_status run_matmul_onto_zeros(peri_call *call) { return multiply_call(call, true); }

/* In lanes: matrices of one dtype, and chains of one block. */
static bool product_fits_lanes(const peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  return a->ndim == 2 && b->ndim == 2 && a->dtype == call->dtype && b->dtype == call->dtype &&
         call->note[INNER] <= PERI_BLOCK;
}

/* Rows of a by columns of b, of a network whose dimensions are the first two. */
static peri_lane_product lane_product(peri_call *call, bool flip_a, bool flip_b) {
  const peri_tensor *a = call->args[0].tensor, *b = call->args[1].tensor;
  const int64_t *x = a->layout.strides, *y = b->layout.strides;
  return (peri_lane_product){.m = call->note[ROWS],
                             .n = call->note[COLUMNS],
                             .k = call->note[INNER],
                             .a = a->data,
                             .b = b->data,
                             .a_along = x[flip_a] / PERI_LANES,
                             .a_step = x[!flip_a] / PERI_LANES,
                             .b_along = y[!flip_b] / PERI_LANES,
                             .b_step = y[flip_b] / PERI_LANES,
                             .c = call->outputs[0].tensor->data};
}

static peri_status run_matmul_lanes(peri_call *call) {
  const peri_lane_product product = lane_product(call, call->note[FLIP_A], call->note[FLIP_B]);
  peri_multiply_lanes(call->context, call->dtype, &product);
  return PERI_OK;
}

peri_value peri_step_as_matrix(peri_backward *B, peri_value g, bool column) {
  int64_t shape[PERI_MAX_DIMS];
  if (B->formula->status != PERI_OK || g.tensor == NULL) return g;
  const peri_layout *layout = &g.tensor->layout;
  int place = column ? layout->ndim : layout->ndim - 1;
  for (int d = 0, from = 0; d <= layout->ndim; d++) shape[d] = d == (place < 0 ? 0 : place) ? 1 : layout->shape[from++];
  return peri_step_reshape(B, g, layout->ndim + 1, shape);
}

/* C = op(A) op(B): gA = g op(B)' and gB = op(A)' g, transposed again where A or B was. */
static peri_status grad_matmul(peri_backward *B) {
  peri_value a = peri_of(B->args[0].tensor), b = peri_of(B->args[1].tensor), g = peri_of(B->grad_outputs[0]);
  bool vector_a = B->layouts[0]->ndim == 1, vector_b = B->layouts[1]->ndim == 1;
  bool flip_a = B->note[FLIP_A], flip_b = B->note[FLIP_B];
  int64_t row[2] = {1, B->layouts[0]->numel}, column[2] = {B->layouts[1]->numel, 1};
  if (vector_b) g = peri_step_as_matrix(B, g, true);
  if (vector_a) g = peri_step_as_matrix(B, g, false);
  if (vector_a) a = peri_step_reshape(B, a, 2, row);
  if (vector_b) b = peri_step_reshape(B, b, 2, column);
  if (B->needs[0]) {
    peri_value ga = flip_a ? peri_step_matmul(B, b, g, flip_b, true) : peri_step_matmul(B, g, b, false, !flip_b);
    if (vector_a && !vector_b && B->layouts[1]->ndim > 2) ga = peri_step_sum(B, ga, 1, (int64_t[]){0}, false);
    if (vector_a && B->formula->status == PERI_OK && ga.tensor->layout.numel == B->layouts[0]->numel) {
      ga = peri_step_reshape(B, ga, 1, B->layouts[0]->shape);
    }
    peri_answer(B, 0, ga);
  }
  if (B->needs[1]) {
    peri_value gb = flip_b ? peri_step_matmul(B, g, a, true, flip_a) : peri_step_matmul(B, a, g, !flip_a, false);
    if (vector_b && B->formula->status == PERI_OK) {
      int dims = gb.tensor->layout.ndim - 2;
      int64_t all[PERI_MAX_DIMS] = {0, 1, 2, 3, 4, 5, 6, 7};
      if (dims > 0) gb = peri_step_sum(B, gb, dims, all, false);
      gb = peri_step_reshape(B, gb, 1, B->layouts[1]->shape);
    }
    peri_answer(B, 1, gb);
  }
  return PERI_OK;
}

const peri_op peri_op_matmul = {
    .name = "matmul",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR},
               {"b", PERI_KIND_TENSOR},
               {"transpose_a", PERI_KIND_BOOL, .optional = true, .named = true},
               {"transpose_b", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_matmul,
    .run = run_matmul,
    .run_onto_zeros = PERI_FULL(run_matmul_onto_zeros),
    .ready = PERI_FULL(ready_matmul),
    .run_lanes = PERI_FULL(run_matmul_lanes),
    .lanes_fit = PERI_FULL(product_fits_lanes),
    .grad = PERI_FULL(grad_matmul),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), T(4, 2)}, {T(4), T(4)}, {T(3, 4), T(4)}, {T(3), T(3, 4)}, {T(2, 3, 4), T(4, 5)}, {T(2, 1, 3, "
              "4), T(3, 4, 2)}, "
              "{T(4, 3), T(2, 4), {transpose_a = true, transpose_b = true}}, {T(3, 0), T(0, 2)}, {T(2, 3, 4), T(4)}, "
              "{T(3), T(2, 3, 4)}",
    .doc = "matmul(a, b, {transpose_a = false, transpose_b = false}) -> tensor\n"
           "The matrix product of the last two dimensions, the others broadcast; a vector is a row on the left and a "
           "column on the right, and is not transposed. Floats only.",
};

/* ---- the same of operands that have so many dimensions ---- */

static peri_status infer_strict(peri_call *call, int dims_a, int dims_b) {
  for (int i = 0; i < 2; i++) {
    const peri_layout *x = &call->args[i].tensor->layout;
    int expected = i == 0 ? dims_a : dims_b;
    char text[PERI_SHAPE_TEXT];
    if (x->ndim == expected) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s; matmul takes all)", call->op->params[i].name,
                          peri_shape_text(x->ndim, x->shape, text),
                          expected == 1   ? "a vector"
                          : expected == 2 ? "a matrix"
                                          : "a batch of matrices, batch x rows x columns");
  }
  return infer_product(call, false, false);
}

static peri_status infer_dot(peri_call *call) { return infer_strict(call, 1, 1); }
static peri_status infer_mv(peri_call *call) { return infer_strict(call, 2, 1); }
static peri_status infer_mm(peri_call *call) { return infer_strict(call, 2, 2); }

static peri_status infer_bmm(peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  PERI_TRY(infer_strict(call, 3, 3));
  return a->shape[0] == b->shape[0] ? PERI_OK : matmul_mismatch(call);
}

#define STRICT(operation, dims, samples, text)                                                                         \
  static const peri_op row_##operation = {                                                                             \
      .name = #operation,                                                                                              \
      .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),                                                                \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},                                                    \
      .infer = infer_##dims,                                                                                           \
      .run = run_matmul,                                                                                               \
      .grad = PERI_FULL(grad_matmul),                                                                                  \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = samples,                                                                                               \
      .doc = text,                                                                                                     \
  };

STRICT(dot, dot, "{T(4), T(4)}, {T(0), T(0)}",
       "dot(a, b) -> tensor\nThe sum of the products of two vectors of one length: a tensor without dimensions. Floats "
       "only; vectors of other dimensions or lengths are an error.")
STRICT(vdot, dot, "{T(4), T(4)}, {T(1), T(1)}", "vdot(a, b) -> tensor\nThe same as dot: no number here is complex.")
STRICT(mv, mv, "{T(3, 4), T(4)}, {T(0, 2), T(2)}",
       "mv(a, b) -> tensor\nThe product of a matrix (n x m) and a vector (m), of n elements. Floats only.")
STRICT(
    mm, mm, "{T(3, 4), T(4, 2)}, {T(2, 0), T(0, 2)}",
    "mm(a, b) -> tensor\nThe product of two matrices, n x m and m x p. Floats only; matmul takes vectors and batches, "
    "too.")
STRICT(bmm, bmm, "{T(2, 3, 4), T(2, 4, 2)}, {T(0, 2, 3), T(0, 3, 1)}",
       "bmm(a, b) -> tensor\nThe products of the matrices of two batches, b x n x m and b x m x p, one by one. Floats "
       "only; matmul broadcasts batches.")

/* ---- linear ---- */

/* note: rows, outputs, inputs */
static peri_status infer_linear(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *weight = &call->args[1].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (weight->ndim != 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight is %s (expected outputs x inputs)",
                          peri_shape_text(weight->ndim, weight->shape, b));
  }
  if (x->ndim == 0 || x->shape[x->ndim - 1] != weight->shape[1]) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s but weight is %s (expected x's last dimension to be %lld)",
                          peri_shape_text(x->ndim, x->shape, a), peri_shape_text(weight->ndim, weight->shape, b),
                          (long long)weight->shape[1]);
  }
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  PERI_TRY(peri_infer_same_dtype(call, 0, 2));
  if (call->args[2].given) {
    const peri_layout *bias = &call->args[2].tensor->layout;
    if (bias->ndim != 1 || bias->shape[0] != weight->shape[0]) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "bias is %s but weight is %s (expected %lld values)",
                            peri_shape_text(bias->ndim, bias->shape, a),
                            peri_shape_text(weight->ndim, weight->shape, b), (long long)weight->shape[0]);
    }
  }
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim - 1] = weight->shape[0];
  call->dtype = x->dtype;
  peri_layout *y = &call->outputs[0].layout;
  *y = (peri_layout){.dtype = x->dtype, .ndim = x->ndim};
  memcpy(y->shape, shape, sizeof shape);
  PERI_TRY(peri_layout_contiguous(call->context, call->op->name, y));
  int64_t rows = 1;
  for (int d = 0; d < x->ndim - 1; d++) rows *= x->shape[d];
  memcpy(call->note, (int64_t[]){rows, weight->shape[0], weight->shape[1]}, 3 * sizeof(int64_t));
  if (call->args[3].integer == 0) call->saves &= ~PERI_SAVE_OUTPUT(0);
  return PERI_OK;
}

const peri_op *const peri_activations[] = {NULL, &peri_op_tanh, &peri_op_relu, &peri_op_sigmoid};

static void activate(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t j, int64_t columns, void *c,
                     int64_t ldc) {
  const activation *f = state;
  (void)batch, (void)i, (void)j;
  if (columns == ldc) columns *= rows, rows = 1;
  for (int64_t r = 0; r < rows; r++) {
    char *row = (char *)c + r * ldc * f->size;
    f->loop(columns, row, f->size, row, f->size);
  }
}

/* x as rows of its last dimension: itself when it is a matrix. */
static peri_status rows_of_inputs(peri_call *call, peri_operand *out, peri_tensor **own) {
  const peri_view *x = &call->args[0].tensor->view;
  *own = NULL;
  if (x->layout.ndim == 2) {
    *out = rows_of(x, false);
    return PERI_OK;
  }
  const char *data;
  PERI_TRY(peri_view_contiguous(call->context, x, &data, own));
  *out = (peri_operand){.data = data, .along = call->note[2], .step = 1};
  return PERI_OK;
}

/* But for x and the bias. */
static peri_product linear_product(const peri_call *call, activation *f) {
  const int64_t outputs = call->note[1], choice = call->args[3].integer;
  peri_product product = {
      .dtype = call->dtype,
      .m = call->note[0],
      .n = outputs,
      .k = call->note[2],
      .b = columns_of(&call->args[1].tensor->view, true),
      .c = call->outputs[0].tensor->data,
      .ldc = outputs,
  };
  if (choice == 0) return product;
  f->size = (int64_t)peri_dtype_size(call->dtype);
  f->loop = call->context->kernels->elementwise->unary[peri_activations[choice]->id][call->dtype];
  product.finish = activate;
  product.state = f;
  return product;
}

static peri_status run_linear(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *own, *own_bias = NULL;
  activation f;
  peri_product product = linear_product(call, &f);
  if (y->layout.numel == 0) return PERI_OK;
  PERI_TRY(rows_of_inputs(call, &product.a, &own));
  const char *bias = NULL;
  peri_status status = PERI_OK;
  if (call->args[2].given) status = peri_view_contiguous(call->context, &call->args[2].tensor->view, &bias, &own_bias);
  product.bias = bias;
  if (status == PERI_OK) {
    struct peri_packed *held = peri_packed_hold(call->args[1].tensor, &product);
    status = peri_multiply(call->context, &product);
    peri_packed_let(held);
  }
  peri_tensor_release(&own_bias);
  peri_tensor_release(&own);
  return status;
}

static peri_status run_ready_linear(peri_ready *ready) {
  const peri_call *call = ready->call;
  peri_product *product = find_operands(ready);
  product->packed = NULL;
  if (product->bias != NULL) product->bias = call->args[2].tensor->data;
  struct peri_packed *held = peri_packed_hold(call->args[1].tensor, product);
  peri_status status = peri_multiply(call->context, product);
  peri_packed_let(held);
  return status;
}

static bool ready_linear(const peri_call *call, bool onto_zeros, peri_ready *ready) {
  const peri_tensor *x = call->args[0].tensor, *bias = call->args[2].tensor;
  ready_product *r = product_at(ready);
  if (onto_zeros || x->layout.ndim != 2 || (bias != NULL && !bias->contiguous)) return false;
  r->product = linear_product(call, &r->f);
  r->product.a = rows_of(&x->view, false);
  r->product.bias = bias != NULL ? bias->data : NULL;
  ready->run = run_ready_linear;
  return true;
}

static bool linear_fits_lanes(const peri_call *call) {
  const peri_tensor *bias = call->args[2].tensor;
  return product_fits_lanes(call) && (bias == NULL || bias->contiguous);
}

static peri_status run_linear_lanes(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *bias = call->args[2].tensor;
  const int64_t choice = call->args[3].integer, size = (int64_t)peri_dtype_size(call->dtype);
  peri_lane_product product = lane_product(call, false, true);
  if (bias != NULL) product.bias = bias->data;
  peri_multiply_lanes(call->context, call->dtype, &product);
  if (choice == 0) return PERI_OK;
  peri_loop1 loop = call->context->kernels->elementwise->unary[peri_activations[choice]->id][call->dtype];
  loop(y->layout.numel, y->data, size, y->data, size);
  return PERI_OK;
}

/* z = x W' + b, y = act(z): gz = g act'(z) from y; gx = gz W, gW = gz' x, gb = sum of gz over rows. */
static peri_value activation_gradient(peri_backward *B, peri_value g) {
  if (B->args[3].integer == 0) return g;
  return peri_step_derivative(B, peri_activations[B->args[3].integer], g, peri_of(B->outputs[0]));
}

static peri_status grad_linear(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor), weight = peri_of(B->args[1].tensor);
  peri_value gz = activation_gradient(B, peri_of(B->grad_outputs[0]));
  int64_t rows = B->note[0], outputs = B->note[1], inputs = B->note[2];
  bool flat = B->layouts[0]->ndim == 2;
  if (!flat) {
    gz = peri_step_reshape(B, gz, 2, (int64_t[]){rows, outputs});
    x = peri_step_reshape(B, x, 2, (int64_t[]){rows, inputs});
  }
  if (B->needs[0]) {
    peri_value gx = peri_step_matmul(B, gz, weight, false, false);
    peri_answer(B, 0, flat ? gx : peri_step_reshape(B, gx, B->layouts[0]->ndim, B->layouts[0]->shape));
  }
  if (B->needs[1]) peri_answer(B, 1, peri_step_matmul(B, gz, x, true, false));
  if (B->edges > 2 && B->needs[2]) peri_answer(B, 2, peri_step_sum(B, gz, 1, (int64_t[]){0}, false));
  return PERI_OK;
}

const peri_op peri_op_linear = {
    .name = "linear",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"weight", PERI_KIND_TENSOR},
               {"bias", PERI_KIND_TENSOR, .optional = true},
               {"activation", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = PERI_ACTIVATIONS}},
    .infer = infer_linear,
    .run = run_linear,
    .ready = PERI_FULL(ready_linear),
    .run_lanes = PERI_FULL(run_linear_lanes),
    .lanes_fit = PERI_FULL(linear_fits_lanes),
    .grad = PERI_FULL(grad_linear),
    .low = -1,
    .high = 1,
    .sample = "{T(5, 3), T(2, 3), T(2)}, {T(5, 3), T(2, 3)}, {T(3), T(2, 3), T(2)}, {T(2, 4, 3), T(2, 3), T(2), "
              "{activation = 'tanh'}}, "
              "{T(5, 3), T(2, 3), T(2), {activation = 'sigmoid'}}, {T(5, 3), T(2, 3), T(2), {activation = 'relu'}}",
    .doc = "linear(x, weight, bias, {activation = 'none'}) -> tensor\n"
           "x weight' + bias over the last dimension of x: x is ... x inputs, weight outputs x inputs, bias outputs or "
           "left out; then tanh, relu or sigmoid if asked. Floats of one dtype.",
};

const peri_op *const peri_ops_matrix[] = {&peri_op_matmul, &row_dot, &row_vdot,       &row_mv,
                                          &row_mm,         &row_bmm, &peri_op_linear, NULL};
