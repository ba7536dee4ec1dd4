/* Convolutions: weights times patches; see convolution.h. */
#include "product/patches.h"
#include "product/product.h"

#define DEEP 64 /* steps, from which writing results takes little; to measure: ./dev bench product conv */

/* Weights (groups x m x k) times patches, whose results are rows of planes. */
typedef struct job {
  peri_patches p;
  const peri_context *context;
  const peri_tile_kernels *tiles;
  peri_dtype dtype;
  int64_t images, groups, m, k;
  const char *weights;
  peri_convolution_end end;
  char *y;

  int64_t rows, bands;   /* of the grid in a piece; pieces of an image, 1 where a piece has whole images */
  int64_t span, spans;   /* columns of the grid */
  int64_t chunk, chunks; /* rows of the weights */
  int64_t pieces;        /* in all */
  bool whole;            /* one thread does all */
  bool direct;           /* results of a piece lie side by side where they belong */
  int64_t channel_step;
  int64_t *offsets; /* of each step */
  char *scratch;
  int64_t ldc;
  size_t base_at, results_at, product_at,
      scratch_bytes; /* a thread's: a copy, its rows' places, results, the product's */
} job;

typedef struct piece {
  const job *j;
  int64_t group, i, rows; /* of the weights */
  int64_t from, end;      /* rows of the grid */
  int64_t column;         /* the first */
  peri_patches p;
  const char *data; /* where they begin, and their rows */
  int64_t *base;
  char *results; /* where they do not go to their place at once */
} piece;

static void gather_patches(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count,
                           int64_t from, int64_t steps, void *panel) {
  const piece *t = source;
  peri_patch_run run[64];
  int64_t runs = peri_find_runs(t->base, t->p.grid[1], first, count, run);
  tiles->patches(runs, run, steps, t->j->offsets + from, t->data, panel);
}

static char *result_at(const job *j, int64_t image, int64_t channel, int64_t row, int64_t column) {
  int64_t plane = (image * j->groups * j->m + channel) * j->p.grid[0] * j->p.grid[1];
  return j->y + (plane + row * j->p.grid[1] + column) * (int64_t)j->p.element;
}

/* Images of one channel to their planes. */
static void finish_images(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t at, int64_t columns,
                          void *c, int64_t ldc) {
  const piece *t = state;
  const job *j = t->j;
  const int64_t plane = j->p.grid[0] * j->p.grid[1], size = (int64_t)j->p.element;
  const int64_t first = t->from % j->p.grid[0] * j->p.grid[1];
  (void)batch, (void)at;
  for (int64_t r = 0; r < rows; r++) {
    int64_t channel = t->group * j->m + t->i + i + r;
    const char *row = (const char *)c + r * ldc * size;
    for (int64_t done = 0, pixel = t->from % j->p.grid[0] * j->p.grid[1]; done < columns; pixel = 0) {
      int64_t image = t->from / j->p.grid[0] + (done > 0 ? (first + done) / plane : 0),
              length = peri_min(columns - done, plane - pixel);
      peri_convolution_end_run(j->context, j->dtype, &j->end, channel, length, row + done * size,
                               result_at(j, image, channel, 0, pixel), 1);
      done += length;
    }
  }
}

static void finish_in_place(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t at, int64_t columns,
                            void *c, int64_t ldc) {
  const piece *t = state;
  (void)batch, (void)at;
  for (int64_t r = 0; r < rows; r++) {
    char *row = (char *)c + r * ldc * (int64_t)t->j->p.element;
    peri_convolution_end_run(t->j->context, t->j->dtype, &t->j->end, t->group * t->j->m + t->i + i + r, columns, row,
                             row, 1);
  }
}

static void cut(job *j) {
  const int64_t height = j->p.grid[0], width = j->p.grid[1];
  double work = (double)(j->images * height * width) * (double)(j->groups * j->m) * (double)j->k;
  j->whole = work < PERI_WHOLE_WORK;
  j->spans = peri_ceil_div(width, PERI_PATCHES);
  j->span = peri_ceil_div(width, j->spans);
  const bool deep = j->k > DEEP;
  const int64_t columns = deep && j->m <= PERI_LEAST_ROWS ? 2 * PERI_PATCHES : PERI_PATCHES;
  j->bands = peri_min(height, peri_ceil_div(height * width, columns));
  j->rows = j->bands > 1 ? peri_ceil_div(height, j->bands)
                         : height * peri_min(j->images, peri_max(1, PERI_PATCHES / 2 / (height * width)));
  j->bands = peri_ceil_div(height, j->rows);
  int64_t pieces =
      j->groups * j->spans * (j->bands > 1 ? j->images * j->bands : peri_ceil_div(j->images * height, j->rows));
  double rows = PERI_PIECE_WORK / (double)(j->rows * j->span) / (double)peri_max(1, j->k);
  int64_t most = rows < PERI_LEAST_ROWS ? PERI_LEAST_ROWS : rows < (double)j->m ? (int64_t)rows : j->m;
  if (pieces < PERI_ENOUGH && !j->whole) most = peri_min(most, peri_ceil_div(j->m, peri_ceil_div(PERI_ENOUGH, pieces)));
  j->chunk = peri_min(j->m, peri_round_up(most, j->tiles->rows));
  j->chunks = peri_ceil_div(j->m, j->chunk);
  j->pieces = pieces * j->chunks;
  j->direct = j->spans > 1 || (j->rows <= height && !deep);
}

