/* One way to read bytes in order, whether they lie in a file, in memory, in a gzip stream or in an archive: formats
 * are written once and are tested from memory. A reader knows the name of its file and its offset,
 * so that every complaint about a file says where. */
#ifndef PERI_DATA_READER_H
#define PERI_DATA_READER_H

#include "base/base.h"

/* Where an archive has a member, and what it says of it. */
typedef struct peri_member {
  const char *name;     /* in messages */
  uint64_t begin, size; /* of its bytes in the file, stored or deflated */
  uint64_t length;      /* of its data */
  uint32_t crc;         /* of its data: CRC-32 */
  bool deflated;
} peri_member;

typedef struct peri_reader peri_reader;

/* What stands between the file's bytes and its data where these are compressed. */
typedef struct peri_inflater {
  /* up to n inflated bytes: *got < n only at the end */
  peri_status (*read)(peri_reader *reader, unsigned char *to, uint64_t n, uint64_t *got);
  peri_status (*restart)(peri_reader *reader); /* the file's bytes begin anew */
  void (*close)(peri_reader *reader);
} peri_inflater;

struct peri_reader {
  peri_context *context;
  const char *operation; /* begins every message */
  const char *name;      /* the file, in messages */
  const unsigned char *memory;
  int fd;                    /* -1 when reading from memory */
  uint64_t size;             /* bytes of the file, compressed or not */
  uint64_t raw_at;           /* bytes of it that were consumed */
  uint64_t at;               /* offset in the data, inflated if they are compressed */
  peri_inflater *inflater;   /* NULL: the data are the file's bytes */
  const peri_member *member; /* that it reads, or NULL: the file. raw_at and size are still those of the file */
  uint32_t crc;              /* of what was read of the member */
};

/* Regular files only; an open never blocks. On failure there is nothing to close. */
peri_status peri_reader_open(peri_context *context, const char *operation, const char *path, peri_reader *out);
void peri_reader_open_memory(peri_context *context, const char *operation, const char *name, const void *bytes,
                             size_t size, peri_reader *out);
/* From here on, inflates when the file begins with gzip's magic number. To be called before any read. */
peri_status peri_reader_detect_gzip(peri_reader *reader);
/* A reader of a member's data, in which its offsets count. The archive stays open, and member alive, until it is
 * closed. */
peri_status peri_reader_open_member(const peri_reader *archive, const peri_member *member, peri_reader *out);
void peri_reader_close(peri_reader *reader);

/* Exactly n bytes, or an error saying what is missing. */
peri_status peri_reader_read(peri_reader *reader, void *to, uint64_t n, const char *what);
/* The next n bytes of the file itself; the caller has seen that it has them. */
peri_status peri_reader_read_raw(peri_reader *reader, void *to, uint64_t n);
/* As many of n bytes as there are: *got < n only at the end, where a gzip stream's checksum was verified. */
peri_status peri_reader_read_some(peri_reader *reader, void *to, uint64_t n, uint64_t *got);
/* To the first byte again. */
peri_status peri_reader_rewind(peri_reader *reader);
/* To that byte, of a file that is read as it is. */
peri_status peri_reader_seek(peri_reader *reader, uint64_t offset);
/* That nothing follows; of a gzip stream and of a member also the checksum. */
peri_status peri_reader_finish(peri_reader *reader);
/* How many bytes of data the file can hold at most: its size, or what deflate can make of it. Of a member: exactly. */
uint64_t peri_reader_capacity(const peri_reader *reader);
/* What deflate can make of so many bytes: its densest code is 258 bytes in two bits. */
static inline uint64_t peri_deflate_capacity(uint64_t bytes) {
  uint64_t capacity;
  return __builtin_mul_overflow(bytes, (uint64_t)1032, &capacity) ? UINT64_MAX : capacity;
}

/* PERI_ERR_IO with "operation: name: offset N: ...". */
peri_status peri_reader_fail(const peri_reader *reader, uint64_t offset, const char *format, ...) PERI_PRINTF(3, 4);

/* The system's text for an error number, safe among threads. */
const char *peri_system_error(int number);
/* Bytes moved by one system call, between two looks at the cancellation flag. */
#define PERI_IO_SLICE ((uint64_t)8 << 20)
/* As much of a path as a message shows. */
#define PERI_PATH_TEXT "%.400s"

#endif
