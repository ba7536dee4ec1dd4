/* Decisions of a fitted machine; see svm.h. */
#include "svm/kernel/features.h"
#include "svm/kernel/model.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* To measure: ./dev bench parts machines. */
#define ROWS    256                /* most test rows of a piece */
#define COLUMNS PERI_SVM_COLUMNS   /* support vectors of a tile; decisions depend on it */
#define WORK    1.5e9              /* flops of a piece, about */
#define OTHERS  256                /* classes beside one that are summed up at once */
#define BLOCK   ((int64_t)4 << 20) /* decisions that are held where only what they mean is wanted */

typedef struct decision_job {
  const peri_context *context;
  const peri_svm *model;
  peri_dtype dtype;
  int64_t m, ldx, rows;
  const void *x;
  double *out;
  char *scratch; /* a block's, packed rows and norms for each thread */
  size_t scratch_bytes, packed_at, norms_at;
} decision_job;

static void start_row(const peri_svm *model, double *out) {
  for (int64_t p = 0; p < model->pairs; p++) out[p] = model->machine->sign * model->intercept[p];
}

/* A linear machine is its weight vectors. */
static void linear_body(void *arg, int64_t piece) {
  const decision_job *job = arg;
  const peri_svm *model = job->model;
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

/* The same of a class that has fewer support vectors than there are other classes: one after the other, with the
 * coefficients of all its pairs at once. */
static void add_by_support(const peri_context *context, const peri_svm *model, bool wide, const void *values, int64_t c,
                           int64_t from, int64_t columns, double *out) {
  const double *coefficients = model->machine->by_support + from * model->rows;
  double sums[OTHERS], sign = model->machine->sign;
  for (int64_t first = 0; first < model->rows; first += OTHERS) {
    int64_t count = peri_min(OTHERS, model->rows - first);
    memset(sums, 0, sizeof sums);
    for (int64_t s = 0; s < columns; s++) {
      double value = wide ? ((const double *)values)[s] : (double)((const float *)values)[s];
      context->kernels->svm->axpy[1](count, sums, coefficients + s * model->rows + first, value);
    }
    for (int64_t t = 0; t < count; t++) {
      int64_t other = first + t < c ? first + t : first + t + 1;
      out[other < c ? peri_svm_pair_number(model->k, other, c) : peri_svm_pair_number(model->k, c, other)] +=
          sign * sums[t];
    }
  }
}

/* Adds what support vectors from .. from + columns - 1, all of class c, contribute to one test row. */
static void add_contributions(const peri_context *context, const peri_svm *model, bool wide, const void *values,
                              int64_t c, int64_t from, int64_t columns, double *out) {
  double sign = model->machine->sign;
  if (model->k == 0) {
    out[0] += context->kernels->svm->dot[wide](columns, values, model->dual_coef + from);
    return;
  }
  if (peri_svm_goes_by_support(model, c)) {
    add_by_support(context, model, wide, values, c, from, columns, out);
    return;
  }
  for (int64_t other = 0; other < model->k; other++) {
    if (other == c) continue;
    int64_t pair = other < c ? peri_svm_pair_number(model->k, other, c) : peri_svm_pair_number(model->k, c, other);
    const double *coefficients = model->dual_coef + (other < c ? other : other - 1) * model->supports + from;
    out[pair] += sign * context->kernels->svm->dot[wide](columns, values, coefficients);
  }
}

/* Support vectors of a class, at work for some rows. */
typedef struct tile {
  const decision_job *job;
  int64_t row, c, from, columns;
} tile;

static void add_strip(const void *state, int64_t i, int64_t rows, const void *values, int64_t ld) {
  const tile *t = state;
  const peri_svm *model = t->job->model;
  peri_dtype dtype = model->machine->compute;
  for (int64_t r = 0; r < rows; r++)
    add_contributions(t->job->context, model, peri_is_wide(dtype), peri_at(dtype, values, ld, r, 0), t->c, t->from,
                      t->columns, t->job->out + (t->row + i + r) * model->pairs);
}

/* Whether rows are computed with where they lie. */
static bool in_place(const decision_job *job) {
  return job->dtype == job->model->machine->compute && job->model->machine->centre == NULL;
}

/* Rows as they are computed with, and their norms for kernels of distances. */
static void pack_rows(const decision_job *job, int64_t from, int64_t m, char *packed, void *norms) {
  const peri_svm_machine *machine = job->model->machine;
  int64_t d = job->model->d;
  const bool wide = peri_is_wide(machine->compute), narrow = peri_svm_is_narrow(&machine->kernel, d);
  for (int64_t i = 0; i < m; i++) {
    const void *row = peri_at(job->dtype, job->x, job->ldx, from + i, 0);
    if (!in_place(job)) {
      void *to = packed + i * d * (int64_t)peri_float_size(machine->compute);
      peri_svm_pack_row(job->dtype, row, machine->compute, to, d, machine->centre);
      row = to;
    }
    if (narrow || !peri_svm_kernel_table[machine->kernel.id].of_distance) continue;
    double norm = job->context->kernels->svm->square[wide](d, row);
    if (wide)
      ((double *)norms)[i] = norm;
    else
      ((float *)norms)[i] = (float)norm;
  }
}

static void kernel_body(void *arg, int64_t piece) {
  const decision_job *job = arg;
  const peri_svm *model = job->model;
  const peri_svm_machine *machine = model->machine;
  int64_t from = piece * job->rows, m = peri_min(job->rows, job->m - from), d = model->d;
  char *scratch = job->scratch + (size_t)peri_worker() * job->scratch_bytes, *packed = scratch + job->packed_at;
  pack_rows(job, from, m, packed, scratch + job->norms_at);
  for (int64_t i = 0; i < m; i++) start_row(model, job->out + (from + i) * model->pairs);
  const void *given = peri_at(job->dtype, job->x, job->ldx, from, 0);
  peri_svm_side rows = {.x = in_place(job) ? given : packed,
                        .norms = scratch + job->norms_at,
                        .ld = in_place(job) ? job->ldx : d,
                        .from = job->dtype,
                        .given = given,
                        .given_ld = job->ldx};
  peri_svm_side vectors = {.x = machine->vectors,
                           .norms = machine->norms,
                           .ld = d,
                           .from = model->dtype,
                           .given = model->support_vectors,
                           .given_ld = d,
                           .columns = machine->columns,
                           .columns_ld = machine->columns_ld};
  for (int64_t c = 0; c < model->groups; c++) {
    for (int64_t s = machine->start[c]; s < machine->start[c + 1]; s += COLUMNS) {
      tile t = {.job = job, .row = from, .c = c, .from = s, .columns = peri_min(COLUMNS, machine->start[c + 1] - s)};
      peri_svm_block block = {.kernel = &machine->kernel,
                              .dtype = machine->compute,
                              .d = d,
                              .m = m,
                              .n = t.columns,
                              .a = rows,
                              .b = peri_svm_side_from(&vectors, machine->compute, s),
                              .use = add_strip,
                              .state = &t};
      peri_svm_block_fill(job->context, &block, scratch);
    }
  }
}

/* Few where there are many pairs, so that the rows whose decisions are held at a time are several pieces. */
static int64_t rows_of_piece(const peri_svm *model) {
  double row_work = 2.0 * (double)model->d * (double)peri_max(model->supports, 1);
  return peri_max(16, peri_min(BLOCK / 16 / model->pairs, (int64_t)peri_smaller(WORK / row_work, ROWS)));
}

/* Kernel values that are given: against all rows of the fit (gather), or against the support vectors. */
typedef struct given_job {
  const peri_context *context;
  const peri_svm *model;
  peri_dtype dtype;
  int64_t m, ld, rows;
  const void *values;
  bool gather;
  char *scratch; /* supports values for each thread */
  double *out;
} given_job;

static void given_body(void *arg, int64_t piece) {
  const given_job *job = arg;
  const peri_svm *model = job->model;
  const int64_t *start = model->machine->start;
  int64_t end = peri_min(job->m, (piece + 1) * job->rows), size = (int64_t)peri_float_size(job->dtype);
  bool wide = peri_is_wide(job->dtype);
  char *gathered = job->gather ? job->scratch + peri_worker() * model->supports * size : NULL;
  for (int64_t i = piece * job->rows; i < end; i++) {
    const char *row = peri_at(job->dtype, job->values, job->ld, i, 0);
    for (int64_t s = 0; job->gather && s < model->supports; s++) {
      memcpy(gathered + s * size, row + model->support[s] * size, (size_t)size);
    }
    if (job->gather) row = gathered;
    double *out = job->out + i * model->pairs;
    start_row(model, out);
    for (int64_t c = 0; c < model->groups; c++) {
      add_contributions(job->context, model, wide, row + start[c] * size, c, start[c], start[c + 1] - start[c], out);
    }
  }
}

static peri_status decide_given(peri_context *context, const peri_svm *model, peri_dtype dtype, int64_t m,
                                const void *values, int64_t ld, bool gather, double *out) {
  given_job job = {.context = context,
                   .model = model,
                   .dtype = dtype,
                   .m = m,
                   .ld = ld,
                   .rows = peri_max(1, (1 << 18) / peri_max(model->supports * model->rows, 1)),
                   .values = values,
                   .gather = gather,
                   .out = out};
  int64_t pieces = (m + job.rows - 1) / job.rows, workers = peri_max(1, peri_min(peri_threads(context), pieces));
  peri_blocks blocks = {.context = context};
  if (gather)
    PERI_TRY(peri_blocks_new(&blocks, peri_max(workers * model->supports, 1), peri_float_size(dtype), &job.scratch));
  peri_status status = peri_parallel(context, pieces, given_body, &job);
  peri_blocks_release(&blocks);
  return status;
}

/* Rows to decide: features, or kernel values against the support vectors. */
typedef struct input {
  peri_dtype dtype;
  int64_t m, d, ld;
  const void *x;
  bool of_kernel;
} input;

static peri_status check_input(peri_context *context, const peri_svm *model, const input *in) {
  bool given = model->options.kernel == PERI_SVM_PRECOMPUTED;
  const char *name = peri_svm_type_table[model->options.type].name;
  if (in->of_kernel && model->supports == 0) return PERI_OK;
  if (!in->of_kernel && in->d != model->d)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has %lld %s but the machine was fitted on %lld", name,
                     (long long)in->d, given ? "columns" : "features", (long long)model->d);
  return peri_svm_check_features(context, name, in->dtype, in->m, in->d, in->x, in->ld);
}

