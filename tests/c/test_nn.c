/* The layer's row: a kind that no shipped layer needs yet, with four-dimensional weights whose shape is a function, and
 * a buffer. */
#include "nn/nn.h"
#include "ops/rows.h"
#include "test.h"

static peri_status fill_ones(const peri_layer *layer, peri_tensor *parameter) {
  (void)layer;
  for (int64_t i = 0; i < parameter->layout.numel; i++) ((float *)(void *)parameter->data)[i] = 1;
  return PERI_OK;
}

/* out x in x height x width, as a convolution's */
static void weight_shape(const peri_layer *layer, int64_t *shape) {
  shape[0] = layer->sizes[1];
  shape[1] = layer->sizes[0] / (int64_t)layer->options[0];
  shape[2] = layer->sizes[2];
  shape[3] = layer->sizes[3];
}

static peri_status forward_scale(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                 peri_tensor **out) {
  peri_call call;
  (void)activation;
  peri_call_open(&call, layer->context, &peri_op_mul);
  call.args[0].given = call.args[1].given = true;
  call.args[0].tensor = inputs[0];
  call.args[1].tensor = layer->parameters[0];
  PERI_TRY(peri_call_run(&call));
  *out = call.outputs[0].tensor;
  return PERI_OK;
}

static const peri_layer_kind wide = {
    .name = "Wide",
    .inputs = 1,
    .sizes = {"in_channels", "out_channels", "height", "width"},
    .options = {{"groups", PERI_OPTION_INTEGER, 1, 1, 100, NULL, ""}},
    .parameters = {{"weight", .ndim = 4, .initialise = fill_ones, .shape_of = weight_shape},
                   {"mean", .ndim = 1, .shape = {1}, .initialise = fill_ones, .buffer = true}},
    .forward = forward_scale};

static void wide_rows(void) {
  peri_context *context;
  PERI_CHECK(peri_context_new(NULL, &context) == PERI_OK, "a context");
  peri_layer *layer;
  PERI_CHECK(peri_layer_new(context, &wide, PERI_FLOAT32, (int64_t[]){6, 4, 5, 3}, (double[]){2}, &layer) == PERI_OK,
             "%s", peri_message(context));
  const peri_layout *weight = &layer->parameters[0]->layout;
  PERI_CHECK(weight->ndim == 4 && memcmp(weight->shape, (int64_t[]){4, 3, 5, 3}, 4 * sizeof(int64_t)) == 0, "shape");
  PERI_CHECK(layer->parameters[0]->requires_grad && !layer->parameters[1]->requires_grad, "a buffer is not trained");
  PERI_CHECK(layer->parameters[1]->layout.shape[0] == 4, "the buffer's shape");

  peri_tensor *x, *y;
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT32, 1, (int64_t[]){3}, &x) == PERI_OK, "x");
  PERI_CHECK(peri_layer_forward(layer, &x, &y) == PERI_OK && y->layout.ndim == 4 && y->requires_grad, "forward");

  peri_tensor *mean;
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT64, 1, (int64_t[]){4}, &mean) == PERI_OK, "mean");
  PERI_CHECK(peri_layer_set_parameter(layer, 1, mean) == PERI_ERR_ARGUMENT &&
                 strstr(peri_message(context), "mean must be float32") != NULL,
             "%s", peri_message(context));
  peri_tensor_release(&mean);
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT32, 1, (int64_t[]){4}, &mean) == PERI_OK, "mean");
  PERI_CHECK(peri_layer_set_parameter(layer, 1, mean) == PERI_OK && layer->parameters[1] == mean, "a buffer's place");
  PERI_CHECK(peri_layer_set_parameter(layer, 0, y) == PERI_ERR_ARGUMENT, "a weight is a leaf");

  peri_tensor_release(&x);
  peri_tensor_release(&y);
  peri_tensor_release(&mean);
  peri_layer_release(&layer);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(wide_rows))
