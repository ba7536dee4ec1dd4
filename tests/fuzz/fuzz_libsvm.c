/* Arbitrary bytes as a model file of LIBSVM: an error, or a machine that decides. */
#include "fuzz.h"

#include "svm/kernel/model_libsvm.h"

#define MOST_PAIRS 64

static void ask(peri_context *context, const peri_svm *model) {
  static double x[1000], out[MOST_PAIRS];
  if (model->d > 1000 || model->pairs > MOST_PAIRS) return;
  fuzz_check(peri_svm_decision(context, model, PERI_FLOAT64, 1, model->d, x, model->d, out) == PERI_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  for (int kind = 0; kind < 3; kind++) {
    peri_svm *model;
    peri_libsvm_options options = {.zero_based = kind == 1, .features = kind == 2 ? 3 : 0};
    peri_status status = peri_svm_parse_libsvm(context, "fuzz", bytes, size, &options, &model);
    fuzz_check((status == PERI_OK) == (model != NULL));
    fuzz_check(status == PERI_OK || peri_message(context)[0] != '\0');
    if (model != NULL) ask(context, model);
    peri_svm_release(context, &model);
  }
  fuzz_close(context);
  return 0;
}
