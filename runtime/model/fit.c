/* peri_fit: networks and machines from a description, trained in C. */
#include "model/model.h"

#include "autograd/autograd.h"
#include "ops/rows.h"
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- labels ---- */

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* The labels that occur, ascending. */
static peri_status find_classes(peri_context *context, const peri_tensor *y, peri_tensor **out) {
  const size_t n = (size_t)y->layout.numel;
  void *block;
  PERI_TRY(peri_alloc_array(context, n, sizeof(int64_t), &block));
  int64_t *sorted = memcpy(block, y->data, n * sizeof *sorted), k = 0;
  qsort(sorted, n, sizeof *sorted, by_value);
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || sorted[i] != sorted[i - 1]) sorted[k++] = sorted[i];
  }
  peri_status status = peri_tensor_new(context, PERI_INT64, 1, &k, out);
  if (status == PERI_OK) memcpy((*out)->data, sorted, (size_t)k * sizeof *sorted);
  peri_free(context, block, n * sizeof *sorted);
  return status;
}

/* Positions in classes, from 1, as losses want them. */
static peri_status to_positions(peri_context *context, const peri_tensor *y, const peri_tensor *classes,
                                peri_tensor **out) {
  const int64_t *labels = (const int64_t *)(const void *)y->data, *known = (const int64_t *)(const void *)classes->data;
  PERI_TRY(peri_tensor_new(context, PERI_INT64, 1, &y->layout.numel, out));
  int64_t *to = (int64_t *)(void *)(*out)->data;
  for (int64_t i = 0; i < y->layout.numel; i++) {
    const int64_t *found = bsearch(&labels[i], known, (size_t)classes->layout.numel, sizeof *known, by_value);
    to[i] = found - known + 1;
  }
  return PERI_OK;
}

/* ---- a training ---- */

typedef struct training {
  peri_context *context;
  int n; /* layers */
  peri_layer **layers;
  peri_layer *loss;
  peri_optimizer *optimizer;
  peri_tensor *x, *y, *classes; /* of the layers' dtype; positions or numbers; NULL: a regression */
  bool flat;
  int64_t epochs, batch_size;
  bool shuffle;
  uint64_t seed;
} training;

static const peri_option training_options[] = {{"epochs", PERI_OPTION_INTEGER, 10, 0, 0x1p40, NULL, ""},
                                               {"batch_size", PERI_OPTION_INTEGER, 32, 1, 0x1p40, NULL, ""},
                                               {"shuffle", PERI_OPTION_BOOL, 1, 0, 0, NULL, ""},
                                               {"seed", PERI_OPTION_INTEGER, 0, 0, 0x1p53, NULL, ""},
                                               {NULL}};

static peri_status add_layers(training *t, const peri_item *item) {
  if (item->kind == PERI_ITEM_CALL && strcmp(item->text, "Sequential") == 0) {
    for (const peri_item *child = item->first; child != NULL; child = child->next) {
      if (child->key != NULL)
        return peri_fail(t->context, PERI_ERR_ARGUMENT, "fit: a Sequential has no option %.40s", child->key);
      PERI_TRY(add_layers(t, child));
    }
    return PERI_OK;
  }
  if (t->n == PERI_MODEL_LAYERS)
    return peri_fail(t->context, PERI_ERR_ARGUMENT, "fit: more than %d layers", PERI_MODEL_LAYERS);
  PERI_TRY(peri_read_layer(t->context, "fit", item, NULL, NULL, &t->layers[t->n]));
  if (peri_layer_is_plain(t->layers[t->n++]->kind)) return PERI_OK;
  return peri_fail(t->context, PERI_ERR_ARGUMENT, "fit: a %s is no layer of one input and one output",
                   t->layers[t->n - 1]->kind->name);
}

/* CrossEntropyLoss{}, with its options. */
static peri_status read_loss(training *t, const peri_item *item) {
  double options[PERI_LAYER_VALUES];
  const char *name = item != NULL && item->kind == PERI_ITEM_CALL ? item->text
                     : t->classes != NULL                         ? "CrossEntropyLoss"
                                                                  : "MSELoss";
  const peri_layer_kind *const *kind = peri_loss_kinds;
  while (*kind != NULL && strcmp((*kind)->name, name) != 0) kind++;
  if (*kind == NULL || (*kind)->inputs != 2)
    return peri_fail(t->context, PERI_ERR_ARGUMENT, "fit: %.40s is no loss of scores and targets", name);
  peri_layer_defaults(*kind, NULL, options);
  if (item != NULL)
    PERI_TRY(peri_item_options(t->context, (*kind)->name, item, peri_kind_options(*kind), NULL, false, options));
  return peri_layer_new(t->context, *kind, PERI_FLOAT32, NULL, options, &t->loss);
}

