/* Random fills, cut into pieces that begin with a block of the stream; and permutations. */
#include "kernels/rows.h"

/* Elements; a multiple of the elements of a batch of blocks. To measure: ./dev bench parts loops. */
#define PIECE 16384

static int64_t per_block(peri_dtype dtype) { return dtype == PERI_FLOAT32 ? 4 : 2; }

uint64_t peri_random_blocks(peri_dtype dtype, int64_t n) {
  int64_t elements = per_block(dtype);
  return (uint64_t)(n / elements + (n % elements != 0));
}

typedef struct fill_job {
  const peri_random_kernels *kernels;
  peri_dtype dtype;
  int64_t n;
  uint64_t seed, first;
  double a, b; /* low and high, or mean and standard deviation */
  int64_t low;
  uint64_t range;
  const double *p; /* of each element, or NULL */
  peri_dtype made; /* of y, where that is not what the blocks are counted for */
  void *y;
} fill_job;

static uint64_t piece_block(const fill_job *job, int64_t piece) {
  return job->first + (uint64_t)(piece * (PIECE / per_block(job->dtype)));
}

static int64_t piece_size(const fill_job *job, int64_t piece) { return peri_min(PIECE, job->n - piece * PIECE); }

static void *piece_start(const fill_job *job, int64_t piece) {
  return job->dtype == PERI_FLOAT32 ? (void *)((float *)job->y + piece * PIECE)
                                    : (void *)((double *)job->y + piece * PIECE);
}

static void uniform_piece(void *arg, int64_t piece) {
  const fill_job *job = arg;
  job->kernels->uniform[job->dtype](piece_size(job, piece), job->seed, piece_block(job, piece), job->a, job->b,
                                    piece_start(job, piece));
}

static void normal_piece(void *arg, int64_t piece) {
  const fill_job *job = arg;
  job->kernels->normal[job->dtype](piece_size(job, piece), job->seed, piece_block(job, piece), job->a, job->b,
                                   piece_start(job, piece));
}

static void integers_piece(void *arg, int64_t piece) {
  const fill_job *job = arg;
  job->kernels->integers(piece_size(job, piece), job->seed, piece_block(job, piece), job->low, job->range,
                         (int64_t *)job->y + piece * PIECE);
}

static peri_status run_fill(peri_context *context, fill_job *job, peri_body body) {
  job->kernels = context->kernels->rows->random;
  return peri_parallel(context, (job->n + PIECE - 1) / PIECE, body, job);
}

peri_status peri_fill_uniform(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                              double low, double high, void *y) {
  fill_job job = {.dtype = dtype, .n = n, .seed = seed, .first = first, .a = low, .b = high, .y = y};
  return run_fill(context, &job, uniform_piece);
}

peri_status peri_fill_normal(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                             double mean, double std, void *y) {
  fill_job job = {.dtype = dtype, .n = n, .seed = seed, .first = first, .a = mean, .b = std, .y = y};
  return run_fill(context, &job, normal_piece);
}

peri_status peri_fill_integers(peri_context *context, int64_t n, uint64_t seed, uint64_t first, int64_t low,
                               int64_t high, int64_t *y) {
  uint64_t range = (uint64_t)high - (uint64_t)low + 1;
  fill_job job = {.dtype = PERI_INT64, .n = n, .seed = seed, .first = first, .low = low, .range = range, .y = y};
  return run_fill(context, &job, integers_piece);
}

/* ---- what is made of doubles, a few blocks at a time ---- */

#define RUN 512 /* elements: whole batches of blocks */

/* The n numbers of a run as elements of y. */
static void store_run(const fill_job *job, int64_t at, int64_t n, const double *values) {
  switch (job->made) {
  case PERI_FLOAT32:
    for (int64_t i = 0; i < n; i++) ((float *)job->y)[at + i] = (float)values[i];
    break;
  case PERI_FLOAT64:
    memcpy((double *)job->y + at, values, (size_t)n * sizeof *values);
    break;
  case PERI_INT64:
    for (int64_t i = 0; i < n; i++) ((int64_t *)job->y)[at + i] = (int64_t)values[i];
    break;
  default:
    for (int64_t i = 0; i < n; i++) ((uint8_t *)job->y)[at + i] = (uint8_t)values[i];
  }
}

static void exponential_piece(void *arg, int64_t piece) {
  const fill_job *job = arg;
  double values[RUN];
  for (int64_t i = 0; i < piece_size(job, piece); i += RUN) {
    int64_t n = peri_min(RUN, piece_size(job, piece) - i);
    job->kernels->exponential(n, job->seed, piece_block(job, piece) + (uint64_t)i / 2, job->a, values);
    store_run(job, piece * PIECE + i, n, values);
  }
}

static void trials_piece(void *arg, int64_t piece) {
  const fill_job *job = arg;
  double values[RUN];
  for (int64_t i = 0; i < piece_size(job, piece); i += RUN) {
    int64_t n = peri_min(RUN, piece_size(job, piece) - i), at = piece * PIECE + i;
    job->kernels->uniform[PERI_FLOAT64](n, job->seed, piece_block(job, piece) + (uint64_t)i / 2, 0, 1, values);
    for (int64_t j = 0; j < n; j++) values[j] = values[j] < (job->p != NULL ? job->p[at + j] : job->a);
    store_run(job, at, n, values);
  }
}

peri_status peri_fill_exponential(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                                  double rate, void *y) {
  fill_job job = {.dtype = PERI_FLOAT64, .made = dtype, .n = n, .seed = seed, .first = first, .a = rate, .y = y};
  return run_fill(context, &job, exponential_piece);
}

peri_status peri_fill_trials(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                             double chance, const double *p, void *y) {
  fill_job job = {
      .dtype = PERI_FLOAT64, .made = dtype, .n = n, .seed = seed, .first = first, .a = chance, .p = p, .y = y};
  return run_fill(context, &job, trials_piece);
}

/* R. Durstenfeld, "Algorithm 235: random permutation", 1964: element i changes places with one of
 * those up to it. Each exchange needs the ones before, so this is one thread's work; its random
 * numbers come in runs. */
peri_status peri_permutation(peri_context *context, int64_t n, uint64_t seed, uint64_t first, int64_t *y) {
  enum { RUNS_BETWEEN_POLLS = 1024 };
  __extension__ typedef unsigned __int128 wide;
  const peri_random_kernels *kernels = context->kernels->rows->random;
  int64_t bits[RUN];
  for (int64_t from = 0; from < n; from += RUN) {
    if (from / RUN % RUNS_BETWEEN_POLLS == 0) PERI_TRY(peri_check_cancel(context));
    int64_t count = peri_min(RUN, n - from);
    kernels->integers(count, seed, first + (uint64_t)(from / 2), 0, 0, bits);
    for (int64_t j = 0; j < count; j++) {
      int64_t i = from + j;
      uint64_t bound = (uint64_t)i + 1;
      wide product = (wide)(uint64_t)bits[j] * bound;
      int64_t other = (int64_t)(product >> 64);
      if ((uint64_t)product < bound &&
          (uint64_t)product < peri_random_refused(bound)) { /* the second needs a division */
        other = (int64_t)peri_random_again(seed, first + (uint64_t)(i / 2), (int)(i % 2), bound);
      }
      y[i] = i;
      y[i] = y[other];
      y[other] = i;
    }
  }
  return PERI_OK;
}
