/* The gradient of the weights of a convolution; see convolution.h. */
#include "product/patches.h"
#include "product/product.h"

/* (C / groups KH KW) x (M / groups) of a group, whose steps are the elements of a plane of y through all images; or
 * that turned, where few filters would leave lanes idle. Each part of the steps, and of the taps, is a piece: it has a
 * matrix of its own, and they are added in order. */

typedef struct weights_job {
  peri_patches p;
  const peri_convolution *v;
  const peri_context *context;
  const peri_tile_kernels *tiles;
  const char *gy;
  char *gw;
  int64_t m, n, k, part, parts;
  int64_t chunk, chunks; /* of m */
  bool whole;
  bool turned;
  int64_t channel_step;
  char *results; /* parts x groups x m x n */
  char *scratch;
  size_t rows_at, product_at, scratch_bytes; /* a thread's: copies, rows to be turned, the product's */
} weights_job;

typedef struct weights_piece {
  const weights_job *j;
  int64_t group, row, rows, from, steps;
  char *room;
  struct laid *laid;
} weights_piece;

#define MOST_ROWS (PERI_BLOCK + 2) /* of the grid, that the steps of a block touch */

/* Channels of the patches of one block that lie in a piece's room: the rows of A ask for one after the other. */
typedef struct laid {
  int64_t step, first, end; /* where the block begins, or -1; channels */
  int64_t base[MOST_ROWS];
} laid;

/* Channels first .. end - 1 of the patches that `steps` steps touch, from column `at` of row `row` on. */
static const char *lay_channels(const weights_piece *t, const peri_patches *p, int64_t first, int64_t end, int64_t row,
                                int64_t at, int64_t steps, laid *l) {
  const weights_job *j = t->j;
  const int64_t step = row * j->p.grid[1] + at, rows = (at + steps - 1) / p->grid[1] + 1;
  const int64_t begin = t->group * (p->channels / j->v->groups), size = (int64_t)p->element;
  if (l->step != step || first < l->first || first > l->end) l->first = l->end = first;
  const char *data = t->room;
  if (l->end < end || p->in_place) {
    int64_t from = p->in_place ? l->first : l->end;
    data = peri_patches_lay(p, j->tiles, row, row + rows, begin + from, peri_max(end, from) - from, j->channel_step,
                            t->room + (from - l->first) * j->channel_step * size, l->base);
    data -= (from - l->first) * j->channel_step * size;
  }
  l->step = step;
  l->end = peri_max(l->end, end);
  return data + (first - l->first) * j->channel_step * size;
}

/* Steps that touch rows of the grid as wide as p's. */
static void gather_window(const weights_piece *t, const peri_patches *p, int64_t first, int64_t count, int64_t row,
                          int64_t at, int64_t steps, laid *l, char *panel) {
  int64_t offsets[PERI_TILE_ROWS], channel = first / p->taps, end = (first + count - 1) / p->taps + 1;
  peri_patch_run run[PERI_BLOCK];
  const char *data = lay_channels(t, p, channel, end, row, at, steps, l);
  for (int64_t r = 0; r < count; r++) {
    int64_t tap = (first + r) % p->taps;
    offsets[r] = ((first + r) / p->taps - channel) * t->j->channel_step + peri_tap_offset(p, tap);
  }
  t->j->tiles->patch_rows(peri_find_runs(l->base, p->grid[1], at, steps, run), run, count, offsets, data, panel);
}

static void gather_rows(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count, int64_t from,
                        int64_t steps, void *panel) {
  const weights_piece *t = source;
  const peri_patches *p = &t->j->p;
  int64_t width = p->grid[1], step = t->from + from;
  (void)tiles;
  if (width <= PERI_BLOCK) {
    gather_window(t, p, t->row + first, count, step / width, step % width, steps, t->laid, panel);
    return;
  }
  for (int64_t done = 0; done < steps;) {
    int64_t row = (step + done) / width, column = (step + done) % width,
            length = peri_min(steps - done, width - column);
    peri_patches part = peri_patches_window(p, column, length);
    t->laid->step = -1; /* what lies there is of other columns */
    gather_window(t, &part, t->row + first, count, row, 0, length, t->laid, (char *)panel + done * (int64_t)p->element);
    done += length;
  }
}

/* Patches as columns. */
static void gather_columns(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count,
                           int64_t from, int64_t steps, void *panel) {
  const weights_piece *t = source;
  const int64_t pitch = PERI_A_PITCH * (int64_t)t->j->p.element;
  char *rows = t->room + t->j->rows_at;
  const void *vectors[64];
  for (int64_t i = 0; i < count; i++) vectors[i] = rows + i * pitch;
  for (int64_t i = 0; i < count; i += PERI_TILE_ROWS)
    gather_rows(source, tiles, first + i, peri_min(PERI_TILE_ROWS, count - i), from, steps, rows + i * pitch);
  tiles->turn(count, steps, vectors, panel);
}

