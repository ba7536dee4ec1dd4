/* IDX: what is written is read back, every element type is understood, and no lie is believed. */
#include "data_support.h"

#include <errno.h>
#include <zlib.h>

/* ---- making files ---- */

typedef struct buffer {
  unsigned char bytes[1 << 17];
  size_t size;
} buffer;

static void put(buffer *b, const void *bytes, size_t n) {
  if (b->size + n > sizeof b->bytes) abort();
  memcpy(b->bytes + b->size, bytes, n);
  b->size += n;
}

static void put_header(buffer *b, int type, int ndim, const uint32_t *sizes) {
  unsigned char magic[4] = {0, 0, (unsigned char)type, (unsigned char)ndim};
  put(b, magic, 4);
  for (int d = 0; d < ndim; d++) {
    unsigned char size[4] = {(unsigned char)(sizes[d] >> 24), (unsigned char)(sizes[d] >> 16),
                             (unsigned char)(sizes[d] >> 8), (unsigned char)sizes[d]};
    put(b, size, 4);
  }
}

/* Appends the bytes as one gzip member. */
static void put_gzip(buffer *b, const void *bytes, size_t n) {
  z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)n};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) abort();
  stream.next_out = b->bytes + b->size;
  stream.avail_out = (uInt)(sizeof b->bytes - b->size);
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) abort();
  b->size = sizeof b->bytes - stream.avail_out;
  deflateEnd(&stream);
}

/* 3 x 100 bytes counting up, plain. */
static buffer *plain_bytes(void) {
  static buffer b;
  b.size = 0;
  put_header(&b, 0x08, 2, (uint32_t[]){3, 100});
  for (int i = 0; i < 300; i++) put(&b, &(unsigned char){(unsigned char)(i * 31)}, 1);
  return &b;
}

static buffer *compressed_bytes(void) {
  static buffer b;
  const buffer *plain = plain_bytes();
  b.size = 0;
  put_gzip(&b, plain->bytes, plain->size);
  return &b;
}

static peri_tensor *parse(peri_context *context, const buffer *b) {
  peri_tensor *x;
  peri_status status = peri_idx_parse(context, "test.idx", b->bytes, b->size, &x);
  PERI_CHECK(status == PERI_OK && x != NULL, "%s", peri_message(context));
  if (x == NULL) exit(1);
  return x;
}

static void refuse(peri_context *context, const buffer *b, const char *words) {
  peri_tensor *x;
  peri_status status = peri_idx_parse(context, "test.idx", b->bytes, b->size, &x);
  check_failed(context, status, PERI_ERR_IO, words);
  PERI_CHECK(x == NULL, "an output is left");
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes leak", peri_memory_in_use(context));
  if (status != PERI_OK) check_failed(context, status, PERI_ERR_IO, "read_idx: test.idx: offset ");
}

/* ---- what is right ---- */

static void written_is_read(void) {
  static const struct {
    int ndim;
    int64_t shape[8];
  } shapes[] = {{1, {7}},       {1, {1}},          {1, {0}},
                {2, {5, 3}},    {3, {4, 28, 28}},  {3, {0, 28, 28}},
                {3, {5, 0, 2}}, {4, {1, 2, 3, 4}}, {8, {2, 1, 2, 1, 3, 1, 2, 1}}};
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.idx");
  for (size_t i = 0; i < PERI_COUNT(shapes); i++) {
    peri_tensor *x = make_tensor(context, PERI_UINT8, shapes[i].ndim, shapes[i].shape), *y;
    PERI_CHECK(peri_idx_write(context, path, x) == PERI_OK, "%s", peri_message(context));
    PERI_CHECK(peri_idx_read(context, path, &y) == PERI_OK, "%s", peri_message(context));
    if (y != NULL) check_equal(y, x);
    peri_tensor_release(&x);
    peri_tensor_release(&y);
  }
  remove_folder(&home);
  close_context(context);
}

static void views_are_written_in_order(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.idx");
  peri_tensor *x = make_tensor(context, PERI_UINT8, 2, (int64_t[]){2, 3}), *turned, *y;
  peri_layout layout = x->layout;
  layout.shape[0] = 3, layout.shape[1] = 2, layout.strides[0] = 1, layout.strides[1] = 3;
  PERI_CHECK(peri_tensor_view(x, &layout, &turned) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_idx_write(context, path, turned) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_idx_read(context, path, &y) == PERI_OK, "%s", peri_message(context));
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 2; j++) PERI_CHECK(y->data[2 * i + j] == x->data[3 * j + i], "element %d, %d", i, j);
  }
  peri_tensor_release(&x);
  peri_tensor_release(&turned);
  peri_tensor_release(&y);
  remove_folder(&home);
  close_context(context);
}

