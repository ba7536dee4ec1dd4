/* Networks that are dense, one product behind the other with elementwise functions between them, as scorers run them:
 * weights packed once for all scorers, and loops. All other networks run layer by layer. */
#include "model/model.h"

#include "kernels/kernels.h"
#include "ops/rows.h"

static const peri_op *const unary_rows[PERI_UNARIES] = {
#define SERVES(...)
#define UNARY(name, ...) [PERI_UNARY_##name] = &peri_op_##name,
#include "kernels/scored.def"
};
static const peri_op *const tuned_rows[PERI_TUNEDS] = {
#define TUNED(name, ...) [PERI_TUNED_##name] = &peri_op_##name,
#include "kernels/scored.def"
};

static int find_row(const peri_op *const *rows, int n, const peri_op *row) {
  while (--n >= 0 && rows[n] != row) continue;
  return n;
}

/* The layer as a function of each element. Its options are the numbers of the row, in order. */
static bool plan_elementwise(const peri_layer *layer, peri_dtype dtype, const peri_elementwise_kernels *kernels,
                             peri_dense *d) {
  const peri_op *row = layer->kind->row;
  if (row == NULL || layer->parameter_count > 0) return false;
  int id = row == &peri_op_gelu ? layer->options[0] != 0 ? PERI_UNARY_gelu_tanh : PERI_UNARY_gelu_none
                                : find_row(unary_rows, PERI_UNARIES, row);
  if (id >= 0) d->loop = kernels->unary[id][dtype];
  if (id >= 0) return d->loop != NULL;
  id = find_row(tuned_rows, PERI_TUNEDS, row);
  if (id < 0 || id == PERI_TUNED_nan_to_num) return false;
  for (int i = 0; i < 3 && i < peri_option_count(peri_kind_options(layer->kind)); i++)
    d->numbers[i] = layer->options[i];
  d->tuned = kernels->tuned[id][dtype];
  return d->tuned != NULL;
}

/* Whether all layers are such; the row is flat from the start, or from the first Flatten on. */
static bool plan_layers(peri_model *model, peri_dense *dense, int *count) {
  bool flat = model->ndim == 1;
  int64_t width = model->features;
  *count = 0;
  for (int i = 0; i < model->layer_count; i++) {
    const peri_layer *layer = model->layers[i];
    const char *name = layer->kind->name;
    peri_dense d = {.n = 0};
    if (layer->parameter_count > 0 && layer->dtype != model->dtype) return false;
    if (strcmp(name, "Identity") == 0 || strcmp(name, "Dropout") == 0) continue;
    if (layer->kind->row == &peri_op_flatten && layer->options[0] == 2) {
      flat = true;
      continue;
    }
    if (layer->kind->row == &peri_op_linear) {
      if (!flat || layer->sizes[0] != width || width > PERI_PART) return false;
      d.k = width;
      d.n = width = layer->sizes[1];
      d.bias = layer->parameters[1] == NULL ? NULL : layer->parameters[1]->data;
      d.packed = layer->parameters[0]->data; /* not packed yet */
      model->widest = peri_max(model->widest, width);
    } else if (!plan_elementwise(layer, model->dtype, model->context->kernels->elementwise, &d)) {
      return false;
    }
    dense[(*count)++] = d;
  }
  return true;
}

static peri_product product_of(const peri_model *model, const peri_dense *d) {
  return (peri_product){
      .dtype = model->dtype, .m = 1, .n = d->n, .k = d->k, .b = {.data = d->packed, .along = d->k, .step = 1}};
}

static size_t lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static peri_status pack_all(peri_model *model) {
  peri_context *context = model->context;
  for (int i = 0; i < model->dense_count; i++) {
    peri_product p = product_of(model, &model->dense[i]);
    if (p.n > 0) model->packed_bytes += lines(peri_packed_bytes(context, &p));
  }
  PERI_TRY(peri_alloc(context, model->packed_bytes, &model->packed));
  char *at = model->packed;
  for (int i = 0; i < model->dense_count; i++) {
    peri_dense *d = &model->dense[i];
    peri_product p = product_of(model, d);
    if (p.n == 0) continue;
    PERI_TRY(peri_pack_columns(context, &p, at));
    d->packed = at;
    at += lines(peri_packed_bytes(context, &p));
  }
  return PERI_OK;
}

peri_status peri_model_plan(peri_model *model) {
  void *block;
  int count;
  if (model->dtype == PERI_INT64 || model->layer_count == 0) return PERI_OK;
  PERI_TRY(peri_alloc_array(model->context, (size_t)model->layer_count, sizeof *model->dense, &block));
  if (!plan_layers(model, block, &count)) {
    peri_free(model->context, block, (size_t)model->layer_count * sizeof *model->dense);
    return PERI_OK;
  }
  model->dense = block;
  model->dense_count = count;
  return pack_all(model);
}
