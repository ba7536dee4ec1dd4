/* NPY and NPZ: what is written is read back, files that are not sound are refused, and a fault in an archive never
 * changes what is read. What NumPy wrote is read by numpy_spec.lua. */
#include "data_support.h"

#include "data/formats/bytes.h"
#include "data/formats/npy.h"
#include "data/formats/zip.h"

#include <zlib.h>

/* ---- making files ---- */

typedef struct buffer {
  unsigned char bytes[1 << 16];
  size_t size;
} buffer;

static void put(buffer *b, const void *bytes, size_t n) {
  if (b->size + n > sizeof b->bytes) abort();
  memcpy(b->bytes + b->size, bytes, n);
  b->size += n;
}
static void put16(buffer *b, unsigned value) {
  unsigned char bytes[2];
  peri_store_le16(bytes, (uint16_t)value);
  put(b, bytes, sizeof bytes);
}
static void put32(buffer *b, uint32_t value) {
  unsigned char bytes[4];
  peri_store_le32(bytes, value);
  put(b, bytes, sizeof bytes);
}

/* An NPY file of that header and so many bytes of elements. */
static buffer *npy_bytes(const char *header, size_t elements) {
  static buffer b;
  b.size = 0;
  put(&b, "\x93NUMPY\x01\x00", 8);
  put16(&b, (unsigned)strlen(header));
  put(&b, header, strlen(header));
  for (size_t i = 0; i < elements; i++) put(&b, &(unsigned char){(unsigned char)(i % 2)}, 1);
  return &b;
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
static peri_status parse_npy(peri_context *context, const buffer *b, peri_tensor **x) {
  unsigned char *copy = malloc(b->size + 1);
  if (copy == NULL) abort();
  memcpy(copy, b->bytes, b->size);
  peri_status status = peri_npy_parse(context, "test.npy", copy, b->size, x);
  free(copy);
  return status;
}
static peri_status parse_npz(peri_context *context, const buffer *b, peri_named_tensors *list) {
  unsigned char *copy = malloc(b->size + 1);
  if (copy == NULL) abort();
  memcpy(copy, b->bytes, b->size);
  peri_status status = peri_npz_parse(context, "test.npz", copy, b->size, list);
  free(copy);
  return status;
}

static void refuse_npy(peri_context *context, const buffer *b, const char *words) {
  peri_tensor *x;
  peri_status status = parse_npy(context, b, &x);
  check_failed(context, status, PERI_ERR_IO, words);
  PERI_CHECK(x == NULL && peri_memory_in_use(context) == 0, "something is left");
  if (status != PERI_OK) check_failed(context, status, PERI_ERR_IO, "read_npy: test.npy: offset ");
}

static void refuse_npz(peri_context *context, const buffer *b, const char *words) {
  peri_named_tensors list;
  peri_status status = parse_npz(context, b, &list);
  check_failed(context, status, PERI_ERR_IO, words);
  PERI_CHECK(list.n == 0 && peri_memory_in_use(context) == 0, "something is left");
  if (status != PERI_OK) check_failed(context, status, PERI_ERR_IO, "read_npz: test.npz: ");
  peri_named_tensors_release(context, &list);
}

/* ---- NPY ---- */

static void npy_written_is_read(void) {
  static const struct {
    int ndim;
    int64_t shape[8];
  } shapes[] = {
      {0, {0}}, {1, {7}}, {1, {0}}, {2, {5, 3}}, {3, {5, 0, 2}}, {4, {1, 2, 3, 4}}, {8, {2, 1, 2, 1, 3, 1, 2, 1}}};
  static const peri_dtype dtypes[] = {PERI_FLOAT32, PERI_FLOAT64, PERI_INT64, PERI_UINT8, PERI_BOOL};
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.npy");
  for (size_t i = 0; i < PERI_COUNT(shapes) * PERI_COUNT(dtypes); i++) {
    peri_tensor *x = make_tensor(context, dtypes[i % PERI_COUNT(dtypes)], shapes[i / PERI_COUNT(dtypes)].ndim,
                                 shapes[i / PERI_COUNT(dtypes)].shape),
                *y;
    PERI_CHECK(peri_npy_write(context, path, x) == PERI_OK, "%s", peri_message(context));
    PERI_CHECK(peri_npy_read(context, "read_npy", path, &y) == PERI_OK, "%s", peri_message(context));
    if (y != NULL) check_equal(y, x);
    peri_tensor_release(&x);
    peri_tensor_release(&y);
  }
  remove_folder(&home);
  close_context(context);
}

/* The elements begin at a multiple of 64, as NumPy maps them, however long the shape is. */
static void npy_headers_are_aligned(void) {
  peri_layout layout = {.dtype = PERI_FLOAT32};
  unsigned char header[PERI_NPY_HEADER];
  for (layout.ndim = 0; layout.ndim <= PERI_MAX_DIMS; layout.ndim++) {
    for (int d = 0; d < layout.ndim; d++) layout.shape[d] = INT64_MAX;
    size_t n = peri_npy_header_write(&layout, header);
    PERI_CHECK(n % 64 == 0 && n <= sizeof header && header[n - 1] == '\n', "%zu bytes", n);
    PERI_CHECK(peri_load_le16(header + 8) == n - 10, "says %u of %zu", peri_load_le16(header + 8), n - 10);
  }
}

#define NPY(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }\n"

static void npy_headers_of_any_form(void) {
  static const struct {
    const char *header;
    int ndim;
  } sound[] = {
      {NPY("'|u1'", "False", "(2, 3)"), 2},
      {NPY("'<u1'", "True", "(2, 3,)"), 2},
      {NPY("'>u1'", "False", "(6,)"), 1},
      {NPY("'|u1'", "False", "(6L,)"), 1},
      {NPY("\"|u1\"", "False", "( 1 , 6 )"), 2},
      {"{'shape':(6,),'descr':'|u1','fortran_order':True}", 1},
      {"  {  'shape'  :  (6,)  ,\n'descr' : '|u1' , 'fortran_order' :\tFalse }  \n", 1},
  };
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(sound); i++) {
    peri_tensor *x;
    PERI_CHECK(parse_npy(context, npy_bytes(sound[i].header, 6), &x) == PERI_OK, "%s", peri_message(context));
    if (x != NULL) PERI_CHECK(x->layout.ndim == sound[i].ndim && x->layout.numel == 6, "%s", sound[i].header);
    peri_tensor_release(&x);
  }
  close_context(context);
}

