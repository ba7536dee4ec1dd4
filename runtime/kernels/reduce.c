/* Reductions of x (outer x n x inner) over its middle dimension.
 *
 * The outputs form a matrix, outer x inner, cut into pieces of whole rows or of columns within one.
 * When these are few and n is long, n is cut too: every part of n then leaves its results in a row
 * of a table, and the table is reduced by the same kernel. All cuts depend on (outer, n, inner). */
#include "kernels/rows.h"

#include <math.h>

/* To measure: ./dev bench parts loops. */
#define ENOUGH_PIECES 16
#define MOST_PARTS    256     /* of a run, while there are few pieces */
#define MOST_ROWS     16      /* parts of n rows of columns */
#define LONGEST_PIECE 4194304 /* elements: a few milliseconds */
#define LEAST_COLUMNS 1024    /* a page of float32 at a time */

typedef enum reduction { SUM, PROD, MAX, MIN, ANY, ALL, DEVIATIONS, SQUARES, MOMENTS } reduction;

typedef struct reduce_job {
  const peri_reduce_kernels *kernels;
  reduction kind;
  peri_dtype dtype;
  int64_t outer, n, inner;
  const char *x;
  void *y;        /* MOMENTS: the spread; may be NULL except for SUM, PROD, ANY and ALL */
  int64_t *index; /* MAX and MIN; may be NULL */
  void *mean;     /* MOMENTS; may be NULL */
  double *means;  /* SUM: written in place of y unless NULL; DEVIATIONS: read and corrected; SQUARES: read */
  double degrees; /* SQUARES and MOMENTS: the sum of squares is divided by it */
  bool root;      /* and then its root is taken */

  int64_t outer_step, n_step, inner_step;
  int64_t outer_pieces, n_pieces, inner_pieces;
  void *table;          /* n_pieces rows of outer * inner results, when n is cut */
  int64_t *table_index; /* the indices that belong to them, for MAX and MIN */
} reduce_job;

static size_t size_of(peri_dtype dtype) {
  static const size_t sizes[PERI_DTYPES] = {4, 8, 8, 1, 1};
  return sizes[dtype];
}

/* ---- cutting ---- */

static void cut(reduce_job *job) {
  int64_t n = peri_max(1, job->n), outer_size = n * job->inner;
  if (job->outer * outer_size <= PERI_GRAIN) { /* uncut; the general way would find the same, with six divisions */
    job->outer_step = job->outer;
    job->inner_step = job->inner;
    job->n_step = n;
    job->outer_pieces = job->inner_pieces = job->n_pieces = 1;
    return;
  }
  job->outer_step = peri_min(job->outer, peri_max(1, PERI_GRAIN / outer_size));
  job->inner_step = job->inner;
  job->n_step = n;
  if (outer_size > PERI_GRAIN) {
    job->inner_step = peri_min(job->inner, peri_max(LEAST_COLUMNS, PERI_GRAIN / n));
    int64_t pieces = job->outer * peri_ceil_div(job->inner, job->inner_step);
    if (pieces < ENOUGH_PIECES) {
      int64_t most = job->inner == 1 ? MOST_PARTS : MOST_ROWS;
      job->n_step = peri_min(n, peri_max(peri_ceil_div(PERI_GRAIN, job->inner_step), peri_ceil_div(n, most)));
    }
    if (job->inner > 1 || pieces >= ENOUGH_PIECES) {
      job->n_step = peri_min(job->n_step, peri_max(1, LONGEST_PIECE / job->inner_step));
    }
  }
  job->outer_step = peri_even_step(job->outer, job->outer_step);
  job->n_step = peri_even_step(n, job->n_step);
  job->outer_pieces = peri_ceil_div(job->outer, job->outer_step);
  job->inner_pieces = peri_ceil_div(job->inner, job->inner_step);
  job->n_pieces = peri_ceil_div(n, job->n_step);
}

/* ---- results: sums and products are double or int64, the others have the dtype of x ---- */

typedef struct results {
  double number[PERI_REDUCE_COLUMNS]; /* room for any dtype */
  int64_t index[PERI_REDUCE_COLUMNS];
} results;

