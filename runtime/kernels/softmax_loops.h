/* Softmax and cross-entropy of contiguous rows for one float type; softmax.isa.c includes this file
 * once per type, with T, FN(name), EXP(x) and LOG(x).
 *
 * softmax(x)_j = e^(x_j - m) / S with m = max x and S = sum e^(x_j - m). The exponentials of many
 * short rows are one loop over the whole block. Sums are in double. */

static PERI_ALWAYS_INLINE T FN(larger)(T a, T b) { return a > b || a != a ? a : b; }

static PERI_NOINLINE T FN(row_max)(int64_t n, const T *x) {
  T value = x[0];
  int64_t i = 1;
  if (n >= FOLD) {
    T lanes[FOLD];
    for (int j = 0; j < FOLD; j++) lanes[j] = x[j];
    for (i = FOLD; i + FOLD <= n; i += FOLD) {
      for (int j = 0; j < FOLD; j++) lanes[j] = FN(larger)(lanes[j], x[i + j]);
    }
    /* the last lanes of x, of which some have been looked at */
    for (int j = 0; j < FOLD; j++) lanes[j] = FN(larger)(lanes[j], x[n - FOLD + j]);
    for (int half = FOLD / 2; half > 0; half /= 2) {
      for (int j = 0; j < half; j++) lanes[j] = FN(larger)(lanes[j], lanes[j + half]);
    }
    return lanes[0];
  }
  for (; i < n; i++) value = FN(larger)(value, x[i]);
  return value;
}

static PERI_ALWAYS_INLINE doubles FN(product)(const T *x, const T *w) {
  doubles values = values_at(x, 0, sizeof(T) == sizeof(double));
  return w != NULL ? values * values_at(w, 0, sizeof(T) == sizeof(double)) : values;
}

/* sum of x_j w_j, or of x_j where w is NULL */
static PERI_ALWAYS_INLINE double FN(sum_of_row)(int64_t n, const T *x, const T *w) {
  double sum = 0;
  int64_t i = 0;
  if (n >= FOLD) {
    doubles lanes[SUMS];
    for (int s = 0; s < SUMS; s++) lanes[s] = all(0);
    for (; i + FOLD <= n; i += FOLD) {
      for (int s = 0; s < SUMS; s++) lanes[s] += FN(product)(x + i + s * WIDTH, w != NULL ? w + i + s * WIDTH : NULL);
    }
    /* whole vectors of what is left, and its last numbers as one that is filled up */
    double last[WIDTH] = {0};
    for (int64_t j = i + ((n - i) & -(int64_t)WIDTH); j < n; j++)
      last[(j - i) % WIDTH] = w != NULL ? (double)x[j] * (double)w[j] : (double)x[j];
    for (int s = 0; s < SUMS; s++) {
      int64_t at = i + s * WIDTH;
      if (at + WIDTH <= n) {
        lanes[s] += FN(product)(x + at, w != NULL ? w + at : NULL);
      } else if (at < n) {
        lanes[s] += load(last);
      }
    }
    return sum_of(lanes, FOLD / GROUP_LANES);
  }
  for (; i < n; i++) sum += w != NULL ? (double)x[i] * (double)w[i] : (double)x[i];
  return sum;
}

static PERI_NOINLINE double FN(row_dot)(int64_t n, const T *x, const T *w) { return FN(sum_of_row)(n, x, w); }
static PERI_NOINLINE double FN(row_sum)(int64_t n, const T *x) { return FN(sum_of_row)(n, x, NULL); }

/* x = e^x, in whole vectors of 64 bytes; what follows the last of them is worth one of its own. */
static void FN(exp_run)(int64_t n, T *x) {
  enum { RUN = 64 / sizeof(T) };
  int64_t whole = n & -(int64_t)RUN;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < whole; i++) x[i] = EXP(x[i]);
  if (whole == n) return;
  T last[RUN];
  for (int64_t i = 0; i < RUN; i++) last[i] = x[peri_min(whole + i, n - 1)];
  PERI_INDEPENDENT
  for (int64_t i = 0; i < RUN; i++) last[i] = EXP(last[i]);
  for (int64_t i = whole; i < n; i++) x[i] = last[i - whole];
}

