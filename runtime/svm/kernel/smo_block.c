/* The workspace of a problem, its gradient, and the block: its members' copies and matrix; see smo_solver.h. */
#include "svm/kernel/smo_solver.h"

#include <float.h>
#include <math.h>

/* To measure: ./dev bench parts machines. */
#define UPDATE_COLUMNS 2048 /* of the gradient, in one piece of its update */
#define GATHER_ROWS    64   /* of a block's matrix, in one piece of its copy */
#define SERIAL_WORK    1e6  /* updates of elements that are not worth waking the team */

/* ---- workspace ---- */

/* Takes count elements off a workspace; with no workspace, only counts. */
static void *carve(char *workspace, size_t *used, int64_t count, size_t size) {
  void *at = workspace == NULL ? NULL : workspace + *used;
  *used += ((size_t)count * size + 63) / 64 * 64;
  return at;
}

/* A block beyond PERI_SMO_BLOCK is worth its copy when it is much smaller than the whole matrix. */
static int64_t largest_block(int64_t n, const peri_row_source *source) {
  int64_t most = peri_min(n, PERI_SMO_BLOCK);
  if (source->matrix != NULL) {
    double fitting = sqrt(source->spare / (double)peri_float_size(source->dtype)) - 2 * PERI_SVM_LANES;
    most = peri_max(most, (int64_t)peri_smaller(fitting, (double)(n * 3 / 4)));
  }
  return peri_max(peri_min(most, source->capacity), 2);
}

static size_t place(peri_smo *smo, int64_t n, const peri_row_source *source, char *workspace) {
  size_t used = 0, real = sizeof(double);
  int64_t most = peri_smo_padded(largest_block(n, source)) + PERI_SVM_LANES;
  smo->linear = carve(workspace, &used, n, real);
  smo->low = carve(workspace, &used, n, real);
  smo->high = carve(workspace, &used, n, real);
  smo->beta = carve(workspace, &used, n, real);
  smo->diagonal = carve(workspace, &used, n, real);
  smo->gradient = carve(workspace, &used, n, real);
  smo->state = carve(workspace, &used, n, 1);
  smo->number = carve(workspace, &used, n, sizeof(int64_t));
  peri_smo_block scratch, *block = carve(workspace, &used, 1, sizeof *block);
  smo->block = block;
  if (block == NULL) block = &scratch;
  block->most = largest_block(n, source);
  block->ld = most;
  block->member = carve(workspace, &used, most, sizeof(int64_t));
  block->start = carve(workspace, &used, most, real);
  block->low = carve(workspace, &used, most, real);
  block->high = carve(workspace, &used, most, real);
  block->diagonal = carve(workspace, &used, most, real);
  block->problem.gradient = carve(workspace, &used, most, real);
  block->problem.beta = carve(workspace, &used, most, real);
  block->problem.state = carve(workspace, &used, most, 1);
  block->number = carve(workspace, &used, most, sizeof(int64_t));
  block->tile = carve(workspace, &used, most * most, peri_float_size(source->dtype));
  block->row = carve(workspace, &used, most, sizeof(void *));
  block->wanted = carve(workspace, &used, most, sizeof(int64_t));
  block->delta = carve(workspace, &used, most, real);
  block->kept = carve(workspace, &used, most, sizeof(int64_t));
  block->heap_value = carve(workspace, &used, most, real);
  block->heap_at = carve(workspace, &used, most, sizeof(int64_t));
  block->chosen = carve(workspace, &used, n, 1);
  block->newton_most = peri_min(most, PERI_NEWTON_MOST);
  block->newton = carve(workspace, &used, peri_newton_doubles(block->newton_most), real);
  return used;
}

size_t peri_smo_bytes(int64_t n, const peri_row_source *source) {
  peri_smo smo;
  return place(&smo, n, source, NULL);
}

void peri_smo_place(peri_smo *smo, int64_t n, const peri_row_source *source, void *workspace) {
  place(smo, n, source, workspace);
}

void peri_smo_begin(peri_smo *smo, bool separate, double kink, int64_t segments, const int64_t *counts,
                    const int64_t *firsts) {
  smo->separate = separate;
  smo->kink = kink;
  smo->segments = segments;
  smo->n = 0;
  for (int64_t s = 0; s < segments; s++) {
    smo->segment[s] = (peri_smo_segment){.position = smo->n, .count = counts[s], .first = firsts[s]};
    for (int64_t t = 0; t < peri_smo_padded(counts[s]); t++) {
      smo->number[smo->n + t] = firsts[s] + peri_min(t, counts[s] - 1);
    }
    smo->n += peri_smo_padded(counts[s]);
  }
  for (int64_t t = 0; t < smo->n; t++) {
    smo->linear[t] = smo->low[t] = smo->high[t] = smo->beta[t] = 0;
    smo->diagonal[t] = 1;
  }
}

/* ---- the gradient ---- */

typedef struct update_job {
  peri_smo_solver *solver;
  int64_t rows;
} update_job;

