/* The gradient of the input of a convolution; see convolution.h. */
#include "product/patches.h"
#include "product/product.h"

#define COPIED 65536 /* elements of the result in a piece, about; to measure: ./dev bench product conv */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Weights turned (C / groups KH KW) x (M / groups) times a plane of gy: row (c, kh, kw) is what that tap adds to
 * channel c, at the place of the tap in each patch. Rows are added in order, as they are computed, to a copy of some
 * channels of the result with all that surrounds it, laid out as copies of patches are; then what belongs to the image
 * is taken from there. A piece is some channels of some images or of a window of one: the elements of gy that reach
 * into more than one window are multiplied for each of them. */

typedef struct back_job {
  peri_patches p;  /* of gx */
  peri_patches gy; /* of one tap */
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
  peri_patches gy;
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
  tiles->patches(peri_find_runs(t->base, t->gy.grid[1], first, count, run), run, steps, offsets, t->data, panel);
}

static void add_strip(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t at, int64_t columns, void *c,
                      int64_t ldc) {
  const back_piece *t = state;
  (void)batch, (void)at, (void)columns;
  t->j->tiles->add_patches(t->images * t->count[0], t->count[1], t->run, rows, t->j->offsets + i, c, ldc, t->copy);
}

static int64_t back_cuts(const back_job *j) {
  return j->windows[0] * j->windows[1] > 1 ? j->v->images * j->windows[0] * j->windows[1]
                                           : peri_ceil_div(j->v->images, j->images);
}

/* What a window takes: the elements of gy that reach it, and as many rows and columns as these have patches. */
static void back_cut(back_job *j) {
  const peri_patches *p = &j->p;
  const int64_t channels = j->v->in_channels / j->v->groups, k = j->v->out_channels / j->v->groups;
  const int64_t most = PERI_BLOCK * PERI_PATCHES / peri_max(PERI_BLOCK / 4, peri_min(PERI_BLOCK, k));
  const int64_t plane = p->grid[0] * p->grid[1];
  for (int d = 0; d < 2; d++) j->window[d] = p->size[d];
  if (plane > most) {
    int64_t width = peri_min(p->grid[1], PERI_PATCHES / 2), halo = (p->extent[0] - 1) / p->step[0];
    int64_t height = peri_max(1, peri_max(most / width, 4 * halo));
    int64_t rows = peri_min(height * p->step[0], COPIED / (width * p->step[1]));
    j->window[0] = peri_min(p->size[0], peri_max(p->step[0], rows));
    if (width < p->grid[1]) j->window[1] = peri_min(p->size[1], width * p->step[1]);
  }
  for (int d = 0; d < 2; d++) j->windows[d] = peri_ceil_div(p->size[d], j->window[d]);
  j->images = j->windows[0] * j->windows[1] > 1 ? 1 : peri_min(j->v->images, peri_max(1, PERI_PATCHES / plane));
  double work = (double)(j->v->images * plane) * (double)(channels * j->v->groups * p->taps) * (double)k;
  j->whole = work < PERI_WHOLE_WORK;
  int64_t cuts = back_cuts(j) * j->v->groups;
  int64_t rows = PERI_TILE_ROWS * 4 / p->taps + 1; /* at least as many channels */
  double elements = (double)j->images * (double)j->window[0] * (double)j->window[1];
  double room = (double)COPIED / elements, work_room = 4 * PERI_PIECE_WORK / ((double)(p->taps * k) * elements);
  if (work_room < room) room = work_room;
  j->chunk = peri_min(channels, peri_max(rows, room < (double)channels ? (int64_t)room : channels));
  if (cuts < PERI_ENOUGH && !j->whole) j->chunk = peri_min(j->chunk, peri_max(1, channels * cuts / PERI_ENOUGH));
  j->chunks = peri_ceil_div(channels, j->chunk);
  j->pieces = cuts * j->chunks;
}

static back_piece back_piece_of(const back_job *j, int64_t number) {
  const peri_patches *p = &j->p;
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
  const peri_patches *p = &j->p;
  const int64_t step = p->step[1], size = (int64_t)p->element, columns = t->high[1] - t->low[1];
  for (int64_t i = 0; i < peri_min(step, columns); i++) {
    int64_t place = t->low[1] + i + p->before[1] - t->origin[1], count = peri_ceil_div(columns - i, step);
    const char *phase = from + (place % step * p->phase + place / step) * size;
    for (int64_t y = 0; y < t->high[0] - t->low[0]; y++) {
      peri_convolution_end_run(j->context, j->v->dtype, &j->end, channel, count, phase + y * p->pitch * size,
                               to + (y * p->size[1] + i) * size, step);
    }
  }
}

