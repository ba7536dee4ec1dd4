/* Counting, listing and moving what is true in a mask. */
#include "kernels/masks.h"

#define PIECE 32768 /* elements; to measure: ./dev bench parts loops */
#define BLOCK 256   /* of what is true, gathered without a branch, then moved */

static int64_t pieces_of(int64_t n) { return (n + PIECE - 1) / PIECE; }
int64_t peri_mask_counts(int64_t n) { return pieces_of(n) + 1; }

typedef struct mask_job {
  int64_t n;
  const uint8_t *mask;
  const int64_t *starts;
  int64_t *counts; /* of each piece, one place on */
  const char *from;
  char *to;
} mask_job;

static void count_piece(void *arg, int64_t piece) {
  const mask_job *job = arg;
  int64_t from = piece * PIECE, n = peri_min(PIECE, job->n - from);
  uint32_t count = 0;
  for (int64_t i = 0; i < n; i++) count += job->mask[from + i];
  job->counts[piece + 1] = count;
}

peri_status peri_mask_count(peri_context *context, int64_t n, const uint8_t *mask, int64_t *starts) {
  mask_job job = {.n = n, .mask = mask, .counts = starts};
  starts[0] = 0;
  PERI_TRY(peri_parallel(context, pieces_of(n), count_piece, &job));
  for (int64_t i = 0; i < pieces_of(n); i++) starts[i + 1] += starts[i];
  return PERI_OK;
}

/* VALUE is of element i of the piece. */
#define COMPACT(name, T, VALUE)                                                                                        \
  static void name(void *arg, int64_t piece) {                                                                         \
    const mask_job *job = arg;                                                                                         \
    int64_t from = piece * PIECE, n = peri_min(PIECE, job->n - from);                                                  \
    const uint8_t *mask = job->mask + from;                                                                            \
    T *to = (T *)(void *)job->to + job->starts[piece], block[BLOCK + 1];                                               \
    for (int64_t begin = 0; begin < n; begin += BLOCK) {                                                               \
      int64_t end = peri_min(begin + BLOCK, n), count = 0;                                                             \
      for (int64_t i = begin; i < end; i++) {                                                                          \
        block[count] = VALUE;                                                                                          \
        count += mask[i];                                                                                              \
      }                                                                                                                \
      memcpy(to, block, (size_t)count * sizeof(T));                                                                    \
      to += count;                                                                                                     \
    }                                                                                                                  \
  }
COMPACT(list_piece, int64_t, from + i + 1)
COMPACT(pick_1, uint8_t, ((const uint8_t *)job->from)[from + i])
COMPACT(pick_4, uint32_t, ((const uint32_t *)(const void *)job->from)[from + i])
COMPACT(pick_8, uint64_t, ((const uint64_t *)(const void *)job->from)[from + i])

peri_status peri_mask_list(peri_context *context, int64_t n, const uint8_t *mask, const int64_t *starts,
                           int64_t *positions) {
  mask_job job = {.n = n, .mask = mask, .starts = starts, .to = (char *)positions};
  return peri_parallel(context, pieces_of(n), list_piece, &job);
}

peri_status peri_mask_pick(peri_context *context, int64_t n, const uint8_t *mask, const int64_t *starts, size_t bytes,
                           const void *x, void *y) {
  mask_job job = {.n = n, .mask = mask, .starts = starts, .from = x, .to = y};
  return peri_parallel(context, pieces_of(n), bytes == 1 ? pick_1 : bytes == 4 ? pick_4 : pick_8, &job);
}

#define SPREAD(name, T)                                                                                                \
  static void name(void *arg, int64_t piece) {                                                                         \
    const mask_job *job = arg;                                                                                         \
    int64_t from = piece * PIECE, n = peri_min(PIECE, job->n - from);                                                  \
    int64_t next = job->starts[piece], last = job->starts[piece + 1] - 1;                                              \
    if (next > last) return;                                                                                           \
    const uint8_t *mask = job->mask + from;                                                                            \
    const T *source = (const T *)(const void *)job->from;                                                              \
    T *x = (T *)(void *)job->to + from;                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      T value = source[peri_min(next, last)];                                                                          \
      x[i] = mask[i] ? value : x[i];                                                                                   \
      next += mask[i];                                                                                                 \
    }                                                                                                                  \
  }
SPREAD(spread_1, uint8_t)
SPREAD(spread_4, uint32_t)
SPREAD(spread_8, uint64_t)

peri_status peri_mask_spread(peri_context *context, int64_t n, const uint8_t *mask, const int64_t *starts, size_t bytes,
                             const void *source, void *x) {
  mask_job job = {.n = n, .mask = mask, .starts = starts, .from = source, .to = x};
  return peri_parallel(context, pieces_of(n), bytes == 1 ? spread_1 : bytes == 4 ? spread_4 : spread_8, &job);
}
