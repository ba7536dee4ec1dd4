/* Resampling: rows of all planes, counted through, are cut into pieces of about a grain. */
#include "kernels/resample.h"
#include "kernels/rows.h"

typedef struct resample_job {
  peri_context *context;
  const peri_taps *taps;
  void (*run)(const struct resample_job *job, int64_t from, int64_t to, void *scratch);
  const void *from;
  void *to;
  int64_t rows, step; /* of a piece */
  char *scratch;      /* two rows of each worker */
  size_t room;
} resample_job;

/* The first element of y that has something of that one of x. */
static int64_t first_of(const peri_taps *taps, int64_t element) {
  const int32_t *high = taps->high != NULL ? taps->high : taps->low;
  int64_t from = 0, to = taps->count;
  while (from < to) {
    int64_t middle = (from + to) / 2;
    if (high[middle] < element) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

#define T        float
#define FN(name) name##_f32
#include "kernels/resample_loops.h"
#undef T
#undef FN
#define T        double
#define FN(name) name##_f64
#include "kernels/resample_loops.h"
#undef T
#undef FN

static void run_piece(void *arg, int64_t piece) {
  const resample_job *job = arg;
  int64_t from = piece * job->step;
  job->run(job, from, peri_min(job->rows, from + job->step), job->scratch + (size_t)peri_worker() * job->room);
}

/* Each row costs about `width`. */
static peri_status run(resample_job *job, size_t size, int64_t width) {
  if (job->rows == 0) return PERI_OK;
  void *scratch;
  const size_t workers = (size_t)job->context->threads;
  job->room = (2 * (size_t)job->taps[1].count * size + 63) / 64 * 64;
  job->step = peri_even_step(job->rows, peri_max(1, PERI_GRAIN / width));
  PERI_TRY(peri_alloc_array(job->context, workers, job->room, &scratch));
  job->scratch = scratch;
  peri_status status = peri_parallel(job->context, (job->rows + job->step - 1) / job->step, run_piece, job);
  peri_free(job->context, scratch, workers * job->room);
  return status;
}

peri_status peri_resample(peri_context *context, peri_dtype dtype, int64_t planes, const peri_taps taps[2],
                          const void *x, void *y) {
  resample_job job = {.context = context,
                      .taps = taps,
                      .run = dtype == PERI_FLOAT32 ? forward_f32 : forward_f64,
                      .from = x,
                      .to = y,
                      .rows = planes * taps[0].count};
  return run(&job, dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double), taps[1].count);
}

peri_status peri_resample_backward(peri_context *context, peri_dtype dtype, int64_t planes, const peri_taps taps[2],
                                   const void *gy, void *gx) {
  resample_job job = {.context = context,
                      .taps = taps,
                      .run = dtype == PERI_FLOAT32 ? backward_f32 : backward_f64,
                      .from = gy,
                      .to = gx,
                      .rows = planes * taps[0].n};
  /* a row of x has about count / n rows of gy */
  int64_t width = taps[1].count * peri_max(1, taps[0].count / taps[0].n) + taps[1].n;
  return run(&job, dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double), width);
}