/* A sum in pieces of SCRATCH, so that it is the same whether the exponentials are kept or not. */
static double FN(total)(int64_t n, const T *x) {
  double sum = 0;
  for (int64_t from = 0; from < n; from += SCRATCH) sum += FN(row_sum)(peri_min(SCRATCH, n - from), x + from);
  return sum;
}

/* The same of a row, and its largest element; short rows are many, and cost what a call does. */
static PERI_ALWAYS_INLINE double FN(sum_row)(int64_t n, const T *x) {
  double sum = 0;
  if (n >= FOLD) return FN(total)(n, x);
  for (int64_t j = 0; j < n; j++) sum += (double)x[j];
  return sum;
}
static PERI_ALWAYS_INLINE T FN(largest)(int64_t n, const T *x) {
  T most = x[0];
  if (n >= FOLD) return FN(row_max)(n, x);
  for (int64_t j = 1; j < n; j++) most = FN(larger)(most, x[j]);
  return most;
}

/* Rows that stay in the first-level cache while all passes go over them. */
static PERI_ALWAYS_INLINE int64_t FN(rows_at_once)(int64_t n) { return peri_max(1, AT_ONCE / n); }

static PERI_ALWAYS_INLINE void FN(softmax_rows)(int64_t rows, int64_t n, const T *in, T *out) {
  for (int64_t r = 0; r < rows; r++) {
    T most = FN(largest)(n, in + r * n);
    PERI_INDEPENDENT
    for (int64_t j = 0; j < n; j++) out[r * n + j] = in[r * n + j] - most;
  }
  FN(exp_run)(rows * n, out);
  for (int64_t r = 0; r < rows; r++) {
    T sum = (T)FN(sum_row)(n, out + r * n);
    for (int64_t j = 0; j < n; j++) out[r * n + j] /= sum;
  }
}

static void FN(softmax)(int64_t rows, int64_t n, const void *x, void *y) {
  for (int64_t r = 0, step = FN(rows_at_once)(n); r < rows; r += step)
    FN(softmax_rows)(peri_min(step, rows - r), n, (const T *)x + r * n, (T *)y + r * n);
}

/* The sum of e^(x_j - most), for rows whose exponentials are not wanted themselves. */
static double FN(exp_sum)(int64_t n, const T *x, T most) {
  T part[SCRATCH];
  double sum = 0;
  for (int64_t from = 0; from < n; from += SCRATCH) {
    int64_t count = peri_min(SCRATCH, n - from);
    for (int64_t j = 0; j < count; j++) part[j] = x[from + j] - most;
    FN(exp_run)(count, part);
    sum += FN(row_sum)(count, part);
  }
  return sum;
}

static void FN(log_softmax)(int64_t rows, int64_t n, const void *x, void *y) {
  const T *in = x;
  T *out = y;
  for (int64_t r = 0; r < rows; r++, in += n, out += n) {
    T most = FN(row_max)(n, in), log_sum = LOG((T)FN(exp_sum)(n, in, most));
    for (int64_t j = 0; j < n; j++) out[j] = (in[j] - most) - log_sum;
  }
}

/* gx = y (gy - gy.y) */
static void FN(softmax_backward)(int64_t rows, int64_t n, const void *gy, const void *y, void *gx) {
  const T *g = gy, *ys = y;
  T *out = gx;
  for (int64_t r = 0; r < rows; r++, g += n, ys += n, out += n) {
    T dot = (T)FN(row_dot)(n, g, ys);
    PERI_INDEPENDENT
    for (int64_t j = 0; j < n; j++) out[j] = (g[j] - dot) * ys[j];
  }
}

/* gx = gy - e^y sum(gy) */
static void FN(log_softmax_backward)(int64_t rows, int64_t n, const void *gy, const void *y, void *gx) {
  const T *g = gy, *ys = y;
  T *out = gx;
  for (int64_t r = 0; r < rows; r++, g += n, ys += n, out += n) {
    T sum = (T)FN(row_sum)(n, g);
    PERI_INDEPENDENT
    for (int64_t j = 0; j < n; j++) out[j] = g[j] - EXP(ys[j]) * sum;
  }
}

