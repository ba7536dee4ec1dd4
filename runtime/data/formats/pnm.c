/* PGM and PPM, in bytes and in text. The formats are described at https://netpbm.sourceforge.net/doc/pgm.html. */
#include "data/file.h"
#include "data/formats/bytes.h"
#include "data/formats/image.h"
#include "data/window.h"

#include <stdio.h>

#define MAX_MAXVAL 65535

typedef struct header {
  bool text;
  int64_t width, height, channels, maxval;
} header;

static bool is_blank(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* ---- numbers in text ----
 * They stand between blanks; # begins a comment, to the end of its line. Before bytes the text comes from the reader
 * itself, as a window would take some of these. */

typedef struct source {
  peri_reader *reader;
  peri_window *window; /* or NULL */
} source;

/* -1 at the end. */
static peri_status take_byte(const source *from, int *byte) {
  unsigned char c;
  uint64_t got;
  if (from->window != NULL) {
    PERI_TRY(peri_window_look(from->window, byte));
    from->window->at += *byte != -1;
    return PERI_OK;
  }
  PERI_TRY(peri_reader_read_some(from->reader, &c, 1, &got));
  *byte = got == 0 ? -1 : c;
  return PERI_OK;
}

/* Of the byte that was taken last. */
static uint64_t offset_of(const source *from, int byte) {
  return from->reader->at - (from->window == NULL ? 0 : from->window->filled - from->window->at) - (byte != -1);
}

/* What is no blank and in no comment; *byte is where to begin, and then that. */
static peri_status skip_blanks(const source *from, int *byte) {
  while (is_blank(*byte) || *byte == '#') {
    bool comment = *byte == '#';
    do {
      PERI_TRY(take_byte(from, byte));
    } while (comment && *byte != '\n' && *byte != '\r' && *byte != -1);
  }
  return PERI_OK;
}

/* The next number, up to largest, and one blank behind it, with the comment that begins there. */
static peri_status take_number(const source *from, const char *what, int64_t largest, int64_t *number) {
  int byte = ' ';
  PERI_TRY(skip_blanks(from, &byte));
  if (byte < '0' || byte > '9')
    return peri_reader_fail(from->reader, offset_of(from, byte), "expected %s, a number", what);
  for (*number = 0; byte >= '0' && byte <= '9';) {
    *number = *number * 10 + (byte - '0');
    if (*number > largest) {
      return peri_reader_fail(from->reader, offset_of(from, byte), "%s is above %lld", what, (long long)largest);
    }
    PERI_TRY(take_byte(from, &byte));
  }
  while (byte == '#' || (byte != -1 && !is_blank(byte))) {
    if (byte != '#') return peri_reader_fail(from->reader, offset_of(from, byte), "expected a blank behind %s", what);
    while (byte != '\n' && byte != '\r' && byte != -1) PERI_TRY(take_byte(from, &byte));
  }
  return PERI_OK;
}

/* ---- reading ---- */

static peri_status read_header(peri_reader *reader, header *h) {
  unsigned char magic[2];
  PERI_TRY(peri_reader_read(reader, magic, sizeof magic, "magic number"));
  if (magic[0] != 'P' || (magic[1] != '2' && magic[1] != '3' && magic[1] != '5' && magic[1] != '6')) {
    return peri_reader_fail(reader, 0, "begins with bytes %02x %02x (expected P2 or P5 of a PGM, P3 or P6 of a PPM)",
                            magic[0], magic[1]);
  }
  h->text = magic[1] < '5';
  h->channels = magic[1] == '3' || magic[1] == '6' ? 3 : 1;
  unsigned char blank;
  PERI_TRY(peri_reader_read(reader, &blank, 1, "blank"));
  if (!is_blank(blank)) return peri_reader_fail(reader, 2, "expected a blank behind the magic number");
  const source from = {.reader = reader};
  PERI_TRY(take_number(&from, "width", PERI_IMAGE_MAX_SIDE, &h->width));
  PERI_TRY(take_number(&from, "height", PERI_IMAGE_MAX_SIDE, &h->height));
  PERI_TRY(take_number(&from, "the largest value", MAX_MAXVAL, &h->maxval));
  if (h->width < 1 || h->height < 1 || h->maxval < 1) {
    return peri_reader_fail(reader, 2, "width %lld, height %lld, largest value %lld (expected each from 1)",
                            (long long)h->width, (long long)h->height, (long long)h->maxval);
  }
  return PERI_OK;
}

/* The samples must have room in what follows; of bytes they are all of it. Sizes are at most 10^12 samples. */
static peri_status check_length(const peri_reader *reader, const header *h) {
  uint64_t samples = (uint64_t)(h->width * h->height * h->channels), left = reader->size - reader->at;
  uint64_t least = h->text ? 2 * samples - 1 : h->maxval > 255 ? 2 * samples : samples;
  if (h->text ? least <= left : least == left) return PERI_OK;
  return peri_reader_fail(reader, reader->at, "%lldx%lldx%lld samples need %s%llu bytes, but %llu bytes follow",
                          (long long)h->height, (long long)h->width, (long long)h->channels, h->text ? "at least " : "",
                          (unsigned long long)least, (unsigned long long)left);
}

static peri_status take_samples(const source *from, const header *h, int64_t n, peri_tensor *x) {
  const size_t size = peri_dtype_size(x->layout.dtype);
  int64_t sample = 0;
  for (int64_t i = 0; i < n; i++) {
    PERI_TRY(take_number(from, "a sample", h->maxval, &sample));
    peri_store_number(x->layout.dtype, x->data + (size_t)i * size, (double)sample);
  }
  int byte = ' ';
  PERI_TRY(skip_blanks(from, &byte));
  if (byte == -1) return PERI_OK;
  return peri_reader_fail(from->reader, offset_of(from, byte), "more follows than %lld samples", (long long)n);
}

static peri_status read_text(peri_reader *reader, const header *h, int64_t n, peri_tensor *x) {
  peri_window window;
  PERI_TRY(peri_window_open(&window, reader));
  window.begun = true; /* UTF-8's mark has no place here */
  peri_status status = take_samples(&(source){reader, &window}, h, n, x);
  peri_window_close(&window);
  return status;
}

static peri_status read_bytes(peri_reader *reader, const header *h, int64_t n, peri_tensor *x) {
  uint64_t start = reader->at;
  if (h->maxval <= 255) {
    PERI_TRY(peri_reader_read(reader, x->data, (uint64_t)n, "samples"));
    for (int64_t i = 0; i < n && h->maxval < 255; i++) {
      if ((uint8_t)x->data[i] <= h->maxval) continue;
      return peri_reader_fail(reader, start + (uint64_t)i, "sample %lld is %d (expected at most %lld)",
                              (long long)i + 1, (uint8_t)x->data[i], (long long)h->maxval);
    }
    return PERI_OK;
  }
  unsigned char *tail = (unsigned char *)x->data + 6 * n; /* elements are made from the front */
  int64_t *samples = (int64_t *)(void *)x->data;
  PERI_TRY(peri_reader_read(reader, tail, 2 * (uint64_t)n, "samples"));
  for (int64_t i = 0; i < n; i++) {
    const int64_t sample = peri_load_be16(tail + 2 * i);
    if (sample > h->maxval) {
      return peri_reader_fail(reader, start + 2 * (uint64_t)i, "sample %lld is %lld (expected at most %lld)",
                              (long long)i + 1, (long long)sample, (long long)h->maxval);
    }
    samples[i] = sample;
  }
  return PERI_OK;
}

/* So that the largest value is 255, or 65535; to the nearest. */
static void scale(const header *h, int64_t n, peri_tensor *x) {
  if (h->maxval == 255 || h->maxval == 65535) return;
  if (h->maxval < 255) {
    uint8_t *samples = (uint8_t *)x->data;
    for (int64_t i = 0; i < n; i++) samples[i] = (uint8_t)((samples[i] * 255 + h->maxval / 2) / h->maxval);
  } else {
    int64_t *samples = (int64_t *)(void *)x->data;
    for (int64_t i = 0; i < n; i++) samples[i] = (samples[i] * 65535 + h->maxval / 2) / h->maxval;
  }
}

peri_status peri_pnm_read_all(peri_reader *reader, const peri_image_options *options, peri_tensor **out) {
  header h;
  peri_tensor *x;
  PERI_TRY(read_header(reader, &h));
  PERI_TRY(peri_image_check_depth(reader, h.maxval > 255 ? 16 : 8, options));
  PERI_TRY(check_length(reader, &h));
  PERI_TRY(peri_image_new(reader, options, h.height, h.width, h.channels, &x));
  const int64_t n = x->layout.numel;
  peri_status status = h.text ? read_text(reader, &h, n, x) : read_bytes(reader, &h, n, x);
  if (status == PERI_OK) {
    scale(&h, n, x);
    *out = x;
  } else {
    peri_tensor_release(&x);
  }
  return status;
}

/* ---- writing ---- */

static unsigned channels_of(const char *path) {
  if (peri_path_ends(path, ".pgm")) return 1u << 1;
  return peri_path_ends(path, ".ppm") ? 1u << 3 : 1u << 1 | 1u << 3;
}

peri_status peri_pnm_write(peri_context *context, const char *operation, const char *path, peri_tensor *tensor) {
  char text[64];
  peri_image image;
  PERI_TRY(peri_image_take(context, operation, channels_of(path), tensor, &image));
  int length = snprintf(text, sizeof text, "P%d\n%lld %lld\n255\n", image.channels == 3 ? 6 : 5, (long long)image.width,
                        (long long)image.height);
  const void *chunks[] = {text, image.tensor->data};
  size_t sizes[] = {(size_t)length, (size_t)image.tensor->layout.numel};
  peri_status status = peri_file_write_atomic(context, path, chunks, sizes, 2);
  peri_tensor_release(&image.tensor);
  return status;
}
