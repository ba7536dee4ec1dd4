/* Convolutions as products of patches; see convolution.h. */
#include "product/convolution.h"

#include "product/product.h"

#define COLUMNS     512    /* of a piece: about so many patches */
#define DEEP        64     /* steps, from which writing results takes little */
#define COPIED      65536  /* elements of the gradient of x in a piece, about */
#define WHOLE_WORK  1.5e6  /* multiplications below which nothing is cut */
#define ENOUGH      16     /* pieces, for any team */
#define PIECE_WORK  64e6   /* multiplications of a piece */
#define LEAST_ROWS  96     /* of a piece, where many are cut: patches are packed for each */
#define MOST_COPIES 0x1p46 /* elements that a thread may have copied */

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
static size_t lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* ---- patches ----
 * The patches of an image stand in a grid, `step` elements apart, and are read at `taps`. Where zeros stand around the
 * image, or columns of the grid do not lie side by side, some rows of it are copied: with the zeros, and the columns of
 * each phase (position modulo the step) together. Then the patches of a row of the grid, at one tap, lie side by side.
 * Rows of the grid are counted through all images. */
typedef struct patches {
  const char *data; /* images x channels x size */
  size_t element;
  int64_t channels, size[2], grid[2], step[2];
  int64_t before[2]; /* zeros above and on the left; negative: columns that are left out */
  int64_t extent[2]; /* of a patch */
  int64_t taps;
  int64_t *down, *right; /* of each tap, in a patch */
  bool in_place;
  int64_t phase, pitch; /* of a copy: columns of a phase, of a row */
} patches;

/* `most`: columns of the grid that are copied at once. False: there are more places than can be counted. */
static bool place_patches(patches *p, int64_t most) {
  for (int d = 0; d < 2; d++) {
    if ((double)(p->grid[d] - 1) * (double)p->step[d] + (double)p->extent[d] > MOST_COPIES) return false;
  }
  int64_t width = (p->grid[1] - 1) * p->step[1] + p->extent[1], height = (p->grid[0] - 1) * p->step[0] + p->extent[0];
  p->in_place = p->step[1] == 1 && p->before[0] <= 0 && p->before[1] <= 0 && height - p->before[0] <= p->size[0] &&
                width - p->before[1] <= p->size[1];
  p->phase = peri_min(most, p->grid[1]) - 1 + ceil_div(p->extent[1], p->step[1]);
  p->pitch = p->in_place ? p->size[1] : p->phase * p->step[1];
  return true;
}

/* Some columns of the grid alone. */
static patches window(const patches *p, int64_t column, int64_t columns) {
  patches part = *p;
  part.grid[1] = columns;
  part.before[1] -= column * p->step[1];
  return part;
}

static int64_t tap_offset(const patches *p, int64_t tap) {
  int64_t right = p->right[tap];
  return p->down[tap] * p->pitch + right % p->step[1] * p->phase * !p->in_place + right / p->step[1];
}

/* Elements from one channel to the next where up to `rows` rows of the grid are copied at once. */
static int64_t channel_step(const patches *p, int64_t rows) {
  if (p->in_place) return p->size[0] * p->size[1];
  int64_t segments = peri_min(rows, rows / p->grid[0] + 2), gap = peri_max(0, p->extent[0] - p->step[0]);
  return round_up((rows * p->step[0] + segments * gap) * p->pitch, 32) + 16; /* in other sets of a cache */
}

/* Whether copies of that many channels can be counted. */
static bool is_countable(const patches *p, int64_t rows, int64_t channels) {
  double lines_of = (double)rows * ((double)p->step[0] + (double)p->extent[0]);
  return lines_of * (double)p->pitch * (double)channels < MOST_COPIES;
}

/* One row of an image with its columns in phases. */
static void copy_phases(const patches *p, const char *from, char *to) {
  const int64_t step = p->step[1];
  for (int64_t phase = 0; phase < step; phase++) {
    for (int64_t i = 0; i < p->phase; i++) {
      int64_t column = i * step + phase - p->before[1];
      char *element = to + (size_t)(phase * p->phase + i) * p->element;
      if (column < 0 || column >= p->size[1])
        memset(element, 0, p->element);
      else
        memcpy(element, from + (size_t)column * p->element, p->element);
    }
  }
}

