/* Layers as objects: their life, and forward. */
#include "nn/nn.h"

#include "base/memory.h"
#include "nn/parameter.h"

/* ---- making ---- */

static bool option_is_on(const peri_layer *layer, const char *name) {
  for (int i = 0; layer->kind->options[i].name != NULL; i++) {
    if (strcmp(layer->kind->options[i].name, name) == 0) return layer->options[i] != 0;
  }
  return false;
}

static peri_status make_parameter(peri_layer *layer, int i) {
  const peri_layer_parameter *row = &layer->kind->parameters[i];
  if (row->option != NULL && !option_is_on(layer, row->option)) return PERI_OK;
  peri_layout layout = {.dtype = layer->dtype, .ndim = row->ndim};
  for (int d = 0; d < row->ndim && row->shape_of == NULL; d++) layout.shape[d] = layer->sizes[row->shape[d]];
  if (row->shape_of != NULL) row->shape_of(layer, layout.shape);
  PERI_TRY(peri_layout_contiguous(layer->context, layer->kind->name, &layout));
  PERI_TRY(peri_tensor_empty(layer->context, &layout, &layer->parameters[i]));
  PERI_TRY(row->initialise(layer, layer->parameters[i]));
  layer->parameters[i]->requires_grad = !row->buffer;
  return PERI_OK;
}

static peri_status check_arguments(peri_context *context, const peri_layer_kind *kind, peri_dtype dtype,
                                   const int64_t *sizes, const double *options) {
  if (!peri_is_float(dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: dtype is %s (expected float32 or float64)", kind->name,
                     peri_dtype_name(dtype));
  }
  for (int i = 0; kind->sizes[i] != NULL; i++) {
    if (sizes[i] >= 1) continue;
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is %lld (expected at least 1)", kind->name, kind->sizes[i],
                     (long long)sizes[i]);
  }
  for (int i = 0; kind->row != NULL && kind->options[i].name != NULL; i++) {
    if (kind->row->params[kind->inputs + i].kind != PERI_KIND_DIM || options[i] != 0) continue;
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is 0 (counting starts at 1, or at -1 from the end)",
                     kind->name, kind->options[i].name);
  }
  return PERI_OK;
}

peri_status peri_layer_new(peri_context *context, const peri_layer_kind *kind, peri_dtype dtype, const int64_t *sizes,
                           const double *options, peri_layer **out) {
  void *block;
  *out = NULL;
  PERI_TRY(check_arguments(context, kind, dtype, sizes, options));
  PERI_TRY(peri_alloc(context, sizeof(peri_layer), &block));
  peri_layer *layer = block;
  *layer = (peri_layer){.references = 1, .context = context, .kind = kind, .training = true, .dtype = dtype};
  peri_context_retain(context);
  for (int i = 0; kind->sizes[i] != NULL; i++) layer->sizes[i] = sizes[i];
  for (int i = 0; kind->options[i].name != NULL; i++) layer->options[i] = options[i];
  peri_stream before = context->stream;
  peri_status status = PERI_OK;
  for (int i = 0; status == PERI_OK && kind->parameters[i].name != NULL; i++) status = make_parameter(layer, i);
  if (status == PERI_OK) {
    *out = layer;
    return PERI_OK;
  }
  context->stream = before;
  peri_layer_release(&layer);
  return status;
}

peri_layer *peri_layer_retain(peri_layer *layer) {
  layer->references++;
  return layer;
}

void peri_layer_release(peri_layer **layer) {
  peri_layer *own = *layer;
  *layer = NULL;
  if (own == NULL || --own->references > 0) return;
  peri_context *context = own->context;
  for (int i = 0; i < PERI_LAYER_PARAMETERS; i++) peri_tensor_release(&own->parameters[i]);
  peri_free(context, own, sizeof *own);
  peri_context_drop(context);
}

peri_status peri_layer_set_parameter(peri_layer *layer, int parameter, peri_tensor *tensor) {
  const peri_layer_kind *kind = layer->kind;
  const char *name = kind->parameters[parameter].name;
  peri_tensor *old = layer->parameters[parameter];
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (old == NULL)
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: this layer was made without %s", kind->name, name);
  if (!peri_same_shape(&old->layout, &tensor->layout)) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: %s is %s (expected %s)", kind->name, name,
                     peri_shape_text(tensor->layout.ndim, tensor->layout.shape, a),
                     peri_shape_text(old->layout.ndim, old->layout.shape, b));
  }
  if (kind->parameters[parameter].buffer) {
    if (tensor->requires_grad || tensor->layout.dtype != old->layout.dtype) {
      return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: %s must be %s that requires no grad", kind->name, name,
                       peri_dtype_name(old->layout.dtype));
    }
  } else if (!tensor->requires_grad || tensor->node != NULL) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: %s must be a parameter (see nn.Parameter)", kind->name,
                     name);
  }
  layer->parameters[parameter] = peri_tensor_retain(tensor);
  peri_tensor_release(&old);
  return PERI_OK;
}

/* ---- forward ---- */

/* The row with the options behind the inputs; positions lose their 1. */
static peri_status apply_row(const peri_layer *layer, peri_tensor *const *inputs, peri_tensor **out) {
  const peri_layer_kind *kind = layer->kind;
  peri_call call;
  peri_call_open(&call, layer->context, kind->row);
  for (int i = 0; i < kind->inputs; i++) {
    call.args[i].given = true;
    call.args[i].tensor = inputs[i];
  }
  for (int i = 0; kind->options[i].name != NULL; i++) {
    peri_arg *arg = &call.args[kind->inputs + i];
    double value = layer->options[i];
    if (kind->row->params[kind->inputs + i].kind == PERI_KIND_DIM && value > 0) value -= 1;
    arg->given = true;
    arg->number = value;
    arg->integer = (int64_t)value;
  }
  PERI_TRY(peri_call_run(&call));
  for (int i = 1; i < kind->row->outputs; i++) peri_tensor_release(&call.outputs[i].tensor);
  *out = call.outputs[0].tensor;
  return PERI_OK;
}

static inline peri_status forward(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                  peri_tensor **out) {
  if (layer->kind->row != NULL) return apply_row(layer, inputs, out);
  return layer->kind->forward(layer, inputs, activation, out);
}

peri_status peri_layer_forward(const peri_layer *layer, peri_tensor *const *inputs, peri_tensor **out) {
  *out = NULL;
  return forward(layer, inputs, 0, out);
}

peri_status peri_layers_forward(int n, peri_layer *const *layers, peri_tensor *x, peri_tensor **out) {
  peri_tensor *held = NULL; /* the value between two layers */
  *out = NULL;
  for (int i = 0; i < n; i++) {
    const peri_layer *layer = layers[i];
    int activation = layer->kind->activates && i + 1 < n ? layers[i + 1]->kind->activation : 0;
    peri_tensor *y = NULL;
    peri_status status = forward(layer, &x, activation, &y);
    peri_tensor_release(&held);
    if (status != PERI_OK) return status;
    x = held = y;
    if (activation != 0) i++;
  }
  *out = held;
  return PERI_OK;
}
