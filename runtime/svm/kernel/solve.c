/* Solving all machines of a problem; see solve.h. */
#include "svm/kernel/solve.h"

#include "svm/kernel/platt.h"

#include <math.h>

/* Matrix elements of all machines below which the team is not woken. To measure: ./dev bench parts machines. */
#define SERIAL_WORK 1e6

typedef struct worker {
  peri_smo smo;
  peri_row_source pair; /* the matrix of the pair at work, where pairs have their own */
  double *decision;     /* rows */
  bool *positive;       /* rows */
} worker;

typedef struct solver {
  peri_problem *problem;
  double deadline;
  peri_turns *turns;    /* of the items */
  int64_t count, items; /* of C; of machines that can be solved at a time */
  peri_solution *solutions;
  const int64_t *platt_fold;
  worker *workers;
  char *scratch; /* for the matrices of pairs */
  /* held-out rows */
  const int64_t *fold;
  const double *Cs;
  double *decisions;
  bool *converged; /* items */
  bool *none;      /* items: there is no such machine */
  /* progress */
  int64_t finished;
  peri_svm_verdict verdict;
} solver;

/* ---- progress and time ---- */

static void report(solver *self, int64_t steps, double gap) {
  const peri_svm_options *o = self->problem->options;
  if (o->progress == NULL || self->verdict != PERI_SVM_GO_ON) return;
  peri_svm_progress state = {
      .machine = self->finished, .machines = self->items * self->count, .iterations = steps, .gap = gap};
  self->verdict = o->progress(o->progress_arg, &state);
  if (self->verdict == PERI_SVM_ENOUGH) self->turns->deadline = 0;
}

static bool go_on(void *arg, int64_t steps, double gap) {
  solver *self = arg;
  report(self, steps, gap);
  return self->verdict == PERI_SVM_GO_ON;
}

static peri_smo_limits limits(const solver *self, bool serial, const peri_turn *turn) {
  const peri_svm_options *o = self->problem->options;
  bool asked = serial && o->progress != NULL;
  return (peri_smo_limits){
      .max_iter = o->max_iter, .turn = turn, .go_on = asked ? go_on : NULL, .arg = (void *)(uintptr_t)self};
}

/* One of the solves that share an item's time. */
static peri_status solve_programme(const solver *self, peri_programme *programme, bool warm, bool serial,
                                   peri_turns *turns, peri_programme_result *result) {
  peri_turn turn;
  peri_turn_begin(turns, &turn);
  peri_smo_limits end = limits(self, serial, &turn);
  peri_status status = peri_programme_solve(programme, warm, &end, result);
  peri_turn_end(&turn);
  return status;
}

/* ---- probabilities ---- */

/* Adds the decisions of a fold's rows, or of all rows of the pair. */
static int64_t keep_decisions(const solver *self, worker *w, const peri_programme *programme,
                              const peri_programme_result *result, int64_t fold, int64_t n) {
  for (int64_t s = 0; s < 2; s++) {
    for (int64_t i = 0; i < w->smo.segment[s].count; i++) {
      if (fold >= 0 && self->platt_fold[programme->row[s] + i] != fold) continue;
      double f = peri_programme_decision(programme, result, s, i);
      w->decision[n] = isfinite(f) ? f : 0; /* a nu-SVC of classes that nothing separates */
      w->positive[n++] = s == 0;
    }
  }
  return n;
}

/* The sigmoid of a pair, from decisions on rows that the machine has not seen. `all` is the machine of all rows, solved
 * just now: where a class has too few of them for every fold, its own decisions tell how steep the sigmoid is, and
 * nothing tells another middle than 0. (Machines that have not seen a class, or hardly, are for the other one.) */
static peri_status fit_sigmoid(const solver *self, worker *w, const peri_programme *all, bool serial, peri_turns *turns,
                               peri_solved *out) {
  int64_t n = 0;
  if (peri_min(w->smo.segment[0].count, w->smo.segment[1].count) < PERI_PLATT_FOLDS) {
    n = keep_decisions(self, w, all, &out->result, -1, 0);
    peri_platt_fit_slope(n, w->decision, w->positive, &out->prob_a, &out->prob_b);
    return PERI_OK;
  }
  peri_programme programme = *all;
  programme.fold = self->platt_fold;
  for (int64_t fold = 0; fold < PERI_PLATT_FOLDS; fold++) {
    peri_programme_result result;
    programme.held = fold;
    peri_programme_begin(&programme);
    PERI_TRY(solve_programme(self, &programme, false, serial, turns, &result));
    n = keep_decisions(self, w, &programme, &result, fold, n);
  }
  peri_platt_fit(n, w->decision, w->positive, &out->prob_a, &out->prob_b);
  return PERI_OK;
}