/* `rows` rows of one channel from `top` on, where some may lie above or below. */
static void copy_rows(const patches *p, const peri_tile_kernels *tiles, const char *plane, int64_t top, int64_t rows,
                      char *to) {
  const int64_t size = (int64_t)p->element;
  int64_t first = peri_min(rows, peri_max(0, -top)), end = peri_max(first, peri_min(rows, p->size[0] - top));
  int64_t left = peri_min(p->pitch, peri_max(0, p->before[1])), skipped = peri_max(0, -p->before[1]);
  int64_t columns = peri_max(0, peri_min(p->pitch - left, p->size[1] - skipped));
  tiles->pad(first, 0, 0, p->pitch, to, 0, to, p->pitch);
  const char *from = plane + ((top + first) * p->size[1] + skipped) * size;
  char *body = to + first * p->pitch * size;
  if (p->step[1] == 1) {
    tiles->pad(end - first, left, columns, p->pitch - left - columns, from, p->size[1], body, p->pitch);
  } else {
    for (int64_t r = 0; r < end - first; r++)
      copy_phases(p, plane + (top + first + r) * p->size[1] * size, body + r * p->pitch * size);
  }
  tiles->pad(rows - end, 0, 0, p->pitch, to, 0, to + end * p->pitch * size, p->pitch);
}

/* Asks for rows of the plane that is copied next: where it begins, the processor does not foresee. */
static void fetch(const patches *p, const char *plane, int64_t top, int64_t rows) {
  const int64_t row = p->size[1] * (int64_t)p->element;
  int64_t from = peri_max(0, top) * row, end = peri_min(p->size[0], top + rows) * row;
  for (int64_t at = from; at < end; at += 64) __builtin_prefetch(plane + at);
}

/* Rows of the grid from .. end - 1 in some channels: returns where the first of these begins, and `base` has for each
 * row where its patches do from there. */
static const char *lay(const patches *p, const peri_tile_kernels *tiles, int64_t from, int64_t end, int64_t channel,
                       int64_t count, int64_t channel_step, char *room, int64_t *base) {
  const int64_t plane = p->size[0] * p->size[1], size = (int64_t)p->element;
  int64_t copied = 0;
  for (int64_t row = from; row < end;) {
    int64_t image = row / p->grid[0], y = row % p->grid[0], n = peri_min(end - row, p->grid[0] - y);
    int64_t top = y * p->step[0] - p->before[0], rows = (n - 1) * p->step[0] + p->extent[0];
    int64_t at = p->in_place ? image * p->channels * plane + top * p->pitch - p->before[1] : copied * p->pitch;
    for (int64_t i = 0; i < n; i++) base[row + i - from] = at + i * p->step[0] * p->pitch;
    for (int64_t c = 0; c < count && !p->in_place; c++) {
      const char *image_plane = p->data + (image * p->channels + channel + c) * plane * size;
      fetch(p, image_plane + plane * size, top, rows);
      copy_rows(p, tiles, image_plane, top, rows, room + (c * channel_step + at) * size);
    }
    copied += rows;
    row += n;
  }
  return p->in_place ? p->data + channel * plane * size : room;
}

/* `count` patches from number `first` of the rows that `base` tells of, as runs. */
static int64_t find_runs(const int64_t *base, int64_t width, int64_t first, int64_t count, peri_patch_run *run) {
  int64_t n = 0, row = first / width, x = first % width;
  for (int64_t at = 0; at < count; row++, x = 0) {
    int64_t from = base[row] + x, length = peri_min(width - x, count - at);
    if (n > 0 && run[n - 1].from + run[n - 1].count == from)
      run[n - 1].count += length;
    else
      run[n++] = (peri_patch_run){from, at, length};
    at += length;
  }
  return n;
}

static peri_status too_large(peri_context *context) {
  return peri_fail_memory(context, "the padded images are too large to be copied");
}

/* `count` results of one channel to places `apart`; to may be from. */
static void end_run(const peri_context *context, peri_dtype dtype, const peri_convolution_end *end, int64_t channel,
                    int64_t count, const char *from, char *to, int64_t apart) {
  const peri_elementwise_kernels *loops = context->kernels->elementwise;
  const int64_t size = dtype == PERI_FLOAT64 ? sizeof(double) : sizeof(float);
  if (end->bias != NULL)
    loops->binary[PERI_BINARY_add][dtype](count, to, apart * size, from, size, (const char *)end->bias + channel * size,
                                          0);
  else if (from != to)
    loops->convert[dtype][dtype](count, to, apart * size, from, size);
  if (end->activation != NULL) end->activation(count, to, apart * size, to, apart * size);
}

/* ---- products of weights and patches ---- */

/* Weights (groups x m x k) times patches, whose results are rows of planes. */
typedef struct job {
  patches p;
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
  patches p;
  const char *data; /* where they begin, and their rows */
  int64_t *base;
  char *results; /* where they do not go to their place at once */
} piece;

