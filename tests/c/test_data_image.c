/* Images: what is written is read back, files that are not sound are refused, and a fault in a PNG never changes what
 * is read. What other encoders wrote is read by image_spec.lua. */
#include "data_support.h"

#include <ctype.h>
#include <zlib.h>

#define CORPUS "tests/fuzz/corpus/"

static const peri_image_options plain = {.depth = 8};

typedef struct buffer {
  unsigned char bytes[1 << 16];
  size_t size;
} buffer;

static void put(buffer *b, const void *bytes, size_t n) {
  if (b->size + n > sizeof b->bytes) abort();
  memcpy(b->bytes + b->size, bytes, n);
  b->size += n;
}

static buffer *file_bytes(peri_context *context, const char *path) {
  static buffer b;
  void *bytes;
  b.size = 0;
  size_t size;
  if (peri_file_read(context, path, &bytes, &size) != PERI_OK) {
    printf("%s\n", peri_message(context));
    abort();
  }
  put(&b, bytes, size);
  peri_free(context, bytes, size);
  return &b;
}

/* Parses a copy that is no longer than it is, so that a byte read beyond is seen. */
static peri_status parse(peri_context *context, const buffer *b, const peri_image_options *options, peri_tensor **x) {
  unsigned char *copy = malloc(b->size + 1);
  if (copy == NULL) abort();
  memcpy(copy, b->bytes, b->size);
  peri_status status = peri_image_parse(context, PERI_IMAGE_ANY, "test", copy, b->size, options, x);
  free(copy);
  return status;
}

static void refuse(peri_context *context, const buffer *b, const peri_image_options *options, const char *words) {
  peri_tensor *x;
  size_t before = peri_memory_in_use(context);
  peri_status status = parse(context, b, options, &x);
  check_failed(context, status, PERI_ERR_IO, words);
  PERI_CHECK(x == NULL && peri_memory_in_use(context) == before, "something is left");
  if (status != PERI_OK) check_failed(context, status, PERI_ERR_IO, "read_image: test: offset ");
}

/* ---- what is written is read ---- */

static void written_is_read(void) {
  static const char *const names[] = {"a.png", "a.PNG", "a.pnm", "a.Pgm", "a.ppm"};
  static const unsigned channels[] = {0x1e, 0x1e, 0x0a, 0x02, 0x08};
  peri_context *context = open_context();
  folder home = make_folder();
  for (size_t i = 0; i < PERI_COUNT(names) * 5; i++) {
    const char *path = in_folder(&home, names[i / 5]);
    const int64_t c = (int64_t)(i % 5);
    peri_tensor *x = make_tensor(context, PERI_UINT8, c == 0 ? 2 : 3, (int64_t[]){31, 17, c}), *y = NULL;
    peri_status status = peri_image_write(context, "write_image", PERI_IMAGE_ANY, path, x);
    if (!(channels[i / 5] & 1u << (c == 0 ? 1 : c))) {
      check_failed(context, status, PERI_ERR_ARGUMENT, "write_image: x is 31x17");
    } else {
      PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
      PERI_CHECK(peri_image_read(context, "read_image", PERI_IMAGE_ANY, path, &plain, &y) == PERI_OK, "%s",
                 peri_message(context));
      if (y != NULL) {
        PERI_CHECK(y->layout.ndim == 3 && y->layout.shape[2] == (c == 0 ? 1 : c), "channels");
        PERI_CHECK(y->layout.numel == x->layout.numel && memcmp(x->data, y->data, (size_t)x->layout.numel) == 0,
                   "samples of %s differ", path);
      }
    }
    peri_tensor_release(&x);
    peri_tensor_release(&y);
  }
  remove_folder(&home);
  close_context(context);
}

