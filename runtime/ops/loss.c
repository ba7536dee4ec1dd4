/* Losses as fused rows: cross-entropy (log-softmax and negative log likelihood in one) and the
 * squared error. */
#include "ops/loss.h"

#include "kernels/kernels.h"
#include "ops/index.h"

#include <math.h>

/* ---- cross-entropy ----
 * loss_r = logsumexp(x_r) - x_r[t_r]; with probability rows, sum over j of t_rj (logsumexp(x_r) - x_rj).
 * The second, hidden output keeps softmax(x) for the gradient: p - onehot(t), or p sum_j t_rj - t_r. */

/* Called by cross_entropy alone, which has checked all: rows of logits, and classes or as many probabilities. */
static peri_status infer_rows(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  bool classes = call->args[1].tensor->layout.dtype == PERI_INT64;
  call->note[0] = classes;
  call->dtype = x->dtype;
  size_t size = peri_dtype_size(x->dtype);
  /* targets from 0, or the logarithms of the probabilities; and the losses of the rows */
  call->workspace_bytes =
      (size_t)x->shape[0] * size + (classes ? (size_t)x->shape[0] * sizeof(int64_t) : (size_t)x->numel * size);
  PERI_TRY(peri_infer_output(call, 0, x->dtype, call->args[2].integer == PERI_REDUCE_NONE ? 1 : 0, x->shape));
  return peri_infer_output(call, 1, x->dtype, 2, x->shape);
}

/* It reads none: cross_entropy has. */
static bool any_within(const peri_call *call, int arg, double *low, double *high) {
  (void)call;
  (void)arg;
  *low = -INFINITY;
  *high = INFINITY;
  return true;
}

/* losses[r] = - sum over j of t_rj log p_rj */
static void probability_losses(peri_dtype dtype, int64_t rows, int64_t n, const char *log_p, const char *t,
                               char *losses) {
  size_t size = peri_dtype_size(dtype);
  for (int64_t r = 0; r < rows; r++) {
    double total = 0;
    for (int64_t j = 0; j < n; j++) {
      size_t at = (size_t)(r * n + j) * size;
      double weight = peri_load_number(dtype, t + at);
      if (weight != 0) total -= weight * peri_load_number(dtype, log_p + at);
    }
    peri_store_number(dtype, losses + (size_t)r * size, total);
  }
}

static peri_status run_probabilities(peri_call *call, peri_tensor *x, char *losses) {
  peri_tensor *target, *p = call->outputs[1].tensor;
  int64_t rows = x->layout.shape[0], n = x->layout.shape[1];
  char *log_p = losses + (size_t)rows * peri_dtype_size(call->dtype);
  PERI_TRY(peri_log_softmax(call->context, call->dtype, rows, n, x->data, log_p));
  if (p != NULL) PERI_TRY(peri_softmax(call->context, call->dtype, rows, n, x->data, p->data));
  PERI_TRY(peri_tensor_contiguous(call->args[1].tensor, &target));
  probability_losses(call->dtype, rows, n, log_p, target->data, losses);
  peri_tensor_release(&target);
  return PERI_OK;
}

static peri_status run_classes(peri_call *call, peri_tensor *x, char *losses) {
  int64_t rows = x->layout.shape[0], n = x->layout.shape[1];
  const int64_t *target;
  PERI_TRY(peri_index_from_zero(call, 1, &target));
  peri_tensor *p = call->outputs[1].tensor;
  return peri_cross_entropy(call->context, call->dtype, rows, n, x->data, target, losses, p != NULL ? p->data : NULL);
}

/* The losses of the rows into the output, as the reduction says. */
static peri_status reduce_losses(const peri_call *call, int64_t n, const char *losses, int64_t reduction) {
  peri_tensor *y = call->outputs[0].tensor;
  size_t size = peri_dtype_size(call->dtype);
  if (reduction == PERI_REDUCE_NONE) {
    if (n > 0) memcpy(y->data, losses, (size_t)n * size);
    return PERI_OK;
  }
  if (reduction == PERI_REDUCE_SUM) return peri_reduce_sum(call->context, call->dtype, 1, n, 1, losses, y->data);
  return peri_reduce_moments(call->context, call->dtype, 1, n, 1, losses, 1, false, y->data, NULL);
}

