/* Matrix products and the fused row of a dense layer. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- matrices as BLAS takes them ---- */

/* A matrix over a tensor's memory: rows x columns, op by a transpose flag. */
typedef struct matrix {
  const char *data;
  int64_t rows, columns, lead;
  bool transposed;
} matrix;

/* The last two dimensions, when their strides are such that BLAS can read them. */
static bool as_matrix(const peri_view *x, matrix *out) {
  int n = x->layout.ndim;
  int64_t rows = x->layout.shape[n - 2], columns = x->layout.shape[n - 1];
  int64_t down = x->layout.strides[n - 2], along = x->layout.strides[n - 1];
  *out = (matrix){.data = x->data, .rows = rows, .columns = columns};
  if ((along == 1 || columns == 1) && (rows == 1 || down >= peri_max(columns, 1))) {
    out->lead = rows == 1 ? peri_max(columns, 1) : down;
    return true;
  }
  if ((down == 1 || rows == 1) && (columns == 1 || along >= peri_max(rows, 1))) {
    out->lead = columns == 1 ? peri_max(rows, 1) : along;
    out->transposed = true;
    return true;
  }
  return false;
}

/* A view in the call's dtype and in memory that BLAS can read: itself, or a copy. */
typedef struct operand {
  matrix matrix;
  const peri_layout *layout;
  peri_tensor *own; /* the copy, or NULL */
} operand;

static peri_status readable(peri_call *call, const peri_view *x, operand *out) {
  out->own = NULL;
  out->layout = &x->layout;
  if (x->layout.dtype == call->dtype && as_matrix(x, &out->matrix)) return PERI_OK;
  PERI_TRY(peri_view_copy(call->context, x, call->dtype, &out->own));
  out->layout = &out->own->layout;
  as_matrix(&out->own->view, &out->matrix);
  return PERI_OK;
}

static peri_status multiply(peri_call *call, const matrix *a, bool flip_a, const matrix *b, bool flip_b, double beta,
                            char *y, int64_t m, int64_t n, int64_t k) {
  return peri_gemm(call->context, call->dtype, a->transposed != flip_a, b->transposed != flip_b, m, n, k, 1, a->data,
                   a->lead, b->data, b->lead, beta, y, peri_max(n, 1));
}

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

static peri_status matmul_mismatch(peri_call *call) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  const peri_layout *x = &call->args[0].tensor->layout, *y = &call->args[1].tensor->layout;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "a is %s%s but b is %s%s (the inner sizes must be equal and the others broadcast)",
                        peri_shape_text(x->ndim, x->shape, a), call->args[2].integer ? " transposed" : "",
                        peri_shape_text(y->ndim, y->shape, b), call->args[3].integer ? " transposed" : "");
}

/* The result has no dimension for a vector, so that it can stand in one way only. */
static peri_status vector_transposed(peri_call *call, int arg) {
  char text[PERI_SHAPE_TEXT];
  const peri_layout *x = &call->args[arg].tensor->layout;
  return peri_call_fail(
      call, PERI_ERR_ARGUMENT, "%s is %s and %s is true (a vector cannot be transposed; unsqueeze it)",
      call->op->params[arg].name, peri_shape_text(x->ndim, x->shape, text), call->op->params[arg + 2].name);
}

/* note: m, n, k, count of batches */
static peri_status infer_matmul(peri_call *call) {
  const peri_tensor *x = call->args[0].tensor, *y = call->args[1].tensor;
  bool flip_a = call->args[2].integer, flip_b = call->args[3].integer;
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
  call->note[3] = 1;
  for (int d = 0; d < n - 2; d++) {
    int64_t sa = d < n - na ? 1 : a.layout.shape[d - (n - na)], sb = d < n - nb ? 1 : b.layout.shape[d - (n - nb)];
    if (sa != sb && sa != 1 && sb != 1) return matmul_mismatch(call);
    out->shape[out->ndim++] = sa == 1 ? sb : sa;
    call->note[3] *= sa == 1 ? sb : sa;
  }
  if (x->layout.ndim > 1) out->shape[out->ndim++] = rows;
  if (y->layout.ndim > 1) out->shape[out->ndim++] = columns;
  memcpy(call->note, (int64_t[]){rows, columns, inner}, 3 * sizeof(int64_t));
  return peri_layout_contiguous(call->context, call->op->name, out);
}

