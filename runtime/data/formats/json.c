/* See json.h. The text is scanned first: that strings end and are text, that numbers are whole, how deep it is and how
 * many values it has. The parser then meets nothing that it has to refuse for itself but a wrong order. */
#include "data/formats/json.h"
#include "data/utf8.h"

#define MAX_DEPTH  3                   /* a header, a tensor, a list */
#define MAX_NUMBER ((uint64_t)1 << 53) /* beyond it doubles skip integers */

/* ---- scanning the text ---- */

typedef struct scanner {
  const peri_reader *reader;
  const unsigned char *text, *s, *end;
  uint64_t offset; /* of the text */
  uint64_t values;
  int depth;
} scanner;

static uint64_t offset_of(const scanner *scan) { return scan->offset + (uint64_t)(scan->s - scan->text); }

static peri_status scan_escape(scanner *scan) {
  const unsigned char *s = scan->s;
  if (scan->end - s >= 6 && memcmp(s, "\\u0000", 6) == 0) {
    return peri_reader_fail(scan->reader, offset_of(scan), "a string holds \\u0000 (expected text)");
  }
  scan->s += scan->end - s >= 2 ? 2 : 1;
  return PERI_OK;
}

/* s stands at the opening quote and leaves behind the closing one. */
static peri_status scan_string(scanner *scan) {
  uint64_t start = offset_of(scan);
  for (scan->s++; scan->s < scan->end && *scan->s != '"';) {
    size_t length = peri_utf8_length(scan->s, scan->end);
    if (length == 0) return peri_reader_fail(scan->reader, offset_of(scan), "a string is not UTF-8");
    if (*scan->s < 0x20) {
      return peri_reader_fail(scan->reader, offset_of(scan), "a string holds the control character 0x%02x", *scan->s);
    }
    if (*scan->s == '\\') {
      PERI_TRY(scan_escape(scan));
    } else {
      scan->s += length;
    }
  }
  if (scan->s == scan->end) return peri_reader_fail(scan->reader, start, "a string has no end within the header");
  scan->s++;
  return PERI_OK;
}

static peri_status scan_number(scanner *scan) {
  uint64_t start = offset_of(scan), value = 0;
  bool leading_zero = *scan->s == '0';
  int digits = 0;
  for (; scan->s < scan->end && *scan->s >= '0' && *scan->s <= '9'; scan->s++, digits++) {
    if (digits >= 16) return peri_reader_fail(scan->reader, start, "a number beyond 2^53");
    value = value * 10 + (uint64_t)(*scan->s - '0');
  }
  if (leading_zero && digits > 1) return peri_reader_fail(scan->reader, start, "a number with a leading zero");
  if (value > MAX_NUMBER) return peri_reader_fail(scan->reader, start, "a number beyond 2^53");
  return PERI_OK;
}

/* Everything outside strings is white space, brackets, commas, colons and plain integers. */
static peri_status scan_text(scanner *scan) {
  while (scan->s < scan->end) {
    unsigned char c = *scan->s;
    if (c == '"') {
      scan->values++;
      PERI_TRY(scan_string(scan));
    } else if (c >= '0' && c <= '9') {
      scan->values++;
      PERI_TRY(scan_number(scan));
    } else if (c == '{' || c == '[') {
      scan->values++;
      if (++scan->depth > MAX_DEPTH) {
        return peri_reader_fail(scan->reader, offset_of(scan), "nested more than %d deep", MAX_DEPTH);
      }
      scan->s++;
    } else if (c != '\0' && strchr("}], :\t\r\n", c) != NULL) {
      if (c == '}' || c == ']') scan->depth--;
      scan->s++;
    } else {
      return peri_reader_fail(scan->reader, offset_of(scan),
                              "byte 0x%02x (expected a string, a whole number or a bracket of a JSON header)", c);
    }
  }
  return PERI_OK;
}

/* ---- the document ---- */

typedef struct parser {
  char *s;
  peri_json *free; /* the next value of the block */
} parser;

static bool parse_value(parser *p, peri_json *value);

static void skip_space(parser *p) {
  while (*p->s == ' ' || *p->s == '\t' || *p->s == '\r' || *p->s == '\n') p->s++;
}

/* Whether the character stands next, which is then behind. */
static bool take(parser *p, char c) {
  skip_space(p);
  if (*p->s != c) return false;
  p->s++;
  return true;
}

/* Four digits of a code unit; UINT32_MAX where there are none. */
static uint32_t parse_unit(const char *s) {
  uint32_t unit = 0;
  for (int i = 0; i < 4; i++) {
    const char c = s[i], lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9')
      unit = unit * 16 + (uint32_t)(c - '0');
    else if (lower >= 'a' && lower <= 'f')
      unit = unit * 16 + (uint32_t)(lower - 'a') + 10;
    else
      return UINT32_MAX;
  }
  return unit;
}