/* ---- a machine ---- */

static void keep_beta(const solver *self, const peri_programme *programme, const peri_programme_result *result,
                      double *beta) {
  const peri_grouping *g = &self->problem->grouping;
  if (g->k == 0) {
    peri_programme_read(programme, result, -1, beta);
    return;
  }
  int64_t a, b;
  peri_classes_of_pair(g->k, programme->pair, &a, &b);
  peri_programme_read(programme, result, 0, beta + (b - 1) * g->rows);
  peri_programme_read(programme, result, 1, beta + a * g->rows);
}

/* Where the kernel values of a pair (or of all rows) come from. */
static peri_status begin_pair(const solver *self, worker *w, int64_t pair, bool serial, peri_row_source **source) {
  peri_problem *p = self->problem;
  const int64_t *start = p->grouping.start;
  int64_t a = 0, b = 0, stretches = p->grouping.k > 0 ? 2 : 1;
  *source = p->source;
  if (peri_problem_is_whole(p)) return PERI_OK;
  if (stretches == 2) peri_classes_of_pair(p->grouping.k, pair, &a, &b);
  int64_t count_a = start[a + 1] - start[a], count_b = start[b + 1] - start[b];
  const peri_stretch stretch[] = {{.first = start[a], .count = count_a, .at = 0},
                                  {.first = start[b], .count = count_b, .at = count_a}};
  if (!peri_problem_is_by_pair(p)) {
    peri_row_cache *cache = &p->cache[serial ? 0 : peri_worker()];
    peri_row_cache_begin(cache, stretches, stretch);
    *source = &cache->source;
    return PERI_OK;
  }
  *source = &w->pair;
  w->pair.ld = peri_gram_ld(count_a + count_b);
  return peri_gram_fill_part(p->context, &p->rows, stretches, stretch, serial, (void *)(uintptr_t)w->pair.matrix,
                             self->scratch);
}

/* The pair's machines, from the smallest C to the largest, each starting from the one before. */
static peri_status solve_pair(const solver *self, worker *w, int64_t pair, bool serial, const peri_turn *turn) {
  peri_programme programme = {.problem = self->problem, .smo = &w->smo, .pair = pair};
  PERI_TRY(begin_pair(self, w, pair, serial, &programme.source));
  bool warm = false;
  peri_turns turns;
  peri_turns_begin(&turns, INFINITY, turn, self->count * (self->platt_fold != NULL ? 1 + PERI_PLATT_FOLDS : 1));
  for (int64_t c = 0; c < self->count; c++) {
    peri_solved *out = &self->solutions[c].machine[pair];
    if (warm) {
      peri_programme_raise_C(&programme, self->solutions[c].C);
    } else {
      programme.C = self->solutions[c].C;
      peri_programme_begin(&programme);
    }
    PERI_TRY(solve_programme(self, &programme, warm, serial, &turns, &out->result));
    keep_beta(self, &programme, &out->result, self->solutions[c].beta);
    warm = !self->problem->options->probability && isfinite(out->result.smo.objective);
    if (self->platt_fold != NULL) PERI_TRY(fit_sigmoid(self, w, &programme, serial, &turns, out));
  }
  return PERI_OK;
}

/* ---- held-out rows ---- */

/* Adds the pair's decisions of the fold's rows, of whatever class, to all decisions. */
static void decide_held(const solver *self, const peri_programme *programme, const peri_programme_result *result,
                        double *sums, double *decisions) {
  const peri_problem *p = self->problem;
  const peri_smo *smo = programme->smo;
  bool wide = peri_is_wide(p->compute);
  int64_t rows = p->grouping.rows;
  memset(sums, 0, (size_t)rows * sizeof *sums);
  for (int64_t s = 0; s < smo->segments; s++) {
    for (int64_t i = 0; i < smo->segment[s].count; i++) {
      double b = smo->beta[smo->segment[s].position + i];
      if (b == 0) continue;
      const void *row = peri_at(p->compute, p->whole.matrix, p->whole.ld, programme->row[s] + i, 0);
      p->context->kernels->svm->axpy[wide](rows, sums, row, result->scale * b);
    }
  }
  for (int64_t t = 0; t < rows; t++) {
    if (programme->fold[t] == programme->held) decisions[t * p->pairs + programme->pair] = sums[t] - result->rho;
  }
}

