/* svmlight and the numbers in it: what is written is read back to the bit, and every broken line is named. */
#include "data/number.h"
#include "data_support.h"

#include <locale.h>
#include <math.h>
#include <zlib.h>

/* ---- numbers ---- */

static bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

static void numbers_are_read(void) {
  static const struct {
    const char *text;
    double value;
  } cases[] = {{"0", 0},
               {"-0", -0.0},
               {"+7", 7},
               {"1.5", 1.5},
               {".5", 0.5},
               {"5.", 5},
               {"1e3", 1000},
               {"1E-3", 1e-3},
               {"1e+22", 1e22},
               {"1e23", 1e23},
               {"9007199254740993", 9007199254740992.0},
               {"0.1000000000000000055511151231257827", 0.1},
               {"123456789012345678901234567890", 123456789012345678901234567890.0},
               {"0.000000000000000000000000000000000000000000000000001", 1e-51},
               {"1.7976931348623157e308", 1.7976931348623157e308},
               {"4.9406564584124654e-324", 4.9406564584124654e-324},
               {"2.2250738585072011e-308", 2.2250738585072011e-308},
               {"1e-400", 0},
               {"-1e-99999999999999999999", -0.0},
               {"0e99999999999999999999", 0},
               {"inf", INFINITY},
               {"-Infinity", -INFINITY}};
  for (size_t i = 0; i < PERI_COUNT(cases); i++) {
    double value = 77;
    PERI_CHECK(peri_parse_number(cases[i].text, &value) == PERI_NUMBER, "%s", cases[i].text);
    PERI_CHECK(same_bits(value, cases[i].value), "%s is %.17g", cases[i].text, value);
  }
  static const char *const none[] = {"",      "-",  "+",        ".",     "e5",   "1e",  "1e+",
                                     "1.2.3", " 1", "1 ",       "0x10",  "1_0",  "1,5", "--1",
                                     "nan()", "1f", "infinite", "1e5.0", "1e 5", "++1", "-+1"};
  for (size_t i = 0; i < PERI_COUNT(none); i++) {
    double value;
    PERI_CHECK(peri_parse_number(none[i], &value) == PERI_NUMBER_NONE, "'%s' passes as a number", none[i]);
  }
  static const char *const large[] = {"1e309", "-1e400", "1.7976931348623159e308", "1e99999999999999999999"};
  for (size_t i = 0; i < PERI_COUNT(large); i++) {
    double value;
    PERI_CHECK(peri_parse_number(large[i], &value) == PERI_NUMBER_LARGE, "%s", large[i]);
  }
  double nan = 0;
  PERI_CHECK(peri_parse_number("NaN", &nan) == PERI_NUMBER && isnan(nan) && !signbit(nan), "%g", nan);
  PERI_CHECK(peri_parse_number("-nan", &nan) == PERI_NUMBER && isnan(nan) && signbit(nan), "%g", nan);
}

static void integers_are_read(void) {
  int64_t value = 7;
  PERI_CHECK(peri_parse_integer("9223372036854775807", &value) && value == INT64_MAX, "%lld", (long long)value);
  PERI_CHECK(peri_parse_integer("-9223372036854775808", &value) && value == INT64_MIN, "%lld", (long long)value);
  PERI_CHECK(peri_parse_integer("+012", &value) && value == 12, "%lld", (long long)value);
  static const char *const none[] = {"", "-", "9223372036854775808", "-9223372036854775809", "1.0", "1 ", " 1", "1e2"};
  for (size_t i = 0; i < PERI_COUNT(none); i++) {
    PERI_CHECK(!peri_parse_integer(none[i], &value), "'%s' passes as an integer", none[i]);
  }
}

static void check_text(double value, bool single, const char *expected) {
  char text[PERI_NUMBER_TEXT];
  size_t length = peri_number_text(value, single, text);
  PERI_CHECK(strcmp(text, expected) == 0 && length == strlen(expected), "%s, expected %s", text, expected);
}

