/* Pooling: planes are cut into pieces of about a grain, and what does not add up across rows within them too. */
#include "kernels/rows.h"

typedef struct pool_job {
  const peri_pool_kernels *kernels;
  peri_dtype dtype;
  size_t size, place_size; /* bytes of an element */
  const peri_windows *windows;
  const peri_spans *spans;
  int64_t planes, rows, in, out; /* of y: rows in a plane; elements of a plane of x and of y */
  int64_t step, row_step;        /* planes of a piece, or rows */
  int64_t row_pieces;
  const char *from;
  const char *place;
  char *to;
  int64_t *index;
  double *scratch; /* a row of each worker, in cache lines of its own */
  int64_t pitch;   /* numbers from one to the next */
} pool_job;

static pool_job new_job(const peri_context *context, peri_dtype dtype, int64_t planes, const peri_windows *windows,
                        const peri_spans *spans) {
  const int64_t n[2] = {windows != NULL ? windows[0].n : spans[0].n, windows != NULL ? windows[1].n : spans[1].n};
  const int64_t count[2] = {windows != NULL ? windows[0].count : spans[0].count,
                            windows != NULL ? windows[1].count : spans[1].count};
  return (pool_job){
      .kernels = context->kernels->rows->pool,
      .dtype = dtype,
      .size = dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double),
      .place_size = windows == NULL || peri_pool_place_dtype(windows) == PERI_UINT8 ? 1 : sizeof(int64_t),
      .windows = windows,
      .spans = spans,
      .planes = planes,
      .rows = count[0],
      .in = n[0] * n[1],
      .out = count[0] * count[1],
      .pitch = (n[1] + 7) / 8 * 8,
      .step = peri_even_step(planes, peri_max(1, PERI_GRAIN / peri_max(n[0] * n[1], count[0] * count[1]))),
      .row_step = count[0],
      .row_pieces = 1,
  };
}

static int64_t pieces_of(const pool_job *job) { return (job->planes + job->step - 1) / job->step * job->row_pieces; }

/* Large planes are cut into rows of y, each of which is made from x alone. */
static void cut_rows(pool_job *job) {
  if (job->step > 1) return;
  job->row_step = peri_max(1, PERI_GRAIN / peri_max(1, peri_max(job->in, job->out) / job->rows));
  job->row_pieces = (job->rows + job->row_step - 1) / job->row_step;
}

typedef struct pool_piece {
  int64_t plane, planes, from, to; /* rows from .. to */
  int64_t at;                      /* the first element of y */
} pool_piece;

static pool_piece piece_of(const pool_job *job, int64_t piece) {
  int64_t plane = piece / job->row_pieces * job->step, from = piece % job->row_pieces * job->row_step;
  return (pool_piece){
      .plane = plane,
      .planes = peri_min(job->step, job->planes - plane),
      .from = from,
      .to = peri_min(job->rows, from + job->row_step),
      .at = plane * job->out + from * (job->out / job->rows),
  };
}

/* ---- the largest ---- */

static void max_piece(void *arg, int64_t number) {
  const pool_job *job = arg;
  pool_piece piece = piece_of(job, number);
  char *place = job->place != NULL ? (char *)(uintptr_t)job->place + (size_t)piece.at * job->place_size : NULL;
  job->kernels->max[job->dtype](piece.planes, job->windows, piece.from, piece.to,
                                job->from + (size_t)(piece.plane * job->in) * job->size,
                                job->to + (size_t)piece.at * job->size, place);
}

peri_status peri_max_pool(peri_context *context, peri_dtype dtype, int64_t planes, const peri_windows windows[2],
                          const void *x, void *y, void *place) {
  if (planes == 0) return PERI_OK;
  pool_job job = new_job(context, dtype, planes, windows, NULL);
  job.from = x;
  job.to = y;
  job.place = place;
  cut_rows(&job);
  return peri_parallel(context, pieces_of(&job), max_piece, &job);
}

/* Windows overlap: the sum at an element goes in the order of y. */
static void scatter_piece(void *arg, int64_t number) {
  const pool_job *job = arg;
  pool_piece piece = piece_of(job, number);
  job->kernels->scatter[job->dtype](piece.planes, job->windows, job->from + (size_t)piece.at * job->size,
                                    job->place + (size_t)piece.at * job->place_size,
                                    job->to + (size_t)(piece.plane * job->in) * job->size);
}

