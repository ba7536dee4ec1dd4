/* Normalisation of channels: x is n x channels x inner, read as n rows of channels * inner columns.
 *
 * Channels are cut into pieces; when these are few and n is long, n is cut too, and every part of n leaves its sums in
 * a row of a table, which is added up like x was. Within a piece, what is summed goes by blocks of columns, and the
 * columns of a channel are added at the end. All cuts depend on (n, channels, inner). */
#include "kernels/rows.h"

#include <math.h>

#define ENOUGH_PIECES 16
#define MOST_PARTS    256
#define MOST_UNCUT    (4 * PERI_GRAIN) /* elements of a piece that all passes go over while it is in cache */
#define LEAST_COLUMNS 256
#define LEAST_RUN     32 /* columns of a channel of one row: from here on they are added up as a run */
#define SHORT_RUN     64 /* columns of a channel: below it, loops go over columns of several */

typedef enum summing { SUM, DEVIATIONS, SQUARES, PRODUCTS } summing;

typedef struct channel_job {
  const peri_row_kernels *kernels;
  peri_dtype dtype;
  size_t size; /* bytes of an element */
  int64_t n, channels, inner, row;
  int64_t step, pieces; /* channels of a piece */
  int64_t part, parts;  /* rows of a part */
  const char *x, *g;
  char *y;
  double *mean, *variance;
  const double *center, *slope, *shift, *scale;
  summing what;
  double *sums, *products; /* of each channel, for each part */
} channel_job;

static bool is_empty(peri_channels size) { return size.n == 0 || size.channels == 0 || size.inner == 0; }

static channel_job new_job(const peri_context *context, peri_dtype dtype, peri_channels size) {
  channel_job job = {
      .kernels = context->kernels->rows,
      .dtype = dtype,
      .size = dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double),
      .n = size.n,
      .channels = size.channels,
      .inner = size.inner,
      .row = size.channels * size.inner,
      .part = size.n,
      .parts = 1,
  };
  job.step = peri_max(1, peri_max(LEAST_COLUMNS, PERI_GRAIN / size.n) / size.inner);
  job.step = peri_min(job.step, size.channels);
  job.pieces = peri_ceil_div(size.channels, job.step);
  int64_t columns = job.step * size.inner;
  if (job.pieces < ENOUGH_PIECES && size.n > MOST_UNCUT / columns) {
    job.part = peri_min(size.n, peri_max(peri_ceil_div(PERI_GRAIN, columns), peri_ceil_div(size.n, MOST_PARTS)));
    job.parts = peri_ceil_div(size.n, job.part);
  }
  return job;
}

typedef struct block {
  int64_t from, rows;        /* rows of x */
  int64_t channel, channels; /* channels */
} block;

static block piece_of(const channel_job *job, int64_t piece) {
  int64_t from = piece % job->parts * job->part, channel = piece / job->parts * job->step;
  return (block){
      .from = from,
      .rows = peri_min(job->part, job->n - from),
      .channel = channel,
      .channels = peri_min(job->step, job->channels - channel),
  };
}

/* ---- sums ---- */

/* One sum for each of `width` columns, from column `at` of x on. */
static void sum_columns(const channel_job *job, const block *b, int64_t at, int64_t width, const double *centre,
                        double *sums, double *products) {
  size_t offset = (size_t)(b->from * job->row + at) * job->size;
  const peri_reduce_kernels *reduce = job->kernels->reduce;
  switch (job->what) {
  case SUM:
    reduce->sum[job->dtype](b->rows, job->row, width, job->x + offset, sums);
    break;
  case DEVIATIONS:
    reduce->deviations[job->dtype](b->rows, job->row, width, job->x + offset, centre, sums);
    break;
  case SQUARES:
    reduce->squares[job->dtype](b->rows, job->row, width, job->x + offset, centre, sums);
    break;
  case PRODUCTS:
    job->kernels->normalize->products[job->dtype](b->rows, job->row, width, job->g + offset, job->x + offset, centre,
                                                  sums, products);
    break;
  }
}

