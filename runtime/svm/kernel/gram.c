/* The whole Gram matrix and the cache of rows; see gram.h. */
#include "svm/kernel/gram.h"

#include "svm/svm_kernels.h"

/* ---- the whole matrix ---- */

int64_t peri_gram_ld(int64_t n) {
  int64_t ld = (n + PERI_SVM_LANES + 15) / 16 * 16;
  return ld % 512 == 0 ? ld + 16 : ld; /* rows a power of two apart would share cache sets */
}

/* Tiles are large enough for the matrix product, small enough for a piece of 20 ms. A small matrix
 * has small ones, so that little below the diagonal is computed, and wakes no team. To measure: ./dev bench parts
 * machines. */
#define SMALL 512
#define LARGE PERI_SVM_COLUMNS

static int64_t tile_rows(int64_t n, int64_t d) {
  if (n <= SMALL) return 48;
  if (d > 4096) return 128;
  return n >= 4096 && d <= 1024 ? LARGE : 256;
}

typedef struct gram_job {
  const peri_context *context;
  const peri_svm_kernel *kernel;
  peri_dtype dtype;
  int64_t n, d, ld, rows, tiles; /* rows of a tile, tiles of a side */
  const peri_svm_side *x;
  void *gram;
  char *scratch; /* of each thread */
  size_t scratch_bytes;
} gram_job;

/* The piece-th of the tiles on and above the diagonal, row by row. */
static void tile_of_piece(int64_t tiles, int64_t piece, int64_t *i, int64_t *j) {
  *i = 0;
  while (piece >= tiles - *i) piece -= tiles - (*i)++;
  *j = *i + piece;
}

/* out (n x m) = transpose of in (m x n), in small squares; on the diagonal the two are the same tile
 * and its upper half goes to the lower. */
