/* Decisions and predictions of a fitted SVC; see svm.h. */
#include "svm/svc_model.h"

#include "svm/features.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* ---- life ---- */

peri_status peri_svc_new(peri_context *context, peri_svc **out) {
  void *model, *machine;
  *out = NULL;
  PERI_TRY(peri_alloc(context, sizeof(peri_svc), &model));
  peri_status status = peri_alloc(context, sizeof(peri_svc_machine), &machine);
  if (status != PERI_OK) {
    peri_free(context, model, sizeof(peri_svc));
    return status;
  }
  memset(model, 0, sizeof(peri_svc));
  memset(machine, 0, sizeof(peri_svc_machine));
  *out = model;
  (*out)->machine = machine;
  (*out)->machine->blocks.context = context;
  return PERI_OK;
}

void peri_svc_release(peri_context *context, peri_svc **model) {
  if (*model == NULL) return;
  peri_blocks_release(&(*model)->machine->blocks);
  peri_free(context, (*model)->machine, sizeof(peri_svc_machine));
  peri_free(context, *model, sizeof(peri_svc));
  *model = NULL;
}

peri_status peri_svc_prepare(peri_context *context, peri_svc *model) {
  peri_svc_machine *machine = model->machine;
  peri_blocks *blocks = &machine->blocks;
  machine->compute = peri_svc_compute_dtype(model->dtype, model->n);
  machine->kernel = (peri_svm_kernel){.id = model->options.kernel,
                                      .gamma = model->gamma,
                                      .coef0 = model->options.coef0,
                                      .degree = model->options.degree};
  machine->sign = model->k == 2 ? -1 : 1;
  PERI_TRY(peri_blocks_new(blocks, model->k + 1, sizeof *machine->start, &machine->start));
  machine->start[0] = 0;
  for (int64_t c = 0; c < model->k; c++) machine->start[c + 1] = machine->start[c] + model->n_support[c];
  if (model->options.kernel == PERI_SVM_LINEAR) return PERI_OK;
  if (peri_svm_kernel_table[model->options.kernel].centred) {
    PERI_TRY(peri_blocks_new(blocks, model->d, sizeof *machine->centre, &machine->centre));
    PERI_TRY(peri_svm_means(context, model->dtype, model->supports, model->d, model->support_vectors, model->d, NULL,
                            machine->centre));
  }
  size_t size = peri_float_size(machine->compute);
  PERI_TRY(peri_blocks_new(blocks, model->supports * model->d, size, &machine->vectors));
  PERI_TRY(peri_blocks_new(blocks, model->supports, size, &machine->norms));
  PERI_TRY(peri_svm_pack(context, model->dtype, model->supports, model->d, model->support_vectors, model->d, NULL,
                         machine->centre, machine->compute, machine->vectors));
  return peri_svm_norms(context, machine->compute, model->supports, model->d, machine->vectors, model->d,
                        machine->norms);
}

/* ---- decisions ---- */

#define ROWS    256   /* most test rows of a piece */
#define COLUMNS 512   /* support vectors of a tile */
#define WORK    1.5e9 /* flops of a piece, about */

typedef struct decision_job {
  const peri_context *context;
  const peri_svc *model;
  peri_dtype dtype;
  int64_t m, ldx, rows;
  const void *x;
  double *out;
  char *scratch; /* a tile, packed rows and norms for each thread */
  int64_t scratch_bytes, packed_at, norms_at;
} decision_job;

static int64_t pair_number(int64_t k, int64_t a, int64_t b) { return a * (2 * k - a - 1) / 2 + (b - a - 1); }

static void start_row(const peri_svc *model, double *out) {
  for (int64_t p = 0; p < model->pairs; p++) out[p] = model->machine->sign * model->intercept[p];
}

/* A linear machine is its weight vectors. */
static void linear_body(void *arg, int64_t piece) {
  const decision_job *job = arg;
  const peri_svc *model = job->model;
  int64_t end = peri_min(job->m, (piece + 1) * job->rows);
  for (int64_t i = piece * job->rows; i < end; i++) {
    const void *x = peri_at(job->dtype, job->x, job->ldx, i, 0);
    double *out = job->out + i * model->pairs;
    start_row(model, out);
    for (int64_t p = 0; p < model->pairs; p++) {
      out[p] += model->machine->sign *
                job->context->kernels->svm->dot[peri_is_wide(job->dtype)](model->d, x, model->coef + p * model->d);
    }
  }
}

/* Adds what support vectors from .. from + columns - 1, all of class c, contribute to one test row. */
static void add_contributions(const decision_job *job, const void *values, int64_t c, int64_t from, int64_t columns,
                              double *out) {
  const peri_svc *model = job->model;
  bool wide = peri_is_wide(model->machine->compute);
  for (int64_t other = 0; other < model->k; other++) {
    if (other == c) continue;
    int64_t pair = other < c ? pair_number(model->k, other, c) : pair_number(model->k, c, other);
    const double *coefficients = model->dual_coef + (other < c ? other : other - 1) * model->supports + from;
    out[pair] += model->machine->sign * job->context->kernels->svm->dot[wide](columns, values, coefficients);
  }
}

