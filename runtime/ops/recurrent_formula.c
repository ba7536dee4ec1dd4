/* The gradient of recurrent cells over sequences as a formula: the steps are taken again, one by one, and then back. */
#include "ops/recurrent.h"

#include "product/sequence.h"

/* A step: which rows have it, the state before it, and what its gradient asks for. */
typedef struct moment {
  int64_t t;
  peri_value mask, h, c;
  peri_value gate[4], scaled, bent; /* as they are kept (kernels/rows.h), and tanh(c) */
} moment;

typedef struct walk {
  peri_backward *B;
  int64_t steps, batch, hidden, gates;
  int cell;
  const int64_t *lengths;
  peri_value x, weight, bias;
  moment *moments;        /* in the order of the sequence */
  peri_tensor **gradient; /* of x, by step */
} walk;

#define NOTHING peri_constant(0)
static bool is_tensor(peri_value v) { return v.tensor != NULL; }

/* 1 - v v, the derivative of tanh, and v (1 - v), that of the sigmoid */
static peri_value slope_tanh(peri_backward *B, peri_value v) {
  return peri_step_sub(B, peri_constant(1), peri_step_mul(B, v, v));
}
static peri_value slope_sigmoid(peri_backward *B, peri_value v) {
  return peri_step_mul(B, v, peri_step_sub(B, peri_constant(1), v));
}

/* The part of a gate. */
static peri_value part(const walk *w, peri_value v, int gate) {
  return w->gates == 1 ? v : peri_step_narrow(w->B, v, 1, gate * w->hidden, w->hidden);
}

/* Which rows go on at t, batch x 1 of bools; nothing where all do. */
static peri_value mask_at(const walk *w, int64_t t) {
  peri_layout layout;
  peri_tensor *mask = NULL;
  if (w->lengths == NULL || w->B->formula->status != PERI_OK) return NOTHING;
  peri_layout_set(&layout, PERI_BOOL, 2, (int64_t[]){w->batch, 1});
  peri_status status = peri_tensor_empty(w->B->context, &layout, &mask);
  for (int64_t i = 0; status == PERI_OK && i < w->batch; i++) mask->data[i] = t < w->lengths[i];
  return peri_formula_own(w->B, status, mask);
}
static peri_value choose(const walk *w, peri_value mask, peri_value on, peri_value off) {
  return is_tensor(mask) ? peri_step_where(w->B, mask, on, off) : on;
}

/* ---- forward ---- */

static void advance(walk *w, moment *m, peri_value *h, peri_value *c) {
  peri_backward *B = w->B;
  m->mask = mask_at(w, m->t);
  m->h = *h, m->c = *c;
  peri_value x = peri_step_narrow(B, w->x, 0, m->t, 1);
  x = peri_step_reshape(B, x, 2, (int64_t[]){w->batch, w->gates * w->hidden});
  peri_value p = peri_step_matmul(B, *h, w->weight, false, true);
  if (is_tensor(w->bias)) p = peri_step_add(B, p, w->bias);
  if (w->cell == PERI_CELL_LSTM) {
    peri_value sum = peri_step_add(B, x, p);
    for (int g = 0; g < 4; g++) m->gate[g] = part(w, sum, g);
    for (int g = 0; g < 4; g++) m->gate[g] = g == 2 ? peri_step_tanh(B, m->gate[g]) : peri_step_sigmoid(B, m->gate[g]);
    peri_value next = peri_step_add(B, peri_step_mul(B, m->gate[1], *c), peri_step_mul(B, m->gate[0], m->gate[2]));
    m->bent = peri_step_tanh(B, next);
    *c = choose(w, m->mask, next, *c);
    *h = choose(w, m->mask, peri_step_mul(B, m->gate[3], m->bent), *h);
  } else if (w->cell == PERI_CELL_GRU) {
    for (int g = 0; g < 2; g++) m->gate[g] = peri_step_sigmoid(B, peri_step_add(B, part(w, x, g), part(w, p, g)));
    m->scaled = part(w, p, 2);
    m->gate[2] = peri_step_tanh(B, peri_step_add(B, part(w, x, 2), peri_step_mul(B, m->gate[0], m->scaled)));
    peri_value change = peri_step_mul(B, m->gate[1], peri_step_sub(B, *h, m->gate[2]));
    *h = choose(w, m->mask, peri_step_add(B, m->gate[2], change), *h);
  } else {
    peri_value sum = peri_step_add(B, x, p);
    m->gate[0] = w->cell == PERI_CELL_TANH ? peri_step_tanh(B, sum) : peri_step_relu(B, sum);
    *h = choose(w, m->mask, m->gate[0], *h);
  }
}

