/* CSV: cells by RFC 4180, columns and labels, and every broken record named; sets of words; generated sets without
 * memory. */
#include "data/formats/csv.h"
#include "data/sets/sets.h"
#include "data_support.h"

#include <locale.h>
#include <math.h>
#include <zlib.h>

#define DOUBLES .dtype = PERI_FLOAT64, .separator = ','
static const peri_csv_options plain = {DOUBLES};
static const peri_csv_options labelled = {DOUBLES, .labelled = true, .label = {.position = -1}};

static peri_status parse(peri_context *context, const char *text, const peri_csv_options *options, peri_csv *out) {
  return peri_csv_parse(context, "test", text, strlen(text), options, out);
}

static void refuse(peri_context *context, const char *text, const peri_csv_options *options, const char *words) {
  peri_csv csv;
  size_t before = peri_memory_in_use(context);
  check_failed(context, parse(context, text, options, &csv), PERI_ERR_IO, words);
  PERI_CHECK(csv.x == NULL && csv.y == NULL && csv.first == NULL, "something is left of '%s'", text);
  PERI_CHECK(peri_memory_in_use(context) == before, "memory is left");
}

/* That the text reads as these numbers, row by row. */
static void expect(peri_context *context, const char *text, const peri_csv_options *options, int64_t n, int64_t d,
                   const double *values) {
  peri_csv csv;
  PERI_CHECK(parse(context, text, options, &csv) == PERI_OK, "'%s': %s", text, peri_message(context));
  if (csv.x == NULL) return;
  PERI_CHECK(csv.x->layout.shape[0] == n && csv.x->layout.shape[1] == d && csv.d == d, "'%s' is %lld x %lld", text,
             (long long)csv.x->layout.shape[0], (long long)csv.x->layout.shape[1]);
  for (int64_t i = 0; i < n * d && csv.x->layout.numel == n * d; i++) {
    double got = ((double *)(void *)csv.x->data)[i];
    PERI_CHECK(got == values[i] || (isnan(got) && isnan(values[i])), "'%s': element %lld is %g", text, (long long)i,
               got);
  }
  peri_csv_release(&csv);
  peri_csv_release(&csv);
}

#define EXPECT(text, options, n, d, ...) expect(context, text, options, n, d, (const double[]){__VA_ARGS__})

static void records_are_read(void) {
  peri_context *context = open_context();
  const peri_csv_options headed = {DOUBLES, .header = PERI_CSV_HEADER_YES};
  EXPECT("1,2\n3,4\n", &plain, 2, 2, 1, 2, 3, 4);
  EXPECT("1,2\r\n3,4", &plain, 2, 2, 1, 2, 3, 4);
  EXPECT("\xef\xbb\xbf"
         "1,2\n3,4\r",
         &plain, 2, 2, 1, 2, 3, 4);
  EXPECT("\n\r\n1\n\n2\n\n", &plain, 2, 1, 1, 2);
  EXPECT("a,b\n1,2\n", &plain, 1, 2, 1, 2);
  EXPECT("a,b\n", &plain, 0, 2, 0);
  EXPECT("7,8\n1,2\n", &headed, 1, 2, 1, 2);
  EXPECT("\"1\",\" 2\"\n", &headed, 0, 2, 0);
  EXPECT(" 1 ,\t-2e3 \n\"3\" , \"+.5\"\n", &plain, 2, 2, 1, -2000, 3, 0.5);
  EXPECT("inf,-Infinity\n", &plain, 1, 2, INFINITY, -INFINITY);
  EXPECT("\"a\"\"\nb\",\"c,d\"\n1,2\n", &plain, 1, 2, 1, 2);
  const peri_csv_options tabs = {.dtype = PERI_FLOAT64, .separator = '\t'};
  EXPECT("1\t 2\n3\t4\n", &tabs, 2, 2, 1, 2, 3, 4);
  close_context(context);
}

static void missing_cells(void) {
  peri_context *context = open_context();
  const peri_csv_options missing = {DOUBLES, .missing = true};
  EXPECT("1,,NA\n,N/a,?\nnan,null,NONE\n-nan,\"\", \n", &missing, 4, 3, 1, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN,
         NAN, NAN);
  refuse(context, "1,2\n,3\n", &plain, "read_csv: test: line 2, column 1: the cell is empty");
  refuse(context, "1,2\n3,\n", &plain, "line 2, column 2: the cell is empty");
  refuse(context, "1,2\nNA,3\n", &plain, "line 2, column 1: 'NA' (expected a number; missing = 'nan' reads NaN)");
  refuse(context, "1,2\n3,-nan\n", &plain, "line 2, column 2: '-nan' (expected a number");
  refuse(context, "1,2\n3,x\n", &missing, "line 2, column 2: 'x' (expected a number)");
  close_context(context);
}

