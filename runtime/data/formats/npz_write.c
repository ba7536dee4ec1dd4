/* Writing NPZ. A stored member has its CRC and sizes before it, a deflated one behind it, so that nothing is made
 * twice. */
#include "data/file.h"
#include "data/checksum.h"
#include "data/formats/formats.h"
#include "data/formats/npy.h"
#include "data/formats/zip.h"
#include "data/library.h"
#include "data/utf8.h"

#include <stdlib.h>
#include <zlib.h>

#define ENDING   ".npy"
#define MAX_NAME 32768
#define SMALL    0xffffffffu /* in the place of what stands in ZIP64's extra field */
#define DATE     0x0021      /* 1 January 1980, the first there is */
#define ROOM     (PERI_ZIP_CENTRAL_SIZE + MAX_NAME + 4 + 28)

_Static_assert(ROOM + PERI_NPY_HEADER <= PERI_FILE_BUFFER, "headers go through the buffer");

typedef struct item {
  const char *name;
  peri_tensor *tensor; /* contiguous; a reference of ours */
  uint64_t header;     /* where its local header is */
  uint64_t size, length;
  uint32_t crc;
} item;

/* What is written next; of each member from LOCAL on. */
typedef enum stage { LOCAL, STORED, DEFLATED, DESCRIPTOR, CENTRAL, END, DONE } stage;

typedef struct job {
  peri_context *context;
  const char *operation;
  size_t n;
  item *items; /* by name */
  bool large;  /* ZIP64 */
  bool compress;
  stage stage;
  size_t index; /* of the item */
  uint64_t at;  /* offset in the file */
  uint64_t directory;
  char *buffer;
  z_stream stream;
  unsigned char npy[PERI_NPY_HEADER];
  size_t npy_size;
  uint64_t taken; /* bytes of npy and elements that the stream has been given */
} job;

static size_t element_bytes(const item *it) {
  return (size_t)it->tensor->layout.numel * peri_dtype_size(it->tensor->layout.dtype);
}

/* ---- records ---- */

typedef struct record {
  unsigned char *start, *at;
} record;

static void put16(record *r, unsigned value) {
  peri_store_le16(r->at, (uint16_t)value);
  r->at += 2;
}
static void put32(record *r, uint64_t value) {
  peri_store_le32(r->at, (uint32_t)value);
  r->at += 4;
}
static void put64(record *r, uint64_t value) {
  peri_store_le64(r->at, value);
  r->at += 8;
}
static void put_bytes(record *r, const void *bytes, size_t n) {
  memcpy(r->at, bytes, n);
  r->at += n;
}
static void put_name(record *r, const item *it) {
  put_bytes(r, it->name, strlen(it->name));
  put_bytes(r, ENDING, strlen(ENDING));
}

static unsigned version_of(const job *j) { return j->large ? 45 : 20; }
static unsigned flags_of(const job *j) { return PERI_ZIP_UTF8 | (j->compress ? PERI_ZIP_DESCRIBED : 0); }

/* Version, flags, method, time and date. */
static void put_kind(record *r, const job *j) {
  put16(r, version_of(j));
  put16(r, flags_of(j));
  put16(r, j->compress ? PERI_ZIP_DEFLATED : PERI_ZIP_STORED);
  put16(r, 0);
  put16(r, DATE);
}

static void put_local(record *r, const job *j, const item *it) {
  uint64_t size = j->compress ? 0 : it->size, length = j->compress ? 0 : it->length;
  put32(r, PERI_ZIP_LOCAL);
  put_kind(r, j);
  put32(r, j->compress ? 0 : it->crc);
  put32(r, j->large ? SMALL : size);
  put32(r, j->large ? SMALL : length);
  put16(r, (unsigned)(strlen(it->name) + strlen(ENDING)));
  put16(r, j->large ? 20 : 0);
  put_name(r, it);
  if (!j->large) return;
  put16(r, PERI_ZIP_EXTRA64);
  put16(r, 16);
  put64(r, length);
  put64(r, size);
}

static void put_descriptor(record *r, const job *j, const item *it) {
  put32(r, PERI_ZIP_DESCRIPTOR);
  put32(r, it->crc);
  if (j->large) {
    put64(r, it->size);
    put64(r, it->length);
  } else {
    put32(r, it->size);
    put32(r, it->length);
  }
}

static void put_central(record *r, const job *j, const item *it) {
  put32(r, PERI_ZIP_CENTRAL);
  put16(r, version_of(j));
  put_kind(r, j);
  put32(r, it->crc);
  put32(r, j->large ? SMALL : it->size);
  put32(r, j->large ? SMALL : it->length);
  put16(r, (unsigned)(strlen(it->name) + strlen(ENDING)));
  put16(r, j->large ? 28 : 0);
  put16(r, 0); /* comment */
  put16(r, 0); /* number of the file */
  put16(r, 0); /* attributes */
  put32(r, 0);
  put32(r, j->large ? SMALL : it->header);
  put_name(r, it);
  if (!j->large) return;
  put16(r, PERI_ZIP_EXTRA64);
  put16(r, 24);
  put64(r, it->length);
  put64(r, it->size);
  put64(r, it->header);
}

