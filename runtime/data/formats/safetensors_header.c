/* The header of a safetensors file: read, parsed (json.h), and checked as a whole before a tensor is made. */
#include "data/checksum.h"
#include "data/formats/json.h"
#include "data/formats/safetensors.h"

#include <stdlib.h>

#define PREFIX 8 /* bytes of the header's length */

/* ---- the checksum ---- */

static int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Finds the checksum in the header's text, and sums what was read, with zeros in its place. */
static void take_checksum(const unsigned char *prefix, const char *text, size_t length,
                          peri_safetensors_header *header) {
  static const char zeros[] = "00000000";
  const char *digits = strstr(text, PERI_SAFETENSORS_CHECKSUM_TEXT);
  if (digits == NULL) return;
  digits += strlen(PERI_SAFETENSORS_CHECKSUM_TEXT);
  uint32_t claimed = 0;
  for (int i = 0; i < PERI_SAFETENSORS_CHECKSUM_DIGITS; i++) {
    int value = digit_value(digits[i]); /* of the terminating zero: none */
    if (value < 0) return;
    claimed = claimed * 16 + (uint32_t)value;
  }
  const char *rest = digits + PERI_SAFETENSORS_CHECKSUM_DIGITS;
  header->checked = true;
  header->claimed = claimed;
  header->crc = peri_crc32(peri_crc32(0, prefix, PREFIX), text, (size_t)(digits - text));
  header->crc = peri_crc32(header->crc, zeros, PERI_SAFETENSORS_CHECKSUM_DIGITS);
  header->crc = peri_crc32(header->crc, rest, length - (size_t)(rest - text));
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
  header->text_bytes = (size_t)length + 1;
  PERI_TRY(peri_alloc(reader->context, header->text_bytes, &block));
  char *text = header->text = block;
  text[length] = '\0';
  PERI_TRY(peri_reader_read(reader, text, length, "header"));
  take_checksum(prefix, text, (size_t)length, header);
  return peri_json_parse(reader, PREFIX, text, (size_t)length, &header->document, &header->values);
}

/* ---- one tensor ---- */

/* What a complaint about a header's content begins with: the tensor's place among them. */
static peri_status wrong(const peri_reader *reader, const char *name, const char *what) {
  char text[PERI_NAME_TEXT];
  return peri_reader_fail(reader, PREFIX, "header: \"%s\": %s", peri_name_text(name, text), what);
}

static peri_status take_dtype(const peri_reader *reader, const peri_json *value, peri_safetensors_entry *entry) {
  char name[PERI_NAME_TEXT], dtype[PERI_NAME_TEXT];
  if (value->kind != PERI_JSON_STRING) return wrong(reader, entry->name, "dtype is not a string");
  entry->type = peri_safetensors_type_named(value->text);
  if (entry->type != NULL) return PERI_OK;
  return peri_reader_fail(reader, PREFIX,
                          "header: \"%s\": dtype \"%s\" (expected F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, "
                          "U16, U8 or BOOL)",
                          peri_name_text(entry->name, name), peri_name_text(value->text, dtype));
}

static peri_status take_shape(const peri_reader *reader, const peri_json *value, peri_safetensors_entry *entry) {
  if (value->kind != PERI_JSON_LIST) return wrong(reader, entry->name, "shape is not a list");
  PERI_JSON_EACH(size, value) {
    if (size->kind != PERI_JSON_NUMBER) return wrong(reader, entry->name, "shape holds something that is not a number");
    if (entry->ndim == PERI_MAX_DIMS) return wrong(reader, entry->name, "more than 8 dimensions");
    entry->shape[entry->ndim++] = (int64_t)size->number;
  }
  return PERI_OK;
}

static peri_status take_offsets(const peri_reader *reader, const peri_json *value, peri_safetensors_entry *entry) {
  const peri_json *begin = value->kind == PERI_JSON_LIST ? value->first : NULL;
  const peri_json *end = begin != NULL ? begin->next : NULL;
  if (end == NULL || end->next != NULL || begin->kind != PERI_JSON_NUMBER || end->kind != PERI_JSON_NUMBER) {
    return wrong(reader, entry->name, "data_offsets is not a list of two numbers");
  }
  entry->begin = begin->number;
  entry->end = end->number;
  return PERI_OK;
}

/* The three fields of an entry; each is there exactly once. */
static const struct field {
  const char *name;
  peri_status (*take)(const peri_reader *reader, const peri_json *value, peri_safetensors_entry *entry);
} fields[] = {{"dtype", take_dtype}, {"shape", take_shape}, {"data_offsets", take_offsets}};

static peri_status take_entry(const peri_reader *reader, const peri_json *item, peri_safetensors_entry *entry) {
  bool seen[PERI_COUNT(fields)] = {false};
  size_t distinct = 0;
  if (item->kind != PERI_JSON_OBJECT) return wrong(reader, entry->name, "is not an object");
  PERI_JSON_EACH(value, item) {
    size_t f = 0;
    while (f < PERI_COUNT(fields) && strcmp(value->key, fields[f].name) != 0) f++;
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

static peri_status take_metadata(const peri_reader *reader, const peri_json *object, peri_safetensors_header *header) {
  if (object->kind != PERI_JSON_OBJECT) return wrong(reader, PERI_SAFETENSORS_METADATA, "is not an object");
  size_t n = 0;
  PERI_JSON_EACH(item, object) {
    if (item->kind != PERI_JSON_STRING) return wrong(reader, item->key, "this value of __metadata__ is not a string");
    if (strcmp(item->key, PERI_SAFETENSORS_CHECKSUM) == 0 && !header->checked) {
      return wrong(reader, item->key, "the checksum is not written as 8 hexadecimal digits (the file is damaged)");
    }
    n++;
  }
  void *block;
  PERI_TRY(peri_alloc_array(reader->context, n, sizeof *header->metadata, &block));
  header->metadata = block;
  header->metadata_n = n;
  n = 0;
  PERI_JSON_EACH(item, object) { header->metadata[n++] = (peri_safetensors_pair){item->key, item->text}; }
  return PERI_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of one object, sorted, to see two equal ones side by side. */
static peri_status check_unique(const peri_reader *reader, const peri_json *object, size_t n) {
  void *block;
  PERI_TRY(peri_alloc_array(reader->context, n, sizeof(char *), &block));
  const char **names = block;
  size_t count = 0;
  PERI_JSON_EACH(item, object) names[count++] = item->key;
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
  const peri_json *metadata = NULL;
  size_t keys = 0;
  PERI_JSON_EACH(item, header->document) {
    keys++;
    if (strcmp(item->key, PERI_SAFETENSORS_METADATA) == 0) metadata = item;
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
  PERI_JSON_EACH(item, header->document) {
    if (item == metadata) continue;
    peri_safetensors_entry *entry = &header->entries[i];
    *entry = (peri_safetensors_entry){.name = item->key, .index = i};
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
  peri_free(context, header->document, header->document == NULL ? 0 : header->values * sizeof *header->document);
  peri_free(context, header->text, header->text == NULL ? 0 : header->text_bytes);
  *header = (peri_safetensors_header){0};
}
