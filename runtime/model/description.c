/* Reading descriptions; see description.h. A first pass over the text counts what could be items, so that all of them,
 * and their texts, are one block. */
#include "model/description.h"

#include "data/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct reader {
  peri_context *context;
  const char *operation, *start, *at;
  peri_item *items; /* the next free one */
  char *texts;      /* the next free character */
  int depth;
} reader;

/* ---- words of the text ---- */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static peri_status refuse(const reader *r, const char *expected) {
  char shown[32];
  snprintf(shown, sizeof shown, "%.20s", r->at);
  for (char *c = shown; *c != '\0'; c++) *c = (unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ? '?' : *c;
  return peri_fail(r->context, PERI_ERR_ARGUMENT, "%s: description, at character %zu: '%s' (expected %s)", r->operation,
                   (size_t)(r->at - r->start) + 1, shown, expected);
}

static char peek(reader *r) {
  while (is_blank(*r->at)) r->at++;
  return *r->at;
}

static bool take(reader *r, char c) {
  if (peek(r) != c) return false;
  r->at++;
  return true;
}

/* A copy of length characters. */
static const char *keep(reader *r, const char *from, size_t length) {
  char *copy = r->texts;
  memcpy(copy, from, length);
  copy[length] = '\0';
  r->texts += length + 1;
  return copy;
}

/* A name, with dots within it. */
static const char *read_name(reader *r) {
  const char *from = r->at;
  while (is_letter(*r->at) || is_digit(*r->at) || (*r->at == '.' && is_letter(r->at[1]))) r->at++;
  return keep(r, from, (size_t)(r->at - from));
}

static peri_status read_number(reader *r, double *out) {
  char digits[64];
  size_t n = 0;
  bool minus = take(r, '-');
  peek(r);
  if (strncmp(r->at, "math.huge", 9) == 0 && !is_letter(r->at[9]) && !is_digit(r->at[9])) {
    r->at += 9;
    *out = minus ? -HUGE_VAL : HUGE_VAL;
    return PERI_OK;
  }
  const char *from = r->at;
  while (n < sizeof digits - 1 && (is_digit(*r->at) || *r->at == '.' || *r->at == 'e' || *r->at == 'E' ||
                                   ((*r->at == '-' || *r->at == '+') && n > 0 && (digits[n - 1] | 32) == 'e')))
    digits[n++] = *r->at++;
  digits[n] = '\0';
  if (n == 0 || peri_parse_number(digits, out) != PERI_NUMBER || is_letter(*r->at) || is_digit(*r->at)) {
    r->at = from;
    return refuse(r, "a number");
  }
  if (minus) *out = -*out;
  return PERI_OK;
}

static peri_status read_word(reader *r, const char **out) {
  char quote = *r->at;
  const char *from = ++r->at;
  while (*r->at != quote) {
    if (*r->at == '\0' || *r->at == '\\' || (unsigned char)*r->at < 0x20)
      return refuse(r, "a word that ends with its quote");
    r->at++;
  }
  *out = keep(r, from, (size_t)(r->at - from));
  r->at++;
  return PERI_OK;
}

/* ---- items ---- */

static peri_status read_item(reader *r, peri_item *item);

/* What stands before the item: name =, or [label] =. A name that is called is none. */
static peri_status read_key(reader *r, peri_item *item) {
  if (take(r, '[')) {
    item->labelled = true;
    PERI_TRY(read_number(r, &item->label));
    if (!take(r, ']') || !take(r, '=')) return refuse(r, "] =");
    return PERI_OK;
  }
  if (!is_letter(peek(r))) return PERI_OK;
  const char *from = r->at;
  char *texts = r->texts;
  item->key = read_name(r);
  if (peek(r) == '=') {
    r->at++;
    return PERI_OK;
  }
  item->key = NULL;
  r->at = from;
  r->texts = texts;
  return PERI_OK;
}

/* Children up to a closing character, which is taken; '\0': up to the end. They are linked behind what the item has. */
static peri_status read_children(reader *r, peri_item *item, char close, const peri_item ***last) {
  while (peek(r) != close) {
    peri_item *child = r->items++;
    *child = (peri_item){.key = NULL};
    PERI_TRY(read_key(r, child));
    PERI_TRY(read_item(r, child));
    **last = child;
    *last = &child->next;
    item->count++;
    if (!take(r, ',') && !take(r, ';') && peek(r) != close)
      return refuse(r, close == '\0' ? "a comma" : "a comma or the end of the list");
  }
  if (close != '\0') r->at++;
  return PERI_OK;
}

static peri_status read_call(reader *r, peri_item *item) {
  item->text = read_name(r);
  if (strcmp(item->text, "true") == 0 || strcmp(item->text, "false") == 0) {
    item->kind = PERI_ITEM_BOOL;
    item->number = item->text[0] == 't';
    return PERI_OK;
  }
  const peri_item **last = &item->first;
  item->kind = PERI_ITEM_CALL;
  if (take(r, '(')) return read_children(r, item, ')', &last);
  if (take(r, '{')) return read_children(r, item, '}', &last);
  return refuse(r, "( or { behind a name");
}

static peri_status read_item(reader *r, peri_item *item) {
  const peri_item **last = &item->first;
  char c = peek(r);
  if (++r->depth > PERI_DESCRIPTION_DEEPEST) return refuse(r, "at most 40 tables in one another");
  peri_status status;
  if (c == '"' || c == '\'') {
    item->kind = PERI_ITEM_WORD;
    status = read_word(r, &item->text);
  } else if (c == '{') {
    r->at++;
    item->kind = PERI_ITEM_TABLE;
    status = read_children(r, item, '}', &last);
  } else if (is_letter(c) && strncmp(r->at, "math.huge", 9) != 0) {
    status = read_call(r, item);
  } else {
    item->kind = PERI_ITEM_NUMBER;
    status = read_number(r, &item->number);
  }
  r->depth--;
  return status;
}

/* Each item has a character of its own, or a comma before it; each text stands in the text, and ends where something
 * else stands. */
static peri_status make_room(reader *r, peri_description *out) {
  size_t length = strlen(r->start), items = 2;
  for (const char *c = r->start; *c != '\0'; c++) items += *c == ',' || *c == ';' || *c == '{' || *c == '(';
  out->bytes = items * sizeof(peri_item) + 2 * (length + 1) + items;
  PERI_TRY(peri_alloc(r->context, out->bytes, &out->block));
  r->items = out->block;
  r->texts = (char *)(r->items + items);
  return PERI_OK;
}

static peri_status read_all(peri_context *context, const char *operation, const char *text, bool options,
                            peri_description *out) {
  reader r = {.context = context, .operation = operation, .start = text, .at = text};
  *out = (peri_description){.context = context};
  PERI_TRY(make_room(&r, out));
  peri_item *root = r.items++;
  const peri_item **last = &root->first;
  *root = (peri_item){.kind = PERI_ITEM_TABLE};
  peri_status status = options ? read_children(&r, root, '\0', &last) : read_item(&r, root);
  if (status == PERI_OK && peek(&r) != '\0') status = refuse(&r, "the end");
  if (status != PERI_OK) {
    peri_description_release(out);
    return status;
  }
  out->root = root;
  return PERI_OK;
}

peri_status peri_description_read(peri_context *context, const char *operation, const char *text,
                                  peri_description *out) {
  return read_all(context, operation, text, false, out);
}

peri_status peri_description_read_options(peri_context *context, const char *operation, const char *text,
                                          peri_description *out) {
  return read_all(context, operation, text == NULL ? "" : text, true, out);
}

void peri_description_release(peri_description *description) {
  if (description->block != NULL) peri_free(description->context, description->block, description->bytes);
  description->block = NULL;
  description->root = NULL;
}

/* ---- what items say ---- */

const peri_item *peri_item_find(const peri_item *item, const char *name) {
  const peri_item *child = item->first;
  while (child != NULL && (child->key == NULL || strcmp(child->key, name) != 0)) child = child->next;
  return child;
}

peri_status peri_item_whole(peri_context *context, const char *operation, const peri_item *item, const char *what,
                            int64_t low, int64_t high, int64_t *out) {
  if (item->kind != PERI_ITEM_NUMBER || item->number != floor(item->number))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s must be a whole number", operation, what);
  if (!(item->number >= (double)low && item->number <= (double)high))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is %.15g (expected %lld to %lld)", operation, what,
                     item->number, (long long)low, (long long)high);
  *out = (int64_t)item->number;
  return PERI_OK;
}

