/* The update loops for one element type: included with T the type and FN(name) the name with the
 * type's suffix. Element by element they do what PyTorch's reference implementations do, with the
 * coefficients rounded to T first, but for what quotient and limited do. The letters of a row of c are named at the top
 * of each loop. */

/* a / b; 0 where b is, which means that no gradient has arrived yet, and eps is 0: there is no step then. */
static PERI_ALWAYS_INLINE T FN(quotient)(T a, T b) {
  T q = a / b;
  return b == 0 ? 0 : q;
}

/* A gradient whose square would overflow counts as the largest whose square does not: an infinite mean of squares would
 * stay so, and the parameter where it is. Infinities and NaN go on as they are. */
static PERI_ALWAYS_INLINE T FN(limited)(T d) {
  T size = ABS(d), most = d > 0 ? ROOT_OF_LARGEST : -ROOT_OF_LARGEST;
  T bounded = size > ROOT_OF_LARGEST ? most : d;
  return size > LARGEST ? d : bounded;
}

/* -1, 0 or 1; NaN stays. */
static PERI_ALWAYS_INLINE T FN(sign)(T d) {
  T negative = d < 0 ? -1 : d;
  return d > 0 ? 1 : negative;
}

/* ---- loops that can also run in lanes (plan/lanes.h) ----
 * What happens to value i is a function of its own, with numbers K(0), K(1), .. made of the coefficients; in lanes each
 * lane has its own. */
#define K(j) k[(j)*step + lane]
#define AT() const T *k, int step, int lane, int64_t i, T *p, const T *g, T *const *b
typedef void (*FN(change))(AT());

static PERI_ALWAYS_INLINE void FN(change_all)(int64_t n, void *p, const void *g, void *const *buffers, const T *k,
                                              FN(change) change) {
  T *const b[3] = {buffers[0], buffers[1], buffers[2]};
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) change(k, 1, 0, i, p, g, b);
}

static PERI_ALWAYS_INLINE void FN(change_lanes)(int64_t n, void *p, const void *g, void *const *buffers, const T *k,
                                                FN(change) change) {
  T *const b[3] = {buffers[0], buffers[1], buffers[2]};
  for (int64_t i = 0; i < n; i++) {
    PERI_INDEPENDENT
    for (int lane = 0; lane < PERI_UPDATE_LANES; lane++)
      change(k, PERI_UPDATE_LANES, lane, i * PERI_UPDATE_LANES + lane, p, g, b);
  }
}

/* Both loops of a change, and its numbers of the coefficients c. */
#define LOOPS(name, change, numbers)                                                                                   \
  static void FN(name)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {                     \
    T k[NUMBERS];                                                                                                      \
    FN(numbers)(c, k, 1);                                                                                              \
    FN(change_all)(n, p, g, buffers, k, FN(change));                                                                   \
  }                                                                                                                    \
  static void FN(name##_lanes)(int64_t n, void *p, const void *g, void *const *buffers,                                \
                               const double(*c)[PERI_UPDATE_COEFFICIENTS]) {                                           \
    T k[NUMBERS * PERI_UPDATE_LANES];                                                                                  \
    for (int l = 0; l < PERI_UPDATE_LANES; l++) FN(numbers)(c[l], k + l, PERI_UPDATE_LANES);                           \
    FN(change_lanes)(n, p, g, buffers, k, FN(change));                                                                 \
  }
#define NUMBERS 10

/* p -= lr (s g + decay p), where s is 1, or -1 to go up: here and below. Numbers: lr, decay, s. */
static PERI_ALWAYS_INLINE void FN(sgd_numbers)(const double *c, T *k, int step) {
  k[0] = (T)c[0];
  k[step] = (T)c[1];
  k[2 * step] = (T)c[4];
}
static PERI_ALWAYS_INLINE void FN(sgd_change)(AT()) {
  (void)b;
  p[i] -= K(0) * (K(2) * g[i] + K(1) * p[i]);
}
LOOPS(sgd, sgd_change, sgd_numbers)

