/* The sequential reader: files through pread, and memory. Compressed data go through the reader's inflater, which is
 * inflate.c's. */
#include "data/reader.h"
#include "data/checksum.h"
#include "data/place.h"
#include "data/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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
  if (reader->inflater != NULL) reader->inflater->close(reader);
  reader->inflater = NULL;
  if (reader->fd >= 0 && reader->member == NULL) close(reader->fd); /* a member's is its archive's */
  reader->fd = -1;
}

/* ---- the file's own bytes ---- */

peri_status peri_reader_read_raw(peri_reader *reader, void *out, uint64_t n) {
  unsigned char *to = out;
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

/* ---- the data ---- */

uint64_t peri_reader_capacity(const peri_reader *reader) {
  if (reader->member != NULL) return reader->member->length;
  if (reader->inflater == NULL) return reader->size;
  return peri_deflate_capacity(reader->size);
}

static void check_sum(peri_reader *reader, const void *bytes, uint64_t n) {
  if (reader->member != NULL) reader->crc = peri_crc32(reader->crc, bytes, (size_t)n);
}

static peri_status read_plain(peri_reader *reader, void *to, uint64_t n, const char *what) {
  uint64_t left = reader->size - reader->raw_at;
  if (n > left) {
    return peri_reader_fail(reader, reader->at, "the %s ends after %llu more bytes (expected %llu of %s)",
                            reader->member != NULL ? "member" : "file", (unsigned long long)left, (unsigned long long)n,
                            what);
  }
  PERI_TRY(peri_reader_read_raw(reader, to, n));
  reader->at += n;
  return PERI_OK;
}

peri_status peri_reader_read(peri_reader *reader, void *to, uint64_t n, const char *what) {
  if (n == 0) return PERI_OK;
  if (reader->inflater == NULL) {
    PERI_TRY(read_plain(reader, to, n, what));
  } else {
    uint64_t got, start = reader->at;
    PERI_TRY(reader->inflater->read(reader, to, n, &got));
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
    PERI_TRY(reader->inflater->read(reader, to, n, got));
  } else {
    uint64_t left = reader->size - reader->raw_at, count = n < left ? n : left;
    *got = 0;
    PERI_TRY(peri_reader_read_raw(reader, to, count));
    reader->at += count;
    *got = count;
  }
  check_sum(reader, to, *got);
  return PERI_OK;
}

peri_status peri_reader_rewind(peri_reader *reader) {
  reader->raw_at = reader->at = 0;
  if (reader->inflater == NULL) return PERI_OK;
  return reader->inflater->restart(reader);
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
    PERI_TRY(reader->inflater->read(reader, &extra, 1, &got));
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
