/* Making models: everything that a description and its tensors claim is checked here, whoever they come from. */
#include "model/model.h"

#include "ops/rows.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- life ---- */

static void destroy(peri_model *model) {
  peri_context *context = model->context;
  if (model->machine.fitted != NULL) model->machine.type->release(context, &model->machine.fitted);
  for (int i = 0; i < model->layer_count; i++) peri_layer_release(&model->layers[i]);
  peri_free(context, model->layers, PERI_MODEL_LAYERS * sizeof(peri_layer *));
  peri_free(context, model->dense, (size_t)model->layer_count * sizeof(peri_dense));
  peri_free(context, model->packed, model->packed_bytes);
  peri_free(context, model->weights, (size_t)model->machine.weights * sizeof(peri_class_weight));
  peri_free(context, model->sorted, model->list.n * sizeof *model->sorted);
  peri_named_tensors_release(context, &model->list);
  peri_free(context, model->text, model->text_bytes);
  pthread_mutex_destroy(&model->lock);
  free(model);
  peri_context_release(&context);
}

peri_model *peri_model_retain(peri_model *model) {
  atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
  return model;
}

void peri_model_release(peri_model **model) {
  peri_model *own = *model;
  *model = NULL;
  if (own != NULL && atomic_fetch_sub_explicit(&own->references, 1, memory_order_acq_rel) == 1) destroy(own);
}

/* An empty one, whose context has what is left of the budget of the given one. */
static peri_status begin(peri_context *context, peri_model **out) {
  peri_options options = {.size = sizeof options, .threads = 1, .memory_limit = context->limit - context->in_use};
  if (options.memory_limit == 0) options.memory_limit = 1;
  *out = NULL;
  peri_model *model = calloc(1, sizeof *model);
  if (model == NULL) return peri_fail(context, PERI_ERR_MEMORY, "model: out of memory");
  if (peri_context_new(&options, &model->context) != PERI_OK) {
    free(model);
    return peri_fail(context, PERI_ERR_MEMORY, "model: out of memory");
  }
  model->context->grad_mode = false;
  model->context->fail_after = context->fail_after; /* tests that let allocations fail reach it, too */
  pthread_mutex_init(&model->lock, NULL);
  atomic_init(&model->references, 1);
  *out = model;
  return PERI_OK;
}

/* ---- tensors by name ---- */

static int by_name(const void *a, const void *b) {
  return strcmp(((const peri_named_tensor *)a)->name, ((const peri_named_tensor *)b)->name);
}

static peri_status sort_names(peri_model *model) {
  void *block;
  const size_t n = model->list.n;
  PERI_TRY(peri_alloc_array(model->context, n, sizeof *model->sorted, &block));
  model->sorted = block;
  for (size_t i = 0; i < n; i++) model->sorted[i] = (peri_named_tensor){model->list.names[i], model->list.tensors[i]};
  if (n > 1) qsort(model->sorted, n, sizeof *model->sorted, by_name);
  return PERI_OK;
}

peri_tensor *peri_model_tensor(const peri_model *model, int step, const char *name) {
  char full[400];
  int n = step > 0 ? snprintf(full, sizeof full, "%d.%s", step, name) : snprintf(full, sizeof full, "%s", name);
  if (n >= (int)sizeof full || model->list.n == 0) return NULL;
  const peri_named_tensor *found =
      bsearch(&(peri_named_tensor){.name = full}, model->sorted, model->list.n, sizeof *model->sorted, by_name);
  return found == NULL ? NULL : found->tensor;
}

/* ---- networks ---- */

typedef struct layer_place {
  const peri_model *model;
  int step;
  char path[300]; /* "0.", "2.1." */
} layer_place;

/* The layer's own tensor, detached: the layer has it beside the list. */
static peri_status fetch(void *arg, const peri_layer *layer, int parameter, const peri_layout *layout,
                         peri_tensor **out) {
  const layer_place *place = arg;
  char room[PERI_LAYER_NAME], name[400], a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  snprintf(name, sizeof name, "%s%s", place->path, peri_layer_parameter_name(layer, parameter, room));
  peri_tensor *x = peri_model_tensor(place->model, place->step, name);
  if (x == NULL)
    return peri_fail(layer->context, PERI_ERR_IO, "%s: there is no tensor %d.%s", layer->kind->name, place->step, name);
  if (x->layout.dtype != layout->dtype || !peri_same_shape(&x->layout, layout))
    return peri_fail(layer->context, PERI_ERR_IO, "%s: tensor %d.%s is %s of %s (expected %s of %s)", layer->kind->name,
                     place->step, name, peri_dtype_name(x->layout.dtype),
                     peri_shape_text(x->layout.ndim, x->layout.shape, a), peri_dtype_name(layout->dtype),
                     peri_shape_text(layout->ndim, layout->shape, b));
  *out = peri_tensor_retain(x);
  return PERI_OK;
}