static char *put_utf8(char *to, uint32_t code) {
  const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
  *to++ = (char)(leads[more] | code >> 6 * more);
  for (int i = more - 1; i >= 0; i--) *to++ = (char)(0x80 | (code >> 6 * i & 0x3f));
  return to;
}

/* What a backslash begins, of which less is written than is read; p->s stands behind the letter u. */
static bool parse_code(parser *p, char **to) {
  uint32_t code = parse_unit(p->s);
  if (code == UINT32_MAX || (code >= 0xdc00 && code < 0xe000)) return false;
  p->s += 4;
  if (code >= 0xd800 && code < 0xdc00) { /* the first half of a pair */
    const uint32_t low = p->s[0] == '\\' && p->s[1] == 'u' ? parse_unit(p->s + 2) : UINT32_MAX;
    if (low < 0xdc00 || low >= 0xe000) return false;
    code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
    p->s += 6;
  }
  *to = put_utf8(*to, code);
  return true;
}

static bool parse_escape(parser *p, char **to) {
  static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char letter = p->s[1];
  if (letter == 'u') {
    p->s += 2;
    return parse_code(p, to);
  }
  const char *found = strchr(letters, letter);
  if (found == NULL) return false;
  *(*to)++ = values[found - letters];
  p->s += 2;
  return true;
}

static bool parse_string(parser *p, const char **out) {
  if (!take(p, '"')) return false;
  char *to = p->s;
  *out = to;
  while (*p->s != '"') {
    if (*p->s != '\\')
      *to++ = *p->s++;
    else if (!parse_escape(p, &to))
      return false;
  }
  p->s++;
  *to = '\0';
  return true;
}

/* The elements of a list, or the members of an object, up to its end. */
static bool parse_items(parser *p, peri_json *parent) {
  const bool members = parent->kind == PERI_JSON_OBJECT;
  const char end = members ? '}' : ']';
  const peri_json **link = &parent->first;
  p->s++;
  if (take(p, end)) return true;
  do {
    peri_json *item = p->free++;
    *item = (peri_json){.kind = PERI_JSON_NUMBER};
    if (members && !(parse_string(p, &item->key) && take(p, ':'))) return false;
    if (!parse_value(p, item)) return false;
    *link = item;
    link = &item->next;
  } while (take(p, ','));
  return take(p, end);
}

static bool parse_value(parser *p, peri_json *value) {
  skip_space(p);
  switch (*p->s) {
  case '{':
    value->kind = PERI_JSON_OBJECT;
    return parse_items(p, value);
  case '[':
    value->kind = PERI_JSON_LIST;
    return parse_items(p, value);
  case '"':
    value->kind = PERI_JSON_STRING;
    return parse_string(p, &value->text);
  default:
    break;
  }
  if (!(*p->s >= '0' && *p->s <= '9')) return false;
  for (value->kind = PERI_JSON_NUMBER; *p->s >= '0' && *p->s <= '9'; p->s++)
    value->number = value->number * 10 + (uint64_t)(*p->s - '0');
  return true;
}

peri_status peri_json_parse(const peri_reader *reader, uint64_t offset, char *text, size_t length, peri_json **out,
                            size_t *values) {
  const unsigned char *start = (const unsigned char *)text;
  scanner scan = {.reader = reader, .text = start, .s = start, .end = start + length, .offset = offset};
  *out = NULL;
  if (length == 0 || text[0] != '{') return peri_reader_fail(reader, offset, "the header does not begin with {");
  PERI_TRY(scan_text(&scan));
  void *block;
  *values = (size_t)scan.values + 1; /* an item begins before it is seen that there is none */
  if (peri_alloc_array(reader->context, *values, sizeof **out, &block) != PERI_OK)
    return peri_fail(reader->context, PERI_ERR_MEMORY,
                     "%s: " PERI_PATH_TEXT ": out of memory: its header asks %zu bytes, in use %zu, limit %zu",
                     reader->operation, reader->name, *values * sizeof **out, peri_memory_in_use(reader->context),
                     reader->context->limit);
  *out = block;
  parser p = {.s = text, .free = *out + 1};
  **out = (peri_json){.kind = PERI_JSON_OBJECT};
  if (!parse_value(&p, *out))
    return peri_reader_fail(reader, offset + (uint64_t)(p.s - text), "the header is not JSON here");
  for (; *p.s != '\0'; p.s++) {
    if (*p.s != ' ')
      return peri_reader_fail(reader, offset + (uint64_t)(p.s - text),
                              "the header's object is followed by byte 0x%02x (expected spaces)", (unsigned char)*p.s);
  }
  return PERI_OK;
}