static peri_dtype result_dtype(const reduce_job *job) {
  bool wide = job->dtype == PERI_FLOAT32 && job->kind != MAX && job->kind != MIN;
  return wide ? PERI_FLOAT64 : job->dtype;
}

/* The kernel of the job's kind on n rows of `width` columns. */
static void reduce_block(const reduce_job *job, peri_dtype dtype, int64_t n, int64_t stride, int64_t width,
                         const void *x, const double *means, void *number, int64_t *index) {
  const peri_reduce_kernels *kernels = job->kernels;
  if (job->index == NULL) index = NULL;
  switch (job->kind) {
  case SUM:
    kernels->sum[dtype](n, stride, width, x, number);
    break;
  case PROD:
    kernels->prod[dtype](n, stride, width, x, number);
    break;
  case MAX:
    kernels->max[dtype](n, stride, width, x, number, index);
    break;
  case MIN:
    kernels->min[dtype](n, stride, width, x, number, index);
    break;
  case ANY:
    kernels->any(n, stride, width, x, number);
    break;
  case ALL:
    kernels->all(n, stride, width, x, number);
    break;
  case DEVIATIONS:
    kernels->deviations[dtype](n, stride, width, x, means, number);
    break;
  case SQUARES:
    kernels->squares[dtype](n, stride, width, x, means, number);
    break;
  case MOMENTS:
    break; /* two reductions */
  }
}

/* Doubles as the dtype of a float output. */
static void put_doubles(peri_dtype dtype, int64_t count, const double *from, void *to, int64_t at) {
  if (dtype == PERI_FLOAT32) {
    for (int64_t j = 0; j < count; j++) ((float *)to)[at + j] = (float)from[j];
  } else {
    memcpy((double *)to + at, from, (size_t)count * sizeof(double));
  }
}

static void put_spread(const reduce_job *job, int64_t at, int64_t count, const double *squares) {
  double spread[PERI_REDUCE_COLUMNS];
  for (int64_t j = 0; j < count; j++) spread[j] = squares[j] / job->degrees;
  for (int64_t j = 0; job->root && j < count; j++) spread[j] = sqrt(spread[j]);
  put_doubles(job->dtype, count, spread, job->y, at);
}

/* A mean is rounded, and so the numbers' deviations from it have a mean of their own. */
static void correct_means(int64_t n, int64_t count, const double *deviations, double *means) {
  for (int64_t j = 0; j < count; j++) means[j] += isfinite(deviations[j]) ? deviations[j] / (double)n : 0;
}

static void put_results(const reduce_job *job, int64_t at, int64_t count, const results *from) {
  peri_dtype dtype = result_dtype(job);
  if (job->means != NULL && job->kind == SUM) {
    for (int64_t j = 0; j < count; j++) job->means[at + j] = from->number[j] / (double)job->n;
  } else if (job->kind == DEVIATIONS) {
    correct_means(job->n, count, from->number, job->means + at);
  } else if (job->kind == SQUARES) {
    put_spread(job, at, count, from->number);
  } else if (job->y != NULL && dtype != job->dtype) {
    put_doubles(job->dtype, count, from->number, job->y, at);
  } else if (job->y != NULL) {
    memcpy((char *)job->y + (size_t)at * size_of(dtype), from->number, (size_t)count * size_of(dtype));
  }
  if (job->index != NULL) memcpy(job->index + at, from->index, (size_t)count * sizeof(int64_t));
}

static void put_in_table(const reduce_job *job, int64_t part, int64_t at, int64_t count, results *from) {
  size_t size = size_of(result_dtype(job));
  int64_t cell = part * job->outer * job->inner + at;
  memcpy((char *)job->table + (size_t)cell * size, from->number, (size_t)count * size);
  for (int64_t j = 0; job->index != NULL && j < count; j++) {
    job->table_index[cell + j] = from->index[j] + part * job->n_step;
  }
}

/* ---- pieces ---- */