/* b = keep b + take d (at first: d), p -= lr b, or in Nesterov's form p -= lr (d + keep b); d = s g + decay p. Numbers:
 * lr, decay, keep, take, s. */
static PERI_ALWAYS_INLINE void FN(momentum_numbers)(const double *c, T *k, int step) {
  k[0] = (T)c[0];
  k[step] = (T)c[1];
  k[2 * step] = (T)c[2];
  k[3 * step] = (T)c[3];
  k[4 * step] = (T)c[4];
}
static PERI_ALWAYS_INLINE void FN(momentum_at)(AT(), bool first, bool nesterov) {
  T d = K(4) * g[i] + K(1) * p[i];
  T kept = first ? d : K(2) * b[0][i] + K(3) * d;
  b[0][i] = kept;
  p[i] -= K(0) * (nesterov ? d + K(2) * kept : kept);
}
#define MOMENTUM(name, first, nesterov)                                                                                \
  static PERI_ALWAYS_INLINE void FN(name##_change)(AT()) {                                                             \
    FN(momentum_at)(k, step, lane, i, p, g, b, first, nesterov);                                                       \
  }                                                                                                                    \
  LOOPS(name, name##_change, momentum_numbers)
MOMENTUM(momentum, false, false)
MOMENTUM(first_momentum, true, false)
MOMENTUM(nesterov, false, true)
MOMENTUM(first_nesterov, true, true)
#undef MOMENTUM

/* m = beta1 m + (1 - beta1) d, v = beta2 v + (1 - beta2) d^2, p = shrink p - rate m / (sqrt(v) / root + eps),
 * with d = s g + decay p; AMSGrad takes the largest v so far. Numbers: rate, decay, shrink, beta1, beta2, eps, root, s,
 * 1 - beta1, 1 - beta2. */
static PERI_ALWAYS_INLINE void FN(adam_numbers)(const double *c, T *k, int step) {
  k[0] = (T)c[0];
  k[step] = (T)c[1];
  k[2 * step] = (T)c[2];
  k[3 * step] = (T)c[3];
  k[4 * step] = (T)c[4];
  k[5 * step] = (T)c[5];
  k[6 * step] = (T)c[6];
  k[7 * step] = (T)c[7];
  k[8 * step] = (T)(1 - c[3]);
  k[9 * step] = (T)(1 - c[4]);
}
static PERI_ALWAYS_INLINE void FN(adam_at)(AT(), bool largest) {
  T d = FN(limited)(K(7) * g[i] + K(1) * p[i]);
  T m = K(3) * b[0][i] + K(8) * d, v = K(4) * b[1][i] + K(9) * d * d, top = v;
  b[0][i] = m;
  b[1][i] = v;
  if (largest) {
    top = b[2][i] > v ? b[2][i] : v;
    b[2][i] = top;
  }
  p[i] = K(2) * p[i] - FN(quotient)(K(0) * m, SQRT(top) / K(6) + K(5));
}
static PERI_ALWAYS_INLINE void FN(adam_change)(AT()) { FN(adam_at)(k, step, lane, i, p, g, b, false); }
static PERI_ALWAYS_INLINE void FN(amsgrad_change)(AT()) { FN(adam_at)(k, step, lane, i, p, g, b, true); }
LOOPS(adam, adam_change, adam_numbers)
LOOPS(amsgrad, amsgrad_change, adam_numbers)

#undef NUMBERS
#undef LOOPS
#undef AT
#undef K

/* v = alpha v + (1 - alpha) d^2, a = alpha a + (1 - alpha) d, b = momentum b + d / (sqrt(v - centre a^2) + eps) with a
 * root of 0 where rounding makes the variance negative,
 * p -= lr b, with d = s g + decay p. Without centring a is 0, without momentum b is not kept, and their buffers may be
 * NULL. */
static PERI_ALWAYS_INLINE void FN(rmsprop_loop)(int64_t n, void *p, const void *g, void *const *buffers,
                                                const double *c, bool centred, bool moving) {
  const T lr = (T)c[0], decay = (T)c[1], alpha = (T)c[2], eps = (T)c[3], momentum = (T)c[4], s = (T)c[5],
          take = (T)(1 - c[2]);
  T *ps = p, *vs = buffers[0], *as = buffers[1], *bs = buffers[2];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(s * gs[i] + decay * ps[i]);
    T v = alpha * vs[i] + take * d * d, spread = v;
    vs[i] = v;
    if (centred) {
      T a = alpha * as[i] + take * d;
      as[i] = a;
      spread = v - a * a;
      spread = spread < 0 ? 0 : spread;
    }
    T b = FN(quotient)(d, SQRT(spread) + eps);
    if (moving) {
      b = momentum * bs[i] + b;
      bs[i] = b;
    }
    ps[i] -= lr * b;
  }
}
static void FN(rmsprop)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  bool centred = c[6] != 0, moving = c[7] != 0;
  if (centred && moving) {
    FN(rmsprop_loop)(n, p, g, buffers, c, true, true);
  } else if (centred) {
    FN(rmsprop_loop)(n, p, g, buffers, c, true, false);
  } else if (moving) {
    FN(rmsprop_loop)(n, p, g, buffers, c, false, true);
  } else {
    FN(rmsprop_loop)(n, p, g, buffers, c, false, false);
  }
}