static void writing_checks_its_tensor(void) {
  peri_context *context = open_context();
  peri_tensor *number = make_tensor(context, PERI_UINT8, 0, (int64_t[]){0});
  peri_tensor *floats = make_tensor(context, PERI_FLOAT32, 1, (int64_t[]){3});
  peri_tensor *wide = make_tensor(context, PERI_UINT8, 2, (int64_t[]){0, (int64_t)1 << 31});
  check_failed(context, peri_idx_write(context, "never", number), PERI_ERR_ARGUMENT, "write_idx|0-d");
  check_failed(context, peri_idx_write(context, "never", floats), PERI_ERR_ARGUMENT, "float32|expected uint8");
  check_failed(context, peri_idx_write(context, "never", wide), PERI_ERR_ARGUMENT, "0x2147483648");
  PERI_CHECK(access("never", F_OK) != 0, "a file was written");
  peri_tensor_release(&number);
  peri_tensor_release(&floats);
  peri_tensor_release(&wide);
  close_context(context);
}

static void all_element_types(void) {
  static const struct {
    int type;
    size_t size; /* of an element */
    unsigned char bytes[2][8];
    peri_dtype dtype;
    double values[2];
  } types[] = {
      {0x08, 1, {{0x00}, {0xff}}, PERI_UINT8, {0, 255}},
      {0x09, 1, {{0x7f}, {0x80}}, PERI_INT64, {127, -128}},
      {0x0B, 2, {{0x01, 0x02}, {0x80, 0x00}}, PERI_INT64, {258, -32768}},
      {0x0C, 4, {{0x01, 0x02, 0x03, 0x04}, {0xff, 0xff, 0xff, 0xfe}}, PERI_INT64, {16909060, -2}},
      {0x0D, 4, {{0x3f, 0xc0, 0, 0}, {0xc2, 0, 0, 0}}, PERI_FLOAT32, {1.5, -32}},
      {0x0E, 8, {{0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a}, {0xc0}}, PERI_FLOAT64, {0.1, -2}},
  };
  peri_context *context = open_context();
  for (size_t t = 0; t < PERI_COUNT(types); t++) {
    static buffer plain, gzip;
    plain.size = gzip.size = 0;
    put_header(&plain, types[t].type, 1, (uint32_t[]){14});
    for (int i = 0; i < 14; i++) put(&plain, types[t].bytes[i % 2], types[t].size);
    put_gzip(&gzip, plain.bytes, plain.size);
    for (int g = 0; g < 2; g++) {
      peri_tensor *x = parse(context, g ? &gzip : &plain);
      PERI_CHECK(x->layout.dtype == types[t].dtype, "type 0x%02x is %s", types[t].type,
                 peri_dtype_name(x->layout.dtype));
      PERI_CHECK(x->layout.ndim == 1 && x->layout.shape[0] == 14, "shape of type 0x%02x", types[t].type);
      for (size_t i = 0; i < 14; i++) {
        double value = peri_load_number(x->layout.dtype, x->data + i * peri_dtype_size(x->layout.dtype));
        PERI_CHECK(value == types[t].values[i % 2], "type 0x%02x: element %zu is %g", types[t].type, i, value);
      }
      peri_tensor_release(&x);
    }
  }
  close_context(context);
}

static void gzip_is_found_by_content(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "no-suffix");
  const buffer *b = compressed_bytes();
  put_file(path, b->bytes, b->size);
  peri_tensor *x, *expected = parse(context, plain_bytes());
  PERI_CHECK(peri_idx_read(context, path, &x) == PERI_OK, "%s", peri_message(context));
  if (x != NULL) check_equal(x, expected);
  peri_tensor_release(&x);
  peri_tensor_release(&expected);
  remove_folder(&home);
  close_context(context);
}

static void gzip_of_several_members(void) {
  static buffer b;
  peri_context *context = open_context();
  const buffer *plain = plain_bytes();
  b.size = 0;
  put_gzip(&b, plain->bytes, 9);
  put_gzip(&b, "", 0);
  put_gzip(&b, plain->bytes + 9, plain->size - 9);
  put_gzip(&b, "", 0);
  peri_tensor *x = parse(context, &b), *expected = parse(context, plain);
  check_equal(x, expected);
  peri_tensor_release(&x);
  peri_tensor_release(&expected);
  close_context(context);
}

