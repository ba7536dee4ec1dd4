/* The frame of recurrent cells; see sequence.h. */
#include "product/sequence.h"

#define ROWS 12 /* of a piece: those of a tile; to measure: ./dev bench nn */

typedef struct job {
  const peri_sequence *s;
  const peri_sequence_slope *g;
  const peri_context *context;
  int64_t size, gates, kept; /* bytes of an element; elements of a row at a step */
  const char *packed;        /* the weight */
  char *room;                /* ROWS x gates for each thread */
} job;

int64_t peri_sequence_gates(int cell) { return cell == PERI_CELL_LSTM ? 4 : cell == PERI_CELL_GRU ? 3 : 1; }
int64_t peri_sequence_kept(int cell, int64_t hidden) {
  return cell == PERI_CELL_LSTM ? 5 * hidden : cell == PERI_CELL_GRU ? 4 * hidden : 0;
}

/* Element `at` of an array that may be missing. */
static char *place(const job *j, const void *array, int64_t at) {
  return array == NULL ? NULL : (char *)array + at * j->size;
}

/* Whether the row has a step at t, and one before it, in the order of the sequence: which one. */
static bool has_step(const job *j, int64_t row, int64_t t) { return j->s->lengths == NULL || t < j->s->lengths[row]; }
static int64_t step_before(const job *j, int64_t row, int64_t t) {
  if (!j->s->reverse) return t - 1;
  return t + 1 < (j->s->lengths != NULL ? j->s->lengths[row] : j->s->steps) ? t + 1 : -1;
}

/* n states of a piece, of which `from` may be missing: zeros. */
static void copy_state(const job *j, int64_t row, int64_t n, const void *from, void *to) {
  const size_t bytes = (size_t)(n * j->s->hidden * j->size);
  char *target = place(j, to, row * j->s->hidden);
  if (from != NULL)
    memcpy(target, place(j, from, row * j->s->hidden), bytes);
  else
    memset(target, 0, bytes);
}

/* C = A W for the rows of a piece, or C += A W; the columns of W are packed. */
static void multiply(const job *j, int64_t rows, int64_t n, int64_t k, const void *a, void *c, bool add) {
  peri_multiply_by_packed(j->context, &(peri_product){.dtype = j->s->dtype,
                                                      .m = rows,
                                                      .n = n,
                                                      .k = k,
                                                      .a = {.data = a, .along = k, .step = 1},
                                                      .c = c,
                                                      .ldc = n,
                                                      .add = add,
                                                      .packed = j->packed});
}

/* ---- forward ---- */

static void run_row(const job *j, int64_t t, int64_t row, const void *product) {
  const peri_sequence *s = j->s;
  const int64_t at = t * s->batch + row, n = s->hidden;
  char *y = place(j, s->y, at * n);
  if (!has_step(j, row, t)) {
    memset(y, 0, (size_t)(n * j->size));
    return;
  }
  const peri_cell_row cell = {.n = n,
                              .x = place(j, s->x, at * j->gates),
                              .product = product,
                              .bias = s->bias,
                              .h = place(j, s->h_last, row * n),
                              .c = place(j, s->c_last, row * n),
                              .y = y,
                              .kept = place(j, s->kept, at * j->kept)};
  j->context->kernels->rows->cells->forward[s->cell][s->dtype](&cell);
}

static void run_piece(void *arg, int64_t piece) {
  const job *j = arg;
  const peri_sequence *s = j->s;
  const int64_t from = piece * ROWS, rows = peri_min(ROWS, s->batch - from);
  char *room = place(j, j->room, (int64_t)peri_worker() * ROWS * j->gates);
  copy_state(j, from, rows, s->h, s->h_last);
  if (s->c_last != NULL) copy_state(j, from, rows, s->c, s->c_last);
  for (int64_t i = 0; i < s->steps && !peri_cancelled(j->context); i++) {
    const int64_t t = s->reverse ? s->steps - 1 - i : i;
    multiply(j, rows, j->gates, s->hidden, place(j, s->h_last, from * s->hidden), room, false);
    for (int64_t r = 0; r < rows; r++) run_row(j, t, from + r, place(j, room, r * j->gates));
  }
}

