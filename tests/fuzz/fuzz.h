/* What the fuzz targets share. cmake/tests.cmake builds and runs them: with libFuzzer in the sanitized build, with
 * standalone.c elsewhere. An input that has once broken a reader becomes a file of corpus/NAME. By hand, for an hour:
 *   build-asan/tests/fuzz_NAME -max_total_time=3600 -dict=tests/fuzz/NAME.dict NEW_FOLDER tests/fuzz/corpus/NAME */
#ifndef PERI_FUZZ_H
#define PERI_FUZZ_H

#include "data/file.h"
#include "data/formats/formats.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static inline void fuzz_check(bool holds) {
  if (!holds) abort();
}

static inline peri_context *fuzz_context(void) {
  peri_context *context = NULL;
  peri_options options = {.size = sizeof options, .memory_limit = (size_t)16 << 20, .threads = 1};
  fuzz_check(peri_context_new(&options, &context) == PERI_OK);
  return context;
}

static inline void fuzz_close(peri_context *context) {
  fuzz_check(peri_memory_in_use(context) == 0);
  peri_context_release(&context);
}

/* Reads every byte of a fresh tensor. */
static inline void fuzz_touch(peri_tensor *x) {
  const unsigned char *bytes = peri_tensor_data(x);
  int64_t numel = 1;
  volatile unsigned char sum = 0;
  for (int d = 0; d < peri_tensor_ndim(x); d++) numel *= peri_tensor_shape(x)[d] == 0 ? 0 : 1;
  for (int d = 0; d < peri_tensor_ndim(x) && numel != 0; d++) numel *= peri_tensor_shape(x)[d];
  fuzz_check(numel == peri_tensor_numel(x) && peri_tensor_is_contiguous(x));
  size_t size = (size_t)numel * peri_dtype_size(peri_tensor_dtype(x));
  for (size_t i = 0; i < size; i++) sum = (unsigned char)(sum + bytes[i]);
  (void)sum;
}

#endif