static void broken_records(void) {
  peri_context *context = open_context();
  const peri_csv_options single = {.dtype = PERI_FLOAT32, .separator = ','};
  char wide[1200];
  refuse(context, "", &plain, "line 1: the file has no record");
  refuse(context, "\n\n", &plain, "the file has no record");
  refuse(context, "1,2\n3\n", &plain, "read_csv: test: line 2: 1 cell (expected 2, as in the first record)");
  refuse(context, "1,2\n\n\n3,4,5\n", &plain, "line 4: 3 cells (expected 2");
  refuse(context, "1,2\n3,4,\n", &plain, "line 2: 3 cells");
  refuse(context, "1,2\n \n", &plain, "line 2, column 1: the cell is empty");
  refuse(context, "1\n1,5\n", &plain, "line 2: 2 cells");
  refuse(context, "1\n0x10\n", &plain, "line 2, column 1: '0x10' (expected a number)");
  refuse(context, "1\n1 2\n", &plain, "'1 2'");
  refuse(context, "1\n1e999\n", &plain, "line 2, column 1: '1e999' is beyond the largest float64");
  refuse(context, "1\n1e39\n", &single, "'1e39' is beyond the largest float32 (float64 holds it)");
  refuse(context, "1\n\"2\n3\n", &plain, "line 2, column 1: a quote is not closed");
  refuse(context, "1\n\"2\"3\n", &plain, "line 2, column 1: more text follows the closing quote");
  refuse(context, "1\n2\"\n", &plain, "line 2, column 1: a quote stands within a cell");
  refuse(context, "1\r2\r3", &plain, "line 1: a carriage return is not followed by a line feed");
  refuse(context, "1\n\xff\x01\n", &plain, "line 2, column 1: '\?\?' (expected a number)");
  peri_csv csv;
  check_failed(context, peri_csv_parse(context, "test", "1\n2\0003\n", 6, &plain, &csv), PERI_ERR_IO,
               "line 2, column 1: there is a zero byte");
  memset(wide, '1', sizeof wide);
  memcpy(wide, "1\n", 2);
  wide[sizeof wide - 1] = '\0';
  refuse(context, wide, &plain, "line 2, column 1: the cell has more than 1000 bytes");
  refuse(context, "\"a\n\n\nb\",2\n1,2\n3,x\n", &plain, "line 6, column 2: 'x'");
  close_context(context);
}

static void columns_are_chosen(void) {
  peri_context *context = open_context();
  const peri_csv_column names[] = {{"c", 0}, {"a", 0}}, places[] = {{NULL, -1}, {NULL, 1}}, wrong[] = {{NULL, 0}},
                        far[] = {{NULL, -4}}, twice[] = {{NULL, 1}, {NULL, -3}}, odd[] = {{"z", 0}};
  peri_csv_options options = {DOUBLES, .columns_n = 2, .columns = names};
  EXPECT("a,b,c\n1,x,3\n4,,6\n", &options, 2, 2, 3, 1, 6, 4);
  EXPECT("a,c\n", &options, 0, 2, 0);
  refuse(context, "a,b,c,a\n", &options, "line 1, column 4: an entry of columns is 'a', but column 1 has that name");
  options.columns = places;
  EXPECT("a,b,c\n1,x,3\n", &options, 1, 2, 3, 1);
  EXPECT("1,x,3\n4,y,6\n", &options, 2, 2, 3, 1, 6, 4);
  options.columns = twice;
  refuse(context, "1,2,3\n", &options, "line 1, column 1: the column is asked for twice");
  options.columns_n = 1;
  options.columns = wrong;
  refuse(context, "1,2,3\n", &options, "an entry of columns is 0, but there are 3 columns");
  options.columns = far;
  refuse(context, "1,2,3\n", &options, "an entry of columns is -4, but there are 3 columns");
  options.columns = odd;
  refuse(context, "a,b\n", &options, "line 1: an entry of columns is 'z', which is none of the 2 names");
  refuse(context, "1\n", &labelled, "there is no column but the label");
  options.header = PERI_CSV_HEADER_NO;
  peri_csv csv;
  check_failed(context, parse(context, "a\n", &options, &csv), PERI_ERR_ARGUMENT, "only with a header");
  options = (peri_csv_options){.dtype = PERI_INT64, .separator = ','};
  check_failed(context, parse(context, "1\n", &options, &csv), PERI_ERR_ARGUMENT, "dtype is int64");
  options = (peri_csv_options){.dtype = PERI_FLOAT32};
  check_failed(context, parse(context, "1\n", &options, &csv), PERI_ERR_ARGUMENT, "the separator is");
  close_context(context);
}