static peri_product product_of(const piece *t) {
  const job *j = t->j;
  peri_product p = {.dtype = j->dtype, .m = t->rows, .n = (t->end - t->from) * t->p.grid[1], .k = j->k};
  p.a = (peri_operand){.along = j->k, .step = 1};
  p.a.data = j->weights + (t->group * j->m + t->i) * j->k * (int64_t)j->p.element;
  p.b = (peri_operand){.gather = gather_patches, .source = t};
  p.state = t;
  if (!j->direct) {
    p.c = t->results;
    p.ldc = j->ldc;
    p.finish = finish_images;
    return p;
  }
  p.c = result_at(j, t->from / j->p.grid[0], t->group * j->m + t->i, t->from % j->p.grid[0], t->column);
  p.ldc = j->p.grid[0] * j->p.grid[1];
  if (j->end.bias != NULL || j->end.activation != NULL) p.finish = finish_in_place;
  return p;
}

static piece piece_of(const job *j, int64_t number) {
  piece t = {.j = j, .i = number % j->chunks * j->chunk};
  t.rows = peri_min(j->chunk, j->m - t.i);
  number /= j->chunks;
  t.group = number % j->groups;
  number /= j->groups;
  t.column = number % j->spans * j->span;
  t.p = peri_patches_window(&j->p, t.column, peri_min(j->span, j->p.grid[1] - t.column));
  number /= j->spans;
  const int64_t height = j->p.grid[0];
  t.from = j->bands > 1 ? number / j->bands * height + number % j->bands * j->rows : number * j->rows;
  t.end = peri_min(t.from + j->rows, j->bands > 1 ? (number / j->bands + 1) * height : j->images * height);
  return t;
}

static void run_piece(const job *j, int64_t number) {
  piece t = piece_of(j, number);
  char *scratch = j->scratch + (size_t)peri_worker() * j->scratch_bytes;
  int64_t channels = j->p.channels / j->groups;
  t.base = (int64_t *)(void *)(scratch + j->base_at);
  t.data =
      peri_patches_lay(&t.p, j->tiles, t.from, t.end, t.group * channels, channels, j->channel_step, scratch, t.base);
  t.results = scratch + j->results_at;
  peri_product p = product_of(&t);
  peri_multiply_here(j->context, &p, scratch + j->product_at);
}

static void run_pieces(void *arg, int64_t number) {
  const job *j = arg;
  if (!j->whole) run_piece(j, number);
  for (int64_t i = 0; i < j->pieces && j->whole && !peri_cancelled(j->context); i++) run_piece(j, i);
}

/* What the product of any piece takes: the last ones may have fewer rows or patches. */
static size_t product_scratch(const job *j) {
  size_t most = 0;
  for (int which = 0; which < 4; which++) {
    piece t = piece_of(j, which % 2 == 0 ? 0 : j->pieces - 1);
    t.i = 0, t.rows = which < 2 ? j->chunk : j->m - (j->chunks - 1) * j->chunk;
    t.results = j->y; /* until there is memory: some place */
    peri_product p = product_of(&t);
    size_t bytes = peri_multiply_scratch(j->context, &p);
    if (bytes > most) most = bytes;
  }
  return most;
}

static void lay_out(job *j) {
  int64_t channels = j->p.channels / j->groups;
  j->channel_step = peri_channel_step(&j->p, j->rows);
  j->base_at = j->p.in_place ? 0 : peri_lines((size_t)(j->channel_step * channels + 64) * j->p.element);
  j->results_at = j->base_at + peri_lines((size_t)j->rows * sizeof(int64_t));
  j->ldc = peri_round_up(j->rows * j->span, 32) + 16; /* in other sets of a cache */
  j->product_at = j->results_at + (j->direct ? 0 : peri_lines((size_t)(j->chunk * j->ldc) * j->p.element));
  j->scratch_bytes = j->product_at + product_scratch(j);
}

/* The fields down to the cutting are set. */
static peri_status run_job(peri_context *context, job *j) {
  void *memory;
  j->context = context;
  j->tiles = &context->kernels->tiles->of[j->dtype == PERI_FLOAT64];
  cut(j);
  if (!peri_patches_place(&j->p, j->span) || !peri_patches_countable(&j->p, j->rows, j->p.channels / j->groups))
    return peri_patches_too_large(context);
  lay_out(j);
  size_t offsets = peri_lines((size_t)j->k * sizeof(int64_t)),
         threads = (size_t)peri_min(peri_threads(context), j->pieces);
  size_t bytes = offsets + threads * j->scratch_bytes;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j->offsets = memory;
  j->scratch = (char *)memory + offsets;
  for (int64_t i = 0; i < j->k; i++)
    j->offsets[i] = i / j->p.taps * j->channel_step + peri_tap_offset(&j->p, i % j->p.taps);
  peri_status status = peri_parallel(context, j->whole ? 1 : j->pieces, run_pieces, j);
  peri_free(context, memory, bytes);
  return status;
}

peri_status peri_convolve(peri_context *context, const peri_convolution *v, const void *x, const void *weight,
                          const peri_convolution_end *end, void *y) {
  void *taps;
  size_t bytes = (size_t)(2 * v->kernel[0] * v->kernel[1]) * sizeof(int64_t);
  PERI_TRY(peri_alloc(context, bytes, &taps));
  job j = {.p = peri_patches_of_x(v, x, taps), .dtype = v->dtype, .images = v->images, .groups = v->groups};
  j.m = v->out_channels / v->groups;
  j.k = v->in_channels / v->groups * j.p.taps;
  j.weights = weight;
  if (end != NULL) j.end = *end;
  j.y = y;
  peri_status status = v->images == 0 ? PERI_OK : run_job(context, &j);
  peri_free(context, taps, bytes);
  return status;
}
