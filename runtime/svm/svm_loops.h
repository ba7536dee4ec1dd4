/* The loops of svm_kernels.isa.c that both dtypes have: included for each, with
 *   T, WIDE    float or double, and whether it is the latter
 *   FN(name)   the name with the dtype's ending
 *   COUNT      the integer as wide as T
 *   BITS, EXPONENT  its bits, and those of the exponent
 *   RBF_LOSS   see there */

/* ---- passes ---- */

static void FN(step)(int64_t n, double *g, const int8_t *state, const void *row_i, const void *row_j, double scale,
                     double kink, peri_svm_extremes *out) {
  shift by = {.row_i = row_i, .row_j = row_j, .scale = scale};
  if (kink > 0)
    step(n, g, state, &by, kink, out, WIDE, true);
  else
    step(n, g, state, &by, kink, out, WIDE, false);
}

static void FN(partner)(int64_t n, const double *g, const int8_t *state, const double *diagonal, const void *row_i,
                        double slope_i, double k_ii, double kink, peri_svm_partner *out) {
  chooser i = {.row = row_i, .slope = slope_i, .k_ii = k_ii};
  if (kink > 0)
    partner(n, g, state, diagonal, &i, kink, out, WIDE, true);
  else
    partner(n, g, state, diagonal, &i, kink, out, WIDE, false);
}

/* ---- vectors ---- */

static void FN(axpy)(int64_t n, double *restrict y, const void *x, double scale) {
  const T *restrict v = x;
  for (int64_t i = 0; i < n; i++) y[i] += scale * (double)v[i];
}

static void FN(axpy4)(int64_t n, double *restrict y, const void *const x[4], const double scale[4]) {
  const T *restrict a = x[0], *restrict b = x[1], *restrict c = x[2], *restrict d = x[3];
  double p = scale[0], q = scale[1], r = scale[2], s = scale[3];
  for (int64_t i = 0; i < n; i++) {
    y[i] = (((y[i] + p * (double)a[i]) + q * (double)b[i]) + r * (double)c[i]) + s * (double)d[i];
  }
}

static double FN(dot)(int64_t n, const void *x, const double *w) { return dot(n, x, w, WIDE); }
static double FN(square)(int64_t n, const void *x) { return square(n, x, WIDE); }

/* ---- squared distances of few features ---- */

static void FN(narrow_squares)(int64_t n, int64_t d, const void *a, const void *b, int64_t ldb, void *out) {
  const T *u = a;
  T *restrict v = out;
  for (int64_t l = 0; l < d; l++) {
    const T *restrict p = (const T *)b + l * ldb;
    if (l == 0) {
      for (int64_t j = 0; j < n; j++) v[j] = (u[l] - p[j]) * (u[l] - p[j]);
    } else {
      for (int64_t j = 0; j < n; j++) v[j] += (u[l] - p[j]) * (u[l] - p[j]);
    }
  }
}

/* ---- kernel rows ---- */

/* With the second condition, where some s may be too large for it to hold everywhere, and without. */
INLINE bool FN(exponents)(int64_t n, T *restrict v, const T *restrict squares, T square, T scale, bool bounded) {
  const T near = (T)RBF_NEIGHBOUR, loss = RBF_LOSS;
  COUNT lost = 0;
  for (int64_t i = 0; i < n; i++) {
    T sum = square + squares[i], distance = sum - 2 * v[i], minus = scale * distance;
    bool good = distance >= near * sum;
    if (!bounded) good &= scale * sum < loss + minus * (loss + (loss / 2) * minus);
    v[i] = good ? -minus : 1;
    lost |= !good;
  }
  return lost != 0;
}

static bool FN(rbf_exponent)(int64_t n, void *x, const void *norms, double largest, double norm, double gamma) {
  if (is_bounded(norm, largest, gamma, RBF_LOSS)) return FN(exponents)(n, x, norms, (T)norm, (T)gamma, true);
  return FN(exponents)(n, x, norms, (T)norm, (T)gamma, false);
}

static void FN(affine)(int64_t n, void *x, double scale, double offset) {
  T *v = x;
  T s = (T)scale, o = (T)offset;
  for (int64_t i = 0; i < n; i++) v[i] = s * v[i] + o;
}

/* Powers by repeated squaring, a short piece at a time so that it stays in registers and cache. */
static void FN(power)(int64_t n, void *x, int64_t degree) {
  if (degree == 2) {
    T *v = x;
    for (int64_t i = 0; i < n; i++) v[i] *= v[i];
    return;
  }
  for (T *v = x, *end = v + n; v < end; v += PIECE) {
    int64_t m = end - v < PIECE ? end - v : PIECE;
    T base[PIECE], result[PIECE];
    for (int64_t i = 0; i < m; i++) base[i] = v[i], result[i] = 1;
    for (int64_t left = degree; left > 0; left >>= 1) {
      if (left & 1) {
        for (int64_t i = 0; i < m; i++) result[i] *= base[i];
      }
      if (left == 1) break;
      for (int64_t i = 0; i < m; i++) base[i] *= base[i];
    }
    memcpy(v, result, (size_t)m * sizeof *v);
  }
}

/* Infinities and NaN are the values whose exponent bits are all set. */
static bool FN(finite)(int64_t n, const void *x) {
  const T *v = x;
  BITS found = 0;
  for (int64_t i = 0; i < n; i++) {
    BITS bits;
    memcpy(&bits, v + i, sizeof bits);
    found |= (bits & EXPONENT) == EXPONENT;
  }
  return found == 0;
}