static void npy_lies_are_refused(void) {
  static const struct {
    const char *header, *words;
    size_t elements;
  } lies[] = {
      {NPY("'<f4'", "False", "(2,)"), "needs 8 bytes of elements, but 7", 7},
      {NPY("'<f4'", "False", "(2,)"), "needs 8 bytes of elements, but 9", 9},
      {NPY("'<f4'", "False", "()"), "needs 4 bytes of elements, but 0", 0},
      {NPY("'<f8'", "False", "(4294967296, 4294967296)"), "overflows", 8},
      {NPY("'<f8'", "False", "(9223372036854775807,)"), "overflows", 8},
      {NPY("'<f8'", "False", "(0, 9223372036854775807, 2)"), "overflows", 0},
      {NPY("'<f8'", "False", "(9223372036854775808,)"), "beyond the largest int64", 8},
      {NPY("'<f8'", "False", "(1000000000,)"), "needs 8000000000 bytes", 8},
      {NPY("'|u1'", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "more than 8 dimensions", 1},
      {NPY("'|u1'", "False", "(6)"), "a comma behind it", 6},
      {NPY("'|u1'", "False", "(-6,)"), "expected a size", 6},
      {NPY("'|u1'", "False", "(06,)"), "expected a size", 6},
      {NPY("'|u1'", "False", "(2 3)"), "a comma between sizes", 6},
      {NPY("'|u1'", "False", "(,)"), "expected a size", 1},
      {NPY("'|u1'", "False", "[6]"), "a shape in parentheses", 6},
      {NPY("'|u1'", "False", "(2, 3"), "expected", 6},
      {NPY("'|u1'", "false", "(6,)"), "True or False", 6},
      {NPY("'|u1'", "0", "(6,)"), "True or False", 6},
      {NPY("'|f4'", "False", "(1,)"), "descr is '|f4'", 4},
      {NPY("'=f4'", "False", "(1,)"), "descr is '=f4'", 4},
      {NPY("'f4'", "False", "(1,)"), "descr is 'f4'", 4},
      {NPY("'<f3'", "False", "(1,)"), "descr is '<f3'", 3},
      {NPY("''", "False", "(1,)"), "descr is ''", 3},
      {NPY("'|O'", "False", "(1,)"), "Python objects", 8},
      {NPY("'<c8'", "False", "(1,)"), "complex numbers", 8},
      {NPY("[('a', '<f4')]", "False", "(1,)"), "structured", 4},
      {NPY("('<f4', (2,))", "False", "(1,)"), "structured", 4},
      {NPY("'|u\\x31'", "False", "(6,)"), "a short text", 6},
      {NPY("__import__('os').system('x')", "False", "(6,)"), "a short text", 6},
      {NPY("'|u1'", "False", "(6,)") "x", "blanks alone", 6},
      {NPY("'|b1'", "False", "(1,)") "{", "blanks alone", 1},
      {"{'descr': '|u1', 'fortran_order': False}", "no key 'shape'", 6},
      {"{'descr': '|u1', 'shape': (6,)}", "no key 'fortran_order'", 6},
      {"{}", "no key 'descr'", 6},
      {"{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (6,)}", "stands there twice", 6},
      {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'more': 1}", "key 'more'", 6},
      {"{'descr': '|u1' 'fortran_order': False, 'shape': (6,)}", "a comma between entries", 6},
      {"{'descr' '|u1', 'fortran_order': False, 'shape': (6,)}", "a colon", 6},
      {"{'descr': '|u1", "the quote that ends", 6},
      {"", "a brace", 6},
      {"[1]", "a brace", 6},
  };
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(lies); i++) {
    refuse_npy(context, npy_bytes(lies[i].header, lies[i].elements), lies[i].words);
  }
  buffer *b = npy_bytes(NPY("'|u1'", "False", "(6,)"), 6);
  b->bytes[6] = 4;
  refuse_npy(context, b, "version 4.0");
  b->bytes[6] = 1, b->bytes[7] = 1;
  refuse_npy(context, b, "version 1.1");
  b->bytes[0] = 'N';
  refuse_npy(context, b, "NPY file");
  b = npy_bytes(NPY("'|u1'", "False", "(6,)"), 6);
  memmove(b->bytes + 12, b->bytes + 10, b->size - 10);
  b->size += 2;
  b->bytes[6] = 2;
  peri_store_le32(b->bytes + 8, 65537);
  refuse_npy(context, b, "a header of 65537 bytes");
  b = npy_bytes(NPY("'|b1'", "False", "(6,)"), 6);
  b->bytes[b->size - 1] = 2;
  refuse_npy(context, b, "element 6 is a bool other than 0 and 1");
  close_context(context);
}