/* Adam{lr = 0.001}, with its options, over all parameters. */
static peri_status read_optimizer(training *t, const peri_item *item) {
  double options[PERI_OPTIMIZER_OPTIONS];
  const char *name = item != NULL && item->kind == PERI_ITEM_CALL ? item->text : "Adam";
  const peri_optimizer_kind *const *kind = peri_optimizer_kinds;
  while (*kind != NULL && strcmp((*kind)->name, name) != 0) kind++;
  if (*kind == NULL || (*kind)->prepare == NULL)
    return peri_fail(t->context, PERI_ERR_ARGUMENT, "fit: %.40s is no optimiser in C", name);
  peri_option_defaults((*kind)->options, options);
  if (item != NULL)
    PERI_TRY(peri_item_options(t->context, (*kind)->name, item, (*kind)->options, NULL, false, options));
  int64_t n = 0;
  for (int i = 0; i < t->n; i++) n += t->layers[i]->parameter_count;
  void *block;
  PERI_TRY(peri_alloc_array(t->context, (size_t)peri_max(n, 1), sizeof(peri_tensor *), &block));
  peri_optimizer_part part = {.options = options, .parameters = block};
  for (int i = 0; i < t->n; i++) {
    for (int j = 0; j < t->layers[i]->parameter_count; j++) {
      peri_tensor *p = t->layers[i]->parameters[j];
      if (p != NULL && p->requires_grad) ((peri_tensor **)block)[part.n++] = p;
    }
  }
  peri_status status = peri_optimizer_new(t->context, *kind, 1, &part, &t->optimizer);
  peri_free(t->context, block, (size_t)peri_max(n, 1) * sizeof(peri_tensor *));
  return status;
}

/* Rows of x as the layers take them, and what they are to give. */
static peri_status read_rows(training *t, peri_tensor *x, peri_tensor *y) {
  peri_dtype dtype = PERI_FLOAT32;
  for (int i = t->n - 1; i >= 0; i--) dtype = t->layers[i]->parameter_count > 0 ? t->layers[i]->dtype : dtype;
  peri_tensor *own = NULL;
  PERI_TRY(peri_tensor_convert(x, dtype, &own));
  peri_status status = peri_tensor_contiguous(own, &t->x);
  peri_tensor_release(&own);
  if (status == PERI_OK && t->classes == NULL) {
    status = peri_tensor_convert(y, dtype, &own);
    if (status == PERI_OK) status = peri_tensor_contiguous(own, &t->y);
    peri_tensor_release(&own);
    t->flat = y->layout.ndim == 1;
  } else if (status == PERI_OK) {
    status = to_positions(t->context, y, t->classes, &t->y);
  }
  return status;
}

/* `count` rows of a tensor by their positions, from 0. A vector of numbers becomes a column, as scores are. */
static peri_status take_rows(const training *t, peri_tensor *from, int64_t count, const int64_t *rows,
                             peri_tensor **out) {
  int64_t shape[PERI_MAX_DIMS];
  int ndim = from->layout.ndim;
  memcpy(shape, from->layout.shape, sizeof shape);
  shape[0] = count;
  if (from == t->y && t->flat) shape[ndim++] = 1;
  PERI_TRY(peri_tensor_shaped(t->context, "fit", from->layout.dtype, ndim, shape, out));
  const size_t bytes = (size_t)(from->layout.numel / from->layout.shape[0]) * peri_dtype_size(from->layout.dtype);
  return peri_gather_rows(t->context, count, bytes, from->data, rows, 0, (*out)->data);
}

static peri_status take_step(training *t, int64_t count, const int64_t *rows) {
  peri_tensor *x = NULL, *y = NULL, *scores = NULL, *loss = NULL;
  int at;
  peri_status status = take_rows(t, t->x, count, rows, &x);
  if (status == PERI_OK) status = take_rows(t, t->y, count, rows, &y);
  if (status == PERI_OK) status = peri_layers_forward(t->n, t->layers, x, &scores, &at);
  if (status == PERI_OK && t->classes == NULL && !peri_same_shape(&scores->layout, &y->layout))
    status = peri_fail(t->context, PERI_ERR_ARGUMENT, "fit: the network gives %lld numbers a row, and y has %lld",
                       (long long)(scores->layout.numel / count), (long long)(y->layout.numel / count));
  if (status == PERI_OK) status = peri_layer_forward(t->loss, (peri_tensor *[]){scores, y}, &loss);
  peri_optimizer_zero_grad(t->optimizer);
  if (status == PERI_OK) status = peri_backward_run(loss, NULL, false);
  if (status == PERI_OK) status = peri_optimizer_step(t->optimizer);
  peri_tensor_release(&loss);
  peri_tensor_release(&scores);
  peri_tensor_release(&y);
  peri_tensor_release(&x);
  return status;
}