static peri_status solve_fold(const solver *self, worker *w, int64_t item, bool serial, const peri_turn *turn) {
  const peri_problem *p = self->problem;
  peri_programme programme = {.problem = p,
                              .source = p->source,
                              .smo = &w->smo,
                              .pair = item % p->pairs,
                              .C = self->Cs[0],
                              .fold = self->fold,
                              .held = item / p->pairs};
  peri_turns turns;
  peri_turns_begin(&turns, INFINITY, turn, self->count);
  self->converged[item] = true;
  for (int64_t c = 0; c < self->count; c++) {
    peri_programme_result result;
    if (c == 0)
      peri_programme_begin(&programme);
    else
      peri_programme_raise_C(&programme, self->Cs[c]);
    PERI_TRY(solve_programme(self, &programme, c > 0, serial, &turns, &result));
    self->converged[item] = self->converged[item] && result.smo.converged;
    self->none[item] = self->none[item] || isinf(result.scale) || !isfinite(result.smo.gap);
    decide_held(self, &programme, &result, w->decision, self->decisions + c * p->grouping.rows * p->pairs);
  }
  return PERI_OK;
}

/* ---- the team ---- */

static peri_status solve_item(const solver *self, worker *w, int64_t item, bool serial) {
  peri_turn turn;
  peri_turn_begin(self->turns, &turn);
  peri_status status =
      self->fold != NULL ? solve_fold(self, w, item, serial, &turn) : solve_pair(self, w, item, serial, &turn);
  peri_turn_end(&turn);
  return status;
}

typedef struct wave {
  const solver *solver;
  int64_t from;
} wave;

static void item_body(void *arg, int64_t piece) {
  const wave *job = arg; /* over a matrix it can only be cancelled, which the team reports */
  (void)solve_item(job->solver, &job->solver->workers[peri_worker()], job->from + piece, false);
}

/* Without progress all items are one job of the team; with it, a few at a time. */
static peri_status solve_parallel(solver *self, int64_t workers) {
  const peri_problem *p = self->problem;
  int64_t size = self->problem->options->progress == NULL ? self->items : workers;
  for (int64_t from = 0; from < self->items; from += size) {
    wave job = {.solver = self, .from = from};
    int64_t now = peri_min(size, self->items - from);
    PERI_TRY(peri_parallel(p->context, now, item_body, &job));
    self->finished += now * self->count;
    report(self, 0, 0);
    if (self->verdict == PERI_SVM_ABORT) break;
  }
  return PERI_OK;
}

/* One machine after the other: with few of them, rows that are computed take the team for themselves. */
static peri_status solve_serial(solver *self) {
  peri_problem *p = self->problem;
  for (int64_t item = 0; item < self->items; item++) {
    peri_status status = solve_item(self, &self->workers[0], item, true);
    if (status == PERI_ERR_CANCELLED) return peri_check_cancel(p->context);
    PERI_TRY(status);
    self->finished += self->count;
    report(self, 0, 0);
    if (self->verdict == PERI_SVM_ABORT) break;
  }
  return PERI_OK;
}

/* Bytes of the matrix of the largest pair. */
static size_t pair_bytes(const peri_problem *p) {
  int64_t n = p->pair.capacity;
  return (size_t)(n * peri_gram_ld(n)) * peri_float_size(p->compute);
}

/* How many machines are solved at a time: one for each thread, unless their matrices or caches are to be had one after
 * the other; 1: the team works on one. The results are the same. */
static int64_t count_workers(const solver *self, int64_t most) {
  const peri_problem *p = self->problem;
  double work = (double)self->items * (double)most * (double)most;
  int64_t workers = peri_min(peri_threads(p->context), self->items);
  if (p->caches > 0) return p->caches;
  if (workers == 1 || work < SERIAL_WORK) return 1;
  bool fit = (double)workers * ((double)pair_bytes(p) + p->source->spare) <= p->options->cache_size * 0x1p20;
  return peri_problem_is_whole(p) || fit ? workers : 1;
}

/* A matrix for each worker, where pairs have their own. */
static peri_status place_matrices(solver *self, int64_t workers) {
  peri_problem *p = self->problem;
  char *matrices;
  if (!peri_problem_is_by_pair(p)) return PERI_OK;
  PERI_TRY(peri_blocks_new(&p->blocks, workers, pair_bytes(p), &matrices));
  PERI_TRY(peri_blocks_new(&p->blocks, peri_threads(p->context), peri_gram_part_scratch(p->context, &p->rows),
                           &self->scratch));
  p->pair.matrix = matrices;
  for (int64_t w = 0; w < workers; w++) {
    self->workers[w].pair = p->pair;
    self->workers[w].pair.matrix = matrices + (size_t)w * pair_bytes(p);
  }
  return PERI_OK;
}

