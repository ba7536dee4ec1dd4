/* Opening a context: the only file that sees every room. Each room's loops are compiled once for every instruction set;
 * here the variants of all of them come together, and the processor chooses. */
#include "base/memory.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "kernels/rows.h"

#include <stdlib.h>

/* plain: the set whose loops do what no instruction of this one does better. */
#define VARIANT(isa, plain, label, same)                                                                               \
  extern const peri_elementwise_kernels peri_elementwise_kernels_##isa;                                                \
  extern const peri_derivative_kernels peri_derivative_kernels_##isa;                                                  \
  extern const peri_reduce_kernels peri_reduce_kernels_##plain;                                                        \
  extern const peri_softmax_kernels peri_softmax_kernels_##isa;                                                        \
  extern const peri_pool_kernels peri_pool_kernels_##plain;                                                            \
  extern const peri_normalize_kernels peri_normalize_kernels_##plain;                                                  \
  extern const peri_run_kernels peri_run_kernels_##isa;                                                                \
  extern const peri_cell_kernels peri_cell_kernels_##isa;                                                              \
  extern const peri_random_kernels peri_random_kernels_##isa;                                                          \
  extern const struct peri_product_tiles peri_product_tiles_##isa;                                                     \
  extern const struct peri_distance_kernels peri_distance_kernels_##isa;                                               \
  extern const struct peri_svm_kernels peri_svm_kernels_##isa;                                                         \
  extern const struct peri_linear_kernels peri_linear_kernels_##isa;                                                   \
  extern const struct peri_update_kernels peri_update_kernels_##isa;                                                   \
  static const peri_row_kernels rows_##isa = {                                                                         \
      .reduce = &peri_reduce_kernels_##plain,                                                                          \
      .softmax = &peri_softmax_kernels_##isa,                                                                          \
      .pool = &peri_pool_kernels_##plain,                                                                              \
      .normalize = &peri_normalize_kernels_##plain,                                                                    \
      .runs = PERI_FULL(&peri_run_kernels_##isa),                                                                      \
      .cells = &peri_cell_kernels_##isa,                                                                               \
      .random = PERI_FULL(&peri_random_kernels_##isa),                                                                 \
  };                                                                                                                   \
  static const peri_kernels kernels_##isa = {                                                                          \
      .name = label,                                                                                                   \
      .same_bits = same,                                                                                               \
      .elementwise = &peri_elementwise_kernels_##isa,                                                                  \
      .derivatives = PERI_FULL(&peri_derivative_kernels_##isa),                                                        \
      .rows = &rows_##isa,                                                                                             \
      .tiles = &peri_product_tiles_##isa,                                                                              \
      .distance = PERI_FULL(&peri_distance_kernels_##isa),                                                             \
      .svm = &peri_svm_kernels_##isa,                                                                                  \
      .linear = &peri_linear_kernels_##isa,                                                                            \
      .update = PERI_FULL(&peri_update_kernels_##isa),                                                                 \
  };

#if defined(__x86_64__)
#ifdef PERI_SCORES /* two sets are enough for the bits, and one of loops that fuse nothing */
VARIANT(exact, exact, "exact", true)
VARIANT(v3, exact, "x86-64-v3", true)
#define kernels_baseline kernels_exact
#define kernels_v4       kernels_v3
#else
VARIANT(baseline, baseline, "baseline", false)
VARIANT(exact, exact, "exact", true)
VARIANT(v3, v3, "x86-64-v3", true)
VARIANT(v4, v4, "x86-64-v4", true)
#endif

static bool has_v3(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}

static bool has_v4(void) {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/* Of a processor without FMA: its own bits, or with PERILUNE_EXACT=1 those of all others, at a price. */
static const peri_kernels *without_fma(void) {
  const char *exact = getenv("PERILUNE_EXACT");
  return exact != NULL && strcmp(exact, "1") == 0 ? &kernels_exact : &kernels_baseline;
}

const peri_kernels *peri_kernels_select(void) {
  __builtin_cpu_init();
  const char *wanted = getenv("PERILUNE_ISA");
  bool v3 = has_v3(), v4 = has_v4();
  if (wanted != NULL) {
    if (strcmp(wanted, "baseline") == 0) return without_fma();
    if (strcmp(wanted, "exact") == 0) return &kernels_exact;
    if (strcmp(wanted, "v3") == 0 && v3) return &kernels_v3;
    if (strcmp(wanted, "v4") == 0 && v4) return &kernels_v4;
  }
  return v4 ? &kernels_v4 : v3 ? &kernels_v3 : without_fma();
}
#else /* what the compiler takes for this machine serves all of its kind */
#if defined(__aarch64__)
VARIANT(baseline, baseline, "aarch64", FUSED)
#else
VARIANT(baseline, baseline, "baseline", FUSED)
#endif
const peri_kernels *peri_kernels_select(void) { return &kernels_baseline; }
#endif

peri_status peri_context_new(const peri_options *options, peri_context **out) {
  return peri_context_make(options, peri_kernels_select(), out);
}
