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

/* p -= lr (g + decay p) */
static void FN(sgd)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T lr = (T)c[0], decay = (T)c[1];
  T *ps = p;
  const T *gs = g;
  (void)buffers;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) ps[i] -= lr * (gs[i] + decay * ps[i]);
}

/* b = keep b + take d (at first: d), p -= lr b, or in Nesterov's form p -= lr (d + keep b); d = g + decay p */
static PERI_ALWAYS_INLINE void FN(momentum_loop)(int64_t n, void *p, const void *g, void *buffer, const double *c,
                                                 bool first, bool nesterov) {
  const T lr = (T)c[0], decay = (T)c[1], keep = (T)c[2], take = (T)c[3];
  T *ps = p, *bs = buffer;
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = gs[i] + decay * ps[i];
    T b = first ? d : keep * bs[i] + take * d;
    bs[i] = b;
    ps[i] -= lr * (nesterov ? d + keep * b : b);
  }
}
#define MOMENTUM(name, first, nesterov)                                                                                \
  static void FN(name)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {                     \
    FN(momentum_loop)(n, p, g, buffers[0], c, first, nesterov);                                                        \
  }
MOMENTUM(momentum, false, false)
MOMENTUM(first_momentum, true, false)
MOMENTUM(nesterov, false, true)
MOMENTUM(first_nesterov, true, true)
#undef MOMENTUM

/* m = beta1 m + (1 - beta1) d, v = beta2 v + (1 - beta2) d^2, p = shrink p - step m / (sqrt(v) / root + eps),
 * with d = g + decay p; AMSGrad takes the largest v so far. */
static PERI_ALWAYS_INLINE void FN(adam_loop)(int64_t n, void *p, const void *g, void *const *buffers, const double *c,
                                             bool largest) {
  const T step = (T)c[0], decay = (T)c[1], shrink = (T)c[2], beta1 = (T)c[3], beta2 = (T)c[4], eps = (T)c[5],
          root = (T)c[6];
  const T take1 = (T)(1 - c[3]), take2 = (T)(1 - c[4]);
  T *ps = p, *ms = buffers[0], *vs = buffers[1], *tops = largest ? buffers[2] : NULL;
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(gs[i] + decay * ps[i]);
    T m = beta1 * ms[i] + take1 * d, v = beta2 * vs[i] + take2 * d * d, top = v;
    ms[i] = m;
    vs[i] = v;
    if (largest) {
      top = tops[i] > v ? tops[i] : v;
      tops[i] = top;
    }
    ps[i] = shrink * ps[i] - FN(quotient)(step * m, SQRT(top) / root + eps);
  }
}
static void FN(adam)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  FN(adam_loop)(n, p, g, buffers, c, false);
}
static void FN(amsgrad)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  FN(adam_loop)(n, p, g, buffers, c, true);
}

/* v = alpha v + (1 - alpha) d^2, a = alpha a + (1 - alpha) d, b = momentum b + d / (sqrt(v - centre a^2) + eps) with a
 * root of 0 where rounding makes the variance negative,
 * p -= lr b, with d = g + decay p. Buffers that an option leaves out are NULL: a is then 0 and b not kept. */
static PERI_ALWAYS_INLINE void FN(rmsprop_loop)(int64_t n, void *p, const void *g, void *const *buffers,
                                                const double *c, bool centred, bool moving) {
  const T lr = (T)c[0], decay = (T)c[1], alpha = (T)c[2], eps = (T)c[3], momentum = (T)c[4], take = (T)(1 - c[2]);
  T *ps = p, *vs = buffers[0], *as = buffers[1], *bs = buffers[2];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(gs[i] + decay * ps[i]);
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
  bool centred = buffers[1] != NULL, moving = buffers[2] != NULL;
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

/* s += d^2, p -= lr d / (sqrt(s) + eps), with d = g + decay p */
static void FN(adagrad)(int64_t n, void *p, const void *g, void *const *buffers, const double *c) {
  const T lr = (T)c[0], decay = (T)c[1], eps = (T)c[2];
  T *ps = p, *ss = buffers[0];
  const T *gs = g;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T d = FN(limited)(gs[i] + decay * ps[i]), s = ss[i] + d * d;
    s = s > LARGEST ? LARGEST : s;
    ss[i] = s;
    ps[i] -= FN(quotient)(lr * d, SQRT(s) + eps);
  }
}
