/* Gathering rows by index. */
#include "kernels/rows.h"

typedef struct gather_job {
  int64_t rows, step, first;
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
    for (int64_t r = from; r < to; r++) memcpy(job->y + r * 4, job->x + (index[r] - job->first) * 4, 4);
  } else if (bytes == 8) {
    for (int64_t r = from; r < to; r++) memcpy(job->y + r * 8, job->x + (index[r] - job->first) * 8, 8);
  } else {
    for (int64_t r = from; r < to; r++)
      memcpy(job->y + (size_t)r * bytes, job->x + (size_t)(index[r] - job->first) * bytes, bytes);
  }
}

peri_status peri_gather_rows(peri_context *context, int64_t rows, size_t bytes, const void *x, const int64_t *index,
                             int64_t first, void *y) {
  if (rows == 0 || bytes == 0) return PERI_OK;
  int64_t step = peri_max(1, 4 * PERI_GRAIN / (int64_t)peri_min((int64_t)bytes, 4 * PERI_GRAIN));
  step = peri_even_step(rows, step);
  gather_job job = {.rows = rows, .step = step, .first = first, .bytes = bytes, .x = x, .index = index, .y = y};
  return peri_parallel(context, (rows + step - 1) / step, gather_piece, &job);
}