static void gather_patches(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count,
                           int64_t from, int64_t steps, void *panel) {
  const piece *t = source;
  peri_patch_run run[64];
  int64_t runs = find_runs(t->base, t->p.grid[1], first, count, run);
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
      end_run(j->context, j->dtype, &j->end, channel, length, row + done * size, result_at(j, image, channel, 0, pixel),
              1);
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
    end_run(t->j->context, t->j->dtype, &t->j->end, t->group * t->j->m + t->i + i + r, columns, row, row, 1);
  }
}

static void cut(job *j) {
  const int64_t height = j->p.grid[0], width = j->p.grid[1];
  double work = (double)(j->images * height * width) * (double)(j->groups * j->m) * (double)j->k;
  j->whole = work < WHOLE_WORK;
  j->spans = ceil_div(width, COLUMNS);
  j->span = ceil_div(width, j->spans);
  const bool deep = j->k > DEEP;
  const int64_t columns = deep && j->m <= LEAST_ROWS ? 2 * COLUMNS : COLUMNS;
  j->bands = peri_min(height, ceil_div(height * width, columns));
  j->rows = j->bands > 1 ? ceil_div(height, j->bands)
                         : height * peri_min(j->images, peri_max(1, COLUMNS / 2 / (height * width)));
  j->bands = ceil_div(height, j->rows);
  int64_t pieces = j->groups * j->spans * (j->bands > 1 ? j->images * j->bands : ceil_div(j->images * height, j->rows));
  double rows = PIECE_WORK / (double)(j->rows * j->span) / (double)peri_max(1, j->k);
  int64_t most = rows < LEAST_ROWS ? LEAST_ROWS : rows < (double)j->m ? (int64_t)rows : j->m;
  if (pieces < ENOUGH && !j->whole) most = peri_min(most, ceil_div(j->m, ceil_div(ENOUGH, pieces)));
  j->chunk = peri_min(j->m, round_up(most, j->tiles->rows));
  j->chunks = ceil_div(j->m, j->chunk);
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
  t.p = window(&j->p, t.column, peri_min(j->span, j->p.grid[1] - t.column));
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
  t.data = lay(&t.p, j->tiles, t.from, t.end, t.group * channels, channels, j->channel_step, scratch, t.base);
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
  j->channel_step = channel_step(&j->p, j->rows);
  j->base_at = j->p.in_place ? 0 : lines((size_t)(j->channel_step * channels + 64) * j->p.element);
  j->results_at = j->base_at + lines((size_t)j->rows * sizeof(int64_t));
  j->ldc = round_up(j->rows * j->span, 32) + 16; /* in other sets of a cache */
  j->product_at = j->results_at + (j->direct ? 0 : lines((size_t)(j->chunk * j->ldc) * j->p.element));
  j->scratch_bytes = j->product_at + product_scratch(j);
}

/* The fields down to the cutting are set. */
static peri_status run_job(peri_context *context, job *j) {
  void *memory;
  j->context = context;
  j->tiles = &context->kernels->tiles->of[j->dtype == PERI_FLOAT64];
  cut(j);
  if (!place_patches(&j->p, j->span) || !is_countable(&j->p, j->rows, j->p.channels / j->groups))
    return too_large(context);
  lay_out(j);
  size_t offsets = lines((size_t)j->k * sizeof(int64_t)), threads = (size_t)peri_min(peri_threads(context), j->pieces);
  size_t bytes = offsets + threads * j->scratch_bytes;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j->offsets = memory;
  j->scratch = (char *)memory + offsets;
  for (int64_t i = 0; i < j->k; i++) j->offsets[i] = i / j->p.taps * j->channel_step + tap_offset(&j->p, i % j->p.taps);
  peri_status status = peri_parallel(context, j->whole ? 1 : j->pieces, run_pieces, j);
  peri_free(context, memory, bytes);
  return status;
}

/* ---- y ---- */

static size_t element_size(peri_dtype dtype) { return dtype == PERI_FLOAT64 ? sizeof(double) : sizeof(float); }

/* The patches of x; taps has room for two numbers of each tap. */
static patches patches_of_x(const peri_convolution *v, const void *x, int64_t *taps) {
  patches p = {.data = x, .element = element_size(v->dtype), .channels = v->in_channels};
  p.taps = v->kernel[0] * v->kernel[1];
  p.down = taps;
  p.right = taps + p.taps;
  for (int d = 0; d < 2; d++) {
    p.size[d] = v->in[d];
    p.grid[d] = v->out[d];
    p.step[d] = v->out[d] > 1 ? v->stride[d] : 1;
    p.before[d] = v->padding[d];
    p.extent[d] = (v->kernel[d] - 1) * v->dilation[d] + 1;
  }
  for (int64_t t = 0; t < p.taps; t++) {
    p.down[t] = t / v->kernel[1] * v->dilation[0];
    p.right[t] = t % v->kernel[1] * v->dilation[1];
  }
  return p;
}