/* How far batch i's matrix lies from the first: the batch dimensions of x are broadcast to those of y. */
static int64_t batch_offset(const peri_layout *x, const peri_layout *y, int64_t batch) {
  int64_t offset = 0;
  for (int d = y->ndim - 3, own = x->ndim - 3; d >= 0; d--, own--) {
    int64_t at = batch % y->shape[d];
    batch /= y->shape[d];
    if (own >= 0 && x->shape[own] != 1) offset += at * x->strides[own];
  }
  return offset * (int64_t)peri_dtype_size(x->dtype);
}

static peri_status run_matmul(peri_call *call) {
  peri_view a = as_at_least_matrix(call->args[0].tensor, true), b = as_at_least_matrix(call->args[1].tensor, false);
  peri_tensor *y = call->outputs[0].tensor;
  operand left, right;
  int64_t m = call->note[0], n = call->note[1], k = call->note[2], batches = call->note[3];
  if (y->layout.numel == 0) return PERI_OK;
  PERI_TRY(readable(call, &a, &left));
  peri_status status = readable(call, &b, &right);
  if (status == PERI_OK) {
    /* the output with its matrix dimensions, also where a vector has dropped one */
    peri_layout batched = {.ndim = (a.layout.ndim > b.layout.ndim ? a.layout.ndim : b.layout.ndim)};
    memcpy(batched.shape, y->layout.shape, (size_t)peri_max(batched.ndim - 2, 0) * sizeof(int64_t));
    for (int64_t i = 0; i < batches && status == PERI_OK; i++) {
      matrix ma = left.matrix, mb = right.matrix;
      ma.data += batch_offset(left.layout, &batched, i);
      mb.data += batch_offset(right.layout, &batched, i);
      status = multiply(call, &ma, call->args[2].integer, &mb, call->args[3].integer, 0,
                        y->data + (size_t)(i * m * n) * peri_dtype_size(call->dtype), m, n, k);
    }
    peri_tensor_release(&right.own);
  }
  peri_tensor_release(&left.own);
  return status;
}

static peri_value as_column(peri_backward *B, peri_value g, bool last) {
  int64_t shape[PERI_MAX_DIMS];
  if (B->formula->status != PERI_OK) return g;
  const peri_layout *layout = &g.tensor->layout;
  int place = last ? layout->ndim : layout->ndim - 1;
  for (int d = 0, from = 0; d <= layout->ndim; d++) shape[d] = d == (place < 0 ? 0 : place) ? 1 : layout->shape[from++];
  return peri_step_reshape(B, g, layout->ndim + 1, shape);
}