static void put_end64(record *r, const job *j) {
  put32(r, PERI_ZIP_END64);
  put64(r, PERI_ZIP_END64_SIZE - 12);
  put16(r, version_of(j));
  put16(r, version_of(j));
  put32(r, 0);
  put32(r, 0);
  put64(r, j->n);
  put64(r, j->n);
  put64(r, j->at - j->directory);
  put64(r, j->directory);
  put32(r, PERI_ZIP_LOCATOR64);
  put32(r, 0);
  put64(r, j->at);
  put32(r, 1);
}

static void put_end(record *r, const job *j) {
  if (j->large) put_end64(r, j);
  put32(r, PERI_ZIP_END);
  put16(r, 0);
  put16(r, 0);
  put16(r, j->large ? 0xffff : (unsigned)j->n);
  put16(r, j->large ? 0xffff : (unsigned)j->n);
  put32(r, j->large ? SMALL : j->at - j->directory);
  put32(r, j->large ? SMALL : j->directory);
  put16(r, 0); /* comment */
}

/* ---- members ---- */

static peri_status sum(job *j, item *it) {
  const unsigned char *bytes = (const unsigned char *)it->tensor->data;
  uint64_t left = element_bytes(it);
  it->crc = peri_crc32(0, j->npy, j->npy_size);
  while (left > 0) {
    size_t slice = (size_t)(left < PERI_IO_SLICE ? left : PERI_IO_SLICE);
    PERI_TRY(peri_check_cancel(j->context));
    it->crc = peri_crc32(it->crc, bytes, slice);
    bytes += slice;
    left -= slice;
  }
  return PERI_OK;
}

static peri_status begin_member(job *j, record *r) {
  item *it = &j->items[j->index];
  it->header = j->at;
  j->npy_size = peri_npy_header_write(&it->tensor->layout, j->npy);
  it->length = j->npy_size + element_bytes(it);
  if (!j->compress) {
    it->size = it->length;
    PERI_TRY(sum(j, it));
    put_local(r, j, it);
    put_bytes(r, j->npy, j->npy_size);
    j->stage = STORED;
    return PERI_OK;
  }
  put_local(r, j, it);
  if (deflateReset(&j->stream) != Z_OK) {
    return peri_fail(j->context, PERI_ERR_IO, "%s: zlib cannot be reset", j->operation);
  }
  j->stream.avail_in = 0;
  j->taken = 0;
  it->size = 0;
  it->crc = 0;
  j->stage = DEFLATED;
  return PERI_OK;
}

/* The next bytes for the stream: the header, then the elements. */
static void feed(job *j, item *it) {
  const bool head = j->taken < j->npy_size;
  const unsigned char *bytes =
      head ? j->npy : (const unsigned char *)it->tensor->data + (size_t)(j->taken - j->npy_size);
  uint64_t left = head ? j->npy_size : it->length - j->taken;
  uInt slice = (uInt)(left < PERI_IO_SLICE ? left : PERI_IO_SLICE);
  it->crc = peri_crc32(it->crc, bytes, slice);
  j->stream.next_in = (Bytef *)(uintptr_t)bytes;
  j->stream.avail_in = slice;
  j->taken += slice;
}

/* Fills the buffer with what deflate makes of the member. */
static peri_status deflate_some(job *j, record *r) {
  item *it = &j->items[j->index];
  int code = Z_OK;
  j->stream.next_out = r->start;
  j->stream.avail_out = PERI_FILE_BUFFER;
  while (j->stream.avail_out > 0 && code != Z_STREAM_END) {
    PERI_TRY(peri_check_cancel(j->context));
    if (j->stream.avail_in == 0 && j->taken < it->length) feed(j, it);
    code = deflate(&j->stream, j->taken < it->length ? Z_NO_FLUSH : Z_FINISH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return peri_fail(j->context, PERI_ERR_IO, "%s: zlib fails (code %d)", j->operation, code);
    }
  }
  r->at = r->start + (PERI_FILE_BUFFER - j->stream.avail_out);
  it->size += (uint64_t)(r->at - r->start);
  if (code == Z_STREAM_END) j->stage = DESCRIPTOR;
  return PERI_OK;
}

/* ---- the file ---- */

static void next_member(job *j) {
  j->stage = LOCAL;
  if (++j->index < j->n) return;
  j->stage = CENTRAL;
  j->index = 0;
  j->directory = j->at;
}

static peri_status put_stage(job *j, record *r) {
  switch (j->stage) {
  case LOCAL:
    return begin_member(j, r);
  case DEFLATED:
    return deflate_some(j, r);
  case DESCRIPTOR:
    put_descriptor(r, j, &j->items[j->index]);
    break;
  case CENTRAL:
    put_central(r, j, &j->items[j->index]);
    break;
  case END:
    put_end(r, j);
    break;
  case STORED: /* the elements are no record */
  case DONE:
    break;
  }
  return PERI_OK;
}