/* Whether both segments are the same samples, as in regression with nu: their gradients change alike. */
static bool is_doubled(const peri_dense *p) {
  return p->segments == 2 && p->segment[0].first == p->segment[1].first && p->segment[0].count == p->segment[1].count;
}

/* y += sum over rows of delta * row, count columns from the given one of a segment. */
static void add_rows(const peri_dense *p, const peri_smo_block *block, int64_t rows, int64_t segment, int64_t from,
                     int64_t count, double *y) {
  const void *x[4];
  int64_t r = 0;
  for (; r < rows; r++) {
    x[r % 4] = (const char *)peri_dense_columns(p, block->row[r], segment) + from * (p->wide ? 8 : 4);
    if (r % 4 == 3) p->kernels->axpy4[p->wide](count, y, x, block->delta + r - 3);
  }
  for (int64_t left = 0; left < rows % 4; left++) {
    p->kernels->axpy[p->wide](count, y, x[left], block->delta[rows - rows % 4 + left]);
  }
}

/* gradient += sum over rows of delta * row, for a stretch of positions within one segment. */
static void update_body(void *arg, int64_t piece) {
  const update_job *job = arg;
  const peri_dense *p = &job->solver->whole;
  const peri_smo_block *block = job->solver->smo->block;
  int64_t s = 0;
  for (int64_t pieces; piece >= (pieces = (p->segment[s].count + UPDATE_COLUMNS - 1) / UPDATE_COLUMNS); s++) {
    piece -= pieces;
  }
  int64_t from = piece * UPDATE_COLUMNS, count = peri_min(UPDATE_COLUMNS, p->segment[s].count - from);
  double *gradient = p->gradient + p->segment[s].position + from;
  if (!is_doubled(p)) {
    add_rows(p, block, job->rows, s, from, count, gradient);
    return;
  }
  double change[UPDATE_COLUMNS] = {0}, *other = p->gradient + p->segment[1].position + from;
  add_rows(p, block, job->rows, 0, from, count, change);
  for (int64_t t = 0; t < count; t++) gradient[t] += change[t];
  for (int64_t t = 0; t < count; t++) other[t] += change[t];
}

/* Applies block->delta and block->row. */
static peri_status update_gradient(peri_smo_solver *self, int64_t rows) {
  update_job job = {.solver = self, .rows = rows};
  int64_t pieces = 0, segments = is_doubled(&self->whole) ? 1 : self->whole.segments;
  for (int64_t s = 0; s < segments; s++) {
    pieces += (self->whole.segment[s].count + UPDATE_COLUMNS - 1) / UPDATE_COLUMNS;
  }
  double moved = 0;
  for (int64_t r = 0; r < rows; r++) moved += fabs(self->smo->block->delta[r]);
  self->drift += moved * self->scale * DBL_EPSILON;
  bool worth_it = (double)rows * (double)self->smo->n >= SERIAL_WORK;
  if (self->smo->team && worth_it) return peri_parallel(self->context, pieces, update_body, &job);
  for (int64_t piece = 0; piece < pieces; piece++) update_body(&job, piece);
  return PERI_OK;
}

/* Gathers the rows of block->wanted. */
static peri_status rows_wanted(peri_smo_solver *self, int64_t count) {
  peri_smo_block *block = self->smo->block;
  const peri_row_source *source = self->source;
  if (source->matrix == NULL) return self->source->fetch(self->source, count, block->wanted, block->row);
  for (int64_t r = 0; r < count; r++) {
    block->row[r] = (const char *)source->matrix + block->wanted[r] * self->whole.row_bytes;
  }
  return PERI_OK;
}

peri_status peri_smo_rebuild(peri_smo_solver *self) {
  peri_smo *smo = self->smo;
  peri_smo_block *block = smo->block;
  memcpy(smo->gradient, smo->linear, (size_t)smo->n * sizeof *smo->gradient);
  for (int64_t t = 0; t < smo->n;) {
    int64_t rows = 0;
    for (; t < smo->n && rows < block->most; t++) {
      if (smo->beta[t] == 0) continue;
      block->wanted[rows] = smo->number[t];
      block->delta[rows++] = smo->beta[t];
    }
    PERI_TRY(rows_wanted(self, rows));
    PERI_TRY(update_gradient(self, rows));
  }
  self->drift = 0;
  return PERI_OK;
}

/* ---- blocks ---- */

/* The columns of members first and later of a row, to the tile's dtype. */
static void gather_row(const peri_smo_solver *self, const void *row, int64_t first, char *tile_row) {
  const peri_smo_block *block = self->smo->block;
  int64_t count = block->count;
  size_t padding = (size_t)(peri_smo_padded(count) - count);
  if (block->problem.wide) {
    double *out = (double *)(void *)tile_row;
    for (int64_t b = first; b < count; b++) out[b] = ((const double *)row)[block->wanted[b]];
    memset(out + count, 0, padding * sizeof *out);
    return;
  }
  float *out = (float *)(void *)tile_row;
  if (self->whole.wide) {
    for (int64_t b = first; b < count; b++) out[b] = (float)((const double *)row)[block->wanted[b]];
  } else {
    for (int64_t b = first; b < count; b++) out[b] = ((const float *)row)[block->wanted[b]];
  }
  memset(out + count, 0, padding * sizeof *out);
}