/* Steps of a block up to the end of an image: how many, and where channel `first` has them in gy. */
static int64_t find_gradients(const weights_piece *t, int64_t first, int64_t from, int64_t steps, const char **data) {
  const weights_job *j = t->j;
  const int64_t plane = j->p.grid[0] * j->p.grid[1], step = t->from + from, image = step / plane, at = step % plane;
  int64_t channel = image * j->v->out_channels + t->group * j->n + first;
  *data = j->gy + (channel * plane + at) * (int64_t)j->p.element;
  return peri_min(steps, plane - at);
}

/* Channels of gy as rows, along their planes. */
static void gather_filters(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count,
                           int64_t from, int64_t steps, void *panel) {
  const weights_piece *t = source;
  const int64_t size = (int64_t)t->j->p.element, plane = t->j->p.grid[0] * t->j->p.grid[1];
  (void)tiles;
  for (int64_t done = 0, length; done < steps; done += length) {
    const char *data;
    length = find_gradients(t, first, from + done, steps - done, &data);
    for (int64_t r = 0; r < count; r++)
      memcpy((char *)panel + (r * PERI_A_PITCH + done) * size, data + r * plane * size, (size_t)(length * size));
  }
}

/* The same as columns. */
static void gather_gradients(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count,
                             int64_t from, int64_t steps, void *panel) {
  const weights_piece *t = source;
  const int64_t size = (int64_t)t->j->p.element, plane = t->j->p.grid[0] * t->j->p.grid[1];
  const void *vectors[64];
  for (int64_t done = 0, length; done < steps; done += length) {
    const char *data;
    length = find_gradients(t, first, from + done, steps - done, &data);
    for (int64_t i = 0; i < count; i++) vectors[i] = data + i * plane * size;
    tiles->turn(count, length, vectors, (char *)panel + done * tiles->columns * size);
  }
}

static weights_piece weights_piece_of(const weights_job *j, int64_t number) {
  weights_piece t = {.j = j, .row = number % j->chunks * j->chunk};
  t.rows = peri_min(j->chunk, j->m - t.row);
  number /= j->chunks;
  t.group = number % j->v->groups;
  t.from = number / j->v->groups * j->part;
  t.steps = peri_min(j->part, j->k - t.from);
  return t;
}

static peri_product weights_product(const weights_piece *t) {
  const weights_job *j = t->j;
  const int64_t matrix = (t->from / j->part * j->v->groups + t->group) * j->m * j->n;
  peri_product p = {.dtype = j->v->dtype, .m = t->rows, .n = j->n, .k = t->steps, .ldc = j->n, .part = j->part};
  p.c = j->results + (matrix + t->row * j->n) * (int64_t)j->p.element;
  p.a = (peri_operand){.gather = gather_rows, .source = t};
  p.b = (peri_operand){.gather = gather_gradients, .source = t};
  if (!j->turned) return p;
  p.m = j->n, p.n = t->rows, p.ldc = j->m;
  p.c = j->results + (matrix + t->row) * (int64_t)j->p.element;
  p.a.gather = gather_filters;
  p.b.gather = gather_columns;
  return p;
}

static void run_weights(void *arg, int64_t number) {
  const weights_job *j = arg;
  int64_t end = j->whole ? j->parts * j->v->groups * j->chunks : number + 1;
  for (; number < end && !peri_cancelled(j->context); number++) {
    weights_piece t = weights_piece_of(j, number);
    laid l = {.step = -1};
    t.laid = &l;
    t.room = j->scratch + (size_t)peri_worker() * j->scratch_bytes;
    peri_product p = weights_product(&t);
    peri_multiply_here(j->context, &p, t.room + j->product_at);
  }
}

/* Adds the parts of one row of the results, and writes it where its weights stand. */
static void add_parts(const weights_job *j, int64_t number) {
  const int64_t size = (int64_t)j->p.element, width = j->turned ? j->m : j->n;
  char *sum = j->results + number * width * size;
  for (int64_t part = 1; part < j->parts; part++) {
    const char *other = sum + part * j->v->groups * j->m * j->n * size;
    j->context->kernels->elementwise->binary[PERI_BINARY_add][j->v->dtype](width, sum, size, sum, size, other, size);
  }
  if (j->turned) {
    memcpy(j->gw + number * width * size, sum, (size_t)(width * size));
    return;
  }
  for (int64_t i = 0; i < j->n; i++)
    memcpy(j->gw + ((number / j->m * j->n + i) * j->m + number % j->m) * size, sum + i * size, (size_t)size);
}

