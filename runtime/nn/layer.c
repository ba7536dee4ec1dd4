/* Layers as objects: their life, and forward. */
#include "nn/kinds.h"

#include "base/memory.h"
#include "nn/parameter.h"

#include <stdio.h>

/* ---- making ---- */

static bool option_is_on(const peri_layer *layer, const char *name) {
  const double *value = layer->options;
  for (const peri_option *option = peri_kind_options(layer->kind); option->name != NULL; option++) {
    if (strcmp(option->name, name) == 0) return *value != 0;
    value += peri_option_values(option);
  }
  return false;
}

void peri_layer_defaults(const peri_layer_kind *kind, const int64_t *sizes, double *options) {
  peri_option_defaults(peri_kind_options(kind), options);
  for (const peri_option *option = peri_kind_options(kind); option->name != NULL;
       options += peri_option_values(option++)) {
    const int64_t *size = sizes;
    for (const peri_layer_size *row = peri_kind_sizes(kind); option->like != NULL && row->name != NULL; row++) {
      const int n = peri_layer_size_values(row);
      for (int i = 0; strcmp(row->name, option->like) == 0 && i < peri_option_values(option); i++)
        options[i] = (double)size[i < n ? i : n - 1];
      size += n;
    }
  }
}

static int count_rows(const peri_layer_kind *kind) {
  int n = 0;
  while (peri_kind_parameters(kind)[n].name != NULL) n++;
  return n;
}

const peri_layer_parameter *peri_layer_parameter_row(const peri_layer *layer, int parameter) {
  return &peri_kind_parameters(
      layer->kind)[layer->kind->copies == NULL ? parameter : parameter % count_rows(layer->kind)];
}

const char *peri_layer_parameter_name(const peri_layer *layer, int parameter, char room[PERI_LAYER_NAME]) {
  const peri_layer_kind *kind = layer->kind;
  if (kind->copies == NULL) return peri_kind_parameters(kind)[parameter].name;
  const int rows = count_rows(kind);
  char suffix[PERI_LAYER_NAME] = "";
  kind->suffix(layer, parameter / rows, suffix);
  snprintf(room, PERI_LAYER_NAME, "%s%.32s", peri_kind_parameters(kind)[parameter % rows].name, suffix);
  return room;
}

int peri_layer_find_parameter(const peri_layer *layer, const char *name) {
  char room[PERI_LAYER_NAME];
  for (int i = 0; i < layer->parameter_count; i++) {
    if (strcmp(peri_layer_parameter_name(layer, i, room), name) == 0) return i;
  }
  return -1;
}

static peri_status make_parameter(peri_layer *layer, int i, peri_layer_source fetch, void *arg) {
  const peri_layer_parameter *row = peri_layer_parameter_row(layer, i);
  if (row->given || (row->option != NULL && !option_is_on(layer, row->option))) return PERI_OK;
  peri_layout layout = {.dtype = row->counts ? PERI_INT64 : layer->dtype, .ndim = row->ndim};
  for (int d = 0; d < row->ndim && row->shape_of == NULL; d++) layout.shape[d] = layer->sizes[row->shape[d]];
  if (row->shape_of != NULL) layout.ndim = row->shape_of(layer, i / count_rows(layer->kind), layout.shape);
  PERI_TRY(peri_layout_contiguous(layer->context, layer->kind->name, &layout));
  if (fetch != NULL) return fetch(arg, layer, i, &layout, &layer->parameters[i]);
  PERI_TRY(peri_tensor_empty(layer->context, &layout, &layer->parameters[i]));
  PERI_TRY(row->initialise(layer, layer->parameters[i]));
  layer->parameters[i]->requires_grad = !row->buffer;
  return PERI_OK;
}

/* Mostly one literal, or others from the first letter on. */
static inline bool same_name(const char *a, const char *b) { return a == b || (*a == *b && strcmp(a, b) == 0); }

/* Which of the row's arguments has that name, or -1; `expected` is where it mostly stands. */
static int place_of(const peri_op *row, const char *name, int expected) {
  if (expected < PERI_MAX_PARAMS && row->params[expected].name != NULL && same_name(row->params[expected].name, name))
    return expected;
  for (int at = 0; at < PERI_MAX_PARAMS && row->params[at].name != NULL; at++) {
    if (same_name(row->params[at].name, name)) return at;
  }
  return -1;
}