static void numbers_are_written(void) {
  check_text(0, false, "0");
  check_text(-0.0, true, "-0");
  check_text(0.1, false, "0.1");
  check_text((double)0.1f, true, "0.1");
  check_text((double)0.1f, false, "0.10000000149011612");
  check_text(-120, false, "-120");
  check_text(1.0 / 3, false, "0.3333333333333333");
  check_text(0.00012, false, "0.00012");
  check_text(0.000012, false, "1.2e-05");
  check_text(9007199254740993.0, false, "9007199254740992");
  check_text(1e17, false, "1e+17");
  check_text(-1.7976931348623157e308, false, "-1.7976931348623157e+308");
  check_text(4.9406564584124654e-324, false, "4.94065645841247e-324");
  check_text(INFINITY, false, "inf");
  check_text(-(double)NAN, true, "-nan");
}

static void random_numbers_come_back(void) {
  peri_stream stream = {.seed = 3};
  char text[PERI_NUMBER_TEXT];
  for (int i = 0; i < 100000; i++) {
    uint64_t bits = peri_stream_u64(&stream);
    uint32_t half = (uint32_t)(bits >> 32);
    double wide, read = 0;
    float narrow;
    memcpy(&wide, &bits, sizeof wide);
    memcpy(&narrow, &half, sizeof narrow);
    if (isfinite(wide)) {
      peri_number_text(wide, false, text);
      PERI_CHECK(peri_parse_number(text, &read) == PERI_NUMBER && same_bits(read, wide), "%s for %.17g", text, wide);
    }
    if (isfinite(narrow)) {
      peri_number_text((double)narrow, true, text);
      bool back = peri_parse_number(text, &read) == PERI_NUMBER;
      PERI_CHECK(back && (float)read == narrow, "%s for %.9g", text, (double)narrow);
    }
  }
}

/* In a locale with another decimal point, where the system has one, nothing changes. */
static void numbers_know_no_locale(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
  for (size_t i = 0; i < PERI_COUNT(names); i++) {
    if (setlocale(LC_NUMERIC, names[i]) != NULL) break;
  }
  numbers_are_read();
  numbers_are_written();
  setlocale(LC_NUMERIC, "C");
}

/* ---- files ---- */

typedef struct triple {
  peri_tensor *x, *y, *qid;
} triple;

static void release(triple *t) {
  peri_tensor_release(&t->x);
  peri_tensor_release(&t->y);
  peri_tensor_release(&t->qid);
}

static const peri_svmlight_options plain = {.dtype = PERI_FLOAT64};

static triple parse(peri_context *context, const char *text, const peri_svmlight_options *options) {
  triple t;
  peri_status status = peri_svmlight_parse(context, "test", text, strlen(text), options, &t.x, &t.y, &t.qid);
  PERI_CHECK(status == PERI_OK && t.x != NULL && t.y != NULL, "%s", peri_message(context));
  if (t.x == NULL) exit(1);
  return t;
}

static void refuse_bytes(peri_context *context, const char *text, size_t size, const peri_svmlight_options *options,
                         const char *words) {
  triple t;
  size_t before = peri_memory_in_use(context);
  peri_status status = peri_svmlight_parse(context, "test", text, size, options, &t.x, &t.y, &t.qid);
  check_failed(context, status, PERI_ERR_IO, words);
  check_failed(context, status, PERI_ERR_IO, "read_svmlight: test: line ");
  PERI_CHECK(t.x == NULL && t.y == NULL && t.qid == NULL, "an output is left");
  PERI_CHECK(peri_memory_in_use(context) == before, "%zu bytes leak", peri_memory_in_use(context) - before);
}

static void refuse(peri_context *context, const char *text, const char *words) {
  refuse_bytes(context, text, strlen(text), &plain, words);
}

