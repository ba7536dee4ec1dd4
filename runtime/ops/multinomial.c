/* multinomial: draws of positions by weights.
 *
 * With replacement, or of one, a number of [0, 1) times the sum of the weights lies within one of their running sums.
 * Without replacement each position gets an exponential number over its weight, and the smallest are drawn in their
 * order: this is drawing one after the other among those left (P. Efraimidis, P. Spirakis, "Weighted random sampling
 * with a reservoir", 2006). */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>

enum { NOTE_ROWS, NOTE_CATEGORIES, NOTE_DRAWS, NOTE_REPLACEMENT };

/* ---- checks ---- */

static peri_status check_row(peri_call *call, int64_t row, const double *weights, int64_t draws, bool replacement) {
  double sum = 0;
  int64_t possible = 0;
  for (int64_t i = 0; i < call->note[NOTE_CATEGORIES]; i++) {
    if (!(weights[i] >= 0 && weights[i] <= DBL_MAX)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight %lld of row %lld is %g (expected a finite number >= 0)",
                            (long long)i + 1, (long long)row + 1, weights[i]);
    }
    sum += weights[i];
    possible += weights[i] > 0;
  }
  if (draws == 0 || (possible > 0 && isfinite(sum) && (replacement || draws <= possible))) return PERI_OK;
  if (possible > 0 && isfinite(sum)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "n is %lld but row %lld has %lld weights above 0 (pass replacement = true)", (long long)draws,
                          (long long)row + 1, (long long)possible);
  }
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "the weights of row %lld have the sum %g (expected a finite sum > 0)",
                        (long long)row + 1, sum);
}

static peri_status infer_multinomial(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  int64_t draws = call->args[1].integer;
  PERI_TRY(peri_infer_float(call, 0));
  if (x->ndim < 1 || x->ndim > 2 || x->shape[x->ndim - 1] == 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weights is %s (expected a vector, or a matrix of rows)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  if (draws < 0) return peri_call_fail(call, PERI_ERR_ARGUMENT, "n is %lld (expected 0 or more)", (long long)draws);
  call->note[NOTE_ROWS] = x->ndim == 2 ? x->shape[0] : 1;
  call->note[NOTE_CATEGORIES] = x->shape[x->ndim - 1];
  call->note[NOTE_DRAWS] = draws;
  call->note[NOTE_REPLACEMENT] = call->args[2].integer || draws == 1;
  peri_tensor *own;
  PERI_TRY(peri_tensor_copy(call->args[0].tensor, PERI_FLOAT64, &own));
  peri_status status = PERI_OK;
  for (int64_t row = 0; row < call->note[NOTE_ROWS] && status == PERI_OK; row++) {
    const double *weights = (const double *)(const void *)own->data + row * call->note[NOTE_CATEGORIES];
    status = check_row(call, row, weights, draws, call->note[NOTE_REPLACEMENT]);
  }
  peri_tensor_release(&own);
  PERI_TRY(status);
  int64_t shape[2] = {call->note[NOTE_ROWS], draws};
  return peri_infer_output(call, 0, PERI_INT64, x->ndim, x->ndim == 2 ? shape : shape + 1);
}

/* ---- drawing ---- */

typedef struct drawing {
  int64_t categories, draws;
  double *weights; /* of each row; running sums where draws are with replacement */
  double *numbers; /* as many as draws, or as weights */
  int64_t *y;
} drawing;

/* The first running sum above the number, counted from 1. Behind it stand no smaller ones, and the last is above. */
static int64_t find_above(const double *sums, int64_t n, double number) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (sums[middle] > number) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low + 1;
}

static void draw_row(void *arg, int64_t row) {
  const drawing *d = arg;
  double *sums = d->weights + row * d->categories;
  const double *numbers = d->numbers + row * d->draws;
  for (int64_t i = 1; i < d->categories; i++) sums[i] += sums[i - 1];
  double total = sums[d->categories - 1];
  for (int64_t k = 0; k < d->draws; k++) {
    d->y[row * d->draws + k] = find_above(sums, d->categories, numbers[k] * total);
  }
}