static peri_status read_one(peri_context *context, const char *operation, const peri_item *item,
                            const peri_option *option, double *out) {
  double value = item->number;
  bool limited = option->low != 0 || option->high != 0;
  if (item->kind != PERI_ITEM_NUMBER || (option->kind == PERI_OPTION_INTEGER && value != floor(value)))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s must be a %s", operation, option->name,
                     option->kind == PERI_OPTION_INTEGER ? "whole number" : "number");
  if ((!isfinite(value) && !(limited && (value == option->high || value == option->low))) ||
      (limited && !(value >= option->low && value <= option->high)))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is %.15g, which it cannot be", operation, option->name, value);
  *out = value;
  return PERI_OK;
}

/* Which of the words, separated by spaces, it is; -1: none. */
static int find_word(const char *words, const char *word) {
  size_t length = strlen(word);
  for (int i = 0; words != NULL && length > 0; i++) {
    size_t n = strcspn(words, " ");
    if (n == length && memcmp(words, word, n) == 0) return i;
    if (words[n] == '\0') break;
    words += n + 1;
  }
  return -1;
}

static peri_status read_list(peri_context *context, const char *operation, const peri_item *item,
                             const peri_option *option, double *values) {
  const int n = option->count;
  if (option->open ? item->count < 1 || item->count > n : item->count != n && item->count != 1)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s has %d entries (expected %s%d)", operation, option->name,
                     item->count, option->open ? "1 to " : "", n);
  int i = 0;
  for (const peri_item *child = item->first; child != NULL; child = child->next, i++)
    PERI_TRY(read_one(context, operation, child, option, &values[i]));
  for (; i < n; i++) values[i] = option->open ? PERI_NO_VALUE : values[0];
  return PERI_OK;
}

