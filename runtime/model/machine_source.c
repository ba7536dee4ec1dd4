/* What restoring a machine reads from a file's arrays, and what it refuses. */
#include "model/machine.h"

#include <math.h>
#include <stdio.h>

static peri_status refuse(const peri_machine *e, const peri_tensor *x, const char *name,
                          const peri_machine_array *wanted) {
  char text[PERI_SHAPE_TEXT], expected[64] = "a number";
  if (wanted->ndim == 1)
    snprintf(expected, sizeof expected, "%lld", (long long)wanted->shape[0]);
  else if (wanted->ndim == 2)
    snprintf(expected, sizeof expected, "%lldx%lld", (long long)wanted->shape[0], (long long)wanted->shape[1]);
  return peri_fail(e->context, PERI_ERR_IO, "%s: %s is %s of %s (expected %s of %s; -1: any size)", e->type->name, name,
                   peri_dtype_name(x->layout.dtype), peri_shape_text(x->layout.ndim, x->layout.shape, text),
                   peri_dtype_name(wanted->dtype), expected);
}

static peri_status find_array(const peri_machine_source *source, const char *name, peri_machine_array *out) {
  const peri_machine_arrays *self = source->arg;
  const peri_tensor *x = NULL;
  const char *prefix = self->prefix == NULL ? "" : self->prefix;
  const size_t length = strlen(prefix);
  for (size_t i = 0; i < self->n && x == NULL; i++) {
    if (strncmp(self->names[i], prefix, length) == 0 && strcmp(self->names[i] + length, name) == 0)
      x = self->tensors[i];
  }
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

peri_machine_source peri_machine_source_of(const peri_machine_arrays *arrays) {
  return (peri_machine_source){.arg = arrays, .array = find_array};
}

peri_status peri_machine_source_array(const peri_machine *e, const peri_machine_source *source, const char *name,
                                      peri_machine_array *out) {
  PERI_TRY(source->array(source, name, out));
  if (out->data != NULL) return PERI_OK;
  return peri_fail(e->context, PERI_ERR_IO, "%s: there is no %s", e->type->name, name);
}

peri_status peri_machine_source_number(const peri_machine *e, const peri_machine_source *source, const char *name,
                                       double *out) {
  peri_machine_array number = {.dtype = PERI_FLOAT64};
  PERI_TRY(peri_machine_source_array(e, source, name, &number));
  memcpy(out, number.data, sizeof *out);
  return PERI_OK;
}

peri_status peri_machine_refuse(const peri_machine *e, const char *what) {
  return peri_fail(e->context, PERI_ERR_IO, "%s: %s", e->type->name, what);
}

peri_status peri_machine_source_size(const peri_machine *e, const peri_machine_source *source, const char *name,
                                     int64_t *out) {
  double value;
  PERI_TRY(peri_machine_source_number(e, source, name, &value));
  if (!(value >= 1 && value <= 1e15) || value != floor(value))
    return peri_fail(e->context, PERI_ERR_IO, "%s: %s is %g, a size that is none (expected a whole number from 1)",
                     e->type->name, name, value);
  *out = (int64_t)value;
  return PERI_OK;
}

peri_status peri_machine_source_end(const peri_machine *e, const peri_machine_source *source, int *fit_status,
                                    double *gap) {
  double status;
  PERI_TRY(peri_machine_source_number(e, source, "fit_status", &status));
  PERI_TRY(peri_machine_source_number(e, source, "gap", gap));
  if (status != 0 && status != 1) return peri_machine_refuse(e, "fit_status is neither 0 nor 1");
  if (!(*gap >= 0) || isinf(*gap)) return peri_machine_refuse(e, "gap is no number that it can be");
  *fit_status = (int)status;
  return PERI_OK;
}

peri_status peri_machine_source_none(const peri_machine *e, const peri_machine_source *source, const char *name) {
  peri_machine_array any = {.dtype = PERI_FLOAT64, .ndim = 1, .shape = {-1}};
  PERI_TRY(source->array(source, name, &any));
  if (any.data == NULL) return PERI_OK;
  return peri_fail(e->context, PERI_ERR_IO, "%s: there is %s, which a machine of these options does not have",
                   e->type->name, name);
}

static bool is_finite_at(peri_dtype dtype, const void *data, int64_t i) {
  if (dtype == PERI_FLOAT32) return isfinite(((const float *)data)[i]);
  return dtype != PERI_FLOAT64 || isfinite(((const double *)data)[i]);
}

peri_status peri_machine_copy_array(const peri_machine *e, const peri_machine_source *source, const char *name,
                                    peri_dtype dtype, int64_t rows, int64_t columns, void *out) {
  peri_machine_array a = {.dtype = dtype, .ndim = columns < 0 ? 1 : 2, .shape = {rows, columns}};
  PERI_TRY(peri_machine_source_array(e, source, name, &a));
  int64_t numel = rows * (columns < 0 ? 1 : columns);
  for (int64_t i = 0; i < numel; i++) {
    if (!is_finite_at(dtype, a.data, i))
      return peri_fail(e->context, PERI_ERR_IO, "%s: %s has an entry that is not finite", e->type->name, name);
  }
  if (numel > 0) memcpy(out, a.data, (size_t)numel * peri_dtype_size(dtype));
  return PERI_OK;
}

peri_status peri_machine_copy_amounts(const peri_machine *e, const peri_machine_source *source, const char *name,
                                      peri_dtype dtype, int64_t n, void *out) {
  PERI_TRY(peri_machine_copy_array(e, source, name, dtype, n, -1, out));
  for (int64_t i = 0; i < n; i++) {
    double value = dtype == PERI_FLOAT64 ? ((const double *)out)[i] : (double)((const int64_t *)out)[i];
    if (value < 0) return peri_fail(e->context, PERI_ERR_IO, "%s: %s has a negative entry", e->type->name, name);
  }
  return PERI_OK;
}

peri_status peri_machine_copy_classes(const peri_machine *e, const peri_machine_source *source, int64_t k,
                                      int64_t *out) {
  if (k == 0) return PERI_OK;
  PERI_TRY(peri_machine_copy_array(e, source, "classes", PERI_INT64, k, -1, out));
  for (int64_t c = 1; c < k; c++) {
    if (out[c] <= out[c - 1]) return peri_machine_refuse(e, "classes are not ascending");
  }
  return PERI_OK;
}