static void kernel_body(void *arg, int64_t piece) {
  const decision_job *job = arg;
  const peri_svc *model = job->model;
  const peri_svc_machine *machine = model->machine;
  int64_t from = piece * job->rows, m = peri_min(job->rows, job->m - from), d = model->d;
  int64_t size = (int64_t)peri_float_size(machine->compute);
  bool wide = peri_is_wide(machine->compute);
  char *tile = job->scratch + peri_worker() * job->scratch_bytes;
  char *packed = tile + job->packed_at, *norms = tile + job->norms_at;
  for (int64_t i = 0; i < m; i++) {
    peri_svm_pack_row(job->dtype, peri_at(job->dtype, job->x, job->ldx, from + i, 0), machine->compute,
                      packed + i * d * size, d, machine->centre);
    double norm = job->context->kernels->svm->square[wide](d, packed + i * d * size);
    if (wide)
      ((double *)norms)[i] = norm;
    else
      ((float *)norms)[i] = (float)norm;
    start_row(model, job->out + (from + i) * model->pairs);
  }
  for (int64_t c = 0; c < model->k; c++) {
    for (int64_t s = machine->start[c]; s < machine->start[c + 1]; s += COLUMNS) {
      int64_t columns = peri_min(COLUMNS, machine->start[c + 1] - s);
      peri_svm_kernel_block(job->context->kernels, &machine->kernel, machine->compute, m, columns, d, packed, d, norms,
                            (const char *)machine->vectors + s * d * size, d, (const char *)machine->norms + s * size,
                            tile, COLUMNS);
      for (int64_t i = 0; i < m; i++) {
        add_contributions(job, tile + i * COLUMNS * size, c, s, columns, job->out + (from + i) * model->pairs);
      }
    }
  }
}

static int64_t rows_of_piece(const peri_svc *model, int64_t m) {
  double row_work = 2.0 * (double)model->d * (double)peri_max(model->supports, 1);
  int64_t rows = peri_max(16, peri_min(ROWS, (int64_t)fmin(WORK / row_work, ROWS)));
  return peri_max(1, peri_min(rows, m));
}

static peri_status check_shape(peri_context *context, const char *who, int64_t fitted, int64_t d) {
  if (d == fitted) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has %lld features but the machine was fitted on %lld", who,
                   (long long)d, (long long)fitted);
}

peri_status peri_svc_decision(peri_context *context, const peri_svc *model, peri_dtype dtype, int64_t m, int64_t d,
                              const void *x, int64_t ldx, double *out) {
  PERI_TRY(check_shape(context, "svm.SVC", model->d, d));
  PERI_TRY(peri_svm_check_features(context, "svm.SVC", dtype, m, d, x, ldx));
  PERI_TRY(peri_blas_ready(context, context->threads));
  decision_job job = {.context = context,
                      .model = model,
                      .dtype = dtype,
                      .m = m,
                      .ldx = ldx,
                      .rows = rows_of_piece(model, m),
                      .x = x,
                      .out = out};
  int64_t pieces = (m + job.rows - 1) / job.rows;
  if (model->options.kernel == PERI_SVM_LINEAR) return peri_parallel(context, pieces, linear_body, &job);
  int64_t size = (int64_t)peri_float_size(model->machine->compute);
  job.packed_at = job.rows * COLUMNS * size;
  job.norms_at = (job.packed_at + job.rows * d * size + 63) / 64 * 64;
  job.scratch_bytes = (job.norms_at + job.rows * size + 63) / 64 * 64;
  peri_blocks blocks = {.context = context};
  int64_t workers = peri_max(1, peri_min(peri_threads(context), pieces));
  PERI_TRY(peri_blocks_new(&blocks, workers, (size_t)job.scratch_bytes, &job.scratch));
  peri_status status = peri_parallel(context, pieces, kernel_body, &job);
  peri_blocks_release(&blocks);
  return status;
}

/* ---- what decisions mean ---- */

void peri_svc_binary_sign(int64_t m, double *decision) {
  for (int64_t i = 0; i < m; i++) decision[i] = -decision[i];
}

void peri_svc_ovr(int64_t k, int64_t m, const double *decision, double *out) {
  int64_t pairs = k * (k - 1) / 2;
  for (int64_t i = 0; i < m; i++, decision += pairs, out += k) {
    for (int64_t c = 0; c < k; c++) {
      double votes = 0, confidence = 0;
      for (int64_t other = 0; other < k; other++) {
        if (other == c) continue;
        double value = decision[other < c ? pair_number(k, other, c) : pair_number(k, c, other)];
        votes += other < c ? value < 0 : value >= 0;
        confidence += other < c ? -value : value;
      }
      out[c] = votes + confidence / (3 * (fabs(confidence) + 1));
    }
  }
}

void peri_svc_vote(const peri_svc *model, int64_t m, const double *decision, int64_t *out) {
  int64_t k = model->k;
  for (int64_t i = 0; i < m; i++, decision += model->pairs) {
    int64_t best = 0, most = -1;
    for (int64_t c = 0; c < k; c++) {
      int64_t votes = 0;
      for (int64_t other = 0; other < c; other++) votes += !(decision[pair_number(k, other, c)] > 0);
      for (int64_t other = c + 1; other < k; other++) votes += decision[pair_number(k, c, other)] > 0;
      if (votes <= most) continue;
      most = votes;
      best = c;
    }
    out[i] = model->classes[best];
  }
}

peri_status peri_svc_predict(peri_context *context, const peri_svc *model, peri_dtype dtype, int64_t m, int64_t d,
                             const void *x, int64_t ldx, int64_t *out) {
  peri_blocks blocks = {.context = context};
  double *decision;
  PERI_TRY(peri_blocks_new(&blocks, m * model->pairs, sizeof *decision, &decision));
  peri_status status = peri_svc_decision(context, model, dtype, m, d, x, ldx, decision);
  if (status == PERI_OK) peri_svc_vote(model, m, decision, out);
  peri_blocks_release(&blocks);
  return status;
}