peri_status peri_convolve(peri_context *context, const peri_convolution *v, const void *x, const void *weight,
                          const peri_convolution_end *end, void *y) {
  void *taps;
  size_t bytes = (size_t)(2 * v->kernel[0] * v->kernel[1]) * sizeof(int64_t);
  PERI_TRY(peri_alloc(context, bytes, &taps));
  job j = {.p = patches_of_x(v, x, taps), .dtype = v->dtype, .images = v->images, .groups = v->groups};
  j.m = v->out_channels / v->groups;
  j.k = v->in_channels / v->groups * j.p.taps;
  j.weights = weight;
  if (end != NULL) j.end = *end;
  j.y = y;
  peri_status status = v->images == 0 ? PERI_OK : run_job(context, &j);
  peri_free(context, taps, bytes);
  return status;
}

/* ---- the gradient of x ----
 * Weights turned (C / groups KH KW) x (M / groups) times a plane of gy: row (c, kh, kw) is what that tap adds to
 * channel c, at the place of the tap in each patch. Rows are added in order, as they are computed, to a copy of some
 * channels of the result with all that surrounds it, laid out as copies of patches are; then what belongs to the image
 * is taken from there. A piece is some channels of some images or of a window of one: the elements of gy that reach
 * into more than one window are multiplied for each of them. */

typedef struct back_job {
  patches p;  /* of gx */
  patches gy; /* of one tap */
  const peri_convolution *v;
  const peri_context *context;
  const peri_tile_kernels *tiles;
  const char *weight;
  peri_convolution_end end;
  char *gx;
  int64_t images, window[2], windows[2]; /* of a piece: several images, or a window of one */
  int64_t chunk, chunks;                 /* channels */
  int64_t pieces;
  bool whole;
  int64_t rows, channel_step; /* of a copy: of an image, of all images */
  int64_t *offsets;           /* of each row of a product */
  char *scratch;
  size_t base_at, run_at, product_at,
      scratch_bytes; /* a thread's: a copy, places and runs of gy's rows, the product's */
} back_job;

typedef struct back_piece {
  const back_job *j;
  int64_t group, channel, channels, image, images;
  int64_t low[2], high[2];    /* of gx */
  int64_t first[2], count[2]; /* the elements of gy that reach it */
  int64_t origin[2];          /* the padded place where a copy begins */
  patches gy;
  const char *data;
  char *copy;
  int64_t *base;
  peri_patch_run *run; /* of each row of gy */
} back_piece;

static void gather_plane(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count, int64_t from,
                         int64_t steps, void *panel) {
  const back_piece *t = source;
  const int64_t plane = t->gy.size[0] * t->gy.size[1];
  peri_patch_run run[64];
  int64_t offsets[PERI_BLOCK];
  for (int64_t i = 0; i < steps; i++) offsets[i] = (from + i) * plane;
  tiles->patches(find_runs(t->base, t->gy.grid[1], first, count, run), run, steps, offsets, t->data, panel);
}

static void add_strip(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t at, int64_t columns, void *c,
                      int64_t ldc) {
  const back_piece *t = state;
  (void)batch, (void)at, (void)columns;
  t->j->tiles->add_patches(t->images * t->count[0], t->count[1], t->run, rows, t->j->offsets + i, c, ldc, t->copy);
}

static int64_t back_cuts(const back_job *j) {
  return j->windows[0] * j->windows[1] > 1 ? j->v->images * j->windows[0] * j->windows[1]
                                           : ceil_div(j->v->images, j->images);
}