/* A sum whose rounding errors are kept, as in reduce_floats.h. */
typedef struct total {
  double sum, error;
} total;

static void add(total *to, double term) {
  double sum = to->sum + term, part = sum - to->sum;
  to->error += (to->sum - (sum - part)) + (term - part);
  to->sum = sum;
}
static double value_of(const total *from) { return from->sum + (isfinite(from->error) ? from->error : 0); }

static double sum_run(const channel_job *job, int64_t n, const double *x) {
  double sum;
  job->kernels->reduce->sum[PERI_FLOAT64](n, 1, 1, x, &sum);
  return sum;
}

/* A channel by blocks of its columns. */
static void sum_wide_channel(const channel_job *job, const block *b, int64_t channel, double *sum, double *product) {
  double sums[PERI_NORMALIZE_COLUMNS], products[PERI_NORMALIZE_COLUMNS], centre[PERI_NORMALIZE_COLUMNS];
  total first = {0, 0}, second = {0, 0};
  for (int64_t j = 0; job->center != NULL && j < PERI_NORMALIZE_COLUMNS; j++) centre[j] = job->center[channel];
  for (int64_t j = 0; j < job->inner; j += PERI_NORMALIZE_COLUMNS) {
    int64_t width = peri_min(PERI_NORMALIZE_COLUMNS, job->inner - j);
    sum_columns(job, b, channel * job->inner + j, width, centre, sums, products);
    add(&first, sum_run(job, width, sums));
    if (product != NULL) add(&second, sum_run(job, width, products));
  }
  *sum = value_of(&first);
  if (product != NULL) *product = value_of(&second);
}

/* A block of columns that are those of several channels. */
static void sum_narrow_channels(const channel_job *job, const block *b, int64_t channel, int64_t channels, double *sum,
                                double *product) {
  double sums[PERI_NORMALIZE_COLUMNS], products[PERI_NORMALIZE_COLUMNS], centre[PERI_NORMALIZE_COLUMNS];
  for (int64_t k = 0; job->center != NULL && k < channels; k++) {
    for (int64_t j = 0; j < job->inner; j++) centre[k * job->inner + j] = job->center[channel + k];
  }
  sum_columns(job, b, channel * job->inner, channels * job->inner, centre, sums, products);
  for (int64_t k = 0; k < channels; k++) {
    sum[k] = sum_run(job, job->inner, sums + k * job->inner);
    if (product != NULL) product[k] = sum_run(job, job->inner, products + k * job->inner);
  }
}

/* A channel of one row: what it has is one run, whose products go by columns of RUN numbers. */
static void sum_run_channel(const channel_job *job, const block *b, int64_t channel, double *sum, double *product) {
  enum { RUN = 64 };
  channel_job run = *job;
  block rows = {.from = 0, .rows = job->inner / RUN, .channel = 0, .channels = 1};
  const double centre = job->center != NULL ? job->center[channel] : 0;
  const size_t offset = (size_t)(b->from * job->row + channel * job->inner) * job->size;
  run.x += offset;
  if (product == NULL) {
    rows.rows = job->inner;
    run.row = 1;
    sum_columns(&run, &rows, 0, 1, &centre, sum, NULL);
    return;
  }
  double sums[RUN], products[RUN], centres[RUN], rest[2][RUN];
  for (int64_t j = 0; j < RUN; j++) centres[j] = centre;
  run.g += offset;
  run.row = RUN;
  sum_columns(&run, &rows, 0, RUN, centres, sums, products);
  int64_t last = job->inner % RUN;
  if (last > 0) {
    rows = (block){.from = job->inner / RUN, .rows = 1, .channel = 0, .channels = 1};
    sum_columns(&run, &rows, 0, last, centres, rest[0], rest[1]);
    for (int64_t j = 0; j < last; j++) {
      sums[j] += rest[0][j];
      products[j] += rest[1][j];
    }
  }
  *sum = sum_run(job, RUN, sums);
  *product = sum_run(job, RUN, products);
}