static peri_status run_epochs(training *t) {
  const int64_t n = t->x->layout.shape[0];
  peri_stream stream = {.seed = t->seed};
  void *block;
  PERI_TRY(peri_alloc_array(t->context, (size_t)n, sizeof(int64_t), &block));
  int64_t *order = block;
  peri_status status = PERI_OK;
  for (int64_t i = 0; i < n; i++) order[i] = i;
  for (int64_t epoch = 0; epoch < t->epochs && status == PERI_OK; epoch++) {
    if (t->shuffle) peri_stream_permutation(&stream, n, order);
    for (int64_t from = 0; from < n && status == PERI_OK; from += t->batch_size)
      status = take_step(t, peri_min(t->batch_size, n - from), order + from);
  }
  peri_free(t->context, block, (size_t)n * sizeof(int64_t));
  return status;
}

/* ---- what was trained, as a model ---- */

/* Names and tensors that grow; the first failure sticks. */
typedef struct collection {
  peri_context *context;
  size_t n, room;
  char (*names)[80];
  peri_tensor **tensors;
  peri_status status;
} collection;

static void release_collection(collection *c) {
  for (size_t i = 0; i < c->n; i++) peri_tensor_release(&c->tensors[i]);
  peri_free(c->context, c->names, c->room * sizeof *c->names);
  peri_free(c->context, c->tensors, c->room * sizeof *c->tensors);
}

static void open_collection(peri_context *context, size_t room, collection *c) {
  void *names = NULL, *tensors = NULL;
  *c = (collection){.context = context};
  c->status = peri_alloc_array(context, room, sizeof *c->names, &names);
  if (c->status == PERI_OK) c->status = peri_alloc_array(context, room, sizeof *c->tensors, &tensors);
  if (c->status != PERI_OK) peri_free(context, names, room * sizeof *c->names);
  if (c->status != PERI_OK) return;
  c->names = names, c->tensors = tensors, c->room = room;
}

/* Takes the reference. */
static void collect(collection *c, const char *name, peri_status status, peri_tensor *x) {
  if (c->status == PERI_OK) c->status = status;
  if (c->status != PERI_OK) {
    if (x != NULL) peri_tensor_release(&x);
    return;
  }
  snprintf(c->names[c->n], sizeof c->names[c->n], "%s", name);
  c->tensors[c->n++] = x;
}

static peri_status make_model(collection *c, const peri_writer *text, peri_model **out) {
  void *block;
  if (c->status == PERI_OK) c->status = text->status;
  PERI_TRY(c->status);
  PERI_TRY(peri_alloc_array(c->context, c->n, sizeof(char *), &block));
  const char **names = block;
  for (size_t i = 0; i < c->n; i++) names[i] = c->names[i];
  peri_status status = peri_model_new(c->context, "fit", text->text, c->n, names, c->tensors, out);
  peri_free(c->context, block, c->n * sizeof(char *));
  return status;
}

static peri_status finish_network(training *t, peri_model **out) {
  size_t room = 1;
  for (int i = 0; i < t->n; i++) room += (size_t)t->layers[i]->parameter_count;
  collection c;
  peri_writer text = {.context = t->context};
  open_collection(t->context, room, &c);
  peri_write(&text, "Model{Sequential{");
  for (int i = 0; i < t->n; i++) {
    const peri_layer *layer = t->layers[i];
    if (i > 0) peri_write(&text, ", ");
    peri_write_layer(&text, layer);
    for (int j = 0; j < layer->parameter_count; j++) {
      char room_for[PERI_LAYER_NAME], name[80];
      if (layer->parameters[j] == NULL) continue;
      snprintf(name, sizeof name, "1.%d.%s", i + 1, peri_layer_parameter_name(layer, j, room_for));
      collect(&c, name, PERI_OK, peri_tensor_retain(layer->parameters[j]));
    }
  }
  peri_write(&text, "}, task = '%s'%s, input = {", t->classes != NULL ? "classes" : "numbers",
             t->flat ? ", flat = true" : "");
  for (int d = 1; d < t->x->layout.ndim; d++)
    peri_write(&text, "%s%lld", d > 1 ? ", " : "", (long long)t->x->layout.shape[d]);
  peri_write(&text, "}}");
  if (t->classes != NULL) collect(&c, "classes", PERI_OK, peri_tensor_retain(t->classes));
  peri_status status = make_model(&c, &text, out);
  peri_writer_release(&text);
  release_collection(&c);
  return status;
}

