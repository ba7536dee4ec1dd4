/* Inflating: gzip files and deflated members of archives, through zlib, whose memory is drawn from the context's budget
 * too. Only who asks for it links it: a reader knows no more of it than three functions. */
#include "data/library.h"
#include "data/reader.h"

#include <zlib.h>

#define INPUT_SIZE 65536

typedef struct inflater {
  peri_inflater shown; /* what the reader sees */
  z_stream stream;
  bool ended; /* the current gzip member is complete, its checksum verified */
  unsigned char input[INPUT_SIZE];
} inflater;

static inflater *inflater_of(const peri_reader *reader) { return (inflater *)reader->inflater; }

static peri_status refill(peri_reader *reader) {
  inflater *own = inflater_of(reader);
  uint64_t left = reader->size - reader->raw_at;
  uint64_t n = left < INPUT_SIZE ? left : INPUT_SIZE;
  PERI_TRY(peri_reader_read_raw(reader, own->input, n));
  own->stream.next_in = own->input;
  own->stream.avail_in = (uInt)n;
  return PERI_OK;
}

/* A gzip file is one or more members, each with its own header and checksum; of an archive's member it is one stream.
 */
static peri_status next_member(peri_reader *reader) {
  inflater *own = inflater_of(reader);
  if (reader->member != NULL) return peri_reader_fail(reader, reader->at, "more follows than the compressed stream");
  if (inflateReset(&own->stream) != Z_OK) return peri_reader_fail(reader, reader->at, "zlib cannot be reset");
  own->ended = false;
  return PERI_OK;
}

static const char *stream_name(const peri_reader *reader) { return reader->member != NULL ? "deflate" : "gzip"; }

/* Up to n inflated bytes: *got < n only at the end of the last member. */
static peri_status read_inflated(peri_reader *reader, unsigned char *to, uint64_t n, uint64_t *got) {
  inflater *own = inflater_of(reader);
  z_stream *stream = &own->stream;
  *got = 0;
  for (;;) {
    PERI_TRY(peri_check_cancel(reader->context));
    if (stream->avail_in == 0) PERI_TRY(refill(reader));
    if (own->ended) {
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
    if (code == Z_STREAM_END) own->ended = true;
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return peri_reader_fail(reader, reader->at, "the %s stream is corrupt: %s", stream_name(reader),
                              stream->msg != NULL ? stream->msg : "not deflate data");
    }
    if (*got == n && !own->ended) return PERI_OK;
  }
}

static peri_status restart(peri_reader *reader) {
  inflater_of(reader)->stream.avail_in = 0;
  return next_member(reader);
}

static void close_inflater(peri_reader *reader) {
  inflater *own = inflater_of(reader);
  inflateEnd(&own->stream);
  peri_free(reader->context, own, sizeof *own);
}

/* From here on, inflates what follows; bits are what zlib calls windowBits. */
static peri_status start_inflater(peri_reader *reader, int bits) {
  void *block;
  PERI_TRY(peri_alloc(reader->context, sizeof(inflater), &block));
  inflater *own = block;
  own->shown = (peri_inflater){.read = read_inflated, .restart = restart, .close = close_inflater};
  own->ended = false;
  own->stream = (z_stream){.zalloc = peri_zlib_alloc, .zfree = peri_zlib_free, .opaque = reader->context};
  int code = inflateInit2(&own->stream, bits);
  if (code != Z_OK) {
    peri_free(reader->context, own, sizeof *own);
    if (code == Z_MEM_ERROR) return PERI_ERR_MEMORY; /* peri_alloc has said it */
    return peri_reader_fail(reader, 0, "zlib cannot be started (code %d)", code);
  }
  reader->inflater = &own->shown;
  return PERI_OK;
}

peri_status peri_reader_detect_gzip(peri_reader *reader) {
  unsigned char magic[2];
  if (reader->size < sizeof magic) return PERI_OK;
  PERI_TRY(peri_reader_read_raw(reader, magic, sizeof magic));
  reader->raw_at = 0;
  if (magic[0] != 0x1f || magic[1] != 0x8b) return PERI_OK;
  return start_inflater(reader, 15 + 16); /* the largest window, gzip's wrapping */
}

peri_status peri_reader_open_member(const peri_reader *archive, const peri_member *member, peri_reader *out) {
  *out = *archive;
  out->member = member;
  out->raw_at = member->begin;
  out->size = member->begin + member->size;
  out->at = 0;
  out->crc = 0;
  return member->deflated ? start_inflater(out, -15) : PERI_OK; /* the largest window, no wrapping */
}