/* Rows of two classes, which are many, go through loops over vectors. */
static void FN(shift_pairs)(int64_t rows, const T *x, T *out) {
  PERI_INDEPENDENT
  for (int64_t r = 0; r < rows; r++) {
    const T first = x[2 * r], second = x[2 * r + 1], most = FN(larger)(first, second);
    out[2 * r] = first - most;
    out[2 * r + 1] = second - most;
  }
}

static void FN(divide_pairs)(int64_t rows, T *p, T *sums) {
  PERI_INDEPENDENT
  for (int64_t r = 0; r < rows; r++) {
    const T sum = (T)((double)p[2 * r] + (double)p[2 * r + 1]);
    p[2 * r] /= sum;
    p[2 * r + 1] /= sum;
    sums[r] = sum;
  }
}

/* Each row without its largest element; losses are x_target - most. */
static void FN(shift_rows)(int64_t rows, int64_t n, const T *x, const int64_t *target, T *out, T *losses) {
  if (n == 2) FN(shift_pairs)(rows, x, out);
  for (int64_t r = 0; r < rows; r++) {
    const T most = n == 2 ? 0 : FN(largest)(n, x + r * n);
    for (int64_t j = 0; j < n && n != 2; j++) out[r * n + j] = x[r * n + j] - most;
    losses[r] = out[r * n + target[r]];
  }
}

/* Exponentials become probabilities, and losses what they are to be. The logarithms are one loop over whole vectors. */
#define AT_ONE_TIME 64
static void FN(end_rows)(int64_t rows, int64_t n, T *p, T *losses) {
  enum { RUN = 64 / sizeof(T) };
  T sums[AT_ONE_TIME];
  const int64_t whole = (rows + RUN - 1) & -(int64_t)RUN;
  if (n == 2) FN(divide_pairs)(rows, p, sums);
  for (int64_t r = 0; r < rows && n != 2; r++, p += n) {
    T sum = (T)FN(sum_row)(n, p);
    for (int64_t j = 0; j < n; j++) p[j] /= sum;
    sums[r] = sum;
  }
  for (int64_t r = rows; r < whole; r++) sums[r] = 1;
  PERI_INDEPENDENT
  for (int64_t r = 0; r < whole; r++) sums[r] = LOG(sums[r]);
  for (int64_t r = 0; r < rows; r++) losses[r] = sums[r] - losses[r];
}

static void FN(cross_entropy)(int64_t rows, int64_t n, const void *x, const int64_t *target, void *loss, void *p) {
  const T *in = x;
  T *losses = loss, *out = p;
  if (out == NULL) {
    for (int64_t r = 0; r < rows; r++, in += n) {
      T most = FN(row_max)(n, in);
      losses[r] = LOG((T)FN(exp_sum)(n, in, most)) - (in[target[r]] - most);
    }
    return;
  }
  FN(shift_rows)(rows, n, in, target, out, losses);
  FN(exp_run)(rows * n, out);
  for (int64_t r = 0; r < rows; r += AT_ONE_TIME)
    FN(end_rows)(peri_min(AT_ONE_TIME, rows - r), n, out + r * n, losses + r);
}

#undef AT_ONE_TIME

static void FN(cross_entropy_backward_pairs)(int64_t rows, const T *g, int64_t g_step, T scale, const T *p,
                                             const int64_t *target, T *out) {
  PERI_INDEPENDENT
  for (int64_t r = 0; r < rows; r++) {
    const T factor = g[r * g_step] * scale, second = (T)target[r];
    out[2 * r] = factor * (p[2 * r] - ((T)1 - second));
    out[2 * r + 1] = factor * (p[2 * r + 1] - second);
  }
}

static void FN(cross_entropy_backward)(int64_t rows, int64_t n, const void *g, int64_t g_step, double scale,
                                       const void *p, const int64_t *target, void *gx) {
  const T *gs = g, *ps = p;
  T *out = gx;
  if (n == 2) {
    FN(cross_entropy_backward_pairs)(rows, gs, g_step, (T)scale, ps, target, out);
    return;
  }
  for (int64_t r = 0; r < rows; r++, ps += n, out += n) {
    T factor = gs[r * g_step] * (T)scale;
    T at_target = factor * (ps[target[r]] - (T)1);
    PERI_INDEPENDENT
    for (int64_t j = 0; j < n; j++) out[j] = factor * ps[j];
    out[target[r]] = at_target;
  }
}