static peri_status add_layer(peri_model *model, const char *operation, const peri_item *item, layer_place *place) {
  if (model->layer_count == PERI_MODEL_LAYERS)
    return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: more than %d layers", operation, PERI_MODEL_LAYERS);
  peri_layer *layer;
  PERI_TRY(peri_read_layer(model->context, operation, item, fetch, place, &layer));
  layer->training = false;
  model->layers[model->layer_count++] = layer;
  if (layer->kind->inputs != 1)
    return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: a %s takes %d inputs (expected 1)", operation,
                     layer->kind->name, layer->kind->inputs);
  return PERI_OK;
}

/* A Sequential's children are named from 1, as in its state_dict. */
static peri_status add_module(peri_model *model, const char *operation, const peri_item *item, layer_place *place) {
  if (item->kind != PERI_ITEM_CALL || strcmp(item->text, "Sequential") != 0)
    return add_layer(model, operation, item, place);
  const size_t length = strlen(place->path);
  int number = 1;
  if (length > sizeof place->path - 20)
    return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: Sequentials too deep in one another", operation);
  for (const peri_item *child = item->first; child != NULL; child = child->next) {
    if (child->key != NULL)
      return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: a Sequential has no option %.40s", operation,
                       child->key);
    snprintf(place->path + length, sizeof place->path - length, "%d.", number++);
    PERI_TRY(add_module(model, operation, child, place));
  }
  place->path[length] = '\0';
  return PERI_OK;
}

/* ---- the row that a network takes ---- */

static bool is_embedding(const peri_layer *layer) { return strncmp(layer->kind->name, "Embedding", 9) == 0; }

static bool keeps_shape(const peri_layer *layer) {
  const peri_layer_kind *kind = layer->kind;
  if (kind->row != NULL && (kind->row->flags & PERI_OP_ELEMENTWISE) != 0) return kind->row != &peri_op_glu;
  return strcmp(kind->name, "Identity") == 0 || strncmp(kind->name, "Dropout", 7) == 0;
}

/* Where the input is not said, the first layers may tell: what is flat is as long as the first layer of weights has
 * inputs. */
static peri_status guess_input(peri_model *model, const char *operation) {
  int i = 0;
  while (i < model->layer_count && (keeps_shape(model->layers[i]) || model->layers[i]->kind->row == &peri_op_flatten))
    i++;
  const peri_layer *first = i < model->layer_count ? model->layers[i] : NULL;
  if (first != NULL && (first->kind->row == &peri_op_linear || strcmp(first->kind->name, "BatchNorm1d") == 0)) {
    model->ndim = 1;
    model->shape[0] = first->sizes[0];
    return PERI_OK;
  }
  return peri_fail(
      model->context, PERI_ERR_ARGUMENT,
      "%s: input is missing (the first layers do not say the sizes of a row: expected input = {1, 28, 28})", operation);
}

static peri_status read_input(peri_model *model, const char *operation, const peri_item *root) {
  const peri_item *item = peri_item_find(root, "input");
  model->inputs = 1;
  if (item == NULL) {
    PERI_TRY(guess_input(model, operation));
  } else {
    if (item->kind != PERI_ITEM_TABLE || item->count < 1 || item->count > PERI_MAX_DIMS - 1)
      return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: input must be a list of 1 to %d sizes", operation,
                       PERI_MAX_DIMS - 1);
    for (const peri_item *size = item->first; size != NULL; size = size->next)
      PERI_TRY(peri_item_whole(model->context, operation, size, "a size of input", 1, INT32_MAX,
                               &model->shape[model->ndim++]));
  }
  for (int d = 0; d < model->ndim; d++) {
    if (__builtin_mul_overflow(model->inputs, model->shape[d], &model->inputs) || model->inputs > INT32_MAX)
      return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: input has too many numbers", operation);
  }
  return PERI_OK;
}

