/* What the tests of generators and file formats share: a context, a folder of their own, checks that
 * run a call under every failing allocation. */
#ifndef PERI_TEST_DATA_SUPPORT_H
#define PERI_TEST_DATA_SUPPORT_H

#include "allocation_support.h"
#include "data/file.h"
#include "data/formats/formats.h"
#include "data/sets/sets.h"
#include "tensor/tensor.h"
#include "test.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static inline peri_context *open_context(void) {
  peri_context *context = NULL;
  peri_options options = {.size = sizeof options, .memory_limit = (size_t)256 << 20, .threads = 2};
  if (peri_context_new(&options, &context) != PERI_OK) abort();
  return context;
}

/* Checks that every byte was given back, and closes. */
static inline void close_context(peri_context *context) {
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes are still in use", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* ---- a folder for a test ---- */

typedef struct folder {
  char path[256];
} folder;

static inline folder make_folder(void) {
  folder made;
  const char *root = getenv("TMPDIR");
  snprintf(made.path, sizeof made.path, "%s/perilune-test-XXXXXX", root != NULL && *root != '\0' ? root : P_tmpdir);
  if (mkdtemp(made.path) == NULL) abort();
  return made;
}

/* The path of a file in it; four at a time. */
static inline const char *in_folder(const folder *home, const char *name) {
  static char paths[4][512];
  static int next;
  next = (next + 1) % 4;
  snprintf(paths[next], sizeof paths[next], "%s/%s", home->path, name);
  return paths[next];
}

static inline int files_in(const folder *home) {
  int n = 0;
  DIR *directory = opendir(home->path);
  if (directory == NULL) return -1;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  }
  closedir(directory);
  return n;
}

static inline void remove_folder(const folder *home) {
  DIR *directory = opendir(home->path);
  if (directory == NULL) return;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) unlinkat(dirfd(directory), entry->d_name, 0);
  }
  closedir(directory);
  rmdir(home->path);
}

static inline void put_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
}

/* ---- checks ---- */

/* That the last call failed with this status and said all these words (separated by |). */
static inline void check_failed(peri_context *context, peri_status status, peri_status expected, const char *words) {
  char list[256];
  snprintf(list, sizeof list, "%s", words);
  PERI_CHECK(status == expected, "status %d, expected %d; message: %s", (int)status, (int)expected,
             peri_message(context));
  for (char *rest = list, *word; (word = strsep(&rest, "|")) != NULL;) {
    PERI_CHECK(strstr(peri_message(context), word) != NULL, "\"%s\" lacks \"%s\"", peri_message(context), word);
  }
}

/* check_allocation_failures of a call whose arg is the path of a file, the one in its folder; it holds these bytes
 * (NULL: it is not there yet). */
static inline void check_failures_with_file(const void *bytes, size_t size,
                                            peri_status (*call)(peri_context *context, void *path), int at_least) {
  peri_context *context = open_context();
  folder home = make_folder();
  char path[512];
  snprintf(path, sizeof path, "%s", in_folder(&home, "a"));
  if (bytes != NULL) put_file(path, bytes, size);
  check_allocation_failures(context, call, path, at_least);
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

/* Shape, dtype and every byte. x is contiguous. */
static inline void check_equal(peri_tensor *x, peri_tensor *expected) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_CHECK(x->layout.dtype == expected->layout.dtype, "%s, expected %s", peri_dtype_name(x->layout.dtype),
             peri_dtype_name(expected->layout.dtype));
  PERI_CHECK(peri_same_shape(&x->layout, &expected->layout), "shape %s, expected %s",
             peri_shape_text(x->layout.ndim, x->layout.shape, a),
             peri_shape_text(expected->layout.ndim, expected->layout.shape, b));
  size_t bytes = (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype);
  PERI_CHECK(x->layout.numel == expected->layout.numel && memcmp(x->data, expected->data, bytes) == 0,
             "elements differ");
}

/* A tensor whose bytes are 0 1 0 1 ... (bool) or count up. */
static inline peri_tensor *make_tensor(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape) {
  peri_tensor *x = NULL;
  if (peri_tensor_new(context, dtype, ndim, shape, &x) != PERI_OK) abort();
  size_t bytes = (size_t)x->layout.numel * peri_dtype_size(dtype);
  for (size_t i = 0; i < bytes; i++) x->data[i] = (char)(dtype == PERI_BOOL ? i % 2 : (i * 7 + 1) % 251);
  return x;
}

#endif
