/* Arbitrary bytes as an NPZ file: an error or a list of sound tensors, no more of them than deflate can make. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  peri_named_tensors list;
  peri_status status = peri_npz_parse(context, "fuzz", bytes, size, &list);
  fuzz_check(status == PERI_OK || (list.n == 0 && peri_message(context)[0] != '\0'));
  fuzz_check(list.metadata_n == 0);
  for (size_t i = 0; i < list.n; i++) {
    fuzz_check(strlen(list.names[i]) < size);
    fuzz_check((size_t)peri_tensor_numel(list.tensors[i]) < 1032 * size);
    fuzz_touch(list.tensors[i]);
  }
  peri_named_tensors_release(context, &list);
  fuzz_close(context);
  return 0;
}