/* Of the first layer that has parameters. */
static void find_dtype(peri_model *model) {
  model->dtype = PERI_FLOAT32;
  for (int i = 0; i < model->layer_count; i++) {
    const peri_layer *layer = model->layers[i];
    if (layer->parameter_count == 0) continue;
    model->dtype = is_embedding(layer) ? PERI_INT64 : layer->dtype;
    return;
  }
}

static peri_status read_network(peri_model *model, const char *operation, const peri_item *item, int step) {
  layer_place place = {.model = model, .step = step, .path = ""};
  void *block;
  PERI_TRY(peri_alloc_array(model->context, PERI_MODEL_LAYERS, sizeof(peri_layer *), &block));
  model->layers = block;
  PERI_TRY(add_module(model, operation, item, &place));
  find_dtype(model);
  return PERI_OK;
}

/* ---- machines ---- */

static peri_status read_machine(peri_model *model, const char *operation, const peri_item *item, int step) {
  char prefix[20];
  PERI_TRY(peri_read_machine(model->context, operation, item, &model->machine, &model->weights));
  snprintf(prefix, sizeof prefix, "%d.", step);
  const peri_machine *e = &model->machine;
  peri_machine_arrays arrays = {.e = e,
                                .n = model->list.n,
                                .prefix = prefix,
                                .names = (const char *const *)model->list.names,
                                .tensors = (const peri_tensor *const *)model->list.tensors};
  const peri_machine_source source = peri_machine_source_of(&arrays);
  PERI_TRY(e->type->restore(e, &source, &model->machine.fitted));
  const peri_machine_facts facts = e->type->facts(e);
  model->inputs = facts.d;
  model->k = facts.k;
  model->classes = facts.classes;
  model->outputs = e->type->columns(e);
  model->task = e->type->targets == PERI_TARGET_NUMBERS ? PERI_TASK_NUMBERS : PERI_TASK_CLASSES;
  return PERI_OK;
}

/* ---- the whole ---- */

static peri_status read_classes(peri_model *model, const char *operation) {
  const peri_tensor *x = peri_model_tensor(model, 0, "classes");
  if (x == NULL || x->layout.dtype != PERI_INT64 || x->layout.ndim != 1 || x->layout.numel < 1)
    return peri_fail(model->context, PERI_ERR_IO, "%s: there are no classes (expected an int64 vector)", operation);
  model->k = x->layout.numel;
  model->classes = (const int64_t *)(const void *)x->data;
  for (int64_t c = 1; c < model->k; c++) {
    if (model->classes[c] <= model->classes[c - 1])
      return peri_fail(model->context, PERI_ERR_IO, "%s: classes are not ascending", operation);
  }
  return PERI_OK;
}

static peri_status read_task(peri_model *model, const char *operation, const peri_item *root) {
  static const peri_option rows[] = {{"task", PERI_OPTION_CHOICE, 0, 0, 0, "scores classes numbers", ""},
                                     {"flat", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""},
                                     {NULL}};
  static const char *const also[] = {"input", NULL};
  double values[2];
  peri_option_defaults(rows, values);
  PERI_TRY(peri_item_options(model->context, operation, root, rows, also, true, values));
  if (model->machine.type != NULL) {
    if (peri_item_find(root, "task") == NULL && peri_item_find(root, "flat") == NULL &&
        peri_item_find(root, "input") == NULL)
      return PERI_OK;
    return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: task, flat and input are options of networks", operation);
  }
  model->task = (peri_task)values[0];
  model->flat = values[1] != 0;
  if (model->task == PERI_TASK_CLASSES) PERI_TRY(read_classes(model, operation));
  return read_input(model, operation, root);
}

static peri_status read_steps(peri_model *model, const char *operation, const peri_item *root) {
  int step = 0;
  bool last = false;
  for (const peri_item *item = root->first; item != NULL; item = item->next) {
    peri_transform *t = &model->transform[model->transforms];
    if (item->key != NULL) continue;
    step++;
    if (item->kind != PERI_ITEM_CALL || last || model->transforms == PERI_MODEL_TRANSFORMS)
      return peri_fail(model->context, PERI_ERR_ARGUMENT,
                       "%s: step %d cannot stand there (expected at most %d transforms, then a network or a machine)",
                       operation, step, PERI_MODEL_TRANSFORMS);
    if (peri_transform_name(item, &t->kind) != NULL) {
      PERI_TRY(peri_transform_read(model, operation, item, step, t));
      model->transforms++;
      continue;
    }
    last = true;
    snprintf(model->kind, sizeof model->kind, "%s", item->text);
    if (strncmp(item->text, "svm.", 4) == 0)
      PERI_TRY(read_machine(model, operation, item, step));
    else
      PERI_TRY(read_network(model, operation, item, step));
  }
  return last ? PERI_OK
              : peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: there is no network and no machine", operation);
}

