/* The header of an NPY file: a Python dictionary of three entries, of which nothing but these is understood. */
#include "data/formats/npy.h"
#include "data/utf8.h"

#include <stdio.h>

#define MAX_HEADER 65536
#define MAX_TEXT   32 /* of a key or a descr */

/* ---- element types ---- */

static const peri_npy_type types[] = {
    {'f', 4, PERI_FLOAT32, NULL, peri_decode_f32_be, NULL},
    {'f', 8, PERI_FLOAT64, NULL, peri_decode_f64_be, NULL},
    {'i', 8, PERI_INT64, NULL, peri_decode_i64_be, NULL},
    {'u', 1, PERI_UINT8, NULL, NULL, NULL},
    {'b', 1, PERI_BOOL, peri_decode_bool, peri_decode_bool, "is a bool other than 0 and 1"},
    {'f', 2, PERI_FLOAT32, peri_decode_f16, peri_decode_f16_be, NULL},
    {'i', 1, PERI_INT64, peri_decode_i8, peri_decode_i8, NULL},
    {'i', 2, PERI_INT64, peri_decode_i16, peri_decode_i16_be, NULL},
    {'i', 4, PERI_INT64, peri_decode_i32, peri_decode_i32_be, NULL},
    {'u', 2, PERI_INT64, peri_decode_u16, peri_decode_u16_be, NULL},
    {'u', 4, PERI_INT64, peri_decode_u32, peri_decode_u32_be, NULL},
    {'u', 8, PERI_INT64, peri_decode_u64, peri_decode_u64_be, "is beyond the largest int64"},
};

static const struct {
  char kind;
  const char *name;
} refused[] = {{'O', "Python objects"}, {'c', "complex numbers"}, {'S', "bytes"}, {'a', "bytes"},
               {'U', "text"},           {'V', "raw bytes"},       {'M', "dates"}, {'m', "times"}};

/* ---- the dictionary ---- */

typedef struct literal {
  peri_reader *reader;
  uint64_t start; /* of the text in the file */
  const char *text;
  size_t at, n;
} literal;

static peri_status expected(const literal *l, const char *what) {
  return peri_reader_fail(l->reader, l->start + l->at, "header: expected %s", what);
}

static void skip_blanks(literal *l) {
  while (l->at < l->n && (l->text[l->at] == ' ' || l->text[l->at] == '\n' || l->text[l->at] == '\t')) l->at++;
}

/* Whether the next character is c, which is then taken. */
static bool take(literal *l, char c) {
  skip_blanks(l);
  if (l->at == l->n || l->text[l->at] != c) return false;
  l->at++;
  return true;
}

static bool take_word(literal *l, const char *word) {
  size_t length = strlen(word);
  skip_blanks(l);
  bool found = l->n - l->at >= length && memcmp(l->text + l->at, word, length) == 0;
  if (found) l->at += length;
  return found;
}

/* A string between quotes of either kind, without escapes. */
static peri_status take_string(literal *l, const char *what, char to[MAX_TEXT]) {
  skip_blanks(l);
  char quote = l->at < l->n ? l->text[l->at] : '\0';
  if (quote != '\'' && quote != '"') return expected(l, what);
  size_t length = 0, first = l->at + 1;
  while (first + length < l->n && l->text[first + length] != quote) {
    unsigned char c = (unsigned char)l->text[first + length];
    if (c < 0x20 || c > 0x7e || c == '\\' || length == MAX_TEXT - 1) return expected(l, what);
    to[length++] = (char)c;
  }
  if (first + length == l->n) return expected(l, "the quote that ends a string");
  to[length] = '\0';
  l->at = first + length + 1;
  return PERI_OK;
}

