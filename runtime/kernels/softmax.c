/* Softmax and cross-entropy: rows are cut into pieces of about a grain. */
#include "kernels/rows.h"

typedef struct softmax_job {
  const peri_softmax_kernels *kernels;
  peri_dtype dtype;
  size_t size; /* bytes of an element */
  int64_t rows, n, step;
  const char *x, *g;
  char *y;
  const int64_t *target;
  char *loss, *p;
  int64_t g_step;
  double scale;
} softmax_job;

static const peri_softmax_kernels *softmax_kernels(const peri_context *context) {
  return context->kernels->rows->softmax;
}

static softmax_job new_job(const peri_context *context, peri_dtype dtype, int64_t rows, int64_t n) {
  return (softmax_job){
      .kernels = softmax_kernels(context),
      .dtype = dtype,
      .size = dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double),
      .rows = rows,
      .n = n,
      .step = peri_even_step(rows, peri_max(1, PERI_GRAIN / peri_max(1, n))),
  };
}

static peri_status run_job(peri_context *context, softmax_job *job, peri_body body) {
  if (job->rows <= job->step) { /* without the frame */
    PERI_TRY(peri_check_cancel(context));
    body(job, 0);
    return PERI_OK;
  }
  return peri_parallel(context, (job->rows + job->step - 1) / job->step, body, job);
}

/* The rows of a piece, and where its elements begin. */
static int64_t piece_rows(const softmax_job *job, int64_t piece) {
  return peri_min(job->step, job->rows - piece * job->step);
}

static size_t piece_offset(const softmax_job *job, int64_t piece) {
  return (size_t)(piece * job->step * job->n) * job->size;
}

static void softmax_piece(void *arg, int64_t piece) {
  const softmax_job *job = arg;
  size_t at = piece_offset(job, piece);
  job->kernels->softmax[job->dtype](piece_rows(job, piece), job->n, job->x + at, job->y + at);
}

static void log_softmax_piece(void *arg, int64_t piece) {
  const softmax_job *job = arg;
  size_t at = piece_offset(job, piece);
  job->kernels->log_softmax[job->dtype](piece_rows(job, piece), job->n, job->x + at, job->y + at);
}

static void softmax_backward_piece(void *arg, int64_t piece) {
  const softmax_job *job = arg;
  size_t at = piece_offset(job, piece);
  job->kernels->softmax_backward[job->dtype](piece_rows(job, piece), job->n, job->g + at, job->x + at, job->y + at);
}

static void log_softmax_backward_piece(void *arg, int64_t piece) {
  const softmax_job *job = arg;
  size_t at = piece_offset(job, piece);
  job->kernels->log_softmax_backward[job->dtype](piece_rows(job, piece), job->n, job->g + at, job->x + at, job->y + at);
}

static void cross_entropy_piece(void *arg, int64_t piece) {
  const softmax_job *job = arg;
  size_t at = piece_offset(job, piece);
  int64_t first = piece * job->step;
  job->kernels->cross_entropy[job->dtype](piece_rows(job, piece), job->n, job->x + at, job->target + first,
                                          job->loss + (size_t)first * job->size, job->p != NULL ? job->p + at : NULL);
}

static void cross_entropy_backward_piece(void *arg, int64_t piece) {
  const softmax_job *job = arg;
  size_t at = piece_offset(job, piece);
  int64_t first = piece * job->step;
  job->kernels->cross_entropy_backward[job->dtype](piece_rows(job, piece), job->n,
                                                   job->g + (size_t)(first * job->g_step) * job->size, job->g_step,
                                                   job->scale, job->x + at, job->target + first, job->y + at);
}

peri_status peri_softmax(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x, void *y) {
  if (rows == 0 || n == 0) return PERI_OK;
  softmax_job job = new_job(context, dtype, rows, n);
  job.x = x;
  job.y = y;
  return run_job(context, &job, softmax_piece);
}

peri_status peri_log_softmax(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x, void *y) {
  if (rows == 0 || n == 0) return PERI_OK;
  softmax_job job = new_job(context, dtype, rows, n);
  job.x = x;
  job.y = y;
  return run_job(context, &job, log_softmax_piece);
}

peri_status peri_softmax_backward(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *gy,
                                  const void *y, void *gx) {
  if (rows == 0 || n == 0) return PERI_OK;
  softmax_job job = new_job(context, dtype, rows, n);
  job.g = gy;
  job.x = y;
  job.y = gx;
  return run_job(context, &job, softmax_backward_piece);
}

peri_status peri_log_softmax_backward(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *gy,
                                      const void *y, void *gx) {
  if (rows == 0 || n == 0) return PERI_OK;
  softmax_job job = new_job(context, dtype, rows, n);
  job.g = gy;
  job.x = y;
  job.y = gx;
  return run_job(context, &job, log_softmax_backward_piece);
}

peri_status peri_cross_entropy(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x,
                               const int64_t *target, void *loss, void *p) {
  if (rows == 0 || n == 0) return PERI_OK;
  softmax_job job = new_job(context, dtype, rows, n);
  job.x = x;
  job.target = target;
  job.loss = loss;
  job.p = p;
  return run_job(context, &job, cross_entropy_piece);
}

peri_status peri_cross_entropy_backward(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *g,
                                        int64_t g_step, double scale, const void *p, const int64_t *target, void *gx) {
  if (rows == 0 || n == 0) return PERI_OK;
  softmax_job job = new_job(context, dtype, rows, n);
  job.g = g;
  job.g_step = g_step;
  job.scale = scale;
  job.x = p;
  job.target = target;
  job.y = gx;
  return run_job(context, &job, cross_entropy_backward_piece);
}

/* ---- lanes ---- */

void peri_cross_entropy_lanes(const peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x,
                              const int64_t *target, void *loss, void *p) {
  softmax_kernels(context)->cross_entropy_lanes[dtype](rows, n, x, target, loss, p);
}

void peri_cross_entropy_lanes_backward(const peri_context *context, peri_dtype dtype, int64_t rows, int64_t n,
                                       const void *g, int64_t g_step, double scale, const void *p,
                                       const int64_t *target, void *gx) {
  softmax_kernels(context)->cross_entropy_lanes_backward[dtype](rows, n, g, g_step, scale, p, target, gx);
}

void peri_hits_lanes(const peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x,
                     int64_t row_stride, int64_t column_stride, const int64_t *truth, int64_t *hits) {
  softmax_kernels(context)->hits_lanes[dtype](rows, n, x, row_stride, column_stride, truth, hits);
}