static void check_labels(peri_context *context, const char *text, peri_dtype dtype, int64_t n, const double *labels) {
  peri_csv csv;
  PERI_CHECK(parse(context, text, &labelled, &csv) == PERI_OK, "'%s': %s", text, peri_message(context));
  if (csv.y == NULL) return;
  PERI_CHECK(csv.y->layout.dtype == dtype && csv.y->layout.shape[0] == n, "'%s': %s", text,
             peri_dtype_name(csv.y->layout.dtype));
  for (int64_t i = 0; i < n && csv.y->layout.shape[0] == n; i++) {
    double got = peri_load_number(dtype, csv.y->data + 8 * i);
    PERI_CHECK(got == labels[i], "'%s': label %lld is %g", text, (long long)i, got);
  }
  peri_csv_release(&csv);
}

static void labels_are_read(void) {
  peri_context *context = open_context();
#define LABELS(text, dtype, n, ...) check_labels(context, text, dtype, n, (const double[]){__VA_ARGS__})
  LABELS("1,5\n2,-3\n3,5\n", PERI_INT64, 3, 5, -3, 5);
  LABELS("1,5.0\n2,1e3\n", PERI_INT64, 2, 5, 1000);
  LABELS("1,5\n2,0.5\n", PERI_FLOAT64, 2, 5, 0.5);
  LABELS("1,5\n2,x\n3,5\n4, a \n", PERI_INT64, 4, 1, 3, 1, 2);
  LABELS("a,b\n2,inf\n3,\"b,\"\"\n\"\n", PERI_INT64, 2, 2, 1);
  refuse(context, "1,x\n2,\n", &labelled, "line 2, column 2: the label is empty");
  char text[1100] = "1,";
  memset(text + 2, 'x', 1050);
  refuse(context, text, &labelled, "line 1, column 2: the cell has more than 1000 bytes");
  peri_csv csv;
  PERI_CHECK(parse(context, "1,9007199254740993\n", &labelled, &csv) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(((int64_t *)(void *)csv.y->data)[0] == 9007199254740993, "an int64 label is rounded");
  peri_csv_release(&csv);
  PERI_CHECK(parse(context, "n,kind\n1,z\n1,\xc3\xa4\n1,Z\n", &labelled, &csv) == PERI_OK, "%s", peri_message(context));
  static const char *const sorted[] = {"Z", "z", "\xc3\xa4"};
  PERI_CHECK(csv.classes.n == 3 && csv.header && csv.label == 2, "%lld classes", (long long)csv.classes.n);
  for (int64_t i = 0; i < csv.classes.n; i++) {
    const char *word = csv.classes.text + csv.classes.starts[i];
    PERI_CHECK(strcmp(word, sorted[csv.classes.ranks[i]]) == 0, "%s has rank %lld", word,
               (long long)csv.classes.ranks[i]);
  }
  PERI_CHECK(strcmp(peri_csv_first(&csv, 2), "kind") == 0, "%s", peri_csv_first(&csv, 2));
  peri_csv_release(&csv);
  close_context(context);
}

static void many_words(void) {
  peri_context *context = open_context();
  peri_words words = {.context = context};
  char text[32];
  PERI_CHECK(peri_words_find(&words, "x") == -1, "found in nothing");
  for (int turn = 0; turn < 2; turn++) {
    for (int i = 0; i < 30000; i++) {
      snprintf(text, sizeof text, "word %d", i * 7919 % 30000);
      PERI_CHECK(peri_words_add(&words, text) == PERI_OK, "%s", peri_message(context));
    }
  }
  PERI_CHECK(words.n == 30000, "%lld words", (long long)words.n);
  PERI_CHECK(peri_words_sort(&words) == PERI_OK, "%s", peri_message(context));
  for (int i = 0; i < 30000; i++) {
    snprintf(text, sizeof text, "word %d", i * 7919 % 30000);
    PERI_CHECK(peri_words_find(&words, text) == i, "%s", text);
  }
  PERI_CHECK(peri_words_find(&words, "word") == -1 && words.ranks[0] == 0, "what is not there");
  peri_words_release(&words);
  peri_words_release(&words);
  close_context(context);
}

/* In a locale with another decimal point, where the system has one, nothing changes. */
static void files_know_no_locale(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
  for (size_t i = 0; i < PERI_COUNT(names); i++) {
    if (setlocale(LC_ALL, names[i]) != NULL) break;
  }
  records_are_read();
  labels_are_read();
  setlocale(LC_ALL, "C");
}

/* What is longer than a window, cells across its borders, and a cut stream. */
static void large_files(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.csv.gz");
  gzFile file = gzopen(path, "wb");
  gzprintf(file, "a,text,label\r\n");
  for (int i = 0; i < 30000; i++) gzprintf(file, "%d.5,\"some \"\"text\"\", %d\",c%02d\r\n", i, i, i % 13);
  gzclose(file);
  peri_csv_options options = labelled;
  const peri_csv_column first = {NULL, 1};
  options.columns_n = 1;
  options.columns = &first;
  peri_csv csv;
  PERI_CHECK(peri_csv_read(context, path, &options, &csv) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(csv.x->layout.shape[0] == 30000 && csv.classes.n == 13, "%lld rows", (long long)csv.x->layout.shape[0]);
  for (int64_t i = 0; i < 30000; i++) {
    PERI_CHECK(((double *)(void *)csv.x->data)[i] == (double)i + 0.5, "value %lld", (long long)i);
    PERI_CHECK(((int64_t *)(void *)csv.y->data)[i] == i % 13 + 1, "label %lld", (long long)i);
  }
  peri_csv_release(&csv);
  void *bytes;
  size_t size;
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  for (size_t cut = 2; cut < size; cut += 9973) {
    check_failed(context, peri_csv_parse(context, "test", bytes, cut, &options, &csv), PERI_ERR_IO,
                 "read_csv: test: |gzip stream is cut");
  }
  peri_free(context, bytes, size);
  remove_folder(&home);
  close_context(context);
}

/* ---- writing ---- */

static void check_file(peri_context *context, const char *path, const char *expected) {
  void *bytes;
  size_t size;
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(size == strlen(expected) && memcmp(bytes, expected, size) == 0, "'%.*s'", (int)size, (char *)bytes);
  peri_free(context, bytes, size);
}

static void text_of_a_file(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a");
  peri_tensor *x = make_tensor(context, PERI_FLOAT64, 2, (int64_t[]){2, 2}), *y = NULL;
  const double values[] = {1, -0.5, 1e300, NAN};
  memcpy(x->data, values, sizeof values);
  PERI_CHECK(peri_tensor_new(context, PERI_INT64, 1, (int64_t[]){2}, &y) == PERI_OK, "%s", peri_message(context));
  ((int64_t *)(void *)y->data)[0] = 2;
  ((int64_t *)(void *)y->data)[1] = 1;
  peri_csv_writing options = {.separator = ','};
  PERI_CHECK(peri_csv_write(context, path, x, NULL, &options) == PERI_OK, "%s", peri_message(context));
  check_file(context, path, "1,-0.5\n1e+300,nan\n");
  options = (peri_csv_writing){.separator = ';',
                               .names = (const char *const[]){"a;b", " c", ""},
                               .classes_n = 2,
                               .classes = (const char *const[]){"say \"hi\"", "two\nlines"}};
  PERI_CHECK(peri_csv_write(context, path, x, y, &options) == PERI_OK, "%s", peri_message(context));
  check_file(context, path, "\"a;b\";\" c\";\"\"\n1;-0.5;\"two\nlines\"\n1e+300;nan;\"say \"\"hi\"\"\"\n");
  options.classes_n = 1;
  check_failed(context, peri_csv_write(context, path, x, y, &options), PERI_ERR_ARGUMENT,
               "entry 1 of y is 2, but classes has 1 entries");
  options.classes_n = 2;
  check_failed(context, peri_csv_write(context, path, x, x, &options), PERI_ERR_ARGUMENT, "y has shape 2x2");
  check_failed(context, peri_csv_write(context, path, y, NULL, &options), PERI_ERR_ARGUMENT, "X has shape 2");
  check_file(context, path, "\"a;b\";\" c\";\"\"\n1;-0.5;\"two\nlines\"\n1e+300;nan;\"say \"\"hi\"\"\"\n");
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  remove_folder(&home);
  close_context(context);
}

/* Names that are longer than the writer's buffer. */
static void long_names(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a");
  const size_t length = 200001;
  char *name = malloc(length + 1), *expected = malloc(2 * length + 10);
  if (name == NULL || expected == NULL) abort();
  size_t at = 0;
  expected[at++] = '"';
  for (size_t i = 0; i < length; i++) {
    name[i] = i % 3 == 0 ? '"' : (char)('a' + i % 26);
    if (name[i] == '"') expected[at++] = '"';
    expected[at++] = name[i];
  }
  name[length] = '\0';
  memcpy(expected + at, "\"\n", 3);
  peri_tensor *x = make_tensor(context, PERI_FLOAT32, 2, (int64_t[]){0, 1});
  const char *const names[] = {name};
  peri_csv_writing options = {.separator = ',', .names = names};
  PERI_CHECK(peri_csv_write(context, path, x, NULL, &options) == PERI_OK, "%s", peri_message(context));
  check_file(context, path, expected);
  free(name);
  free(expected);
  peri_tensor_release(&x);
  remove_folder(&home);
  close_context(context);
}

/* ---- without memory ---- */

static peri_status read_and_write(peri_context *context, void *path) {
  peri_csv csv;
  PERI_TRY(peri_csv_read(context, path, &labelled, &csv));
  peri_layout layout = csv.x->layout; /* not contiguous, so that a copy is needed */
  layout.shape[0] = 2, layout.shape[1] = 2, layout.strides[0] = 1, layout.strides[1] = 2;
  peri_tensor *view = NULL;
  peri_csv_writing options = {.separator = ',',
                              .names = (const char *const[]){"a", "b", "c"},
                              .classes_n = 2,
                              .classes = (const char *const[]){"x", "y"}};
  peri_status status = peri_tensor_view(csv.x, &layout, &view);
  if (status == PERI_OK) status = peri_csv_write(context, path, view, csv.y, &options);
  peri_tensor_release(&view);
  peri_csv_release(&csv);
  return status;
}

static void files_without_memory(void) { check_failures_with_file("a,b,c\n1,2,x\n3,4,y\n", 18, read_and_write, 12); }

static peri_status generate(peri_context *context, void *arg) {
  const peri_data_set *set = arg;
  double values[PERI_MAX_OPTIONS];
  peri_tensor *x, *y, *parameters;
  for (int i = 0; set->options[i].name != NULL; i++) values[i] = set->options[i].otherwise;
  PERI_TRY(peri_data_generate(context, set, 20, values, 3, PERI_FLOAT32, &x, &y, &parameters));
  PERI_CHECK(x->layout.shape[0] == 20 && y->layout.shape[0] == 20, "%s: shape", set->name);
  PERI_CHECK((parameters != NULL) == (set->shape != NULL), "%s: parameters", set->name);
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  peri_tensor_release(&parameters);
  return PERI_OK;
}

static void sets_without_memory(void) {
  peri_context *context = open_context();
  for (const peri_data_set *set = peri_data_sets; set->name != NULL; set++) {
    peri_data_set copy = *set;
    check_allocation_failures(context, generate, &copy, set->make != NULL ? 2 : 3);
    for (const peri_data_set *other = peri_data_sets; other != set; other++)
      PERI_CHECK(other->block != set->block, "%s shares the stream of %s", set->name, other->name);
  }
  close_context(context);
}

static void reading_can_be_stopped(void) {
  peri_context *context = open_context();
  peri_csv csv;
  peri_cancel(context);
  check_failed(context, parse(context, "1,2\n", &plain, &csv), PERI_ERR_CANCELLED, "interrupted");
  peri_clear_cancel(context);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(records_are_read), PERI_TEST(missing_cells), PERI_TEST(broken_records),
               PERI_TEST(columns_are_chosen), PERI_TEST(labels_are_read), PERI_TEST(many_words),
               PERI_TEST(files_know_no_locale), PERI_TEST(large_files), PERI_TEST(text_of_a_file),
               PERI_TEST(long_names), PERI_TEST(files_without_memory), PERI_TEST(sets_without_memory),
               PERI_TEST(reading_can_be_stopped))
