/* Dropout: uniform numbers a few at a time, and what they say done at once. */
#include "kernels/rows.h"

#define PIECE   16384 /* elements; as for random fills, so that a piece begins with a block of the stream */
#define AT_ONCE 1024

typedef struct drop_job {
  const peri_row_kernels *rows;
  peri_dtype dtype;
  int64_t n, size;
  uint64_t seed, first;
  double p, scale;
  const char *x, *kept;
  char *y, *keep;
} drop_job;

static void drop_piece(void *arg, int64_t piece) {
  const drop_job *job = arg;
  const int64_t per_block = job->dtype == PERI_FLOAT32 ? 4 : 2, end = peri_min((piece + 1) * PIECE, job->n);
  _Alignas(64) double u[AT_ONCE];
  for (int64_t i = piece * PIECE; i < end; i += AT_ONCE) {
    const int64_t n = peri_min(AT_ONCE, end - i);
    job->rows->random->uniform[job->dtype](n, job->seed, job->first + (uint64_t)(i / per_block), 0, 1, u);
    job->rows->runs->drop[job->dtype](n, job->p, job->scale, u, job->x + i * job->size, job->y + i * job->size,
                                      job->keep == NULL ? NULL : job->keep + i);
  }
}

static void back_piece(void *arg, int64_t piece) {
  const drop_job *job = arg;
  const int64_t from = piece * PIECE, at = from * job->size;
  job->rows->runs->drop_back[job->dtype](peri_min(PIECE, job->n - from), job->scale, job->x + at, job->kept + from,
                                         job->y + at);
}

/* Numbers of each lane's own stream, put side by side. */
void peri_drop_lanes(const peri_context *context, peri_dtype dtype, int64_t n, const uint64_t *seed,
                     const uint64_t *first, double p, double scale, const void *x, void *y, void *kept) {
  enum { ROWS = AT_ONCE / PERI_LANES };
  const peri_row_kernels *rows = context->kernels->rows;
  const bool single = dtype == PERI_FLOAT32;
  const int64_t size = single ? sizeof(float) : sizeof(double), per_block = single ? 4 : 2;
  _Alignas(64) double own[ROWS], u[AT_ONCE];
  for (int64_t i = 0; i < n; i += ROWS) {
    const int64_t m = peri_min(ROWS, n - i), at = i * PERI_LANES;
    for (int l = 0; l < PERI_LANES; l++) {
      rows->random->uniform[dtype](m, seed[l], first[l] + (uint64_t)(i / per_block), 0, 1, own);
      for (int64_t j = 0; j < m; j++) {
        if (single)
          ((float *)u)[j * PERI_LANES + l] = ((const float *)own)[j];
        else
          u[j * PERI_LANES + l] = own[j];
      }
    }
    rows->runs->drop[dtype](m * PERI_LANES, p, scale, u, (const char *)x + at * size, (char *)y + at * size,
                            kept == NULL ? NULL : (char *)kept + at);
  }
}

static peri_status run(peri_context *context, drop_job *job, peri_body body) {
  job->rows = context->kernels->rows;
  job->size = job->dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double);
  return peri_parallel(context, (job->n + PIECE - 1) / PIECE, body, job);
}

peri_status peri_drop(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first, double p,
                      double scale, const void *x, void *y, void *kept) {
  drop_job job = {
      .dtype = dtype, .n = n, .seed = seed, .first = first, .p = p, .scale = scale, .x = x, .y = y, .keep = kept};
  return run(context, &job, drop_piece);
}

peri_status peri_drop_back(peri_context *context, peri_dtype dtype, int64_t n, double scale, const void *g,
                           const void *kept, void *gx) {
  drop_job job = {.dtype = dtype, .n = n, .scale = scale, .x = g, .kept = kept, .y = gx};
  return run(context, &job, back_piece);
}
