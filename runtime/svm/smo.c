/* The solver of the quadratic programme of smo.h: dense problems, nested.
 *
 * Steps run on a dense problem: the whole matrix, or a block of variables whose matrix was
 * gathered. Blocks serve two purposes with the same code. Over a whole matrix they are the variables
 * that are not pinned to a bound by their gradient (shrinking): few near the end, so that steps are
 * short. Over rows that have to be computed they are the most violating variables, as many as rows fit
 * (decomposition, Joachims 1998). When steps on pairs take long on a block, Newton steps on its free
 * variables finish it; not with an indefinite kernel, where it should depend on pairs alone, as in
 * LIBSVM, which stationary point is found. After a block the full gradient is brought up to date, and
 * optimality is always judged on all variables, in the end with a gradient computed anew. */
#include "svm/smo.h"

#include "svm/dense.h"

#include <float.h>
#include <math.h>

#define BLOCK          512  /* most variables of a block */
#define PERIOD         1000 /* most steps on all variables between looks at shrinking */
#define UPDATE_COLUMNS 2048 /* of the gradient, in one piece of its update */
#define BLOCK_STEPS    4    /* for each variable of a block, between looks at its state */
#define MANY_STEPS     2    /* for each variable */
#define GATHER_ROWS    64   /* of a block's matrix, in one piece of its copy */
#define ROUGH          0.99 /* of tol, on a rounded copy: so that it is likely reached on the matrix */
#define SERIAL_WORK    1e6  /* updates of elements that are not worth waking the team */
#define DENIALS        20   /* after which tol is taken to be below the rounding error */
#define POLISH         1e-3 /* of tol, at the end */
#define POLISH_ROUNDS  3
#define PATIENCE       50  /* rounds without progress near the rounding error */
#define NEAR           1e4 /* times that error */

/* The working set: which variables, their copies, their matrix. */
typedef struct peri_smo_block {
  peri_dense problem;
  int64_t most, ld, count; /* count: with the padding between separate segments */
  int64_t *member;         /* positions in the whole problem, by segment where they are separate; -1: padding */
  double *start;           /* b when the block was gathered */
  double *low, *high, *diagonal;
  int64_t *number;
  char *tile;
  const void **row; /* kernel rows of the members */
  int64_t *wanted;  /* their samples */
  double *delta;
  int64_t *kept;      /* the previous block, newest last */
  double *heap_value; /* selection of the most violating */
  int64_t *heap_at;
  int8_t *chosen; /* flags over the whole problem */
  double *newton; /* workspace of Newton steps on up to newton_most variables */
  int64_t newton_most;
} peri_smo_block;

/* ---- workspace ---- */

/* Takes count elements off a workspace; with no workspace, only counts. */
static void *carve(char *workspace, size_t *used, int64_t count, size_t size) {
  void *at = workspace == NULL ? NULL : workspace + *used;
  *used += ((size_t)count * size + 63) / 64 * 64;
  return at;
}

