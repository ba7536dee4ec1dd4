/* Tensors as text, in NumPy's manner: aligned columns, the middle of large ones left out, and a
 * footer with dtype and shape. What is wider than a line goes on in further lines; a matrix in blocks of columns. */
#include "tensor/tensor.h"

#include <math.h>
#include <stdio.h>

#define CELL 400 /* bytes that one element's text may take: the largest double has 309 digits before the point */

typedef enum style { STYLE_INTEGER, STYLE_BOOL, STYLE_WHOLE, STYLE_FIXED, STYLE_SCIENTIFIC } style;

typedef struct printer {
  const peri_tensor *x;
  const peri_text_options *how;
  bool elided;
  style style;
  int width;        /* of a cell */
  int64_t per_line; /* cells */
  char *text;       /* NULL while measuring */
  size_t used;
  double largest, smallest; /* magnitudes of finite elements that are not zero */
  bool whole;
} printer;

static void put(printer *p, const char *text, size_t n) {
  if (p->text != NULL) memcpy(p->text + p->used, text, n);
  p->used += n;
}

static int format_element(const printer *p, const char *element, char *cell) {
  peri_dtype dtype = p->x->layout.dtype;
  double value = peri_load_number(dtype, element);
  switch (p->style) {
  case STYLE_INTEGER:
    return snprintf(cell, CELL, "%lld", (long long)peri_load_integer(dtype, element));
  case STYLE_BOOL:
    return snprintf(cell, CELL, "%s", value != 0 ? "true" : "false");
  default:
    break;
  }
  if (isnan(value)) return snprintf(cell, CELL, "nan");
  if (isinf(value)) return snprintf(cell, CELL, value > 0 ? "inf" : "-inf");
  if (p->style == STYLE_WHOLE) return snprintf(cell, CELL, "%.0f.", value);
  return snprintf(cell, CELL, p->style == STYLE_FIXED ? "%.*f" : "%.*e", p->how->precision, value);
}

/* ---- visiting what is shown ---- */

typedef void (*visit)(printer *p, const char *element);

/* Whether the middle of a dimension is left out; how many of its entries are shown; which the k-th of these is. */
static bool has_gap(const printer *p, int level) {
  return p->elided && p->x->layout.shape[level] > 2 * p->how->edge_items;
}
static int64_t shown(const printer *p, int level) {
  return has_gap(p, level) ? 2 * p->how->edge_items : p->x->layout.shape[level];
}
static int64_t entry(const printer *p, int level, int64_t k) {
  const int64_t edge = p->how->edge_items;
  return has_gap(p, level) && k >= edge ? p->x->layout.shape[level] - 2 * edge + k : k;
}
static const char *entry_data(const printer *p, const char *data, int level, int64_t k) {
  return data + entry(p, level, k) * p->x->layout.strides[level] * (int64_t)peri_dtype_size(p->x->layout.dtype);
}

static void visit_shown(printer *p, const char *data, int level, visit each) {
  if (level == p->x->layout.ndim) {
    each(p, data);
    return;
  }
  for (int64_t k = 0; k < shown(p, level); k++) visit_shown(p, entry_data(p, data, level, k), level + 1, each);
}

static void note_magnitude(printer *p, const char *element) {
  double value = fabs(peri_load_number(p->x->layout.dtype, element));
  if (!isfinite(value)) return;
  if (value != floor(value)) p->whole = false;
  if (value == 0) return;
  p->largest = peri_larger(p->largest, value);
  p->smallest = peri_smaller(p->smallest, value);
}

static void note_width(printer *p, const char *element) {
  char cell[CELL];
  int n = format_element(p, element, cell);
  if (n > p->width) p->width = n;
}

/* Whether the floats that are shown need exponents: large ones, and those that would lose all their digits. */
static bool needs_exponents(const printer *p) {
  static const double last_digit[PERI_MOST_DIGITS + 1] = {1,    1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,  1e-7,  1e-8,
                                                          1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17};
  if (p->how->notation != PERI_NOTATION_CHOSEN) return p->how->notation == PERI_NOTATION_SCIENTIFIC;
  if (p->largest >= 1e8) return true;
  if (p->whole || p->largest == 0) return false;
  return p->smallest < last_digit[p->how->precision] || p->largest / p->smallest > 1e5;
}

static void choose_style(printer *p) {
  peri_dtype dtype = p->x->layout.dtype;
  p->style = dtype == PERI_BOOL ? STYLE_BOOL : STYLE_INTEGER;
  if (peri_is_float(dtype)) {
    p->whole = true;
    p->smallest = HUGE_VAL;
    visit_shown(p, p->x->data, 0, note_magnitude);
    p->style = needs_exponents(p) ? STYLE_SCIENTIFIC : p->whole ? STYLE_WHOLE : STYLE_FIXED;
  }
  visit_shown(p, p->x->data, 0, note_width);
}