static void npy_cut_files_are_refused(void) {
  peri_context *context = open_context();
  buffer *b = npy_bytes(NPY("'<f4'", "False", "(2, 3)"), 24);
  for (size_t size = b->size; size-- > 0;) {
    b->size = size;
    refuse_npy(context, b, "");
  }
  close_context(context);
}

/* ---- NPZ ---- */

typedef struct set {
  peri_context *context;
  peri_tensor *tensors[4];
} set;
static const char *const names[] = {"b", "a.c/d", "empty", "\xc3\xbc"};

static set make_set(peri_context *context) {
  set s = {.context = context};
  s.tensors[0] = make_tensor(context, PERI_FLOAT64, 2, (int64_t[]){6, 5});
  s.tensors[1] = make_tensor(context, PERI_BOOL, 0, NULL);
  s.tensors[2] = make_tensor(context, PERI_FLOAT32, 2, (int64_t[]){0, 3});
  s.tensors[3] = make_tensor(context, PERI_UINT8, 1, (int64_t[]){11});
  return s;
}
static void drop_set(set *s) {
  for (int i = 0; i < 4; i++) peri_tensor_release(&s->tensors[i]);
}
static void check_set(const set *s, const peri_named_tensors *list) {
  PERI_CHECK(list->n == 4 && list->metadata_n == 0, "%zu tensors", list->n);
  int seen = 0;
  for (size_t i = 0; i < list->n; i++) {
    for (int k = 0; k < 4; k++) {
      if (strcmp(names[k], list->names[i]) != 0) continue;
      check_equal(list->tensors[i], s->tensors[k]);
      seen++;
    }
  }
  PERI_CHECK(seen == 4, "%d names are those that were written", seen);
}

