/* Checks, classes and bounds; see grouping.h. */
#include "svm/grouping.h"

#include "kernels/kernels.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* ---- blocks ---- */

peri_status peri_blocks_new(peri_blocks *blocks, int64_t count, size_t size, void *out) {
  void *at = NULL;
  memcpy(out, &at, sizeof at);
  if (blocks->count == PERI_BLOCKS)
    return peri_fail(blocks->context, PERI_ERR_STATE, "svm: more blocks than a list holds");
  peri_status status = peri_alloc_array(blocks->context, (size_t)count, size, &at);
  memcpy(out, &at, sizeof at);
  if (status != PERI_OK || at == NULL) return status;
  blocks->block[blocks->count].at = at;
  blocks->block[blocks->count].bytes = (size_t)count * size;
  blocks->count++;
  return PERI_OK;
}

peri_status peri_blocks_new_zeroed(peri_blocks *blocks, int64_t count, size_t size, void *out) {
  void *at;
  PERI_TRY(peri_blocks_new(blocks, count, size, &at));
  if (at != NULL) memset(at, 0, (size_t)count * size);
  memcpy(out, &at, sizeof at);
  return PERI_OK;
}

void peri_blocks_release(peri_blocks *blocks) {
  while (blocks->count > 0) {
    blocks->count--;
    peri_free(blocks->context, blocks->block[blocks->count].at, blocks->block[blocks->count].bytes);
  }
}

/* ---- features ---- */

static peri_status report_not_finite(peri_context *context, const char *who, peri_dtype dtype, int64_t row, int64_t d,
                                     const void *x) {
  int64_t column = 0;
  while (column < d - 1 && isfinite(peri_value(dtype, x, column))) column++;
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has %g in row %lld, column %lld (expected finite numbers)", who,
                   peri_value(dtype, x, column), (long long)row + 1, (long long)column + 1);
}

peri_status peri_svm_check_features(peri_context *context, const char *who, peri_dtype dtype, int64_t n, int64_t d,
                                    const void *x, int64_t ldx) {
  if (dtype != PERI_FLOAT32 && dtype != PERI_FLOAT64)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X is %s (expected float32 or float64)", who,
                     peri_dtype_name(dtype));
  if (n < 0 || d < 1 || ldx < d)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X is %lldx%lld (expected 1 or more features)", who, (long long)n,
                     (long long)d);
  const peri_svm_kernels *kernels = context->kernels->svm;
  for (int64_t i = 0; i < n; i++) {
    const void *row = peri_at(dtype, x, ldx, i, 0);
    if (!kernels->finite[peri_is_wide(dtype)](d, row)) return report_not_finite(context, who, dtype, i, d, row);
    if (i % 4096 == 0) PERI_TRY(peri_check_cancel(context));
  }
  return PERI_OK;
}

/* ---- classes ---- */

/* Where label stands, or would stand, among k ascending classes. */
static int64_t find_class(const int64_t *classes, int64_t k, int64_t label) {
  int64_t low = 0, high = k;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (classes[middle] < label)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static peri_status check_weights(peri_context *context, const char *who, int64_t n, const double *weights) {
  for (int64_t i = 0; weights != NULL && i < n; i++) {
    if (!(weights[i] >= 0) || isinf(weights[i]))
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: sample weight %lld is %g (expected a finite number >= 0)", who,
                       (long long)i + 1, weights[i]);
  }
  return PERI_OK;
}

/* The distinct labels of rows with weight, ascending, into a table that grows. */
static peri_status collect_classes(peri_blocks *blocks, int64_t n, const int64_t *y, const double *weights,
                                   peri_grouping *out) {
  int64_t room = 16;
  PERI_TRY(peri_blocks_new(blocks, room, sizeof *out->classes, &out->classes));
  for (int64_t i = 0; i < n; i++) {
    if (weights != NULL && weights[i] == 0) continue;
    out->rows++;
    int64_t at = find_class(out->classes, out->k, y[i]);
    if (at < out->k && out->classes[at] == y[i]) continue;
    if (out->k == room) {
      int64_t *larger;
      PERI_TRY(peri_blocks_new(blocks, room * 8, sizeof *larger, &larger));
      memcpy(larger, out->classes, (size_t)room * sizeof *larger);
      out->classes = larger;
      room *= 8;
    }
    memmove(out->classes + at + 1, out->classes + at, (size_t)(out->k - at) * sizeof *out->classes);
    out->classes[at] = y[i];
    out->k++;
  }
  return PERI_OK;
}