/* What a window takes: the elements of gy that reach it, and as many rows and columns as these have patches. */
static void back_cut(back_job *j) {
  const patches *p = &j->p;
  const int64_t channels = j->v->in_channels / j->v->groups, k = j->v->out_channels / j->v->groups;
  const int64_t most = PERI_BLOCK * COLUMNS / peri_max(PERI_BLOCK / 4, peri_min(PERI_BLOCK, k));
  const int64_t plane = p->grid[0] * p->grid[1];
  for (int d = 0; d < 2; d++) j->window[d] = p->size[d];
  if (plane > most) {
    int64_t width = peri_min(p->grid[1], COLUMNS / 2), halo = (p->extent[0] - 1) / p->step[0];
    int64_t height = peri_max(1, peri_max(most / width, 4 * halo));
    int64_t rows = peri_min(height * p->step[0], COPIED / (width * p->step[1]));
    j->window[0] = peri_min(p->size[0], peri_max(p->step[0], rows));
    if (width < p->grid[1]) j->window[1] = peri_min(p->size[1], width * p->step[1]);
  }
  for (int d = 0; d < 2; d++) j->windows[d] = ceil_div(p->size[d], j->window[d]);
  j->images = j->windows[0] * j->windows[1] > 1 ? 1 : peri_min(j->v->images, peri_max(1, COLUMNS / plane));
  double work = (double)(j->v->images * plane) * (double)(channels * j->v->groups * p->taps) * (double)k;
  j->whole = work < WHOLE_WORK;
  int64_t cuts = back_cuts(j) * j->v->groups;
  int64_t rows = PERI_TILE_ROWS * 4 / p->taps + 1; /* at least as many channels */
  double elements = (double)j->images * (double)j->window[0] * (double)j->window[1];
  double room = (double)COPIED / elements, work_room = 4 * PIECE_WORK / ((double)(p->taps * k) * elements);
  if (work_room < room) room = work_room;
  j->chunk = peri_min(channels, peri_max(rows, room < (double)channels ? (int64_t)room : channels));
  if (cuts < ENOUGH && !j->whole) j->chunk = peri_min(j->chunk, peri_max(1, channels * cuts / ENOUGH));
  j->chunks = ceil_div(channels, j->chunk);
  j->pieces = cuts * j->chunks;
}

static back_piece back_piece_of(const back_job *j, int64_t number) {
  const patches *p = &j->p;
  back_piece t = {.j = j, .channel = number % j->chunks * j->chunk, .images = 1};
  t.channels = peri_min(j->chunk, j->v->in_channels / j->v->groups - t.channel);
  number /= j->chunks;
  t.group = number % j->v->groups;
  number /= j->v->groups;
  int64_t windows = j->windows[0] * j->windows[1];
  t.image = windows > 1 ? number / windows : number * j->images;
  if (windows == 1) t.images = peri_min(j->images, j->v->images - t.image);
  int64_t place[2] = {number % windows / j->windows[1], number % j->windows[1]};
  for (int d = 0; d < 2; d++) {
    t.low[d] = place[d] * j->window[d];
    t.high[d] = peri_min(p->size[d], t.low[d] + j->window[d]);
    int64_t from = t.low[d] + p->before[d], to = t.high[d] - 1 + p->before[d]; /* in the padded image */
    int64_t first = -floor_div(p->extent[d] - 1 - from, p->step[d]), last = floor_div(to, p->step[d]);
    t.first[d] = peri_max(0, first);
    t.count[d] = peri_max(0, peri_min(p->grid[d] - 1, last) - t.first[d] + 1);
    t.origin[d] = peri_min(peri_max(0, first), floor_div(from, p->step[d])) * p->step[d];
  }
  return t;
}

static peri_product back_product(const back_piece *t) {
  const back_job *j = t->j;
  const int64_t k = j->v->out_channels / j->v->groups, m = j->v->in_channels / j->v->groups * j->p.taps;
  peri_product p = {.dtype = j->v->dtype, .m = t->channels * j->p.taps, .k = k};
  p.n = t->images * t->count[0] * t->count[1];
  p.a = (peri_operand){.along = 1, .step = m};
  p.a.data = j->weight + (t->group * k * m + t->channel * j->p.taps) * (int64_t)j->p.element;
  p.b = (peri_operand){.gather = gather_plane, .source = t};
  p.finish = add_strip;
  p.state = t;
  return p;
}

/* Rows of one channel of an image from those of the copy, a phase of columns at a time. */
static void take_channel(const back_piece *t, int64_t channel, const char *from, char *to) {
  const back_job *j = t->j;
  const patches *p = &j->p;
  const int64_t step = p->step[1], size = (int64_t)p->element, columns = t->high[1] - t->low[1];
  for (int64_t i = 0; i < peri_min(step, columns); i++) {
    int64_t place = t->low[1] + i + p->before[1] - t->origin[1], count = ceil_div(columns - i, step);
    const char *phase = from + (place % step * p->phase + place / step) * size;
    for (int64_t y = 0; y < t->high[0] - t->low[0]; y++) {
      end_run(j->context, j->v->dtype, &j->end, channel, count, phase + y * p->pitch * size,
              to + (y * p->size[1] + i) * size, step);
    }
  }
}

static void take_images(const back_piece *t) {
  const back_job *j = t->j;
  const patches *p = &j->p;
  const int64_t size = (int64_t)p->element, all = j->v->in_channels, row = t->low[0] + p->before[0] - t->origin[0];
  for (int64_t c = 0; c < t->channels; c++) {
    int64_t channel = t->group * (all / j->v->groups) + t->channel + c;
    for (int64_t n = 0; n < t->images; n++) {
      int64_t to = (((t->image + n) * all + channel) * p->size[0] + t->low[0]) * p->size[1] + t->low[1];
      const char *from = t->copy + (c * j->channel_step + (n * j->rows + row) * p->pitch) * size;
      take_channel(t, channel, from, j->gx + to * size);
    }
  }
}

