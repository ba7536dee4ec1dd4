/* The sequential reader: files through pread, memory, and gzip through zlib, whose own memory is
 * drawn from the context's budget too. */
#include "data/reader.h"
#include "data/library.h"
#include "data/place.h"
#include "data/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define INPUT_SIZE 65536

typedef struct peri_inflater {
  z_stream stream;
  bool ended; /* the current gzip member is complete, its checksum verified */
  unsigned char input[INPUT_SIZE];
} peri_inflater;

const char *peri_system_error(int number) { return strerror_l(number, uselocale((locale_t)0)); }

peri_status peri_reader_fail(const peri_reader *reader, uint64_t offset, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const char *inflated = reader->inflater != NULL ? " (inflated)" : "";
  if (reader->member != NULL) {
    char name[PERI_NAME_TEXT];
    return peri_fail(reader->context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": member \"%s\": offset %llu%s: %s",
                     reader->operation, reader->name, peri_name_text(reader->member->name, name),
                     (unsigned long long)offset, inflated, text);
  }
  return peri_fail(reader->context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": offset %llu%s: %s", reader->operation,
                   reader->name, (unsigned long long)offset, inflated, text);
}

/* ---- opening ---- */

static peri_status check_regular(peri_context *context, const char *operation, const char *path, int fd,
                                 uint64_t *size) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return peri_fail(context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": cannot be examined: %s", operation, path,
                     peri_system_error(errno));
  }
  if (S_ISDIR(status.st_mode)) {
    return peri_fail(context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": is a directory (expected a file)", operation, path);
  }
  if (!S_ISREG(status.st_mode)) {
    return peri_fail(context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": is a pipe, socket or device (expected a file)",
                     operation, path);
  }
  *size = (uint64_t)status.st_size;
  return PERI_OK;
}

peri_status peri_reader_open(peri_context *context, const char *operation, const char *path, peri_reader *out) {
  *out = (peri_reader){.context = context, .operation = operation, .name = path, .fd = -1};
  int fd = peri_open(context, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return peri_fail(context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": cannot be opened: %s", operation, path,
                     peri_system_error(errno));
  }
  peri_status status = check_regular(context, operation, path, fd, &out->size);
  if (status != PERI_OK) {
    close(fd);
    return status;
  }
  out->fd = fd;
  return PERI_OK;
}

void peri_reader_open_memory(peri_context *context, const char *operation, const char *name, const void *bytes,
                             size_t size, peri_reader *out) {
  *out =
      (peri_reader){.context = context, .operation = operation, .name = name, .memory = bytes, .fd = -1, .size = size};
}

void peri_reader_close(peri_reader *reader) {
  if (reader->inflater != NULL) {
    inflateEnd(&reader->inflater->stream);
    peri_free(reader->context, reader->inflater, sizeof *reader->inflater);
    reader->inflater = NULL;
  }
  if (reader->fd >= 0 && reader->member == NULL) close(reader->fd); /* a member's is its archive's */
  reader->fd = -1;
}

/* ---- the file's own bytes ---- */

