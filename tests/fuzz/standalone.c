/* Runs a fuzz target without libFuzzer: each file named on the command line as it is, and changed in a
 * thousand ways that are the same in every run. */
#include "fuzz.h"

#include <stdio.h>

#define MUTATIONS 1000

/* A few bytes changed, moved or cut off. Returns the new size. */
static size_t mutate(peri_stream *stream, unsigned char *bytes, size_t size) {
  for (uint64_t changes = 1 + peri_stream_below(stream, 4); changes > 0 && size > 0; changes--) {
    size_t at = (size_t)peri_stream_below(stream, size), n = (size_t)peri_stream_below(stream, size - at) + 1;
    switch (peri_stream_below(stream, 5)) {
    case 0:
      bytes[at] ^= (unsigned char)(1u << peri_stream_below(stream, 8));
      break;
    case 1:
      bytes[at] = (unsigned char)peri_stream_u64(stream);
      break;
    case 2:
      memset(bytes + at, peri_stream_below(stream, 2) != 0 ? 0xff : 0, n < 4 ? n : 4);
      break;
    case 3:
      size = at;
      break;
    default:
      memmove(bytes + at, bytes + peri_stream_below(stream, size - n + 1), n);
    }
  }
  return size;
}

static int run(const char *path) {
  peri_context *context = fuzz_context();
  void *original;
  size_t size;
  if (peri_file_read(context, path, &original, &size) != PERI_OK) {
    printf("%s\n", peri_message(context));
    return 1;
  }
  LLVMFuzzerTestOneInput(original, size);
  for (uint64_t i = 0; i < MUTATIONS; i++) {
    peri_stream stream = {.seed = i};
    unsigned char *bytes = malloc(size + 1);
    fuzz_check(bytes != NULL);
    if (size > 0) memcpy(bytes, original, size);
    LLVMFuzzerTestOneInput(bytes, mutate(&stream, bytes, size));
    free(bytes);
  }
  peri_free(context, original, size);
  peri_context_release(&context);
  return 0;
}

int main(int argc, char **argv) {
  int failed = 0;
  for (int i = 1; i < argc; i++) failed += run(argv[i]);
  printf("%d passed, %d failed\n", argc - 1 - failed, failed);
  return failed != 0 || argc < 2;
}