static void writing_checks_its_tensor(void) {
  static const struct {
    peri_dtype dtype;
    int ndim;
    int64_t shape[4];
    const char *words;
  } wrong[] = {
      {PERI_FLOAT32, 3, {2, 2, 1}, "x is float32 (expected uint8"},
      {PERI_UINT8, 1, {4}, "x is 4 (expected H x W x C or H x W"},
      {PERI_UINT8, 4, {1, 2, 2, 1}, "x is 1x2x2x1 (expected"},
      {PERI_UINT8, 3, {0, 2, 1}, "H and W from 1"},
      {PERI_UINT8, 3, {2, 0, 1}, "H and W from 1"},
      {PERI_UINT8, 2, {1, 1000001}, "to 1000000"},
      {PERI_UINT8, 3, {2, 2, 5}, "C 1 to 4"},
      {PERI_UINT8, 3, {2, 2, 0}, "C 1 to 4"},
  };
  peri_context *context = open_context();
  folder home = make_folder();
  for (size_t i = 0; i < PERI_COUNT(wrong); i++) {
    peri_tensor *x = make_tensor(context, wrong[i].dtype, wrong[i].ndim, wrong[i].shape);
    check_failed(context, peri_image_write(context, "write_png", PERI_IMAGE_PNG, in_folder(&home, "a"), x),
                 PERI_ERR_ARGUMENT, wrong[i].words);
    peri_tensor_release(&x);
  }
  peri_tensor *x = make_tensor(context, PERI_UINT8, 2, (int64_t[]){2, 2});
  check_failed(context, peri_image_write(context, "write_image", PERI_IMAGE_ANY, in_folder(&home, "png"), x),
               PERI_ERR_ARGUMENT, "write_image: path is|(expected .png, .pgm, .ppm or .pnm)");
  peri_tensor_release(&x);
  PERI_CHECK(files_in(&home) == 0, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

/* Larger than the buffers of reader, writer and libpng. */
static void large_images(void) {
  static const char *const names[] = {"a.png", "a.ppm"};
  peri_context *context = open_context();
  folder home = make_folder();
  peri_tensor *x = make_tensor(context, PERI_UINT8, 3, (int64_t[]){700, 900, 3}), *y;
  for (int64_t i = 0; i < x->layout.numel; i++) x->data[i] ^= (char)((i * 2654435761u) >> 13);
  for (size_t i = 0; i < PERI_COUNT(names); i++) {
    const char *path = in_folder(&home, names[i]);
    PERI_CHECK(peri_image_write(context, "write_image", PERI_IMAGE_ANY, path, x) == PERI_OK, "%s",
               peri_message(context));
    PERI_CHECK(peri_image_read(context, "read_image", PERI_IMAGE_ANY, path, &plain, &y) == PERI_OK, "%s",
               peri_message(context));
    if (y != NULL) check_equal(y, x);
    peri_tensor_release(&y);
  }
  peri_tensor_release(&x);
  remove_folder(&home);
  close_context(context);
}

/* ---- faults ---- */

static void check_faulty(peri_context *context, const buffer *b, const peri_image_options *options, peri_tensor *good,
                         const char *what, size_t place) {
  peri_tensor *x;
  size_t before = peri_memory_in_use(context);
  peri_status status = parse(context, b, options, &x);
  bool same = x != NULL && x->layout.dtype == good->layout.dtype && peri_same_shape(&x->layout, &good->layout) &&
              memcmp(x->data, good->data, (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype)) == 0;
  PERI_CHECK(status == PERI_OK ? same : status == PERI_ERR_IO && x == NULL, "%s at %zu: status %d, another image", what,
             place, (int)status);
  peri_tensor_release(&x);
  PERI_CHECK(peri_memory_in_use(context) == before, "memory leaks");
}

static void png_faults_change_nothing(void) {
  static const char *const files[] = {"rgb-8.png",  "interlaced-16.png",  "palette-alpha.png",
                                      "grey-1.png", "gamma-and-text.png", "rgb-transparent.png"};
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(files); i++) {
    char path[128];
    snprintf(path, sizeof path, CORPUS "png/%s", files[i]);
    buffer *b = file_bytes(context, path);
    peri_image_options options = {.depth = strstr(path, "16") != NULL ? 16 : 8};
    peri_tensor *good = NULL;
    PERI_CHECK(parse(context, b, &options, &good) == PERI_OK, "%s", peri_message(context));
    if (good == NULL) return;
    size_t size = b->size;
    for (b->size = 0; b->size < size; b->size++) refuse(context, b, &options, "");
    for (size_t bit = 0; bit < 8 * size; bit++) {
      b->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
      check_faulty(context, b, &options, good, "a bit", bit / 8);
      b->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    peri_stream stream = {.seed = i};
    for (int k = 0; k < 100; k++) {
      size_t at = (size_t)peri_stream_below(&stream, size);
      unsigned char kept = b->bytes[at];
      b->bytes[at] = (unsigned char)peri_stream_u64(&stream);
      check_faulty(context, b, &options, good, "a byte", at);
      b->bytes[at] = kept;
    }
    put(b, "x", 1);
    refuse(context, b, &options, "1 more bytes follow");
    peri_tensor_release(&good);
  }
  close_context(context);
}

static void put_chunk(buffer *b, const char *name, const void *bytes, size_t n) {
  unsigned char length[4] = {0, 0, (unsigned char)(n >> 8), (unsigned char)n}, sum[4];
  uLong crc = crc32(crc32(0, (const Bytef *)name, 4), bytes, (uInt)n);
  for (int i = 0; i < 4; i++) sum[i] = (unsigned char)(crc >> (24 - 8 * i));
  put(b, length, 4);
  put(b, name, 4);
  put(b, bytes, n);
  put(b, sum, 4);
}

typedef struct header {
  uint32_t width, height;
  unsigned char depth, color, compression, filter, interlace;
} header;

/* A PNG of that header whose data are n bytes, 0 but the last, compressed; with a palette of one entry where colours
 * are of one. */
static buffer *png_ending(const header *h, size_t n, unsigned char last) {
  static buffer b;
  static unsigned char data[1 << 16], packed[1 << 16];
  unsigned char head[13] = {0};
  uLong size = sizeof packed;
  memset(data, 0, n);
  data[n - 1] = last;
  if (compress(packed, &size, data, n) != Z_OK) abort();
  for (int i = 0; i < 4; i++) {
    head[i] = (unsigned char)(h->width >> (24 - 8 * i));
    head[4 + i] = (unsigned char)(h->height >> (24 - 8 * i));
  }
  memcpy(head + 8, &h->depth, 5);
  b.size = 0;
  put(&b, "\x89PNG\r\n\x1a\n", 8);
  put_chunk(&b, "IHDR", head, sizeof head);
  if (h->color == 3) put_chunk(&b, "PLTE", "abc", 3);
  put_chunk(&b, "IDAT", packed, size);
  put_chunk(&b, "IEND", "", 0);
  return &b;
}

static buffer *png_bytes(const header *h, size_t n) { return png_ending(h, n, 0); }

static void png_lies_are_refused(void) {
  static const struct {
    header header;
    size_t bytes;
    const char *words;
  } lies[] = {
      {{1000001, 1, 8, 0, 0, 0, 0}, 100, "libpng: "},
      {{1, 1000001, 8, 0, 0, 0, 0}, 100, "libpng: "},
      {{0, 1, 8, 0, 0, 0, 0}, 100, "libpng: "},
      {{0xffffffff, 1, 8, 0, 0, 0, 0}, 100, "libpng: "},
      {{1000000, 1000000, 8, 6, 0, 0, 0}, 100, "can hold"},
      {{1000000, 1000000, 1, 0, 0, 0, 0}, 100, "can hold"},
      {{4, 4, 3, 0, 0, 0, 0}, 20, "libpng: "},
      {{4, 4, 8, 1, 0, 0, 0}, 20, "libpng: "},
      {{4, 4, 4, 2, 0, 0, 0}, 20, "libpng: "},
      {{4, 4, 8, 0, 1, 0, 0}, 20, "libpng: "},
      {{4, 4, 8, 0, 0, 1, 0}, 20, "libpng: "},
      {{4, 4, 8, 0, 0, 0, 2}, 20, "libpng: "},
      {{4, 4, 8, 0, 0, 0, 0}, 19, "libpng: "},
      {{4, 4, 8, 0, 0, 0, 0}, 21, "libpng: "},
      {{4, 4, 8, 0, 0, 0, 0}, 20000, "libpng: "},
      {{4, 4, 16, 0, 0, 0, 0}, 36, "has 16 bits per sample (expected 8"},
  };
  peri_context *context = open_context();
  peri_tensor *x;
  PERI_CHECK(parse(context, png_bytes(&(header){4, 4, 8, 0, 0, 0, 0}, 20), &plain, &x) == PERI_OK, "%s",
             peri_message(context));
  peri_tensor_release(&x);
  for (size_t i = 0; i < PERI_COUNT(lies); i++) {
    refuse(context, png_bytes(&lies[i].header, lies[i].bytes), &plain, lies[i].words);
  }
  refuse(context, png_bytes(&(header){4, 4, 8, 0, 0, 0, 0}, 20), &(peri_image_options){.depth = 16},
         "has 8 bits per sample (expected 16, as depth says)");
  close_context(context);
}

static void png_beyond_its_palette_is_black(void) {
  peri_context *context = open_context();
  peri_tensor *x;
  PERI_CHECK(parse(context, png_ending(&(header){2, 1, 8, 3, 0, 0, 0}, 3, 7), &plain, &x) == PERI_OK, "%s",
             peri_message(context));
  if (x != NULL) PERI_CHECK(memcmp(x->data, "abc\0\0\0", 6) == 0, "other colours");
  peri_tensor_release(&x);
  close_context(context);
}

/* The file says what would take more than the budget. */
static void reading_beyond_the_budget(void) {
  peri_context *context = NULL;
  peri_options options = {.size = sizeof options, .memory_limit = (size_t)1 << 20, .threads = 1};
  if (peri_context_new(&options, &context) != PERI_OK) abort();
  peri_tensor *x;
  buffer *b = png_bytes(&(header){2000, 32, 1, 0, 0, 0, 0}, 32 * 251);
  PERI_CHECK(parse(context, b, &plain, &x) == PERI_OK, "%s", peri_message(context));
  peri_tensor_release(&x);
  b = png_bytes(&(header){5000, 100, 1, 3, 0, 0, 0}, 100 * 626); /* 1.5 MB as RGB */
  check_failed(context, parse(context, b, &plain, &x), PERI_ERR_MEMORY, "out of memory");
  close_context(context);
}

/* ---- PNM ---- */

static buffer *text_bytes(const char *text) {
  static buffer b;
  b.size = 0;
  put(&b, text, strlen(text));
  return &b;
}

static void pnm_texts(void) {
  static const char *const sound[] = {"P2 2 1 255 7 255",
                                      "P2\n2\n1\n255\n7\n255\n",
                                      "P2 #a\n2#b\n1 255 7#c\n#d\r255#e",
                                      "P2 002 1 0255 \t\v\f 007\r\n0255 ",
                                      "P5 2 1 255 \x07\xff",
                                      "P5 2 1#\n255\n\x07\xff"};
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(sound); i++) {
    peri_tensor *x;
    PERI_CHECK(parse(context, text_bytes(sound[i]), &plain, &x) == PERI_OK, "%s: %s", sound[i], peri_message(context));
    if (x == NULL) continue;
    const unsigned char *samples = (const unsigned char *)x->data;
    PERI_CHECK(x->layout.numel == 2 && samples[0] == 7 && samples[1] == 255, "%s: %d %d", sound[i], samples[0],
               samples[1]);
    peri_tensor_release(&x);
  }
  close_context(context);
}

static void pnm_lies_are_refused(void) {
  static const struct {
    const char *text, *words;
  } lies[] = {
      {"P1 2 1 1 0", "begins with bytes 50 31"},
      {"P4 2 1 x", "begins with bytes 50 34"},
      {"P7\nWIDTH 2\n", "begins with bytes 50 37"},
      {"GIF89a", "begins as no image does that is known"},
      {"", "begins as no image does"},
      {"P5", "ends after"},
      {"P52 1 255 ab", "expected a blank behind the magic number"},
      {"P5 x 1 255 ab", "expected width, a number"},
      {"P5 -2 1 255 ab", "expected width, a number"},
      {"P5 2x 1 255 ab", "expected a blank behind width"},
      {"P5 2 1 255", "2 bytes, but 0 bytes follow"},
      {"P5 2 1 255 a", "1x2x1 samples need 2 bytes, but 1 bytes follow"},
      {"P5 2 1 255 abc", "1x2x1 samples need 2 bytes, but 3 bytes follow"},
      {"P5 2 1 256 ab", "has 16 bits per sample"},
      {"P5 2 1 65536 ab", "the largest value is above 65535"},
      {"P5 1000001 1 255 ab", "width is above 1000000"},
      {"P5 1000000 1000000 255 ab", "need 1000000000000 bytes"},
      {"P5 99999999999999999999 1 255 ab", "width is above 1000000"},
      {"P5 0 1 255 ", "width 0, height 1"},
      {"P5 2 1 0 ab", "largest value 0"},
      {"P5 2 1 96 `a", "sample 2 is 97 (expected at most 96)"},
      {"P2 2 1 96 0 97", "a sample is above 96"},
      {"P2 2 1 255 1", "at least 3 bytes, but 1"},
      {"P2 2 1 255 1 2 3", "offset 15: more follows than 2 samples"},
      {"P2 2 1 255 1 2 P2", "more follows than 2 samples"},
      {"P2 2 1 255 1 -2", "expected a sample, a number"},
      {"P2 2 1 255 1.0 2", "expected a blank behind a sample"},
      {"P2 2 1 255     ", "expected a sample, a number"},
      {"P2 1000000 1000000 255 1", "at least 1999999999999 bytes"},
      {"P3 1 1 255 1 2 ", "at least 5 bytes, but 4"},
  };
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(lies); i++) refuse(context, text_bytes(lies[i].text), &plain, lies[i].words);
  refuse(context, text_bytes("P5 2 1 255 ab"), &(peri_image_options){.depth = 16}, "expected 16, as depth says");
  close_context(context);
}

