/* Scorers: rows through a model's transforms, then its network or its machine, in memory that was taken before. */
#include "model/model.h"

#include "kernels/kernels.h"

#include <stdlib.h>

struct peri_scorer {
  peri_model *model;
  peri_context *context;
  int64_t most;         /* rows at a time */
  peri_machine machine; /* the model's, with the scorer's context */
  peri_layer **layers;  /* the same; NULL: the network is dense */
  char *rows[2];        /* each for `most` rows of the widest numbers */
  double *work;         /* of transforms */
  size_t rows_bytes, work_bytes;
};

/* ---- life ---- */

/* A layer's tensor over the memory of the model's. */
static peri_status share(void *arg, const peri_layer *layer, int parameter, const peri_layout *layout,
                         peri_tensor **out) {
  const peri_layer *of = arg;
  PERI_TRY(peri_tensor_lend(layer->context, layout->dtype, layout->ndim, layout->shape, of->parameters[parameter]->data,
                            NULL, NULL, out));
  (*out)->storage->exposed = false; /* nobody writes there, so that products may keep it packed */
  return PERI_OK;
}

static peri_status make_layers(peri_scorer *scorer) {
  const peri_model *model = scorer->model;
  void *block;
  PERI_TRY(peri_alloc_array(scorer->context, (size_t)model->layer_count, sizeof *scorer->layers, &block));
  scorer->layers = block;
  memset(block, 0, (size_t)model->layer_count * sizeof *scorer->layers);
  for (int i = 0; i < model->layer_count; i++) {
    peri_layer *of = model->layers[i];
    PERI_TRY(
        peri_layer_from(scorer->context, of->kind, of->dtype, of->sizes, of->options, share, of, &scorer->layers[i]));
    scorer->layers[i]->training = false;
  }
  return PERI_OK;
}

static peri_status make_rows(peri_scorer *scorer) {
  const peri_model *model = scorer->model;
  int64_t in = 0;
  size_t row;
  for (int i = 0; i < model->transforms; i++) in = peri_max(in, model->transform[i].in + model->transform[i].out);
  if (__builtin_mul_overflow((size_t)model->widest, sizeof(double), &row) ||
      __builtin_mul_overflow(row, (size_t)scorer->most, &scorer->rows_bytes) ||
      __builtin_mul_overflow((size_t)in * 2 * sizeof(double), (size_t)scorer->most, &scorer->work_bytes))
    return peri_fail(scorer->context, PERI_ERR_MEMORY, "scorer: out of memory");
  for (int i = 0; i < 2; i++) {
    void *block;
    PERI_TRY(peri_alloc(scorer->context, scorer->rows_bytes, &block));
    scorer->rows[i] = block;
  }
  void *block;
  PERI_TRY(peri_alloc(scorer->context, scorer->work_bytes, &block));
  scorer->work = block;
  return PERI_OK;
}

static peri_status open_scorer(peri_model *model, int64_t most, peri_scorer **out) {
  const peri_options options = {.size = sizeof options, .threads = 1};
  *out = NULL;
  peri_scorer *scorer = calloc(1, sizeof *scorer);
  if (scorer == NULL) return PERI_ERR_MEMORY;
  peri_status status = peri_context_new(&options, &scorer->context);
  if (status != PERI_OK) {
    free(scorer);
    return status;
  }
  scorer->context->grad_mode = false;
  scorer->model = peri_model_retain(model);
  scorer->most = peri_max(1, most);
  scorer->machine = model->machine;
  scorer->machine.context = scorer->context;
  *out = scorer;
  if (model->layer_count > 0 && model->dense == NULL) PERI_TRY(make_layers(scorer));
  return make_rows(scorer);
}

peri_status peri_scorer_new(peri_model *model, int64_t most_rows, peri_scorer **out) {
  peri_status status = open_scorer(model, most_rows, out);
  if (status != PERI_OK) peri_scorer_release(out);
  return status;
}