static peri_status run_cross_entropy(peri_call *call) {
  peri_tensor *x;
  int64_t rows = call->args[0].tensor->layout.shape[0];
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  char *losses = call->workspace;
  if (call->note[0] && rows > 0) losses += (size_t)rows * sizeof(int64_t);
  peri_status status = rows == 0       ? PERI_OK
                       : call->note[0] ? run_classes(call, x, losses)
                                       : run_probabilities(call, x, losses);
  peri_tensor_release(&x);
  if (status != PERI_OK) return status;
  return reduce_losses(call, rows, losses, call->args[2].integer);
}

/* Of classes, with probabilities for a gradient. */
static peri_status run_ready(peri_ready *ready) {
  const peri_call *call = ready->call;
  const peri_tensor *x = call->args[0].tensor;
  const int64_t rows = x->layout.shape[0];
  int64_t *target = call->workspace;
  char *losses = (char *)(target + rows);
  PERI_TRY(peri_index_shift(call->args[1].tensor, target));
  PERI_TRY(peri_cross_entropy(call->context, call->dtype, rows, x->layout.shape[1], x->data, target, losses,
                              call->outputs[1].tensor->data));
  return reduce_losses(call, rows, losses, call->args[2].integer);
}

static bool is_ready(const peri_call *call, bool onto_zeros, peri_ready *ready) {
  const peri_tensor *x = call->args[0].tensor;
  ready->run = run_ready;
  return !onto_zeros && call->note[0] && x->contiguous && x->layout.numel > 0 && call->args[1].tensor->contiguous &&
         call->outputs[1].tensor != NULL;
}

/* In lanes: classes, as few as short sums take, of rows that are reduced. */
static bool fits_lanes(const peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return call->note[0] && x->shape[0] > 0 && x->shape[0] <= PERI_LANES_LONGEST && x->shape[1] <= PERI_LANES_CLASSES &&
         call->args[2].integer != PERI_REDUCE_NONE && call->outputs[1].tensor != NULL;
}

static void reduce_lanes(peri_call *call, int64_t n, const char *losses) {
  const double divisor = call->args[2].integer == PERI_REDUCE_MEAN ? (double)n : 1;
  peri_sum_lanes(call->context, call->dtype, 1, n, 1, divisor, losses, call->outputs[0].tensor->data);
}

static peri_status run_lanes(peri_call *call) {
  peri_tensor *x;
  const int64_t rows = call->args[0].tensor->layout.shape[0], n = call->args[0].tensor->layout.shape[1], *target;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  peri_status status = peri_index_from_zero(call, 1, &target);
  if (status == PERI_OK) {
    char *losses = (char *)call->workspace + (size_t)(rows * PERI_LANES) * sizeof(int64_t);
    peri_cross_entropy_lanes(call->context, call->dtype, rows, n, x->data, target, losses,
                             call->outputs[1].tensor->data);
    reduce_lanes(call, rows, losses);
  }
  peri_tensor_release(&x);
  return status;
}

/* What the mean divides the gradient of each of n losses by. */
static double divisor(const peri_backward *B, int64_t n) {
  return B->args[2].integer == PERI_REDUCE_MEAN ? (double)n : 1;
}

#define FEW_ROWS 1024 /* whose targets stand on the stack */
static peri_status fused_gradient(peri_backward *B, peri_tensor **gx) {
  peri_tensor *p = B->outputs[1], *g = B->grad_outputs[0], *own_g;
  int64_t rows = p->layout.shape[0], few[FEW_ROWS], *target = few;
  void *block = NULL;
  size_t bytes = rows > FEW_ROWS ? (size_t)rows * sizeof(int64_t) : 0;
  peri_layout layout;
  peri_layout_set(&layout, p->layout.dtype, 2, p->layout.shape);
  if (bytes > 0) {
    PERI_TRY(peri_alloc(B->context, bytes, &block));
    target = block;
  }
  peri_status status = peri_index_shift(B->args[1].tensor, target);
  if (status == PERI_OK) status = peri_tensor_contiguous(g, &own_g);
  if (status == PERI_OK) {
    status = peri_formula_new(B, &layout, gx);
    if (status == PERI_OK && rows > 0) {
      status = peri_cross_entropy_backward(B->context, layout.dtype, rows, layout.shape[1], own_g->data, g->layout.ndim,
                                           1 / divisor(B, rows), p->data, target, (*gx)->data);
      if (status != PERI_OK) peri_tensor_release(gx);
    }
    peri_tensor_release(&own_g);
  }
  if (block != NULL) peri_free(B->context, block, bytes);
  return status;
}