static peri_status next_chunk(void *arg, const void **bytes, size_t *size) {
  job *j = arg;
  record r = {(unsigned char *)j->buffer, (unsigned char *)j->buffer};
  if (j->stage == DONE) return PERI_OK;
  stage done = j->stage;
  if (done == STORED) {
    *bytes = j->items[j->index].tensor->data;
    *size = element_bytes(&j->items[j->index]);
  } else {
    PERI_TRY(put_stage(j, &r));
    *bytes = r.start;
    *size = (size_t)(r.at - r.start);
  }
  j->at += *size;
  if (done == STORED || done == DESCRIPTOR) next_member(j);
  if (done == CENTRAL && ++j->index == j->n) j->stage = END;
  if (done == END) j->stage = DONE;
  /* an empty chunk would end the file */
  return *size > 0 ? PERI_OK : next_chunk(arg, bytes, size);
}

/* ---- the job ---- */

static peri_status check_names(const job *j, const char *const *names) {
  char shown[PERI_NAME_TEXT];
  for (size_t i = 0; i < j->n; i++) {
    const unsigned char *s = (const unsigned char *)names[i], *end = s + strlen(names[i]);
    if ((size_t)(end - s) > MAX_NAME - strlen(ENDING)) {
      return peri_fail(j->context, PERI_ERR_ARGUMENT, "%s: the name \"%s\" has %zu bytes (expected at most %zu)",
                       j->operation, peri_name_text(names[i], shown), strlen(names[i]), MAX_NAME - strlen(ENDING));
    }
    while (s < end) {
      size_t length = peri_utf8_length(s, end);
      if (length == 0) {
        return peri_fail(j->context, PERI_ERR_ARGUMENT, "%s: the name \"%s\" is not UTF-8", j->operation,
                         peri_name_text(names[i], shown));
      }
      s += length;
    }
  }
  return PERI_OK;
}

static int compare_items(const void *left, const void *right) {
  const item *a = left, *b = right;
  return strcmp(a->name, b->name);
}

/* Sorts, and finds whether the old form has room for all, however badly it may be compressed. */
static peri_status take_items(job *j, const char *const *names, peri_tensor *const *tensors) {
  char shown[PERI_NAME_TEXT];
  uint64_t most = 0;
  for (size_t i = 0; i < j->n; i++) {
    item *it = &j->items[i];
    it->name = names[i];
    PERI_TRY(peri_tensor_contiguous(tensors[i], &it->tensor));
    uint64_t bytes = element_bytes(it);
    most += bytes + bytes / 1000 + 1000 + 2 * ROOM;
  }
  if (j->n > 1) qsort(j->items, j->n, sizeof *j->items, compare_items);
  for (size_t i = 1; i < j->n; i++) {
    if (strcmp(j->items[i - 1].name, j->items[i].name) != 0) continue;
    return peri_fail(j->context, PERI_ERR_ARGUMENT, "%s: the name \"%s\" is given twice", j->operation,
                     peri_name_text(j->items[i].name, shown));
  }
  j->large |= most >= SMALL || j->n >= 0xffff;
  return PERI_OK;
}

static peri_status write_file(job *j, const char *path) {
  j->stage = j->n > 0 ? LOCAL : END;
  if (j->compress) {
    j->stream = (z_stream){.zalloc = peri_zlib_alloc, .zfree = peri_zlib_free, .opaque = j->context};
    int code = deflateInit2(&j->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    if (code == Z_MEM_ERROR) return PERI_ERR_MEMORY; /* the allocator has said it */
    if (code != Z_OK) {
      return peri_fail(j->context, PERI_ERR_IO, "%s: zlib cannot be started (code %d)", j->operation, code);
    }
  }
  peri_status status = peri_file_write_buffered(j->context, path, &j->buffer, next_chunk, j);
  if (j->compress) deflateEnd(&j->stream);
  return status;
}

peri_status peri_npz_write(peri_context *context, const char *operation, const char *path, size_t n,
                           const char *const *names, peri_tensor *const *tensors, const peri_npz_options *options) {
  job j = {.context = context, .operation = operation, .n = n, .large = options->zip64, .compress = options->compress};
  void *block;
  PERI_TRY(check_names(&j, names));
  PERI_TRY(peri_alloc_array(context, n, sizeof *j.items, &block));
  if (n > 0) memset(block, 0, n * sizeof *j.items);
  j.items = block;
  peri_status status = take_items(&j, names, tensors);
  if (status == PERI_OK) status = write_file(&j, path);
  for (size_t i = 0; i < n; i++) peri_tensor_release(&j.items[i].tensor);
  peri_free(context, block, n * sizeof *j.items);
  return status;
}
