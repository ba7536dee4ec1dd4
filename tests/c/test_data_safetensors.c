/* safetensors: round trips of every dtype, widening, and each rule of the format broken in turn. */
#include "data_support.h"

#include <math.h>

/* A file in memory: the header's length, the header, n bytes of data. */
typedef struct image {
  unsigned char bytes[4096];
  size_t size;
} image;

static image *make_image(const char *header, const void *data, size_t n) {
  static image made;
  size_t length = strlen(header);
  if (8 + length + n > sizeof made.bytes) abort();
  for (int i = 0; i < 8; i++) made.bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
  memcpy(made.bytes + 8, header, length);
  if (data != NULL) {
    memcpy(made.bytes + 8 + length, data, n);
  } else {
    memset(made.bytes + 8 + length, 0, n);
  }
  made.size = 8 + length + n;
  return &made;
}

static peri_named_tensors parse(peri_context *context, const image *file) {
  peri_named_tensors list;
  peri_status status = peri_safetensors_parse(context, "test", file->bytes, file->size, &list);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  return list;
}

static void refuse_bytes(peri_context *context, const void *bytes, size_t size, const char *words) {
  peri_named_tensors list;
  peri_status status = peri_safetensors_parse(context, "test", bytes, size, &list);
  check_failed(context, status, PERI_ERR_IO, words);
  if (status != PERI_OK) check_failed(context, status, PERI_ERR_IO, "load: test: offset ");
  PERI_CHECK(list.n == 0 && list.names == NULL, "an output is left");
  peri_named_tensors_release(context, &list);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes leak", peri_memory_in_use(context));
}

/* ---- round trips ---- */

static void every_dtype_and_shape(void) {
  static const struct {
    int ndim;
    int64_t shape[8];
  } shapes[] = {{0, {0}},    {1, {0}},       {1, {1}},          {1, {9}},
                {2, {3, 5}}, {3, {2, 0, 4}}, {4, {2, 3, 1, 4}}, {8, {1, 2, 1, 2, 1, 2, 1, 3}}};
  enum { S = PERI_COUNT(shapes), N = S * PERI_DTYPES };
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "all.safetensors");
  char text[N][16];
  const char *names[N];
  peri_tensor *tensors[N];
  for (int i = 0; i < N; i++) {
    snprintf(text[i], sizeof text[i], "t%02d.w", i);
    names[i] = text[i];
    tensors[i] = make_tensor(context, (peri_dtype)(i / (int)S), shapes[i % (int)S].ndim, shapes[i % (int)S].shape);
  }
  PERI_CHECK(peri_safetensors_write(context, path, N, names, tensors, 0, NULL, NULL) == PERI_OK, "%s",
             peri_message(context));
  peri_named_tensors list;
  PERI_CHECK(peri_safetensors_read(context, path, &list) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(list.n == N && list.metadata_n == 0, "%zu tensors", list.n);
  for (size_t i = 0; i < list.n; i++) {
    int index = atoi(list.names[i] + 1);
    PERI_CHECK(strcmp(list.names[i], names[index]) == 0, "name %s", list.names[i]);
    check_equal(list.tensors[i], tensors[index]);
    size_t size = peri_dtype_size(list.tensors[i]->layout.dtype);
    size_t before = i > 0 ? peri_dtype_size(list.tensors[i - 1]->layout.dtype) : 8;
    PERI_CHECK(size < before || i == 0 || (size == before && strcmp(list.names[i - 1], list.names[i]) < 0) ||
                   list.tensors[i - 1]->layout.numel == 0 || list.tensors[i]->layout.numel == 0,
               "%s stands after %s", list.names[i], list.names[i - 1]);
  }
  peri_named_tensors_release(context, &list);
  peri_named_tensors_release(context, &list);
  for (int i = 0; i < N; i++) peri_tensor_release(&tensors[i]);
  remove_folder(&home);
  close_context(context);
}