static peri_status take_size(literal *l, int64_t *size) {
  skip_blanks(l);
  size_t first = l->at;
  int64_t value = 0;
  for (; l->at < l->n && l->text[l->at] >= '0' && l->text[l->at] <= '9'; l->at++) {
    if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
        __builtin_add_overflow(value, (int64_t)(l->text[l->at] - '0'), &value)) {
      return peri_reader_fail(l->reader, l->start + first, "header: a size is beyond the largest int64");
    }
  }
  if (l->at == first || (l->text[first] == '0' && l->at > first + 1)) {
    l->at = first;
    return expected(l, "a size, or the parenthesis that ends the shape");
  }
  if (l->at < l->n && l->text[l->at] == 'L') l->at++; /* as Python 2 wrote them */
  *size = value;
  return PERI_OK;
}

/* (), (3,), (3, 4) */
static peri_status take_shape(literal *l, peri_npy_header *out) {
  bool comma = true;
  int ndim = 0;
  if (!take(l, '(')) return expected(l, "a shape in parentheses");
  while (!take(l, ')')) {
    if (!comma) return expected(l, "a comma between sizes");
    if (ndim == PERI_MAX_DIMS) {
      return peri_reader_fail(l->reader, l->start + l->at, "header: more than %d dimensions", PERI_MAX_DIMS);
    }
    PERI_TRY(take_size(l, &out->shape[ndim++]));
    comma = take(l, ',');
  }
  if (ndim == 1 && !comma) return expected(l, "a shape of one size with a comma behind it");
  out->ndim = ndim;
  return PERI_OK;
}

static peri_status take_order(literal *l, peri_npy_header *out) {
  out->fortran_order = take_word(l, "True");
  if (out->fortran_order || take_word(l, "False")) return PERI_OK;
  return expected(l, "True or False for fortran_order");
}

static peri_status refuse_descr(const literal *l, const char *descr, size_t at) {
  char shown[PERI_NAME_TEXT];
  const char *name = NULL;
  for (size_t i = 0; i < PERI_COUNT(refused) && descr[0] != '\0'; i++) {
    if (descr[1] == refused[i].kind) name = refused[i].name;
  }
  return peri_reader_fail(l->reader, l->start + at,
                          "header: descr is '%s'%s%s (expected b1, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4 or f8 behind "
                          "< or >, or behind | where it is one byte)",
                          peri_name_text(descr, shown), name != NULL ? ", " : "", name != NULL ? name : "");
}

static peri_status take_descr(literal *l, peri_npy_header *out) {
  char descr[MAX_TEXT];
  skip_blanks(l);
  size_t at = l->at;
  if (at < l->n && (l->text[at] == '[' || l->text[at] == '(')) {
    return peri_reader_fail(l->reader, l->start + at, "header: descr is structured (expected numbers, as '<f4')");
  }
  PERI_TRY(take_string(l, "descr, a short text between quotes", descr));
  for (size_t i = 0; i < PERI_COUNT(types); i++) {
    const peri_npy_type *type = &types[i];
    if (descr[0] == '\0' || descr[1] != type->kind || descr[2] != '0' + type->size || descr[3] != '\0') continue;
    if (descr[0] != '<' && descr[0] != '>' && (descr[0] != '|' || type->size > 1)) continue;
    out->type = type;
    out->decode = descr[0] == '>' ? type->big : type->little;
    return PERI_OK;
  }
  return refuse_descr(l, descr, at);
}

static const struct {
  const char *key;
  peri_status (*take)(literal *l, peri_npy_header *out);
} entries[] = {{"descr", take_descr}, {"fortran_order", take_order}, {"shape", take_shape}};

static peri_status take_entry(literal *l, peri_npy_header *out, unsigned *seen) {
  char key[MAX_TEXT];
  size_t at = l->at;
  PERI_TRY(take_string(l, "a key between quotes, or the brace that ends the header", key));
  for (size_t i = 0; i < PERI_COUNT(entries); i++) {
    if (strcmp(entries[i].key, key) != 0) continue;
    if (*seen & 1u << i) return peri_reader_fail(l->reader, l->start + at, "header: '%s' stands there twice", key);
    *seen |= 1u << i;
    if (!take(l, ':')) return expected(l, "a colon behind the key");
    return entries[i].take(l, out);
  }
  char shown[PERI_NAME_TEXT];
  return peri_reader_fail(l->reader, l->start + at, "header: key '%s' (expected descr, fortran_order and shape)",
                          peri_name_text(key, shown));
}

