/* Tensors as text, in NumPy's manner: aligned columns, the middle of large ones left out, and a
 * footer with dtype and shape. */
#include "tensor/tensor.h"

#include <math.h>
#include <stdio.h>

#define ELIDE_ABOVE 1000 /* elements */
#define EDGE        3    /* entries shown at each end of an elided dimension */
#define CELL        40   /* bytes that one element's text may take */

typedef enum style { STYLE_INTEGER, STYLE_BOOL, STYLE_WHOLE, STYLE_FIXED, STYLE_SCIENTIFIC } style;

typedef struct printer {
  const peri_tensor *x;
  bool elided;
  style style;
  int width;
  char *text; /* NULL while measuring */
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
  return snprintf(cell, CELL, p->style == STYLE_FIXED ? "%.4f" : "%.4e", value);
}

/* ---- visiting what is shown ---- */

typedef void (*visit)(printer *p, const char *element);

static bool skips(const printer *p, int level, int64_t i) {
  int64_t n = p->x->layout.shape[level];
  return p->elided && n > 2 * EDGE && i >= EDGE && i < n - EDGE;
}

static void visit_shown(printer *p, const char *data, int level, visit each) {
  if (level == p->x->layout.ndim) {
    each(p, data);
    return;
  }
  int64_t step = p->x->layout.strides[level] * (int64_t)peri_dtype_size(p->x->layout.dtype);
  for (int64_t i = 0; i < p->x->layout.shape[level]; i++) {
    if (skips(p, level, i)) i = p->x->layout.shape[level] - EDGE;
    visit_shown(p, data + i * step, level + 1, each);
  }
}

static void note_magnitude(printer *p, const char *element) {
  double value = fabs(peri_load_number(p->x->layout.dtype, element));
  if (!isfinite(value)) return;
  if (value != floor(value)) p->whole = false;
  if (value == 0) return;
  p->largest = fmax(p->largest, value);
  p->smallest = fmin(p->smallest, value);
}

static void note_width(printer *p, const char *element) {
  char cell[CELL];
  int n = format_element(p, element, cell);
  if (n > p->width) p->width = n;
}

static void choose_style(printer *p) {
  peri_dtype dtype = p->x->layout.dtype;
  p->style = dtype == PERI_BOOL ? STYLE_BOOL : STYLE_INTEGER;
  if (peri_is_float(dtype)) {
    p->whole = true;
    p->smallest = HUGE_VAL;
    visit_shown(p, p->x->data, 0, note_magnitude);
    bool wide = p->largest >= 1e8 || (p->largest > 0 && (p->smallest < 1e-4 || p->largest / p->smallest > 1e5));
    p->style = p->whole && p->largest < 1e8 ? STYLE_WHOLE : wide ? STYLE_SCIENTIFIC : STYLE_FIXED;
  }
  visit_shown(p, p->x->data, 0, note_width);
}

/* ---- writing ---- */

static void write_cell(printer *p, const char *element) {
  char cell[CELL], padded[CELL + CELL];
  format_element(p, element, cell);
  int n = snprintf(padded, sizeof padded, "%*s", p->width, cell);
  put(p, padded, (size_t)n);
}

/* Rows are lines; blocks of higher dimensions are separated by empty lines. */
static void write_level(printer *p, const char *data, int level) {
  const peri_layout *layout = &p->x->layout;
  if (level == layout->ndim) {
    write_cell(p, data);
    return;
  }
  int64_t step = layout->strides[level] * (int64_t)peri_dtype_size(layout->dtype);
  bool row = level == layout->ndim - 1;
  for (int64_t i = 0; i < layout->shape[level]; i++) {
    if (i > 0) put(p, row ? "  " : "\n", row ? 2 : 1);
    if (i > 0 && level < layout->ndim - 2) put(p, "\n", 1);
    if (skips(p, level, i)) {
      put(p, "...", 3);
      put(p, row ? "  " : "\n", row ? 2 : 1);
      if (level < layout->ndim - 2) put(p, "\n", 1);
      i = layout->shape[level] - EDGE;
    }
    write_level(p, data + i * step, level + 1);
  }
}

static void write_footer(printer *p) {
  char shape[PERI_SHAPE_TEXT], footer[PERI_SHAPE_TEXT + CELL];
  const peri_layout *layout = &p->x->layout;
  const char *gap = layout->ndim == 0 ? "  " : "\n";
  int n = snprintf(footer, sizeof footer, "%s[%s %s%s]", layout->numel == 0 ? "" : gap, peri_dtype_name(layout->dtype),
                   peri_shape_text(layout->ndim, layout->shape, shape), p->x->requires_grad ? ", requires grad" : "");
  put(p, footer, (size_t)n);
}

peri_status peri_tensor_text(peri_tensor *x, char **text, size_t *bytes) {
  printer p = {.x = x, .elided = x->layout.numel > ELIDE_ABOVE};
  void *block;
  if (x->layout.numel > 0) choose_style(&p);
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
