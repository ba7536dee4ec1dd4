/* svmlight, the text format of SVMlight and LIBSVM; see formats.h. */
#include "data/formats/formats.h"
#include "data/number.h"
#include "data/sparse.h"
#include "tensor/tensor.h"

#include <math.h>

#define WHOLE_DOUBLES 9007199254740992.0 /* whole numbers up to here are exact as doubles */

/* ---- reading ---- */

typedef struct svmlight {
  peri_text text;
  peri_svmlight_options options;
  /* what the first pass finds */
  int64_t n;
  peri_sparse sparse;
  int64_t first_line; /* of the first sample */
  bool whole;         /* every label is */
  bool has_qid;
  /* what the second pass fills; NULL in the first */
  peri_tensor *x, *y, *qid;
  int64_t row; /* samples so far */
} svmlight;

static peri_status changed(svmlight *s) {
  return peri_text_fail(&s->text, s->text.line, "the file was changed while it was read");
}

/* The word is a label. */
static peri_status read_label(svmlight *s) {
  const char *word = s->text.word;
  int64_t line = s->text.line, integer = 0;
  double value = 0;
  if (strchr(word, ',') != NULL) {
    return peri_text_fail(&s->text, line,
                          "'%s' stands for the label (expected one number; several labels are not read)",
                          peri_text_show(&s->text, word));
  }
  if (strchr(word, ':') != NULL) {
    return peri_text_fail(&s->text, line, "'%s' stands for the label (expected a number)",
                          peri_text_show(&s->text, word));
  }
  PERI_TRY(peri_sparse_number(&s->text, word, "the label", &value));
  if (!isfinite(value)) return peri_text_fail(&s->text, line, "the label is %g (expected a finite number)", value);
  bool whole = peri_parse_integer(word, &integer);
  if (!whole && value == floor(value) && fabs(value) <= WHOLE_DOUBLES) {
    whole = true;
    integer = (int64_t)value;
  }
  if (s->y == NULL) {
    s->whole &= whole;
    return PERI_OK;
  }
  if (s->row >= s->n || (s->whole && !whole)) return changed(s);
  if (s->whole) {
    ((int64_t *)(void *)s->y->data)[s->row] = integer;
  } else {
    ((double *)(void *)s->y->data)[s->row] = value;
  }
  return PERI_OK;
}

/* What follows the label is a qid (the word), or is none. */
static peri_status read_qid(svmlight *s, bool given) {
  int64_t line = s->text.line, query = 0;
  if (given && !peri_parse_integer(s->text.word + 4, &query)) {
    return peri_text_fail(&s->text, line, "'%s' (expected qid: and a whole number)",
                          peri_text_show(&s->text, s->text.word));
  }
  if (s->row == 0 && s->y == NULL) {
    s->has_qid = given;
  } else if (given != s->has_qid) {
    return peri_text_fail(&s->text, line, "there is %s qid, but line %lld has %s (expected it in all lines or in none)",
                          given ? "a" : "no", (long long)s->first_line, given ? "none" : "one");
  }
  if (s->qid != NULL) ((int64_t *)(void *)s->qid->data)[s->row] = query;
  return PERI_OK;
}

/* The word is index:value; *last is the index before it. */
static peri_status read_feature(svmlight *s, int64_t *last) {
  int64_t column = 0, columns = s->sparse.d;
  double value = 0;
  PERI_TRY(peri_sparse_read(&s->sparse, last, &column, &value));
  bool single = s->options.dtype == PERI_FLOAT32;
  if (single && isfinite(value) && isinf((float)value)) {
    return peri_text_fail(&s->text, s->text.line, "the value of '%s' is beyond the largest float32 (float64 holds it)",
                          peri_text_show(&s->text, s->text.word));
  }
  if (s->x == NULL) return PERI_OK;
  if (column >= columns) return changed(s);
  int64_t at = s->row * columns + column;
  if (single) {
    ((float *)(void *)s->x->data)[at] = (float)value;
  } else {
    ((double *)(void *)s->x->data)[at] = value;
  }
  return PERI_OK;
}

