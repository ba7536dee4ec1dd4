/* Dropout. What was kept is remembered as bools, so that the gradient needs no numbers beside them. */
#include "ops/rows.h"
#include "kernels/kernels.h"

enum { X, P, TRAINING };
enum { DROPS }; /* note */

static peri_status infer_dropout(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  const double p = call->args[P].number;
  PERI_TRY(peri_infer_float(call, X));
  if (!(p >= 0 && p <= 1)) return peri_call_fail(call, PERI_ERR_ARGUMENT, "p is %g (expected 0 to 1)", p);
  call->note[DROPS] = call->args[TRAINING].integer && p > 0;
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, x->shape));
  return peri_infer_output(call, 1, PERI_BOOL, x->ndim, x->shape);
}

static double scale_of(double p) { return p < 1 ? 1 / (1 - p) : 0; }

static peri_status run_dropout(peri_call *call) {
  peri_tensor *x, *y = call->outputs[0].tensor, *kept = call->outputs[1].tensor;
  const int64_t n = y->layout.numel;
  const double p = call->args[P].number;
  if (!call->note[DROPS]) return peri_tensor_copy_into(y, call->args[X].tensor);
  PERI_TRY(peri_tensor_contiguous(call->args[X].tensor, &x));
  const uint64_t first = peri_stream_take(call->stream, peri_random_blocks(y->layout.dtype, n));
  peri_status status = peri_drop(call->context, y->layout.dtype, n, call->stream->seed, first, p, scale_of(p), x->data,
                                 y->data, kept != NULL ? kept->data : NULL);
  peri_tensor_release(&x);
  return status;
}

static peri_status run_lanes(peri_call *call) {
  peri_tensor *x, *y = call->outputs[0].tensor, *kept = call->outputs[1].tensor;
  const double p = call->args[P].number;
  const int64_t n = y->layout.numel / PERI_LANES;
  uint64_t seed[PERI_LANES], first[PERI_LANES];
  if (!call->note[DROPS]) return peri_tensor_copy_into(y, call->args[X].tensor);
  PERI_TRY(peri_tensor_contiguous(call->args[X].tensor, &x));
  for (int l = 0; l < PERI_LANES; l++) {
    seed[l] = call->stream[l].seed;
    first[l] = peri_stream_take(&call->stream[l], peri_random_blocks(y->layout.dtype, n));
  }
  peri_drop_lanes(call->context, y->layout.dtype, n, seed, first, p, scale_of(p), x->data, y->data,
                  kept != NULL ? kept->data : NULL);
  peri_tensor_release(&x);
  return PERI_OK;
}

static peri_status grad_lanes(const peri_backward *B, peri_tensor *const *answers) {
  const peri_tensor *g = B->grad_outputs[0], *gx = answers[0];
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous((peri_tensor *)g, &own));
  peri_status status = peri_drop_back(B->context, gx->layout.dtype, gx->layout.numel, scale_of(B->args[P].number),
                                      own->data, B->outputs[1]->data, gx->data);
  peri_tensor_release(&own);
  return status;
}

/* g times the scale where x was kept, else 0. */
static peri_status grad_dropout(peri_backward *B) {
  peri_tensor *g = B->grad_outputs[0], *own, *gx = NULL;
  const double scale = scale_of(B->args[P].number);
  if (!B->note[DROPS]) {
    peri_answer(B, X, peri_of(g));
    return PERI_OK;
  }
  if (B->create_graph) {
    peri_value scaled = peri_step_mul(B, peri_of(g), peri_constant(scale));
    peri_answer(B, X, peri_step_where(B, peri_of(B->outputs[1]), scaled, peri_constant(0)));
    return PERI_OK;
  }
  peri_layout layout;
  peri_layout_set(&layout, g->layout.dtype, g->layout.ndim, g->layout.shape);
  PERI_TRY(peri_tensor_contiguous(g, &own));
  peri_status status = peri_formula_new(B, &layout, &gx);
  if (status == PERI_OK)
    status = peri_drop_back(B->context, layout.dtype, layout.numel, scale, own->data, B->outputs[1]->data, gx->data);
  if (status != PERI_OK) peri_tensor_release(&gx);
  peri_tensor_release(&own);
  peri_answer(B, X, peri_formula_own(B, status, gx));
  return PERI_OK;
}

const peri_op peri_op_dropout = {
    .name = "dropout",
    .flags = PERI_OP_RANDOM,
    .saves = PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"p", PERI_KIND_NUMBER, .optional = true, .otherwise = 0.5},
               {"training", PERI_KIND_BOOL, .optional = true, .otherwise = 1}},
    .infer = infer_dropout,
    .run = run_dropout,
    .grad = grad_dropout,
    .run_lanes = run_lanes,
    .grad_lanes = grad_lanes,
    .low = -2,
    .high = 2,
    .sample = "{T(3, 4), 0.25}, {T(5)}, {T(2, 3), 0.5, false}, {T(4), 1}",
    .doc = "dropout(x, p = 0.5, training = true, {generator =}) -> tensor\n"
           "Each element of x is 0 with probability p, else divided by 1 - p; with training = false x itself, copied. "
           "Floats only. N. Srivastava et al., 'Dropout', 2014.\n"
           "Errors: p beyond 0 to 1.",
};

const peri_op *const peri_ops_dropout[] = {&peri_op_dropout, NULL};
