/* Arbitrary bytes as a safetensors file: an error or a list of sound tensors whose bytes are the file's. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  peri_named_tensors list;
  peri_status status = peri_safetensors_parse(context, "fuzz", bytes, size, &list);
  fuzz_check(status == PERI_OK || (list.n == 0 && list.metadata_n == 0 && peri_message(context)[0] != '\0'));
  for (size_t i = 0; i < list.n; i++) {
    fuzz_check(strlen(list.names[i]) < size);
    fuzz_check((size_t)peri_tensor_numel(list.tensors[i]) < size);
    fuzz_touch(list.tensors[i]);
  }
  for (size_t i = 0; i < list.metadata_n; i++) fuzz_check(strlen(list.keys[i]) + strlen(list.values[i]) < size);
  peri_named_tensors_release(context, &list);
  fuzz_close(context);
  return 0;
}