static void views_are_written_in_order(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a");
  peri_tensor *x = make_tensor(context, PERI_FLOAT64, 2, (int64_t[]){2, 3}), *turned, *copy;
  peri_layout layout = x->layout;
  layout.shape[0] = 3, layout.shape[1] = 2, layout.strides[0] = 1, layout.strides[1] = 3;
  PERI_CHECK(peri_tensor_view(x, &layout, &turned) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_tensor_contiguous(turned, &copy) == PERI_OK, "%s", peri_message(context));
  const char *name = "turned";
  peri_named_tensors list;
  PERI_CHECK(peri_safetensors_write(context, path, 1, &name, &turned, 0, NULL, NULL) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(peri_safetensors_read(context, path, &list) == PERI_OK && list.n == 1, "%s", peri_message(context));
  if (list.n == 1) check_equal(list.tensors[0], copy);
  peri_named_tensors_release(context, &list);
  peri_tensor_release(&x);
  peri_tensor_release(&turned);
  peri_tensor_release(&copy);
  remove_folder(&home);
  close_context(context);
}

static void names_and_metadata(void) {
  static const char *names[] = {"", "quote\" back\\slash /", "tab\tline\nbell\a del\x7f",
                                "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8c\x99", "{\"a\":[1]}"};
  static const char *keys[] = {"format", "", "\xc3\xa4\n"}, *values[] = {"pt", "", "{\"nested\": \"\\u0041\"}"};
  enum { N = PERI_COUNT(names), M = PERI_COUNT(keys) };
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a");
  peri_tensor *tensors[N];
  for (int64_t i = 0; i < N; i++) tensors[i] = make_tensor(context, PERI_UINT8, 1, &i);
  PERI_CHECK(peri_safetensors_write(context, path, N, names, tensors, M, keys, values) == PERI_OK, "%s",
             peri_message(context));
  peri_named_tensors list;
  PERI_CHECK(peri_safetensors_read(context, path, &list) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(list.n == N && list.metadata_n == M, "%zu tensors, %zu pairs", list.n, list.metadata_n);
  for (size_t i = 0; i < list.n; i++) {
    PERI_CHECK(strcmp(list.names[i], names[list.tensors[i]->layout.numel]) == 0, "name %s", list.names[i]);
  }
  for (size_t i = 0; i < list.metadata_n; i++) {
    PERI_CHECK(strcmp(list.keys[i], keys[i]) == 0 && strcmp(list.values[i], values[i]) == 0, "%s: %s", list.keys[i],
               list.values[i]);
  }
  peri_named_tensors_release(context, &list);
  PERI_CHECK(peri_safetensors_write(context, path, 0, NULL, NULL, 1, keys, values) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(peri_safetensors_read(context, path, &list) == PERI_OK && list.n == 0 && list.metadata_n == 1, "%s",
             peri_message(context));
  peri_named_tensors_release(context, &list);
  PERI_CHECK(peri_safetensors_write(context, path, 0, NULL, NULL, 0, NULL, NULL) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(peri_safetensors_read(context, path, &list) == PERI_OK && list.n == 0, "%s", peri_message(context));
  peri_named_tensors_release(context, &list);
  for (int i = 0; i < N; i++) peri_tensor_release(&tensors[i]);
  remove_folder(&home);
  close_context(context);
}

/* The bytes are the format's: little-endian length, header padded to 8, tensors aligned. */
static void the_file_is_as_specified(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a"), *names[] = {"b", "f", "d"};
  peri_tensor *tensors[] = {make_tensor(context, PERI_BOOL, 1, (int64_t[]){3}),
                            make_tensor(context, PERI_FLOAT32, 2, (int64_t[]){1, 2}),
                            make_tensor(context, PERI_FLOAT64, 0, (int64_t[]){0})};
  static const char expected[] = "{\"d\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
                                 "\"f\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]},"
                                 "\"b\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[16,19]}}";
  size_t length = (sizeof expected - 1 + 7) / 8 * 8, size;
  void *bytes;
  PERI_CHECK(peri_safetensors_write(context, path, 3, names, tensors, 0, NULL, NULL) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  const unsigned char *file = bytes;
  PERI_CHECK(size == 8 + length + 19, "%zu bytes", size);
  PERI_CHECK(size > 8 && file[0] == length % 256 && file[1] == length / 256, "length %d", file[0]);
  PERI_CHECK(memcmp(file + 8, expected, sizeof expected - 1) == 0, "header %.*s", (int)length, file + 8);
  for (size_t i = sizeof expected - 1; i < length; i++) PERI_CHECK(file[8 + i] == ' ', "padding %02x", file[8 + i]);
  PERI_CHECK(memcmp(file + 8 + length, tensors[2]->data, 8) == 0, "the double's bytes");
  peri_free(context, bytes, size);
  for (int i = 0; i < 3; i++) peri_tensor_release(&tensors[i]);
  remove_folder(&home);
  close_context(context);
}

/* ---- widening ---- */

#define ONE(type, bytes) "{\"x\":{\"dtype\":\"" type "\",\"shape\":[2],\"data_offsets\":[0," bytes "]}}"

static void narrow_types_are_widened(void) {
  static const struct {
    const char *header;
    const char *data;
    size_t n;
    peri_dtype dtype;
    double values[2];
  } types[] = {
      {ONE("I8", "2"), "\x7f\x80", 2, PERI_INT64, {127, -128}},
      {ONE("I16", "4"), "\x02\x01\x00\x80", 4, PERI_INT64, {258, -32768}},
      {ONE("U16", "4"), "\x02\x01\xff\xff", 4, PERI_INT64, {258, 65535}},
      {ONE("I32", "8"), "\x04\x03\x02\x01\xfe\xff\xff\xff", 8, PERI_INT64, {16909060, -2}},
      {ONE("U32", "8"), "\x04\x03\x02\x01\xff\xff\xff\xff", 8, PERI_INT64, {16909060, 4294967295.0}},
      {ONE("U64", "16"), "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40", 16, PERI_INT64, {1, 0x1p62}},
      {ONE("BF16", "4"), "\xc0\x3f\x80\xff", 4, PERI_FLOAT32, {1.5, -(double)INFINITY}},
      {ONE("F16", "4"), "\x00\x3e\xff\x7b", 4, PERI_FLOAT32, {1.5, 65504}},
      {ONE("F16", "4"), "\x01\x00\xff\x83", 4, PERI_FLOAT32, {0x1p-24, -1023 * 0x1p-24}},
      {ONE("F16", "4"), "\x00\x04\x00\xfc", 4, PERI_FLOAT32, {0x1p-14, -(double)INFINITY}},
  };
  peri_context *context = open_context();
  for (size_t t = 0; t < PERI_COUNT(types); t++) {
    peri_named_tensors list = parse(context, make_image(types[t].header, types[t].data, types[t].n));
    PERI_CHECK(list.n == 1, "row %zu", t);
    if (list.n != 1) continue;
    peri_tensor *x = list.tensors[0];
    PERI_CHECK(x->layout.dtype == types[t].dtype, "row %zu is %s", t, peri_dtype_name(x->layout.dtype));
    for (size_t i = 0; i < 2; i++) {
      double value = peri_load_number(x->layout.dtype, x->data + i * peri_dtype_size(x->layout.dtype));
      PERI_CHECK(value == types[t].values[i], "row %zu element %zu is %g", t, i, value);
    }
    peri_named_tensors_release(context, &list);
  }
  close_context(context);
}

/* All 65,536 halves against their definition. */
static void every_half(void) {
  static unsigned char bytes[8 + 64 + 2 * 65536];
  static const char header[] = "{\"x\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}";
  peri_context *context = open_context();
  size_t length = sizeof header - 1;
  bytes[0] = (unsigned char)length;
  memcpy(bytes + 8, header, length);
  for (size_t i = 0; i < 65536; i++) {
    bytes[8 + length + 2 * i] = (unsigned char)i;
    bytes[8 + length + 2 * i + 1] = (unsigned char)(i >> 8);
  }
  peri_named_tensors list;
  peri_status status = peri_safetensors_parse(context, "test", bytes, 8 + length + 131072, &list);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  const float *value = (const float *)(const void *)list.tensors[0]->data;
  for (int i = 0; i < 65536; i++) {
    int exponent = i >> 10 & 31, fraction = i & 1023;
    double expected = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = fraction == 0 ? (double)INFINITY : (double)NAN;
    if (i & 0x8000) expected = -expected;
    int same = isnan(expected) ? isnan(value[i]) : (double)value[i] == expected && !signbit(value[i]) == !(i & 0x8000);
    PERI_CHECK(same, "half %04x is %g, expected %g", i, (double)value[i], expected);
  }
  peri_named_tensors_release(context, &list);
  close_context(context);
}

static void order_is_that_of_the_bytes(void) {
  peri_context *context = open_context();
  peri_named_tensors list =
      parse(context, make_image("{\"b\":{\"shape\":[2],\"data_offsets\":[2,4],\"dtype\":\"U8\"},"
                                "\"empty\":{\"dtype\":\"F64\",\"shape\":[0,3],\"data_offsets\":[2,2]},"
                                "\"a\" : {\"dtype\":\"U8\",\r\n\"shape\":[2 ],\t\"data_offsets\":[0,2]}}   ",
                                "abcd", 4));
  PERI_CHECK(list.n == 3, "%zu tensors", list.n);
  if (list.n == 3) {
    PERI_CHECK(strcmp(list.names[0], "a") == 0 && strcmp(list.names[1], "empty") == 0 && list.names[2][0] == 'b',
               "%s %s %s", list.names[0], list.names[1], list.names[2]);
    PERI_CHECK(memcmp(list.tensors[0]->data, "ab", 2) == 0 && memcmp(list.tensors[2]->data, "cd", 2) == 0, "bytes");
  }
  peri_named_tensors_release(context, &list);
  close_context(context);
}

/* ---- broken rules ---- */

#define U8(name, shape, offsets) "\"" name "\":{\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void broken_headers(void) {
  static const struct {
    const char *header;
    size_t data;
    const char *words;
  } broken[] = {
      /* text */
      {"", 0, "offset 8|begin with {"},
      {" {}", 0, "begin with {"},
      {"[]", 0, "begin with {"},
      {"{", 0, "not JSON"},
      {"{}}", 0, "followed by byte 0x7d"},
      {"{}\n", 0, "followed by byte 0x0a"},
      {"{} {}", 0, "followed by"},
      {"{]", 0, "not JSON"},
      {"{\"a\" 1}", 0, "not JSON"},
      {"{\"a\":1,}", 0, "not JSON"},
      {"{\"a", 0, "offset 9|no end"},
      {"{\"a\\", 0, "offset 9|no end"},
      {"{\"a\\\"}", 0, "offset 9|no end"},
      {"{\"a\\x\":1}", 0, "not JSON"},
      {"{\"a\\u12\":1}", 0, "not JSON"},
      {"{\"a\\ud800\":1}", 0, "not JSON"},
      {"{\"a\\u0000b\":1}", 0, "offset 11|u0000"},
      {"{\"a\tb\":1}", 0, "offset 11|0x09"},
      {"{\"a\x80\":1}", 0, "offset 11|UTF-8"},
      {"{\"\xc0\x80\":1}", 0, "offset 10|UTF-8"},
      {"{\"\xed\xa0\x80\":1}", 0, "offset 10|UTF-8"},
      {"{\"\xf4\x90\x80\x80\":1}", 0, "offset 10|UTF-8"},
      {"{\"\xe2\x82\":1}", 0, "offset 10|UTF-8"},
      {"{\"a\":-1}", 0, "offset 13|0x2d"},
      {"{\"a\":1.5}", 0, "offset 14|0x2e"},
      {"{\"a\":1e3}", 0, "offset 14|0x65"},
      {"{\"a\":01}", 0, "offset 13|leading zero"},
      {"{\"a\":9007199254740993}", 0, "offset 13|2^53"},
      {"{\"a\":99999999999999999999}", 0, "offset 13|2^53"},
      {"{\"a\":true}", 0, "offset 13|0x74"},
      {"{\"a\":null}", 0, "offset 13|0x6e"},
      {"{\"a\":NaN}", 0, "offset 13|0x4e"},
      {"{\"a\":{\"b\":[[1]]}}", 0, "nested more than 3"},
      {"{\"a\":{\"b\":{\"c\":{}}}}", 0, "nested more than 3"},
      /* one tensor */
      {"{\"a\":1}", 0, "\"a\"|not an object"},
      {"{\"a\":[1]}", 0, "\"a\"|not an object"},
      {"{\"a\":{}}", 0, "\"a\"|missing"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 1, "missing"},
      {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "missing"},
      {"{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, "missing"},
      {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "twice"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", 1, "a key other than"},
      {"{\"a\":{\"Dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "a key other than"},
      {"{\"a\":{\"dtype\":8,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "dtype is not a string"},
      {"{\"a\":{\"dtype\":\"u8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "dtype \"u8\" (expected"},
      {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "dtype \"F8_E4M3\""},
      {"{\"a\\u001b[31m\":1}", 0, "\"a?[31m\""},
      {"{" U8("a", "3", "[0,3]") "}", 3, "shape is not a list"},
      {"{" U8("a", "{}", "[0,1]") "}", 1, "shape is not a list"},
      {"{" U8("a", "[\"3\"]", "[0,3]") "}", 3, "not a number"},
      {"{" U8("a", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "more than 8 dimensions"},
      {"{" U8("a", "[3]", "3") "}", 3, "data_offsets is not a list of two"},
      {"{" U8("a", "[3]", "[]") "}", 3, "data_offsets is not a list of two"},
      {"{" U8("a", "[3]", "[0]") "}", 3, "data_offsets is not a list of two"},
      {"{" U8("a", "[3]", "[0,3,3]") "}", 3, "data_offsets is not a list of two"},
      {"{" U8("a", "[3]", "[\"0\",3]") "}", 3, "data_offsets is not a list of two"},
      {"{" U8("a", "[3]", "[3,0]") "}", 3, "[3, 0]|3 bytes"},
      {"{" U8("a", "[3]", "[0,4]") "}", 4, "[0, 4]|3 bytes"},
      {"{" U8("a", "[]", "[0,0]") "}", 0, "1 bytes"},
      {"{" U8("a", "[0]", "[0,1]") "}", 1, "0 bytes"},
      {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "16 bytes"},
      {"{" U8("a", "[4294967296,4294967296]", "[0,0]") "}", 0, "overflows"},
      {"{" U8("a", "[4294967296,2147483648,2]", "[0,0]") "}", 0, "overflows"},
      {"{" U8("a", "[0,4294967296,4294967296]", "[0,0]") "}", 0, "overflows"},
      {"{" U8("a", "[9007199254740992]", "[0,9007199254740992]") "}", 9, "9007199254740992 bytes of data, but 9"},
      /* all of them */
      {"{" U8("a", "[1]", "[0,1]") "," U8("a", "[1]", "[1,2]") "}", 2, "\"a\"|twice"},
      {"{" U8("a", "[1]", "[0,1]") ",\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "twice"},
      {"{" U8("a", "[1]", "[1,2]") "}", 2, "begins at 1|expected 0"},
      {"{" U8("a", "[2]", "[0,2]") "," U8("b", "[1]", "[3,4]") "}", 4, "\"b\" begins at 3|expected 2"},
      {"{" U8("a", "[2]", "[0,2]") "," U8("b", "[2]", "[1,3]") "}", 3, "\"b\" begins at 1|expected 2"},
      {"{" U8("a", "[2]", "[0,2]") "," U8("b", "[2]", "[0,2]") "}", 2, "begins at 0|expected 2"},
      {"{" U8("a", "[2]", "[0,2]") "," U8("e", "[0]", "[3,3]") "}", 2, "\"e\" begins at 3"},
      {"{" U8("a", "[3]", "[0,3]") "}", 2, "3 bytes of data, but 2"},
      {"{" U8("a", "[3]", "[0,3]") "}", 4, "3 bytes of data, but 4"},
      {"{}", 1, "0 bytes of data, but 1"},
      /* metadata */
      {"{\"__metadata__\":1}", 0, "__metadata__|not an object"},
      {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\"|not a string"},
      {"{\"__metadata__\":{\"k\":{}}}", 0, "\"k\"|not a string"},
      {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "\"k\"|twice"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "\"__metadata__\"|twice"},
  };
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(broken); i++) {
    const image *file = make_image(broken[i].header, NULL, broken[i].data);
    int before = peri_test_failures;
    refuse_bytes(context, file->bytes, file->size, broken[i].words);
    if (peri_test_failures != before) printf("  that was header %s\n", broken[i].header);
  }
  close_context(context);
}

static void broken_elements(void) {
  peri_context *context = open_context();
  const image *file = make_image(ONE("BOOL", "2"), "\1\2", 2);
  char offset[32];
  snprintf(offset, sizeof offset, "offset %zu", file->size - 1);
  refuse_bytes(context, file->bytes, file->size, offset);
  refuse_bytes(context, file->bytes, file->size, "element 2 of \"x\"|bool");
  file = make_image(ONE("U64", "16"), "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80", 16);
  refuse_bytes(context, file->bytes, file->size, "element 2 of \"x\"|int64");
  close_context(context);
}

static void broken_lengths(void) {
  static const struct {
    const char *bytes;
    size_t size;
    const char *words;
  } broken[] = {
      {"", 0, "offset 0|header length"},
      {"\2\0\0\0\0\0\0", 7, "offset 0|header length"},
      {"\3\0\0\0\0\0\0\0{}", 10, "offset 0|3 bytes|10 in all"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "offset 0|18446744073709551615"},
      {"\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10, "offset 0|expected at most 100000000"},
      {"\1\xe1\xf5\5\0\0\0\0{}", 10, "100000001 bytes"},
      {"\0\0\0\0\0\0\0\0{}", 10, "begin with {"},
  };
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(broken); i++) {
    refuse_bytes(context, broken[i].bytes, broken[i].size, broken[i].words);
  }
  close_context(context);
}

static void every_truncation(void) {
  peri_context *context = open_context();
  const image *file = make_image("{" U8("a", "[2]", "[0,2]") "," U8("b", "[3]", "[2,5]") "}", NULL, 5);
  for (size_t size = 0; size < file->size; size++) {
    unsigned char *cut = malloc(size + 1); /* exactly as long as it says, for the sanitizer */
    if (cut == NULL) abort();
    memcpy(cut + 1, file->bytes, size);
    refuse_bytes(context, cut + 1, size, "");
    free(cut);
  }
  close_context(context);
}

/* Brackets by the million, and a header of many values whose document would not fit the budget. */
static void hungry_headers(void) {
  enum { N = 4 << 20 };
  peri_context *context = NULL;
  peri_options options = {.size = sizeof options, .memory_limit = (size_t)16 << 20, .threads = 1};
  PERI_CHECK(peri_context_new(&options, &context) == PERI_OK, "no context");
  unsigned char *bytes = calloc(1, 8 + N);
  if (bytes == NULL) abort();
  bytes[2] = N >> 16;
  memset(bytes + 8, '[', N);
  bytes[8] = '{';
  refuse_bytes(context, bytes, 8 + N, "nested");
  memset(bytes + 8, '{', N);
  refuse_bytes(context, bytes, 8 + N, "nested");
  memcpy(bytes + 8, "{\"a\":[", 6);
  for (size_t i = 14; i + 2 <= 8 + N; i += 2) memcpy(bytes + i, "1,", 2);
  peri_named_tensors list;
  peri_status status = peri_safetensors_parse(context, "test", bytes, 8 + N, &list);
  check_failed(context, status, PERI_ERR_MEMORY, "load: test: out of memory|header");
  PERI_CHECK(list.n == 0, "an output is left");
  free(bytes);
  close_context(context);
}

static void writing_checks_its_arguments(void) {
  peri_context *context = open_context();
  peri_tensor *x = make_tensor(context, PERI_UINT8, 1, (int64_t[]){1}), *two[] = {x, x};
  const char *same[] = {"a", "a"}, *reserved[] = {"__metadata__"}, *odd[] = {"a\xff"}, *fine[] = {"a", "b"};
  peri_status status = peri_safetensors_write(context, "never", 2, same, two, 0, NULL, NULL);
  check_failed(context, status, PERI_ERR_ARGUMENT, "save: the tensor name \"a\" is given twice");
  status = peri_safetensors_write(context, "never", 1, reserved, two, 0, NULL, NULL);
  check_failed(context, status, PERI_ERR_ARGUMENT, "save: |__metadata__");
  status = peri_safetensors_write(context, "never", 1, odd, two, 0, NULL, NULL);
  check_failed(context, status, PERI_ERR_ARGUMENT, "tensor name \"a?\" is not UTF-8");
  status = peri_safetensors_write(context, "never", 2, fine, two, 2, same, fine);
  check_failed(context, status, PERI_ERR_ARGUMENT, "metadata key \"a\" is given twice");
  status = peri_safetensors_write(context, "never", 2, fine, two, 1, odd, fine);
  check_failed(context, status, PERI_ERR_ARGUMENT, "metadata key \"a?\"");
  status = peri_safetensors_write(context, "never", 2, fine, two, 1, fine, odd);
  check_failed(context, status, PERI_ERR_ARGUMENT, "metadata value \"a?\"");
  PERI_CHECK(access("never", F_OK) != 0, "a file was written");
  peri_tensor_release(&x);
  close_context(context);
}

static void files_that_are_none(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  peri_named_tensors list;
  check_failed(context, peri_safetensors_read(context, in_folder(&home, "missing"), &list), PERI_ERR_IO,
               "load: |missing: |No such file");
  check_failed(context, peri_safetensors_read(context, home.path, &list), PERI_ERR_IO, "is a directory");
  PERI_CHECK(list.n == 0 && list.names == NULL, "an output is left");
  remove_folder(&home);
  close_context(context);
}

/* ---- memory ---- */

typedef struct save {
  const char *path;
  peri_tensor *tensors[2];
} save;

static peri_status write_and_read(peri_context *context, void *arg) {
  save *s = arg;
  const char *names[] = {"a", "b"}, *values[] = {"1", "2"};
  peri_named_tensors list;
  PERI_TRY(peri_safetensors_write(context, s->path, 2, names, s->tensors, 2, names, values));
  peri_status status = peri_safetensors_read(context, s->path, &list);
  if (status != PERI_OK) PERI_CHECK(list.n == 0 && list.names == NULL, "an output is left");
  peri_named_tensors_release(context, &list);
  return status;
}

static void work_without_memory(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  save s = {.path = in_folder(&home, "a")};
  peri_tensor *wide = make_tensor(context, PERI_FLOAT32, 2, (int64_t[]){3, 4});
  peri_layout layout = wide->layout;
  layout.shape[0] = 4, layout.shape[1] = 3, layout.strides[0] = 1, layout.strides[1] = 4;
  PERI_CHECK(peri_tensor_view(wide, &layout, &s.tensors[0]) == PERI_OK, "%s", peri_message(context));
  s.tensors[1] = make_tensor(context, PERI_BOOL, 1, (int64_t[]){5});
  check_allocation_failures(context, write_and_read, &s, 14);
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  peri_tensor_release(&wide);
  peri_tensor_release(&s.tensors[0]);
  peri_tensor_release(&s.tensors[1]);
  remove_folder(&home);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(every_dtype_and_shape), PERI_TEST(views_are_written_in_order), PERI_TEST(names_and_metadata),
               PERI_TEST(the_file_is_as_specified), PERI_TEST(narrow_types_are_widened), PERI_TEST(every_half),
               PERI_TEST(order_is_that_of_the_bytes), PERI_TEST(broken_headers), PERI_TEST(broken_elements),
               PERI_TEST(broken_lengths), PERI_TEST(every_truncation), PERI_TEST(hungry_headers),
               PERI_TEST(writing_checks_its_arguments), PERI_TEST(files_that_are_none), PERI_TEST(work_without_memory))