void peri_scorer_release(peri_scorer **scorer) {
  peri_scorer *own = *scorer;
  *scorer = NULL;
  if (own == NULL) return;
  peri_context *context = own->context;
  for (int i = 0; own->layers != NULL && i < own->model->layer_count; i++) peri_layer_release(&own->layers[i]);
  peri_free(context, own->layers, (size_t)own->model->layer_count * sizeof *own->layers);
  for (int i = 0; i < 2; i++) peri_free(context, own->rows[i], own->rows_bytes);
  peri_free(context, own->work, own->work_bytes);
  peri_model_release(&own->model);
  free(own);
  peri_context_release(&context);
}

const char *peri_scorer_message(const peri_scorer *scorer) { return peri_message(scorer->context); }
peri_context *peri_scorer_context(peri_scorer *scorer) { return scorer->context; }

/* ---- networks ---- */

static void add_bias(peri_dtype dtype, int64_t rows, int64_t n, const void *bias, void *y) {
  for (int64_t i = 0; bias != NULL && i < rows; i++) {
    if (dtype == PERI_FLOAT64) {
      double *row = (double *)y + i * n;
      for (int64_t j = 0; j < n; j++) row[j] += ((const double *)bias)[j];
    } else {
      float *row = (float *)y + i * n;
      for (int64_t j = 0; j < n; j++) row[j] += ((const float *)bias)[j];
    }
  }
}

/* Gives the rows' results in one of the scorer's rooms; x may be the other. */
static const void *run_dense(const peri_scorer *scorer, int64_t rows, const void *x, int room) {
  const peri_model *model = scorer->model;
  const int64_t size = (int64_t)peri_dtype_size(model->dtype);
  int64_t width = model->features;
  for (int i = 0; i < model->dense_count; i++) {
    const peri_dense *d = &model->dense[i];
    char *y = d->n > 0 || x != scorer->rows[!room] ? scorer->rows[room] : scorer->rows[!room];
    if (d->n > 0) {
      peri_product p = {.dtype = model->dtype,
                        .m = rows,
                        .n = d->n,
                        .k = d->k,
                        .a = {.data = x, .along = d->k, .step = 1},
                        .c = y,
                        .ldc = d->n,
                        .packed = d->packed};
      peri_multiply_by_packed(scorer->context, &p);
      width = d->n;
      add_bias(model->dtype, rows, width, d->bias, y);
    } else if (d->loop != NULL) {
      d->loop(rows * width, y, size, x, size);
    } else {
      d->tuned(rows * width, y, size, x, size, d->numbers);
    }
    if (y == scorer->rows[room]) room = !room;
    x = y;
  }
  return x;
}

/* One layer that is not plain: its further inputs are left out, and its first output is handed on. */
static peri_status run_layer(const peri_layer *layer, peri_tensor *x, peri_tensor **out) {
  peri_tensor *inputs[1 + PERI_LAYER_INPUTS] = {x}, *outputs[PERI_LAYER_OUTPUTS];
  PERI_TRY(peri_layer_forward(layer, inputs, outputs));
  for (int i = 1; i < peri_layer_outputs(layer->kind); i++) peri_tensor_release(&outputs[i]);
  *out = outputs[0];
  return PERI_OK;
}

/* Layers that are plain go together, as in a Sequential. */
static peri_status run_layers(int n, peri_layer *const *layers, peri_tensor *x, peri_tensor **out) {
  peri_tensor *held = NULL;
  peri_status status = PERI_OK;
  for (int i = 0; i < n && status == PERI_OK;) {
    int together = 0, at;
    peri_tensor *y = NULL;
    while (i + together < n && peri_layer_is_plain(layers[i + together]->kind)) together++;
    if (together > 0)
      status = peri_layers_forward(together, layers + i, x, &y, &at);
    else
      status = run_layer(layers[i], x, &y);
    peri_tensor_release(&held);
    x = held = y;
    i += together > 0 ? together : 1;
  }
  if (status != PERI_OK) {
    peri_tensor_release(&held);
    return status;
  }
  *out = held != NULL ? held : peri_tensor_retain(x);
  return PERI_OK;
}

static peri_status rows_as_tensor(const peri_model *model, peri_context *context, int64_t rows, const void *x,
                                  peri_tensor **out) {
  int64_t shape[PERI_MAX_DIMS] = {rows};
  memcpy(shape + 1, model->shape, (size_t)model->ndim * sizeof *shape);
  return peri_tensor_lend(context, model->dtype, model->ndim + 1, shape, (void *)x, NULL, NULL, out);
}