/* The next n raw bytes; the caller has seen that the file has them. */
static peri_status read_raw(peri_reader *reader, unsigned char *to, uint64_t n) {
  while (n > 0) {
    PERI_TRY(peri_check_cancel(reader->context));
    size_t slice = (size_t)(n < PERI_IO_SLICE ? n : PERI_IO_SLICE);
    if (reader->fd < 0) {
      memcpy(to, reader->memory + reader->raw_at, slice);
      to += slice;
      reader->raw_at += slice;
      n -= slice;
      continue;
    }
    ssize_t got = pread(reader->fd, to, slice, (off_t)reader->raw_at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return peri_reader_fail(reader, reader->raw_at, "cannot be read: %s", peri_system_error(errno));
    if (got == 0) {
      return peri_reader_fail(reader, reader->raw_at, "the file ends here, cut while being read (expected %llu bytes)",
                              (unsigned long long)reader->size);
    }
    to += got;
    n -= (uint64_t)got;
    reader->raw_at += (uint64_t)got;
  }
  return PERI_OK;
}

/* ---- compressed data ---- */

/* From here on, inflates what follows; bits are what zlib calls windowBits. */
static peri_status start_inflater(peri_reader *reader, int bits) {
  void *block;
  PERI_TRY(peri_alloc(reader->context, sizeof(peri_inflater), &block));
  peri_inflater *inflater = block;
  inflater->ended = false;
  inflater->stream = (z_stream){.zalloc = peri_zlib_alloc, .zfree = peri_zlib_free, .opaque = reader->context};
  int code = inflateInit2(&inflater->stream, bits);
  if (code != Z_OK) {
    peri_free(reader->context, inflater, sizeof *inflater);
    if (code == Z_MEM_ERROR) return PERI_ERR_MEMORY; /* peri_alloc has said it */
    return peri_reader_fail(reader, 0, "zlib cannot be started (code %d)", code);
  }
  reader->inflater = inflater;
  return PERI_OK;
}

peri_status peri_reader_detect_gzip(peri_reader *reader) {
  unsigned char magic[2];
  if (reader->size < sizeof magic) return PERI_OK;
  PERI_TRY(read_raw(reader, magic, sizeof magic));
  reader->raw_at = 0;
  if (magic[0] != 0x1f || magic[1] != 0x8b) return PERI_OK;
  return start_inflater(reader, 15 + 16); /* the largest window, gzip's wrapping */
}

static peri_status refill(peri_reader *reader) {
  peri_inflater *inflater = reader->inflater;
  uint64_t left = reader->size - reader->raw_at;
  uint64_t n = left < INPUT_SIZE ? left : INPUT_SIZE;
  PERI_TRY(read_raw(reader, inflater->input, n));
  inflater->stream.next_in = inflater->input;
  inflater->stream.avail_in = (uInt)n;
  return PERI_OK;
}

/* A gzip file is one or more members, each with its own header and checksum; of an archive's member it is one stream.
 */
static peri_status next_member(peri_reader *reader) {
  peri_inflater *inflater = reader->inflater;
  if (reader->member != NULL) return peri_reader_fail(reader, reader->at, "more follows than the compressed stream");
  if (inflateReset(&inflater->stream) != Z_OK) return peri_reader_fail(reader, reader->at, "zlib cannot be reset");
  inflater->ended = false;
  return PERI_OK;
}

static const char *stream_name(const peri_reader *reader) { return reader->member != NULL ? "deflate" : "gzip"; }

/* Up to n inflated bytes: *got < n only at the end of the last member. */
static peri_status read_inflated(peri_reader *reader, unsigned char *to, uint64_t n, uint64_t *got) {
  peri_inflater *inflater = reader->inflater;
  z_stream *stream = &inflater->stream;
  *got = 0;
  for (;;) {
    PERI_TRY(peri_check_cancel(reader->context));
    if (stream->avail_in == 0) PERI_TRY(refill(reader));
    if (inflater->ended) {
      if (stream->avail_in == 0 || *got == n) return PERI_OK;
      PERI_TRY(next_member(reader));
    }
    if (stream->avail_in == 0)
      return peri_reader_fail(reader, reader->at, "the %s stream is cut here", stream_name(reader));
    uInt slice = (uInt)(n - *got < PERI_IO_SLICE ? n - *got : PERI_IO_SLICE);
    stream->next_out = to + *got;
    stream->avail_out = slice;
    int code = inflate(stream, Z_NO_FLUSH);
    *got += slice - stream->avail_out;
    reader->at += slice - stream->avail_out;
    if (code == Z_MEM_ERROR) return PERI_ERR_MEMORY;
    if (code == Z_STREAM_END) inflater->ended = true;
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return peri_reader_fail(reader, reader->at, "the %s stream is corrupt: %s", stream_name(reader),
                              stream->msg != NULL ? stream->msg : "not deflate data");
    }
    if (*got == n && !inflater->ended) return PERI_OK;
  }
}

/* ---- the data ---- */

