/* Life of a fitted machine: its room, and what follows from its public fields; see svm.h. */
#include "svm/kernel/model.h"

#include "svm/kernel/features.h"
#include "svm/svm_kernels.h"

peri_status peri_svm_new(peri_context *context, peri_svm **out) {
  void *model, *machine;
  *out = NULL;
  PERI_TRY(peri_alloc(context, sizeof(peri_svm), &model));
  peri_status status = peri_alloc(context, sizeof(peri_svm_machine), &machine);
  if (status != PERI_OK) {
    peri_free(context, model, sizeof(peri_svm));
    return status;
  }
  memset(model, 0, sizeof(peri_svm));
  memset(machine, 0, sizeof(peri_svm_machine));
  *out = model;
  (*out)->machine = machine;
  (*out)->machine->blocks.context = context;
  return PERI_OK;
}

void peri_svm_release(peri_context *context, peri_svm **model) {
  if (*model == NULL) return;
  peri_blocks_release(&(*model)->machine->blocks);
  peri_free(context, (*model)->machine, sizeof(peri_svm_machine));
  peri_free(context, *model, sizeof(peri_svm));
  *model = NULL;
}

peri_status peri_svm_make_room(peri_svm *model, int64_t k, const int64_t *n_support) {
  peri_svm_machine *machine = model->machine;
  peri_blocks *blocks = &machine->blocks;
  model->k = k;
  model->groups = peri_max(k, 1);
  model->rows = peri_max(k - 1, 1);
  model->pairs = peri_max(k * (k - 1) / 2, 1);
  PERI_TRY(peri_blocks_new(blocks, k, sizeof *model->classes, &model->classes));
  PERI_TRY(peri_blocks_new(blocks, model->groups, sizeof *model->n_support, &model->n_support));
  PERI_TRY(peri_blocks_new(blocks, model->groups + 1, sizeof *machine->start, &machine->start));
  machine->start[0] = 0;
  for (int64_t c = 0; c < model->groups; c++) {
    model->n_support[c] = n_support[c];
    machine->start[c + 1] = machine->start[c] + n_support[c];
  }
  model->supports = machine->start[model->groups];
  PERI_TRY(peri_blocks_new(blocks, model->supports, sizeof *model->support, &model->support));
  if (model->options.kernel != PERI_SVM_PRECOMPUTED)
    PERI_TRY(
        peri_blocks_new(blocks, model->supports * model->d, peri_float_size(model->dtype), &model->support_vectors));
  PERI_TRY(
      peri_blocks_new(blocks, peri_max(model->rows * model->supports, 1), sizeof *model->dual_coef, &model->dual_coef));
  PERI_TRY(peri_blocks_new(blocks, model->pairs, sizeof *model->intercept, &model->intercept));
  PERI_TRY(peri_blocks_new_zeroed(blocks, model->pairs, sizeof *model->n_iter, &model->n_iter));
  PERI_TRY(peri_blocks_new_zeroed(blocks, model->pairs, sizeof *model->gaps, &model->gaps));
  PERI_TRY(peri_blocks_new_zeroed(blocks, model->pairs, sizeof *model->objectives, &model->objectives));
  if (model->options.probability) {
    PERI_TRY(peri_blocks_new_zeroed(blocks, model->pairs, sizeof *model->prob_a, &model->prob_a));
    PERI_TRY(peri_blocks_new_zeroed(blocks, model->pairs, sizeof *model->prob_b, &model->prob_b));
  }
  if (model->options.kernel == PERI_SVM_LINEAR)
    PERI_TRY(peri_blocks_new_zeroed(blocks, model->pairs * model->d, sizeof *model->coef, &model->coef));
  return PERI_OK;
}

/* Weights of the linear kernel: sums of support vectors, pair by pair. */
typedef struct coef_job {
  const peri_context *context;
  peri_svm *model;
} coef_job;

