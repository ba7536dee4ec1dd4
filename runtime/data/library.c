/* Memory for libraries; see library.h. */
#include "data/library.h"

#define SIZE_ROOM 64 /* keeps blocks aligned as the context's own */

void *peri_library_alloc(peri_context *context, size_t bytes) {
  size_t all;
  void *block;
  if (__builtin_add_overflow(bytes, (size_t)SIZE_ROOM, &all)) {
    peri_fail_memory(context, "out of memory: %zu bytes cannot be counted", bytes);
    return NULL;
  }
  if (peri_alloc(context, all, &block) != PERI_OK) return NULL;
  memcpy(block, &all, sizeof all);
  return (unsigned char *)block + SIZE_ROOM;
}

void peri_library_free(peri_context *context, void *block) {
  size_t all;
  if (block == NULL) return;
  unsigned char *start = (unsigned char *)block - SIZE_ROOM;
  memcpy(&all, start, sizeof all);
  peri_free(context, start, all);
}

void *peri_zlib_alloc(void *context, unsigned items, unsigned size) {
  return peri_library_alloc(context, (size_t)items * size);
}

void peri_zlib_free(void *context, void *block) { peri_library_free(context, block); }
