/* The passes of SMO against plain loops: ties, empty sets and kinks, both dtypes, every instruction set. And the
 * distances behind kernels. */
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
    best = peri_larger(best, gain);
    if (t == p.at) got = gain;
  }
  PERI_CHECK((p.at >= 0) == (best > 0), "partner %lld", (long long)p.at);
  PERI_CHECK(fabs(got - best) <= 1e-12 * best && fabs(p.gain - best) <= 1e-12 * best, "gain %g, not %g", p.gain, best);
}

/* ---- distances ---- */

#define FEATURES 37

/* 16 running sums over whole sixteens, then what is left: the order is that of every instruction set. */
static double expected_distance(int64_t d, const double *u, const double *v) {
  double sums[16] = {0}, total = 0;
  int64_t whole = d / 16 * 16;
  for (int64_t t = 0; t < whole; t++) sums[t % 16] += (u[t] - v[t]) * (u[t] - v[t]);
  for (int s = 0; s < 16; s++) total += sums[s];
  for (int64_t t = whole; t < d; t++) total += (u[t] - v[t]) * (u[t] - v[t]);
  return total;
}

static double uniform(void) { return (double)rand() / RAND_MAX - 0.5; }

static void check_distances(const peri_svm_kernels *kernels) {
  for (int64_t d = 1; d <= FEATURES; d++) {
    double u[2][FEATURES], v[2][FEATURES]; /* [1]: as float64; [0]: what float32 keeps of it */
    float u32[FEATURES], v32[FEATURES];
    for (int64_t t = 0; t < d; t++) {
      u[0][t] = (double)(u32[t] = (float)(u[1][t] = 1e4 + uniform()));
      v[0][t] = (double)(v32[t] = (float)(v[1][t] = 1e4 + uniform()));
    }
    for (int a = 0; a < 2; a++) {
      for (int b = 0; b < 2; b++) {
        double got = kernels->distance[a][b](d, a ? (void *)u[1] : u32, b ? (void *)v[1] : v32);
        double expected = expected_distance(d, u[a], v[b]);
        PERI_CHECK(got == expected, "%lld features: %.17g, not %.17g", (long long)d, got, expected);
      }
    }
  }
}

/* Exponents that are left are right to what float32 has; the others are marked, and all those of neighbours are. */
static void check_exponents(const peri_svm_kernels *kernels) {
  for (int trial = 0; trial < 2000; trial++) {
    float x[33], norms[33], given[33];
    double gamma = pow(10, 4 * uniform()), norm = (double)(float)pow(10, 8 * uniform());
    for (int j = 0; j < 33; j++) {
      norms[j] = trial % 2 == 0 ? (float)norm : (float)pow(10, 8 * uniform());
      given[j] = x[j] = (float)(2 * uniform() * sqrt(norm * (double)norms[j]));
    }
    given[0] = x[0] = norms[0]; /* a duplicate, or worse */
    double largest = 0;
    for (int j = 0; j < 33; j++) largest = peri_larger(largest, (double)norms[j]);
    bool lost = false, marked = kernels->rbf_exponent[0](33, x, norms, largest, norm, gamma);
    for (int j = 0; j < 33; j++) {
      double sum = norm + (double)norms[j], distance = sum - 2 * (double)given[j];
      lost = lost || x[j] > 0;
      PERI_CHECK(x[j] == 1 || x[j] <= 0, "an exponent of %g", (double)x[j]);
      PERI_CHECK(distance > 1e-4 * sum || x[j] == 1, "neighbours at %g of %g", distance, sum);
      if (x[j] <= 0)
        PERI_CHECK(fabs(exp((double)x[j]) - exp(-gamma * distance)) < 2e-6, "%g for %g", (double)x[j],
                   -gamma * distance);
    }
    PERI_CHECK(lost == marked, "marks that are not told");
  }
}

static void test_distances(void) {
  static const char *const sets[] = {"baseline", "exact", "v3", "v4"};
  for (size_t set = 0; set < PERI_COUNT(sets); set++) {
    setenv("PERILUNE_ISA", sets[set], 1);
    const peri_svm_kernels *kernels = peri_kernels_select()->svm;
    unsetenv("PERILUNE_ISA");
    check_distances(kernels);
    check_exponents(kernels);
  }
}

static void test_passes(void) {
  static const char *const sets[] = {"baseline", "exact", "v3", "v4"};
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

/* Sums and the choice of a partner, of numbers that are not exact and gains that nearly tie: whatever the instruction
 * set. */
static void fill_unevenly(sample *s, int trial) {
  *s = random_sample(trial);
  double base = uniform();
  for (int64_t t = 0; t < s->n; t++) {
    s->g[t] = trial % 2 ? uniform() : 1 + base / 3 + 0x1p-52 * (rand() % 4);
    s->diagonal[t] = 1 + (trial % 2 ? uniform() : base) / 7 + 0x1p-52 * (rand() % 4);
    s->i32[t] = (float)(s->i[t] = trial % 2 ? uniform() : base / 11);
    s->j32[t] = (float)(s->j[t] = uniform());
  }
}

typedef struct outcome {
  double sums[4];
  peri_svm_partner partner;
} outcome;

static outcome outcome_of(const peri_svm_kernels *k, const sample *s, int wide, int64_t n) {
  outcome o;
  memset(&o, 0, sizeof o);
  const void *i = wide ? (const void *)s->i : s->i32, *j = wide ? (const void *)s->j : s->j32;
  o.sums[0] = k->dot[wide](n, i, s->g);
  o.sums[1] = k->square[wide](n, j);
  o.sums[2] = k->distance[wide][wide](n, i, j);
  k->partner[wide](s->n, s->g, s->state, s->diagonal, i, 0.1, 1.3, s->kink, &o.partner);
  return o;
}

static void test_same_bits(void) {
  static const char *const sets[] = {"exact", "v3", "v4"};
  for (int trial = 0; trial < 3000; trial++) {
    sample s;
    fill_unevenly(&s, trial);
    int64_t n = 1 + rand() % s.n;
    for (int wide = 0; wide < 2; wide++) {
      outcome expected = {{0}, {0}};
      for (size_t set = 0; set < PERI_COUNT(sets); set++) {
        setenv("PERILUNE_ISA", sets[set], 1);
        const peri_kernels *kernels = peri_kernels_select();
        unsetenv("PERILUNE_ISA");
        outcome got = outcome_of(kernels->svm, &s, wide, n);
        if (set == 0) expected = got;
        PERI_CHECK(memcmp(&got, &expected, sizeof got) == 0, "other bits with %s, %lld", kernels->name, (long long)n);
      }
    }
  }
}

PERI_TEST_MAIN(PERI_TEST(test_passes), PERI_TEST(test_distances), PERI_TEST(test_same_bits))