/* ---- what is wrong ---- */

static void lying_headers(void) {
  static const struct {
    const char *bytes;
    size_t size;
    const char *words;
  } lies[] = {
      {"", 0, "offset 0|magic number"},
      {"\0\0\x08", 3, "offset 0|magic number"},
      {"\0\1\x08\1\0\0\0\0", 8, "offset 0|00 01"},
      {"PK\3\4\0\0\0\0", 8, "offset 0|50 4b"},
      {"\0\0\x0a\1\0\0\0\0", 8, "offset 2|0x0A"},
      {"\0\0\0\1\0\0\0\0", 8, "offset 2|0x00"},
      {"\0\0\x08\0\0\0\0\0", 8, "offset 3|0 dimensions"},
      {"\0\0\x08\x09\0\0\0\0", 8, "offset 3|9 dimensions"},
      {"\0\0\x08\xff\0\0\0\0", 8, "offset 3|255 dimensions"},
      {"\0\0\x08\1", 4, "offset 4|sizes"},
      {"\0\0\x08\2\0\0\0\1\0\0\0", 11, "offset 4|sizes"},
      {"\0\0\x08\1\0\0\0\1", 8, "offset 4|sizes 1"},
      {"\0\0\x08\1\0\0\0\3ab", 10, "offset 4|sizes 3"},
      {"\0\0\x08\1\0\0\0\2abc", 11, "offset 10|11 bytes"},
      {"\0\0\x08\1\0\0\0\0a", 9, "offset 8|9 bytes"},
      {"\0\0\x0b\1\0\0\0\1a", 9, "sizes 1|2 bytes"},
      {"\0\0\x08\1\xff\xff\xff\xff"
       "ab",
       10, "sizes 4294967295"},
      {"\0\0\x0e\2\xff\xff\xff\xff\xff\xff\xff\xff"
       "ab",
       14, "overflow"},
      {"\0\0\x08\3\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16, "overflow"},
      {"\0\0\x08\4\x80\0\0\0\x80\0\0\0\x80\0\0\0\x80\0\0\0", 20, "overflow"},
      {"\0\0\x08\4\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0", 20, "overflow"},
  };
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(lies); i++) {
    static buffer b, gzip;
    b.size = gzip.size = 0;
    put(&b, lies[i].bytes, lies[i].size);
    refuse(context, &b, lies[i].words);
    put_gzip(&gzip, b.bytes, b.size); /* the same lie, compressed */
    refuse(context, &gzip, "inflated");
  }
  close_context(context);
}

static void every_truncation(void) {
  peri_context *context = open_context();
  static buffer cut;
  for (int g = 0; g < 2; g++) {
    const buffer *whole = g ? compressed_bytes() : plain_bytes();
    for (size_t size = 0; size < whole->size; size++) {
      cut.size = 0;
      put(&cut, whole->bytes, size);
      refuse(context, &cut, "");
    }
  }
  close_context(context);
}

static void every_flipped_bit_of_gzip(void) {
  peri_context *context = open_context();
  const buffer *whole = compressed_bytes();
  peri_tensor *expected = parse(context, plain_bytes());
  size_t before = peri_memory_in_use(context);
  for (size_t bit = 0; bit < whole->size * 8; bit++) {
    static buffer b;
    peri_tensor *x;
    b.size = 0;
    put(&b, whole->bytes, whole->size);
    b.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    /* Time stamp and such in gzip's header, and what fills deflate's last byte, mean nothing. All else is seen. */
    if (peri_idx_parse(context, "test.idx", b.bytes, b.size, &x) == PERI_OK) {
      PERI_CHECK(bit / 8 < 10 || bit / 8 == whole->size - 9, "bit %zu is not seen", bit);
      check_equal(x, expected);
    }
    peri_tensor_release(&x);
    PERI_CHECK(peri_memory_in_use(context) == before, "bit %zu leaks", bit);
  }
  peri_tensor_release(&expected);
  close_context(context);
}