typedef struct ready_gradient {
  const peri_backward *B;
  peri_tensor *gx;
} ready_gradient;

static peri_status run_ready_gradient(peri_ready *ready) {
  const ready_gradient *r = (const ready_gradient *)(const void *)ready->note;
  const peri_backward *B = r->B;
  const peri_tensor *p = B->outputs[1], *g = B->grad_outputs[0];
  const int64_t rows = p->layout.shape[0];
  int64_t target[FEW_ROWS];
  PERI_TRY(peri_index_shift(B->args[1].tensor, target));
  return peri_cross_entropy_backward(B->context, p->layout.dtype, rows, p->layout.shape[1], g->data, g->layout.ndim,
                                     1 / divisor(B, rows), p->data, target, r->gx->data);
}

static bool gradient_is_ready(const peri_backward *B, peri_tensor *gx, peri_ready *ready) {
  const peri_tensor *p = B->outputs[1];
  *(ready_gradient *)(void *)ready->note = (ready_gradient){B, gx};
  ready->run = run_ready_gradient;
  return B->note[0] && p->layout.numel > 0 && p->layout.shape[0] <= FEW_ROWS && B->grad_outputs[0]->contiguous &&
         B->args[1].tensor->contiguous;
}

static peri_status grad_lanes(const peri_backward *B, peri_tensor *const *answers) {
  const peri_tensor *p = B->outputs[1], *g = B->grad_outputs[0];
  const int64_t rows = p->layout.shape[0], n = p->layout.shape[1];
  const size_t bytes = (size_t)(rows * PERI_LANES) * sizeof(int64_t);
  void *target;
  PERI_TRY(peri_alloc(B->context, bytes, &target));
  peri_status status = peri_index_shift(B->args[1].tensor, target);
  if (status == PERI_OK)
    peri_cross_entropy_lanes_backward(B->context, p->layout.dtype, rows, n, g->data, 0, 1 / divisor(B, rows), p->data,
                                      target, answers[0]->data);
  peri_free(B->context, target, bytes);
  return status;
}

static peri_status grad_cross_entropy(peri_backward *B) {
  int64_t rows = B->layouts[0]->shape[0], classes = B->layouts[0]->shape[1], column[2] = {rows, 1}, last = 1;
  peri_value target = peri_of(B->args[1].tensor), x = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[0]);
  if (B->note[0] && !B->create_graph) {
    peri_tensor *gx = NULL;
    peri_status status = fused_gradient(B, &gx);
    peri_answer(B, 0, peri_formula_own(B, status, gx));
    return PERI_OK;
  }
  if (B->args[2].integer == PERI_REDUCE_NONE) g = peri_step_reshape(B, g, 2, column);
  g = peri_step_div(B, g, peri_constant(divisor(B, rows)));
  if (B->needs[0]) {
    peri_value p = peri_apply(B, &peri_op_softmax, 1, &x), t = target;
    if (B->note[0] && B->formula->status == PERI_OK) {
      peri_call call;
      peri_step_open(B, &call, &peri_op_one_hot, 1, &target);
      call.args[1].integer = classes;
      call.args[2].integer = B->layouts[0]->dtype;
      t = peri_step_run(B, &call);
    } else {
      p = peri_step_mul(B, p, peri_step_sum(B, t, 1, &last, true));
    }
    p = peri_step_sub(B, p, t);
    peri_answer(B, 0, peri_step_mul(B, p, g));
  }
  if (!B->note[0] && B->needs[1]) {
    peri_value log_p = peri_apply(B, &peri_op_log_softmax, 1, &x);
    peri_value minus = peri_step_neg(B, log_p);
    peri_answer(B, 1, peri_step_mul(B, minus, g));
  }
  return PERI_OK;
}

const peri_op peri_op_cross_entropy_rows = {
    .name = "cross_entropy_rows",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {{"input", PERI_KIND_TENSOR}, {"target", PERI_KIND_TENSOR}, PERI_REDUCTION_PARAM},
    .infer = infer_rows,
    .reads_within = any_within,
    .run = run_cross_entropy,
    .ready = is_ready,
    .grad_ready = gradient_is_ready,
    .grad = grad_cross_entropy,
    .run_lanes = run_lanes,
    .lanes_fit = fits_lanes,
    .grad_lanes = grad_lanes,
    .doc = "cross_entropy_rows(input, target, {reduction = 'mean'}) -> tensor\n"
           "cross_entropy of a matrix without weights, of targets that are checked.",
};