static peri_status take_dictionary(literal *l, peri_npy_header *out) {
  unsigned seen = 0;
  bool comma = true;
  if (!take(l, '{')) return expected(l, "a brace");
  while (!take(l, '}')) {
    if (!comma) return expected(l, "a comma between entries");
    PERI_TRY(take_entry(l, out, &seen));
    comma = take(l, ',');
  }
  for (size_t i = 0; i < PERI_COUNT(entries); i++) {
    if (!(seen & 1u << i)) return peri_reader_fail(l->reader, l->start, "header: no key '%s'", entries[i].key);
  }
  skip_blanks(l);
  return l->at == l->n ? PERI_OK : expected(l, "blanks alone behind the brace");
}

/* ---- reading ---- */

/* Magic number, version and the header's length. */
static peri_status read_prefix(peri_reader *reader, uint32_t *length) {
  unsigned char magic[8], bytes[4] = {0};
  PERI_TRY(peri_reader_read(reader, magic, sizeof magic, "NPY magic number"));
  if (memcmp(magic, "\x93NUMPY", 6) != 0) {
    return peri_reader_fail(reader, 0, "does not begin with the \\x93NUMPY of an NPY file");
  }
  if (magic[6] < 1 || magic[6] > 3 || magic[7] != 0) {
    return peri_reader_fail(reader, 6, "version %d.%d (expected 1.0, 2.0 or 3.0)", magic[6], magic[7]);
  }
  PERI_TRY(peri_reader_read(reader, bytes, magic[6] == 1 ? 2 : 4, "the header's length"));
  *length = peri_load_le32(bytes);
  if (*length > MAX_HEADER) {
    return peri_reader_fail(reader, 8, "a header of %lu bytes (expected at most %d)", (unsigned long)*length,
                            MAX_HEADER);
  }
  return PERI_OK;
}

peri_status peri_npy_header_read(peri_reader *reader, peri_npy_header *out) {
  uint32_t length = 0;
  void *text;
  *out = (peri_npy_header){0};
  PERI_TRY(read_prefix(reader, &length));
  literal l = {.reader = reader, .start = reader->at, .n = length};
  PERI_TRY(peri_alloc(reader->context, length, &text));
  peri_status status = peri_reader_read(reader, text, length, "header");
  l.text = text;
  if (status == PERI_OK) status = take_dictionary(&l, out);
  peri_free(reader->context, text, length);
  return status;
}

/* ---- writing ---- */

size_t peri_npy_header_write(const peri_layout *layout, unsigned char to[PERI_NPY_HEADER]) {
  const peri_npy_type *type = types; /* the first row of a dtype is the exact one */
  while (type->dtype != layout->dtype) type++;
  char *text = (char *)to + 10;
  const size_t room = PERI_NPY_HEADER - 10;
  size_t n = (size_t)snprintf(text, room, "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (",
                              type->size == 1 ? '|' : '<', type->kind, type->size);
  for (int d = 0; d < layout->ndim; d++) {
    n += (size_t)snprintf(text + n, room - n, d == 0 ? "%lld," : " %lld,", (long long)layout->shape[d]);
  }
  if (layout->ndim > 1) n--; /* no comma behind the last of several */
  n += (size_t)snprintf(text + n, room - n, "), }");
  while ((10 + n + 1) % 64 != 0) text[n++] = ' ';
  text[n++] = '\n';
  memcpy(to, "\x93NUMPY\x01\x00", 8);
  peri_store_le16(to + 8, (uint16_t)n);
  return 10 + n;
}