/* The keys by which positions are drawn; those of weight 0 come behind all others. */
static void make_keys(void *arg, int64_t row) {
  const drawing *d = arg;
  const double *weights = d->weights + row * d->categories;
  double *keys = d->numbers + row * d->categories, largest = 0;
  for (int64_t i = 0; i < d->categories; i++) largest = peri_larger(largest, weights[i]);
  for (int64_t i = 0; i < d->categories; i++) {
    keys[i] = weights[i] > 0 ? peri_smaller(keys[i] / (weights[i] / largest), DBL_MAX) : HUGE_VAL;
  }
}

/* Keys sorted, of which the first positions are the draws. */
static peri_status draw_smallest(peri_call *call, const drawing *d, int64_t rows) {
  peri_tensor *index;
  int64_t n = d->categories;
  PERI_TRY(peri_tensor_shaped(call->context, call->op->name, PERI_INT64, 2, (int64_t[]){rows, n}, &index));
  int64_t *from = (int64_t *)(void *)index->data;
  peri_status status = peri_sort_rows(call->context, PERI_FLOAT64, rows, n, false, d->numbers, d->weights, from);
  for (int64_t row = 0; row < rows && status == PERI_OK; row++) {
    for (int64_t k = 0; k < d->draws; k++) d->y[row * d->draws + k] = from[row * n + k] + 1;
  }
  peri_tensor_release(&index);
  return status;
}

static peri_status draw_all(peri_call *call, const peri_tensor *weights, peri_tensor *numbers) {
  int64_t rows = call->note[NOTE_ROWS], n = numbers->layout.numel;
  drawing d = {call->note[NOTE_CATEGORIES], call->note[NOTE_DRAWS], (double *)(void *)weights->data,
               (double *)(void *)numbers->data, (int64_t *)(void *)call->outputs[0].tensor->data};
  uint64_t seed = call->stream->seed, first = peri_stream_take(call->stream, peri_random_blocks(PERI_FLOAT64, n));
  if (call->note[NOTE_REPLACEMENT]) {
    PERI_TRY(peri_fill_uniform(call->context, PERI_FLOAT64, n, seed, first, 0, 1, d.numbers));
    return peri_parallel(call->context, rows, draw_row, &d);
  }
  PERI_TRY(peri_fill_exponential(call->context, PERI_FLOAT64, n, seed, first, 1, d.numbers));
  PERI_TRY(peri_parallel(call->context, rows, make_keys, &d));
  return draw_smallest(call, &d, rows);
}
static peri_status run_multinomial(peri_call *call) {
  peri_tensor *weights, *numbers;
  int64_t each = call->note[call->note[NOTE_REPLACEMENT] ? NOTE_DRAWS : NOTE_CATEGORIES];
  PERI_TRY(peri_tensor_copy(call->args[0].tensor, PERI_FLOAT64, &weights));
  peri_status status = peri_tensor_shaped(call->context, call->op->name, PERI_FLOAT64, 2,
                                          (int64_t[]){call->note[NOTE_ROWS], each}, &numbers);
  if (status == PERI_OK) {
    status = draw_all(call, weights, numbers);
    peri_tensor_release(&numbers);
  }
  peri_tensor_release(&weights);
  return status;
}
const peri_op peri_op_multinomial = {
    .name = "multinomial",
    .flags = PERI_OP_RANDOM | PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"weights", PERI_KIND_TENSOR, .reads = true},
               {"n", PERI_KIND_INTEGER},
               {"replacement", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_multinomial,
    .run = run_multinomial,
    .sample = "{peri.rand(5) + 0.1, 3}, {peri.rand(2, 5) + 0.1, 7, true}, {peri.rand(40), 1}",
    .doc =
        "multinomial(weights, n, replacement = false, {generator =}) -> int64 tensor\n"
        "n positions of a vector of weights, or of each row of a matrix, drawn with chances that are as the weights, "
        "which need not add up to 1. Without replacement no position comes twice (Efraimidis and Spirakis 2006). "
        "Errors: a weight that is NaN, infinite or below 0, a row without one above 0, and without replacement n "
        "above the number of these.",
};

const peri_op *const peri_ops_multinomial[] = {&peri_op_multinomial, NULL};