/* Transforms hand on what the next one takes. */
static peri_status join_steps(peri_model *model, const char *operation) {
  model->features = model->widest = model->inputs;
  for (int i = model->transforms - 1; i >= 0; i--) {
    const peri_transform *t = &model->transform[i];
    if (t->out != model->inputs)
      return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: step %d gives %lld numbers, and the next takes %lld",
                       operation, i + 1, (long long)t->out, (long long)model->inputs);
    model->inputs = t->in;
    model->widest = peri_max(model->widest, t->in);
  }
  return PERI_OK;
}

static peri_status build(peri_model *model, const char *operation) {
  peri_description description;
  PERI_TRY(sort_names(model));
  PERI_TRY(peri_description_read(model->context, operation, model->text, &description));
  const peri_item *root = description.root->kind == PERI_ITEM_CALL ? description.root : NULL;
  peri_status status =
      root != NULL && strcmp(root->text, "Model") == 0
          ? read_steps(model, operation, root)
          : peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: the description is of no Model{...}", operation);
  if (status == PERI_OK) status = read_task(model, operation, root);
  if (status == PERI_OK) status = join_steps(model, operation);
  peri_description_release(&description);
  if (status != PERI_OK || model->machine.type != NULL) return status;
  PERI_TRY(peri_model_try(model, operation));
  return peri_model_plan(model);
}

static peri_status keep_text(peri_model *model, const char *operation, const char *text) {
  void *block;
  if (strlen(text) > PERI_MODEL_TEXT)
    return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: the description has more than %zu characters", operation,
                     PERI_MODEL_TEXT);
  model->text_bytes = strlen(text) + 1;
  PERI_TRY(peri_alloc(model->context, model->text_bytes, &block));
  model->text = memcpy(block, text, model->text_bytes);
  return PERI_OK;
}

/* The model, or its message in the caller's context. */
static peri_status finish(peri_context *context, peri_model *model, peri_status status, peri_model **out) {
  if (status == PERI_OK) {
    *out = model;
    return PERI_OK;
  }
  peri_fail(context, status, "%s", peri_message(model->context));
  peri_model_release(&model);
  return status;
}

/* ---- at work for a caller ---- */

/* A model is made, read and written in its own context, where tensors of its own are, but in the files of the caller's,
 * and what stops that stops it: for the call it is confined as that is, and has its interrupt. Its own context never
 * closes the folder. */
typedef struct serving {
  peri_context *own;
  peri_interrupt *interrupt; /* its own */
} serving;

static serving serve(const peri_model *model, const peri_context *context) {
  const serving s = {model->context, model->context->interrupt};
  s.own->confined = context->confined;
  s.own->root = context->root;
  s.own->interrupt = context->interrupt;
  s.own->deadline = context->deadline;
  s.own->raise_at = context->raise_at; /* tests */
  return s;
}

static void serve_no_more(const serving *s) {
  s->own->confined = false;
  s->own->root = -1;
  s->own->interrupt = s->interrupt;
}

/* ---- from tensors ---- */

peri_status peri_model_copy_tensor(peri_context *context, peri_tensor *x, peri_tensor **out) {
  peri_layout layout = x->layout;
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(x, &own));
  layout.offset = 0;
  peri_status status = peri_layout_contiguous(context, "model", &layout);
  if (status == PERI_OK) status = peri_tensor_empty(context, &layout, out);
  if (status == PERI_OK && layout.numel > 0)
    memcpy((*out)->data, own->data, (size_t)layout.numel * peri_dtype_size(layout.dtype));
  peri_tensor_release(&own);
  return status;
}

/* In the form in which files come: names and tensors, which are one block and references. */
static peri_status copy_list(peri_model *model, size_t n, const char *const *names, peri_tensor *const *tensors) {
  peri_context *context = model->context;
  size_t bytes = 2 * n * sizeof(void *);
  void *block;
  if (n == 0) return PERI_OK;
  for (size_t i = 0; i < n; i++) bytes += strlen(names[i]) + 1;
  PERI_TRY(peri_alloc(context, bytes, &block));
  model->list = (peri_named_tensors){
      .n = n, .names = block, .tensors = (peri_tensor **)((void **)block + n), .block_size = bytes};
  char *at = (char *)((void **)block + 2 * n);
  for (size_t i = 0; i < n; i++) {
    model->list.tensors[i] = NULL;
    model->list.names[i] = strcpy(at, names[i]);
    at += strlen(at) + 1;
  }
  for (size_t i = 0; i < n; i++) PERI_TRY(peri_model_copy_tensor(context, tensors[i], &model->list.tensors[i]));
  return PERI_OK;
}