/* ---- writing ---- */

static void write_cell(printer *p, const char *element) {
  char cell[CELL], padded[CELL];
  format_element(p, element, cell);
  int n = snprintf(padded, sizeof padded, "%*s", p->width, cell);
  put(p, padded, (size_t)n);
}

#define GAP "..."

/* The k-th to the last shown cells of a row. */
static void write_row(printer *p, const char *data, int level, int64_t from, int64_t to) {
  for (int64_t k = from; k < to; k++) {
    if (k > from) put(p, "  ", 2);
    if (k == p->how->edge_items && has_gap(p, level)) put(p, GAP "  ", 5);
    write_cell(p, entry_data(p, data, level, k));
  }
}

static void write_heading(printer *p, int level, int64_t from, int64_t to) {
  char text[80];
  long long first = (long long)entry(p, level, from) + 1, last = (long long)entry(p, level, to - 1) + 1;
  int n = first == last ? snprintf(text, sizeof text, "column %lld\n", first)
                        : snprintf(text, sizeof text, "columns %lld to %lld\n", first, last);
  put(p, text, (size_t)n);
}

/* The last two dimensions: rows are lines, and where they are too long each block of columns comes with a heading. */
static void write_matrix(printer *p, const char *data, int level) {
  int64_t rows = shown(p, level), columns = shown(p, level + 1);
  for (int64_t from = 0; from < columns; from += p->per_line) {
    int64_t to = columns - from < p->per_line ? columns : from + p->per_line;
    if (from > 0) put(p, "\n", 1);
    if (p->per_line < columns) write_heading(p, level + 1, from, to);
    for (int64_t k = 0; k < rows; k++) {
      if (k > 0) put(p, "\n", 1);
      if (k == p->how->edge_items && has_gap(p, level)) put(p, GAP "\n", 4);
      write_row(p, entry_data(p, data, level, k), level + 1, from, to);
    }
  }
}

static void write_vector(printer *p, const char *data) {
  int64_t n = shown(p, 0);
  for (int64_t from = 0; from < n; from += p->per_line) {
    if (from > 0) put(p, "\n", 1);
    write_row(p, data, 0, from, n - from < p->per_line ? n : from + p->per_line);
  }
}

/* Matrices of higher dimensions are separated by empty lines. */
static void write_level(printer *p, const char *data, int level) {
  int left = p->x->layout.ndim - level;
  if (left == 0) {
    write_cell(p, data);
  } else if (left == 1) {
    write_vector(p, data);
  } else if (left == 2) {
    write_matrix(p, data, level);
  } else {
    for (int64_t k = 0; k < shown(p, level); k++) {
      if (k > 0) put(p, "\n\n", 2);
      if (k == p->how->edge_items && has_gap(p, level)) put(p, GAP "\n\n", 5);
      write_level(p, entry_data(p, data, level, k), level + 1);
    }
  }
}

/* How many cells a line takes. */
static int64_t cells_of_line(const printer *p) {
  int ndim = p->x->layout.ndim, gap = ndim > 0 && has_gap(p, ndim - 1) ? (int)sizeof GAP + 1 : 0;
  int n = (p->how->line_width - gap + 2) / (p->width + 2);
  return n < 1 ? 1 : n;
}

static void write_footer(printer *p) {
  char shape[PERI_SHAPE_TEXT], footer[PERI_SHAPE_TEXT + 40];
  const peri_layout *layout = &p->x->layout;
  const char *gap = layout->ndim == 0 ? "  " : "\n";
  int n = snprintf(footer, sizeof footer, "%s[%s %s%s]", layout->numel == 0 ? "" : gap, peri_dtype_name(layout->dtype),
                   peri_shape_text(layout->ndim, layout->shape, shape), p->x->requires_grad ? ", requires grad" : "");
  put(p, footer, (size_t)n);
}

peri_status peri_tensor_text(peri_tensor *x, const peri_text_options *how, char **text, size_t *bytes) {
  peri_refuse_replay(peri_tensor_context(x), "a tensor is printed, or made a text");
  printer p = {.x = x, .how = how, .elided = x->layout.numel > how->threshold};
  void *block;
  if (x->layout.numel > 0) choose_style(&p);
  p.per_line = cells_of_line(&p);
  for (int pass = 0; pass < 2; pass++) { /* measure, then write */
    p.used = 0;
    if (x->layout.numel > 0) write_level(&p, x->data, 0);
    write_footer(&p);
    put(&p, "", 1);
    if (pass == 0) {
      PERI_TRY(peri_alloc(peri_tensor_context(x), p.used, &block));
      p.text = block;
    }
  }
  *text = p.text;
  *bytes = p.used;
  return PERI_OK;
}