static void npz_written_is_read(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.npz");
  set s = make_set(context);
  for (int form = 0; form < 4; form++) {
    peri_npz_options options = {.compress = form % 2, .zip64 = form / 2};
    peri_named_tensors list;
    PERI_CHECK(peri_npz_write(context, "write_npz", path, 4, names, s.tensors, &options) == PERI_OK, "%s",
               peri_message(context));
    PERI_CHECK(peri_npz_read(context, "read_npz", path, &list) == PERI_OK, "%s", peri_message(context));
    check_set(&s, &list);
    peri_named_tensors_release(context, &list);
    PERI_CHECK(peri_npz_write(context, "write_npz", path, 0, NULL, NULL, &options) == PERI_OK, "%s",
               peri_message(context));
    PERI_CHECK(peri_npz_read(context, "read_npz", path, &list) == PERI_OK && list.n == 0, "%s", peri_message(context));
    peri_named_tensors_release(context, &list);
  }
  drop_set(&s);
  remove_folder(&home);
  close_context(context);
}

/* Larger than all buffers, so that members are read and written in several pieces. */
static void large_members(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.npz"), *const name = "x";
  peri_tensor *x = make_tensor(context, PERI_UINT8, 1, (int64_t[]){20000003});
  for (int64_t i = 0; i < x->layout.numel; i++) x->data[i] ^= (char)((i * 2654435761u) >> 13);
  for (int form = 0; form < 2; form++) {
    peri_npz_options options = {.compress = form};
    peri_named_tensors list;
    PERI_CHECK(peri_npz_write(context, "write_npz", path, 1, &name, &x, &options) == PERI_OK, "%s",
               peri_message(context));
    PERI_CHECK(peri_npz_read(context, "read_npz", path, &list) == PERI_OK, "%s", peri_message(context));
    if (list.n == 1) check_equal(list.tensors[0], x);
    peri_named_tensors_release(context, &list);
  }
  peri_tensor_release(&x);
  remove_folder(&home);
  close_context(context);
}

