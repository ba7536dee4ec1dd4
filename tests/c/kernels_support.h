/* What the tests of kernels share: contexts with teams of several sizes, between which bits must not differ, the sets
 * of instructions, and elements by dtype. */
#ifndef KERNELS_SUPPORT_H
#define KERNELS_SUPPORT_H

#include "kernels/kernels.h"
#include "test.h"

#include <stdlib.h>

static const int team[] = {1, 2, 3, 7};
#define TEAMS PERI_COUNT(team)
static peri_context *contexts[TEAMS];

static const char *const variants[] = {"baseline", "exact", "v3", "v4"};
static const size_t sizes[PERI_DTYPES] = {4, 8, 8, 1, 1};

/* With a set of instructions, or the best. */
static inline void open_contexts(const char *isa) {
  if (isa != NULL) setenv("PERILUNE_ISA", isa, 1);
  for (size_t t = 0; t < TEAMS; t++) {
    peri_options options = {.size = sizeof options, .threads = team[t]};
    PERI_CHECK(peri_context_new(&options, &contexts[t]) == PERI_OK, "context");
  }
  unsetenv("PERILUNE_ISA");
}

static inline void close_contexts(void) {
  for (size_t t = 0; t < TEAMS; t++) {
    PERI_CHECK(peri_memory_in_use(contexts[t]) == 0, "%zu bytes left", peri_memory_in_use(contexts[t]));
    peri_context_release(&contexts[t]);
  }
}

static inline double number(peri_dtype dtype, const void *x, int64_t i) {
  switch (dtype) {
  case PERI_FLOAT32:
    return (double)((const float *)x)[i];
  case PERI_FLOAT64:
    return ((const double *)x)[i];
  case PERI_INT64:
    return (double)((const int64_t *)x)[i];
  default:
    return (double)((const uint8_t *)x)[i];
  }
}

static inline void put(peri_dtype dtype, void *x, int64_t i, double value) {
  switch (dtype) {
  case PERI_FLOAT32:
    ((float *)x)[i] = (float)value;
    break;
  case PERI_FLOAT64:
    ((double *)x)[i] = value;
    break;
  case PERI_INT64:
    ((int64_t *)x)[i] = (int64_t)value;
    break;
  default:
    ((uint8_t *)x)[i] = (uint8_t)value;
  }
}

#endif
