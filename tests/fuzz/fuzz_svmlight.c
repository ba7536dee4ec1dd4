/* Arbitrary bytes as an svmlight file, read in every way: an error, or sound tensors with as many rows each. */
#include "fuzz.h"

#include "tensor/tensor.h"

static peri_status parse(peri_context *context, const uint8_t *bytes, size_t size, uint8_t kind, peri_tensor **out) {
  peri_svmlight_options options = {.dtype = kind % 2 != 0 ? PERI_FLOAT64 : PERI_FLOAT32,
                                   .features = kind / 4 % 2 != 0 ? 3 : 0,
                                   .zero_based = kind / 2 % 2 != 0};
  return peri_svmlight_parse(context, "fuzz", bytes, size, &options, &out[0], &out[1], &out[2]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  for (uint8_t kind = 0; kind < 8; kind++) {
    peri_tensor *out[3];
    peri_status status = parse(context, bytes, size, kind, out);
    fuzz_check(status == PERI_OK || (out[0] == NULL && out[1] == NULL && out[2] == NULL));
    fuzz_check(status == PERI_OK || peri_message(context)[0] != '\0');
    if (status == PERI_OK) {
      fuzz_check(out[0]->layout.shape[0] == out[1]->layout.shape[0]);
      fuzz_check(out[2] == NULL || out[2]->layout.shape[0] == out[1]->layout.shape[0]);
      for (int i = 0; i < 3; i++) {
        if (out[i] != NULL) fuzz_touch(out[i]);
      }
    }
    for (int i = 0; i < 3; i++) peri_tensor_release(&out[i]);
  }
  fuzz_close(context);
  return 0;
}
