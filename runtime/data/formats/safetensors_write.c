/* Writing safetensors: the header's text is made twice by the same code, first to measure it. */
#include "data/file.h"
#include "data/formats/formats.h"
#include "data/formats/safetensors.h"
#include "tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>

#define PREFIX         8
#define LARGEST_OFFSET ((uint64_t)1 << 53) /* what readers with double numbers can take */

/* ---- text that is measured or written ---- */

typedef struct text {
  char *to; /* NULL: only measured */
  size_t length;
} text;

static void put(text *t, const char *s, size_t n) {
  if (t->to != NULL) memcpy(t->to + t->length, s, n);
  t->length += n;
}

static void put_string(text *t, const char *s) {
  put(t, "\"", 1);
  for (; *s != '\0'; s++) {
    char escape[8];
    if (*s == '"' || *s == '\\') put(t, "\\", 1);
    if ((unsigned char)*s < 0x20) {
      put(t, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*s));
    } else {
      put(t, s, 1);
    }
  }
  put(t, "\"", 1);
}

static void put_number(text *t, uint64_t number) {
  char digits[24];
  put(t, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number));
}

#define PUT(t, literal) put(t, literal, sizeof(literal) - 1)

/* ---- the job ---- */

typedef struct item {
  const char *name;
  peri_tensor *tensor; /* contiguous; a reference of ours */
  size_t bytes;
  uint64_t begin;
} item;

typedef struct job {
  peri_context *context;
  size_t n, metadata_n;
  const char *const *keys, *const *values;
  item *items;         /* in the order of the file */
  const void **chunks; /* n + 1, with the header */
  size_t *sizes;
} job;

static bool is_checksum(const char *key) { return strcmp(key, PERI_SAFETENSORS_CHECKSUM) == 0; }

static void put_header(text *t, const job *j) {
  PUT(t, "{");
  if (j->metadata_n > 0) {
    PUT(t, "\"" PERI_SAFETENSORS_METADATA "\":{");
    for (size_t i = 0; i < j->metadata_n; i++) {
      if (i > 0) PUT(t, ",");
      put_string(t, j->keys[i]);
      PUT(t, ":");
      put_string(t, is_checksum(j->keys[i]) ? "00000000" : j->values[i]);
    }
    PUT(t, "}");
  }
  for (size_t i = 0; i < j->n; i++) {
    const item *it = &j->items[i];
    const peri_layout *layout = &it->tensor->layout;
    const char *dtype = peri_safetensors_type_of(layout->dtype)->name;
    if (i > 0 || j->metadata_n > 0) PUT(t, ",");
    put_string(t, it->name);
    PUT(t, ":{\"dtype\":\"");
    put(t, dtype, strlen(dtype));
    PUT(t, "\",\"shape\":[");
    for (int d = 0; d < layout->ndim; d++) {
      if (d > 0) PUT(t, ",");
      put_number(t, (uint64_t)layout->shape[d]);
    }
    PUT(t, "],\"data_offsets\":[");
    put_number(t, it->begin);
    PUT(t, ",");
    put_number(t, it->begin + it->bytes);
    PUT(t, "]}");
  }
  PUT(t, "}");
  while (t->length % 8 != 0) PUT(t, " ");
}

/* ---- checks ---- */

static peri_status check_text(peri_context *context, const char *what, const char *string) {
  const unsigned char *s = (const unsigned char *)string, *end = s + strlen(string);
  char shown[PERI_NAME_TEXT];
  while (s < end) {
    size_t length = peri_utf8_length(s, end);
    if (length == 0) {
      return peri_fail(context, PERI_ERR_ARGUMENT, "save: the %s \"%s\" is not UTF-8", what,
                       peri_name_text(string, shown));
    }
    s += length;
  }
  return PERI_OK;
}

