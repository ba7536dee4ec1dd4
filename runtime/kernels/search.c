/* Where values belong in sorted rows. */
#include "kernels/keys.h"
#include "kernels/kernels.h"

#define BLOCK 64
#define STEP  4096 /* values of a piece */

typedef struct search_job {
  peri_dtype dtype;
  int64_t rows, n, count, pieces; /* of a row */
  bool right;
  const char *x, *values;
  int64_t *index;
} search_job;

static uint64_t key_at(peri_dtype dtype, const void *x, int64_t i) {
  uint64_t key = 0;
  peri_keys(dtype, 1, x, i, 0, &key);
  return key;
}

/* How many keys lie below the value's, or with right not above it. */
static int64_t search(const search_job *job, const char *x, uint64_t value) {
  int64_t low = 0, length = job->n;
  while (length > 0) {
    int64_t half = length / 2;
    uint64_t key = key_at(job->dtype, x, low + half);
    bool before = job->right ? key <= value : key < value;
    low = before ? low + half + 1 : low;
    length = before ? length - half - 1 : half;
  }
  return low;
}

static void search_piece(void *arg, int64_t piece) {
  const search_job *job = arg;
  int64_t row = piece / job->pieces, from = piece % job->pieces * STEP;
  const char *x = job->x + (size_t)(row * job->n) * peri_key_size(job->dtype);
  uint64_t keys[BLOCK];
  for (int64_t i = from; i < peri_min(from + STEP, job->count); i += BLOCK) {
    int64_t count = peri_min(BLOCK, peri_min(from + STEP, job->count) - i);
    peri_keys(job->dtype, count, job->values, row * job->count + i, 0, keys);
    for (int64_t j = 0; j < count; j++) job->index[row * job->count + i + j] = search(job, x, keys[j]);
  }
}

peri_status peri_search_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, int64_t count,
                             bool right, const void *x, const void *values, int64_t *index) {
  if (rows == 0 || count == 0) return PERI_OK;
  search_job job = {.dtype = dtype,
                    .rows = rows,
                    .n = n,
                    .count = count,
                    .pieces = (count + STEP - 1) / STEP,
                    .right = right,
                    .x = x,
                    .values = values,
                    .index = index};
  return peri_parallel(context, rows * job.pieces, search_piece, &job);
}