/* The sums of a piece's channels. */
static void sum_channels(const channel_job *job, const block *b, double *sums, double *products) {
  bool runs = job->n == 1 && job->inner >= LEAST_RUN;
  int64_t several = runs ? 1 : peri_max(1, PERI_NORMALIZE_COLUMNS / job->inner);
  for (int64_t k = 0; k < b->channels; k += several) {
    double *product = products != NULL ? products + k : NULL;
    if (runs) {
      sum_run_channel(job, b, b->channel + k, sums + k, product);
    } else if (job->inner > PERI_NORMALIZE_COLUMNS) {
      sum_wide_channel(job, b, b->channel + k, sums + k, product);
    } else {
      sum_narrow_channels(job, b, b->channel + k, peri_min(several, b->channels - k), sums + k, product);
    }
  }
}

static void sum_piece(void *arg, int64_t piece) {
  const channel_job *job = arg;
  block b = piece_of(job, piece);
  int64_t at = b.from / job->part * job->channels + b.channel;
  sum_channels(job, &b, job->sums + at, job->what == PRODUCTS ? job->products + at : NULL);
}

/* The rows of a table added up. */
static void sum_table(const channel_job *job, const double *table, double *sums) {
  for (int64_t c = 0; c < job->channels; c += PERI_NORMALIZE_COLUMNS) {
    int64_t width = peri_min(PERI_NORMALIZE_COLUMNS, job->channels - c);
    job->kernels->reduce->sum[PERI_FLOAT64](job->parts, job->channels, width, table + c, sums + c);
  }
}

/* What the job sums, of each channel; products only where it says so. */
static peri_status sum_all(peri_context *context, channel_job *job, double *sums, double *products) {
  size_t cells = (size_t)(job->parts * job->channels), bytes = sizeof(double) * (products != NULL ? 2 : 1);
  void *table = NULL;
  if (job->parts > 1) PERI_TRY(peri_alloc_array(context, cells, bytes, &table));
  job->sums = table != NULL ? table : sums;
  job->products = table != NULL ? (double *)table + cells : products;
  peri_status status = peri_parallel(context, job->pieces * job->parts, sum_piece, job);
  if (status == PERI_OK && table != NULL) {
    sum_table(job, job->sums, sums);
    if (products != NULL) sum_table(job, job->products, products);
  }
  peri_free(context, table, cells * bytes);
  return status;
}

/* ---- moments ---- */

/* A mean is rounded, and so the numbers' deviations from it have a mean of their own. */
static void correct_means(double count, int64_t channels, const double *deviations, double *mean) {
  for (int64_t c = 0; c < channels; c++) mean[c] += isfinite(deviations[c]) ? deviations[c] / count : 0;
}

/* All passes over the channels of a piece, one after the other while they are in cache. */
static void moments_piece(void *arg, int64_t piece) {
  channel_job job = *(const channel_job *)arg;
  double count = (double)job.n * (double)job.inner;
  block b = piece_of(&job, piece);
  double *mean = job.mean + b.channel, *variance = job.variance + b.channel;
  job.what = SUM;
  sum_channels(&job, &b, mean, NULL);
  for (int64_t c = 0; c < b.channels; c++) mean[c] /= count;
  job.center = job.mean;
  if (job.dtype == PERI_FLOAT64) {
    job.what = DEVIATIONS;
    sum_channels(&job, &b, variance, NULL);
    correct_means(count, b.channels, variance, mean);
  }
  job.what = SQUARES;
  sum_channels(&job, &b, variance, NULL);
  for (int64_t c = 0; c < b.channels; c++) variance[c] /= count;
}

peri_status peri_channel_moments(peri_context *context, peri_dtype dtype, peri_channels size, const void *x,
                                 double *mean, double *variance) {
  double count = (double)size.n * (double)size.inner;
  if (is_empty(size)) return PERI_OK;
  channel_job job = new_job(context, dtype, size);
  job.x = x;
  job.mean = mean;
  job.variance = variance;
  if (job.parts == 1) return peri_parallel(context, job.pieces, moments_piece, &job);
  job.what = SUM;
  PERI_TRY(sum_all(context, &job, mean, NULL));
  for (int64_t c = 0; c < size.channels; c++) mean[c] /= count;
  job.center = mean;
  if (dtype == PERI_FLOAT64) {
    job.what = DEVIATIONS;
    PERI_TRY(sum_all(context, &job, variance, NULL));
    correct_means(count, size.channels, variance, mean);
  }
  job.what = SQUARES;
  PERI_TRY(sum_all(context, &job, variance, NULL));
  for (int64_t c = 0; c < size.channels; c++) variance[c] /= count;
  return PERI_OK;
}