static peri_status read_option(peri_context *context, const char *operation, const peri_item *item,
                               const peri_option *option, double *values) {
  const int word = item->kind == PERI_ITEM_WORD ? find_word(option->choices, item->text) : -1;
  if (option->kind == PERI_OPTION_BOOL) {
    if (item->kind != PERI_ITEM_BOOL)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s must be true or false", operation, option->name);
    *values = item->number;
    return PERI_OK;
  }
  if (option->kind == PERI_OPTION_CHOICE || item->kind == PERI_ITEM_WORD) {
    if (word < 0)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s must be one of %s", operation, option->name,
                       option->choices == NULL ? "no words, but a number" : option->choices);
    *values = option->kind == PERI_OPTION_CHOICE ? word : PERI_OPTION_WORD(word);
  } else {
    if (option->count > 1 && item->kind == PERI_ITEM_TABLE) return read_list(context, operation, item, option, values);
    PERI_TRY(read_one(context, operation, item, option, values));
  }
  for (int i = 1; i < option->count; i++) values[i] = option->open ? PERI_NO_VALUE : *values;
  return PERI_OK;
}

static bool is_among(const char *const *names, const char *name) {
  for (; names != NULL && *names != NULL; names++) {
    if (strcmp(*names, name) == 0) return true;
  }
  return false;
}

peri_status peri_item_options(peri_context *context, const char *operation, const peri_item *item,
                              const peri_option *options, const char *const *also, bool places, double *values) {
  for (const peri_item *child = item->first; child != NULL; child = child->next) {
    if (child->key == NULL) {
      if (places) continue;
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: options must have names", operation);
    }
    if (peri_item_find(item, child->key) != child)
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: option %s is there twice", operation, child->key);
    const peri_option *option = options;
    double *at = values;
    while (option->name != NULL && strcmp(option->name, child->key) != 0) at += peri_option_values(option++);
    if (option->name != NULL)
      PERI_TRY(read_option(context, operation, child, option, at));
    else if (!is_among(also, child->key))
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: unknown option %.40s", operation, child->key);
  }
  for (; options->name != NULL; values += peri_option_values(options++)) {
    if (isnan(*values))
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: option %s is missing", operation, options->name);
  }
  return PERI_OK;
}

/* ---- writing ---- */

static bool grow(peri_writer *w, size_t more) {
  if (w->status != PERI_OK || w->length + more < w->room) return w->status == PERI_OK;
  size_t room = 2 * (w->length + more) + 256;
  void *block;
  w->status = peri_alloc(w->context, room, &block);
  if (w->status != PERI_OK) return false;
  if (w->text != NULL) memcpy(block, w->text, w->length + 1);
  peri_free(w->context, w->text, w->room);
  w->text = block;
  w->room = room;
  return true;
}

void peri_write(peri_writer *w, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (!grow(w, (size_t)n + 1)) return;
  va_start(arguments, format);
  vsnprintf(w->text + w->length, (size_t)n + 1, format, arguments);
  va_end(arguments);
  w->length += (size_t)n;
}

void peri_write_number(peri_writer *w, double value) {
  char digits[PERI_NUMBER_TEXT];
  if (isinf(value)) {
    peri_write(w, value < 0 ? "-math.huge" : "math.huge");
    return;
  }
  peri_number_text(value, false, digits);
  peri_write(w, "%s", digits);
}

static void write_word(peri_writer *w, const char *words, int which) {
  for (; which > 0; which--) words += strcspn(words, " ") + 1;
  peri_write(w, "'%.*s'", (int)strcspn(words, " "), words);
}

void peri_write_options(peri_writer *w, const peri_option *options, const double *values) {
  for (const peri_option *o = options; o->name != NULL; values += peri_option_values(o++)) {
    const int word = o->kind == PERI_OPTION_CHOICE ? (int)*values
                     : peri_option_has_words(o)    ? peri_option_word(*values)
                                                   : -1;
    const int n = peri_option_length(o, values);
    peri_write(w, "%s%s = ", o == options ? "" : ", ", o->name);
    if (o->kind == PERI_OPTION_BOOL) {
      peri_write(w, *values != 0 ? "true" : "false");
    } else if (word >= 0) {
      write_word(w, o->choices, word);
    } else {
      if (n > 1) peri_write(w, "{");
      for (int i = 0; i < n; i++) {
        if (i > 0) peri_write(w, ", ");
        peri_write_number(w, values[i]);
      }
      if (n > 1) peri_write(w, "}");
    }
  }
}

void peri_writer_release(peri_writer *w) {
  peri_free(w->context, w->text, w->room);
  w->text = NULL;
  w->length = w->room = 0;
}