static int compare_strings(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* UTF-8, and no two equal. */
static peri_status check_strings(peri_context *context, const char *what, size_t n, const char *const *strings) {
  for (size_t i = 0; i < n; i++) PERI_TRY(check_text(context, what, strings[i]));
  if (n < 2) return PERI_OK;
  void *block;
  PERI_TRY(peri_alloc_array(context, n, sizeof *strings, &block));
  const char **sorted = block;
  memcpy(sorted, strings, n * sizeof *strings);
  qsort(sorted, n, sizeof *sorted, compare_strings);
  peri_status status = PERI_OK;
  char shown[PERI_NAME_TEXT];
  for (size_t i = 1; i < n && status == PERI_OK; i++) {
    if (strcmp(sorted[i - 1], sorted[i]) == 0) {
      status = peri_fail(context, PERI_ERR_ARGUMENT, "save: the %s \"%s\" is given twice", what,
                         peri_name_text(sorted[i], shown));
    }
  }
  peri_free(context, block, n * sizeof *strings);
  return status;
}

static peri_status check_arguments(const job *j, const char *const *names) {
  PERI_TRY(check_strings(j->context, "tensor name", j->n, names));
  PERI_TRY(check_strings(j->context, "metadata key", j->metadata_n, j->keys));
  for (size_t i = 0; i < j->metadata_n; i++) PERI_TRY(check_text(j->context, "metadata value", j->values[i]));
  for (size_t i = 0; i < j->n; i++) {
    if (strcmp(names[i], PERI_SAFETENSORS_METADATA) == 0) {
      return peri_fail(j->context, PERI_ERR_ARGUMENT, "save: a tensor cannot be named " PERI_SAFETENSORS_METADATA);
    }
  }
  return PERI_OK;
}

/* ---- writing ---- */

static int compare_items(const void *left, const void *right) {
  const item *a = left, *b = right;
  size_t a_size = peri_dtype_size(a->tensor->layout.dtype), b_size = peri_dtype_size(b->tensor->layout.dtype);
  if (a_size != b_size) return a_size > b_size ? -1 : 1;
  return strcmp(a->name, b->name);
}

/* Element size, largest first, then name: with a header of whole 8 bytes every tensor is aligned. */
static peri_status place_items(job *j) {
  uint64_t at = 0;
  if (j->n > 1) qsort(j->items, j->n, sizeof *j->items, compare_items);
  for (size_t i = 0; i < j->n; i++) {
    j->items[i].begin = at;
    at += j->items[i].bytes;
    if (at > LARGEST_OFFSET) return peri_fail(j->context, PERI_ERR_ARGUMENT, "save: more than 2^53 bytes");
    j->chunks[i + 1] = j->items[i].tensor->data;
    j->sizes[i + 1] = j->items[i].bytes;
  }
  return PERI_OK;
}

/* Sums all chunks and puts the digits into the first, where they are asked for. */
static peri_status put_checksum(const job *j, char *header) {
  bool wanted = false;
  for (size_t i = 0; i < j->metadata_n; i++) wanted |= is_checksum(j->keys[i]);
  if (!wanted) return PERI_OK;
  uint32_t crc = 0;
  for (size_t i = 0; i <= j->n; i++) PERI_TRY(peri_safetensors_sum(j->context, j->chunks[i], j->sizes[i], &crc));
  char digits[PERI_SAFETENSORS_CHECKSUM_DIGITS + 1];
  snprintf(digits, sizeof digits, "%08x", crc);
  memcpy(strstr(header, PERI_SAFETENSORS_CHECKSUM_TEXT) + strlen(PERI_SAFETENSORS_CHECKSUM_TEXT), digits,
         PERI_SAFETENSORS_CHECKSUM_DIGITS);
  return PERI_OK;
}

static peri_status write_file(job *j, const char *path) {
  text header = {NULL, 0};
  put_header(&header, j);
  if (header.length > PERI_SAFETENSORS_MAX_HEADER || j->n >= INT32_MAX) {
    return peri_fail(j->context, PERI_ERR_ARGUMENT, "save: the header takes %zu bytes (expected at most %d)",
                     header.length, PERI_SAFETENSORS_MAX_HEADER);
  }
  size_t bytes = PREFIX + header.length;
  void *block;
  PERI_TRY(peri_alloc(j->context, bytes + 1, &block)); /* with a zero behind the text */
  peri_store_le64(block, header.length);
  header = (text){(char *)block + PREFIX, 0};
  put_header(&header, j);
  header.to[header.length] = '\0';
  j->chunks[0] = block;
  j->sizes[0] = bytes;
  peri_status status = put_checksum(j, header.to);
  if (status == PERI_OK) status = peri_file_write_atomic(j->context, path, j->chunks, j->sizes, (int)(j->n + 1));
  peri_free(j->context, block, bytes + 1);
  return status;
}

/* Contiguous tensors are taken as they are, others as copies. */
static peri_status take_tensors(job *j, const char *const *names, peri_tensor *const *tensors) {
  for (size_t i = 0; i < j->n; i++) {
    item *it = &j->items[i];
    it->name = names[i];
    PERI_TRY(peri_tensor_contiguous(tensors[i], &it->tensor));
    it->bytes = (size_t)it->tensor->layout.numel * peri_dtype_size(it->tensor->layout.dtype);
  }
  return PERI_OK;
}

peri_status peri_safetensors_write(peri_context *context, const char *path, size_t n, const char *const *names,
                                   peri_tensor *const *tensors, size_t metadata_n, const char *const *keys,
                                   const char *const *values) {
  job j = {.context = context, .n = n, .metadata_n = metadata_n, .keys = keys, .values = values};
  PERI_TRY(check_arguments(&j, names));
  size_t record = sizeof(item) + sizeof(void *) + sizeof(size_t);
  void *block;
  PERI_TRY(peri_alloc_array(context, n + 1, record, &block));
  memset(block, 0, (n + 1) * record);
  j.items = block;
  j.chunks = (const void **)(j.items + n + 1);
  j.sizes = (size_t *)(j.chunks + n + 1);
  peri_status status = take_tensors(&j, names, tensors);
  if (status == PERI_OK) status = place_items(&j);
  if (status == PERI_OK) status = write_file(&j, path);
  for (size_t i = 0; i < n; i++) peri_tensor_release(&j.items[i].tensor);
  peri_free(context, block, (n + 1) * record);
  return status;
}