/* ---- squared error ---- */

static peri_status infer_mse(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(peri_loss_alike(call, 1));
  call->dtype = x->dtype;
  call->workspace_bytes = (size_t)x->numel * peri_dtype_size(x->dtype);
  return peri_infer_output(call, 0, x->dtype, call->args[2].integer == PERI_REDUCE_NONE ? x->ndim : 0, x->shape);
}

/* (input - target)^2 into y */
typedef struct difference {
  peri_loop2 subtract;
  peri_loop1 square;
} difference;

static void squared_difference(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  const difference *loops = arg;
  loops->subtract(n, p[0], s[0], p[1], s[1], p[2], s[2]);
  loops->square(n, p[0], s[0], p[0], s[0]);
}

static peri_status run_mse(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  const peri_tensor *x = call->args[0].tensor, *target = call->args[1].tensor;
  peri_view squares = call->outputs[0].tensor->view;
  difference loops = {kernels->binary[PERI_BINARY_sub][call->dtype], kernels->unary[PERI_UNARY_square][call->dtype]};
  int64_t reduction = call->args[2].integer, n = x->layout.numel;
  peri_iterator it;
  if (reduction != PERI_REDUCE_NONE) {
    peri_layout_set(&squares.layout, call->dtype, x->layout.ndim, x->layout.shape);
    squares.data = call->workspace;
  }
  peri_iterator_open(&it, x->layout.ndim, x->layout.shape, 3, (const peri_view *[]){&squares, &x->view, &target->view});
  PERI_TRY(peri_iterate(call->context, &it, squared_difference, &loops));
  return reduction == PERI_REDUCE_NONE ? PERI_OK : reduce_losses(call, n, squares.data, reduction);
}

static bool mse_fits_lanes(const peri_call *call) {
  return call->args[2].integer != PERI_REDUCE_NONE && call->args[0].tensor->layout.numel <= PERI_LANES_LONGEST;
}

static peri_status run_mse_lanes(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  const peri_tensor *x = call->args[0].tensor, *target = call->args[1].tensor;
  peri_view squares = {.data = call->workspace};
  difference loops = {kernels->binary[PERI_BINARY_sub][call->dtype], kernels->unary[PERI_UNARY_square][call->dtype]};
  peri_iterator it;
  peri_layout_set(&squares.layout, call->dtype, x->layout.ndim, x->layout.shape);
  peri_iterator_open(&it, x->layout.ndim, x->layout.shape, 3, (const peri_view *[]){&squares, &x->view, &target->view});
  PERI_TRY(peri_iterate(call->context, &it, squared_difference, &loops));
  reduce_lanes(call, x->layout.numel / PERI_LANES, squares.data);
  return PERI_OK;
}

/* 2 (input - target) g, divided by the count for the mean */
static peri_status grad_mse(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor), target = peri_of(B->args[1].tensor), g = peri_of(B->grad_outputs[0]);
  peri_value slope = peri_step_sub(B, x, target);
  g = peri_step_div(B, g, peri_constant(divisor(B, B->layouts[0]->numel) / 2));
  slope = peri_step_mul(B, slope, g);
  if (B->needs[0]) peri_answer(B, 0, slope);
  if (B->needs[1]) peri_answer(B, 1, peri_step_neg(B, slope));
  return PERI_OK;
}

const peri_op peri_op_mse_loss = {
    .name = "mse_loss",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR}, {"target", PERI_KIND_TENSOR}, PERI_REDUCTION_PARAM},
    .infer = infer_mse,
    .run = run_mse,
    .run_lanes = run_mse_lanes,
    .lanes_fit = mse_fits_lanes,
    .grad = grad_mse,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3)}, {T(5), T(5), {reduction = 'sum'}}, {T(2, 3), T(2, 3), {reduction = 'none'}}",
    .doc = "mse_loss(input, target, {reduction = 'mean'}) -> tensor\n"
           "The mean of (input - target)^2 over all elements; both have one shape and dtype. reduction is 'mean', "
           "'sum' or 'none'.",
};

const peri_op *const peri_ops_loss[] = {&peri_op_cross_entropy_rows, &peri_op_mse_loss, NULL};
