/* svmlight, the text format of SVMlight and LIBSVM; see data.h. */
#include "data/data.h"
#include "data/number.h"
#include "data/text.h"
#include "tensor/tensor.h"

#include <math.h>

#define WHOLE_DOUBLES 9007199254740992.0 /* whole numbers up to here are exact as doubles */

/* An x above the floor takes at most this many bytes for a byte of text, unless its width was asked for. */
#define SPARSE_FLOOR ((uint64_t)256 << 20)
#define SPARSE_RATIO 4096

/* ---- reading ---- */

typedef struct svmlight {
  peri_text text;
  peri_svmlight_options options;
  /* what the first pass finds */
  int64_t n, d;
  int64_t largest_line; /* where the largest index stands, 0: nowhere */
  int64_t first_line;   /* of the first sample */
  bool whole;           /* every label is */
  bool has_qid;
  /* what the second pass fills; NULL in the first */
  peri_tensor *x, *y, *qid;
  int64_t row; /* samples so far */
} svmlight;

static peri_status changed(svmlight *s) {
  return peri_text_fail(&s->text, s->text.line, "the file was changed while it was read");
}

static peri_status read_number(svmlight *s, const char *word, const char *what, double *value) {
  switch (peri_parse_number(word, value)) {
  case PERI_NUMBER:
    return PERI_OK;
  case PERI_NUMBER_LARGE:
    return peri_text_fail(&s->text, s->text.line, "%s %s is beyond the largest float64", what,
                          peri_text_show(&s->text, word));
  default:
    return peri_text_fail(&s->text, s->text.line, "%s is '%s' (expected a number)", what,
                          peri_text_show(&s->text, word));
  }
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
  PERI_TRY(read_number(s, word, "the label", &value));
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

static peri_status check_index(svmlight *s, int64_t index, int64_t last) {
  int64_t line = s->text.line, first = s->options.zero_based ? 0 : 1;
  if (index < first) {
    return peri_text_fail(&s->text, line, "index %lld (expected indices from %lld%s)", (long long)index,
                          (long long)first, index == 0 ? "; those of a file that counts from 0 need zero_based" : "");
  }
  if (index <= last) {
    return peri_text_fail(&s->text, line, "index %lld comes after %lld (expected indices that ascend)",
                          (long long)index, (long long)last);
  }
  if (s->options.features > 0 && index - first >= s->options.features) {
    return peri_text_fail(&s->text, line, "index %lld is beyond the %lld features that were asked for",
                          (long long)index, (long long)s->options.features);
  }
  return PERI_OK;
}

/* The word is index:value; *last is the index before it. */
static peri_status read_feature(svmlight *s, int64_t *last) {
  char *word = s->text.word, *colon = strchr(word, ':');
  int64_t index = 0, line = s->text.line;
  double value = 0;
  bool sound = colon != NULL;
  if (sound) {
    *colon = '\0';
    sound = peri_parse_integer(word, &index) && index < INT64_MAX;
    *colon = ':';
  }
  if (!sound) {
    return peri_text_fail(&s->text, line, "'%s' (expected index:value)", peri_text_show(&s->text, word));
  }
  PERI_TRY(check_index(s, index, *last));
  *last = index;
  PERI_TRY(read_number(s, colon + 1, "the value", &value));
  bool single = s->options.dtype == PERI_FLOAT32;
  if (single && isfinite(value) && isinf((float)value)) {
    return peri_text_fail(&s->text, line, "the value %s is beyond the largest float32 (float64 holds it)",
                          peri_text_show(&s->text, colon + 1));
  }
  int64_t column = index - (s->options.zero_based ? 0 : 1);
  if (s->x == NULL) {
    if (column >= s->d) {
      s->d = column + 1;
      s->largest_line = line;
    }
    return PERI_OK;
  }
  if (column >= s->d) return changed(s);
  int64_t at = s->row * s->d + column;
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

/* That x has room in the budget, and that a short file makes no huge x unless its width was asked for. */
static peri_status check_size(svmlight *s) {
  const peri_reader *reader = s->text.reader;
  const peri_context *context = reader->context;
  int64_t line = s->largest_line != 0 ? s->largest_line : s->text.line;
  uint64_t bytes = 0;
  double size = (double)s->n * (double)s->d * (double)peri_dtype_size(s->options.dtype);
  const char *dtype = peri_dtype_name(s->options.dtype);
  bool overflow = __builtin_mul_overflow((uint64_t)s->n, (uint64_t)s->d, &bytes) ||
                  __builtin_mul_overflow(bytes, (uint64_t)peri_dtype_size(s->options.dtype), &bytes);
  if (overflow || bytes > context->limit - context->in_use) {
    peri_status status =
        peri_text_fail(&s->text, line,
                       "X would be %lld x %lld %s, %.4g bytes: more than the memory limit of %zu has left (%zu in use)",
                       (long long)s->n, (long long)s->d, dtype, size, context->limit, context->in_use);
    /* Where the limit alone forbids it, no collection of garbage would help. */
    return overflow || bytes > context->limit ? status : PERI_ERR_MEMORY;
  }
  if (s->options.features == 0 && bytes > SPARSE_FLOOR && bytes / SPARSE_RATIO > reader->at) {
    return peri_text_fail(
        &s->text, line,
        "index %lld makes X %lld x %lld %s, %.4g bytes of a text of %llu (when that is meant, ask for "
        "features = %lld)",
        (long long)(s->options.zero_based ? s->d - 1 : s->d), (long long)s->n, (long long)s->d, dtype, size,
        (unsigned long long)reader->at, (long long)s->d);
  }
  return PERI_OK;
}

static peri_status new_tensor(svmlight *s, peri_dtype dtype, int ndim, peri_tensor **out) {
  return peri_tensor_new(s->text.reader->context, dtype, ndim, (int64_t[]){s->n, s->d}, out);
}

static peri_status read_twice(svmlight *s) {
  s->whole = true;
  PERI_TRY(read_lines(s));
  s->n = s->row;
  if (s->options.features > 0) s->d = s->options.features;
  PERI_TRY(check_size(s));
  PERI_TRY(new_tensor(s, s->options.dtype, 2, &s->x));
  PERI_TRY(new_tensor(s, s->whole ? PERI_INT64 : PERI_FLOAT64, 1, &s->y));
  if (s->has_qid) PERI_TRY(new_tensor(s, PERI_INT64, 1, &s->qid));
  PERI_TRY(peri_text_rewind(&s->text));
  PERI_TRY(read_lines(s));
  return s->row == s->n ? PERI_OK : changed(s);
}

static peri_status read_svmlight(peri_reader *reader, const peri_svmlight_options *options, peri_tensor **x,
                                 peri_tensor **y, peri_tensor **qid) {
  svmlight s = {.options = *options};
  PERI_TRY(peri_reader_detect_gzip(reader));
  PERI_TRY(peri_text_open(&s.text, reader, '#'));
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