/* ---- back: g arrives at the new h. Each gives the gradients of the gates of x, and of those of the state where they
 * are others, and what reaches the state before directly. ---- */

static void back_lstm(walk *w, const moment *m, peri_value g, peri_value *gc, peri_value *gates) {
  peri_backward *B = w->B;
  const peri_value *gate = m->gate, slope = slope_tanh(B, m->bent);
  peri_value g_cell = choose(w, m->mask, *gc, NOTHING);
  g_cell = peri_step_add(B, g_cell, peri_step_mul(B, peri_step_mul(B, g, gate[3]), slope));
  gates[0] = peri_step_mul(B, peri_step_mul(B, g_cell, gate[2]), slope_sigmoid(B, gate[0]));
  gates[1] = peri_step_mul(B, peri_step_mul(B, g_cell, m->c), slope_sigmoid(B, gate[1]));
  gates[2] = peri_step_mul(B, peri_step_mul(B, g_cell, gate[0]), slope_tanh(B, gate[2]));
  gates[3] = peri_step_mul(B, peri_step_mul(B, g, m->bent), slope_sigmoid(B, gate[3]));
  peri_value kept = is_tensor(m->mask) ? peri_step_where(B, m->mask, NOTHING, *gc) : NOTHING;
  *gc = peri_step_add(B, peri_step_mul(B, g_cell, gate[1]), kept);
}

static void back_gru(walk *w, const moment *m, peri_value g, peri_value *gates, peri_value *of_state, peri_value *gh) {
  peri_backward *B = w->B;
  const peri_value *gate = m->gate;
  peri_value rest = peri_step_sub(B, peri_constant(1), gate[1]);
  gates[2] = peri_step_mul(B, peri_step_mul(B, g, rest), slope_tanh(B, gate[2]));
  gates[1] = peri_step_mul(B, peri_step_mul(B, g, peri_step_sub(B, m->h, gate[2])), slope_sigmoid(B, gate[1]));
  gates[0] = peri_step_mul(B, peri_step_mul(B, gates[2], m->scaled), slope_sigmoid(B, gate[0]));
  *of_state = peri_step_mul(B, gates[2], gate[0]);
  *gh = peri_step_mul(B, g, gate[1]);
}

static void back_simple(walk *w, const moment *m, peri_value g, peri_value *gates) {
  peri_backward *B = w->B;
  if (w->cell == PERI_CELL_TANH)
    gates[0] = peri_step_mul(B, g, slope_tanh(B, m->gate[0]));
  else
    gates[0] = peri_step_where(B, peri_step_gt(B, m->gate[0], peri_constant(0)), g, NOTHING);
}

static peri_value together(const walk *w, const peri_value *gates) {
  peri_value all = gates[0];
  for (int g = 1; g < w->gates && w->B->formula->status == PERI_OK; g++) all = peri_step_cat(w->B, all, gates[g], 1);
  return all;
}

typedef struct totals {
  peri_value gh, gc, weight, bias;
} totals;

static void retreat(walk *w, const moment *m, totals *sum) {
  peri_backward *B = w->B;
  peri_value g = sum->gh, gates[4], of_state = NOTHING, direct = NOTHING;
  peri_value kept = is_tensor(m->mask) ? peri_step_where(B, m->mask, NOTHING, sum->gh) : NOTHING;
  if (B->grad_outputs[0] != NULL) {
    peri_value gy = peri_step_narrow(B, peri_of(B->grad_outputs[0]), 0, m->t, 1);
    g = peri_step_add(B, peri_step_reshape(B, gy, 2, (int64_t[]){w->batch, w->hidden}), g);
  }
  g = choose(w, m->mask, g, NOTHING);
  if (w->cell == PERI_CELL_LSTM)
    back_lstm(w, m, g, &sum->gc, gates);
  else if (w->cell == PERI_CELL_GRU)
    back_gru(w, m, g, gates, &of_state, &direct);
  else
    back_simple(w, m, g, gates);
  peri_value gx = together(w, gates), gp = gx;
  if (w->cell == PERI_CELL_GRU) gates[2] = of_state, gp = together(w, gates);
  sum->gh = peri_step_add(B, peri_step_matmul(B, gp, w->weight, false, false), peri_step_add(B, direct, kept));
  sum->weight = peri_step_add(B, peri_step_matmul(B, gp, m->h, true, false), sum->weight);
  sum->bias = peri_step_add(B, peri_step_sum(B, gp, 1, (int64_t[]){0}, false), sum->bias);
  w->gradient[m->t] = gx.tensor;
}