/* So many that the old form has no room for their count. */
static void many_members(void) {
  const size_t n = 65535;
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.npz");
  peri_tensor *x = make_tensor(context, PERI_BOOL, 0, NULL), **tensors = malloc(n * sizeof(void *));
  char(*list_of_names)[8] = malloc(n * 8);
  const char **list = malloc(n * sizeof(void *));
  if (tensors == NULL || list_of_names == NULL || list == NULL) abort();
  for (size_t i = 0; i < n; i++) {
    snprintf(list_of_names[i], 8, "%zu", i);
    list[i] = list_of_names[i];
    tensors[i] = x;
  }
  peri_named_tensors got;
  PERI_CHECK(peri_npz_write(context, "write_npz", path, n, list, tensors, &(peri_npz_options){0}) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(peri_npz_read(context, "read_npz", path, &got) == PERI_OK && got.n == n, "%s", peri_message(context));
  peri_named_tensors_release(context, &got);
  free(list_of_names);
  free(list);
  free(tensors);
  peri_tensor_release(&x);
  remove_folder(&home);
  close_context(context);
}

static void npz_writing_checks_names(void) {
  static char longest[32768];
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.npz"), *list[2] = {"a", "a"};
  peri_tensor *x = make_tensor(context, PERI_BOOL, 0, NULL), *tensors[2] = {x, x};
  peri_npz_options options = {0};
  peri_named_tensors got;
  check_failed(context, peri_npz_write(context, "write_npz", path, 2, list, tensors, &options), PERI_ERR_ARGUMENT,
               "write_npz: the name \"a\" is given twice");
  list[0] = "\xff";
  check_failed(context, peri_npz_write(context, "write_npz", path, 2, list, tensors, &options), PERI_ERR_ARGUMENT,
               "is not UTF-8");
  memset(longest, 'n', sizeof longest - 1);
  list[0] = longest;
  check_failed(context, peri_npz_write(context, "write_npz", path, 2, list, tensors, &options), PERI_ERR_ARGUMENT,
               "has 32767 bytes (expected at most 32764)");
  PERI_CHECK(files_in(&home) == 0, "%d files", files_in(&home));
  list[0] += 3;
  options.zip64 = options.compress = true;
  PERI_CHECK(peri_npz_write(context, "write_npz", path, 2, list, tensors, &options) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(peri_npz_read(context, "read_npz", path, &got) == PERI_OK && got.n == 2, "%s", peri_message(context));
  peri_named_tensors_release(context, &got);
  peri_tensor_release(&x);
  remove_folder(&home);
  close_context(context);
}

/* ---- archives that are not sound ---- */

/* Whether the list is the one that was written, bit for bit. */
static bool is_set(const set *s, const peri_named_tensors *list) {
  bool same = list->n == 4;
  for (size_t i = 0; i < list->n && same; i++) {
    int k = 0;
    while (k < 4 && strcmp(names[k], list->names[i]) != 0) k++;
    if (k == 4) return false;
    peri_tensor *x = list->tensors[i], *y = s->tensors[k];
    same = x->layout.dtype == y->layout.dtype && peri_same_shape(&x->layout, &y->layout) &&
           memcmp(x->data, y->data, (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype)) == 0;
  }
  return same;
}

/* An error, or the very same tensors. */
static void check_faulty(const set *s, const buffer *b, const char *what, size_t place, size_t before) {
  peri_named_tensors list;
  peri_status status = parse_npz(s->context, b, &list);
  PERI_CHECK(status == PERI_OK ? is_set(s, &list) : status == PERI_ERR_IO && peri_message(s->context)[0] != '\0',
             "%s at %zu: status %d, other tensors", what, place, (int)status);
  peri_named_tensors_release(s->context, &list);
  PERI_CHECK(peri_memory_in_use(s->context) == before, "memory leaks");
}

static void npz_faults_change_nothing(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.npz");
  set s = make_set(context);
  size_t before = peri_memory_in_use(context);
  for (int form = 0; form < 4; form++) {
    peri_npz_options options = {.compress = form % 2, .zip64 = form / 2};
    PERI_CHECK(peri_npz_write(context, "write_npz", path, 4, names, s.tensors, &options) == PERI_OK, "%s",
               peri_message(context));
    buffer *b = file_bytes(context, path);
    size_t size = b->size;
    for (b->size = 0; b->size < size; b->size++) {
      peri_named_tensors list;
      PERI_CHECK(parse_npz(context, b, &list) == PERI_ERR_IO, "cut at %zu: read", b->size);
      peri_named_tensors_release(context, &list);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
      b->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
      check_faulty(&s, b, "a bit", bit / 8, before);
      b->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    peri_stream stream = {.seed = (uint64_t)form};
    for (int i = 0; i < 100; i++) {
      size_t at = (size_t)peri_stream_below(&stream, size);
      unsigned char kept = b->bytes[at];
      b->bytes[at] = (unsigned char)peri_stream_u64(&stream);
      check_faulty(&s, b, "a byte", at, before);
      b->bytes[at] = kept;
    }
    put(b, "x", 1);
    check_faulty(&s, b, "a byte behind all", size, before);
  }
  drop_set(&s);
  remove_folder(&home);
  close_context(context);
}

/* An archive of one member, stored, of which some things can be told otherwise. */
typedef struct story {
  const char *name;
  unsigned flags, method;
  uint32_t length; /* in both headers, in place of the true one */
  unsigned disk;
} story;

static buffer *tell(const story *t) {
  static buffer b;
  buffer *member = npy_bytes(NPY("'|u1'", "False", "(6,)"), 6);
  uint32_t size = (uint32_t)member->size, crc = (uint32_t)crc32(0, member->bytes, size);
  b.size = 0;
  for (int central = 0; central < 2; central++) {
    uint32_t start = (uint32_t)b.size;
    put32(&b, central ? PERI_ZIP_CENTRAL : PERI_ZIP_LOCAL);
    if (central) put16(&b, 20);
    put16(&b, 20);
    put16(&b, t->flags);
    put16(&b, t->method);
    put32(&b, 0);
    put32(&b, crc);
    put32(&b, size);
    put32(&b, t->length != 0 ? t->length : size);
    put16(&b, (unsigned)strlen(t->name));
    put16(&b, 0);
    if (central) {
      put16(&b, 0);
      put16(&b, t->disk);
      put16(&b, 0);
      put32(&b, 0);
      put32(&b, 0);
    }
    put(&b, t->name, strlen(t->name));
    if (!central) put(&b, member->bytes, size);
    if (!central) continue;
    uint32_t end = (uint32_t)b.size;
    put32(&b, PERI_ZIP_END);
    put32(&b, 0);
    put16(&b, 1);
    put16(&b, 1);
    put32(&b, end - start);
    put32(&b, start);
    put16(&b, 0);
  }
  return &b;
}

static void npz_lies_are_refused(void) {
  static const struct {
    story story;
    const char *words;
  } lies[] = {
      {{.name = "a.npy", .flags = 1}, "member \"a.npy\" is encrypted"},
      {{.name = "a.npy", .flags = 1 << 5}, "flags that are not known"},
      {{.name = "a.npy", .method = 12}, "compressed otherwise than by deflate"},
      {{.name = "a.npy", .method = 8}, "member \"a.npy\": offset 6 (inflated): more follows than the"},
      {{.name = "a.npy", .length = 1000}, "data of another length"},
      {{.name = "a.npy", .length = 1000000, .method = 8}, "data of another length"},
      {{.name = "a.npy", .disk = 1}, "is in another file"},
      {{.name = "a.txt"}, "member \"a.txt\" is no .npy"},
      {{.name = "npy"}, "member \"npy\" is no .npy"},
      {{.name = "\xff.npy"}, "no UTF-8"},
  };
  peri_context *context = open_context();
  peri_named_tensors list;
  PERI_CHECK(parse_npz(context, tell(&(story){.name = "../a.npy"}), &list) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(list.n == 1 && strcmp(list.names[0], "../a") == 0, "a name is a key");
  peri_named_tensors_release(context, &list);
  for (size_t i = 0; i < PERI_COUNT(lies); i++) refuse_npz(context, tell(&lies[i].story), lies[i].words);
  close_context(context);
}

/* Two central records may not name the same bytes, nor one name. */
static void npz_members_are_apart(void) {
  peri_context *context = open_context();
  buffer *b = tell(&(story){.name = "a.npy"});
  unsigned char record[PERI_ZIP_CENTRAL_SIZE + 5], end[PERI_ZIP_END_SIZE];
  size_t at = b->size - sizeof end - sizeof record;
  memcpy(record, b->bytes + at, sizeof record);
  memcpy(end, b->bytes + at + sizeof record, sizeof end);
  end[8] = end[10] = 2;
  peri_store_le32(end + 12, 2 * sizeof record);
  b->size -= sizeof end;
  record[PERI_ZIP_CENTRAL_SIZE] = 'b';
  put(b, record, sizeof record);
  put(b, end, sizeof end);
  refuse_npz(context, b, "member \"a.npy\"|no room for its local header");
  b->bytes[at + sizeof record + PERI_ZIP_CENTRAL_SIZE] = 'a';
  refuse_npz(context, b, "member \"a.npy\" is there twice");
  close_context(context);
}

/* ---- memory ---- */

static peri_status read_npy_once(peri_context *context, void *path) {
  peri_tensor *x;
  peri_status status = peri_npy_read(context, "read_npy", path, &x);
  peri_tensor_release(&x);
  return status;
}
static peri_status read_npz_once(peri_context *context, void *path) {
  peri_named_tensors list;
  peri_status status = peri_npz_read(context, "read_npz", path, &list);
  peri_named_tensors_release(context, &list);
  return status;
}
static bool deflated;
static peri_status write_npz_once(peri_context *context, void *path) {
  peri_tensor *x = NULL;
  const char *const name = "x";
  PERI_TRY(peri_tensor_new(context, PERI_FLOAT32, 2, (int64_t[]){3, 4}, &x));
  peri_npz_options options = {.compress = deflated};
  peri_status status = peri_npz_write(context, "write_npz", path, 1, &name, &x, &options);
  peri_tensor_release(&x);
  return status;
}

static void allocation_failures(void) {
  peri_context *context = open_context();
  buffer *b = npy_bytes(NPY("'<i2'", "True", "(2, 3)"), 12);
  check_failures_with_file(b->bytes, b->size, read_npy_once, 3);
  b = file_bytes(context, "tests/fuzz/corpus/npz/deflated.npz");
  check_failures_with_file(b->bytes, b->size, read_npz_once, 8);
  close_context(context);
  for (int form = 0; form < 2; form++) {
    deflated = form;
    check_failures_with_file(NULL, 0, write_npz_once, 3);
  }
}

PERI_TEST_MAIN(PERI_TEST(npy_written_is_read), PERI_TEST(npy_headers_are_aligned), PERI_TEST(npy_headers_of_any_form),
               PERI_TEST(npy_lies_are_refused), PERI_TEST(npy_cut_files_are_refused), PERI_TEST(npz_written_is_read),
               PERI_TEST(large_members), PERI_TEST(many_members), PERI_TEST(npz_writing_checks_names),
               PERI_TEST(npz_faults_change_nothing), PERI_TEST(npz_lies_are_refused), PERI_TEST(npz_members_are_apart),
               PERI_TEST(allocation_failures))
