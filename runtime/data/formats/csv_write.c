/* Writing CSV; see csv.h. */
#include "data/formats/csv.h"
#include "data/formats/csv_cells.h"
#include "data/file.h"
#include "data/number.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>

static const char who[] = "write_csv";

/* Lines in the making: the file takes buffer after buffer. */
typedef struct writer {
  const peri_csv_writing *options;
  const peri_tensor *x, *y; /* contiguous; y may be NULL */
  int64_t n, width;         /* cells of a line */
  int64_t row, column;      /* the next cell; row -1: the header */
  const char *text;         /* what is left of the cell's text */
  bool inside;              /* the cell has begun, in quotes */
  char *buffer;
  size_t at;
  char number[PERI_NUMBER_TEXT];
} writer;

static const char *number_text(writer *w, const peri_tensor *tensor, int64_t at) {
  peri_dtype dtype = tensor->layout.dtype;
  const char *element = tensor->data + at * (int64_t)peri_dtype_size(dtype);
  if (peri_is_float(dtype)) {
    peri_number_text(peri_load_number(dtype, element), dtype == PERI_FLOAT32, w->number);
  } else {
    snprintf(w->number, sizeof w->number, "%" PRId64, peri_load_integer(dtype, element));
  }
  return w->number;
}

static const char *cell_text(writer *w) {
  int64_t d = w->x->layout.shape[1];
  if (w->row < 0) return w->options->names[w->column];
  if (w->column < d) return number_text(w, w->x, w->row * d + w->column);
  if (w->options->classes_n == 0) return number_text(w, w->y, w->row);
  const char *label = w->y->data + w->row * (int64_t)peri_dtype_size(w->y->layout.dtype);
  return w->options->classes[peri_load_integer(w->y->layout.dtype, label) - 1];
}

static bool needs_quotes(const writer *w, const char *text) {
  size_t n = strlen(text);
  const char special[] = {w->options->separator, '"', '\n', '\r', '\0'};
  double value;
  /* as a name, what would pass for a cell of numbers; as a class, what would pass for a number */
  bool class = w->row >= 0 && w->column == w->x->layout.shape[1] && w->options->classes_n > 0;
  if (w->row < 0 && peri_csv_is_missing(text)) return true;
  if ((w->row < 0 || class) && peri_parse_number(text, &value) != PERI_NUMBER_NONE) return true;
  /* and what would pass for the mark before the text of a file */
  return n == 0 || strpbrk(text, special) != NULL || strchr(" \t", text[0]) != NULL ||
         strchr(" \t", text[n - 1]) != NULL || strncmp(text, "\xEF\xBB\xBF", 3) == 0;
}

/* Puts as much of the cell as there is room for: one byte of its text takes two at most. */
static void put_cell(writer *w) {
  if (w->text == NULL) {
    w->text = cell_text(w);
    w->inside = needs_quotes(w, w->text);
    if (w->column > 0) w->buffer[w->at++] = w->options->separator;
    if (w->inside) w->buffer[w->at++] = '"';
  }
  for (; *w->text != '\0' && w->at + 8 <= PERI_FILE_BUFFER; w->text++) {
    if (*w->text == '"') w->buffer[w->at++] = '"';
    w->buffer[w->at++] = *w->text;
  }
  if (*w->text != '\0') return;
  if (w->inside) w->buffer[w->at++] = '"';
  w->text = NULL;
  if (++w->column < w->width) return;
  w->buffer[w->at++] = '\n';
  w->column = 0;
  w->row++;
}

static peri_status next_lines(void *arg, const void **bytes, size_t *size) {
  writer *w = arg;
  w->at = 0;
  while (w->row < w->n && w->at + 16 <= PERI_FILE_BUFFER) put_cell(w);
  *bytes = w->buffer;
  *size = w->at;
  return PERI_OK;
}

/* ---- what is asked of the arguments ---- */

static peri_status check_labels(peri_context *context, const peri_tensor *y, const peri_csv_writing *options) {
  if (options->classes_n == 0) return PERI_OK;
  if (y->layout.dtype != PERI_INT64) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: y is %s (expected int64, with classes)", who,
                     peri_dtype_name(y->layout.dtype));
  }
  for (int64_t i = 0; i < y->layout.shape[0]; i++) {
    int64_t label = ((const int64_t *)(const void *)y->data)[i];
    if (label >= 1 && label <= options->classes_n) continue;
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: entry %lld of y is %lld, but classes has %lld entries", who,
                     (long long)i + 1, (long long)label, (long long)options->classes_n);
  }
  return PERI_OK;
}

static peri_status check_arguments(peri_context *context, const peri_tensor *x, const peri_tensor *y) {
  char text[PERI_SHAPE_TEXT];
  const peri_layout *a = &x->layout;
  if (a->ndim != 2 || a->shape[1] == 0) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has shape %s (expected n x d, d from 1)", who,
                     peri_shape_text(a->ndim, a->shape, text));
  }
  if (a->dtype == PERI_BOOL || (y != NULL && y->layout.dtype == PERI_BOOL)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is bool (expected numbers)", who,
                     a->dtype == PERI_BOOL ? "X" : "y");
  }
  if (y == NULL || (y->layout.ndim == 1 && y->layout.shape[0] == a->shape[0])) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: y has shape %s (expected %lld, as X has rows)", who,
                   peri_shape_text(y->layout.ndim, y->layout.shape, text), (long long)a->shape[0]);
}

static peri_status write_lines(peri_context *context, const char *path, writer *w) {
  if (w->y != NULL) PERI_TRY(check_labels(context, w->y, w->options));
  return peri_file_write_buffered(context, path, &w->buffer, next_lines, w);
}

peri_status peri_csv_write(peri_context *context, const char *path, peri_tensor *x, peri_tensor *y,
                           const peri_csv_writing *options) {
  peri_tensor *flat[2] = {NULL};
  PERI_TRY(check_arguments(context, x, y));
  peri_status status = peri_tensor_contiguous(x, &flat[0]);
  if (status == PERI_OK && y != NULL) status = peri_tensor_contiguous(y, &flat[1]);
  if (status == PERI_OK) {
    writer w = {.options = options,
                .x = flat[0],
                .y = flat[1],
                .n = x->layout.shape[0],
                .width = x->layout.shape[1] + (y != NULL),
                .row = options->names != NULL ? -1 : 0};
    status = write_lines(context, path, &w);
  }
  for (int i = 0; i < 2; i++) peri_tensor_release(&flat[i]);
  return status;
}