static void corrupt_gzip(void) {
  peri_context *context = open_context();
  static buffer b;
  const buffer *whole = compressed_bytes();
  b = *whole;
  b.bytes[b.size - 8] ^= 1;
  refuse(context, &b, "corrupt|data check");
  b = *whole;
  put(&b, "trailing", 8);
  refuse(context, &b, "corrupt");
  b = *whole;
  put_gzip(&b, "x", 1);
  refuse(context, &b, "offset 312|more data follow");
  b.size = 0;
  put(&b, "\x1f\x8b\x08\0\0\0\0\0\0\3garbage", 17);
  refuse(context, &b, "corrupt");
  b.size = 0;
  put(&b, "\x1f\x8b", 2);
  refuse(context, &b, "cut");
  close_context(context);
}

/* 64 MB of zeros in 64 KB, behind a header that announces ten bytes; and a header that announces what no
 * deflate stream of this length can hold. Neither may cost memory. */
static void bombs(void) {
  static buffer b, zeros;
  peri_context *context = open_context();
  z_stream stream = {0};
  zeros.size = 0;
  memset(zeros.bytes, 0, sizeof zeros.bytes);
  put_header(&zeros, 0x08, 1, (uint32_t[]){10});
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) abort();
  stream.next_out = b.bytes;
  stream.avail_out = sizeof b.bytes;
  for (int i = 0; i < 512; i++) {
    stream.next_in = zeros.bytes + (i == 0 ? 0 : 64);
    stream.avail_in = sizeof zeros.bytes - 64;
    if (deflate(&stream, i == 511 ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR) abort();
  }
  b.size = sizeof b.bytes - stream.avail_out;
  deflateEnd(&stream);
  PERI_CHECK(stream.total_out < 70000, "%lu bytes", stream.total_out);
  refuse(context, &b, "offset 18|more data follow");
  PERI_CHECK(peri_memory_peak(context) < 200000, "peak %zu", peri_memory_peak(context));

  zeros.size = b.size = 0;
  put_header(&zeros, 0x08, 2, (uint32_t[]){100000, 1000});
  put_gzip(&b, zeros.bytes, sizeof zeros.bytes);
  refuse(context, &b, "offset 4|sizes 100000x1000|can hold");
  PERI_CHECK(peri_memory_peak(context) < 200000, "peak %zu", peri_memory_peak(context));
  close_context(context);
}

static void files_that_are_none(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  peri_tensor *x;
  check_failed(context, peri_idx_read(context, in_folder(&home, "missing.gz"), &x), PERI_ERR_IO,
               "read_idx: |missing.gz: |No such file");
  check_failed(context, peri_idx_read(context, home.path, &x), PERI_ERR_IO, "is a directory");
  PERI_CHECK(x == NULL, "an output is left");
  remove_folder(&home);
  close_context(context);
}

/* ---- memory ---- */

static peri_status read_file(peri_context *context, void *path) {
  peri_tensor *x;
  peri_status status = peri_idx_read(context, path, &x);
  if (status != PERI_OK) PERI_CHECK(x == NULL, "an output is left");
  peri_tensor_release(&x);
  return status;
}

static void reading_without_memory(void) {
  check_failures_with_file(plain_bytes()->bytes, plain_bytes()->size, read_file, 1);
  check_failures_with_file(compressed_bytes()->bytes, compressed_bytes()->size, read_file, 3);
}

static void reading_beyond_the_budget(void) {
  peri_context *context = NULL;
  static buffer b;
  peri_options options = {.size = sizeof options, .memory_limit = 300000, .threads = 1};
  PERI_CHECK(peri_context_new(&options, &context) == PERI_OK, "no context");
  peri_tensor *x;
  b.size = 0;
  put_header(&b, 0x09, 1, (uint32_t[]){50000}); /* 50 KB in the file, 400 KB as int64 */
  memset(b.bytes + b.size, 1, 50000);
  b.size += 50000;
  check_failed(context, peri_idx_parse(context, "test.idx", b.bytes, b.size, &x), PERI_ERR_MEMORY, "out of memory");
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(written_is_read), PERI_TEST(views_are_written_in_order), PERI_TEST(writing_checks_its_tensor),
               PERI_TEST(all_element_types), PERI_TEST(gzip_is_found_by_content), PERI_TEST(gzip_of_several_members),
               PERI_TEST(lying_headers), PERI_TEST(every_truncation), PERI_TEST(every_flipped_bit_of_gzip),
               PERI_TEST(corrupt_gzip), PERI_TEST(bombs), PERI_TEST(files_that_are_none),
               PERI_TEST(reading_without_memory), PERI_TEST(reading_beyond_the_budget))