/* ---- lanes: the same of rows of few classes, whose sums are plain ones, for networks side by side ---- */

#define EACH(l)                                                                                                        \
  PERI_INDEPENDENT                                                                                                     \
  for (int l = 0; l < PERI_LANES; l++)

static void FN(cross_entropy_lanes)(int64_t rows, int64_t n, const void *x, const int64_t *target, void *loss,
                                    void *p) {
  const T *in = x;
  T *losses = loss, *out = p;
  for (int64_t r = 0; r < rows; r++, in += n * PERI_LANES, out += n * PERI_LANES) {
    T most[PERI_LANES];
    memcpy(most, in, sizeof most);
    for (int64_t j = 1; j < n; j++) {
      EACH(l) most[l] = FN(larger)(most[l], in[j * PERI_LANES + l]);
    }
    for (int64_t j = 0; j < n; j++) {
      EACH(l) out[j * PERI_LANES + l] = in[j * PERI_LANES + l] - most[l];
    }
    for (int l = 0; l < PERI_LANES; l++) losses[r * PERI_LANES + l] = out[target[r * PERI_LANES + l] * PERI_LANES + l];
  }
  FN(exp_run)(rows * n * PERI_LANES, p);
  out = p;
  for (int64_t r = 0; r < rows; r++, out += n * PERI_LANES, losses += PERI_LANES) {
    double sum[PERI_LANES] = {0};
    T rounded[PERI_LANES];
    for (int64_t j = 0; j < n; j++) {
      EACH(l) sum[l] += (double)out[j * PERI_LANES + l];
    }
    EACH(l) rounded[l] = (T)sum[l];
    EACH(l) losses[l] = LOG(rounded[l]) - losses[l];
    for (int64_t j = 0; j < n; j++) {
      EACH(l) out[j * PERI_LANES + l] /= rounded[l];
    }
  }
}

static void FN(cross_entropy_lanes_backward)(int64_t rows, int64_t n, const void *g, int64_t g_step, double scale,
                                             const void *p, const int64_t *target, void *gx) {
  const T *gs = g, *ps = p;
  T *out = gx;
  for (int64_t r = 0; r < rows; r++, gs += g_step * PERI_LANES, ps += n * PERI_LANES, out += n * PERI_LANES) {
    T factor[PERI_LANES];
    EACH(l) factor[l] = gs[l] * (T)scale;
    for (int64_t j = 0; j < n; j++) {
      EACH(l) out[j * PERI_LANES + l] = factor[l] * ps[j * PERI_LANES + l];
    }
    for (int l = 0; l < PERI_LANES; l++) {
      const int64_t at = target[r * PERI_LANES + l] * PERI_LANES + l;
      out[at] = factor[l] * (ps[at] - (T)1);
    }
  }
}

/* Places are numbers of the scores' type, so that all of it is in vectors of one width. */
static void FN(hits_lanes)(int64_t rows, int64_t n, const void *x, int64_t row_stride, int64_t column_stride,
                           const int64_t *truth, int64_t *hits) {
  enum { ROWS = 16 };
  const T *in = x;
  T wanted[ROWS * PERI_LANES], right[PERI_LANES] = {0};
  for (int64_t r = 0; r < rows; r++, in += row_stride) {
    T best[PERI_LANES], place[PERI_LANES];
    if (r % ROWS == 0) {
      const int64_t count = peri_min(ROWS, rows - r) * PERI_LANES;
      for (int64_t i = 0; i < count; i++) wanted[i] = (T)truth[r * PERI_LANES + i];
    }
    EACH(l) best[l] = in[l];
    EACH(l) place[l] = 1;
    for (int64_t j = 1; j < n; j++) {
      const T *values = in + j * column_stride, number = (T)(j + 1);
      EACH(l) {
        const T value = values[l];
        const T finite = value > best[l] ? number : place[l];
        place[l] = ((value != value) & (best[l] == best[l])) ? number : finite;
        best[l] = value > best[l] || value != value ? value : best[l];
      }
    }
    const T *own = wanted + r % ROWS * PERI_LANES;
    EACH(l) {
      const T more = right[l] + (T)1;
      right[l] = own[l] == place[l] ? more : right[l];
    }
  }
  EACH(l) hits[l] += (int64_t)right[l];
}

#undef EACH