/* Where each row of gy lies, and its patches in the copy. */
static void find_rows(back_piece *t) {
  const patches *p = &t->j->p;
  for (int64_t n = 0; n < t->images; n++) {
    for (int64_t y = 0; y < t->count[0]; y++) {
      int64_t i = n * t->count[0] + y, row = n * t->j->rows + (t->first[0] + y) * p->step[0] - t->origin[0];
      int64_t in = (t->image + n) * t->gy.channels * t->gy.size[0] * t->gy.size[1];
      t->base[i] = in + (t->first[0] + y) * t->gy.size[1] + t->first[1];
      t->run[i] =
          (peri_patch_run){row * p->pitch + t->first[1] - t->origin[1] / p->step[1], i * t->count[1], t->count[1]};
    }
  }
}

static void run_back_piece(const back_job *j, int64_t number) {
  back_piece t = back_piece_of(j, number);
  char *scratch = j->scratch + (size_t)peri_worker() * j->scratch_bytes;
  int64_t channels = j->v->out_channels / j->v->groups;
  t.copy = scratch;
  t.base = (int64_t *)(void *)(scratch + j->base_at);
  t.run = (peri_patch_run *)(void *)(scratch + j->run_at);
  t.gy = window(&j->gy, 0, t.count[1]);
  t.data = j->gy.data + t.group * channels * t.gy.size[0] * t.gy.size[1] * (int64_t)j->p.element;
  memset(t.copy, 0, (size_t)(t.channels * j->channel_step) * j->p.element);
  find_rows(&t);
  peri_product p = back_product(&t);
  peri_multiply_here(j->context, &p, scratch + j->product_at);
  take_images(&t);
}

static void run_back_pieces(void *arg, int64_t number) {
  const back_job *j = arg;
  if (!j->whole) run_back_piece(j, number);
  for (int64_t i = 0; i < j->pieces && j->whole && !peri_cancelled(j->context); i++) run_back_piece(j, i);
}

/* The layout of a copy, and a thread's memory. False: more than can be counted. */
static bool lay_out_back(back_job *j) {
  patches *p = &j->p;
  double size[2];
  for (int d = 0; d < 2; d++) { /* what is reached from a window, but no more than from all of gy */
    double reached = (double)j->window[d] + 2 * (double)p->extent[d];
    double all = (double)(p->grid[d] - 1) * (double)p->step[d] + (double)p->extent[d];
    double image = (double)p->before[d] + (double)p->size[d];
    size[d] = (all > image ? all : image) + (double)p->step[d];
    if (reached + (double)p->step[d] < size[d]) size[d] = reached + (double)p->step[d];
  }
  if (size[0] * (size[1] + (double)p->step[1]) * (double)j->images * (double)j->chunk > MOST_COPIES) return false;
  p->in_place = false;
  p->phase = ceil_div((int64_t)size[1], p->step[1]);
  p->pitch = p->phase * p->step[1];
  j->rows = (int64_t)size[0];
  j->channel_step = round_up(j->images * j->rows * p->pitch, 32) + 16;
  int64_t reached = j->images * peri_min(p->grid[0], (j->window[0] + p->extent[0]) / p->step[0] + 2);
  j->base_at = lines((size_t)(j->channel_step * j->chunk + 64) * p->element);
  j->run_at = j->base_at + lines((size_t)reached * sizeof(int64_t));
  j->product_at = j->run_at + lines((size_t)reached * sizeof(peri_patch_run));
  peri_product most = {.dtype = j->v->dtype, .m = j->chunk * p->taps, .k = j->v->out_channels / j->v->groups};
  most.n = reached * peri_min(p->grid[1], (j->window[1] + p->extent[1]) / p->step[1] + 2);
  most.b.gather = gather_plane;
  j->scratch_bytes = j->product_at + peri_multiply_scratch(j->context, &most);
  return true;
}

static peri_status run_back_job(peri_context *context, back_job *j) {
  void *memory;
  back_cut(j);
  if (!lay_out_back(j)) return too_large(context);
  int64_t rows = j->chunk * j->p.taps;
  size_t offsets = lines((size_t)rows * sizeof(int64_t)), threads = (size_t)peri_min(peri_threads(context), j->pieces);
  size_t bytes = offsets + threads * j->scratch_bytes;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j->offsets = memory;
  j->scratch = (char *)memory + offsets;
  for (int64_t i = 0; i < rows; i++) j->offsets[i] = i / j->p.taps * j->channel_step + tap_offset(&j->p, i % j->p.taps);
  peri_status status = peri_parallel(context, j->whole ? 1 : j->pieces, run_back_pieces, j);
  peri_free(context, memory, bytes);
  return status;
}