/* t += d^2, p -= lr d / (sqrt(t) + eps), with d = s g + decay p; t is `initial` more at first */
static void FN(adagrad)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T lr = (T)c[0], decay = (T)c[1], eps = (T)c[2], initial = (T)c[3], s = (T)c[4];
  T *ps = p, *ts = buffers[0];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(s * gs[i] + decay * ps[i]), t = ts[i] + initial + d * d;
    t = t > LARGEST ? LARGEST : t;
    ts[i] = t;
    ps[i] -= FN(quotient)(lr * d, SQRT(t) + eps);
  }
}

/* m = beta1 m + (1 - beta1) d, u = max(beta2 u, |d| + eps), p -= step m / u, with d = s g + decay p */
static void FN(adamax)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T step = (T)c[0], decay = (T)c[1], beta1 = (T)c[2], beta2 = (T)c[3], eps = (T)c[4], s = (T)c[5],
          take = (T)(1 - c[2]);
  T *ps = p, *ms = buffers[0], *us = buffers[1];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(s * gs[i] + decay * ps[i]), m = beta1 * ms[i] + take * d;
    T kept = beta2 * us[i], size = ABS(d) + eps, u = size > kept ? size : kept;
    ms[i] = m;
    us[i] = u;
    ps[i] -= FN(quotient)(step * m, u);
  }
}

/* m, v as in adam, p -= (direct d + step m) / (sqrt(v) / root + eps), with d = s g + decay p */
static void FN(nadam)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T direct = (T)c[0], decay = (T)c[1], step = (T)c[2], beta1 = (T)c[3], beta2 = (T)c[4], eps = (T)c[5],
          root = (T)c[6], s = (T)c[7], take1 = (T)(1 - c[3]), take2 = (T)(1 - c[4]);
  T *ps = p, *ms = buffers[0], *vs = buffers[1];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(s * gs[i] + decay * ps[i]);
    T m = beta1 * ms[i] + take1 * d, v = beta2 * vs[i] + take2 * d * d;
    ms[i] = m;
    vs[i] = v;
    ps[i] -= FN(quotient)(direct * d + step * m, SQRT(v) / root + eps);
  }
}