static int64_t rows_of_results(const weights_job *j) { return j->v->groups * (j->turned ? j->n : j->m); }

static void add_all_parts(void *arg, int64_t number) {
  const weights_job *j = arg;
  int64_t rows = rows_of_results(j), end = j->whole ? rows : peri_min(rows, (number + 1) * PERI_LEAST_ROWS);
  for (int64_t row = number * PERI_LEAST_ROWS; row < end; row++) add_parts(j, row);
}

static void cut_weights(weights_job *j) {
  double work = (double)(j->v->groups * j->m * j->n) * (double)j->k;
  j->part = peri_part(j->k);
  j->parts = peri_ceil_div(j->k, j->part);
  j->whole = work < PERI_WHOLE_WORK;
  j->turned = j->m > j->n && j->n * 4 <= j->tiles->columns;
  int64_t pieces = j->parts * j->v->groups, most = j->m;
  double rows = PERI_PIECE_WORK / ((double)j->n * (double)j->part);
  if (rows < (double)most) most = peri_max(PERI_LEAST_ROWS, (int64_t)rows);
  if (pieces < PERI_ENOUGH && !j->whole) most = peri_min(most, peri_ceil_div(j->m, peri_ceil_div(PERI_ENOUGH, pieces)));
  j->chunk = peri_min(j->m, peri_round_up(most, j->tiles->rows));
  j->chunks = peri_ceil_div(j->m, j->chunk);
}

static peri_status run_weights_job(peri_context *context, weights_job *j) {
  int64_t rows = peri_min(MOST_ROWS, PERI_BLOCK / j->p.grid[1] + 2);
  int64_t channels = peri_min(j->p.channels / j->v->groups, (j->chunk - 1) / j->p.taps + 2);
  if (!peri_patches_countable(&j->p, rows, channels)) return peri_patches_too_large(context);
  j->channel_step = peri_channel_step(&j->p, rows);
  j->rows_at = j->p.in_place ? 0 : peri_lines((size_t)(j->channel_step * channels + 64) * j->p.element);
  j->product_at = j->rows_at;
  if (j->turned) j->product_at += peri_lines((size_t)(j->tiles->columns * PERI_A_PITCH) * j->p.element);
  j->scratch_bytes = 0;
  j->results = j->gw; /* until there is memory: some place */
  int64_t pieces = j->parts * j->v->groups * j->chunks;
  for (int which = 0; which < 4; which++) {
    weights_piece t = weights_piece_of(j, which % 2 == 0 ? 0 : pieces - 1);
    t.rows = which < 2 ? j->chunk : j->m - (j->chunks - 1) * j->chunk;
    peri_product p = weights_product(&t);
    size_t of_piece = j->product_at + peri_multiply_scratch(context, &p);
    if (of_piece > j->scratch_bytes) j->scratch_bytes = of_piece;
  }
  void *memory;
  size_t results = peri_lines((size_t)(j->parts * j->v->groups * j->m * j->n) * j->p.element);
  size_t bytes = results + (size_t)peri_min(peri_threads(context), pieces) * j->scratch_bytes;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j->results = memory;
  j->scratch = j->results + results;
  peri_status status = peri_parallel(context, j->whole ? 1 : pieces, run_weights, j);
  int64_t sums = j->whole ? 1 : peri_ceil_div(rows_of_results(j), PERI_LEAST_ROWS);
  if (status == PERI_OK) status = peri_parallel(context, sums, add_all_parts, j);
  peri_free(context, memory, bytes);
  return status;
}

peri_status peri_convolve_weight(peri_context *context, const peri_convolution *v, const void *x, const void *gy,
                                 void *gw) {
  void *taps;
  size_t bytes = (size_t)(2 * v->kernel[0] * v->kernel[1]) * sizeof(int64_t);
  size_t weights = (size_t)(v->out_channels * (v->in_channels / v->groups) * v->kernel[0] * v->kernel[1]);
  if (v->images == 0) {
    memset(gw, 0, weights * peri_dtype_size(v->dtype));
    return PERI_OK;
  }
  PERI_TRY(peri_alloc(context, bytes, &taps));
  weights_job j = {.p = peri_patches_of_x(v, x, taps), .v = v, .context = context, .gy = gy, .gw = gw};
  j.tiles = &context->kernels->tiles->of[v->dtype == PERI_FLOAT64];
  bool placed = peri_patches_place(&j.p, PERI_BLOCK);
  j.m = v->in_channels / v->groups * j.p.taps;
  j.n = v->out_channels / v->groups;
  j.k = v->images * v->out[0] * v->out[1];
  cut_weights(&j);
  peri_status status = placed ? run_weights_job(context, &j) : peri_patches_too_large(context);
  peri_free(context, taps, bytes);
  return status;
}