static void check_doubles(const peri_tensor *x, int64_t rows, int64_t columns, const double *expected) {
  const double *data = (const double *)(const void *)x->data;
  PERI_CHECK(x->layout.dtype == PERI_FLOAT64, "%s", peri_dtype_name(x->layout.dtype));
  PERI_CHECK(x->layout.shape[0] == rows && (x->layout.ndim == 1 || x->layout.shape[1] == columns), "%lldx%lld",
             (long long)x->layout.shape[0], (long long)x->layout.shape[1]);
  for (int64_t i = 0; i < x->layout.numel; i++) {
    PERI_CHECK(same_bits(data[i], expected[i]), "element %lld is %g", (long long)i, data[i]);
  }
}

static void check_integers(const peri_tensor *x, int64_t n, const int64_t *expected) {
  const int64_t *data = (const int64_t *)(const void *)x->data;
  PERI_CHECK(x->layout.dtype == PERI_INT64 && x->layout.ndim == 1 && x->layout.numel == n, "%s, %lld elements",
             peri_dtype_name(x->layout.dtype), (long long)x->layout.numel);
  for (int64_t i = 0; i < n; i++)
    PERI_CHECK(data[i] == expected[i], "entry %lld is %lld", (long long)i, (long long)data[i]);
}

static void lines_are_read(void) {
  peri_context *context = open_context();
  triple t =
      parse(context, "# a comment\r\n\n  +1 qid:-7\t1:0.5  3:-2 # 9:9\r\n-1 qid:8\n \t \n3.0 qid:8 2:1e2#x", &plain);
  check_doubles(t.x, 3, 3, (double[]){0.5, 0, -2, 0, 0, 0, 0, 100, 0});
  check_integers(t.y, 3, (int64_t[]){1, -1, 3});
  check_integers(t.qid, 3, (int64_t[]){-7, 8, 8});
  release(&t);
  t = parse(context, "1 2:3\n0.5\n", &(peri_svmlight_options){.dtype = PERI_FLOAT64, .features = 4});
  check_doubles(t.x, 2, 4, (double[]){0, 3, 0, 0, 0, 0, 0, 0});
  check_doubles(t.y, 2, 0, (double[]){1, 0.5});
  PERI_CHECK(t.qid == NULL, "a qid out of nothing");
  release(&t);
  t = parse(context, "9223372036854775807 0:1 2:2",
            &(peri_svmlight_options){.dtype = PERI_FLOAT64, .zero_based = true});
  check_doubles(t.x, 1, 3, (double[]){1, 0, 2});
  check_integers(t.y, 1, (int64_t[]){INT64_MAX});
  release(&t);
  t = parse(context, "1 1:nan 2:-inf 3:-0 4:1e-400", &plain);
  check_doubles(t.x, 1, 4, (double[]){NAN, -INFINITY, -0.0, 0});
  release(&t);
  t = parse(context, "1 1:0.1", &(peri_svmlight_options){.dtype = PERI_FLOAT32});
  PERI_CHECK(t.x->layout.dtype == PERI_FLOAT32 && *(float *)(void *)t.x->data == 0.1f, "0.1 as float32");
  release(&t);
  close_context(context);
}

static void files_of_nothing(void) {
  peri_context *context = open_context();
  static const char *const texts[] = {"", "\n", "\r\n\r\n", "# nothing", "  "};
  for (size_t i = 0; i < PERI_COUNT(texts); i++) {
    triple t = parse(context, texts[i], &(peri_svmlight_options){.dtype = PERI_FLOAT64, .features = (int64_t)i});
    PERI_CHECK(t.x->layout.ndim == 2 && t.x->layout.shape[0] == 0 && t.x->layout.shape[1] == (int64_t)i, "a sample");
    check_integers(t.y, 0, NULL);
    release(&t);
  }
  triple t = parse(context, "1\n2", &plain);
  PERI_CHECK(t.x->layout.shape[0] == 2 && t.x->layout.shape[1] == 0, "features out of nothing");
  check_integers(t.y, 2, (int64_t[]){1, 2});
  release(&t);
  close_context(context);
}