static void moments_block(const reduce_job *job, int64_t at, int64_t width, const void *x) {
  double means[PERI_REDUCE_COLUMNS], squares[PERI_REDUCE_COLUMNS];
  job->kernels->sum[job->dtype](job->n, job->inner, width, x, means);
  for (int64_t j = 0; j < width; j++) means[j] /= (double)job->n;
  if (job->mean != NULL) put_doubles(job->dtype, width, means, job->mean, at);
  if (job->y == NULL) return;
  if (job->dtype == PERI_FLOAT64) { /* the mean of float32 numbers is exact enough in double */
    job->kernels->deviations[job->dtype](job->n, job->inner, width, x, means, squares);
    correct_means(job->n, width, squares, means);
  }
  job->kernels->squares[job->dtype](job->n, job->inner, width, x, means, squares);
  put_spread(job, at, width, squares);
}

typedef struct range {
  int64_t from, to;
} range;

static void put(const reduce_job *job, int64_t part, int64_t at, int64_t count, results *from) {
  if (job->n_pieces == 1) {
    put_results(job, at, count, from);
  } else {
    put_in_table(job, part, at, count, from);
  }
}

/* Runs, whose results are put together. */
static void reduce_runs(const reduce_job *job, int64_t part, range outer) {
  int64_t i0 = part * job->n_step, n = peri_min(job->n_step, job->n - i0);
  size_t size = size_of(job->dtype), result = size_of(result_dtype(job));
  for (int64_t o = outer.from, count; o < outer.to; o += count) {
    results out;
    count = peri_min(PERI_REDUCE_COLUMNS, outer.to - o);
    for (int64_t j = 0; j < count; j++) {
      reduce_block(job, job->dtype, n, 1, 1, job->x + (size_t)((o + j) * job->n + i0) * size,
                   job->means != NULL ? job->means + o + j : NULL, (char *)out.number + (size_t)j * result,
                   out.index + j);
    }
    put(job, part, o, count, &out);
  }
}

static void reduce_range(const reduce_job *job, int64_t part, range outer, range inner) {
  int64_t i0 = part * job->n_step, count = peri_min(job->n_step, job->n - i0);
  if (job->inner == 1 && count > 0 && job->kind != MOMENTS) {
    reduce_runs(job, part, outer);
    return;
  }
  for (int64_t o = outer.from; o < outer.to; o++) {
    for (int64_t j = inner.from; j < inner.to; j += PERI_REDUCE_COLUMNS) {
      int64_t width = peri_min(PERI_REDUCE_COLUMNS, inner.to - j), at = o * job->inner + j;
      const char *x = job->x; /* without elements it may be NULL */
      if (count > 0) x += (size_t)((o * job->n + i0) * job->inner + j) * size_of(job->dtype);
      if (job->kind == MOMENTS) {
        moments_block(job, at, width, x);
        continue;
      }
      results out;
      reduce_block(job, job->dtype, count, job->inner, width, x, job->means != NULL ? job->means + at : NULL,
                   out.number, out.index);
      put(job, part, at, width, &out);
    }
  }
}

static void reduce_piece(void *arg, int64_t piece) {
  const reduce_job *job = arg;
  int64_t part = piece % job->n_pieces, rest = piece / job->n_pieces;
  int64_t o0 = rest / job->inner_pieces * job->outer_step, j0 = rest % job->inner_pieces * job->inner_step;
  reduce_range(job, part, (range){o0, peri_min(o0 + job->outer_step, job->outer)},
               (range){j0, peri_min(j0 + job->inner_step, job->inner)});
}

/* The table is reduced like x was; deviations and squares are added up. */
static void reduce_table(const reduce_job *job) {
  int64_t outputs = job->outer * job->inner;
  peri_dtype dtype = result_dtype(job);
  reduce_job last = *job;
  if (job->kind == DEVIATIONS || job->kind == SQUARES) last.kind = SUM;
  for (int64_t at = 0; at < outputs; at += PERI_REDUCE_COLUMNS) {
    int64_t width = peri_min(PERI_REDUCE_COLUMNS, outputs - at);
    results out;
    reduce_block(&last, dtype, job->n_pieces, outputs, width, (const char *)job->table + (size_t)at * size_of(dtype),
                 NULL, out.number, out.index);
    for (int64_t j = 0; job->index != NULL && j < width; j++) {
      out.index[j] = job->table_index[out.index[j] * outputs + at + j];
    }
    put_results(job, at, width, &out);
  }
}

/* ---- running ---- */