#define DEFINE_MIRROR(name, T, edge)                                                                                   \
  static void name(int64_t m, int64_t n, int64_t ld, const T *in, T *out) {                                            \
    for (int64_t i = 0; i < m; i += edge) {                                                                            \
      for (int64_t j = (in == out ? i : 0); j < n; j += edge) {                                                        \
        for (int64_t s = j; s < peri_min(j + edge, n); s++) {                                                          \
          for (int64_t r = i; r < peri_min(i + edge, in == out ? peri_min(m, s) : m); r++)                             \
            out[s * ld + r] = in[r * ld + s];                                                                          \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
DEFINE_MIRROR(mirror_32, float, 16)
DEFINE_MIRROR(mirror_64, double, 8)

void peri_gram_mirror(peri_dtype dtype, int64_t n, int64_t ld, void *square) {
  if (dtype == PERI_FLOAT64)
    mirror_64(n, n, ld, square, square);
  else
    mirror_32(n, n, ld, square, square);
}

static void fill_tile(const gram_job *job, int64_t piece) {
  int64_t i, j, size = (int64_t)peri_float_size(job->dtype);
  tile_of_piece(job->tiles, piece, &i, &j);
  i *= job->rows, j *= job->rows;
  int64_t m = peri_min(job->rows, job->n - i), n = peri_min(job->rows, job->n - j);
  char *tile = (char *)job->gram + (i * job->ld + j) * size, *other = (char *)job->gram + (j * job->ld + i) * size;
  peri_svm_block block = {.kernel = job->kernel,
                          .dtype = job->dtype,
                          .d = job->d,
                          .m = m,
                          .n = n,
                          .a = peri_svm_side_from(job->x, job->dtype, i),
                          .b = peri_svm_side_from(job->x, job->dtype, j),
                          .out = tile,
                          .ldo = job->ld};
  peri_svm_block_fill(job->context, &block, job->scratch + (size_t)peri_worker() * job->scratch_bytes);
  if (job->dtype == PERI_FLOAT64)
    mirror_64(m, n, job->ld, (const double *)tile, (double *)other);
  else
    mirror_32(m, n, job->ld, (const float *)tile, (float *)other);
  if (j + n < job->n) return;
  for (int64_t r = 0; r < m; r++) memset(tile + (r * job->ld + n) * size, 0, (size_t)((job->ld - job->n) * size));
}

static void gram_body(void *arg, int64_t piece) { fill_tile(arg, piece); }

static void small_gram_body(void *arg, int64_t piece) {
  const gram_job *job = arg;
  for (; piece < job->tiles * (job->tiles + 1) / 2; piece++) fill_tile(job, piece);
}

peri_status peri_gram_fill(peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, int64_t d,
                           const peri_svm_side *x, void *gram) {
  gram_job job = {.context = context,
                  .kernel = kernel,
                  .dtype = dtype,
                  .n = n,
                  .d = d,
                  .ld = peri_gram_ld(n),
                  .rows = tile_rows(n, d),
                  .x = x,
                  .gram = gram};
  job.tiles = (n + job.rows - 1) / job.rows;
  int64_t pieces = n <= SMALL ? 1 : job.tiles * (job.tiles + 1) / 2;
  peri_blocks blocks = {.context = context};
  job.scratch_bytes = peri_svm_block_scratch(context, kernel, dtype, d, job.rows, job.rows, true);
  PERI_TRY(peri_blocks_new(&blocks, peri_min(peri_threads(context), pieces), job.scratch_bytes, &job.scratch));
  peri_status status = peri_parallel(context, pieces, n <= SMALL ? small_gram_body : gram_body, &job);
  peri_blocks_release(&blocks);
  return status;
}

/* ---- a given matrix ---- */

#define GATHER_ROWS 16 /* of a piece */

/* Columns order[0 .. n-1] of a row of values, to out. */
static void gather_row(peri_dtype from, const void *row, const int64_t *order, int64_t n, peri_dtype to, void *out) {
  if (to == PERI_FLOAT64) {
    double *v = out;
    for (int64_t j = 0; j < n; j++) v[j] = peri_value(from, row, order[j]);
  } else {
    float *v = out;
    for (int64_t j = 0; j < n; j++) v[j] = (float)peri_value(from, row, order[j]);
  }
}

typedef struct gather_job {
  peri_dtype from, to;
  int64_t n, ldx, ld;
  const void *x;
  const int64_t *order;
  char *out;
} gather_job;

static void gather_body(void *arg, int64_t piece) {
  const gather_job *job = arg;
  size_t size = peri_float_size(job->to);
  int64_t end = peri_min(job->n, (piece + 1) * GATHER_ROWS);
  for (int64_t i = piece * GATHER_ROWS; i < end; i++) {
    char *out = job->out + (size_t)(i * job->ld) * size;
    gather_row(job->from, peri_at(job->from, job->x, job->ldx, job->order[i], 0), job->order, job->n, job->to, out);
    memset(out + (size_t)job->n * size, 0, (size_t)(job->ld - job->n) * size);
  }
}

peri_status peri_gram_gather(peri_context *context, peri_dtype dtype, int64_t n, peri_dtype from, const void *x,
                             int64_t ldx, const int64_t *order, void *gram) {
  gather_job job = {
      .from = from, .to = dtype, .n = n, .ldx = ldx, .ld = peri_gram_ld(n), .x = x, .order = order, .out = gram};
  return peri_parallel(context, (n + GATHER_ROWS - 1) / GATHER_ROWS, gather_body, &job);
}

/* ---- the matrix of a part ---- */

typedef struct part_job {
  const peri_context *context;
  const peri_cached_rows *rows;
  const peri_stretch *stretch;
  int64_t stretches, n, ld, tile, tiles; /* rows of a tile, of one stretch each; tiles of a side */
  char *gram, *scratch;
  size_t scratch_bytes;
} part_job;

/* Rows of a tile: where they are in x and in the part, and how many. */
static peri_stretch part_tile(const part_job *job, int64_t number) {
  int64_t s = 0;
  for (int64_t tiles; number >= (tiles = (job->stretch[s].count + job->tile - 1) / job->tile); s++) number -= tiles;
  int64_t from = number * job->tile;
  return (peri_stretch){.first = job->stretch[s].first + from,
                        .count = peri_min(job->tile, job->stretch[s].count - from),
                        .at = job->stretch[s].at + from};
}

/* Kernel values of the rows of one tile with those of another, computed and mirrored, or gathered both ways. */
static void fill_part(const part_job *job, int64_t piece) {
  const peri_cached_rows *rows = job->rows;
  int64_t i, j, size = (int64_t)peri_float_size(rows->dtype);
  tile_of_piece(job->tiles, piece, &i, &j);
  peri_stretch a = part_tile(job, i), b = part_tile(job, j);
  char *tile = job->gram + (a.at * job->ld + b.at) * size, *other = job->gram + (b.at * job->ld + a.at) * size;
  if (rows->side.x != NULL) {
    peri_svm_block block = {.kernel = rows->kernel,
                            .dtype = rows->dtype,
                            .d = rows->d,
                            .m = a.count,
                            .n = b.count,
                            .a = peri_svm_side_from(&rows->side, rows->dtype, a.first),
                            .b = peri_svm_side_from(&rows->side, rows->dtype, b.first),
                            .out = tile,
                            .ldo = job->ld};
    peri_svm_block_fill(job->context, &block, job->scratch + (size_t)peri_worker() * job->scratch_bytes);
    if (rows->dtype == PERI_FLOAT64)
      mirror_64(a.count, b.count, job->ld, (const double *)(void *)tile, (double *)(void *)other);
    else
      mirror_32(a.count, b.count, job->ld, (const float *)(void *)tile, (float *)(void *)other);
    return;
  }
  for (int64_t r = 0; r < a.count; r++)
    gather_row(rows->side.from, peri_svm_given_row(&rows->side, a.first + r), rows->side.order + b.first, b.count,
               rows->dtype, tile + r * job->ld * size);
  for (int64_t r = 0; i != j && r < b.count; r++)
    gather_row(rows->side.from, peri_svm_given_row(&rows->side, b.first + r), rows->side.order + a.first, a.count,
               rows->dtype, other + r * job->ld * size);
}

static void part_body(void *arg, int64_t piece) { fill_part(arg, piece); }

size_t peri_gram_part_scratch(const peri_context *context, const peri_cached_rows *rows) {
  if (rows->side.x == NULL) return 0;
  int64_t tile = peri_min(LARGE, rows->most);
  return peri_svm_block_scratch(context, rows->kernel, rows->dtype, rows->d, tile, tile, true);
}

peri_status peri_gram_fill_part(peri_context *context, const peri_cached_rows *rows, int64_t stretches,
                                const peri_stretch *stretch, bool team, void *gram, void *scratch) {
  part_job job = {.context = context,
                  .rows = rows,
                  .stretch = stretch,
                  .stretches = stretches,
                  .gram = gram,
                  .scratch = scratch,
                  .scratch_bytes = peri_gram_part_scratch(context, rows)};
  for (int64_t s = 0; s < stretches; s++) job.n += stretch[s].count;
  job.ld = peri_gram_ld(job.n);
  job.tile = tile_rows(job.n, rows->d);
  for (int64_t s = 0; s < stretches; s++) job.tiles += (stretch[s].count + job.tile - 1) / job.tile;
  int64_t pieces = job.tiles * (job.tiles + 1) / 2;
  if (team) PERI_TRY(peri_parallel(context, pieces, part_body, &job));
  for (int64_t piece = 0; !team && piece < pieces; piece++) {
    if (peri_cancelled(context)) return PERI_ERR_CANCELLED;
    fill_part(&job, piece);
  }
  size_t size = peri_float_size(rows->dtype);
  for (int64_t i = 0; i < job.n; i++) /* what lies beyond a row is read, never used */
    memset(job.gram + (size_t)(i * job.ld + job.n) * size, 0, (size_t)(job.ld - job.n) * size);
  return PERI_OK;
}

/* ---- cached rows ---- */

/* To measure: ./dev bench parts machines. */
#define LEAST_ROWS  16               /* of the cache */
#define SERIAL_WORK 1e6              /* multiplications that are not worth waking the team */
#define BATCH       256              /* rows computed by one product */
#define TILE        PERI_SVM_COLUMNS /* columns of a piece */

static int64_t columns_ld(int64_t most) { return (most + PERI_SVM_LANES + 15) / 16 * 16; }

/* The missing rows of a fetch, a tile of columns at a time. */
typedef struct rows_job {
  peri_row_cache *cache;
  int64_t count;
} rows_job;

/* Row of x that holds a sample of the problem. */
static int64_t row_of(const peri_row_cache *cache, int64_t sample) {
  int64_t s = 0;
  while (sample >= cache->stretch[s].at + cache->stretch[s].count) s++;
  return cache->stretch[s].first + (sample - cache->stretch[s].at);
}

/* A tile of columns at work: where they are in a row of the cache. */
typedef struct rows_tile {
  const peri_row_cache *cache;
  int64_t at, columns;
} rows_tile;

static char *place_of(const rows_tile *tile, int64_t i) {
  const peri_row_cache *cache = tile->cache;
  int64_t slot = cache->slot_of[cache->missing[i]];
  return cache->values + (size_t)(slot * cache->ld + tile->at) * peri_float_size(cache->source.dtype);
}

/* Strips of values go to the slots of their rows. */
static void keep_values(const void *state, int64_t i, int64_t rows, const void *values, int64_t ld) {
  const rows_tile *tile = state;
  size_t size = peri_float_size(tile->cache->source.dtype);
  for (int64_t r = 0; r < rows; r++)
    memcpy(place_of(tile, i + r), (const char *)values + (size_t)(r * ld) * size, (size_t)tile->columns * size);
}

static void rows_body(void *arg, int64_t piece) {
  const rows_job *job = arg;
  const peri_row_cache *cache = job->cache;
  const peri_cached_rows *rows = &cache->rows;
  int64_t s = 0;
  for (int64_t tiles; piece >= (tiles = (cache->stretch[s].count + TILE - 1) / TILE); s++) piece -= tiles;
  const peri_stretch *stretch = &cache->stretch[s];
  int64_t from = piece * TILE, columns = peri_min(TILE, stretch->count - from), row = stretch->first + from;
  rows_tile tile = {.cache = cache, .at = stretch->at + from, .columns = columns};
  if (rows->side.x == NULL) {
    for (int64_t i = 0; i < job->count; i++)
      gather_row(rows->side.from, peri_svm_given_row(&rows->side, cache->missing_row[i]), rows->side.order + row,
                 columns, cache->source.dtype, place_of(&tile, i));
    return;
  }
  peri_svm_block block = {.kernel = rows->kernel,
                          .dtype = cache->source.dtype,
                          .d = rows->d,
                          .m = job->count,
                          .n = columns,
                          .a = rows->side,
                          .b = peri_svm_side_from(&rows->side, cache->source.dtype, row),
                          .rows = cache->missing_row,
                          .use = keep_values,
                          .state = &tile};
  peri_svm_block_fill(cache->context, &block, cache->scratch + (size_t)peri_worker() * cache->scratch_bytes);
}

static int64_t pieces_of(const peri_row_cache *cache) {
  int64_t pieces = 0;
  for (int64_t s = 0; s < cache->stretches; s++) pieces += (cache->stretch[s].count + TILE - 1) / TILE;
  return pieces;
}

static void all_rows_body(void *arg, int64_t piece) {
  const rows_job *job = arg;
  for (int64_t pieces = pieces_of(job->cache); piece < pieces; piece++) rows_body(arg, piece);
}

/* In a body, whose caller says that it was cancelled. */
static peri_status compute_alone(rows_job *job) {
  int64_t pieces = pieces_of(job->cache);
  for (int64_t piece = 0; piece < pieces; piece++) {
    if (peri_cancelled(job->cache->context)) return PERI_ERR_CANCELLED;
    rows_body(job, piece);
  }
  return PERI_OK;
}

static void forget(peri_row_cache *cache, const int64_t *samples, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    cache->sample_of[cache->slot_of[samples[i]]] = -1;
    cache->slot_of[samples[i]] = -1;
  }
}

static peri_status compute(peri_row_cache *cache, int64_t count) {
  const peri_cached_rows *rows = &cache->rows;
  size_t size = peri_float_size(rows->dtype);
  for (int64_t i = 0; i < count; i++) cache->missing_row[i] = row_of(cache, cache->missing[i]);
  rows_job job = {.cache = cache, .count = count};
  double per_value = rows->side.x != NULL ? (double)rows->d + 16 : 2;
  bool serial = (double)count * (double)cache->n * per_value < SERIAL_WORK;
  peri_status status = PERI_OK;
  if (cache->team)
    status = peri_parallel(cache->context, serial ? 1 : pieces_of(cache), serial ? all_rows_body : rows_body, &job);
  else
    status = compute_alone(&job);
  if (status != PERI_OK) forget(cache, cache->missing, count);
  for (int64_t i = 0; status == PERI_OK && i < count; i++) { /* what lies beyond a row is read, never used */
    int64_t end = cache->slot_of[cache->missing[i]] * cache->ld + cache->n;
    memset(cache->values + (size_t)end * size, 0, PERI_SVM_LANES * size);
  }
  return status;
}

/* An empty slot, else the one lent longest ago among the next few that this fetch does not use. */
static int64_t free_slot(peri_row_cache *cache) {
  int64_t oldest = -1;
  for (int64_t tried = 0; tried < cache->slots; tried++) {
    int64_t slot = (cache->hand + tried) % cache->slots;
    if (cache->sample_of[slot] < 0)
      oldest = slot;
    else if (cache->used[slot] < cache->fetches && (oldest < 0 || cache->used[slot] < cache->used[oldest]))
      oldest = slot;
    if (oldest >= 0 && (cache->sample_of[oldest] < 0 || tried >= 32)) break;
  }
  cache->hand = (oldest + 1) % cache->slots;
  return oldest;
}

static peri_status fetch(peri_row_source *self, int64_t count, const int64_t *index, const void **rows) {
  peri_row_cache *cache = (peri_row_cache *)self;
  cache->fetches++;
  for (int64_t i = 0; i < count; i++) {
    if (cache->slot_of[index[i]] >= 0) cache->used[cache->slot_of[index[i]]] = cache->fetches;
  }
  int64_t missing = 0;
  for (int64_t i = 0; i < count; i++) {
    if (cache->slot_of[index[i]] < 0) {
      int64_t slot = free_slot(cache);
      if (cache->sample_of[slot] >= 0) cache->slot_of[cache->sample_of[slot]] = -1;
      cache->sample_of[slot] = index[i];
      cache->slot_of[index[i]] = slot;
      cache->used[slot] = cache->fetches;
      cache->missing[missing++] = index[i];
    }
    if (missing > 0 && (missing == cache->batch || i == count - 1)) {
      PERI_TRY(compute(cache, missing));
      missing = 0;
    }
  }
  size_t row_bytes = (size_t)cache->ld * peri_float_size(self->dtype);
  for (int64_t i = 0; i < count; i++) rows[i] = cache->values + (size_t)cache->slot_of[index[i]] * row_bytes;
  return PERI_OK;
}

/* How many rows of ld elements a cache has: of each when there are several. */
static int64_t slots_of(int64_t most, int64_t ld, size_t size, double bytes) {
  double fitting = bytes / ((double)ld * (double)size);
  return fitting < (double)most ? peri_max(peri_min(LEAST_ROWS, most), (int64_t)fitting) : most;
}

peri_status peri_row_caches_new(peri_blocks *blocks, const peri_cached_rows *rows, int64_t most, double bytes,
                                int64_t wanted, peri_row_cache **out, int64_t *count) {
  peri_context *context = blocks->context;
  peri_dtype dtype = rows->dtype;
  size_t size = peri_float_size(dtype);
  int64_t ld = columns_ld(most), each = slots_of(most, ld, size, bytes / (double)wanted), n = each == most ? wanted : 1;
  int64_t slots = n > 1 ? most : slots_of(most, ld, size, bytes), batch = peri_min(BATCH, slots);
  peri_row_cache all = {
      .source = {.dtype = dtype,
                 .definite = peri_svm_kernel_is_definite(rows->kernel),
                 .capacity = slots,
                 .fetch = fetch},
      .context = context,
      .team = n == 1,
      .rows = *rows,
      .slots = slots,
      .ld = ld,
      .batch = batch,
  };
  PERI_TRY(peri_blocks_new(blocks, n, sizeof **out, out));
  PERI_TRY(peri_blocks_new(blocks, n * most, sizeof *all.slot_of, &all.slot_of));
  PERI_TRY(peri_blocks_new(blocks, n * slots, sizeof *all.sample_of, &all.sample_of));
  PERI_TRY(peri_blocks_new(blocks, n * slots, sizeof *all.used, &all.used));
  PERI_TRY(peri_blocks_new(blocks, n * batch, sizeof *all.missing, &all.missing));
  PERI_TRY(peri_blocks_new(blocks, n * batch, sizeof *all.missing_row, &all.missing_row));
  if (rows->side.x != NULL) {
    all.scratch_bytes = peri_svm_block_scratch(context, rows->kernel, dtype, rows->d, batch, peri_min(TILE, most), false);
    PERI_TRY(peri_blocks_new(blocks, peri_threads(context), all.scratch_bytes, &all.scratch));
  }
  PERI_TRY(peri_blocks_new(blocks, n * slots, (size_t)ld * size, &all.values));
  for (int64_t i = 0; i < n; i++) {
    (*out)[i] = all;
    all.slot_of += most;
    all.sample_of += slots;
    all.used += slots;
    all.missing += batch;
    all.missing_row += batch;
    all.values += (size_t)(slots * ld) * size;
  }
  *count = n;
  return PERI_OK;
}

void peri_row_cache_begin(peri_row_cache *cache, int64_t stretches, const peri_stretch *stretch) {
  cache->stretches = stretches;
  cache->n = 0;
  for (int64_t s = 0; s < stretches; s++) {
    cache->stretch[s] = stretch[s];
    cache->n = peri_max(cache->n, stretch[s].at + stretch[s].count);
  }
  for (int64_t i = 0; i < cache->n; i++) cache->slot_of[i] = -1;
  for (int64_t slot = 0; slot < cache->slots; slot++) {
    cache->sample_of[slot] = -1;
    cache->used[slot] = 0;
  }
  cache->fetches = 0;
  cache->hand = 0;
}