static void broken_lines(void) {
  peri_context *context = open_context();
  char word[1100] = "1 1:";
  memset(word + 4, '1', 1001);
  refuse(context, "1 1:1\n\nx 1:1", "line 3|label is 'x'");
  refuse(context, "1,2 1:1", "line 1|'1,2'|several labels");
  refuse(context, "1:1 2:1", "'1:1' stands for the label");
  refuse(context, "qid:1 1:1", "'qid:1' stands for the label");
  refuse(context, "nan 1:1", "the label is nan");
  refuse(context, "1e400 1:1", "the label 1e400 is beyond");
  refuse(context, "1 1:1\n2 0:1", "line 2: index 0 (expected indices from 1; |zero_based");
  refuse(context, "1 -3:1", "index -3");
  refuse(context, "1 2:1 2:1", "index 2 comes after 2");
  refuse(context, "1 3:1 2:1", "index 2 comes after 3");
  refuse(context, "1 2", "'2' (expected index:value)");
  refuse(context, "1 :2", "':2' (expected index:value)");
  refuse(context, "1 1.5:2", "'1.5:2'");
  refuse(context, "1 9223372036854775808:2", "'9223372036854775808:2'");
  refuse(context, "1 9223372036854775807:2", "'9223372036854775807:2'");
  refuse(context, "1 9223372036854775806:2", "memory limit");
  refuse(context, "1 1:", "the value is ''");
  refuse(context, "1 1:2:3", "the value is '2:3'");
  refuse(context, "1 1:2x", "the value is '2x'");
  refuse(context, "1 1:1e309", "the value 1e309 is beyond the largest float64");
  refuse(context, "1 qid:1 1:1\n2 1:1", "line 2: there is no qid, but line 1 has one");
  refuse(context, "1 1:1\n\n2\n3 qid:1 1:1", "line 4: there is a qid, but line 1 has none");
  refuse(context, "1 qid:x 1:1", "'qid:x'");
  refuse(context, "1 qid: 1:1", "'qid:'");
  refuse(context, "1 1:1 qid:1", "right after the label");
  refuse(context, "1 qid:1 qid:1", "right after the label");
  refuse(context, word, "a word has more than 1000 bytes");
  refuse(context,
         "1 1:1\n\xef\xbb\xbf"
         "1 1:1",
         "the label is '\xef\xbb\xbf"
         "1'");
  refuse_bytes(context, "1 1:1\n1\0 1:1", 13, &plain, "line 2: there is a zero byte");
  refuse_bytes(context, "1 1:1e39", 8, &(peri_svmlight_options){.dtype = PERI_FLOAT32}, "beyond the largest float32");
  refuse_bytes(context, "1 5:1", 5, &(peri_svmlight_options){.dtype = PERI_FLOAT32, .features = 4},
               "index 5 is beyond the 4 features");
  refuse_bytes(context, "1 4:1", 5, &(peri_svmlight_options){.dtype = PERI_FLOAT32, .features = 4, .zero_based = true},
               "index 4 is beyond the 4 features");
  close_context(context);
}