static peri_status check_arguments(peri_context *context, const peri_layer_kind *kind, peri_dtype dtype,
                                   const int64_t *sizes, const double *options) {
  if (!peri_is_float(dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: dtype is %s (expected float32 or float64)", kind->name,
                     peri_dtype_name(dtype));
  }
  int first = kind->inputs; /* of the row's parameters, those that are sizes and options */
  for (const peri_layer_size *size = peri_kind_sizes(kind); size->name != NULL; size++, first++) {
    for (int i = 0; i < peri_layer_size_values(size); i++, sizes++) {
      if (*sizes >= (size->zero ? 0 : 1) || (size->open && i > 0 && *sizes == 0)) continue;
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is %lld (expected at least %d)", kind->name, size->name,
                       (long long)*sizes, size->zero ? 0 : 1);
    }
  }
  for (int i = 0; kind->row != NULL && peri_kind_options(kind)[i].name != NULL; i++) {
    int at = place_of(kind->row, peri_kind_options(kind)[i].name, first + i);
    bool zero = at >= 0 && kind->row->params[at].kind == PERI_KIND_DIM && *options == 0;
    options += peri_option_values(&peri_kind_options(kind)[i]);
    if (!zero) continue;
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is 0 (counting starts at 1, or at -1 from the end)",
                     kind->name, peri_kind_options(kind)[i].name);
  }
  return PERI_OK;
}

static int count_sizes(const peri_layer_kind *kind) {
  int n = 0;
  for (const peri_layer_size *size = peri_kind_sizes(kind); size->name != NULL; size++)
    n += peri_layer_size_values(size);
  return n;
}

static size_t bytes_of(const peri_layer *layer) {
  return sizeof *layer + (size_t)layer->parameter_count * sizeof *layer->parameters;
}

peri_status peri_layer_new(peri_context *context, const peri_layer_kind *kind, peri_dtype dtype, const int64_t *sizes,
                           const double *options, peri_layer **out) {
  return peri_layer_from(context, kind, dtype, sizes, options, NULL, NULL, out);
}

peri_status peri_layer_from(peri_context *context, const peri_layer_kind *kind, peri_dtype dtype, const int64_t *sizes,
                            const double *options, peri_layer_source fetch, void *arg, peri_layer **out) {
  void *block;
  *out = NULL;
  PERI_TRY(check_arguments(context, kind, dtype, sizes, options));
  peri_layer made = {.references = 1, .context = context, .kind = kind, .training = true, .dtype = dtype};
  for (int i = count_sizes(kind) - 1; i >= 0; i--) made.sizes[i] = sizes[i];
  for (int i = peri_option_count(peri_kind_options(kind)) - 1; i >= 0; i--) made.options[i] = options[i];
  made.parameter_count = count_rows(kind) * (kind->copies != NULL ? kind->copies(&made) : 1);
  PERI_TRY(peri_alloc(context, bytes_of(&made), &block));
  peri_layer *layer = block;
  *layer = made;
  memset(layer->parameters, 0, bytes_of(&made) - sizeof made);
  peri_context_retain(context);
  peri_stream before = context->stream;
  peri_status status = PERI_OK;
  for (int i = 0; status == PERI_OK && i < layer->parameter_count; i++) status = make_parameter(layer, i, fetch, arg);
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
  for (int i = 0; i < own->parameter_count; i++) peri_tensor_release(&own->parameters[i]);
  peri_free(context, own, bytes_of(own));
  peri_context_drop(context);
}

