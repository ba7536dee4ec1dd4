/* Rows and positions: gathering rows by index, and adding rows at an index. */
#include "kernels/rows.h"

typedef struct gather_job {
  int64_t rows, step;
  size_t bytes;
  const char *x;
  const int64_t *index;
  char *y;
} gather_job;

static void gather_piece(void *arg, int64_t piece) {
  const gather_job *job = arg;
  int64_t from = piece * job->step, to = peri_min(from + job->step, job->rows);
  size_t bytes = job->bytes;
  const int64_t *index = job->index;
  if (bytes == 4) { /* sizes that are known copy without a call */
    for (int64_t r = from; r < to; r++) memcpy(job->y + r * 4, job->x + index[r] * 4, 4);
  } else if (bytes == 8) {
    for (int64_t r = from; r < to; r++) memcpy(job->y + r * 8, job->x + index[r] * 8, 8);
  } else {
    for (int64_t r = from; r < to; r++) memcpy(job->y + (size_t)r * bytes, job->x + (size_t)index[r] * bytes, bytes);
  }
}

peri_status peri_gather_rows(peri_context *context, int64_t rows, size_t bytes, const void *x, const int64_t *index,
                             void *y) {
  if (rows == 0 || bytes == 0) return PERI_OK;
  int64_t step = peri_max(1, 4 * PERI_GRAIN / (int64_t)peri_min((int64_t)bytes, 4 * PERI_GRAIN));
  gather_job job = {.rows = rows, .step = step, .bytes = bytes, .x = x, .index = index, .y = y};
  return peri_parallel(context, (rows + step - 1) / step, gather_piece, &job);
}

/* A piece is a range of columns, and takes all rows in order: so the sum of a row of x has one order. */
typedef struct scatter_job {
  void (*add)(int64_t n, const void *x, void *y);
  size_t size;
  int64_t rows, n, step;
  const char *y;
  const int64_t *index;
  char *x;
} scatter_job;

static void scatter_piece(void *arg, int64_t piece) {
  const scatter_job *job = arg;
  int64_t from = piece * job->step, count = peri_min(job->step, job->n - from);
  size_t row = (size_t)job->n * job->size, offset = (size_t)from * job->size;
  for (int64_t r = 0; r < job->rows; r++) {
    job->add(count, job->y + (size_t)r * row + offset, job->x + (size_t)job->index[r] * row + offset);
  }
}

peri_status peri_scatter_add_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *y,
                                  const int64_t *index, int64_t x_rows, void *x) {
  (void)x_rows;
  if (rows == 0 || n == 0) return PERI_OK;
  int64_t step = rows * n < 2 * PERI_GRAIN ? n : peri_min(n, peri_max(64, PERI_GRAIN / rows));
  scatter_job job = {
      .add = context->kernels->rows->runs->add[dtype],
      .size = dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double),
      .rows = rows,
      .n = n,
      .step = step,
      .y = y,
      .index = index,
      .x = x,
  };
  return peri_parallel(context, (n + step - 1) / step, scatter_piece, &job);
}