/* The rest of a line whose label is the word. */
static peri_status read_sample(svmlight *s) {
  int64_t last = -1;
  bool first = true;
  peri_text_item item;
  if (s->row == 0) s->first_line = s->text.line;
  PERI_TRY(read_label(s));
  for (;; first = false) {
    PERI_TRY(peri_text_next(&s->text, &item));
    bool query = item == PERI_TEXT_WORD && strncmp(s->text.word, "qid:", 4) == 0;
    if (query && !first) {
      return peri_text_fail(&s->text, s->text.line, "'%s' (expected qid right after the label, once)",
                            peri_text_show(&s->text, s->text.word));
    }
    if (first) PERI_TRY(read_qid(s, query));
    if (item != PERI_TEXT_WORD) return PERI_OK;
    if (!query) PERI_TRY(read_feature(s, &last));
  }
}

static peri_status read_lines(svmlight *s) {
  s->row = 0;
  for (;;) {
    peri_text_item item;
    PERI_TRY(peri_text_next(&s->text, &item));
    if (item == PERI_TEXT_END) return PERI_OK;
    if (item == PERI_TEXT_LINE_END) continue; /* a blank line */
    PERI_TRY(read_sample(s));
    s->row++;
  }
}

static peri_status new_tensor(svmlight *s, peri_dtype dtype, int ndim, peri_tensor **out) {
  return peri_tensor_new(s->text.window.reader->context, dtype, ndim, (int64_t[]){s->n, s->sparse.d}, out);
}

static peri_status read_twice(svmlight *s) {
  s->whole = true;
  PERI_TRY(read_lines(s));
  s->n = s->row;
  if (s->options.features > 0) s->sparse.d = s->options.features;
  PERI_TRY(peri_sparse_check_size(&s->sparse, "X", s->n, s->options.dtype));
  PERI_TRY(new_tensor(s, s->options.dtype, 2, &s->x));
  PERI_TRY(new_tensor(s, s->whole ? PERI_INT64 : PERI_FLOAT64, 1, &s->y));
  if (s->has_qid) PERI_TRY(new_tensor(s, PERI_INT64, 1, &s->qid));
  PERI_TRY(peri_text_rewind(&s->text));
  PERI_TRY(read_lines(s));
  return s->row == s->n ? PERI_OK : changed(s);
}

static peri_status read_svmlight(peri_reader *reader, const peri_svmlight_options *options, peri_tensor **x,
                                 peri_tensor **y, peri_tensor **qid) {
  svmlight s = {.options = *options, .sparse = {.first = options->zero_based ? 0 : 1, .features = options->features}};
  PERI_TRY(peri_reader_detect_gzip(reader));
  PERI_TRY(peri_text_open(&s.text, reader, '#'));
  s.sparse.text = &s.text;
  peri_status status = read_twice(&s);
  if (status == PERI_OK) {
    *x = s.x;
    *y = s.y;
    *qid = s.qid;
  } else {
    peri_tensor_release(&s.x);
    peri_tensor_release(&s.y);
    peri_tensor_release(&s.qid);
  }
  peri_text_close(&s.text);
  return status;
}

static peri_status check_options(peri_context *context, const peri_svmlight_options *options) {
  if (!peri_is_float(options->dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "read_svmlight: dtype is %s (expected float32 or float64)",
                     peri_dtype_name(options->dtype));
  }
  if (options->features < 0) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "read_svmlight: features is %lld (expected a number from 1)",
                     (long long)options->features);
  }
  return PERI_OK;
}

peri_status peri_svmlight_read(peri_context *context, const char *path, const peri_svmlight_options *options,
                               peri_tensor **x, peri_tensor **y, peri_tensor **qid) {
  *x = *y = *qid = NULL;
  peri_reader reader;
  PERI_TRY(check_options(context, options));
  PERI_TRY(peri_reader_open(context, "read_svmlight", path, &reader));
  peri_status status = read_svmlight(&reader, options, x, y, qid);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_svmlight_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                                const peri_svmlight_options *options, peri_tensor **x, peri_tensor **y,
                                peri_tensor **qid) {
  *x = *y = *qid = NULL;
  peri_reader reader;
  PERI_TRY(check_options(context, options));
  peri_reader_open_memory(context, "read_svmlight", name, bytes, size, &reader);
  peri_status status = read_svmlight(&reader, options, x, y, qid);
  peri_reader_close(&reader);
  return status;
}
