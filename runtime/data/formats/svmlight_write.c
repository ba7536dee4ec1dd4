/* Writing svmlight; see formats.h. */
#include "data/file.h"
#include "data/formats/formats.h"
#include "data/number.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define ITEM 64 /* the longest label, qid or index:value with what is around it */

static const char who[] = "write_svmlight";

/* Lines in the making: the file takes buffer after buffer. */
typedef struct writer {
  const peri_tensor *x, *y, *qid; /* contiguous; qid may be NULL */
  int64_t n, d, row, column;      /* the next element */
  int64_t base;                   /* the first index */
  bool keep_width;                /* the last column has zeros only */
  char *buffer;
} writer;

static double element(const peri_tensor *x, int64_t at) {
  return peri_load_number(x->layout.dtype, x->data + at * (int64_t)peri_dtype_size(x->layout.dtype));
}

static bool is_left_out(double value) { return value == 0 && !signbit(value); }

/* The beginning of a line. */
static size_t put_label(const writer *w, char *to) {
  size_t at;
  peri_dtype dtype = w->y->layout.dtype;
  if (peri_is_float(dtype)) {
    at = peri_number_text(element(w->y, w->row), dtype == PERI_FLOAT32, to);
  } else {
    const char *label = w->y->data + w->row * (int64_t)peri_dtype_size(dtype);
    at = (size_t)snprintf(to, ITEM, "%" PRId64, peri_load_integer(dtype, label));
  }
  if (w->qid == NULL) return at;
  const int64_t *qid = (const int64_t *)(const void *)w->qid->data;
  return at + (size_t)snprintf(to + at, ITEM - at, " qid:%" PRId64, qid[w->row]);
}

static size_t put_feature(const writer *w, double value, char *to) {
  size_t at = (size_t)snprintf(to, ITEM, " %" PRId64 ":", w->column + w->base);
  return at + peri_number_text(value, w->x->layout.dtype == PERI_FLOAT32, to + at);
}

/* Zeros are left out, but for one that shows the width. */
static size_t put_row(writer *w, size_t at) {
  for (; w->column < w->d && at + 2 * ITEM <= PERI_FILE_BUFFER; w->column++) {
    double value = element(w->x, w->row * w->d + w->column);
    bool kept = w->keep_width && w->row == 0 && w->column == w->d - 1;
    if (kept || !is_left_out(value)) at += put_feature(w, value, w->buffer + at);
  }
  return at;
}

static peri_status next_lines(void *arg, const void **bytes, size_t *size) {
  writer *w = arg;
  size_t at = 0;
  while (w->row < w->n && at + 4 * ITEM <= PERI_FILE_BUFFER) { /* a label and a feature: a label is put once */
    if (w->column == 0) at += put_label(w, w->buffer + at);
    at = put_row(w, at);
    if (w->column < w->d) break;
    w->buffer[at++] = '\n';
    w->column = 0;
    w->row++;
  }
  *bytes = w->buffer;
  *size = at;
  return PERI_OK;
}

static bool last_column_is_zero(const writer *w) {
  for (int64_t i = 0; i < w->n && w->d > 0; i++) {
    if (!is_left_out(element(w->x, i * w->d + w->d - 1))) return false;
  }
  return w->d > 0;
}

/* ---- what is asked of the arguments ---- */

static peri_status check_column(peri_context *context, const char *name, const peri_tensor *v, int64_t n) {
  char text[PERI_SHAPE_TEXT];
  if (v->layout.ndim != 1) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s has shape %s (expected one dimension)", who, name,
                     peri_shape_text(v->layout.ndim, v->layout.shape, text));
  }
  if (v->layout.shape[0] != n) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has %lld rows but %s has %lld entries", who, (long long)n, name,
                     (long long)v->layout.shape[0]);
  }
  return PERI_OK;
}

static peri_status check_arguments(peri_context *context, const peri_tensor *x, const peri_tensor *y,
                                   const peri_tensor *qid) {
  char text[PERI_SHAPE_TEXT];
  if (!peri_is_float(x->layout.dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X is %s (expected float32 or float64)", who,
                     peri_dtype_name(x->layout.dtype));
  }
  if (x->layout.ndim != 2) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has shape %s (expected n x d)", who,
                     peri_shape_text(x->layout.ndim, x->layout.shape, text));
  }
  PERI_TRY(check_column(context, "y", y, x->layout.shape[0]));
  if (y->layout.dtype == PERI_BOOL) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: y is bool (expected numbers)", who);
  }
  if (qid == NULL) return PERI_OK;
  PERI_TRY(check_column(context, "qid", qid, x->layout.shape[0]));
  if (qid->layout.dtype != PERI_INT64) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: qid is %s (expected int64)", who,
                     peri_dtype_name(qid->layout.dtype));
  }
  return PERI_OK;
}

static peri_status write_lines(peri_context *context, const char *path, writer *w) {
  for (int64_t i = 0; i < w->n && peri_is_float(w->y->layout.dtype); i++) {
    if (isfinite(element(w->y, i))) continue;
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: entry %lld of y is %g (expected a finite number)", who,
                     (long long)i + 1, element(w->y, i));
  }
  w->keep_width = last_column_is_zero(w);
  return peri_file_write_buffered(context, path, &w->buffer, next_lines, w);
}

peri_status peri_svmlight_write(peri_context *context, const char *path, peri_tensor *x, peri_tensor *y,
                                peri_tensor *qid, bool zero_based) {
  peri_tensor *flat[3] = {NULL};
  PERI_TRY(check_arguments(context, x, y, qid));
  peri_status status = peri_tensor_contiguous(x, &flat[0]);
  if (status == PERI_OK) status = peri_tensor_contiguous(y, &flat[1]);
  if (status == PERI_OK && qid != NULL) status = peri_tensor_contiguous(qid, &flat[2]);
  if (status == PERI_OK) {
    writer w = {.x = flat[0],
                .y = flat[1],
                .qid = flat[2],
                .n = x->layout.shape[0],
                .d = x->layout.shape[1],
                .base = zero_based ? 0 : 1};
    status = write_lines(context, path, &w);
  }
  for (int i = 0; i < 3; i++) peri_tensor_release(&flat[i]);
  return status;
}
