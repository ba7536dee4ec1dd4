/* Arbitrary bytes as an NPY file: an error or a sound tensor, no memory kept, no byte read beyond. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  peri_tensor *x;
  peri_status status = peri_npy_parse(context, "fuzz", bytes, size, &x);
  fuzz_check((status == PERI_OK) == (x != NULL));
  fuzz_check(status == PERI_OK || peri_message(context)[0] != '\0');
  if (x != NULL) fuzz_check((size_t)peri_tensor_numel(x) < size);
  if (x != NULL) fuzz_touch(x);
  peri_tensor_release(&x);
  fuzz_close(context);
  return 0;
}
