/* The layer's row: kinds that no shipped layer needs yet, with four-dimensional weights whose shape is a function, a
 * buffer, and sizes and options that are lists or words. */
#include "nn/nn.h"
#include "optim/optim.h"
#include "ops/rows.h"
#include "option_support.h"

static peri_status fill_ones(const peri_layer *layer, peri_tensor *parameter) {
  (void)layer;
  for (int64_t i = 0; i < parameter->layout.numel; i++) ((float *)(void *)parameter->data)[i] = 1;
  return PERI_OK;
}

/* out x in x height x width, as a convolution's */
static int weight_shape(const peri_layer *layer, int copy, int64_t *shape) {
  (void)copy;
  shape[0] = layer->sizes[1];
  shape[1] = layer->sizes[0] / (int64_t)layer->options[0];
  shape[2] = layer->sizes[2];
  shape[3] = layer->sizes[3];
  return 4;
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
    .sizes = PERI_SIZES({"in_channels"}, {"out_channels"}, {"height"}, {"width"}),
    .options = PERI_OPTIONS({"groups", PERI_OPTION_INTEGER, 1, 1, 100, NULL, ""}),
    .parameters = PERI_PARAMETERS({"weight", .ndim = 4, .initialise = fill_ones, .shape_of = weight_shape},
                                  {"mean", .ndim = 1, .shape = {1}, .initialise = fill_ones, .buffer = true}),
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

/* ---- lists ---- */

/* in x out x height x width from two numbers and a list; what is not given has the kernel's size */
enum { STRIDE, PADDING = STRIDE + 2, MODE = PADDING + 2, BIAS, BORDER, PATCH_VALUES = BORDER + 2 };
static const peri_layer_kind patches = {
    .name = "Patches",
    .inputs = 1,
    .sizes = PERI_SIZES({"in_channels"}, {"out_channels"}, {"kernel_size", 2}),
    .options = PERI_OPTIONS({"stride", PERI_OPTION_INTEGER, NAN, 1, 1000, NULL, "", 2, "kernel_size"},
                            {"padding", PERI_OPTION_INTEGER, PERI_OPTION_WORD(1), 0, 1000, "same valid", "", 2},
                            {"mode", PERI_OPTION_CHOICE, 1, 0, 0, "zeros reflect", ""},
                            {"bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, ""},
                            {"border", PERI_OPTION_NUMBER, 0.5, 0, 1, NULL, "", 2}),
    .parameters = PERI_PARAMETERS({"weight", .ndim = 4, .shape = {1, 0, 2, 3}, .initialise = fill_ones},
                                  {"bias", "bias", 1, {1}, fill_ones}),
    .forward = forward_scale};

static void lists_of_values(void) {
  peri_context *context;
  peri_layer *layer;
  double options[PERI_LAYER_VALUES];
  const int64_t sizes[] = {6, 4, 5, 3};
  PERI_CHECK(peri_context_new(NULL, &context) == PERI_OK, "a context");
  PERI_CHECK(peri_option_count(patches.options) == PATCH_VALUES, "%d values", peri_option_count(patches.options));
  peri_layer_defaults(&patches, sizes, options);
  PERI_CHECK(options[STRIDE] == 5 && options[STRIDE + 1] == 3, "like the kernel: %g, %g", options[0], options[1]);
  PERI_CHECK(peri_option_word(options[PADDING]) == 1 && peri_option_word(options[PADDING + 1]) == 1, "a word in both");
  PERI_CHECK(options[MODE] == 1 && options[BIAS] == 1 && options[BORDER] == 0.5 && options[BORDER + 1] == 0.5,
             "others");

  PERI_CHECK(peri_layer_new(context, &patches, PERI_FLOAT32, sizes, options, &layer) == PERI_OK, "%s",
             peri_message(context));
  const peri_layout *weight = &layer->parameters[0]->layout;
  PERI_CHECK(weight->ndim == 4 && memcmp(weight->shape, (int64_t[]){4, 6, 5, 3}, 4 * sizeof(int64_t)) == 0, "shape");
  PERI_CHECK(memcmp(layer->options, options, PATCH_VALUES * sizeof *options) == 0, "all values are kept");
  PERI_CHECK(memcmp(layer->sizes, sizes, sizeof sizes) == 0, "all sizes are kept");
  PERI_CHECK(layer->parameters[1] != NULL, "a switch behind lists");
  peri_layer_release(&layer);

  options[BIAS] = 0;
  PERI_CHECK(peri_layer_new(context, &patches, PERI_FLOAT32, sizes, options, &layer) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(layer->parameters[0] != NULL && layer->parameters[1] == NULL, "no bias");
  peri_layer_release(&layer);

  PERI_CHECK(peri_layer_new(context, &patches, PERI_FLOAT32, (int64_t[]){6, 4, 5, 0}, options, &layer) ==
                     PERI_ERR_ARGUMENT &&
                 strcmp(peri_message(context), "Patches: kernel_size is 0 (expected at least 1)") == 0,
             "%s", peri_message(context));
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

static void words_of_numbers(void) {
  PERI_CHECK(peri_option_word(0) == -1 && peri_option_word(7.5) == -1 && peri_option_word(INFINITY) == -1 &&
                 peri_option_word(NAN) == -1,
             "numbers are no words");
  for (int i = 0; i < PERI_MAX_WORDS; i++) PERI_CHECK(peri_option_word(PERI_OPTION_WORD(i)) == i, "word %d", i);
  PERI_CHECK(peri_option_word(-1e300) == PERI_MAX_WORDS && peri_option_word(-INFINITY) == PERI_MAX_WORDS, "no word");
}

/* ---- layers that are a row: its arguments are the sizes and options of their names ---- */

static const peri_layer_kind shaped = {
    .name = "Shaped", .inputs = 1, .row = &peri_op_reshape, .sizes = PERI_SIZES({"shape", 3})};
static const peri_layer_kind turned = {.name = "Turned",
                                       .inputs = 1,
                                       .row = &peri_op_permute,
                                       .options = PERI_OPTIONS({"dims", PERI_OPTION_INTEGER, NAN, -8, 8, NULL, "", 3})};
static const peri_layer_kind strip = {.name = "Strip",
                                      .inputs = 1,
                                      .row = &peri_op_narrow,
                                      .sizes = PERI_SIZES({"dim"}),
                                      .options = PERI_OPTIONS({"start", PERI_OPTION_INTEGER, 1, 0, 0, NULL, ""},
                                                              {"length", PERI_OPTION_INTEGER, 2, 0, 0, NULL, ""})};

static void check_shape(peri_context *context, const peri_layer_kind *kind, const int64_t *sizes, const double *options,
                        const int64_t *input, const int64_t *expected) {
  peri_layer *layer;
  peri_tensor *x, *y = NULL;
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT32, 3, input, &x) == PERI_OK, "x");
  PERI_CHECK(peri_layer_new(context, kind, PERI_FLOAT32, sizes, options, &layer) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(peri_layer_forward(layer, &x, &y) == PERI_OK, "%s: %s", kind->name, peri_message(context));
  PERI_CHECK(y != NULL && y->layout.ndim == 3 && memcmp(y->layout.shape, expected, 3 * sizeof *expected) == 0,
             "the shape of %s", kind->name);
  peri_tensor_release(&y);
  peri_tensor_release(&x);
  peri_layer_release(&layer);
}

static void rows_with_lists(void) {
  peri_context *context;
  PERI_CHECK(peri_context_new(NULL, &context) == PERI_OK, "a context");
  const int64_t input[] = {2, 3, 8};
  check_shape(context, &shaped, (int64_t[]){6, 4, 2}, NULL, input, (int64_t[]){6, 4, 2});
  check_shape(context, &turned, NULL, (double[]){3, 1, -2}, input, (int64_t[]){8, 2, 3});
  check_shape(context, &strip, (int64_t[]){3}, (double[]){7, 2}, input, (int64_t[]){2, 3, 2}); /* counting from 1 */
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* ---- the rows that are shipped ---- */

static bool has_argument(const peri_op *row, const char *name) {
  for (int i = 0; i < peri_op_params(row); i++) {
    if (strcmp(row->params[i].name, name) == 0) return true;
  }
  return false;
}

/* What the row does not know is not handed on: of a layer without parameters of its own, that would be a mistake. */
static void check_row_names(const peri_layer_kind *kind) {
  bool own = kind->row == NULL;
  for (const peri_layer_parameter *parameter = peri_kind_parameters(kind); parameter->name != NULL; parameter++) {
    own |= !parameter->given;
    PERI_CHECK(!parameter->given || has_argument(kind->row, parameter->name), "%s: %s", kind->name, parameter->name);
  }
  for (const peri_layer_size *size = peri_kind_sizes(kind); size->name != NULL; size++)
    PERI_CHECK(own || has_argument(kind->row, size->name), "%s: %s", kind->name, size->name);
  for (const peri_option *option = peri_kind_options(kind); option->name != NULL; option++)
    PERI_CHECK(own || has_argument(kind->row, option->name), "%s: %s", kind->name, option->name);
}

static void check_kinds(const peri_layer_kind *const *kinds) {
  for (; *kinds != NULL; kinds++) {
    int values = 0;
    check_option_row((*kinds)->name, peri_kind_options(*kinds), PERI_LAYER_VALUES);
    check_row_names(*kinds);
    for (const peri_layer_size *size = peri_kind_sizes(*kinds); size->name != NULL; size++)
      values += peri_layer_size_values(size);
    PERI_CHECK(values <= PERI_LAYER_SIZES, "%s: %d values of sizes", (*kinds)->name, values);
    for (const peri_option *option = peri_kind_options(*kinds); option->name != NULL; option++) {
      bool found = option->like == NULL;
      for (const peri_layer_size *size = peri_kind_sizes(*kinds); size->name != NULL; size++)
        found = found || strcmp(size->name, option->like) == 0;
      PERI_CHECK(found, "%s: %s is like %s", (*kinds)->name, option->name, option->like);
    }
  }
}

static void shipped_rows(void) {
  check_kinds(peri_layer_kinds);
  check_kinds(peri_loss_kinds);
  check_kinds((const peri_layer_kind *const[]){&patches, &wide, &shaped, &turned, &strip, NULL});
  for (int i = 0; peri_optimizer_kinds[i] != NULL; i++)
    check_option_row(peri_optimizer_kinds[i]->name, peri_optimizer_kinds[i]->options, PERI_OPTIMIZER_OPTIONS);
  for (int i = 0; peri_schedule_kinds[i] != NULL; i++)
    check_option_row(peri_schedule_kinds[i]->name, peri_schedule_kinds[i]->options, PERI_SCHEDULE_OPTIONS);
}

PERI_TEST_MAIN(PERI_TEST(shipped_rows), PERI_TEST(wide_rows), PERI_TEST(lists_of_values), PERI_TEST(words_of_numbers),
               PERI_TEST(rows_with_lists))
