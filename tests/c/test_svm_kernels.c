/* The passes of SMO against plain loops: ties, empty sets and kinks, both dtypes, every instruction set. */
#include "kernels/kernels.h"
#include "svm/svm_kernels.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

#define MOST 80

/* A problem of few different values, so that many are equal; all of them are exact in float32. */
typedef struct sample {
  int64_t n;
  double g[MOST], diagonal[MOST], i[MOST], j[MOST];
  float i32[MOST], j32[MOST];
  int8_t state[MOST];
  double kink;
} sample;

static sample random_sample(int trial) {
  sample s = {.n = PERI_SVM_LANES * (1 + rand() % (MOST / PERI_SVM_LANES))};
  s.kink = trial % 2 == 0 ? 0 : 0.125 * (rand() % 5);
  int states = trial % 3 == 0 ? 4 : 16; /* without the bits of a kink, now and then none that may move */
  for (int64_t t = 0; t < s.n; t++) {
    s.g[t] = 0.0625 * (rand() % 40);
    s.diagonal[t] = 1 + rand() % 3;
    s.i32[t] = (float)(s.i[t] = 0.125 * (rand() % 8));
    s.j32[t] = (float)(s.j[t] = 0.125 * (rand() % 8));
    s.state[t] = (int8_t)(trial % 50 == 0 ? 0 : rand() % states);
  }
  return s;
}

static double slope(const sample *s, int64_t t, int8_t above) {
  return s->state[t] & above ? s->g[t] + s->kink : s->g[t] - s->kink;
}

static peri_svm_extremes expected_extremes(const sample *s) {
  peri_svm_extremes e = {.up = INFINITY, .down = -INFINITY, .up_at = -1};
  for (int64_t t = 0; t < s->n; t++) {
    double up = slope(s, t, PERI_SVM_UP_ABOVE), down = slope(s, t, PERI_SVM_DOWN_ABOVE);
    if ((s->state[t] & PERI_SVM_UP) && up <= e.up) {
      e.up = up;
      e.up_at = t;
    }
    if ((s->state[t] & PERI_SVM_DOWN) && down > e.down) e.down = down;
  }
  return e;
}

static void check_extremes(const sample *s, const peri_svm_extremes *e) {
  peri_svm_extremes expected = expected_extremes(s);
  PERI_CHECK(e->up == expected.up && e->down == expected.down, "%g and %g, not %g and %g", e->up, e->down, expected.up,
             expected.down);
  PERI_CHECK(e->up_at == expected.up_at, "at %lld, not %lld", (long long)e->up_at, (long long)expected.up_at);
}

static void check_step(const peri_svm_kernels *kernels, sample s, int wide) {
  peri_svm_extremes e;
  sample after = s;
  for (int64_t t = 0; t < s.n; t++) after.g[t] += 0.25 * (s.i[t] - s.j[t]);
  kernels->step[wide](s.n, s.g, s.state, wide ? (void *)s.i : s.i32, wide ? (void *)s.j : s.j32, 0.25, s.kink, &e);
  PERI_CHECK(memcmp(s.g, after.g, (size_t)s.n * sizeof *s.g) == 0, "another gradient");
  check_extremes(&after, &e);
}

static void check_partner(const peri_svm_kernels *kernels, const sample *s, int wide) {
  double slope_i = 0.5, k_ii = 1.5, best = 0;
  peri_svm_partner p;
  kernels->partner[wide](s->n, s->g, s->state, s->diagonal, wide ? (void *)s->i : s->i32, slope_i, k_ii, s->kink, &p);
  double got = 0;
  for (int64_t t = 0; t < s->n; t++) {
    double b = slope(s, t, PERI_SVM_DOWN_ABOVE) - slope_i;
    if (!(s->state[t] & PERI_SVM_DOWN) || b <= 0) continue;
    double gain = b * b / (k_ii + s->diagonal[t] - 2 * s->i[t]);
    best = fmax(best, gain);
    if (t == p.at) got = gain;
  }
  PERI_CHECK((p.at >= 0) == (best > 0), "partner %lld", (long long)p.at);
  PERI_CHECK(fabs(got - best) <= 1e-12 * best && fabs(p.gain - best) <= 1e-12 * best, "gain %g, not %g", p.gain, best);
}

static void test_passes(void) {
  static const char *const sets[] = {"baseline", "v3", "v4"};
  for (size_t set = 0; set < PERI_COUNT(sets); set++) {
    setenv("PERILUNE_ISA", sets[set], 1);
    const peri_svm_kernels *kernels = peri_kernels_select()->svm;
    unsetenv("PERILUNE_ISA");
    for (int trial = 0; trial < 3000; trial++) {
      sample s = random_sample(trial);
      peri_svm_extremes e;
      kernels->extremes(s.n, s.g, s.state, s.kink, &e);
      check_extremes(&s, &e);
      for (int wide = 0; wide < 2; wide++) {
        check_step(kernels, s, wide);
        check_partner(kernels, &s, wide);
      }
    }
  }
}

PERI_TEST_MAIN(PERI_TEST(test_passes))
