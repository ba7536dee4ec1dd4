/* StandardScaler, MinMaxScaler and PCA, applied: the arithmetic of bindings/lua/data/transforms.lua, bit for bit. */
#include "model/model.h"

#include "kernels/kernels.h"
#include "product/product.h"

#include <math.h>
#include <stdio.h>

#define SHARE 0x1p-10 /* what leaves the range on the way is computed with such a share of its numbers */

/* ---- reading ---- */

static const char *const names[PERI_TRANSFORMS] = {"StandardScaler", "MinMaxScaler", "PCA"};

const char *peri_transform_name(const peri_item *item, peri_transform_kind *kind) {
  for (int i = 0; item->kind == PERI_ITEM_CALL && i < PERI_TRANSFORMS; i++) {
    if (strcmp(item->text, names[i]) != 0) continue;
    *kind = (peri_transform_kind)i;
    return names[i];
  }
  return NULL;
}

static peri_status refuse(const peri_model *model, const char *operation, int step, const char *what) {
  return peri_fail(model->context, PERI_ERR_IO, "%s: step %d: %s", operation, step, what);
}

/* A float64 array of rows x columns (rows 0: a vector) of finite numbers; *columns -1: any, which it then is. */
static peri_status read_array(const peri_model *model, const char *operation, int step, const char *name, int64_t *rows,
                              int64_t *columns, const double **out) {
  const peri_tensor *x = peri_model_tensor(model, step, name);
  const int ndim = rows == NULL ? 1 : 2;
  char text[100];
  if (x == NULL || x->layout.dtype != PERI_FLOAT64 || x->layout.ndim != ndim || x->layout.numel == 0 ||
      (*columns >= 0 && x->layout.shape[ndim - 1] != *columns)) {
    snprintf(text, sizeof text, "%s is missing, or has another shape or dtype than it must", name);
    return refuse(model, operation, step, text);
  }
  const double *numbers = (const double *)(const void *)x->data;
  for (int64_t i = 0; i < x->layout.numel; i++) {
    if (isfinite(numbers[i])) continue;
    snprintf(text, sizeof text, "%s has a number that is not finite", name);
    return refuse(model, operation, step, text);
  }
  if (rows != NULL) *rows = x->layout.shape[0];
  *columns = x->layout.shape[ndim - 1];
  *out = numbers;
  return PERI_OK;
}

static peri_status check_divisors(const peri_model *model, const char *operation, int step, int64_t n,
                                  const double *scale) {
  for (int64_t i = 0; scale != NULL && i < n; i++) {
    if (scale[i] == 0) return refuse(model, operation, step, "it would divide by 0");
  }
  return PERI_OK;
}

static const peri_option standard_options[] = {
    {"mean", PERI_OPTION_BOOL, 1, 0, 0, NULL, ""}, {"std", PERI_OPTION_BOOL, 1, 0, 0, NULL, ""}, {NULL}};
static const peri_option range_options[] = {{"low", PERI_OPTION_NUMBER, 0, 0, 0, NULL, ""},
                                            {"high", PERI_OPTION_NUMBER, 1, 0, 0, NULL, ""},
                                            {"clip", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""},
                                            {NULL}};
static const peri_option pca_options[] = {{"components", PERI_OPTION_NUMBER, 0, 0, HUGE_VAL, NULL, ""},
                                          {"whiten", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""},
                                          {NULL}};
static const peri_option *const options[PERI_TRANSFORMS] = {standard_options, range_options, pca_options};

peri_status peri_transform_read(const peri_model *model, const char *operation, const peri_item *item, int step,
                                peri_transform *t) {
  double values[3];
  int64_t d = -1;
  peri_option_defaults(options[t->kind], values);
  PERI_TRY(peri_item_options(model->context, names[t->kind], item, options[t->kind], NULL, false, values));
  if (t->kind == PERI_STANDARD_SCALER) {
    const peri_tensor *variance = peri_model_tensor(model, step, "var"); /* which may be beyond the largest number */
    if (variance == NULL || variance->layout.ndim != 1 || variance->layout.numel == 0)
      return refuse(model, operation, step, "var is missing, or no vector");
    d = variance->layout.numel;
    if (values[0] != 0) PERI_TRY(read_array(model, operation, step, "mean", NULL, &d, &t->centre));
    if (values[1] != 0) PERI_TRY(read_array(model, operation, step, "scale", NULL, &d, &t->scale));
    t->in = t->out = d;
  } else if (t->kind == PERI_MIN_MAX_SCALER) {
    t->low = values[0], t->high = values[1], t->clip = values[2] != 0;
    if (!(t->low < t->high) || isinf(t->high - t->low)) return refuse(model, operation, step, "low is not below high");
    PERI_TRY(read_array(model, operation, step, "min", NULL, &d, &t->centre));
    PERI_TRY(read_array(model, operation, step, "range", NULL, &d, &t->scale));
    t->in = t->out = d;
  } else {
    PERI_TRY(read_array(model, operation, step, "mean", NULL, &d, &t->centre));
    PERI_TRY(read_array(model, operation, step, "components", &t->out, &d, &t->components));
    if (values[1] != 0) PERI_TRY(read_array(model, operation, step, "deviation", NULL, &t->out, &t->scale));
    t->in = d;
  }
  return check_divisors(model, operation, step, t->kind == PERI_PCA ? t->out : t->in, t->scale);
}