static void coef_body(void *arg, int64_t pair) {
  const coef_job *job = arg;
  const peri_svm *model = job->model;
  const int64_t *start = model->machine->start;
  int64_t class[2] = {0, 0}, row[2] = {0, 0}, parts = 1;
  if (model->k > 0) {
    int64_t a = 0, b, left = pair;
    while (left >= model->k - 1 - a) left -= model->k - 1 - a++;
    b = a + 1 + left;
    class[0] = a, row[0] = b - 1;
    class[1] = b, row[1] = a;
    parts = 2;
  }
  double *w = model->coef + pair * model->d;
  for (int64_t part = 0; part < parts; part++) {
    const double *coefficients = model->dual_coef + row[part] * model->supports;
    for (int64_t i = start[class[part]]; i < start[class[part] + 1]; i++) {
      if (coefficients[i] == 0) continue;
      job->context->kernels->svm->axpy[peri_is_wide(model->dtype)](
          model->d, w, peri_at(model->dtype, model->support_vectors, model->d, i, 0), coefficients[i]);
    }
  }
}

/* dual_coef turned, so that the coefficients of a support vector lie together. */
static peri_status turn_coefficients(peri_svm *model) {
  peri_svm_machine *machine = model->machine;
  bool wanted = false;
  for (int64_t c = 0; c < model->k; c++) wanted = wanted || peri_svm_goes_by_support(model, c);
  if (!wanted || model->supports == 0) return PERI_OK;
  PERI_TRY(peri_blocks_new(&machine->blocks, model->supports * model->rows, sizeof(double), &machine->by_support));
  for (int64_t j = 0; j < model->rows; j++) {
    for (int64_t s = 0; s < model->supports; s++) {
      machine->by_support[s * model->rows + j] = model->dual_coef[j * model->supports + s];
    }
  }
  return PERI_OK;
}

static peri_status turn_vectors(peri_svm *model) {
  peri_svm_machine *machine = model->machine;
  const int64_t size = (int64_t)peri_float_size(machine->compute);
  if (!peri_svm_is_narrow(&machine->kernel, model->d)) return PERI_OK;
  machine->columns_ld = peri_svm_padded(model->supports) + PERI_SVM_PAD;
  PERI_TRY(peri_blocks_new_zeroed(&machine->blocks, model->d * machine->columns_ld, (size_t)size, &machine->columns));
  for (int64_t s = 0; s < model->supports; s++) {
    for (int64_t l = 0; l < model->d; l++)
      memcpy((char *)machine->columns + (l * machine->columns_ld + s) * size,
             peri_at(machine->compute, machine->vectors, model->d, s, l), (size_t)size);
  }
  return PERI_OK;
}

peri_status peri_svm_prepare(peri_context *context, peri_svm *model) {
  peri_svm_machine *machine = model->machine;
  peri_blocks *blocks = &machine->blocks;
  machine->compute = peri_svm_compute_dtype(model->dtype, model->n);
  machine->kernel = (peri_svm_kernel){.id = model->options.kernel,
                                      .gamma = model->gamma,
                                      .coef0 = model->options.coef0,
                                      .degree = model->options.degree};
  machine->sign = model->k == 2 ? -1 : 1;
  if (model->options.kernel != PERI_SVM_LINEAR) PERI_TRY(turn_coefficients(model));
  if (model->options.kernel == PERI_SVM_PRECOMPUTED) return PERI_OK;
  if (model->options.kernel == PERI_SVM_LINEAR)
    return peri_parallel(context, model->pairs, coef_body, &(coef_job){.context = context, .model = model});
  if (model->supports > 0 && peri_svm_wants_centre(&machine->kernel, model->d)) {
    PERI_TRY(peri_blocks_new(blocks, model->d, sizeof *machine->centre, &machine->centre));
    PERI_TRY(peri_svm_means(context, model->dtype, model->supports, model->d, model->support_vectors, model->d, NULL,
                            machine->centre));
  }
  size_t size = peri_float_size(machine->compute);
  PERI_TRY(peri_blocks_new(blocks, model->supports * model->d, size, &machine->vectors));
  PERI_TRY(peri_blocks_new(blocks, model->supports, size, &machine->norms));
  PERI_TRY(peri_svm_pack(context, model->dtype, model->supports, model->d, model->support_vectors, model->d, NULL,
                         machine->centre, machine->compute, machine->vectors));
  PERI_TRY(turn_vectors(model));
  return peri_svm_norms(context, &machine->kernel, machine->compute, model->supports, model->d, machine->vectors,
                        model->d, machine->norms);
}
