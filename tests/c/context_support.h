/* What tests of contexts, tensors and calls share. */
#ifndef PERI_TEST_CONTEXT_SUPPORT_H
#define PERI_TEST_CONTEXT_SUPPORT_H

#include "tensor/tensor.h"
#include "test.h"

static inline peri_context *open_limited(size_t memory_limit, int threads) {
  peri_options options = {.size = sizeof options, .memory_limit = memory_limit, .threads = threads};
  peri_context *context;
  PERI_CHECK(peri_context_new(&options, &context) == PERI_OK, "a context");
  return context;
}

static inline peri_context *open_context(int threads) { return open_limited(0, threads); }

/* Checks that every byte was given back, and closes. */
static inline void close_context(peri_context *context) {
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
  PERI_CHECK(context == NULL, "release clears the pointer");
  peri_context_release(&context); /* and may be called again */
}

static inline peri_tensor *make(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape) {
  peri_tensor *x;
  PERI_CHECK(peri_tensor_new(context, dtype, ndim, shape, &x) == PERI_OK, "%s", peri_message(context));
  return x;
}

static inline bool says(const peri_context *context, const char *part) {
  return strstr(peri_message(context), part) != NULL;
}

#endif
