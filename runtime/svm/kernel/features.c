/* Packing and moments of features; see features.h. */
#include "svm/kernel/features.h"

#include "kernels/kernels.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* To measure: ./dev bench parts machines. */
#define PIECE_ELEMENTS (1 << 17)
#define MOST_PIECES    64

/* Rows cut into pieces by the shape alone. */
typedef struct features_job {
  const peri_svm_kernels *kernels;
  peri_dtype from, to;
  int64_t rows, d, ldx, piece_rows;
  const void *x;
  const int64_t *order;
  const double *centre;
  void *out;
  double mean, *partial;
} features_job;

static int64_t cut(features_job *job) {
  int64_t pieces = job->rows * job->d / PIECE_ELEMENTS + 1;
  if (pieces > MOST_PIECES) pieces = MOST_PIECES;
  job->piece_rows = (job->rows + pieces - 1) / pieces;
  return (job->rows + job->piece_rows - 1) / job->piece_rows;
}

static const void *row_at(const features_job *job, int64_t i) {
  return peri_at(job->from, job->x, job->ldx, job->order != NULL ? job->order[i] : i, 0);
}

/* ---- packing ---- */

void peri_svm_pack_row(peri_dtype from, const void *x, peri_dtype to, void *out, int64_t d, const double *centre) {
  if (from == to && centre == NULL) {
    memcpy(out, x, (size_t)d * peri_float_size(from));
  } else if (to == PERI_FLOAT64) {
    double *v = out;
    for (int64_t j = 0; j < d; j++) v[j] = peri_value(from, x, j) - (centre != NULL ? centre[j] : 0);
  } else {
    float *v = out;
    for (int64_t j = 0; j < d; j++) v[j] = (float)(peri_value(from, x, j) - (centre != NULL ? centre[j] : 0));
  }
}

static void pack_body(void *arg, int64_t piece) {
  const features_job *job = arg;
  int64_t end = peri_min(job->rows, (piece + 1) * job->piece_rows);
  size_t row_bytes = (size_t)job->d * peri_float_size(job->to);
  for (int64_t i = piece * job->piece_rows; i < end; i++) {
    peri_svm_pack_row(job->from, row_at(job, i), job->to, (char *)job->out + (size_t)i * row_bytes, job->d,
                      job->centre);
  }
}

peri_status peri_svm_pack(peri_context *context, peri_dtype from, int64_t rows, int64_t d, const void *x, int64_t ldx,
                          const int64_t *order, const double *centre, peri_dtype to, void *out) {
  if (rows == 0) return PERI_OK;
  features_job job = {
      .from = from, .to = to, .rows = rows, .d = d, .ldx = ldx, .x = x, .order = order, .centre = centre, .out = out};
  return peri_parallel(context, cut(&job), pack_body, &job);
}

/* ---- moments ---- */

static void means_body(void *arg, int64_t piece) {
  const features_job *job = arg;
  int64_t end = peri_min(job->rows, (piece + 1) * job->piece_rows);
  double *sums = job->partial + piece * job->d;
  memset(sums, 0, (size_t)job->d * sizeof *sums);
  for (int64_t i = piece * job->piece_rows; i < end; i++) {
    job->kernels->axpy[peri_is_wide(job->from)](job->d, sums, row_at(job, i), 1);
  }
}

static void variance_body(void *arg, int64_t piece) {
  const features_job *job = arg;
  int64_t end = peri_min(job->rows, (piece + 1) * job->piece_rows);
  double total = 0;
  for (int64_t i = piece * job->piece_rows; i < end; i++) {
    const void *x = row_at(job, i);
    double sum = 0;
    for (int64_t j = 0; j < job->d; j++) {
      double difference = peri_value(job->from, x, j) - job->mean;
      sum += difference * difference;
    }
    total += sum;
  }
  job->partial[piece] = total;
}

peri_status peri_svm_means(peri_context *context, peri_dtype dtype, int64_t rows, int64_t d, const void *x, int64_t ldx,
                           const int64_t *order, double *means) {
  features_job job = {
      .kernels = context->kernels->svm, .from = dtype, .rows = rows, .d = d, .ldx = ldx, .x = x, .order = order};
  memset(means, 0, (size_t)d * sizeof *means);
  if (rows == 0) return PERI_OK;
  int64_t pieces = cut(&job);
  peri_blocks blocks = {.context = context};
  PERI_TRY(peri_blocks_new(&blocks, pieces * d, sizeof *job.partial, &job.partial));
  peri_status status = peri_parallel(context, pieces, means_body, &job);
  for (int64_t piece = 0; status == PERI_OK && piece < pieces; piece++) {
    for (int64_t j = 0; j < d; j++) means[j] += job.partial[piece * d + j];
  }
  for (int64_t j = 0; j < d; j++) means[j] /= (double)rows;
  peri_blocks_release(&blocks);
  return status;
}

peri_status peri_svm_scale_gamma(peri_context *context, const char *who, int64_t d, double variance, double *gamma) {
  *gamma = variance == 0 ? 1 : 1 / ((double)d * variance);
  if (*gamma > 0 && isfinite(*gamma)) return PERI_OK;
  return peri_fail(
      context, PERI_ERR_NUMERIC,
      "%s: the variance of X is %g, of which gamma = 'scale' makes %g (scale the features, or give a number)", who,
      variance, *gamma);
}

peri_status peri_svm_variance(peri_context *context, peri_dtype dtype, int64_t rows, int64_t d, const void *x,
                              int64_t ldx, const int64_t *order, const double *means, double *variance) {
  double partial[MOST_PIECES];
  features_job job = {.from = dtype, .rows = rows, .d = d, .ldx = ldx, .x = x, .order = order, .partial = partial};
  for (int64_t j = 0; j < d; j++) job.mean += means[j];
  job.mean /= (double)d;
  int64_t pieces = cut(&job);
  PERI_TRY(peri_parallel(context, pieces, variance_body, &job));
  *variance = 0;
  for (int64_t piece = 0; piece < pieces; piece++) *variance += partial[piece];
  *variance /= (double)rows * (double)d;
  return PERI_OK;
}