static peri_status run_cut(peri_context *context, reduce_job *job) {
  int64_t pieces = job->outer_pieces * job->n_pieces * job->inner_pieces;
  if (pieces == 1) {
    PERI_TRY(peri_check_cancel(context));
    reduce_range(job, 0, (range){0, job->outer}, (range){0, job->inner});
    return PERI_OK;
  }
  if (job->n_pieces == 1) return peri_parallel(context, pieces, reduce_piece, job);
  size_t cells = (size_t)(job->n_pieces * job->outer * job->inner);
  size_t cell = sizeof(double) + (job->index != NULL ? sizeof(int64_t) : 0);
  void *table;
  PERI_TRY(peri_alloc_array(context, cells, cell, &table));
  job->table = table;
  job->table_index = (int64_t *)table + cells;
  peri_status status = peri_parallel(context, pieces, reduce_piece, job);
  if (status == PERI_OK) reduce_table(job);
  peri_free(context, table, cells * cell);
  return status;
}

static inline peri_status run(peri_context *context, reduce_job job) {
  job.kernels = context->kernels->rows->reduce;
  if (job.outer == 0 || job.inner == 0) return PERI_OK;
  cut(&job);
  return run_cut(context, &job);
}

/* A sum, or a mean, that is not cut, of one block: what small steps have most of, without the frame. */
static bool is_block(int64_t outer, int64_t n, int64_t inner) {
  return outer == 1 && n > 0 && inner > 0 && inner <= PERI_REDUCE_COLUMNS && n <= PERI_GRAIN / inner;
}

static peri_status sum_block(peri_context *context, peri_dtype dtype, int64_t n, int64_t inner, bool mean,
                             const void *x, void *y) {
  double sums[PERI_REDUCE_COLUMNS]; /* or int64 */
  PERI_TRY(peri_check_cancel(context));
  context->kernels->rows->reduce->sum[dtype](n, inner, inner, x, sums);
  for (int64_t j = 0; mean && j < inner; j++) sums[j] /= (double)n;
  if (dtype == PERI_FLOAT32)
    put_doubles(dtype, inner, sums, y, 0);
  else
    memcpy(y, sums, (size_t)inner * sizeof *sums);
  return PERI_OK;
}

peri_status peri_reduce_sum(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                            const void *x, void *y) {
  if (is_block(outer, n, inner)) return sum_block(context, dtype, n, inner, false, x, y);
  return run(context,
             (reduce_job){.kind = SUM, .dtype = dtype, .outer = outer, .n = n, .inner = inner, .x = x, .y = y});
}

peri_status peri_reduce_prod(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                             const void *x, void *y) {
  return run(context,
             (reduce_job){.kind = PROD, .dtype = dtype, .outer = outer, .n = n, .inner = inner, .x = x, .y = y});
}

peri_status peri_reduce_max(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                            const void *x, void *value, int64_t *index) {
  return run(
      context,
      (reduce_job){
          .kind = MAX, .dtype = dtype, .outer = outer, .n = n, .inner = inner, .x = x, .y = value, .index = index});
}

peri_status peri_reduce_min(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                            const void *x, void *value, int64_t *index) {
  return run(
      context,
      (reduce_job){
          .kind = MIN, .dtype = dtype, .outer = outer, .n = n, .inner = inner, .x = x, .y = value, .index = index});
}

peri_status peri_reduce_any(peri_context *context, int64_t outer, int64_t n, int64_t inner, const uint8_t *x,
                            uint8_t *y) {
  return run(
      context,
      (reduce_job){
          .kind = ANY, .dtype = PERI_BOOL, .outer = outer, .n = n, .inner = inner, .x = (const char *)x, .y = y});
}

peri_status peri_reduce_all(peri_context *context, int64_t outer, int64_t n, int64_t inner, const uint8_t *x,
                            uint8_t *y) {
  return run(
      context,
      (reduce_job){
          .kind = ALL, .dtype = PERI_BOOL, .outer = outer, .n = n, .inner = inner, .x = (const char *)x, .y = y});
}