uint64_t peri_reader_capacity(const peri_reader *reader) {
  if (reader->member != NULL) return reader->member->length;
  if (reader->inflater == NULL) return reader->size;
  return peri_deflate_capacity(reader->size);
}

static void check_sum(peri_reader *reader, const void *bytes, uint64_t n) {
  if (reader->member != NULL) reader->crc = (uint32_t)crc32_z(reader->crc, bytes, (z_size_t)n);
}

static peri_status read_plain(peri_reader *reader, void *to, uint64_t n, const char *what) {
  uint64_t left = reader->size - reader->raw_at;
  if (n > left) {
    return peri_reader_fail(reader, reader->at, "the %s ends after %llu more bytes (expected %llu of %s)",
                            reader->member != NULL ? "member" : "file", (unsigned long long)left, (unsigned long long)n,
                            what);
  }
  PERI_TRY(read_raw(reader, to, n));
  reader->at += n;
  return PERI_OK;
}

peri_status peri_reader_read(peri_reader *reader, void *to, uint64_t n, const char *what) {
  if (n == 0) return PERI_OK;
  if (reader->inflater == NULL) {
    PERI_TRY(read_plain(reader, to, n, what));
  } else {
    uint64_t got, start = reader->at;
    PERI_TRY(read_inflated(reader, to, n, &got));
    if (got < n) {
      return peri_reader_fail(reader, start, "the data end after %llu more bytes (expected %llu of %s)",
                              (unsigned long long)got, (unsigned long long)n, what);
    }
  }
  check_sum(reader, to, n);
  return PERI_OK;
}

peri_status peri_reader_read_some(peri_reader *reader, void *to, uint64_t n, uint64_t *got) {
  if (reader->inflater != NULL) {
    PERI_TRY(read_inflated(reader, to, n, got));
  } else {
    uint64_t left = reader->size - reader->raw_at, count = n < left ? n : left;
    *got = 0;
    PERI_TRY(read_raw(reader, to, count));
    reader->at += count;
    *got = count;
  }
  check_sum(reader, to, *got);
  return PERI_OK;
}

peri_status peri_reader_rewind(peri_reader *reader) {
  reader->raw_at = reader->at = 0;
  if (reader->inflater == NULL) return PERI_OK;
  reader->inflater->stream.avail_in = 0;
  return next_member(reader);
}

peri_status peri_reader_seek(peri_reader *reader, uint64_t offset) {
  if (offset > reader->size) return peri_reader_fail(reader, offset, "lies beyond the end of the file");
  reader->raw_at = reader->at = offset;
  return PERI_OK;
}

peri_status peri_reader_finish(peri_reader *reader) {
  uint64_t end = reader->at;
  if (reader->inflater != NULL) {
    unsigned char extra;
    uint64_t got;
    PERI_TRY(read_inflated(reader, &extra, 1, &got));
    if (got > 0) return peri_reader_fail(reader, end, "more data follow (expected the end)");
  } else if (reader->raw_at < reader->size) {
    return peri_reader_fail(reader, end, "%llu more bytes follow (expected the end)",
                            (unsigned long long)(reader->size - reader->raw_at));
  }
  if (reader->member != NULL && end != reader->member->length) {
    return peri_reader_fail(reader, end, "the data end here (expected %llu bytes)",
                            (unsigned long long)reader->member->length);
  }
  if (reader->member != NULL && reader->crc != reader->member->crc) {
    return peri_reader_fail(reader, end, "the data have the CRC %08x (expected %08x)", reader->crc,
                            reader->member->crc);
  }
  return PERI_OK;
}

/* ---- members of archives ---- */

peri_status peri_reader_open_member(const peri_reader *archive, const peri_member *member, peri_reader *out) {
  *out = *archive;
  out->member = member;
  out->raw_at = member->begin;
  out->size = member->begin + member->size;
  out->at = 0;
  out->crc = 0;
  return member->deflated ? start_inflater(out, -15) : PERI_OK; /* the largest window, no wrapping */
}