static void take_images(const back_piece *t) {
  const back_job *j = t->j;
  const peri_patches *p = &j->p;
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
  const peri_patches *p = &t->j->p;
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
  t.gy = peri_patches_window(&j->gy, 0, t.count[1]);
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
  peri_patches *p = &j->p;
  double size[2];
  for (int d = 0; d < 2; d++) { /* what is reached from a window, but no more than from all of gy */
    double reached = (double)j->window[d] + 2 * (double)p->extent[d];
    double all = (double)(p->grid[d] - 1) * (double)p->step[d] + (double)p->extent[d];
    double image = (double)p->before[d] + (double)p->size[d];
    size[d] = (all > image ? all : image) + (double)p->step[d];
    if (reached + (double)p->step[d] < size[d]) size[d] = reached + (double)p->step[d];
  }
  if (size[0] * (size[1] + (double)p->step[1]) * (double)j->images * (double)j->chunk > PERI_MOST_COPIES) return false;
  p->in_place = false;
  p->phase = peri_ceil_div((int64_t)size[1], p->step[1]);
  p->pitch = p->phase * p->step[1];
  j->rows = (int64_t)size[0];
  j->channel_step = peri_round_up(j->images * j->rows * p->pitch, 32) + 16;
  int64_t reached = j->images * peri_min(p->grid[0], (j->window[0] + p->extent[0]) / p->step[0] + 2);
  j->base_at = peri_lines((size_t)(j->channel_step * j->chunk + 64) * p->element);
  j->run_at = j->base_at + peri_lines((size_t)reached * sizeof(int64_t));
  j->product_at = j->run_at + peri_lines((size_t)reached * sizeof(peri_patch_run));
  peri_product most = {.dtype = j->v->dtype, .m = j->chunk * p->taps, .k = j->v->out_channels / j->v->groups};
  most.n = reached * peri_min(p->grid[1], (j->window[1] + p->extent[1]) / p->step[1] + 2);
  most.b.gather = gather_plane;
  j->scratch_bytes = j->product_at + peri_multiply_scratch(j->context, &most);
  return true;
}

static peri_status run_back_job(peri_context *context, back_job *j) {
  void *memory;
  back_cut(j);
  if (!lay_out_back(j)) return peri_patches_too_large(context);
  int64_t rows = j->chunk * j->p.taps;
  size_t offsets = peri_lines((size_t)rows * sizeof(int64_t)),
         threads = (size_t)peri_min(peri_threads(context), j->pieces);
  size_t bytes = offsets + threads * j->scratch_bytes;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j->offsets = memory;
  j->scratch = (char *)memory + offsets;
  for (int64_t i = 0; i < rows; i++)
    j->offsets[i] = i / j->p.taps * j->channel_step + peri_tap_offset(&j->p, i % j->p.taps);
  peri_status status = peri_parallel(context, j->whole ? 1 : j->pieces, run_back_pieces, j);
  peri_free(context, memory, bytes);
  return status;
}

peri_status peri_convolve_input(peri_context *context, const peri_convolution *v, const void *gy, const void *weight,
                                const peri_convolution_end *end, void *gx) {
  void *taps;
  size_t bytes = (size_t)(2 * v->kernel[0] * v->kernel[1]) * sizeof(int64_t);
  PERI_TRY(peri_alloc(context, bytes, &taps));
  back_job j = {.p = peri_patches_of_x(v, NULL, taps), .v = v, .context = context, .weight = weight, .gx = gx};
  j.gy = (peri_patches){.data = gy, .channels = v->out_channels, .size = {v->out[0], v->out[1]}, .step = {1, 1}};
  j.tiles = &context->kernels->tiles->of[v->dtype == PERI_FLOAT64];
  if (end != NULL) j.end = *end;
  peri_status status = v->images == 0 ? PERI_OK : run_back_job(context, &j);
  peri_free(context, taps, bytes);
  return status;
}
