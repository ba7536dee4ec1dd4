/* Distances cut into pieces of rows; see distance.h. */
#include "product/distance.h"
#include "kernels/kernels.h"

#include <string.h>

#define PIECE   (1 << 18) /* differences: some tens of microseconds */
#define COLUMNS 256       /* of b at once, which then stay in cache for all rows of a piece */

typedef struct pieces {
  const peri_distances *job;
  const peri_distance_kernels *kernels;
  int64_t rows, count; /* of a piece; pieces of a matrix */
} pieces;

static void distance_piece(void *arg, int64_t piece) {
  const pieces *p = arg;
  const peri_distances *job = p->job;
  size_t size = job->dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double);
  int64_t batch = piece / p->count, from = piece % p->count * p->rows, rows = peri_min(p->rows, job->m - from);
  const char *a = (const char *)job->a + (size_t)((batch * job->m + from) * job->d) * size;
  const char *b = (const char *)job->b + (size_t)(batch * job->n * job->d) * size;
  char *c = (char *)job->c + (size_t)((batch * job->m + from) * job->n) * size;
  for (int64_t j = 0; j < job->n; j += COLUMNS) {
    size_t at = (size_t)j * size;
    p->kernels->block[job->order - 1][job->dtype](rows, peri_min(COLUMNS, job->n - j), job->d, a, b + at, job->n,
                                                  c + at, job->n);
  }
}

peri_status peri_distance(peri_context *context, const peri_distances *job) {
  if (job->batch == 0 || job->m == 0 || job->n == 0) return PERI_OK;
  if (job->d == 0) { /* nothing lies at a and b, and nothing apart */
    size_t size = job->dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double);
    memset(job->c, 0, (size_t)(job->batch * job->m * job->n) * size);
    return PERI_OK;
  }
  int64_t row = peri_max(1, job->n) * peri_max(1, job->d), rows = peri_max(1, PIECE / row);
  rows = peri_min(job->m, rows + (4 - rows % 4) % 4);
  pieces p = {.job = job, .kernels = context->kernels->distance, .rows = rows, .count = (job->m + rows - 1) / rows};
  return peri_parallel(context, job->batch * p.count, distance_piece, &p);
}
