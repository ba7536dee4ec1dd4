/* The header of a safetensors file: read, parsed by cJSON, and checked as a whole before a tensor is
 * made. cJSON is lenient (it takes 01, +, control characters, any depth to 1000, numbers that a double
 * cannot hold, names cut at \u0000) and draws its memory from malloc, so the text is scanned first:
 * what a header may hold is little, and how much memory its document takes follows from counting. */
#include "data/formats/safetensors.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <zlib.h>

#define PREFIX      8                    /* bytes of the header's length */
#define MAX_DEPTH   3                    /* the header, a tensor, a list */
#define MAX_NUMBER  ((uint64_t)1 << 53)  /* beyond it doubles skip integers */
#define NODE_MEMORY (sizeof(cJSON) + 64) /* a value, its text's block and malloc's own bytes */

/* ---- scanning the text ---- */

typedef struct scanner {
  const peri_reader *reader;
  const unsigned char *text, *s, *end;
  uint64_t values;
  int depth;
} scanner;

static uint64_t offset_of(const scanner *scan) { return PREFIX + (uint64_t)(scan->s - scan->text); }

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

static peri_status check_budget(const peri_reader *reader, uint64_t values, uint64_t length) {
  peri_context *context = reader->context;
  uint64_t need = values * NODE_MEMORY + length;
  if (peri_memory_in_use(context) <= context->limit && need <= context->limit - peri_memory_in_use(context))
    return PERI_OK;
  return peri_fail(context, PERI_ERR_MEMORY,
                   "%s: " PERI_PATH_TEXT ": out of memory: its header asks %llu bytes, in use %zu, limit %zu",
                   reader->operation, reader->name, (unsigned long long)need, peri_memory_in_use(context),
                   context->limit);
}

/* text has length bytes and a terminating zero. */
static peri_status parse_text(const peri_reader *reader, const char *text, size_t length, cJSON **document) {
  scanner job = {.reader = reader, .text = (const unsigned char *)text, .s = (const unsigned char *)text};
  job.end = job.text + length;
  if (length == 0 || text[0] != '{') return peri_reader_fail(reader, PREFIX, "the header does not begin with {");
  PERI_TRY(scan_text(&job));
  PERI_TRY(check_budget(reader, job.values, length));
  const char *end = text;
  /* cJSON also notes the place of an error in a global, which nobody here reads. */
  *document = cJSON_ParseWithLengthOpts(text, length + 1, &end, 0);
  if (*document == NULL) {
    return peri_reader_fail(reader, PREFIX + (uint64_t)(end - text), "the header is not JSON here");
  }
  for (; *end != '\0'; end++) {
    if (*end != ' ') {
      return peri_reader_fail(reader, PREFIX + (uint64_t)(end - text),
                              "the header's object is followed by byte 0x%02x (expected spaces)", (unsigned char)*end);
    }
  }
  return PERI_OK;
}

/* ---- the checksum ---- */

static int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Finds the checksum in the header's text, which becomes zeros there, and sums what was read. */
static void take_checksum(const unsigned char *prefix, char *text, size_t length, peri_safetensors_header *header) {
  char *digits = strstr(text, PERI_SAFETENSORS_CHECKSUM_TEXT);
  if (digits == NULL) return;
  digits += strlen(PERI_SAFETENSORS_CHECKSUM_TEXT);
  uint32_t claimed = 0;
  for (int i = 0; i < PERI_SAFETENSORS_CHECKSUM_DIGITS; i++) {
    int value = digit_value(digits[i]); /* of the terminating zero: none */
    if (value < 0) return;
    claimed = claimed * 16 + (uint32_t)value;
  }
  memset(digits, '0', PERI_SAFETENSORS_CHECKSUM_DIGITS);
  header->checked = true;
  header->claimed = claimed;
  header->crc = (uint32_t)crc32_z(crc32_z(0, prefix, PREFIX), (const unsigned char *)text, length);
}

static peri_status read_document(peri_reader *reader, peri_safetensors_header *header) {
  unsigned char prefix[PREFIX];
  PERI_TRY(peri_reader_read(reader, prefix, sizeof prefix, "header length"));
  uint64_t length = peri_load_le64(prefix);
  if (length > PERI_SAFETENSORS_MAX_HEADER) {
    return peri_reader_fail(reader, 0, "a header of %llu bytes (expected at most %d): this is no safetensors file",
                            (unsigned long long)length, PERI_SAFETENSORS_MAX_HEADER);
  }
  if (length > reader->size - PREFIX) {
    return peri_reader_fail(
        reader, 0,
        "this is no safetensors file, or not all of it: a header of %llu bytes, but the file has %llu in all",
        (unsigned long long)length, (unsigned long long)reader->size);
  }
  void *block;
  PERI_TRY(peri_alloc(reader->context, (size_t)length + 1, &block));
  char *text = block;
  text[length] = '\0';
  peri_status status = peri_reader_read(reader, text, length, "header");
  if (status == PERI_OK) status = parse_text(reader, text, (size_t)length, &header->document);
  if (status == PERI_OK) take_checksum(prefix, text, (size_t)length, header);
  peri_free(reader->context, block, (size_t)length + 1);
  return status;
}