peri_status peri_layer_set_parameter(peri_layer *layer, int parameter, peri_tensor *tensor) {
  const peri_layer_kind *kind = layer->kind;
  char room[PERI_LAYER_NAME];
  const char *name = peri_layer_parameter_name(layer, parameter, room);
  peri_tensor *old = layer->parameters[parameter];
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (old == NULL)
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: this layer was made without %s", kind->name, name);
  if (!peri_same_shape(&old->layout, &tensor->layout)) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: %s is %s (expected %s)", kind->name, name,
                     peri_shape_text(tensor->layout.ndim, tensor->layout.shape, a),
                     peri_shape_text(old->layout.ndim, old->layout.shape, b));
  }
  if (peri_layer_parameter_row(layer, parameter)->buffer) {
    PERI_TRY(peri_tensor_check_write(tensor, kind->name, name));
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

peri_status peri_layer_give(peri_layer *layer, int parameter, peri_tensor *tensor) {
  const peri_layer_kind *kind = layer->kind;
  if (!peri_is_float(tensor->layout.dtype) || tensor->requires_grad) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: %s is %s%s (expected floats that require no grad)",
                     kind->name, peri_kind_parameters(kind)[parameter].name, peri_dtype_name(tensor->layout.dtype),
                     tensor->requires_grad ? " that requires grad" : "");
  }
  peri_tensor_release(&layer->parameters[parameter]);
  layer->parameters[parameter] = peri_tensor_retain(tensor);
  layer->dtype = tensor->layout.dtype;
  return PERI_OK;
}

/* ---- forward ---- */

/* One number, or a list of them, as the argument of that name, if the row has it; positions lose their 1. A word in the
 * place of sizes that the row does not know says that they are not given. */
static void set_argument(peri_call *call, const char *name, const double *values, int count, int *at) {
  const int place = place_of(call->op, name, *at);
  if (place < 0 || call->op->params[place].kind == PERI_KIND_TENSOR) return;
  peri_arg *arg = &call->args[place];
  const peri_param *param = &call->op->params[place];
  const bool position = param->kind == PERI_KIND_DIM || param->kind == PERI_KIND_DIMS || param->kind == PERI_KIND_INDEX;
  const int word = position ? -1 : peri_option_word(*values);
  int64_t list[PERI_MAX_NUMBERS];
  *at = place + 1;
  if (word >= 0 && peri_is_sizes(param->kind) && param->choices != NULL) {
    arg->integer = 1 + word;
    return;
  }
  for (int i = 0; i < count; i++) list[i] = (int64_t)(position && values[i] > 0 ? values[i] - 1 : values[i]);
  if (param->kind == PERI_KIND_NUMBERS) memcpy(list, values, (size_t)count * sizeof *values);
  if (peri_is_sizes(param->kind)) {
    peri_call_sizes(call, place, count, list);
    return;
  }
  arg->given = param->kind != PERI_KIND_BOOL || *values != param->otherwise; /* some rows ask whether it was said */
  arg->number = *values;
  arg->integer = list[0];
}

/* Whether the option has the word "none", which stands there: nothing is given. */
static bool is_none(const peri_option *option, const double *value) {
  return peri_option_has_words(option) && peri_option_word(*value) == 0 && strcmp(option->choices, "none") == 0;
}

/* The row of the inputs, with sizes, options and parameters as its arguments of those names. */
static peri_status apply_row(const peri_layer *layer, peri_tensor *const *inputs, int activation, peri_tensor **out) {
  const peri_layer_kind *kind = layer->kind;
  peri_call call;
  peri_call_open(&call, layer->context, kind->row);
  for (int i = 0; i < kind->inputs; i++) {
    call.args[i].given = true;
    call.args[i].tensor = inputs[i];
  }
  for (int i = 0; peri_kind_further(kind)[i].name != NULL; i++) {
    const int place = place_of(kind->row, peri_kind_further(kind)[i].name, kind->inputs + i);
    call.args[place].tensor = inputs[kind->inputs + i];
    call.args[place].given = inputs[kind->inputs + i] != NULL;
  }
  int at = kind->inputs;
  const int64_t *size = layer->sizes;
  for (const peri_layer_size *row = peri_kind_sizes(kind); row->name != NULL; row++) {
    double numbers[PERI_LAYER_SIZES];
    const int n = peri_layer_size_values(row);
    int given = 0;
    for (; given < n && !(row->open && size[given] == 0); given++) numbers[given] = (double)size[given];
    set_argument(&call, row->name, numbers, given, &at);
    size += n;
  }
  const double *value = layer->options;
  for (const peri_option *option = peri_kind_options(kind); option->name != NULL;
       value += peri_option_values(option++)) {
    if (!is_none(option, value)) set_argument(&call, option->name, value, peri_option_length(option, value), &at);
  }
  int i = 0;
  for (; peri_kind_parameters(kind)[i].name != NULL; i++) {
    const int place = place_of(kind->row, peri_kind_parameters(kind)[i].name, kind->inputs + i);
    if (layer->parameters[i] == NULL || place < 0) continue;
    call.args[place].given = true;
    call.args[place].tensor = layer->parameters[i];
  }
  if (activation != 0) call.args[place_of(kind->row, "activation", kind->inputs + i)].integer = activation;
  return peri_layer_run(&call, out);
}