static size_t lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static peri_status decide(peri_context *context, const peri_svm *model, const input *in, double *out) {
  bool given = in->of_kernel || model->options.kernel == PERI_SVM_PRECOMPUTED;
  if (given) return decide_given(context, model, in->dtype, in->m, in->x, in->ld, !in->of_kernel, out);
  decision_job job = {.context = context,
                      .model = model,
                      .dtype = in->dtype,
                      .m = in->m,
                      .ldx = in->ld,
                      .rows = peri_max(1, peri_min(rows_of_piece(model), in->m)),
                      .x = in->x,
                      .out = out};
  int64_t pieces = (in->m + job.rows - 1) / job.rows;
  if (model->options.kernel == PERI_SVM_LINEAR) return peri_parallel(context, pieces, linear_body, &job);
  peri_dtype compute = model->machine->compute;
  size_t size = peri_float_size(compute);
  job.packed_at =
      lines(peri_svm_block_scratch(context, &model->machine->kernel, compute, in->d, job.rows, peri_min(COLUMNS, model->supports), false));
  job.norms_at = job.packed_at + (in_place(&job) ? 0 : lines((size_t)(job.rows * in->d) * size));
  job.scratch_bytes = job.norms_at + lines((size_t)job.rows * size);
  peri_blocks blocks = {.context = context};
  int64_t workers = peri_max(1, peri_min(peri_threads(context), pieces));
  PERI_TRY(peri_blocks_new(&blocks, workers, job.scratch_bytes, &job.scratch));
  peri_status status = peri_parallel(context, pieces, kernel_body, &job);
  peri_blocks_release(&blocks);
  return status;
}