/* ---- one tensor ---- */

/* What a complaint about a header's content begins with: the tensor's place among them. */
static peri_status wrong(const peri_reader *reader, const char *name, const char *what) {
  char text[PERI_NAME_TEXT];
  return peri_reader_fail(reader, PREFIX, "header: \"%s\": %s", peri_name_text(name, text), what);
}

static peri_status take_dtype(const peri_reader *reader, const cJSON *value, peri_safetensors_entry *entry) {
  char name[PERI_NAME_TEXT], dtype[PERI_NAME_TEXT];
  if (!cJSON_IsString(value)) return wrong(reader, entry->name, "dtype is not a string");
  entry->type = peri_safetensors_type_named(value->valuestring);
  if (entry->type != NULL) return PERI_OK;
  return peri_reader_fail(reader, PREFIX,
                          "header: \"%s\": dtype \"%s\" (expected F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, "
                          "U16, U8 or BOOL)",
                          peri_name_text(entry->name, name), peri_name_text(value->valuestring, dtype));
}

static peri_status take_shape(const peri_reader *reader, const cJSON *value, peri_safetensors_entry *entry) {
  if (!cJSON_IsArray(value)) return wrong(reader, entry->name, "shape is not a list");
  const cJSON *size;
  cJSON_ArrayForEach(size, value) {
    if (!cJSON_IsNumber(size)) return wrong(reader, entry->name, "shape holds something that is not a number");
    if (entry->ndim == PERI_MAX_DIMS) return wrong(reader, entry->name, "more than 8 dimensions");
    entry->shape[entry->ndim++] = (int64_t)size->valuedouble;
  }
  return PERI_OK;
}

static peri_status take_offsets(const peri_reader *reader, const cJSON *value, peri_safetensors_entry *entry) {
  const cJSON *begin = cJSON_IsArray(value) ? value->child : NULL;
  const cJSON *end = begin != NULL ? begin->next : NULL;
  if (end == NULL || end->next != NULL || !cJSON_IsNumber(begin) || !cJSON_IsNumber(end)) {
    return wrong(reader, entry->name, "data_offsets is not a list of two numbers");
  }
  entry->begin = (uint64_t)begin->valuedouble;
  entry->end = (uint64_t)end->valuedouble;
  return PERI_OK;
}

/* The three fields of an entry; each is there exactly once. */
static const struct field {
  const char *name;
  peri_status (*take)(const peri_reader *reader, const cJSON *value, peri_safetensors_entry *entry);
} fields[] = {{"dtype", take_dtype}, {"shape", take_shape}, {"data_offsets", take_offsets}};

static peri_status take_entry(const peri_reader *reader, const cJSON *item, peri_safetensors_entry *entry) {
  bool seen[PERI_COUNT(fields)] = {false};
  size_t distinct = 0;
  if (!cJSON_IsObject(item)) return wrong(reader, entry->name, "is not an object");
  const cJSON *value;
  cJSON_ArrayForEach(value, item) {
    size_t f = 0;
    while (f < PERI_COUNT(fields) && strcmp(value->string, fields[f].name) != 0) f++;
    if (f == PERI_COUNT(fields)) {
      return wrong(reader, entry->name, "a key other than dtype, shape and data_offsets");
    }
    if (seen[f]) return wrong(reader, entry->name, "dtype, shape or data_offsets stands twice");
    seen[f] = true;
    distinct++;
    PERI_TRY(fields[f].take(reader, value, entry));
  }
  if (distinct < PERI_COUNT(fields)) return wrong(reader, entry->name, "dtype, shape or data_offsets is missing");
  return PERI_OK;
}

static peri_status check_size(const peri_reader *reader, const peri_safetensors_entry *entry) {
  uint64_t bytes = entry->type->size;
  bool empty = false;
  for (int d = 0; d < entry->ndim; d++) {
    uint64_t size = (uint64_t)entry->shape[d];
    empty |= size == 0;
    if (__builtin_mul_overflow(bytes, size == 0 ? 1 : size, &bytes)) {
      return wrong(reader, entry->name, "the product of shape overflows");
    }
  }
  if (empty) bytes = 0;
  if (entry->end >= entry->begin && entry->end - entry->begin == bytes) return PERI_OK;
  char name[PERI_NAME_TEXT];
  return peri_reader_fail(reader, PREFIX,
                          "header: \"%s\": data_offsets [%llu, %llu], but shape and dtype make %llu bytes",
                          peri_name_text(entry->name, name), (unsigned long long)entry->begin,
                          (unsigned long long)entry->end, (unsigned long long)bytes);
}

/* ---- all of them ---- */