/* The limit of the tests' context is 256 MB. */
static void huge_tensors(void) {
  peri_context *context = open_context();
  refuse(context, "1 1:1\n1 2147483647:1\n1 3:1", "line 2: X would be 3 x 2147483647 float64|memory limit");
  refuse_bytes(context, "1\n2\n", 4, &(peri_svmlight_options){.dtype = PERI_FLOAT32, .features = INT64_MAX},
               "X would be");
  size_t peak = peri_memory_peak(context);
  PERI_CHECK(peak < (size_t)1 << 20, "%zu bytes were allocated", peak);
  void *block;
  triple t;
  PERI_CHECK(peri_alloc(context, (size_t)200 << 20, &block) == PERI_OK, "%s", peri_message(context));
  check_failed(context, peri_svmlight_parse(context, "test", "1 10000000:1", 12, &plain, &t.x, &t.y, &t.qid),
               PERI_ERR_MEMORY, "line 1|in use");
  peri_free(context, block, (size_t)200 << 20);
  close_context(context);

  peri_options large = {.size = sizeof large, .memory_limit = (size_t)1 << 46, .threads = 1};
  PERI_CHECK(peri_context_new(&large, &context) == PERI_OK, "no context");
  refuse(context, "1 2147483647:1", "line 1: index 2147483647 makes X 1 x 2147483647|ask for features = 2147483647");
  close_context(context);
}

static void unusual_options(void) {
  peri_context *context = open_context();
  triple t;
  check_failed(
      context,
      peri_svmlight_parse(context, "test", "1", 1, &(peri_svmlight_options){.dtype = PERI_INT64}, &t.x, &t.y, &t.qid),
      PERI_ERR_ARGUMENT, "dtype is int64");
  check_failed(context,
               peri_svmlight_parse(context, "test", "1", 1,
                                   &(peri_svmlight_options){.dtype = PERI_FLOAT32, .features = -1}, &t.x, &t.y, &t.qid),
               PERI_ERR_ARGUMENT, "features is -1");
  check_failed(context, peri_svmlight_read(context, "/nowhere/there", &plain, &t.x, &t.y, &t.qid), PERI_ERR_IO,
               "read_svmlight: /nowhere/there|No such file");
  close_context(context);
}

/* ---- writing ---- */

static peri_tensor *new_tensor(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape) {
  peri_tensor *x = NULL;
  if (peri_tensor_new(context, dtype, ndim, shape, &x) != PERI_OK) abort();
  return x;
}

/* n x d random bits, a third of them zero. */
static peri_tensor *random_features(peri_context *context, peri_dtype dtype, int64_t n, int64_t d) {
  peri_tensor *x = new_tensor(context, dtype, 2, (int64_t[]){n, d});
  peri_stream stream = {.seed = (uint64_t)(n * d)};
  for (int64_t i = 0; i < n * d; i++) {
    uint64_t bits = peri_stream_u64(&stream);
    double value;
    float narrow;
    memcpy(&value, &bits, sizeof value);
    memcpy(&narrow, &bits, sizeof narrow);
    if (dtype == PERI_FLOAT32) value = (double)narrow;
    if (isnan(value)) value = signbit(value) ? -INFINITY : -0.0;
    if (bits % 3 == 0) value = 0;
    peri_store_number(dtype, x->data + i * (int64_t)peri_dtype_size(dtype), value);
  }
  return x;
}

static void written_is_read(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.svm");
  static const int64_t shapes[][2] = {{1, 1}, {7, 5}, {300, 41}, {2, 40000}, {5, 0}};
  for (size_t i = 0; i < 4 * PERI_COUNT(shapes); i++) {
    int64_t n = shapes[i / 4][0], d = shapes[i / 4][1];
    peri_dtype dtype = i % 2 != 0 ? PERI_FLOAT32 : PERI_FLOAT64;
    bool zero_based = i % 4 > 1;
    peri_tensor *x = random_features(context, dtype, n, d), *y = new_tensor(context, PERI_INT64, 1, &n);
    for (int64_t r = 0; r < n; r++) {
      ((int64_t *)(void *)y->data)[r] = r % 2 != 0 ? INT64_MIN + r : r;
      if (i % 3 == 0 && d > 0)
        memset(x->data + ((r + 1) * d - 1) * (int64_t)peri_dtype_size(dtype), 0, peri_dtype_size(dtype));
    }
    peri_status status = peri_svmlight_write(context, path, x, y, i % 3 == 1 ? y : NULL, zero_based);
    PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
    triple t = {NULL};
    peri_svmlight_options options = {.dtype = dtype, .zero_based = zero_based};
    status = peri_svmlight_read(context, path, &options, &t.x, &t.y, &t.qid);
    PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
    if (status == PERI_OK) {
      check_equal(t.x, x);
      check_equal(t.y, y);
      PERI_CHECK((t.qid != NULL) == (i % 3 == 1), "qid");
      if (t.qid != NULL) check_equal(t.qid, y);
    }
    release(&t);
    peri_tensor_release(&x);
    peri_tensor_release(&y);
  }
  remove_folder(&home);
  close_context(context);
}

