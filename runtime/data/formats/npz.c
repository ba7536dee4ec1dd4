/* NPZ, NumPy's archive of named arrays: reading. */
#include "data/formats/formats.h"
#include "data/formats/npy.h"
#include "data/formats/zip.h"
#include "data/utf8.h"

#define ENDING ".npy"

static size_t key_length(const char *member) { return strlen(member) - strlen(ENDING); }

static peri_status check_endings(peri_reader *reader, const peri_zip *zip) {
  char shown[PERI_NAME_TEXT];
  for (size_t i = 0; i < zip->n; i++) {
    const char *name = zip->entries[i].member.name;
    if (strlen(name) >= strlen(ENDING) && strcmp(name + key_length(name), ENDING) == 0) continue;
    return peri_reader_fail(reader, zip->entries[i].header, "member \"%s\" is no " ENDING, peri_name_text(name, shown));
  }
  return PERI_OK;
}

/* Names without their ending, in one block with the places of the tensors, which are NULL yet. */
static peri_status make_list(peri_context *context, const peri_zip *zip, peri_named_tensors *out) {
  size_t bytes = 2 * zip->n * sizeof(void *);
  void *block;
  for (size_t i = 0; i < zip->n; i++) bytes += key_length(zip->entries[i].member.name) + 1;
  PERI_TRY(peri_alloc(context, bytes, &block));
  *out = (peri_named_tensors){.n = zip->n, .block_size = bytes};
  if (block == NULL) return PERI_OK;
  memset(block, 0, bytes);
  out->names = block;
  out->tensors = (peri_tensor **)((void **)block + zip->n);
  char *at = (char *)(out->tensors + zip->n);
  for (size_t i = 0; i < zip->n; i++) {
    size_t length = key_length(zip->entries[i].member.name);
    out->names[i] = memcpy(at, zip->entries[i].member.name, length);
    at += length + 1;
  }
  return PERI_OK;
}

static peri_status read_member(const peri_reader *archive, const peri_member *member, peri_tensor **out) {
  peri_reader reader;
  PERI_TRY(peri_reader_open_member(archive, member, &reader));
  peri_status status = peri_npy_read_all(&reader, out);
  peri_reader_close(&reader);
  return status;
}

static peri_status read_members(peri_reader *reader, peri_named_tensors *out) {
  peri_zip zip;
  PERI_TRY(peri_zip_open(reader, &zip));
  peri_status status = check_endings(reader, &zip);
  if (status == PERI_OK) status = make_list(reader->context, &zip, out);
  for (size_t i = 0; i < zip.n && status == PERI_OK; i++) {
    status = read_member(reader, &zip.entries[i].member, &out->tensors[i]);
  }
  if (status != PERI_OK) peri_named_tensors_release(reader->context, out);
  peri_zip_close(reader->context, &zip);
  return status;
}

peri_status peri_npz_read(peri_context *context, const char *operation, const char *path, peri_named_tensors *out) {
  *out = (peri_named_tensors){0};
  peri_reader reader;
  PERI_TRY(peri_reader_open(context, operation, path, &reader));
  peri_status status = read_members(&reader, out);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_npz_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                           peri_named_tensors *out) {
  *out = (peri_named_tensors){0};
  peri_reader reader;
  peri_reader_open_memory(context, "read_npz", name, bytes, size, &reader);
  peri_status status = read_members(&reader, out);
  peri_reader_close(&reader);
  return status;
}
