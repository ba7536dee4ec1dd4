/* Passes over the rows; see sweep.h. Pieces of rows are cut by the sizes alone, and their sums added in
 * order. */
#include "svm/linear/sweep.h"

/* To measure: ./dev bench parts linear. */
#define PIECE_WORK 262144.0 /* multiplications for which a piece is worth having */
#define PIECES     16
#define EACH_WORK  20000.0

peri_status peri_linear_slots_new(peri_linear_problem *p, int64_t slots, peri_linear_slots *out) {
  double work = (double)p->rows * (double)p->width * (double)slots / PIECE_WORK;
  *out = (peri_linear_slots){.problem = p, .slots = slots, .count = slots};
  out->pieces = work < 1 ? 1 : work > PIECES ? PIECES : (int64_t)work;
  PERI_TRY(peri_blocks_new(p->blocks, slots, sizeof *out->list, &out->list));
  for (int64_t s = 0; s < slots; s++) out->list[s] = s;
  return peri_blocks_new(p->blocks, out->pieces * slots * p->width, sizeof *out->partial, &out->partial);
}

/* ---- a piece ---- */

/* Listed slots that follow each other share each row's features. */
static void multiply_all(const peri_linear_sweep *s, int64_t first, int64_t count) {
  const peri_linear_slots *at = s->at;
  const peri_linear_problem *p = at->problem;
  for (int64_t i = first; i < first + count; i++) {
    const void *x = peri_linear_row(p, i);
    for (int64_t l = 0, run; l < at->count; l += run) {
      for (run = 1; l + run < at->count && at->list[l + run] == at->list[l] + run;) run++;
      int64_t slot = at->list[l];
      p->kernels->dots[p->wide](p->d, x, run, s->vectors + slot * p->width, p->width, s->products + slot * p->rows + i,
                                p->rows);
    }
  }
}

static void multiply_some(const peri_linear_sweep *s, int64_t slot, int64_t first, int64_t count) {
  const peri_linear_problem *p = s->at->problem;
  for (int64_t i = first; i < first + count; i++) {
    int64_t at = slot * p->rows + i;
    if (s->only[at] == 0) continue;
    p->kernels->dots[p->wide](p->d, peri_linear_row(p, i), 1, s->vectors + slot * p->width, 0, s->products + at, 1);
  }
}

static void add_constant(const peri_linear_sweep *s, int64_t slot, int64_t first, int64_t count) {
  const peri_linear_problem *p = s->at->problem;
  if (p->constant == 0) return;
  double add = s->vectors[slot * p->width + p->d] * p->constant, *products = s->products + slot * p->rows + first;
  for (int64_t i = 0; i < count; i++) products[i] += add;
}

static void add_back(const peri_linear_sweep *s, int64_t slot, int64_t first, int64_t count, double *sum) {
  const peri_linear_problem *p = s->at->problem;
  double coef[PERI_LINEAR_BLOCK], total = 0, constant = s->squares ? p->constant * p->constant : p->constant;
  const void *row[PERI_LINEAR_BLOCK];
  int64_t used = 0;
  s->coefficients(s->arg, slot, first, count, coef);
  for (int64_t i = 0; i < count; i++) {
    if (coef[i] == 0) continue;
    total += coef[i];
    coef[used] = coef[i];
    row[used++] = peri_linear_row(p, first + i);
  }
  if (p->constant > 0) sum[p->d] += total * constant;
  if (!s->squares) {
    p->kernels->add_rows[p->wide](p->d, used, row, coef, sum);
  } else {
    for (int64_t i = 0; i < used; i++) p->kernels->add_squares[p->wide](p->d, row[i], coef[i], sum);
  }
}

static void block(const peri_linear_sweep *s, int64_t piece, int64_t first, int64_t count) {
  const peri_linear_slots *at = s->at;
  if (s->vectors != NULL && s->only == NULL) multiply_all(s, first, count);
  for (int64_t l = 0; l < at->count; l++) {
    int64_t slot = at->list[l];
    if (s->vectors != NULL && s->only != NULL) multiply_some(s, slot, first, count);
    if (s->vectors != NULL) add_constant(s, slot, first, count);
    if (s->sums != NULL) {
      add_back(s, slot, first, count, at->partial + (piece * at->slots + slot) * at->problem->width);
    }
  }
}

static void sweep_body(void *arg, int64_t piece) {
  const peri_linear_sweep *s = arg;
  const peri_linear_slots *at = s->at;
  const peri_linear_problem *p = at->problem;
  int64_t first = p->rows * piece / at->pieces, end = p->rows * (piece + 1) / at->pieces;
  int64_t poll = peri_linear_poll(p->width * at->slots) / PERI_LINEAR_BLOCK + 1;
  for (int64_t l = 0; s->sums != NULL && l < at->count; l++) {
    double *sum = at->partial + (piece * at->slots + at->list[l]) * p->width;
    memset(sum, 0, (size_t)p->width * sizeof *sum);
  }
  for (int64_t b = 0; first < end; b++, first += PERI_LINEAR_BLOCK) {
    if (b % poll == 0 && peri_cancelled(p->context)) return;
    block(s, piece, first, peri_min(PERI_LINEAR_BLOCK, end - first));
  }
}

/* ---- the whole ---- */

static void reduce_body(void *arg, int64_t slot) {
  const peri_linear_sweep *s = arg;
  const peri_linear_slots *at = s->at;
  int64_t width = at->problem->width;
  double *sum = s->sums + slot * width;
  memcpy(sum, at->partial + slot * width, (size_t)width * sizeof *sum);
  for (int64_t piece = 1; piece < at->pieces; piece++) {
    const double *part = at->partial + (piece * at->slots + slot) * width;
    for (int64_t j = 0; j < width; j++) sum[j] += part[j];
  }
}

peri_status peri_linear_sweep_run(const peri_linear_sweep *sweep) {
  peri_linear_sweep s = *sweep;
  PERI_TRY(peri_parallel(s.at->problem->context, s.at->pieces, sweep_body, &s));
  if (s.sums == NULL) return PERI_OK;
  return peri_linear_each(s.at, (double)s.at->pieces * (double)s.at->problem->width, reduce_body, &s);
}

typedef struct each {
  const peri_linear_slots *at;
  peri_body body;
  void *arg;
} each;

static void one_body(void *arg, int64_t piece) {
  const each *e = arg;
  e->body(e->arg, e->at->list[piece]);
}

static void every_body(void *arg, int64_t piece) {
  (void)piece;
  const each *e = arg;
  for (int64_t l = 0; l < e->at->count; l++) e->body(e->arg, e->at->list[l]);
}

peri_status peri_linear_each(const peri_linear_slots *at, double work, peri_body body, void *arg) {
  each e = {.at = at, .body = body, .arg = arg};
  if (work < EACH_WORK) return peri_parallel(at->problem->context, 1, every_body, &e);
  return peri_parallel(at->problem->context, at->count, one_body, &e);
}