/* factor holds the weight of each class's rows, and gets what its rows' weights are multiplied by. */
static peri_status class_factors(peri_context *context, const char *who, const peri_class_weights *given,
                                 const peri_grouping *grouping, double *factor) {
  int64_t k = grouping->k;
  double all = 0;
  for (int64_t c = 0; c < k; c++) all += factor[c];
  for (int64_t c = 0; c < k; c++) factor[c] = given->balanced ? all / ((double)k * factor[c]) : 1;
  for (int64_t w = 0; !given->balanced && w < given->count; w++) {
    int64_t label = given->list[w].label, c = find_class(grouping->classes, k, label);
    double weight = given->list[w].weight;
    if (!(weight > 0) || isinf(weight))
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: class_weight of %lld is %g (expected a finite number > 0)", who,
                       (long long)label, weight);
    if (c == k || grouping->classes[c] != label)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: class_weight names %lld, which is not among the labels of y",
                       who, (long long)label);
    factor[c] = weight;
  }
  return PERI_OK;
}

peri_status peri_svm_group(peri_blocks *blocks, const char *who, const peri_svm_samples *samples, double C,
                           const peri_class_weights *class_weights, peri_grouping *out) {
  peri_context *context = blocks->context;
  int64_t n = samples->n;
  const int64_t *y = samples->labels;
  const double *weights = samples->weights;
  *out = (peri_grouping){0};
  PERI_TRY(check_weights(context, who, n, weights));
  PERI_TRY(collect_classes(blocks, n, y, weights, out));
  if (out->rows == 0)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has %lld rows%s (expected samples of at least 2 classes)", who,
                     (long long)n, n > 0 ? ", all of weight 0" : "");
  if (out->k < 2)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: y has 1 class (%lld); at least 2 are needed", who,
                     (long long)out->classes[0]);
  double *factor;
  PERI_TRY(peri_blocks_new_zeroed(blocks, out->k + 1, sizeof *out->start, &out->start));
  PERI_TRY(peri_blocks_new(blocks, out->rows, sizeof *out->order, &out->order));
  PERI_TRY(peri_blocks_new(blocks, out->rows, sizeof *out->bound, &out->bound));
  PERI_TRY(peri_blocks_new_zeroed(blocks, out->k, sizeof *factor, &factor));
  for (int64_t i = 0; i < n; i++) {
    if (weights != NULL && weights[i] == 0) continue;
    int64_t c = find_class(out->classes, out->k, y[i]);
    out->start[c + 1]++;
    factor[c] += weights != NULL ? weights[i] : 1;
  }
  for (int64_t c = 0; c < out->k; c++) out->start[c + 1] += out->start[c];
  PERI_TRY(class_factors(context, who, class_weights, out, factor));
  for (int64_t i = 0; i < n; i++) { /* start[c] runs through its class, then is put back */
    if (weights != NULL && weights[i] == 0) continue;
    int64_t c = find_class(out->classes, out->k, y[i]), at = out->start[c]++;
    out->order[at] = i;
    out->bound[at] = C * factor[c] * (weights != NULL ? weights[i] : 1);
  }
  for (int64_t c = out->k; c > 0; c--) out->start[c] = out->start[c - 1];
  out->start[0] = 0;
  return PERI_OK;
}

peri_status peri_svm_group_all(peri_blocks *blocks, const char *who, const peri_svm_samples *samples,
                               peri_grouping *out) {
  int64_t n = samples->n;
  const double *weights = samples->weights;
  *out = (peri_grouping){0};
  PERI_TRY(check_weights(blocks->context, who, n, weights));
  PERI_TRY(peri_blocks_new(blocks, 2, sizeof *out->start, &out->start));
  PERI_TRY(peri_blocks_new(blocks, n, sizeof *out->order, &out->order));
  PERI_TRY(peri_blocks_new(blocks, n, sizeof *out->bound, &out->bound));
  for (int64_t i = 0; i < n; i++) {
    if (weights != NULL && weights[i] == 0) continue;
    out->order[out->rows] = i;
    out->bound[out->rows++] = weights != NULL ? weights[i] : 1;
  }
  out->start[0] = 0;
  out->start[1] = out->rows;
  if (out->rows > 0) return PERI_OK;
  return peri_fail(blocks->context, PERI_ERR_ARGUMENT, "%s: X has %lld rows%s (expected 1 or more)", who, (long long)n,
                   n > 0 ? ", all of weight 0" : "");
}