static void gather_body(void *arg, int64_t piece) {
  const peri_smo_solver *self = arg;
  const peri_smo_block *block = self->smo->block;
  int64_t end = peri_min((piece + 1) * GATHER_ROWS, block->count);
  for (int64_t a = piece * GATHER_ROWS; a < end; a++) {
    gather_row(self, block->row[a], 0, block->tile + a * block->problem.row_bytes);
  }
}

/* Members are scattered over a row, so that each element waits for memory: half of them serve twice. Rows of a large
 * block are nearly read as a whole, by the team. */
static peri_status gather_tile(peri_smo_solver *self) {
  const peri_smo_block *block = self->smo->block;
  int64_t count = block->count;
  bool worth_it = (double)count * (double)count >= SERIAL_WORK;
  if (self->smo->team && worth_it)
    return peri_parallel(self->context, (count + GATHER_ROWS - 1) / GATHER_ROWS, gather_body, self);
  for (int64_t a = 0; a < count; a++) {
    gather_row(self, block->row[a], a, block->tile + a * block->problem.row_bytes);
  }
  peri_gram_mirror(block->problem.wide ? PERI_FLOAT64 : PERI_FLOAT32, count, block->ld, block->tile);
  return PERI_OK;
}

/* Puts the members in the order of separate segments, with padding between them; returns how many positions the
 * first segment takes. */
static int64_t part(const peri_smo *smo) {
  peri_smo_block *block = smo->block;
  int64_t *second = block->heap_at, first = 0, others = 0;
  for (int64_t a = 0; a < block->count; a++) {
    int64_t t = block->member[a];
    if (t < smo->segment[1].position)
      block->member[first++] = t;
    else
      second[others++] = t;
  }
  int64_t padded = peri_smo_padded(first);
  for (int64_t a = first; a < padded; a++) block->member[a] = -1;
  memcpy(block->member + padded, second, (size_t)others * sizeof *second);
  block->count = padded + others;
  return first;
}

/* A position that is no variable's: it neither moves nor counts. Its row is the one before. */
static void pad(peri_smo_block *block, int64_t a) {
  peri_dense *p = &block->problem;
  p->gradient[a] = p->beta[a] = block->start[a] = block->low[a] = block->high[a] = 0;
  block->diagonal[a] = 1;
  block->number[a] = 0;
  p->state[a] = 0;
}

peri_status peri_smo_gather(peri_smo_solver *self) {
  const peri_smo *smo = self->smo;
  peri_smo_block *block = smo->block;
  peri_dense *p = &block->problem;
  int64_t first = smo->separate ? part(smo) : block->count;
  for (int64_t a = 0; a < block->count; a++) {
    int64_t t = block->member[a];
    if (t < 0) {
      pad(block, a);
      block->wanted[a] = a > 0 ? block->wanted[a - 1] : 0;
      continue;
    }
    block->wanted[a] = smo->number[t];
    block->number[a] = a;
    block->start[a] = p->beta[a] = smo->beta[t];
    block->low[a] = smo->low[t];
    block->high[a] = smo->high[t];
    block->diagonal[a] = self->rough ? (double)(float)smo->diagonal[t] : smo->diagonal[t];
    p->gradient[a] = smo->gradient[t];
    p->state[a] = smo->state[t];
  }
  for (int64_t a = block->count; a < peri_smo_padded(block->count); a++) pad(block, a);
  PERI_TRY(rows_wanted(self, block->count));
  int64_t second = peri_smo_padded(first);
  p->kernels = self->whole.kernels;
  p->wide = self->whole.wide && !self->rough;
  p->separate = smo->separate;
  p->kink = smo->kink;
  p->segments = block->count > second ? 2 : 1;
  p->segment[0] = (peri_smo_segment){.position = 0, .count = first, .first = 0};
  p->segment[1] = (peri_smo_segment){.position = second, .count = block->count - second, .first = second};
  p->low = block->low;
  p->high = block->high;
  p->diagonal = block->diagonal;
  p->number = block->number;
  p->matrix = block->tile;
  p->row_bytes = block->ld * (p->wide ? 8 : 4);
  return gather_tile(self);
}

peri_status peri_smo_scatter(peri_smo_solver *self) {
  peri_smo *smo = self->smo;
  peri_smo_block *block = smo->block;
  int64_t changed = 0;
  for (int64_t a = 0; a < block->count; a++) {
    int64_t t = block->member[a];
    double delta = block->problem.beta[a] - block->start[a];
    if (delta == 0) continue; /* padding as well */
    smo->beta[t] = block->problem.beta[a];
    smo->state[t] = block->problem.state[a];
    block->row[changed] = block->row[a];
    block->delta[changed++] = delta;
  }
  return update_gradient(self, changed);
}