/* ---- the gradient ---- */

/* What the cell's loop wants to know of the state before the step at `at`. */
static const void *state_before(const job *j, int64_t at, int64_t row, int64_t before) {
  const peri_sequence *s = j->s;
  const int64_t n = s->hidden, there = before * s->batch + row;
  if (s->cell == PERI_CELL_LSTM)
    return before >= 0 ? place(j, s->kept, there * j->kept + 4 * n) : place(j, s->c, row * n);
  return place(j, j->g->h_before, at * n);
}

static void slope_row(const job *j, int64_t t, int64_t row) {
  const peri_sequence *s = j->s;
  const int64_t at = t * s->batch + row, n = s->hidden, before = step_before(j, row, t);
  char *h_before = place(j, j->g->h_before, at * n), *gx = place(j, j->g->gx, at * j->gates),
       *gp = place(j, j->g->gp, at * j->gates);
  if (!has_step(j, row, t)) {
    memset(gx, 0, (size_t)(j->gates * j->size));
    memset(gp, 0, (size_t)(j->gates * j->size));
    memset(h_before, 0, (size_t)(n * j->size));
    return;
  }
  memcpy(h_before, before >= 0 ? place(j, s->y, (before * s->batch + row) * n) : place(j, s->h, row * n),
         (size_t)(n * j->size));
  const peri_cell_slope cell = {.n = n,
                                .gy = place(j, j->g->gy, at * n),
                                .y = place(j, s->y, at * n),
                                .kept = place(j, s->kept, at * j->kept),
                                .before = state_before(j, at, row, before),
                                .gh = place(j, j->g->gh, row * n),
                                .gc = place(j, j->g->gc, row * n),
                                .gx = gx,
                                .gp = gp};
  j->context->kernels->rows->cells->backward[s->cell][s->dtype](&cell);
}

static void slope_piece(void *arg, int64_t piece) {
  const job *j = arg;
  const peri_sequence *s = j->s;
  const int64_t from = piece * ROWS, rows = peri_min(ROWS, s->batch - from);
  for (int64_t i = 0; i < s->steps && !peri_cancelled(j->context); i++) {
    const int64_t t = s->reverse ? i : s->steps - 1 - i;
    for (int64_t r = 0; r < rows; r++) slope_row(j, t, from + r);
    multiply(j, rows, s->hidden, j->gates, place(j, j->g->gp, (t * s->batch + from) * j->gates),
             place(j, j->g->gh, from * s->hidden), true);
  }
}

/* ---- both ---- */

static peri_status run(peri_context *context, const peri_sequence *s, const peri_sequence_slope *g) {
  job j = {.s = s, .g = g, .context = context, .size = s->dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double)};
  j.gates = peri_sequence_gates(s->cell) * s->hidden;
  j.kept = peri_sequence_kept(s->cell, s->hidden);
  if (s->batch == 0 || s->hidden == 0) return PERI_OK;
  const peri_product weight = {.dtype = s->dtype,
                               .m = ROWS,
                               .n = g != NULL ? s->hidden : j.gates,
                               .k = g != NULL ? j.gates : s->hidden,
                               .b = s->weight};
  const size_t packed = peri_packed_bytes(context, &weight);
  const size_t bytes = packed + (size_t)(peri_threads(context) * ROWS * j.gates * j.size);
  void *memory;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j.packed = memory;
  j.room = (char *)memory + packed;
  peri_status status = peri_pack_columns(context, &weight, memory);
  if (status == PERI_OK)
    status =
        peri_parallel(context, (s->batch + ROWS - 1) / ROWS, PERI_TRAINS && g != NULL ? slope_piece : run_piece, &j);
  peri_free(context, memory, bytes);
  return status == PERI_OK ? peri_check_cancel(context) : status;
}

peri_status peri_sequence_run(peri_context *context, const peri_sequence *sequence) {
  return run(context, sequence, NULL);
}
peri_status peri_sequence_slopes(peri_context *context, const peri_sequence *sequence,
                                 const peri_sequence_slope *slopes) {
  return run(context, sequence, slopes);
}