peri_status peri_max_pool_scatter(peri_context *context, peri_dtype dtype, int64_t planes,
                                  const peri_windows windows[2], const void *y, const void *place, void *x) {
  if (planes == 0) return PERI_OK;
  pool_job job = new_job(context, dtype, planes, windows, NULL);
  job.from = y;
  job.to = x;
  job.place = place;
  return peri_parallel(context, pieces_of(&job), scatter_piece, &job);
}

static void gather_piece(void *arg, int64_t number) {
  const pool_job *job = arg;
  pool_piece piece = piece_of(job, number);
  job->kernels->gather[job->dtype](piece.planes, job->windows, job->from + (size_t)(piece.plane * job->in) * job->size,
                                   job->place + (size_t)piece.at * job->place_size,
                                   job->to + (size_t)piece.at * job->size);
}

peri_status peri_max_pool_gather(peri_context *context, peri_dtype dtype, int64_t planes, const peri_windows windows[2],
                                 const void *x, const void *place, void *y) {
  if (planes == 0) return PERI_OK;
  pool_job job = new_job(context, dtype, planes, windows, NULL);
  job.from = x;
  job.to = y;
  job.place = place;
  return peri_parallel(context, pieces_of(&job), gather_piece, &job);
}

static void index_piece(void *arg, int64_t number) {
  const pool_job *job = arg;
  const peri_windows *down = &job->windows[0], *across = &job->windows[1];
  pool_piece piece = piece_of(job, number);
  for (int64_t k = piece.at, plane = 0; plane < piece.planes; plane++) {
    for (int64_t i = piece.from; i < piece.to; i++) {
      for (int64_t j = 0; j < across->count; j++, k++) {
        int64_t place =
            job->place_size == 1 ? ((const uint8_t *)job->place)[k] : ((const int64_t *)(const void *)job->place)[k];
        int64_t row = i * down->stride - down->padding + place / across->size * down->dilation;
        int64_t column = j * across->stride - across->padding + place % across->size * across->dilation;
        job->index[k] = row * across->n + column + 1;
      }
    }
  }
}

peri_status peri_max_pool_index(peri_context *context, int64_t planes, const peri_windows windows[2], const void *place,
                                int64_t *index) {
  if (planes == 0) return PERI_OK;
  pool_job job = new_job(context, PERI_FLOAT64, planes, windows, NULL);
  job.place = place;
  job.index = index;
  cut_rows(&job);
  return peri_parallel(context, pieces_of(&job), index_piece, &job);
}

/* ---- averages ---- */

static void average_piece(void *arg, int64_t number) {
  const pool_job *job = arg;
  pool_piece piece = piece_of(job, number);
  job->kernels->average[job->dtype](piece.planes, job->spans, piece.from, piece.to,
                                    job->from + (size_t)(piece.plane * job->in) * job->size,
                                    job->to + (size_t)piece.at * job->size, job->scratch + peri_worker() * job->pitch);
}

static void spread_piece(void *arg, int64_t number) {
  const pool_job *job = arg;
  pool_piece piece = piece_of(job, number);
  job->kernels->spread[job->dtype](piece.planes, job->spans, job->from + (size_t)piece.at * job->size,
                                   job->to + (size_t)(piece.plane * job->in) * job->size,
                                   job->scratch + peri_worker() * job->pitch);
}

static peri_status run_with_scratch(peri_context *context, pool_job *job, peri_body body) {
  size_t count = (size_t)peri_threads(context);
  void *scratch;
  PERI_TRY(peri_alloc_array(context, count, (size_t)job->pitch * sizeof(double), &scratch));
  job->scratch = scratch;
  peri_status status = peri_parallel(context, pieces_of(job), body, job);
  peri_free(context, scratch, count * (size_t)job->pitch * sizeof(double));
  return status;
}

peri_status peri_average_pool(peri_context *context, peri_dtype dtype, int64_t planes, const peri_spans spans[2],
                              const void *x, void *y) {
  if (planes == 0) return PERI_OK;
  pool_job job = new_job(context, dtype, planes, NULL, spans);
  job.from = x;
  job.to = y;
  cut_rows(&job);
  return run_with_scratch(context, &job, average_piece);
}

peri_status peri_average_pool_spread(peri_context *context, peri_dtype dtype, int64_t planes, const peri_spans spans[2],
                                     const void *y, void *x) {
  if (planes == 0) return PERI_OK;
  pool_job job = new_job(context, dtype, planes, NULL, spans);
  job.from = y;
  job.to = x;
  return run_with_scratch(context, &job, spread_piece);
}
