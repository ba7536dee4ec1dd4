/* A fitted machine from the arrays that a file holds; see svm.h and lua/svm.lua. */
#include "svm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct table_source {
  lua_State *L;
  bind_state *S;
  const estimator *e;
  int table;
} table_source;

static peri_status refuse(const estimator *e, const peri_tensor *x, const char *name, const estimator_array *wanted) {
  char text[PERI_SHAPE_TEXT], expected[64] = "a number";
  if (wanted->ndim == 1)
    snprintf(expected, sizeof expected, "%lld", (long long)wanted->shape[0]);
  else if (wanted->ndim == 2)
    snprintf(expected, sizeof expected, "%lldx%lld", (long long)wanted->shape[0], (long long)wanted->shape[1]);
  return peri_fail(e->context, PERI_ERR_IO, "%s: %s is %s of %s (expected %s of %s; -1: any size)", e->type->name, name,
                   peri_dtype_name(x->layout.dtype), peri_shape_text(x->layout.ndim, x->layout.shape, text),
                   peri_dtype_name(wanted->dtype), expected);
}

/* The table, which is on the stack, keeps the tensors alive. */
static peri_status find_array(const estimator_source *source, const char *name, estimator_array *out) {
  const table_source *self = source->arg;
  lua_pushstring(self->L, name);
  lua_rawget(self->L, self->table);
  const peri_tensor *x = bind_to_tensor(self->L, self->S, -1);
  lua_pop(self->L, 1);
  out->data = NULL;
  if (x == NULL) return PERI_OK;
  const peri_layout *layout = &x->layout;
  bool fits = layout->dtype == out->dtype && layout->ndim == out->ndim;
  for (int d = 0; fits && d < out->ndim; d++) fits = out->shape[d] < 0 || layout->shape[d] == out->shape[d];
  if (!fits || !peri_tensor_is_contiguous(x)) return refuse(self->e, x, name, out);
  for (int d = 0; d < out->ndim; d++) out->shape[d] = layout->shape[d];
  out->data = layout->numel > 0 ? x->data : (const void *)""; /* there, though empty */
  return PERI_OK;
}

peri_status estimator_source_array(const estimator *e, const estimator_source *source, const char *name,
                                   estimator_array *out) {
  PERI_TRY(source->array(source, name, out));
  if (out->data != NULL) return PERI_OK;
  return peri_fail(e->context, PERI_ERR_IO, "%s: there is no %s", e->type->name, name);
}

peri_status estimator_source_number(const estimator *e, const estimator_source *source, const char *name, double *out) {
  estimator_array number = {.dtype = PERI_FLOAT64};
  PERI_TRY(estimator_source_array(e, source, name, &number));
  memcpy(out, number.data, sizeof *out);
  return PERI_OK;
}

peri_status estimator_refuse(const estimator *e, const char *what) {
  return peri_fail(e->context, PERI_ERR_IO, "%s: %s", e->type->name, what);
}

peri_status estimator_source_size(const estimator *e, const estimator_source *source, const char *name, int64_t *out) {
  double value;
  PERI_TRY(estimator_source_number(e, source, name, &value));
  if (!(value >= 1 && value <= 1e15) || value != floor(value))
    return peri_fail(e->context, PERI_ERR_IO, "%s: %s is %g, a size that is none (expected a whole number from 1)",
                     e->type->name, name, value);
  *out = (int64_t)value;
  return PERI_OK;
}

peri_status estimator_source_end(const estimator *e, const estimator_source *source, int *fit_status, double *gap) {
  double status;
  PERI_TRY(estimator_source_number(e, source, "fit_status", &status));
  PERI_TRY(estimator_source_number(e, source, "gap", gap));
  if (status != 0 && status != 1) return estimator_refuse(e, "fit_status is neither 0 nor 1");
  if (!(*gap >= 0) || isinf(*gap)) return estimator_refuse(e, "gap is no number that it can be");
  *fit_status = (int)status;
  return PERI_OK;
}

peri_status estimator_source_none(const estimator *e, const estimator_source *source, const char *name) {
  estimator_array any = {.dtype = PERI_FLOAT64, .ndim = 1, .shape = {-1}};
  PERI_TRY(source->array(source, name, &any));
  if (any.data == NULL) return PERI_OK;
  return peri_fail(e->context, PERI_ERR_IO, "%s: there is %s, which a machine of these options does not have",
                   e->type->name, name);
}

static bool is_finite_at(peri_dtype dtype, const void *data, int64_t i) {
  if (dtype == PERI_FLOAT32) return isfinite(((const float *)data)[i]);
  return dtype != PERI_FLOAT64 || isfinite(((const double *)data)[i]);
}

peri_status estimator_copy_array(const estimator *e, const estimator_source *source, const char *name, peri_dtype dtype,
                                 int64_t rows, int64_t columns, void *out) {
  estimator_array a = {.dtype = dtype, .ndim = columns < 0 ? 1 : 2, .shape = {rows, columns}};
  PERI_TRY(estimator_source_array(e, source, name, &a));
  int64_t numel = rows * (columns < 0 ? 1 : columns);
  for (int64_t i = 0; i < numel; i++) {
    if (!is_finite_at(dtype, a.data, i))
      return peri_fail(e->context, PERI_ERR_IO, "%s: %s has an entry that is not finite", e->type->name, name);
  }
  if (numel > 0) memcpy(out, a.data, (size_t)numel * peri_dtype_size(dtype));
  return PERI_OK;
}

peri_status estimator_copy_amounts(const estimator *e, const estimator_source *source, const char *name,
                                   peri_dtype dtype, int64_t n, void *out) {
  PERI_TRY(estimator_copy_array(e, source, name, dtype, n, -1, out));
  for (int64_t i = 0; i < n; i++) {
    double value = dtype == PERI_FLOAT64 ? ((const double *)out)[i] : (double)((const int64_t *)out)[i];
    if (value < 0) return peri_fail(e->context, PERI_ERR_IO, "%s: %s has a negative entry", e->type->name, name);
  }
  return PERI_OK;
}

peri_status estimator_copy_classes(const estimator *e, const estimator_source *source, int64_t k, int64_t *out) {
  if (k == 0) return PERI_OK;
  PERI_TRY(estimator_copy_array(e, source, "classes", PERI_INT64, k, -1, out));
  for (int64_t c = 1; c < k; c++) {
    if (out[c] <= out[c - 1]) return estimator_refuse(e, "classes are not ascending");
  }
  return PERI_OK;
}

int estimator_restore(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  estimator *e = estimator_begin(L, "restore", 1, &operation);
  luaL_checktype(L, 2, LUA_TTABLE);
  table_source arg = {.L = L, .S = S, .e = e, .table = 2};
  estimator_source source = {.arg = &arg, .array = find_array};
  lua_newtable(L);
  void *machine;
  BIND_TRY(L, S, e->type->restore(e, &source, &machine));
  estimator_place(e, machine);
  lua_setiuservalue(L, 1, ESTIMATOR_TENSORS);
  lua_settop(L, 1);
  return 1;
}