/* ---- applying ---- */

static bool is_finite_number(double x) { return x - x == 0; }

/* (x - centre) / scale, which may leave the range on the way. */
static double quotient(double x, double centre, double scale) {
  double z = (x - centre) / scale;
  return is_finite_number(z) ? z : ((x * SHARE - centre * SHARE) / scale) / SHARE;
}

static double standardise(const peri_transform *t, int64_t j, double x) {
  if (t->centre != NULL && t->scale != NULL) return quotient(x, t->centre[j], t->scale[j]);
  if (t->centre != NULL) return x - t->centre[j];
  return t->scale != NULL ? x / t->scale[j] : x;
}

/* From low to high, exact at both. */
static double stretch(const peri_transform *t, int64_t j, double x) {
  double part = quotient(x, t->centre[j], t->scale[j]), width = t->high - t->low;
  double y = width == 1 ? part : part * width;
  if (t->low != 0) y += t->low;
  if (t->low + width != t->high && part == 1) y = t->high;
  if (!t->clip || y != y) return y;
  return y < t->low ? t->low : y > t->high ? t->high : y;
}

/* z = (share x - share mean) components', / deviation, / share */
static peri_status project(peri_context *context, const peri_transform *t, int64_t rows, const double *x, double share,
                           double *centred, double *z) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < t->in; j++) {
      double mean = share == 1 ? t->centre[j] : t->centre[j] * share, value = x[i * t->in + j];
      centred[i * t->in + j] = (share == 1 ? value : value * share) - mean;
    }
  }
  peri_product p = {.dtype = PERI_FLOAT64,
                    .m = rows,
                    .n = t->out,
                    .k = t->in,
                    .a = {.data = centred, .along = t->in, .step = 1},
                    .b = {.data = t->components, .along = t->in, .step = 1},
                    .c = z,
                    .ldc = t->out};
  PERI_TRY(peri_multiply(context, &p));
  for (int64_t i = 0; i < rows * t->out; i++) {
    if (t->scale != NULL) z[i] /= t->scale[i % t->out];
    if (share != 1) z[i] /= share;
  }
  return PERI_OK;
}

static peri_status apply_pca(peri_context *context, const peri_transform *t, int64_t rows, const double *x,
                             double *centred, double *z, double *again) {
  PERI_TRY(project(context, t, rows, x, 1, centred, z));
  bool finite = true;
  for (int64_t i = 0; i < rows * t->out; i++) finite &= is_finite_number(z[i]);
  if (finite) return PERI_OK;
  PERI_TRY(project(context, t, rows, x, SHARE, centred, again));
  for (int64_t i = 0; i < rows * t->out; i++) z[i] = is_finite_number(z[i]) ? z[i] : again[i];
  return PERI_OK;
}

static void store(peri_dtype dtype, void *y, int64_t i, double value) {
  if (dtype == PERI_FLOAT64)
    ((double *)y)[i] = value;
  else
    ((float *)y)[i] = (float)value;
}

peri_status peri_transform_apply(peri_context *context, const peri_transform *t, peri_dtype dtype, int64_t rows,
                                 const void *x, void *y, double *work) {
  const bool wide = dtype == PERI_FLOAT64;
  double *centred = work + rows * t->in, *z = centred + rows * t->in, *again = z + rows * t->out;
  for (int64_t i = 0; i < rows * t->in; i++) work[i] = wide ? ((const double *)x)[i] : (double)((const float *)x)[i];
  if (t->kind == PERI_PCA) {
    PERI_TRY(apply_pca(context, t, rows, work, centred, z, again));
    for (int64_t i = 0; i < rows * t->out; i++) store(dtype, y, i, z[i]);
    return PERI_OK;
  }
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < t->in; j++) {
      const double value = work[i * t->in + j];
      store(dtype, y, i * t->in + j, t->kind == PERI_STANDARD_SCALER ? standardise(t, j, value) : stretch(t, j, value));
    }
  }
  return PERI_OK;
}