/* C = op(A) op(B): gA = g op(B)' and gB = op(A)' g, transposed again where A or B was. */
static peri_status grad_matmul(peri_backward *B) {
  peri_value a = peri_of(B->args[0].tensor), b = peri_of(B->args[1].tensor), g = peri_of(B->grad_outputs[0]);
  bool vector_a = B->layouts[0]->ndim == 1, vector_b = B->layouts[1]->ndim == 1;
  bool flip_a = B->args[2].integer, flip_b = B->args[3].integer;
  int64_t row[2] = {1, B->layouts[0]->numel}, column[2] = {B->layouts[1]->numel, 1};
  if (vector_b) g = as_column(B, g, true);
  if (vector_a) g = as_column(B, g, false);
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
    .grad = grad_matmul,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), T(4, 2)}, {T(4), T(4)}, {T(3, 4), T(4)}, {T(3), T(3, 4)}, {T(2, 3, 4), T(4, 5)}, {T(2, 1, 3, "
              "4), T(3, 4, 2)}, "
              "{T(4, 3), T(2, 4), {transpose_a = true, transpose_b = true}}, {T(3, 0), T(0, 2)}, {T(2, 3, 4), T(4)}, "
              "{T(3), T(2, 3, 4)}",
    .doc = "matmul(a, b, {transpose_a = false, transpose_b = false}) -> tensor\n"
           "The matrix product of the last two dimensions, the others broadcast; a vector is a row on the left and a "
           "column on the right, and is not transposed. Floats only (OpenBLAS).",
};

/* ---- linear ---- */

/* Up to this many outputs the rows of the bias are copied one by one, without the iterator. */
#define SMALL_BIAS 32768

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

/* The rows that linear can apply, in the order of its choices. */
static const peri_op *const activations[] = {NULL, &peri_op_tanh, &peri_op_relu, &peri_op_sigmoid};

static peri_status activate(peri_call *call, peri_tensor *y) {
  if (call->args[3].integer == 0) return PERI_OK;
  int id = activations[call->args[3].integer]->id;
  return peri_apply_loop(call->context->kernels->elementwise->unary[id][call->dtype], y, y);
}

/* Every row of y, rows x outputs, becomes the bias, to which the product is added. */
static peri_status write_bias(peri_call *call, const peri_tensor *bias) {
  peri_tensor *y = call->outputs[0].tensor;
  if (!bias->contiguous || y->layout.numel > SMALL_BIAS) {
    return peri_view_copy_into(call->context, &y->view, &bias->view);
  }
  size_t bytes = (size_t)bias->layout.numel * peri_dtype_size(call->dtype);
  char *end = y->data + (size_t)call->note[0] * bytes;
  for (char *row = y->data; row < end; row += bytes) memcpy(row, bias->data, bytes);
  return PERI_OK;
}

/* x as rows of its last dimension: itself when it is a matrix. */
static peri_status readable_rows(peri_call *call, operand *out) {
  const peri_view *x = &call->args[0].tensor->view;
  if (x->layout.ndim == 2) return readable(call, x, out);
  int64_t rows = call->note[0], inputs = call->note[2];
  out->matrix = (matrix){.rows = rows, .columns = inputs, .lead = peri_max(inputs, 1)};
  return peri_view_contiguous(call->context, x, &out->matrix.data, &out->own);
}

static peri_status run_linear(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  operand x, weight;
  int64_t rows = call->note[0], outputs = call->note[1], inputs = call->note[2];
  if (y->layout.numel == 0) return PERI_OK;
  if (call->args[2].given) PERI_TRY(write_bias(call, call->args[2].tensor));
  PERI_TRY(readable(call, &call->args[1].tensor->view, &weight));
  peri_status status = readable_rows(call, &x);
  if (status == PERI_OK) {
    status = multiply(call, &x.matrix, false, &weight.matrix, true, call->args[2].given ? 1 : 0, y->data, rows, outputs,
                      inputs);
    peri_tensor_release(&x.own);
  }
  peri_tensor_release(&weight.own);
  if (status == PERI_OK) status = activate(call, y);
  return status;
}

/* z = x W' + b, y = act(z): gz = g act'(z) from y; gx = gz W, gW = gz' x, gb = sum of gz over rows. */
static peri_value activation_gradient(peri_backward *B, peri_value g) {
  if (B->args[3].integer == 0) return g;
  return peri_step_derivative(B, activations[B->args[3].integer], g, peri_of(B->outputs[0]));
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
               {"activation", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = "none tanh relu sigmoid"}},
    .infer = infer_linear,
    .run = run_linear,
    .grad = grad_linear,
    .low = -1,
    .high = 1,
    .sample = "{T(5, 3), T(2, 3), T(2)}, {T(5, 3), T(2, 3)}, {T(3), T(2, 3), T(2)}, {T(2, 4, 3), T(2, 3), T(2), "
              "{activation = 'tanh'}}, "
              "{T(5, 3), T(2, 3), T(2), {activation = 'sigmoid'}}, {T(5, 3), T(2, 3), T(2), {activation = 'relu'}}",
    .doc = "linear(x, weight, bias, {activation = 'none'}) -> tensor\n"
           "x weight' + bias over the last dimension of x: x is ... x inputs, weight outputs x inputs, bias outputs or "
           "left out; then tanh, relu or sigmoid if asked. Floats of one dtype.",
};

const peri_op *const peri_ops_matrix[] = {&peri_op_matmul, &peri_op_linear, NULL};