static peri_status take_metadata(const peri_reader *reader, const cJSON *object, peri_safetensors_header *header) {
  if (!cJSON_IsObject(object)) return wrong(reader, PERI_SAFETENSORS_METADATA, "is not an object");
  size_t n = 0;
  const cJSON *item;
  cJSON_ArrayForEach(item, object) {
    if (!cJSON_IsString(item)) return wrong(reader, item->string, "this value of __metadata__ is not a string");
    if (strcmp(item->string, PERI_SAFETENSORS_CHECKSUM) == 0 && !header->checked) {
      return wrong(reader, item->string, "the checksum is not written as 8 hexadecimal digits (the file is damaged)");
    }
    n++;
  }
  void *block;
  PERI_TRY(peri_alloc_array(reader->context, n, sizeof *header->metadata, &block));
  header->metadata = block;
  header->metadata_n = n;
  n = 0;
  cJSON_ArrayForEach(item, object) { header->metadata[n++] = (peri_safetensors_pair){item->string, item->valuestring}; }
  return PERI_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of one object, sorted, to see two equal ones side by side. */
static peri_status check_unique(const peri_reader *reader, const cJSON *object, size_t n) {
  void *block;
  PERI_TRY(peri_alloc_array(reader->context, n, sizeof(char *), &block));
  const char **names = block;
  size_t count = 0;
  const cJSON *item;
  cJSON_ArrayForEach(item, object) names[count++] = item->string;
  if (n > 1) qsort(names, n, sizeof *names, compare_names);
  peri_status status = PERI_OK;
  for (size_t i = 1; i < n && status == PERI_OK; i++) {
    if (strcmp(names[i - 1], names[i]) == 0) status = wrong(reader, names[i], "this key stands twice");
  }
  peri_free(reader->context, block, n * sizeof(char *));
  return status;
}

static int compare_places(const void *left, const void *right) {
  const peri_safetensors_entry *a = left, *b = right;
  if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
  if (a->end != b->end) return a->end < b->end ? -1 : 1; /* empty tensors stand before the next one */
  return a->index < b->index ? -1 : 1;
}

/* Sorted, they begin at 0, each where the last one ended, and end with the file. */
static peri_status check_cover(const peri_reader *reader, peri_safetensors_header *header) {
  uint64_t at = 0, room = reader->size - reader->at;
  char name[PERI_NAME_TEXT];
  if (header->n > 1) qsort(header->entries, header->n, sizeof *header->entries, compare_places);
  for (size_t i = 0; i < header->n; i++) {
    const peri_safetensors_entry *entry = &header->entries[i];
    if (entry->begin != at) {
      return peri_reader_fail(reader, reader->at + at, "\"%s\" begins at %llu of the data (expected %llu)",
                              peri_name_text(entry->name, name), (unsigned long long)entry->begin,
                              (unsigned long long)at);
    }
    at = entry->end;
  }
  if (at == room) return PERI_OK;
  return peri_reader_fail(reader, reader->at, "the tensors make %llu bytes of data, but %llu follow the header",
                          (unsigned long long)at, (unsigned long long)room);
}

static peri_status take_document(const peri_reader *reader, peri_safetensors_header *header) {
  const cJSON *item, *metadata = NULL;
  size_t keys = 0;
  cJSON_ArrayForEach(item, header->document) {
    keys++;
    if (strcmp(item->string, PERI_SAFETENSORS_METADATA) == 0) metadata = item;
  }
  PERI_TRY(check_unique(reader, header->document, keys));
  if (metadata != NULL) {
    PERI_TRY(take_metadata(reader, metadata, header));
    PERI_TRY(check_unique(reader, metadata, header->metadata_n));
  }
  size_t n = keys - (metadata != NULL);
  void *block;
  PERI_TRY(peri_alloc_array(reader->context, n, sizeof *header->entries, &block));
  header->entries = block;
  header->n = n;
  size_t i = 0;
  cJSON_ArrayForEach(item, header->document) {
    if (item == metadata) continue;
    peri_safetensors_entry *entry = &header->entries[i];
    *entry = (peri_safetensors_entry){.name = item->string, .index = i};
    PERI_TRY(take_entry(reader, item, entry));
    PERI_TRY(check_size(reader, entry));
    i++;
  }
  return check_cover(reader, header);
}

peri_status peri_safetensors_header_read(peri_reader *reader, peri_safetensors_header *out) {
  *out = (peri_safetensors_header){0};
  peri_status status = read_document(reader, out);
  if (status == PERI_OK) status = take_document(reader, out);
  if (status != PERI_OK) peri_safetensors_header_free(reader->context, out);
  return status;
}

void peri_safetensors_header_free(peri_context *context, peri_safetensors_header *header) {
  peri_free(context, header->entries, header->n * sizeof *header->entries);
  peri_free(context, header->metadata, header->metadata_n * sizeof *header->metadata);
  cJSON_Delete(header->document);
  *header = (peri_safetensors_header){0};
}