static double number_at(peri_dtype dtype, const void *x, int64_t i) {
  return dtype == PERI_FLOAT64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

/* Rows of small numbers, of positions 1 where the network takes positions, through the layers. */
static peri_status try_rows(peri_model *model, int64_t rows, peri_tensor **out) {
  peri_tensor *x = NULL;
  int64_t shape[PERI_MAX_DIMS] = {rows};
  memcpy(shape + 1, model->shape, (size_t)model->ndim * sizeof *shape);
  PERI_TRY(peri_tensor_new(model->context, model->dtype, model->ndim + 1, shape, &x));
  for (int64_t i = 0; i < x->layout.numel; i++)
    peri_store_number(model->dtype, x->data + (size_t)i * peri_dtype_size(model->dtype),
                      model->dtype == PERI_INT64 ? 1 : (double)(i % 11) / 8 - 0.5);
  peri_status status = run_layers(model->layer_count, model->layers, x, out);
  peri_tensor_release(&x);
  return status;
}

/* Whether the first row of several has the numbers that it has alone. */
static bool first_is_alone(const peri_tensor *alone, const peri_tensor *several) {
  const peri_layout *a = &alone->layout, *b = &several->layout;
  if (a->ndim != b->ndim || b->numel != 2 * a->numel || a->dtype != b->dtype || b->shape[0] != 2) return false;
  for (int64_t i = 0; i < a->numel; i++) {
    double x = number_at(a->dtype, alone->data, i), y = number_at(a->dtype, several->data, i);
    if (x != y && (x == x || y == y)) return false;
  }
  return true;
}

static peri_status check_result(peri_model *model, const char *operation, const peri_tensor *alone,
                                const peri_tensor *several) {
  const peri_layout *y = &alone->layout;
  if (!peri_is_float(y->dtype) || y->ndim < 1 || y->numel < 1 || !alone->contiguous || !several->contiguous)
    return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: the network gives no numbers for each row", operation);
  if (!first_is_alone(alone, several))
    return peri_fail(model->context, PERI_ERR_ARGUMENT,
                     "%s: the network mixes rows (as a softmax over dimension 1 does, or a batch norm without running "
                     "statistics): it has no scores of a row",
                     operation);
  model->outputs = y->numel;
  model->result = y->dtype;
  model->widest = peri_max(model->widest, model->outputs);
  if (model->task != PERI_TASK_CLASSES || (y->ndim == 2 && model->outputs == model->k)) return PERI_OK;
  return peri_fail(model->context, PERI_ERR_ARGUMENT, "%s: the network gives %lld scores, but there are %lld classes",
                   operation, (long long)model->outputs, (long long)model->k);
}

peri_status peri_model_try(peri_model *model, const char *operation) {
  peri_tensor *y[2] = {NULL}, *z[2] = {NULL};
  peri_status status = PERI_OK;
  for (int i = 0; i < 2 && status == PERI_OK; i++) {
    status = try_rows(model, i + 1, &y[i]);
    if (status == PERI_OK) status = peri_tensor_contiguous(y[i], &z[i]);
  }
  if (status == PERI_OK) status = check_result(model, operation, z[0], z[1]);
  for (int i = 0; i < 2; i++) {
    peri_tensor_release(&y[i]);
    peri_tensor_release(&z[i]);
  }
  return status;
}

static peri_status run_network(const peri_scorer *scorer, int64_t rows, const void *x, int room, const void **out) {
  const peri_model *model = scorer->model;
  if (model->dense != NULL) {
    *out = run_dense(scorer, rows, x, room);
    return PERI_OK;
  }
  peri_tensor *input = NULL, *y = NULL, *own = NULL;
  PERI_TRY(rows_as_tensor(model, scorer->context, rows, x, &input));
  peri_status status = run_layers(model->layer_count, scorer->layers, input, &y);
  peri_tensor_release(&input);
  if (status == PERI_OK) status = peri_tensor_contiguous(y, &own);
  if (status == PERI_OK && y->layout.numel != rows * model->outputs)
    status = peri_fail(scorer->context, PERI_ERR_STATE, "score: the network gives %lld numbers for %lld rows",
                       (long long)y->layout.numel, (long long)rows);
  if (status == PERI_OK) {
    memcpy(scorer->rows[room], own->data, (size_t)y->layout.numel * peri_dtype_size(y->layout.dtype));
    *out = scorer->rows[room];
  }
  peri_tensor_release(&own);
  peri_tensor_release(&y);
  return status;
}

/* ---- rows ---- */

typedef struct request {
  peri_dtype dtype;
  const void *x;
  int64_t stride;
} request;

/* Rows as the network or the machine takes them: where they lie, or in a room of the scorer's, which *room names then
 * as taken. */
static peri_status prepare(const peri_scorer *scorer, const request *r, int64_t from, int64_t rows, peri_dtype wanted,
                           const void **out, int *room) {
  const peri_model *model = scorer->model;
  const size_t size = peri_dtype_size(r->dtype);
  const char *x = (const char *)r->x + (size_t)(from * r->stride) * size;
  *room = 0; /* which is free */
  if (r->stride != model->inputs) {
    const size_t bytes = (size_t)model->inputs * size;
    for (int64_t i = 0; i < rows; i++)
      memcpy(scorer->rows[*room] + (size_t)i * bytes, x + (size_t)(i * r->stride) * size, bytes);
    x = scorer->rows[*room];
    *room = 1;
  }
  for (int i = 0; i < model->transforms; i++) {
    PERI_TRY(peri_transform_apply(scorer->context, &model->transform[i], r->dtype, rows, x, scorer->rows[*room],
                                  scorer->work));
    x = scorer->rows[*room];
    *room = !*room;
  }
  if (wanted != r->dtype) {
    const peri_loop1 convert = scorer->context->kernels->elementwise->convert[r->dtype][wanted];
    const int64_t to = (int64_t)peri_dtype_size(wanted);
    convert(rows * model->features, scorer->rows[*room], to, x, (ptrdiff_t)size);
    x = scorer->rows[*room];
    *room = !*room;
  }
  *out = x;
  return PERI_OK;
}

static peri_status check_request(peri_scorer *scorer, request *r, int64_t rows, const void *out) {
  const int64_t inputs = scorer->model->inputs;
  if (r->dtype != PERI_FLOAT32 && r->dtype != PERI_FLOAT64)
    return peri_fail(scorer->context, PERI_ERR_ARGUMENT, "score: dtype is %d (expected PERI_FLOAT32 or PERI_FLOAT64)",
                     (int)r->dtype);
  if (r->stride == 0) r->stride = inputs;
  if (rows < 0 || r->stride < inputs)
    return peri_fail(scorer->context, PERI_ERR_ARGUMENT,
                     "score: there are %lld rows, %lld numbers apart (expected 0 or more, and at least %lld numbers)",
                     (long long)rows, (long long)r->stride, (long long)inputs);
  if (rows > 0 && (r->x == NULL || out == NULL))
    return peri_fail(scorer->context, PERI_ERR_ARGUMENT, "score: x or out is NULL");
  return peri_check_cancel(scorer->context);
}

/* What is done with some rows, which stand as the network or machine takes them, or with a network's results. */
typedef peri_status (*use_rows)(peri_scorer *scorer, int64_t rows, peri_dtype dtype, const void *x, int room,
                                void *out);

/* Rows, some at a time; results are out_row bytes for each. */
static peri_status each_block(peri_scorer *scorer, request r, int64_t rows, size_t out_row, void *out, use_rows use) {
  const peri_model *model = scorer->model;
  PERI_TRY(check_request(scorer, &r, rows, out));
  const peri_dtype wanted = model->machine.type != NULL ? r.dtype : model->dtype;
  for (int64_t from = 0; from < rows; from += scorer->most) {
    const int64_t some = peri_min(scorer->most, rows - from);
    const void *x;
    int room;
    PERI_TRY(prepare(scorer, &r, from, some, wanted, &x, &room));
    peri_dtype dtype = wanted;
    if (model->machine.type == NULL) {
      PERI_TRY(run_network(scorer, some, x, room, &x));
      dtype = model->result;
    }
    PERI_TRY(use(scorer, some, dtype, x, room, (char *)out + (size_t)from * out_row));
    PERI_TRY(peri_check_cancel(scorer->context));
  }
  return PERI_OK;
}

static peri_svm_samples samples_of(const peri_scorer *scorer, int64_t rows, peri_dtype dtype, const void *x) {
  const int64_t d = scorer->model->features;
  return (peri_svm_samples){.dtype = dtype, .n = rows, .d = d, .x = x, .ldx = d};
}

static peri_status use_scores(peri_scorer *scorer, int64_t rows, peri_dtype dtype, const void *x, int room, void *out) {
  const peri_machine *e = &scorer->machine;
  double *scores = out;
  const int64_t n = rows * scorer->model->outputs;
  (void)room;
  if (e->type != NULL) {
    const peri_svm_samples s = samples_of(scorer, rows, dtype, x);
    return e->type->targets == PERI_TARGET_NUMBERS ? e->type->predict(e, &s, out) : e->type->decide(e, &s, out);
  }
  for (int64_t i = 0; i < n; i++) scores[i] = number_at(dtype, x, i);
  return PERI_OK;
}

static peri_status use_labels(peri_scorer *scorer, int64_t rows, peri_dtype dtype, const void *x, int room, void *out) {
  const peri_machine *e = &scorer->machine;
  const peri_model *model = scorer->model;
  int64_t *labels = out;
  (void)room;
  if (e->type != NULL) {
    const peri_svm_samples s = samples_of(scorer, rows, dtype, x);
    return e->type->predict(e, &s, out);
  }
  PERI_TRY(peri_reduce_max(scorer->context, dtype, rows, model->k, 1, x, NULL, labels));
  for (int64_t i = 0; i < rows; i++) labels[i] = model->classes[labels[i]];
  return PERI_OK;
}

static peri_status use_probabilities(peri_scorer *scorer, int64_t rows, peri_dtype dtype, const void *x, int room,
                                     void *out) {
  const peri_machine *e = &scorer->machine;
  const int64_t k = scorer->model->k;
  double *probabilities = out;
  if (e->type != NULL) {
    const peri_svm_samples s = samples_of(scorer, rows, dtype, x);
    return e->type->probabilities(e, &s, out);
  }
  char *y = x == scorer->rows[room] ? scorer->rows[!room] : scorer->rows[room];
  PERI_TRY(peri_softmax(scorer->context, dtype, rows, k, x, y));
  for (int64_t i = 0; i < rows * k; i++) probabilities[i] = number_at(dtype, y, i);
  return PERI_OK;
}

/* ---- calls ---- */

peri_status peri_score(peri_scorer *scorer, peri_dtype dtype, int64_t rows, const void *x, int64_t stride,
                       double *out) {
  const request r = {dtype, x, stride};
  return each_block(scorer, r, rows, (size_t)scorer->model->outputs * sizeof *out, out, use_scores);
}

peri_status peri_score_labels(peri_scorer *scorer, peri_dtype dtype, int64_t rows, const void *x, int64_t stride,
                              int64_t *out) {
  const request r = {dtype, x, stride};
  if (scorer->model->task != PERI_TASK_CLASSES)
    return peri_fail(scorer->context, PERI_ERR_STATE, "score: the model (%s) has no classes", scorer->model->kind);
  return each_block(scorer, r, rows, sizeof *out, out, use_labels);
}

peri_status peri_score_probabilities(peri_scorer *scorer, peri_dtype dtype, int64_t rows, const void *x, int64_t stride,
                                     double *out) {
  const request r = {dtype, x, stride};
  const peri_model *model = scorer->model;
  const peri_machine *e = &scorer->machine;
  const char *why = model->task != PERI_TASK_CLASSES || model->k == 0 ? "it has no classes"
                    : e->type == NULL                                 ? NULL
                    : e->type->probabilities == NULL                  ? "its kind has none"
                    : e->type->no_probabilities == NULL               ? NULL
                                                                      : e->type->no_probabilities(e);
  if (why != NULL)
    return peri_fail(scorer->context, PERI_ERR_STATE, "score: the model (%s) gives no probabilities: %s", model->kind,
                     why);
  return each_block(scorer, r, rows, (size_t)model->k * sizeof *out, out, use_probabilities);
}