static void text_of_a_file(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.svm");
  peri_tensor *x = new_tensor(context, PERI_FLOAT32, 2, (int64_t[]){2, 3}), *t, *y;
  float values[] = {0.1f, 0, 0, -0.0f, 1e-7f, 0};
  memcpy(x->data, values, sizeof values);
  y = new_tensor(context, PERI_FLOAT32, 1, (int64_t[]){2});
  ((float *)(void *)y->data)[1] = 2.5f;
  void *bytes;
  size_t size;
  PERI_CHECK(peri_svmlight_write(context, path, x, y, NULL, false) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  static const char expected[] = "0 1:0.1 3:0\n2.5 1:-0 2:1e-07\n";
  PERI_CHECK(size == strlen(expected) && memcmp(bytes, expected, size) == 0, "%.*s", (int)size, (char *)bytes);
  peri_free(context, bytes, size);

  peri_layout layout = x->layout; /* a transposed view is written as it reads */
  layout.shape[0] = 3, layout.shape[1] = 2, layout.strides[0] = 1, layout.strides[1] = 3;
  PERI_CHECK(peri_tensor_view(x, &layout, &t) == PERI_OK, "%s", peri_message(context));
  peri_tensor *labels = new_tensor(context, PERI_UINT8, 1, (int64_t[]){3});
  PERI_CHECK(peri_svmlight_write(context, path, t, labels, NULL, true) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  static const char turned[] = "0 0:0.1 1:-0\n0 1:1e-07\n0\n";
  PERI_CHECK(size == strlen(turned) && memcmp(bytes, turned, size) == 0, "%.*s", (int)size, (char *)bytes);
  peri_free(context, bytes, size);
  peri_tensor_release(&labels);
  peri_tensor_release(&t);
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  remove_folder(&home);
  close_context(context);
}

static void writing_checks_its_tensors(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.svm");
  peri_tensor *x = new_tensor(context, PERI_FLOAT64, 2, (int64_t[]){2, 3}),
              *y = new_tensor(context, PERI_FLOAT64, 1, (int64_t[]){2}),
              *flags = new_tensor(context, PERI_BOOL, 1, (int64_t[]){2}),
              *three = new_tensor(context, PERI_INT64, 1, (int64_t[]){3});
  check_failed(context, peri_svmlight_write(context, path, y, y, NULL, false), PERI_ERR_ARGUMENT, "X has shape 2");
  check_failed(context, peri_svmlight_write(context, path, three, y, NULL, false), PERI_ERR_ARGUMENT, "X is int64");
  check_failed(context, peri_svmlight_write(context, path, x, x, NULL, false), PERI_ERR_ARGUMENT, "y has shape 2x3");
  check_failed(context, peri_svmlight_write(context, path, x, three, NULL, false), PERI_ERR_ARGUMENT,
               "X has 2 rows but y has 3");
  check_failed(context, peri_svmlight_write(context, path, x, flags, NULL, false), PERI_ERR_ARGUMENT, "y is bool");
  check_failed(context, peri_svmlight_write(context, path, x, y, y, false), PERI_ERR_ARGUMENT, "qid is float64");
  check_failed(context, peri_svmlight_write(context, path, x, y, three, false), PERI_ERR_ARGUMENT, "qid has 3");
  ((double *)(void *)y->data)[1] = NAN;
  check_failed(context, peri_svmlight_write(context, path, x, y, NULL, false), PERI_ERR_ARGUMENT,
               "entry 2 of y is nan");
  PERI_CHECK(files_in(&home) == 0, "a file was made");
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  peri_tensor_release(&flags);
  peri_tensor_release(&three);
  remove_folder(&home);
  close_context(context);
}

/* ---- gzip, memory, cancellation ---- */

static void compressed_files(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.svm.gz");
  gzFile file = gzopen(path, "wb");
  for (int i = 1; i <= 20000; i++) gzprintf(file, "%d %d:%d\n", i, i % 50 + 1, i);
  gzclose(file);
  triple t;
  PERI_CHECK(peri_svmlight_read(context, path, &plain, &t.x, &t.y, &t.qid) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(t.x->layout.shape[0] == 20000 && t.x->layout.shape[1] == 50, "shape");
  for (int64_t i = 1; i <= 20000; i++) {
    PERI_CHECK(((int64_t *)(void *)t.y->data)[i - 1] == i, "label %lld", (long long)i);
    PERI_CHECK(((double *)(void *)t.x->data)[(i - 1) * 50 + i % 50] == (double)i, "value %lld", (long long)i);
  }
  release(&t);
  void *bytes;
  size_t size;
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  for (size_t cut = 2; cut < size; cut += 997) {
    check_failed(context, peri_svmlight_parse(context, "test", bytes, cut, &plain, &t.x, &t.y, &t.qid), PERI_ERR_IO,
                 "read_svmlight: test: |gzip stream is cut");
  }
  peri_free(context, bytes, size);
  remove_folder(&home);
  close_context(context);
}

static peri_status read_and_write(peri_context *context, void *path) {
  triple t;
  PERI_TRY(peri_svmlight_read(context, path, &plain, &t.x, &t.y, &t.qid));
  peri_layout layout = t.x->layout; /* not contiguous, so that a copy is needed */
  layout.shape[0] = 2, layout.shape[1] = 2, layout.strides[0] = 1, layout.strides[1] = 2;
  peri_tensor *view = NULL;
  peri_status status = peri_tensor_view(t.x, &layout, &view);
  if (status == PERI_OK) status = peri_svmlight_write(context, path, view, t.y, t.qid, false);
  peri_tensor_release(&view);
  release(&t);
  return status;
}

static void files_without_memory(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  char path[512];
  snprintf(path, sizeof path, "%s", in_folder(&home, "a"));
  put_file(path, "1 qid:1 1:1 2:2\n2 qid:1 2:3\n", 28);
  check_allocation_failures(context, read_and_write, path, 6);
  gzFile file = gzopen(path, "wb");
  gzprintf(file, "1 qid:1 1:1 2:2\n2 qid:1 2:3\n");
  gzclose(file);
  check_allocation_failures(context, read_and_write, path, 9);
  remove_folder(&home);
  close_context(context);
}

static void reading_can_be_stopped(void) {
  peri_context *context = open_context();
  triple t;
  peri_cancel(context);
  check_failed(context, peri_svmlight_parse(context, "test", "1 1:1", 5, &plain, &t.x, &t.y, &t.qid),
               PERI_ERR_CANCELLED, "interrupted");
  peri_clear_cancel(context);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(numbers_are_read), PERI_TEST(integers_are_read), PERI_TEST(numbers_are_written),
               PERI_TEST(random_numbers_come_back), PERI_TEST(numbers_know_no_locale), PERI_TEST(lines_are_read),
               PERI_TEST(files_of_nothing), PERI_TEST(broken_lines), PERI_TEST(huge_tensors),
               PERI_TEST(unusual_options), PERI_TEST(written_is_read), PERI_TEST(text_of_a_file),
               PERI_TEST(writing_checks_its_tensors), PERI_TEST(compressed_files), PERI_TEST(files_without_memory),
               PERI_TEST(reading_can_be_stopped))
