/* Arbitrary bytes as a model file, with the checksum that they should have: an error, or a model that scores. */
#include "fuzz.h"

#include "data/formats/safetensors.h"

#include <perilune/model.h>
#include <stdio.h>
#include <zlib.h>

enum { LARGEST = 2000 }; /* numbers of a row that is scored */

/* Puts the checksum into its place, if there is one. */
static void mend(char *bytes, size_t size) {
  const size_t length = strlen(PERI_SAFETENSORS_CHECKSUM_TEXT);
  for (size_t at = 0; at + length + PERI_SAFETENSORS_CHECKSUM_DIGITS < size; at++) {
    char digits[PERI_SAFETENSORS_CHECKSUM_DIGITS + 1], *place = bytes + at + length;
    if (memcmp(bytes + at, PERI_SAFETENSORS_CHECKSUM_TEXT, length) != 0) continue;
    memset(place, '0', PERI_SAFETENSORS_CHECKSUM_DIGITS);
    snprintf(digits, sizeof digits, "%08x", (unsigned)crc32_z(0, (const unsigned char *)bytes, size));
    memcpy(place, digits, PERI_SAFETENSORS_CHECKSUM_DIGITS);
    return;
  }
}

static void score(peri_model *model) {
  const int64_t inputs = peri_model_inputs(model), outputs = peri_model_outputs(model);
  const int64_t k = peri_model_classes(model, NULL);
  fuzz_check(inputs > 0 && outputs > 0 && strncmp(peri_model_description(model), "Model", 5) == 0);
  if (inputs > LARGEST || outputs > LARGEST || k > LARGEST) return;
  peri_scorer *scorer;
  float *x = calloc((size_t)inputs * 3, sizeof *x);
  double *out = calloc((size_t)(outputs + k) * 3, sizeof *out);
  int64_t labels[3];
  fuzz_check(x != NULL && out != NULL);
  if (peri_scorer_new(model, 2, &scorer) == PERI_OK) {
    peri_score(scorer, PERI_FLOAT32, 3, x, 0, out); /* decisions may overflow */
    peri_score_labels(scorer, PERI_FLOAT32, 3, x, 0, labels);
    peri_score_probabilities(scorer, PERI_FLOAT32, 3, x, 0, out);
  }
  peri_scorer_release(&scorer);
  free(out);
  free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  char *copy = malloc(size + 1);
  peri_model *model;
  fuzz_check(copy != NULL);
  if (size > 0) memcpy(copy, bytes, size);
  mend(copy, size);
  peri_status status = peri_model_parse(context, "fuzz", copy, size, &model);
  free(copy);
  fuzz_check((status == PERI_OK) == (model != NULL) && (status == PERI_OK || peri_message(context)[0] != '\0'));
  if (model != NULL) score(model);
  peri_model_release(&model);
  fuzz_close(context);
  return 0;
}