static void pnm_values_are_scaled(void) {
  static const struct {
    const char *text;
    int depth;
    double values[2];
  } cases[] = {{"P2 2 1 1 0 1", 8, {0, 255}},
               {"P2 2 1 254 127 254", 8, {128, 255}},
               {"P2 2 1 15 7 8", 8, {119, 136}},
               {"P2 2 1 65535 1 65535", 16, {1, 65535}},
               {"P2 2 1 256 1 256", 16, {256, 65535}},
               {"P5 2 1 65535 \x01\x02\xff\xff", 16, {258, 65535}},
               {"P5 2 1 1000 \x01\x02\x03\xe8", 16, {16908, 65535}}};
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(cases); i++) {
    peri_tensor *x;
    PERI_CHECK(parse(context, text_bytes(cases[i].text), &(peri_image_options){.depth = cases[i].depth}, &x) == PERI_OK,
               "%s", peri_message(context));
    if (x == NULL) continue;
    size_t size = peri_dtype_size(x->layout.dtype);
    PERI_CHECK(x->layout.dtype == (cases[i].depth == 16 ? PERI_INT64 : PERI_UINT8), "dtype");
    for (int k = 0; k < 2; k++) {
      double value = peri_load_number(x->layout.dtype, x->data + (size_t)k * size);
      PERI_CHECK(value == cases[i].values[k], "%s: sample %d is %g", cases[i].text, k, value);
    }
    peri_tensor_release(&x);
  }
  close_context(context);
}