/* m, v as in adam, p -= step m / (sqrt(v) + eps), or plainly p -= step m, with d = s g + decay p */
static PERI_ALWAYS_INLINE void FN(radam_loop)(int64_t n, void *p, const void *g, void *const *buffers, const double *c,
                                              bool scaled) {
  const T step = (T)c[0], decay = (T)c[1], beta1 = (T)c[2], beta2 = (T)c[3], eps = (T)c[4], s = (T)c[5],
          take1 = (T)(1 - c[2]), take2 = (T)(1 - c[3]);
  T *ps = p, *ms = buffers[0], *vs = buffers[1];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(s * gs[i] + decay * ps[i]);
    T m = beta1 * ms[i] + take1 * d, v = beta2 * vs[i] + take2 * d * d;
    ms[i] = m;
    vs[i] = v;
    ps[i] -= scaled ? FN(quotient)(step * m, SQRT(v) + eps) : step * m;
  }
}
static void FN(radam)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  FN(radam_loop)(n, p, g, buffers, c, true);
}
static void FN(plain_radam)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  FN(radam_loop)(n, p, g, buffers, c, false);
}

/* v = rho v + (1 - rho) d^2, x = sqrt(a + eps) / sqrt(v + eps) d, a = rho a + (1 - rho) x^2, p -= lr x, with
 * d = s g + decay p */
static void FN(adadelta)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T lr = (T)c[0], decay = (T)c[1], rho = (T)c[2], eps = (T)c[3], s = (T)c[4], take = (T)(1 - c[2]);
  T *ps = p, *vs = buffers[0], *as = buffers[1];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(s * gs[i] + decay * ps[i]), v = rho * vs[i] + take * d * d;
    T x = FN(quotient)(SQRT(as[i] + eps), SQRT(v + eps)) * d;
    vs[i] = v;
    as[i] = rho * as[i] + take * x * x;
    ps[i] -= lr * x;
  }
}

/* p = shrink p - eta d, with d = s g + decay p; a += mu (p - a), at first a = p */
static PERI_ALWAYS_INLINE void FN(asgd_loop)(int64_t n, void *p, const void *g, void *average, const double *c,
                                             bool first) {
  const T eta = (T)c[0], decay = (T)c[1], shrink = (T)c[2], mu = (T)c[3], s = (T)c[4];
  T *ps = p, *as = average;
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = s * gs[i] + decay * ps[i], q = shrink * ps[i] - eta * d;
    ps[i] = q;
    as[i] = first ? q : as[i] + (q - as[i]) * mu;
  }
}
static void FN(asgd)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  FN(asgd_loop)(n, p, g, buffers[0], c, false);
}
static void FN(first_asgd)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  FN(asgd_loop)(n, p, g, buffers[0], c, true);
}

/* A step of its own for each value: times plus while d keeps its sign; times minus when it turns, and then d counts as
 * 0; between the bounds least and most. p -= step sign(d), with d = s g. */
static void FN(rprop)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T lr = (T)c[0], minus = (T)c[1], plus = (T)c[2], least = (T)c[3], most = (T)c[4], s = (T)c[5];
  const T first = (T)c[6];
  T *ps = p, *last = buffers[0], *steps = buffers[1];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = s * gs[i], turn = d * last[i], step = first != 0 ? lr : steps[i];
    T factor = turn > 0 ? plus : 1;
    factor = turn < 0 ? minus : factor;
    step *= factor;
    step = step < least ? least : step;
    step = step > most ? most : step;
    d = turn < 0 ? 0 : d;
    last[i] = d;
    steps[i] = step;
    ps[i] -= step * FN(sign)(d);
  }
}

/* p = shrink p - lr sign(beta1 m + (1 - beta1) d), m = beta2 m + (1 - beta2) d, with d = s g */
static void FN(lion)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T lr = (T)c[0], shrink = (T)c[1], beta1 = (T)c[2], beta2 = (T)c[3], s = (T)c[4], take1 = (T)(1 - c[2]),
          take2 = (T)(1 - c[3]);
  T *ps = p, *ms = buffers[0];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = s * gs[i], m = ms[i];
    ps[i] = shrink * ps[i] - lr * FN(sign)(beta1 * m + take1 * d);
    ms[i] = beta2 * m + take2 * d;
  }
}