peri_status peri_channel_products(peri_context *context, peri_dtype dtype, peri_channels size, const void *g,
                                  const void *x, const double *mean, double *sums, double *products) {
  if (is_empty(size)) {
    for (int64_t c = 0; c < size.channels; c++) sums[c] = products[c] = 0;
    return PERI_OK;
  }
  channel_job job = new_job(context, dtype, size);
  job.g = g;
  job.x = x;
  job.center = mean;
  job.what = PRODUCTS;
  return sum_all(context, &job, sums, products);
}

/* ---- element by element ---- */

/* The same number for each column of a channel. */
static void repeat(const channel_job *job, int64_t channel, int64_t channels, const double *from, double *to) {
  for (int64_t k = 0; k < channels; k++) {
    for (int64_t j = 0; j < job->inner; j++) to[k * job->inner + j] = from[channel + k];
  }
}

/* Channels from `channel` on, whose columns have the numbers of `each` column or of the one channel. */
static void apply_columns(const channel_job *job, const block *b, int64_t channel, int64_t width, bool each,
                          const double *const numbers[4]) {
  size_t offset = (size_t)(b->from * job->row + channel * job->inner) * job->size;
  const peri_normalize_kernels *kernels = job->kernels->normalize;
  if (job->g == NULL) {
    kernels->scale[job->dtype](b->rows, job->row, width, each, job->x + offset, numbers[0], numbers[1], numbers[2],
                               job->y + offset);
  } else {
    kernels->correct[job->dtype](b->rows, job->row, width, each, job->g + offset, job->x + offset, numbers[0],
                                 numbers[3], numbers[2], numbers[1], job->y + offset);
  }
}

static void apply_piece(void *arg, int64_t piece) {
  const channel_job *job = arg;
  block b = piece_of(job, piece);
  const double *const given[4] = {job->center, job->scale, job->shift, job->slope};
  int64_t several = job->inner < SHORT_RUN ? PERI_NORMALIZE_COLUMNS / job->inner : 1;
  for (int64_t c = b.channel, last = c + b.channels; c < last; c += several) {
    double columns[4][PERI_NORMALIZE_COLUMNS];
    const double *numbers[4];
    int64_t channels = peri_min(several, last - c);
    for (int i = 0; i < 4; i++) {
      numbers[i] = given[i] != NULL ? given[i] + c : NULL;
      if (several == 1 || job->inner == 1 || given[i] == NULL) continue;
      repeat(job, c, channels, given[i], columns[i]);
      numbers[i] = columns[i];
    }
    apply_columns(job, &b, c, channels * job->inner, several > 1, numbers);
  }
}

peri_status peri_channel_scale(peri_context *context, peri_dtype dtype, peri_channels size, const void *x,
                               const double *mean, const double *scale, const double *shift, void *y) {
  if (is_empty(size)) return PERI_OK;
  channel_job job = new_job(context, dtype, size);
  job.x = x;
  job.y = y;
  job.center = mean;
  job.scale = scale;
  job.shift = shift;
  return peri_parallel(context, job.pieces * job.parts, apply_piece, &job);
}

peri_status peri_channel_correct(peri_context *context, peri_dtype dtype, peri_channels size, const void *g,
                                 const void *x, const double *mean, const double *slope, const double *shift,
                                 const double *scale, void *y) {
  if (is_empty(size)) return PERI_OK;
  channel_job job = new_job(context, dtype, size);
  job.g = g;
  job.x = x;
  job.y = y;
  job.center = mean;
  job.slope = slope;
  job.shift = shift;
  job.scale = scale;
  return peri_parallel(context, job.pieces * job.parts, apply_piece, &job);
}