/* Two passes, three for float64. When n is cut, the means of all outputs stand between them. */
peri_status peri_reduce_moments(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                                const void *x, double degrees, bool root, void *mean, void *spread) {
  if (spread == NULL && is_block(outer, n, inner)) return sum_block(context, dtype, n, inner, true, x, mean);
  reduce_job job = {.kernels = context->kernels->rows->reduce,
                    .kind = MOMENTS,
                    .dtype = dtype,
                    .outer = outer,
                    .n = n,
                    .inner = inner,
                    .x = x,
                    .y = spread,
                    .mean = mean,
                    .degrees = degrees,
                    .root = root};
  if (outer == 0 || inner == 0) return PERI_OK;
  cut(&job);
  if (job.n_pieces == 1) return run_cut(context, &job);
  size_t outputs = (size_t)(outer * inner);
  void *means;
  PERI_TRY(peri_alloc_array(context, outputs, sizeof(double), &means));
  job.means = means;
  job.kind = SUM;
  peri_status status = run_cut(context, &job);
  if (status == PERI_OK && spread != NULL && dtype == PERI_FLOAT64) {
    job.kind = DEVIATIONS;
    status = run_cut(context, &job);
  }
  if (status == PERI_OK && spread != NULL) {
    job.kind = SQUARES;
    status = run_cut(context, &job);
  }
  if (status == PERI_OK && mean != NULL) put_doubles(dtype, (int64_t)outputs, means, mean, 0);
  peri_free(context, means, outputs * sizeof(double));
  return status;
}

/* Squared deviations from 0. */
peri_status peri_reduce_norm(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                             const void *x, void *y) {
  size_t bytes = (size_t)(outer * inner) * sizeof(double);
  void *zeros;
  if (bytes == 0) return PERI_OK;
  PERI_TRY(peri_alloc(context, bytes, &zeros));
  memset(zeros, 0, bytes);
  peri_status status = run(context, (reduce_job){.kind = SQUARES,
                                                 .dtype = dtype,
                                                 .outer = outer,
                                                 .n = n,
                                                 .inner = inner,
                                                 .x = x,
                                                 .y = y,
                                                 .means = zeros,
                                                 .degrees = 1,
                                                 .root = true});
  peri_free(context, zeros, bytes);
  return status;
}

/* ---- lanes ---- */

/* Short runs are added plainly, longer ones by the kernel, lane by lane. */
#define PLAIN 32

static void sum_runs(const peri_context *context, peri_dtype dtype, int64_t n, const void *x, double *sums) {
  const float *f = x;
  const double *d = x;
  union {
    float f[PERI_LANES_LONGEST];
    double d[PERI_LANES_LONGEST];
  } run;
  for (int l = 0; l < PERI_LANES; l++) sums[l] = 0;
  for (int64_t i = 0; i < n && n < PLAIN; i++) {
    for (int l = 0; l < PERI_LANES; l++)
      sums[l] += dtype == PERI_FLOAT32 ? (double)f[i * PERI_LANES + l] : d[i * PERI_LANES + l];
  }
  for (int l = 0; l < PERI_LANES && n >= PLAIN; l++) {
    for (int64_t i = 0; i < n; i++) {
      if (dtype == PERI_FLOAT32)
        run.f[i] = f[i * PERI_LANES + l];
      else
        run.d[i] = d[i * PERI_LANES + l];
    }
    context->kernels->rows->reduce->sum[dtype](n, 1, 1, &run, &sums[l]);
  }
}

void peri_sum_lanes(const peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                    double divisor, const void *x, void *y) {
  const int64_t columns = inner * PERI_LANES;
  const size_t size = size_of(dtype);
  double sums[PERI_REDUCE_COLUMNS];
  for (int64_t o = 0; o < outer; o++) {
    const char *from = (const char *)x + (size_t)(o * n * columns) * size;
    for (int64_t j = 0, width; j < columns; j += width) {
      width = peri_min(PERI_REDUCE_COLUMNS, columns - j);
      if (inner == 1)
        sum_runs(context, dtype, n, from, sums);
      else
        context->kernels->rows->reduce->sum[dtype](n, columns, width, from + (size_t)j * size, sums);
      for (int64_t c = 0; c < width; c++) sums[c] /= divisor;
      put_doubles(dtype, width, sums, y, o * columns + j);
    }
  }
}
