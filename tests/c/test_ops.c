/* What a row of the operation table can say, tried with rows that no shipped operation needs yet: single tensors beside
 * a list of them, several lists of sizes that the gradient reads, steps of a formula with several outputs. */
#include "autograd/autograd.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "test.h"

/* x + stride[0] * first part + stride[1] * second part; padding is read by the gradient alone */
static peri_status infer_blend(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}
static peri_status run_blend(peri_call *call) {
  float *y = (float *)(void *)call->outputs[0].tensor->data, *x = (float *)(void *)call->args[0].tensor->data;
  for (int64_t i = 0; i < call->outputs[0].tensor->layout.numel; i++) {
    y[i] = x[i];
    for (int p = 0; p < call->args[1].count; p++)
      y[i] += (float)call->args[2].sizes[p] * ((float *)(void *)call->args[1].tensors[p]->data)[i];
  }
  return PERI_OK;
}
/* Of part p: stride[p] times the gradient, and padding[p] times its largest entry at the place where that stands. */
static peri_status grad_blend(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_answer(B, 0, g);
  for (int p = 0; p + 1 < B->edges; p++) {
    peri_value scaled = peri_apply(B, &peri_op_mul, 2, (peri_value[]){g, peri_constant((double)B->args[2].sizes[p])});
    peri_value largest[2];
    peri_call call;
    peri_step_open(B, &call, peri_op_find("max"), 1, &g);
    call.args[1].given = true;
    peri_step_run_outputs(B, &call, 2, largest);
    if (largest[1].tensor == NULL) return PERI_OK;
    double extra = (double)B->args[3].sizes[p] * peri_load_number(PERI_FLOAT32, largest[0].tensor->data);
    if (peri_load_integer(PERI_INT64, largest[1].tensor->data) != 2) extra = -1;
    peri_answer(B, 1 + p, peri_apply(B, &peri_op_add, 2, (peri_value[]){scaled, peri_constant(extra)}));
  }
  return PERI_OK;
}
static const peri_op blend = {.name = "blend",
                              .outputs = 1,
                              .params = {{"x", PERI_KIND_TENSOR},
                                         {"parts", PERI_KIND_TENSORS},
                                         {"stride", PERI_KIND_SHAPE},
                                         {"padding", PERI_KIND_SHAPE}},
                              .infer = infer_blend,
                              .run = run_blend,
                              .grad = grad_blend};

static peri_tensor *leaf(peri_context *context, const float *values) {
  peri_tensor *x;
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT32, 1, (int64_t[]){3}, &x) == PERI_OK, "a tensor");
  memcpy(peri_tensor_data(x), values, 3 * sizeof *values);
  PERI_CHECK(peri_require_grad(x, true) == PERI_OK, "a leaf");
  return x;
}

static bool has(const peri_tensor *x, float a, float b, float c) {
  return x != NULL && memcmp(x->data, (float[]){a, b, c}, 3 * sizeof(float)) == 0;
}

static void lists_beside_tensors(void) {
  peri_context *context;
  PERI_CHECK(peri_context_new(NULL, &context) == PERI_OK, "a context");
  peri_tensor *x = leaf(context, (float[]){1, 2, 3}), *parts[2];
  parts[0] = leaf(context, (float[]){10, 20, 30});
  parts[1] = leaf(context, (float[]){5, 6, 7});
  peri_call call;
  peri_call_open(&call, context, &blend);
  call.args[0].given = call.args[1].given = true;
  call.args[0].tensor = x;
  call.args[1].tensors = parts;
  call.args[1].count = 2;
  peri_call_sizes(&call, 2, 2, (int64_t[]){2, 3});
  peri_call_sizes(&call, 3, 2, (int64_t[]){100, 200});
  PERI_CHECK(peri_call_run(&call) == PERI_OK, "%s", peri_message(context));
  peri_tensor *y = call.outputs[0].tensor, *g;
  PERI_CHECK(has(y, 36, 60, 84), "forward");
  memset(&call, 0x55, sizeof call); /* the node has all that it needs */
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT32, 1, (int64_t[]){3}, &g) == PERI_OK, "g");
  memcpy(g->data, (float[]){1, 4, 2}, 3 * sizeof(float));
  PERI_CHECK(peri_backward_run(y, g, false) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(has(x->grad, 1, 4, 2), "the single tensor's edge");
  PERI_CHECK(has(parts[0]->grad, 402, 408, 404), "the first element's");
  PERI_CHECK(has(parts[1]->grad, 803, 812, 806), "the second element's");
  peri_tensor_release(&x);
  peri_tensor_release(&parts[0]);
  peri_tensor_release(&parts[1]);
  peri_tensor_release(&y);
  peri_tensor_release(&g);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(lists_beside_tensors))