peri_status peri_model_new(peri_context *context, const char *operation, const char *description, size_t n,
                           const char *const *names, peri_tensor *const *tensors, peri_model **out) {
  peri_model *model;
  PERI_TRY(begin(context, &model));
  *out = NULL;
  const serving s = serve(model, context);
  peri_status status = keep_text(model, operation, description);
  if (status == PERI_OK) status = copy_list(model, n, names, tensors);
  if (status == PERI_OK) status = build(model, operation);
  serve_no_more(&s);
  return finish(context, model, status, out);
}

/* ---- files ---- */

static const char *metadata(const peri_model *model, const char *key) {
  for (size_t i = 0; i < model->list.metadata_n; i++) {
    if (strcmp(model->list.keys[i], key) == 0) return model->list.values[i];
  }
  return NULL;
}

/* The list has been read. */
static peri_status build_read(peri_model *model, const char *name) {
  char operation[200];
  const char *text = metadata(model, "model"), *version = metadata(model, "perilune");
  snprintf(operation, sizeof operation, "load: %.150s", name);
  if (text == NULL || version == NULL || strncmp(version, "model ", 6) != 0)
    return peri_fail(model->context, PERI_ERR_IO, "%s: it holds no model (expected a file of save_model)", operation);
  if (strcmp(version, PERI_MODEL_VERSION) != 0)
    return peri_fail(model->context, PERI_ERR_IO, "%s: it is a '%.20s' (expected '%s')", operation, version,
                     PERI_MODEL_VERSION);
  if (metadata(model, PERI_SAFETENSORS_CHECKSUM) == NULL)
    return peri_fail(model->context, PERI_ERR_IO, "%s: its checksum is missing (the file is damaged)", operation);
  PERI_TRY(keep_text(model, operation, text));
  peri_status status = build(model, operation);
  return status == PERI_ERR_ARGUMENT ? PERI_ERR_IO : status;
}

peri_status peri_model_load(peri_context *context, const char *path, peri_model **out) {
  peri_model *model;
  *out = NULL;
  PERI_TRY(begin(context, &model));
  const serving s = serve(model, context);
  peri_status status = peri_safetensors_read(model->context, path, &model->list);
  if (status == PERI_OK) status = build_read(model, path);
  serve_no_more(&s);
  return finish(context, model, status, out);
}

peri_status peri_model_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                             peri_model **out) {
  peri_model *model;
  *out = NULL;
  PERI_TRY(begin(context, &model));
  const serving s = serve(model, context);
  peri_status status = peri_safetensors_parse(model->context, name, bytes, size, &model->list);
  if (status == PERI_OK) status = build_read(model, name);
  serve_no_more(&s);
  return finish(context, model, status, out);
}

peri_status peri_model_save(peri_context *context, const peri_model *model, const char *path) {
  peri_model *own = (peri_model *)model; /* its tensors are counted while they are written, one thread at a time */
  const char *keys[] = {"model", "perilune", PERI_SAFETENSORS_CHECKSUM};
  const char *values[] = {model->text, PERI_MODEL_VERSION, ""};
  pthread_mutex_lock(&own->lock);
  const serving s = serve(own, context);
  peri_status status = peri_safetensors_write(own->context, path, own->list.n, (const char *const *)own->list.names,
                                              own->list.tensors, PERI_COUNT(keys), keys, values);
  serve_no_more(&s);
  if (status != PERI_OK) peri_fail(context, status, "%s", peri_message(own->context));
  pthread_mutex_unlock(&own->lock);
  return status;
}

/* ---- what it is ---- */

const char *peri_model_kind(const peri_model *model) { return model->kind; }
const char *peri_model_description(const peri_model *model) { return model->text; }
int64_t peri_model_inputs(const peri_model *model) { return model->inputs; }
int64_t peri_model_outputs(const peri_model *model) { return model->outputs; }
int64_t peri_model_classes(const peri_model *model, const int64_t **labels) {
  if (labels != NULL) *labels = model->classes;
  return model->k;
}
