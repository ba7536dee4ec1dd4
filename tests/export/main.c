/* Scores rows of numbers that follow from nothing but their place, and prints a digest of all bits of the scores, and
 * one of the labels. tests/export/check.lua computes the same with the model itself. cc -DMODEL='"model.h"'
 * -DROWS=100000 main.c model.c */
#include MODEL

#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef model_number T;

static uint32_t state = 1;

/* Of [-4, 4), exact in a float. */
static T next(void) {
  state = state * 1664525u + 1013904223u;
  return (T)((int32_t)(state >> 8) - (1 << 23)) / (T)(1 << 21);
}

static uint32_t add(uint32_t digest, const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i += 4) {
    uint32_t word;
    memcpy(&word, (const char *)bytes + i, sizeof word);
    digest = (digest ^ word) * 16777619u;
  }
  return digest;
}

int main(void) {
  static T x[MODEL_INPUTS], out[MODEL_OUTPUTS];
  uint32_t scores = 2166136261u, labels = 2166136261u;
  for (long row = 0; row < ROWS; row++) {
    for (int i = 0; i < MODEL_INPUTS; i++) x[i] = next();
    model_score(x, out);
    scores = add(scores, out, sizeof out);
#ifdef LABELS
    const uint32_t label = (uint32_t)model_label(x);
    labels = add(labels, &label, sizeof label);
#endif
  }
  printf("%08lx %08lx\n", (unsigned long)scores, (unsigned long)labels);
  return 0;
}