static peri_status train(training *t, const peri_item *item, const peri_item *options, peri_tensor *x, peri_tensor *y) {
  static const char *const also[] = {"optimizer", "loss", NULL};
  double values[4];
  peri_option_defaults(training_options, values);
  PERI_TRY(peri_item_options(t->context, "fit", options, training_options, also, false, values));
  t->epochs = (int64_t)values[0], t->batch_size = (int64_t)values[1];
  t->shuffle = values[2] != 0, t->seed = (uint64_t)values[3];
  if (t->classes != NULL && t->classes->layout.numel < 2)
    return peri_fail(t->context, PERI_ERR_ARGUMENT, "fit: y has one label alone");
  void *block;
  PERI_TRY(peri_alloc_array(t->context, PERI_MODEL_LAYERS, sizeof(peri_layer *), &block));
  t->layers = block;
  const peri_stream before = t->context->stream;
  t->context->stream = (peri_stream){.seed = t->seed};
  peri_status status = add_layers(t, item);
  if (status == PERI_OK) status = read_loss(t, peri_item_find(options, "loss"));
  if (status == PERI_OK) status = read_optimizer(t, peri_item_find(options, "optimizer"));
  if (status == PERI_OK) status = read_rows(t, x, y);
  if (status == PERI_OK) status = run_epochs(t);
  t->context->stream = before;
  return status;
}

static void end_training(training *t) {
  for (int i = 0; i < t->n; i++) peri_layer_release(&t->layers[i]);
  peri_free(t->context, t->layers, PERI_MODEL_LAYERS * sizeof(peri_layer *));
  peri_layer_release(&t->loss);
  peri_optimizer_release(&t->optimizer);
  peri_tensor_release(&t->x);
  peri_tensor_release(&t->y);
}

/* ---- machines ---- */

static peri_status array_tensor(peri_context *context, const peri_machine_field *field, const peri_machine_array *a,
                                peri_tensor **out) {
  PERI_TRY(peri_tensor_shaped(context, "fit", a->dtype, a->ndim, a->shape, out));
  const size_t bytes = (size_t)(*out)->layout.numel * peri_dtype_size(a->dtype);
  if (bytes > 0) memcpy((*out)->data, a->data, bytes);
  for (int64_t i = 0; field->first != 0 && i < (*out)->layout.numel; i++)
    ((int64_t *)(void *)(*out)->data)[i] += field->first;
  return PERI_OK;
}

static void collect_number(collection *c, const char *name, double number) {
  peri_tensor *x = NULL;
  peri_status status = peri_tensor_new(c->context, PERI_FLOAT64, 0, NULL, &x);
  if (status == PERI_OK) memcpy(x->data, &number, sizeof number);
  collect(c, name, status, x);
}

static peri_status finish_machine(const peri_machine *e, peri_model **out) {
  enum { MOST_FIELDS = 40 };
  collection c;
  peri_writer text = {.context = e->context};
  open_collection(e->context, MOST_FIELDS, &c);
  for (const peri_machine_field *field = e->type->fields; field->name != NULL && c.status == PERI_OK; field++) {
    char name[80];
    snprintf(name, sizeof name, "1.%s", field->name);
    if (field->number != NULL) collect_number(&c, name, field->number(e));
    if (field->array == NULL) continue;
    const peri_machine_array a = field->array(e);
    const bool empty = a.shape[0] == 0 || (a.ndim == 2 && a.shape[1] == 0);
    peri_tensor *x = NULL;
    if (a.data == NULL && !empty) continue;
    peri_status status = array_tensor(e->context, field, &a, &x);
    collect(&c, name, status, x);
  }
  const peri_machine_facts facts = e->type->facts(e);
  collect_number(&c, "1.n", (double)facts.n);
  collect_number(&c, "1.d", (double)facts.d);
  peri_write(&text, "Model{");
  peri_write_machine(&text, e);
  peri_write(&text, "}");
  peri_status status = make_model(&c, &text, out);
  peri_writer_release(&text);
  release_collection(&c);
  return status;
}