static peri_status solve_items(solver *self) {
  peri_problem *p = self->problem;
  peri_context *context = p->context;
  int64_t most = peri_programme_most(p), rows = p->grouping.rows;
  bool decide = self->fold != NULL || self->platt_fold != NULL;
  p->source->spare /= (double)self->items; /* not by workers: what is copied must not depend on the team */
  int64_t workers = count_workers(self, most);
  bool parallel = workers > 1;
  char *workspace;
  PERI_TRY(peri_blocks_new_zeroed(&p->blocks, workers, sizeof *self->workers, &self->workers));
  PERI_TRY(place_matrices(self, workers));
  size_t bytes = peri_smo_bytes(most, p->source);
  PERI_TRY(peri_blocks_new(&p->blocks, workers, bytes, &workspace));
  for (int64_t w = 0; w < workers; w++) {
    peri_smo_place(&self->workers[w].smo, most, p->source, workspace + (size_t)w * bytes);
    self->workers[w].smo.team = !parallel;
  }
  if (decide) {
    double *decision;
    bool *positive;
    PERI_TRY(peri_blocks_new(&p->blocks, workers * rows, sizeof *decision, &decision));
    PERI_TRY(peri_blocks_new(&p->blocks, workers * rows, sizeof *positive, &positive));
    for (int64_t w = 0; w < workers; w++) {
      self->workers[w].decision = decision + w * rows;
      self->workers[w].positive = positive + w * rows;
    }
  }
  peri_turns turns;
  peri_turns_begin(&turns, self->deadline, NULL, self->items);
  self->turns = &turns;
  PERI_TRY(parallel ? solve_parallel(self, workers) : solve_serial(self));
  if (self->verdict == PERI_SVM_ABORT)
    return peri_fail(context, PERI_ERR_CANCELLED, "%s: stopped by its progress function", p->who);
  return PERI_OK;
}

/* Each of `fits` fits has the time limit. */
static solver begin(peri_problem *p, int64_t count, int64_t fits) {
  double more = isinf(p->deadline) ? 0 : (double)(fits - 1) * p->options->time_limit;
  return (solver){.problem = p, .deadline = p->deadline + more, .count = count, .items = p->pairs};
}

/* Folds for probabilities: of each row in the problem's order. */
static peri_status prepare_folds(solver *self) {
  peri_problem *p = self->problem;
  const peri_grouping *g = &p->grouping;
  int64_t *fold, *label;
  PERI_TRY(peri_blocks_new(&p->blocks, g->rows, sizeof *fold, &fold));
  PERI_TRY(peri_blocks_new(&p->blocks, g->rows, sizeof *label, &label));
  for (int64_t c = 0; c < g->k; c++) {
    for (int64_t t = g->start[c]; t < g->start[c + 1]; t++) label[t] = c;
  }
  self->platt_fold = fold;
  return peri_svm_folds(p->context, g->rows, label, PERI_PLATT_FOLDS, p->options->seed, fold);
}

peri_status peri_solve(peri_problem *p, int64_t count, peri_solution *solutions) {
  solver self = begin(p, count, count);
  int64_t stretch = peri_max(p->grouping.k - 1, 1) * p->grouping.rows;
  double *beta;
  peri_solved *machine;
  PERI_TRY(peri_blocks_new_zeroed(&p->blocks, count * stretch, sizeof *beta, &beta));
  PERI_TRY(peri_blocks_new_zeroed(&p->blocks, count * p->pairs, sizeof *machine, &machine));
  for (int64_t c = 0; c < count; c++) {
    solutions[c].beta = beta + c * stretch;
    solutions[c].machine = machine + c * p->pairs;
  }
  self.solutions = solutions;
  if (p->options->probability && p->grouping.k > 0) {
    PERI_TRY(prepare_folds(&self));
  }
  return solve_items(&self);
}

peri_status peri_solve_folds(peri_problem *p, int64_t folds, const int64_t *fold, int64_t count, const double *Cs,
                             double *decisions, bool *converged) {
  solver self = begin(p, count, folds * count);
  self.items = folds * p->pairs;
  self.fold = fold;
  self.Cs = Cs;
  self.decisions = decisions;
  PERI_TRY(peri_blocks_new_zeroed(&p->blocks, self.items, sizeof *self.converged, &self.converged));
  PERI_TRY(peri_blocks_new_zeroed(&p->blocks, self.items, sizeof *self.none, &self.none));
  PERI_TRY(solve_items(&self));
  *converged = true;
  for (int64_t item = 0; item < self.items; item++) {
    *converged = *converged && self.converged[item];
    if (self.none[item])
      return peri_fail(p->context, PERI_ERR_NUMERIC,
                       "%s: without fold %lld there is no machine: nothing separates the rows, or the numbers overflow",
                       p->who, (long long)(item / p->pairs) + 1);
  }
  return PERI_OK;
}
