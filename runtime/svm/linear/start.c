/* A start for squared losses: a few passes of dual coordinate descent (see dual.c for the dual).
 *
 * With b_i = y_i a_i (or the difference of a regression's two), w = sum b_i x_i, and D_i = 1 / (2 C_i), one step is
 *     b_i <- S(b_i - (w'x_i - y_i + D_i b_i) / (x_i'x_i + D_i),  epsilon / (x_i'x_i + D_i))
 * with S shrinking towards 0 (a regression) or keeping the sign of y_i (a classifier). After three passes the set
 * of rows that matter is about the final one, which spares Newton's method its expensive first half.
 * Several machines visit a row together, so that its features are read once for all of them. */
#include "svm/linear/start.h"

#include <math.h>

/* To measure: ./dev bench parts linear. */
#define PASSES   3
#define TOGETHER PERI_LINEAR_START_TOGETHER

typedef struct start {
  const peri_linear_slots *at;
  const int64_t *order; /* rows, PASSES times */
  double *w, *alpha;
} start;

static double shrunk(double b, double by) { return b > by ? b - by : b < -by ? b + by : 0; }

/* Row i of the slots from .. from + count - 1. */
static void visit(const start *s, int64_t from, int64_t count, int64_t i) {
  const peri_linear_problem *p = s->at->problem;
  const void *x = peri_linear_row(p, i);
  double f[TOGETHER], diagonal = 0.5 / p->bound[i], curvature = p->square[i] + diagonal;
  double *w = s->w + from * p->width;
  p->kernels->dots[p->wide](p->d, x, count, w, p->width, f, 1);
  for (int64_t r = 0; r < count; r++, w += p->width) {
    double *b = s->alpha + (from + r) * p->rows + i, y = peri_linear_target(p, s->at->first + from + r, i);
    double decision = f[r] + (p->constant > 0 ? p->constant * w[p->d] : 0);
    double next = *b - (decision - y + diagonal * *b) / curvature;
    next = p->targets != NULL ? shrunk(next, p->options->epsilon / curvature) : y * peri_larger(0, y * next);
    double change = next - *b;
    if (change == 0) continue;
    *b = next;
    p->kernels->add_rows[p->wide](p->d, 1, &x, &change, w);
    if (p->constant > 0) w[p->d] += p->constant * change;
  }
}

static void start_body(void *arg, int64_t piece) {
  const start *s = arg;
  const peri_linear_problem *p = s->at->problem;
  int64_t from = piece * TOGETHER, count = peri_min(TOGETHER, s->at->count - from);
  int64_t poll = peri_linear_poll(p->width * count);
  memset(s->alpha + from * p->rows, 0, (size_t)(count * p->rows) * sizeof *s->alpha);
  memset(s->w + from * p->width, 0, (size_t)(count * p->width) * sizeof *s->w);
  for (int64_t v = 0; v < PASSES * p->rows; v++) {
    if (v % poll == 0 && peri_linear_stop(p, p->turn)) return;
    visit(s, from, count, s->order[v]);
  }
}

peri_status peri_linear_start(const peri_linear_slots *at, double *w, double *alpha) {
  const peri_linear_problem *p = at->problem;
  peri_blocks blocks = {.context = p->context};
  int64_t *order;
  PERI_TRY(peri_blocks_new(&blocks, PASSES * p->rows, sizeof *order, &order));
  peri_stream stream = {.seed = p->options->seed};
  for (int64_t pass = 0; pass < PASSES; pass++) {
    int64_t *visits = order + pass * p->rows;
    for (int64_t i = 0; i < p->rows; i++) {
      int64_t other = (int64_t)peri_stream_below(&stream, (uint64_t)i + 1);
      visits[i] = visits[other];
      visits[other] = i;
    }
  }
  start s = {.at = at, .order = order, .w = w, .alpha = alpha};
  int64_t pieces = (at->count + TOGETHER - 1) / TOGETHER;
  peri_status status = peri_parallel(p->context, pieces, start_body, &s);
  peri_blocks_release(&blocks);
  return status;
}