peri_status peri_svm_decision_of_kernel(peri_context *context, const peri_svm *model, peri_dtype dtype, int64_t m,
                                        const void *values, int64_t ld, double *out) {
  input in = {.dtype = dtype, .m = m, .d = model->supports, .ld = ld, .x = values, .of_kernel = true};
  PERI_TRY(check_input(context, model, &in));
  return decide(context, model, &in, out);
}

peri_status peri_svm_decision(peri_context *context, const peri_svm *model, peri_dtype dtype, int64_t m, int64_t d,
                              const void *x, int64_t ldx, double *out) {
  input in = {.dtype = dtype, .m = m, .d = d, .ld = ldx, .x = x};
  PERI_TRY(check_input(context, model, &in));
  return decide(context, model, &in, out);
}

peri_status peri_svm_decision_blocks(peri_context *context, const peri_svm *model, bool of_kernel, peri_dtype dtype,
                                     int64_t m, int64_t d, const void *x, int64_t ldx, peri_svm_use use, void *arg) {
  input all = {.dtype = dtype, .m = m, .d = d, .ld = ldx, .x = x, .of_kernel = of_kernel}, some = all;
  PERI_TRY(check_input(context, model, &all));
  int64_t piece = rows_of_piece(model), rows = peri_max(1, BLOCK / model->pairs / piece) * piece;
  peri_blocks blocks = {.context = context};
  double *decision;
  peri_status status = peri_blocks_new(&blocks, peri_min(rows, m) * model->pairs, sizeof *decision, &decision);
  for (int64_t from = 0; status == PERI_OK && from < m; from += rows) {
    some.m = peri_min(rows, m - from);
    some.x = peri_at(dtype, x, ldx, from, 0);
    status = decide(context, model, &some, decision);
    if (status == PERI_OK) status = use(arg, from, some.m, decision);
  }
  peri_blocks_release(&blocks);
  return status;
}