static peri_status fit_machine(peri_context *context, const peri_item *item, const peri_item *options, peri_tensor *x,
                               peri_tensor *y, peri_model **out) {
  peri_machine e;
  peri_class_weight *weights;
  const peri_machine_watch watch = {NULL, NULL};
  const peri_layout *of = &x->layout;
  peri_tensor *rows = NULL, *targets = NULL;
  if (options->first != NULL)
    return peri_fail(context, PERI_ERR_ARGUMENT, "fit: options of machines stand in their description");
  if (of->ndim != 2)
    return peri_fail(context, PERI_ERR_ARGUMENT, "fit: x has %d dimensions (expected n x d)", of->ndim);
  PERI_TRY(peri_read_machine(context, "fit", item, &e, &weights));
  const bool labels = e.type->targets == PERI_TARGET_LABELS;
  peri_status status = peri_tensor_contiguous(x, &rows);
  if (status == PERI_OK && labels && y->layout.dtype != PERI_INT64)
    status =
        peri_fail(context, PERI_ERR_ARGUMENT, "fit: y is %s (expected int64 labels)", peri_dtype_name(y->layout.dtype));
  if (status == PERI_OK && e.type->targets != PERI_TARGET_NONE)
    status = peri_tensor_copy(y, labels ? PERI_INT64 : PERI_FLOAT64, &targets);
  if (status == PERI_OK) {
    const void *values = targets == NULL ? NULL : targets->data;
    const peri_svm_samples s = {.dtype = of->dtype,
                                .n = of->shape[0],
                                .d = of->shape[1],
                                .x = rows->data,
                                .ldx = of->shape[1],
                                .labels = labels ? values : NULL,
                                .targets = labels ? NULL : values};
    status = e.type->fit(&e, &s, &watch, &e.fitted);
  }
  if (status == PERI_OK) {
    status = finish_machine(&e, out);
    e.type->release(context, &e.fitted);
  }
  peri_tensor_release(&rows);
  peri_tensor_release(&targets);
  peri_free(context, weights, (size_t)e.weights * sizeof *weights);
  return status;
}

/* ---- the call ---- */

static peri_status check_data(peri_context *context, bool machine, const peri_tensor *x, const peri_tensor *y) {
  const int64_t n = x->layout.ndim > 0 ? x->layout.shape[0] : 0;
  if (x->layout.ndim < 2 || n < 1 || !peri_is_float(x->layout.dtype))
    return peri_fail(context, PERI_ERR_ARGUMENT, "fit: x must have a row of floats for each example");
  if (y == NULL && machine) return PERI_OK; /* OneClassSVM */
  if (y == NULL || y->layout.ndim < 1 || y->layout.shape[0] != n ||
      (!peri_is_float(y->layout.dtype) && (y->layout.dtype != PERI_INT64 || y->layout.ndim != 1)) ||
      (peri_is_float(y->layout.dtype) && y->layout.ndim > 2))
    return peri_fail(context, PERI_ERR_ARGUMENT,
                     "fit: y does not fit x (expected %lld int64 labels, or %lld rows of floats)", (long long)n,
                     (long long)n);
  return PERI_OK;
}

static peri_status fit(peri_context *context, const peri_item *item, const peri_item *options, peri_tensor *x,
                       peri_tensor *y, peri_model **out) {
  const bool machine = item->kind == PERI_ITEM_CALL && strncmp(item->text, "svm.", 4) == 0;
  PERI_TRY(peri_tensor_check_read(x, "fit", "x"));
  PERI_TRY(check_data(context, machine, x, y));
  if (machine) return fit_machine(context, item, options, x, y, out);
  training t = {.context = context};
  peri_tensor *labels = NULL;
  peri_status status = PERI_OK;
  if (y->layout.dtype == PERI_INT64) {
    status = peri_tensor_contiguous(y, &labels);
    if (status == PERI_OK) status = find_classes(context, labels, &t.classes);
    y = labels;
  }
  if (status == PERI_OK) status = train(&t, item, options, x, y);
  if (status == PERI_OK) status = finish_network(&t, out);
  end_training(&t);
  peri_tensor_release(&t.classes);
  peri_tensor_release(&labels);
  return status;
}

peri_status peri_fit(peri_context *context, const char *description, const char *options, peri_tensor *x,
                     peri_tensor *y, peri_model **out) {
  peri_description model, more;
  *out = NULL;
  PERI_TRY(peri_description_read(context, "fit", description, &model));
  peri_status status = peri_description_read_options(context, "fit", options, &more);
  if (status == PERI_OK) {
    const bool recording = context->grad_mode;
    context->grad_mode = true;
    const peri_item *item =
        model.root->kind == PERI_ITEM_TABLE && model.root->count == 1 ? model.root->first : model.root;
    status = fit(context, item, more.root, x, y, out);
    context->grad_mode = recording;
    peri_description_release(&more);
  }
  peri_description_release(&model);
  return status;
}