/* ---- memory ---- */

static peri_status read_once(peri_context *context, void *path) {
  peri_tensor *x;
  peri_status status = peri_image_read(context, "read_image", PERI_IMAGE_ANY, path,
                                       &(peri_image_options){.depth = 8, .channels = 4}, &x);
  peri_tensor_release(&x);
  return status;
}
static peri_image_format written;
static peri_status write_once(peri_context *context, void *path) {
  peri_tensor *x = NULL;
  PERI_TRY(peri_tensor_new(context, PERI_UINT8, 3, (int64_t[]){20, 30, 3}, &x));
  peri_status status = peri_image_write(context, "write_image", written, path, x);
  peri_tensor_release(&x);
  return status;
}

static void allocation_failures(void) {
  static const char *const files[] = {"png/interlaced.png", "png/palette-4.png", "pnm/text.ppm", "pnm/bytes.pgm"};
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(files); i++) {
    char path[128];
    snprintf(path, sizeof path, CORPUS "%s", files[i]);
    buffer *b = file_bytes(context, path);
    check_failures_with_file(b->bytes, b->size, read_once, 2);
  }
  close_context(context);
  for (written = PERI_IMAGE_PNG; written <= PERI_IMAGE_PNM; written++) {
    check_failures_with_file(NULL, 0, write_once, 2);
  }
}

PERI_TEST_MAIN(PERI_TEST(written_is_read), PERI_TEST(writing_checks_its_tensor), PERI_TEST(large_images),
               PERI_TEST(png_faults_change_nothing), PERI_TEST(png_lies_are_refused),
               PERI_TEST(png_beyond_its_palette_is_black), PERI_TEST(reading_beyond_the_budget), PERI_TEST(pnm_texts),
               PERI_TEST(pnm_lies_are_refused), PERI_TEST(pnm_values_are_scaled), PERI_TEST(allocation_failures))