/* ---- the whole ---- */

static peri_value zeros(peri_backward *B, int64_t batch, int64_t hidden) {
  peri_layout layout;
  peri_tensor *state = NULL;
  peri_layout_set(&layout, B->layouts[0]->dtype, 2, (int64_t[]){batch, hidden});
  peri_status status = peri_tensor_full(B->context, &layout, 0, &state);
  return peri_formula_fixed(B, status, state);
}

static peri_value joined(walk *w) {
  peri_call call;
  if (w->B->formula->status != PERI_OK) return NOTHING;
  peri_step_open(w->B, &call, &peri_op_cat, 0, NULL);
  call.args[0].given = true;
  call.args[0].tensors = w->gradient;
  call.args[0].count = (int)w->steps;
  call.args[1].integer = 0;
  peri_value all = peri_step_run(w->B, &call);
  return peri_step_reshape(w->B, all, 3, w->B->layouts[PERI_SEQUENCE_X]->shape);
}

static void answer(peri_backward *B, int edge, peri_value value) {
  if (edge < B->edges && B->needs[edge]) peri_answer(B, edge, value);
}

static void go(walk *w) {
  peri_backward *B = w->B;
  const bool lstm = w->cell == PERI_CELL_LSTM;
  peri_value h = peri_of(B->args[PERI_SEQUENCE_H].tensor), c = NOTHING;
  if (lstm) c = peri_of(B->args[PERI_SEQUENCE_C].tensor);
  if (!is_tensor(h)) h = zeros(B, w->batch, w->hidden);
  if (lstm && !is_tensor(c)) c = zeros(B, w->batch, w->hidden);
  for (int64_t i = 0; i < w->steps; i++) {
    w->moments[i] = (moment){.t = B->note[PERI_NOTE_REVERSE] ? w->steps - 1 - i : i};
    advance(w, &w->moments[i], &h, &c);
  }
  totals sum = {NOTHING, NOTHING, NOTHING, NOTHING};
  if (B->grad_outputs[1] != NULL) sum.gh = peri_of(B->grad_outputs[1]);
  if (lstm && B->grad_outputs[2] != NULL) sum.gc = peri_of(B->grad_outputs[2]);
  for (int64_t i = w->steps - 1; i >= 0; i--) retreat(w, &w->moments[i], &sum);
  if (w->steps > 0) answer(B, PERI_SEQUENCE_X, joined(w));
  answer(B, PERI_SEQUENCE_WEIGHT, sum.weight);
  answer(B, PERI_SEQUENCE_BIAS, sum.bias);
  answer(B, PERI_SEQUENCE_H, sum.gh);
  if (lstm) answer(B, PERI_SEQUENCE_C, sum.gc);
}

peri_status peri_sequence_formula(peri_backward *B) {
  const int64_t *note = B->note;
  peri_tensor *lengths = B->args[note[PERI_NOTE_LENGTHS]].tensor, *own = NULL;
  walk w = {.B = B,
            .steps = note[PERI_NOTE_STEPS],
            .batch = note[PERI_NOTE_BATCH],
            .hidden = note[PERI_NOTE_HIDDEN],
            .cell = (int)note[PERI_NOTE_CELL],
            .x = peri_of(B->args[PERI_SEQUENCE_X].tensor),
            .weight = peri_of(B->args[PERI_SEQUENCE_WEIGHT].tensor),
            .bias = peri_of(B->args[PERI_SEQUENCE_BIAS].tensor)};
  const size_t each = sizeof(moment) + sizeof(peri_tensor *);
  void *memory = NULL;
  w.gates = peri_sequence_gates(w.cell);
  if (lengths != NULL) PERI_TRY(peri_tensor_contiguous(lengths, &own));
  if (own != NULL) w.lengths = (const int64_t *)(const void *)own->data;
  peri_status status = peri_alloc_array(B->context, (size_t)w.steps, each, &memory);
  if (status == PERI_OK) {
    w.moments = memory;
    w.gradient = (peri_tensor **)(void *)(w.moments + w.steps);
    go(&w);
  }
  peri_free(B->context, memory, (size_t)w.steps * each);
  peri_tensor_release(&own);
  return status;
}
