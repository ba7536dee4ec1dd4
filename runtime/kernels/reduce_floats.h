/* Sums and products of one float type, in double; as reduce_loops.h.
 *
 * A sum adds BLOCK rows plainly and the blocks with their rounding errors kept in a second number
 * (O. Moller, "Quasi double-precision in floating point addition", 1965), so that the error does not
 * grow with n. */

#define BLOCK 64

/* What is summed: x, or its distance from a centre to the power 1 or 2. */
static PERI_ALWAYS_INLINE double FN(term)(T x, const double *centre, int64_t j, int power) {
  double distance = power > 0 ? (double)x - centre[j] : (double)x;
  return power > 1 ? distance * distance : distance;
}

static PERI_ALWAYS_INLINE void FN(sum_block)(int64_t n, int64_t stride, int64_t width, const T *x, const double *centre,
                                             double *sum, int power) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const T *a = x + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    for (int64_t j = 0; j < width; j++) {
      sum[j] += (FN(term)(a[j], centre, j, power) + FN(term)(b[j], centre, j, power)) +
                (FN(term)(c[j], centre, j, power) + FN(term)(d[j], centre, j, power));
    }
  }
  for (; i < n; i++) {
    const T *a = x + i * stride;
    for (int64_t j = 0; j < width; j++) sum[j] += FN(term)(a[j], centre, j, power);
  }
}

static PERI_ALWAYS_INLINE void FN(sum_columns)(int64_t n, int64_t stride, int64_t width, const T *x,
                                               const double *centre, double *sum, int power) {
  double block[PERI_REDUCE_COLUMNS], error[PERI_REDUCE_COLUMNS];
  for (int64_t j = 0; j < width; j++) sum[j] = error[j] = 0;
  if (n <= BLOCK) { /* all of it, without an error */
    FN(sum_block)(n, stride, width, x, centre, sum, power);
    return;
  }
  for (int64_t i = 0; i < n; i += BLOCK) {
    for (int64_t j = 0; j < width; j++) block[j] = 0;
    FN(sum_block)(peri_min(BLOCK, n - i), stride, width, x + i * stride, centre, block, power);
    for (int64_t j = 0; j < width; j++) {
      double total = sum[j] + block[j], part = total - sum[j];
      error[j] += (sum[j] - (total - part)) + (block[j] - part);
      sum[j] = total;
    }
  }
  /* infinities leave no meaningful error behind */
  for (int64_t j = 0; j < width; j++) sum[j] += error[j] == error[j] ? error[j] : 0;
}

/* ---- a run: FOLD columns in vectors ---- */

static PERI_ALWAYS_INLINE doubles FN(terms)(const T *x, double centre, int power) {
  doubles distance = values_at(x, 0, sizeof(T) == sizeof(double));
  if (power > 0) distance -= all(centre);
  return power > 1 ? distance * distance : distance;
}

static PERI_ALWAYS_INLINE void FN(add_rows)(int64_t rows, const T *x, double centre, doubles *sum, int power) {
  for (; rows >= 4; rows -= 4, x += 4 * FOLD) {
    for (int s = 0; s < SUMS; s++) {
      const T *at = x + s * WIDTH;
      sum[s] += (FN(terms)(at, centre, power) + FN(terms)(at + FOLD, centre, power)) +
                (FN(terms)(at + 2 * FOLD, centre, power) + FN(terms)(at + 3 * FOLD, centre, power));
    }
  }
  for (; rows > 0; rows--, x += FOLD) {
    for (int s = 0; s < SUMS; s++) sum[s] += FN(terms)(x + s * WIDTH, centre, power);
  }
}

/* What follows the last whole row: whole vectors, and one that is filled up with nothing. */
static PERI_ALWAYS_INLINE void FN(add_rest)(int64_t rest, const T *x, double centre, doubles *sum, int power) {
  double last[WIDTH] = {0};
  for (int64_t j = rest & -(int64_t)WIDTH; j < rest; j++) last[j % WIDTH] = FN(term)(x[j], &centre, 0, power);
  for (int s = 0; s < SUMS; s++) {
    if ((s + 1) * WIDTH <= rest) {
      sum[s] += FN(terms)(x + s * WIDTH, centre, power);
    } else if (s * WIDTH < rest) {
      sum[s] += load(last);
    }
  }
}

static PERI_ALWAYS_INLINE double FN(sum_run)(int64_t n, const T *x, double centre, int power) {
  doubles sum[SUMS], error[SUMS];
  for (int s = 0; s < SUMS; s++) sum[s] = error[s] = all(0);
  int64_t rows = n / FOLD;
  for (int64_t i = 0; i < rows; i += BLOCK) {
    doubles block[SUMS];
    for (int s = 0; s < SUMS; s++) block[s] = all(0);
    FN(add_rows)(peri_min(BLOCK, rows - i), x + i * FOLD, centre, block, power);
    if (rows <= BLOCK) { /* all of it, without an error */
      for (int s = 0; s < SUMS; s++) sum[s] = block[s];
      break;
    }
    for (int s = 0; s < SUMS; s++) {
      doubles total = sum[s] + block[s], part = total - sum[s];
      error[s] += (sum[s] - (total - part)) + (block[s] - part);
      sum[s] = total;
    }
  }
  /* infinities leave no meaningful error behind */
  for (int s = 0; rows > BLOCK && s < SUMS; s++) sum[s] += known(error[s]);
  FN(add_rest)(n % FOLD, x + n - n % FOLD, centre, sum, power);
  return total_of(sum);
}

static PERI_ALWAYS_INLINE void FN(sum_any)(int64_t n, int64_t stride, int64_t width, const T *x, const double *centre,
                                           double *sum, int power) {
  if (width == 1 && n < FOLD) {
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += FN(term)(x[i * stride], centre, 0, power);
    *sum = total;
  } else if (width == 1 && stride == 1) {
    *sum = FN(sum_run)(n, x, power > 0 ? *centre : 0, power);
  } else {
    FN(sum_columns)(n, stride, width, x, centre, sum, power);
  }
}

static void FN(sum)(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  FN(sum_any)(n, stride, width, x, NULL, out, 0);
}

static void FN(squares)(int64_t n, int64_t stride, int64_t width, const void *x, const double *mean, double *out) {
  FN(sum_any)(n, stride, width, x, mean, out, 2);
}

static void FN(deviations)(int64_t n, int64_t stride, int64_t width, const void *x, const double *mean, double *out) {
  FN(sum_any)(n, stride, width, x, mean, out, 1);
}

static PERI_ALWAYS_INLINE void FN(prod_columns)(int64_t n, int64_t stride, int64_t width, const T *x, double *prod) {
  for (int64_t j = 0; j < width; j++) prod[j] = 1;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) prod[j] *= (double)x[i * stride + j];
  }
}

static void FN(prod)(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const T *xs = x;
  double *prod = out;
  if (width != 1 || stride != 1 || n < FOLD) {
    FN(prod_columns)(n, stride, width, x, prod);
    return;
  }
  double lanes[FOLD];
  FN(prod_columns)(n / FOLD, FOLD, FOLD, x, lanes);
  for (int64_t j = 0, rest = n % FOLD; j < rest; j++) lanes[j] *= (double)xs[n - rest + j];
  for (int half = FOLD / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; j++) lanes[j] *= lanes[j + half];
  }
  *prod = lanes[0];
}

#undef BLOCK