/* ---- what a replay rests on ---- */

typedef struct watched {
  peri_layer *layer;
  bool training, hooked;
  double options[PERI_LAYER_VALUES];
  peri_tensor *parameters[];
} watched;

static size_t watched_bytes(const peri_layer *layer) {
  return sizeof(watched) + (size_t)layer->parameter_count * (sizeof(peri_tensor *) + sizeof(bool));
}
/* Which of the parameters required grad, behind their list. */
static bool *trained_of(watched *w) { return (bool *)(w->parameters + w->layer->parameter_count); }

/* The layer does what it did: it has the same parameters, mode and options. */
static bool unchanged(const void *note) {
  const watched *w = note;
  const peri_layer *layer = w->layer;
  const bool *trained = trained_of((watched *)(uintptr_t)w);
  if (w->training != layer->training || w->hooked != layer->hooked) return false;
  for (int i = 0; i < layer->parameter_count; i++) {
    const peri_tensor *p = layer->parameters[i];
    if (p != w->parameters[i] || (p != NULL && p->requires_grad != trained[i])) return false;
  }
  return memcmp(w->options, layer->options, sizeof w->options) == 0;
}

static void let_watched(void *note) {
  watched *w = note;
  peri_context *context = w->layer->context;
  for (int i = 0; i < w->layer->parameter_count; i++) peri_tensor_release(&w->parameters[i]);
  peri_layer *layer = w->layer;
  const size_t bytes = watched_bytes(layer);
  peri_context_retain(context);
  peri_layer_release(&layer);
  peri_free(context, w, bytes);
  peri_context_drop(context);
}

void peri_layer_tell_recorder(const peri_layer *layer) {
  peri_recorder *r = layer->context->recorder;
  void *block;
  if (r == NULL) return;
  if (peri_alloc(layer->context, watched_bytes(layer), &block) != PERI_OK) {
    peri_refuse_recorder(r, "memory is short");
    return;
  }
  watched *w = block;
  w->layer = peri_layer_retain((peri_layer *)(uintptr_t)layer);
  w->training = layer->training;
  w->hooked = layer->hooked;
  memcpy(w->options, layer->options, sizeof w->options);
  for (int i = 0; i < layer->parameter_count; i++) {
    peri_tensor *p = layer->parameters[i];
    w->parameters[i] = p == NULL ? NULL : peri_tensor_retain(p);
    trained_of(w)[i] = p != NULL && p->requires_grad;
    if (p != NULL) r->admit(r, p);
  }
  r->guard(r, &(peri_guard){unchanged, let_watched, w});
}

static inline peri_status forward(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                  peri_tensor **out) {
  if (PERI_TRAINS && layer->context->recorder != NULL) peri_layer_tell_recorder(layer);
  if (layer->kind->row != NULL) return apply_row(layer, inputs, activation, out);
  return layer->kind->forward(layer, inputs, activation, out);
}

peri_status peri_layer_forward(const peri_layer *layer, peri_tensor *const *inputs, peri_tensor **out) {
  for (int i = 0; i < peri_layer_outputs(layer->kind); i++) out[i] = NULL;
  return forward(layer, inputs, 0, out);
}

peri_status peri_layers_forward(int n, peri_layer *const *layers, peri_tensor *x, peri_tensor **out, int *at) {
  peri_tensor *held = NULL; /* the value between two layers */
  *out = NULL;
  for (int i = 0; i < n; i++) {
    const peri_layer *layer = layers[i];
    int activation = layer->kind->activates && i + 1 < n ? layers[i + 1]->kind->activation : 0;
    peri_tensor *y = NULL;
    *at = i;
    peri_status status = forward(layer, &x, activation, &y);
    if (status == PERI_ERR_MEMORY) {
      *out = held;
      return status;
    }
    peri_tensor_release(&held);
    if (status != PERI_OK) return status;
    x = held = y;
    if (activation != 0) i++;
  }
  *out = held;
  return PERI_OK;
}
