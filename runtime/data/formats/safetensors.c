/* Reading the tensors of a safetensors file, once its header is known to be sound. */
#include "data/formats/safetensors.h"
#include "data/checksum.h"
#include "data/formats/formats.h"
#include "tensor/tensor.h"

/* ---- the list ---- */

static char *put_string(char **at, const char *string) {
  size_t bytes = strlen(string) + 1;
  char *copy = memcpy(*at, string, bytes);
  *at += bytes;
  return copy;
}

/* Arrays and strings of the list, copied out of the header into one block; tensors are NULL yet. */
static peri_status make_list(peri_context *context, const peri_safetensors_header *header, peri_named_tensors *out) {
  size_t n = header->n, pairs = header->metadata_n;
  size_t bytes = (2 * n + 2 * pairs) * sizeof(void *);
  for (size_t i = 0; i < n; i++) bytes += strlen(header->entries[i].name) + 1;
  for (size_t i = 0; i < pairs; i++) bytes += strlen(header->metadata[i].key) + strlen(header->metadata[i].value) + 2;
  void *block;
  PERI_TRY(peri_alloc(context, bytes, &block));
  *out = (peri_named_tensors){.n = n, .metadata_n = pairs, .block_size = bytes};
  if (block == NULL) return PERI_OK;
  out->names = block;
  out->tensors = (peri_tensor **)((void **)block + n);
  out->keys = (char **)((void **)block + 2 * n);
  out->values = out->keys + pairs;
  char *at = (char *)(out->values + pairs);
  for (size_t i = 0; i < n; i++) {
    out->names[i] = put_string(&at, header->entries[i].name);
    out->tensors[i] = NULL;
  }
  for (size_t i = 0; i < pairs; i++) {
    out->keys[i] = put_string(&at, header->metadata[i].key);
    out->values[i] = put_string(&at, header->metadata[i].value);
  }
  return PERI_OK;
}

void peri_named_tensors_release(peri_context *context, peri_named_tensors *list) {
  for (size_t i = 0; i < list->n; i++) peri_tensor_release(&list->tensors[i]);
  peri_free(context, list->names, list->block_size);
  *list = (peri_named_tensors){0};
}

/* ---- the tensors ---- */

peri_status peri_safetensors_sum(peri_context *context, const unsigned char *bytes, uint64_t n, uint32_t *crc) {
  while (n > 0) {
    const uint64_t slice = n < PERI_IO_SLICE ? n : PERI_IO_SLICE;
    PERI_TRY(peri_check_cancel(context));
    *crc = peri_crc32(*crc, bytes, (size_t)slice);
    bytes += slice;
    n -= slice;
  }
  return PERI_OK;
}

/* *crc: NULL where the file has no checksum. */
static peri_status read_elements(peri_reader *reader, const peri_safetensors_entry *entry, peri_tensor *x,
                                 uint32_t *crc) {
  uint64_t start = reader->at, length = entry->end - entry->begin;
  size_t bytes = (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype);
  unsigned char *tail = (unsigned char *)x->data + (bytes - (size_t)length);
  PERI_TRY(peri_reader_read(reader, tail, length, "a tensor"));
  if (crc != NULL) PERI_TRY(peri_safetensors_sum(reader->context, tail, length, crc));
  if (entry->type->decode == NULL) return PERI_OK;
  int64_t refused = entry->type->decode(x->data, tail, x->layout.numel);
  if (refused < 0) return PERI_OK;
  char name[PERI_NAME_TEXT];
  return peri_reader_fail(reader, start + (uint64_t)refused * entry->type->size, "element %lld of \"%s\" %s",
                          (long long)refused + 1, peri_name_text(entry->name, name), entry->type->wrong);
}

static peri_status read_tensor(peri_reader *reader, const peri_safetensors_entry *entry, uint32_t *crc,
                               peri_tensor **out) {
  peri_layout layout = {.dtype = entry->type->dtype, .ndim = entry->ndim};
  memcpy(layout.shape, entry->shape, sizeof layout.shape);
  PERI_TRY(peri_layout_contiguous(reader->context, reader->operation, &layout));
  PERI_TRY(peri_tensor_empty(reader->context, &layout, out));
  return read_elements(reader, entry, *out, crc); /* on failure the list releases it */
}

static peri_status compare_checksums(const peri_reader *reader, const peri_safetensors_header *header) {
  if (!header->checked || header->crc == header->claimed) return PERI_OK;
  return peri_reader_fail(reader, 0, "the file is damaged: its checksum is %08x, and it says %08x", header->crc,
                          header->claimed);
}

static peri_status read_tensors(peri_reader *reader, peri_named_tensors *out) {
  peri_safetensors_header header;
  PERI_TRY(peri_safetensors_header_read(reader, &header));
  peri_status status = make_list(reader->context, &header, out);
  for (size_t i = 0; i < header.n && status == PERI_OK; i++) {
    status = read_tensor(reader, &header.entries[i], header.checked ? &header.crc : NULL, &out->tensors[i]);
  }
  if (status == PERI_OK) status = peri_reader_finish(reader);
  if (status == PERI_OK) status = compare_checksums(reader, &header);
  if (status != PERI_OK) peri_named_tensors_release(reader->context, out);
  peri_safetensors_header_free(reader->context, &header);
  return status;
}

peri_status peri_safetensors_read(peri_context *context, const char *path, peri_named_tensors *out) {
  *out = (peri_named_tensors){0};
  peri_reader reader;
  PERI_TRY(peri_reader_open(context, "load", path, &reader));
  peri_status status = read_tensors(&reader, out);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_safetensors_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                                   peri_named_tensors *out) {
  *out = (peri_named_tensors){0};
  peri_reader reader;
  peri_reader_open_memory(context, "load", name, bytes, size, &reader);
  peri_status status = read_tensors(&reader, out);
  peri_reader_close(&reader);
  return status;
}