/* A block beyond BLOCK is worth its copy when it is much smaller than the whole matrix. */
static int64_t largest_block(int64_t n, const peri_row_source *source) {
  int64_t most = peri_min(n, BLOCK);
  if (source->matrix != NULL) {
    double fitting = sqrt(source->spare / (double)peri_float_size(source->dtype)) - 2 * PERI_SVM_LANES;
    most = peri_max(most, (int64_t)fmin(fitting, (double)(n * 3 / 4)));
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

/* ---- the whole problem ---- */

typedef struct solver {
  peri_context *context;
  peri_row_source *source;
  peri_smo *smo;
  peri_dense whole;
  const peri_smo_limits *limits;
  double tol;
  int64_t limit, steps;
  bool rough;    /* the block is copied as float32 */
  bool refined;  /* blocks are exact from now on */
  bool ended;    /* out of time, or told to end */
  double scale;  /* the largest K_tt */
  double linear; /* the largest |q_t|, or kink */
  double drift;  /* about the rounding error that updates have left in the gradient */
  double noise;  /* about the rounding error of a gradient computed anew: gaps below it mean nothing */
} solver;

typedef struct update_job {
  solver *solver;
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
static peri_status update_gradient(solver *self, int64_t rows) {
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
static peri_status rows_wanted(solver *self, int64_t count) {
  peri_smo_block *block = self->smo->block;
  const peri_row_source *source = self->source;
  if (source->matrix == NULL) return self->source->fetch(self->source, count, block->wanted, block->row);
  for (int64_t r = 0; r < count; r++) {
    block->row[r] = (const char *)source->matrix + block->wanted[r] * self->whole.row_bytes;
  }
  return PERI_OK;
}

/* The gradient from nothing: q + Kb. */
static peri_status rebuild_gradient(solver *self) {
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
static void gather_row(const solver *self, const void *row, int64_t first, char *tile_row) {
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
  const solver *self = arg;
  const peri_smo_block *block = self->smo->block;
  int64_t end = peri_min((piece + 1) * GATHER_ROWS, block->count);
  for (int64_t a = piece * GATHER_ROWS; a < end; a++) {
    gather_row(self, block->row[a], 0, block->tile + a * block->problem.row_bytes);
  }
}

/* Members are scattered over a row, so that each element waits for memory: half of them serve twice. Rows of a large
 * block are nearly read as a whole, by the team. */
static peri_status gather_tile(solver *self) {
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

/* Copies the members and their matrix. */
static peri_status gather(solver *self) {
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

/* Takes the members' new values over and brings the gradient up to date. */
static peri_status scatter(solver *self) {
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

/* Newton steps where they cost less than the steps on pairs since the last ones; returns what is
 * left of the work to weigh the next ones against. */
static double finish(const peri_smo_block *block, double tol, double work) {
  int64_t free_ones = 0;
  for (int64_t a = 0; a < block->count; a++) free_ones += peri_dense_is_free(&block->problem, a);
  double cost = (double)free_ones * (double)free_ones * (double)free_ones / 3;
  if (cost > work) return work;
  int64_t newton_steps = peri_dense_newton(&block->problem, tol, block->newton_most, block->newton);
  return newton_steps == 0 ? work : 0;
}

/* About the rounding error of the gradient q + Kb. */
static double rounding_error(const solver *self, int64_t n, const double *beta) {
  double sum = 0;
  for (int64_t t = 0; t < n; t++) sum += fabs(beta[t]);
  return DBL_EPSILON * (self->linear + self->scale * sum);
}

/* Whether the gradient says nothing any more: its gap is rounding, or q is lost beside Kb, as where no bound keeps b
 * from growing for ever. */
static bool is_lost(const solver *self, double gap, double noise) {
  return gap < noise || (self->linear > 0 && noise > self->linear) || !isfinite(noise);
}

/* Looks at the clock and asks the caller. Cheap enough for some thousand steps. */
static bool goes_on(solver *self, double gap) {
  const peri_smo_limits *limits = self->limits;
  if (peri_turn_late(limits->turn)) self->ended = true;
  if (!self->ended && limits->go_on != NULL && !limits->go_on(limits->arg, self->steps, gap)) self->ended = true;
  return !self->ended;
}

/* Solves on the block to tol, or until a quarter of it has become inactive. */
static peri_outcome run_block(solver *self, double tol) {
  peri_smo_block *block = self->smo->block;
  double work = 0;
  peri_outcome result = PERI_PAUSED;
  while (result == PERI_PAUSED && self->steps < self->limit && !peri_cancelled(self->context)) {
    int64_t some = peri_min(BLOCK_STEPS * peri_min(block->count, BLOCK), self->limit - self->steps);
    result = peri_dense_run(&block->problem, self->context, tol, some, &self->steps);
    if (result != PERI_PAUSED) break;
    if (peri_dense_count_active(&block->problem) < block->count * 3 / 4) break;
    work += 2.0 * (double)some * (double)block->count;
    if (self->source->definite) work = finish(block, tol, work);
    peri_dense_view view = peri_dense_look(&block->problem);
    double gap = peri_dense_gap(&block->problem, &view);
    if (is_lost(self, gap, rounding_error(self, block->count, block->problem.beta)) || !goes_on(self, gap)) break;
  }
  return result;
}

/* ---- shrinking: over a whole matrix ---- */

/* Makes the active variables the block, if they are at most `most`; else leaves it empty. */
static void shrink(solver *self, const peri_dense_view *view, int64_t most) {
  const peri_dense *p = &self->whole;
  peri_smo_block *block = self->smo->block;
  block->count = 0;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t from = p->segment[s].position;
    for (int64_t t = from; t < from + p->segment[s].count; t++) {
      if (!peri_dense_is_active(p, t, &view->of[s])) continue;
      if (block->count == most) {
        block->count = 0;
        return;
      }
      block->member[block->count++] = t;
    }
  }
}

/* Once tol is reached: a little more where it costs less than the steps so far, because a gap below tol still leaves
 * an objective that is off by as much as the gap times all of b. Newton steps on the free variables, steps on pairs
 * for those that have to leave a bound, and again. */
static peri_status polish(solver *self, const peri_dense_view *view) {
  peri_smo_block *block = self->smo->block;
  double tol = fmax(POLISH * self->tol, self->noise), work = 2.0 * (double)self->steps * (double)self->smo->n;
  shrink(self, view, peri_min(block->most, BLOCK));
  if (block->count == 0) return PERI_OK;
  PERI_TRY(gather(self));
  for (int round = 0; round < POLISH_ROUNDS; round++) {
    finish(block, tol, work);
    int64_t some = peri_min(BLOCK_STEPS * block->count, self->limit - self->steps);
    if (peri_dense_run(&block->problem, self->context, tol, some, &self->steps) != PERI_PAUSED) break;
  }
  return scatter(self);
}

/* Steps on a large block take as long as reading two of its rows. A float64 matrix is first copied as float32, half
 * as long to read: the gradient is brought up to date from the matrix itself, and what rounding has left to do is done
 * on exact copies. */
static peri_status solve_block(solver *self, peri_outcome *result) {
  self->rough = !self->refined && self->whole.wide && self->source->definite && self->smo->block->count > BLOCK;
  PERI_TRY(gather(self));
  *result = run_block(self, self->rough ? ROUGH * self->tol : self->tol);
  if (self->rough) {
    self->rough = false;
    self->refined = true;
    *result = PERI_PAUSED; /* whatever it was on the copy */
  }
  return scatter(self);
}

/* The most variables of a block that pays: half of them, of which a kink makes two of each in a small problem; after
 * many steps, with many to come, three quarters of a large one; and what allows Newton steps, where steps on pairs take
 * so long that these are wanted. */
static int64_t paying_block(const solver *self) {
  const peri_smo *smo = self->smo;
  int64_t n = smo->n, most = peri_max(n / 2, smo->kink > 0 ? peri_min(n, BLOCK) : 0);
  if (n > 2 * BLOCK && self->steps > MANY_STEPS * n) most = n * 3 / 4;
  if (self->steps > BLOCK_STEPS * n && self->source->definite) most = peri_max(most, BLOCK);
  return peri_min(most, smo->block->most);
}

static peri_status round_over_matrix(solver *self, const peri_dense_view *view, peri_outcome *result) {
  int64_t n = self->smo->n, period = peri_min(peri_max(self->smo->kink > 0 ? n : n / 2, 50), PERIOD);
  self->smo->block->count = 0;
  if (self->steps > 0) shrink(self, view, paying_block(self));
  if (self->smo->block->count == 0) {
    *result = peri_dense_run(&self->whole, self->context, self->tol, peri_min(period, self->limit - self->steps),
                             &self->steps);
    self->drift = INFINITY; /* steps are not weighed: the gradient is rebuilt before it is believed */
    return PERI_OK;
  }
  return solve_block(self, result);
}

/* ---- decomposition: over rows that are computed ---- */

/* Keeps the largest values in a heap whose root is the smallest of them. */
static void heap_offer(double *value, int64_t *at, int64_t most, int64_t *count, double v, int64_t t) {
  int64_t hole;
  if (*count < most) {
    for (hole = (*count)++; hole > 0 && value[(hole - 1) / 2] > v; hole = (hole - 1) / 2) {
      value[hole] = value[(hole - 1) / 2];
      at[hole] = at[(hole - 1) / 2];
    }
  } else {
    if (most == 0 || v <= value[0]) return;
    hole = 0;
    for (int64_t child; (child = 2 * hole + 1) < most; hole = child) {
      if (child + 1 < most && value[child + 1] < value[child]) child++;
      if (value[child] >= v) break;
      value[hole] = value[child];
      at[hole] = at[child];
    }
  }
  value[hole] = v;
  at[hole] = t;
}

/* Adds to the block up to `most` variables of the segments first .. last that may move `way`, the most violating
 * first. */
static void choose_violating(solver *self, int64_t first, int64_t last, int8_t way, int64_t most, double beyond) {
  const peri_smo *smo = self->smo;
  const peri_dense *p = &self->whole;
  peri_smo_block *block = smo->block;
  int64_t count = 0, end = smo->segment[last].position + smo->segment[last].count;
  for (int64_t t = smo->segment[first].position; t < end; t++) {
    double v = way == PERI_SVM_UP ? -peri_dense_up_slope(p, t) : peri_dense_down_slope(p, t);
    if ((smo->state[t] & way) && !block->chosen[t] && v > beyond) {
      heap_offer(block->heap_value, block->heap_at, most, &count, v, t);
    }
  }
  for (int64_t h = 0; h < count; h++) {
    block->chosen[block->heap_at[h]] = 1;
    block->member[block->count++] = block->heap_at[h];
  }
}

/* Keeps up to `most` of the previous block, free variables before others, newest first. */
static void choose_kept(solver *self, int64_t kept, int64_t most) {
  const peri_smo *smo = self->smo;
  peri_smo_block *block = smo->block;
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t r = kept - 1; r >= 0 && block->count < most; r--) {
      int64_t t = block->kept[r];
      if (t < 0) continue;
      if (block->chosen[t] || peri_dense_is_free(&self->whole, t) != (pass == 0)) continue;
      block->chosen[t] = 1;
      block->member[block->count++] = t;
    }
  }
}

/* The next block: the most violating pair always, half of the block new, the rest from the last one. */
static void choose_block(solver *self, const peri_dense_view *view) {
  const peri_smo *smo = self->smo;
  peri_smo_block *block = smo->block;
  int64_t groups = smo->separate ? smo->segments : 1, kept = block->count;
  int64_t each = peri_max((kept == 0 ? block->most : block->most / 2) / (2 * groups), 1);
  memcpy(block->kept, block->member, (size_t)kept * sizeof *block->kept);
  memset(block->chosen, 0, (size_t)smo->n);
  block->count = 0;
  for (int64_t g = 0; g < groups; g++) {
    int64_t last = smo->separate ? g : smo->segments - 1;
    choose_violating(self, g, last, PERI_SVM_UP, each, -view->of[g].down);
    choose_violating(self, g, last, PERI_SVM_DOWN, each, view->of[g].up);
  }
  choose_kept(self, kept, block->most);
}

static peri_status round_over_rows(solver *self, const peri_dense_view *view, peri_outcome *result) {
  double gap = peri_dense_gap(&self->whole, view);
  choose_block(self, view);
  PERI_TRY(gather(self));
  *result = run_block(self, fmax(0.5 * self->tol, 0.1 * gap));
  return scatter(self);
}

/* ---- the solution ---- */

/* The threshold of segments first .. last: the mean slope of free variables; with none, the middle of the
 * interval that the bounds allow, or its finite end. */
static double threshold(const peri_dense *p, int64_t first, int64_t last, const peri_svm_extremes *e) {
  double sum = 0;
  int64_t count = 0, end = p->segment[last].position + p->segment[last].count;
  for (int64_t t = p->segment[first].position; t < end; t++) {
    if (!peri_dense_is_free(p, t)) continue;
    sum += peri_dense_up_slope(p, t);
    count++;
  }
  if (count > 0) return sum / (double)count;
  if (isinf(e->up)) return isinf(e->down) ? 0 : e->down;
  return isinf(e->down) ? e->up : (e->up + e->down) / 2;
}

static void conclude(const solver *self, const peri_dense_view *view, peri_smo_result *result) {
  const peri_smo *smo = self->smo;
  double objective = 0;
  for (int64_t t = 0; t < smo->n; t++)
    objective += 0.5 * smo->beta[t] * (smo->gradient[t] + smo->linear[t]) + smo->kink * fabs(smo->beta[t]);
  double gap = peri_dense_gap(&self->whole, view), tol = self->limits->tol;
  if (self->noise >= tol) gap = fmax(gap, self->noise);
  double of_values = self->whole.wide ? 1 : (double)(FLT_EPSILON / DBL_EPSILON);
  *result = (peri_smo_result){.iterations = self->steps,
                              .gap = gap > 0 ? gap : 0,
                              .least = fmin(view->of[0].up, view->of[smo->segments - 1].up),
                              .noise = self->noise * of_values,
                              .objective = objective,
                              .converged = gap < tol,
                              .limited = self->ended || self->steps >= self->limit};
  for (int64_t s = 0; s < PERI_SMO_SEGMENTS; s++) {
    int64_t one = peri_min(s, smo->segments - 1);
    result->rho[s] = smo->separate ? threshold(&self->whole, one, one, &view->of[one])
                                   : threshold(&self->whole, 0, smo->segments - 1, &view->of[0]);
  }
  if (!isfinite(result->objective)) result->gap = INFINITY, result->converged = false;
}

/* Whether rounds have stopped to lower the gap so near the rounding error that they will not. */
typedef struct patience {
  double best, stuck;
  int rounds;
} patience;

static bool is_hopeless(const solver *self, patience *p, double gap, bool stuck) {
  if (is_lost(self, gap, self->noise)) return true;
  if (stuck) { /* no step changes anything: a gradient computed anew may, as long as that halves the gap */
    if (!(gap < 0.5 * p->stuck)) return true;
    p->stuck = gap;
  }
  if (gap < 0.9 * p->best) {
    p->best = gap;
    p->rounds = 0;
  }
  return p->rounds++ > PATIENCE && gap < NEAR * self->noise;
}

/* Rounds until the gap is below tol. A gap that updated gradients show is believed when one computed anew shows
 * it too. */
static peri_status solve(solver *self, peri_dense_view *view) {
  peri_outcome result = PERI_PAUSED;
  int denials = 0; /* how often a rebuilt gradient has contradicted the updated one */
  bool polished = !self->source->definite || self->source->matrix == NULL;
  patience waited = {.best = INFINITY, .stuck = INFINITY};
  for (;;) {
    self->noise = rounding_error(self, self->smo->n, self->smo->beta);
    self->tol = fmax(self->limits->tol, self->noise);
    *view = peri_dense_look(&self->whole);
    double gap = peri_dense_gap(&self->whole, view);
    bool reached = !(gap >= self->tol);
    bool over = reached || self->steps >= self->limit || !goes_on(self, gap);
    if ((over || result == PERI_STUCK) && self->drift > 0.01 * self->tol) {
      PERI_TRY(rebuild_gradient(self));
      *view = peri_dense_look(&self->whole);
      gap = peri_dense_gap(&self->whole, view);
      if (reached && gap >= self->tol && denials++ < DENIALS) over = false;
    }
    if (over && reached && !polished && self->steps > 0) {
      polished = true;
      PERI_TRY(polish(self, view));
      continue;
    }
    if (over || is_hopeless(self, &waited, gap, result == PERI_STUCK)) return PERI_OK;
    if (self->source->matrix != NULL)
      PERI_TRY(round_over_matrix(self, view, &result));
    else
      PERI_TRY(round_over_rows(self, view, &result));
    if (peri_cancelled(self->context)) return PERI_ERR_CANCELLED;
  }
}

peri_status peri_smo_solve(peri_context *context, peri_row_source *source, peri_smo *smo, bool warm,
                           const peri_smo_limits *limits, peri_smo_result *result) {
  solver self = {.context = context, .source = source, .smo = smo, .limits = limits, .limit = limits->max_iter};
  self.whole = (peri_dense){.kernels = context->kernels->svm,
                            .wide = peri_is_wide(source->dtype),
                            .separate = smo->separate,
                            .kink = smo->kink,
                            .segments = smo->segments,
                            .gradient = smo->gradient,
                            .beta = smo->beta,
                            .low = smo->low,
                            .high = smo->high,
                            .diagonal = smo->diagonal,
                            .state = smo->state,
                            .number = smo->number,
                            .matrix = source->matrix,
                            .row_bytes = source->ld * (int64_t)peri_float_size(source->dtype)};
  memcpy(self.whole.segment, smo->segment, sizeof smo->segment);
  for (int64_t t = 0; t < smo->n; t++) {
    smo->state[t] = peri_dense_state(&self.whole, t);
    self.scale = fmax(self.scale, fabs(smo->diagonal[t]));
    self.linear = fmax(self.linear, fabs(smo->linear[t]));
  }
  self.linear = fmax(self.linear, smo->kink);
  smo->block->count = 0;
  if (warm)
    self.drift = INFINITY;
  else
    PERI_TRY(rebuild_gradient(&self));
  peri_dense_view view;
  PERI_TRY(solve(&self, &view));
  conclude(&self, &view, result);
  return PERI_OK;
}