peri_status peri_convolve_input(peri_context *context, const peri_convolution *v, const void *gy, const void *weight,
                                const peri_convolution_end *end, void *gx) {
  void *taps;
  size_t bytes = (size_t)(2 * v->kernel[0] * v->kernel[1]) * sizeof(int64_t);
  PERI_TRY(peri_alloc(context, bytes, &taps));
  back_job j = {.p = patches_of_x(v, NULL, taps), .v = v, .context = context, .weight = weight, .gx = gx};
  j.gy = (patches){.data = gy, .channels = v->out_channels, .size = {v->out[0], v->out[1]}, .step = {1, 1}};
  j.tiles = &context->kernels->tiles->of[v->dtype == PERI_FLOAT64];
  if (end != NULL) j.end = *end;
  peri_status status = v->images == 0 ? PERI_OK : run_back_job(context, &j);
  peri_free(context, taps, bytes);
  return status;
}

/* ---- the gradient of the weights ----
 * (C / groups KH KW) x (M / groups) of a group, whose steps are the elements of a plane of y through all images. Each
 * part of the steps, and of the rows, is a piece: it has a matrix of its own, and they are added in order. */

typedef struct weights_job {
  patches p;
  const peri_convolution *v;
  const peri_context *context;
  const peri_tile_kernels *tiles;
  const char *gy;
  char *gw;
  int64_t m, n, k, part, parts;
  int64_t chunk, chunks; /* of rows */
  bool whole;
  int64_t channel_step;
  char *results; /* parts x groups x m x n */
  char *scratch;
  size_t product_at, scratch_bytes;
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
static const char *lay_channels(const weights_piece *t, const patches *p, int64_t first, int64_t end, int64_t row,
                                int64_t at, int64_t steps, laid *l) {
  const weights_job *j = t->j;
  const int64_t step = row * j->p.grid[1] + at, rows = (at + steps - 1) / p->grid[1] + 1;
  const int64_t begin = t->group * (p->channels / j->v->groups), size = (int64_t)p->element;
  if (l->step != step || first < l->first || first > l->end) l->first = l->end = first;
  const char *data = t->room;
  if (l->end < end || p->in_place) {
    int64_t from = p->in_place ? l->first : l->end;
    data = lay(p, j->tiles, row, row + rows, begin + from, peri_max(end, from) - from, j->channel_step,
               t->room + (from - l->first) * j->channel_step * size, l->base);
    data -= (from - l->first) * j->channel_step * size;
  }
  l->step = step;
  l->end = peri_max(l->end, end);
  return data + (first - l->first) * j->channel_step * size;
}

/* Steps that touch rows of the grid as wide as p's. */
static void gather_window(const weights_piece *t, const patches *p, int64_t first, int64_t count, int64_t row,
                          int64_t at, int64_t steps, laid *l, char *panel) {
  int64_t offsets[PERI_TILE_ROWS], channel = first / p->taps, end = (first + count - 1) / p->taps + 1;
  peri_patch_run run[PERI_BLOCK];
  const char *data = lay_channels(t, p, channel, end, row, at, steps, l);
  for (int64_t r = 0; r < count; r++) {
    int64_t tap = (first + r) % p->taps;
    offsets[r] = ((first + r) / p->taps - channel) * t->j->channel_step + tap_offset(p, tap);
  }
  t->j->tiles->patch_rows(find_runs(l->base, p->grid[1], at, steps, run), run, count, offsets, data, panel);
}

static void gather_rows(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count, int64_t from,
                        int64_t steps, void *panel) {
  const weights_piece *t = source;
  const patches *p = &t->j->p;
  int64_t width = p->grid[1], step = t->from + from;
  (void)tiles;
  if (width <= PERI_BLOCK) {
    gather_window(t, p, t->row + first, count, step / width, step % width, steps, t->laid, panel);
    return;
  }
  for (int64_t done = 0; done < steps;) {
    int64_t row = (step + done) / width, column = (step + done) % width,
            length = peri_min(steps - done, width - column);
    patches part = window(p, column, length);
    t->laid->step = -1; /* what lies there is of other columns */
    gather_window(t, &part, t->row + first, count, row, 0, length, t->laid, (char *)panel + done * (int64_t)p->element);
    done += length;
  }
}

/* Channels of gy, along their planes. */
static void gather_gradients(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count,
                             int64_t from, int64_t steps, void *panel) {
  const weights_piece *t = source;
  const weights_job *j = t->j;
  const int64_t plane = j->p.grid[0] * j->p.grid[1], size = (int64_t)j->p.element;
  const void *vectors[64];
  for (int64_t done = 0; done < steps;) {
    int64_t step = t->from + from + done, image = step / plane, at = step % plane;
    int64_t length = peri_min(steps - done, plane - at);
    int64_t channel = image * j->v->out_channels + t->group * j->n + first;
    for (int64_t i = 0; i < count; i++) vectors[i] = j->gy + ((channel + i) * plane + at) * size;
    tiles->turn(count, length, vectors, (char *)panel + done * tiles->columns * size);
    done += length;
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
  int64_t at = ((t->from / j->part * j->v->groups + t->group) * j->m + t->row) * j->n;
  return (peri_product){.dtype = j->v->dtype,
                        .m = t->rows,
                        .n = j->n,
                        .k = t->steps,
                        .a = {.gather = gather_rows, .source = t},
                        .b = {.gather = gather_gradients, .source = t},
                        .c = j->results + at * (int64_t)j->p.element,
                        .ldc = j->n,
                        .part = j->part};
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

/* Adds the parts of one row, and writes it where its weights stand. */
static void add_parts(const weights_job *j, int64_t number) {
  const int64_t size = (int64_t)j->p.element, group = number / j->m, row = number % j->m;
  char *sum = j->results + number * j->n * size;
  for (int64_t part = 1; part < j->parts; part++) {
    const char *other = sum + part * j->v->groups * j->m * j->n * size;
    j->context->kernels->elementwise->binary[PERI_BINARY_add][j->v->dtype](j->n, sum, size, sum, size, other, size);
  }
  for (int64_t i = 0; i < j->n; i++)
    memcpy(j->gw + ((group * j->n + i) * j->m + row) * size, sum + i * size, (size_t)size);
}

static void add_all_parts(void *arg, int64_t number) {
  const weights_job *j = arg;
  int64_t rows = j->v->groups * j->m, end = j->whole ? rows : peri_min(rows, (number + 1) * LEAST_ROWS);
  for (int64_t row = number * LEAST_ROWS; row < end; row++) add_parts(j, row);
}

static void cut_weights(weights_job *j) {
  double work = (double)(j->v->groups * j->m * j->n) * (double)j->k;
  j->part = peri_part(j->k);
  j->parts = ceil_div(j->k, j->part);
  j->whole = work < WHOLE_WORK;
  int64_t pieces = j->parts * j->v->groups, most = j->m;
  double rows = PIECE_WORK / ((double)j->n * (double)j->part);
  if (rows < (double)most) most = peri_max(LEAST_ROWS, (int64_t)rows);
  if (pieces < ENOUGH && !j->whole) most = peri_min(most, ceil_div(j->m, ceil_div(ENOUGH, pieces)));
  j->chunk = peri_min(j->m, round_up(most, j->tiles->rows));
  j->chunks = ceil_div(j->m, j->chunk);
}

static peri_status run_weights_job(peri_context *context, weights_job *j) {
  int64_t rows = peri_min(MOST_ROWS, PERI_BLOCK / j->p.grid[1] + 2);
  int64_t channels = peri_min(j->p.channels / j->v->groups, (j->chunk - 1) / j->p.taps + 2);
  if (!is_countable(&j->p, rows, channels)) return too_large(context);
  j->channel_step = channel_step(&j->p, rows);
  j->product_at = j->p.in_place ? 0 : lines((size_t)(j->channel_step * channels + 64) * j->p.element);
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
  size_t results = lines((size_t)(j->parts * j->v->groups * j->m * j->n) * j->p.element);
  size_t bytes = results + (size_t)peri_min(peri_threads(context), pieces) * j->scratch_bytes;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j->results = memory;
  j->scratch = j->results + results;
  peri_status status = peri_parallel(context, j->whole ? 1 : pieces, run_weights, j);
  int64_t sums = j->whole ? 1 : ceil_div(j->v->groups * j->m, LEAST_ROWS);
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
    memset(gw, 0, weights * element_size(v->dtype));
    return PERI_OK;
  }
  PERI_TRY(peri_alloc(context, bytes, &taps));
  weights_job j = {.p = patches_of_x(v, x, taps), .v = v, .context = context, .gy = gy, .gw = gw};
  j.tiles = &context->kernels->tiles->of[v->dtype == PERI_FLOAT64];
  bool placed = place_patches(&j.p, PERI_BLOCK);
  j.m = v->in_channels / v->groups * j.p.taps;
  j.n = v->out_channels / v->groups;
  j.k = v->images * v->out[0] * v->out[1];
  cut_weights(&j);
  peri_status status = placed ? run_weights_job(context, &j) : too_large(context);
  peri_free(context, taps, bytes);
  return status;
}
