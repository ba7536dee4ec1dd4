/* Normalisation of columns for one float type; normalize.isa.c includes this file once per type, with T the type and
 * FN(name) the name with its suffix.
 *
 * A mean is a double, of which T holds the larger part and the rest: x less the one and then the other is as exact as
 * a deviation in T can be, where the mean is large beside it, too. */

typedef struct FN(centre) {
  T high, low;
} FN(centre);

static PERI_ALWAYS_INLINE FN(centre) FN(split)(double mean) {
  T high = (T)mean;
  double low = mean - (double)high;
  return (FN(centre)){high, low == low ? (T)low : 0}; /* an infinite mean has no rest */
}

static PERI_ALWAYS_INLINE T FN(deviation)(T x, FN(centre) mean) { return (x - mean.high) - mean.low; }

static void FN(scale)(int64_t n, int64_t stride, int64_t width, bool each, const void *x, const double *mean,
                      const double *scale, const double *shift, void *y) {
  const T *in = x;
  T *out = y;
  if (!each) {
    FN(centre) centre = FN(split)(*mean);
    T factor = (T)*scale, term = (T)*shift;
    for (int64_t i = 0; i < n; i++, in += stride, out += stride) {
      PERI_INDEPENDENT
      for (int64_t j = 0; j < width; j++) out[j] = FN(deviation)(in[j], centre) * factor + term;
    }
    return;
  }
  T high[PERI_NORMALIZE_COLUMNS], low[PERI_NORMALIZE_COLUMNS], factor[PERI_NORMALIZE_COLUMNS],
      term[PERI_NORMALIZE_COLUMNS];
  for (int64_t j = 0; j < width; j++) {
    FN(centre) centre = FN(split)(mean[j]);
    high[j] = centre.high;
    low[j] = centre.low;
    factor[j] = (T)scale[j];
    term[j] = (T)shift[j];
  }
  for (int64_t i = 0; i < n; i++, in += stride, out += stride) {
    PERI_INDEPENDENT
    for (int64_t j = 0; j < width; j++) {
      out[j] = FN(deviation)(in[j], (FN(centre)){high[j], low[j]}) * factor[j] + term[j];
    }
  }
}

/* (g - shift - deviation slope) scale */
static PERI_ALWAYS_INLINE T FN(corrected)(T g, T deviation, T slope, T shift, T scale) {
  return ((g - shift) - deviation * slope) * scale;
}

static void FN(correct)(int64_t n, int64_t stride, int64_t width, bool each, const void *g, const void *x,
                        const double *mean, const double *slope, const double *shift, const double *scale, void *y) {
  const T *gs = g, *in = x;
  T *out = y;
  if (!each) {
    FN(centre) centre = FN(split)(*mean);
    T tilt = (T)*slope, term = (T)*shift, factor = (T)*scale;
    for (int64_t i = 0; i < n; i++, gs += stride, in += stride, out += stride) {
      PERI_INDEPENDENT
      for (int64_t j = 0; j < width; j++)
        out[j] = FN(corrected)(gs[j], FN(deviation)(in[j], centre), tilt, term, factor);
    }
    return;
  }
  T high[PERI_NORMALIZE_COLUMNS], low[PERI_NORMALIZE_COLUMNS];
  T tilt[PERI_NORMALIZE_COLUMNS], term[PERI_NORMALIZE_COLUMNS], factor[PERI_NORMALIZE_COLUMNS];
  for (int64_t j = 0; j < width; j++) {
    FN(centre) centre = FN(split)(mean[j]);
    high[j] = centre.high;
    low[j] = centre.low;
    tilt[j] = (T)slope[j];
    term[j] = (T)shift[j];
    factor[j] = (T)scale[j];
  }
  for (int64_t i = 0; i < n; i++, gs += stride, in += stride, out += stride) {
    PERI_INDEPENDENT
    for (int64_t j = 0; j < width; j++) {
      T deviation = FN(deviation)(in[j], (FN(centre)){high[j], low[j]});
      out[j] = FN(corrected)(gs[j], deviation, tilt[j], term[j], factor[j]);
    }
  }
}

/* Adds what n rows have to the sums. */
static PERI_ALWAYS_INLINE void FN(add_products)(int64_t n, int64_t stride, int64_t width, const T *g, const T *x,
                                                const double *mean, double *sums, double *products) {
  int64_t i = 0;
  for (; i + 2 <= n; i += 2, g += 2 * stride, x += 2 * stride) {
    const T *next_g = g + stride, *next_x = x + stride;
    for (int64_t j = 0; j < width; j++) {
      double a = (double)g[j], b = (double)next_g[j], centre = mean[j];
      sums[j] += a + b;
      products[j] += a * ((double)x[j] - centre) + b * ((double)next_x[j] - centre);
    }
  }
  for (int64_t j = 0; i < n && j < width; j++) {
    sums[j] += (double)g[j];
    products[j] += (double)g[j] * ((double)x[j] - mean[j]);
  }
}

/* Blocks of rows first, so that many rows cost few digits. */
static void FN(products)(int64_t n, int64_t stride, int64_t width, const void *g, const void *x, const double *mean,
                         double *sums, double *products) {
  double block_sums[PERI_NORMALIZE_COLUMNS], block_products[PERI_NORMALIZE_COLUMNS];
  for (int64_t j = 0; j < width; j++) sums[j] = products[j] = 0;
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t rows = peri_min(BLOCK, n - i), at = i * stride;
    for (int64_t j = 0; j < width; j++) block_sums[j] = block_products[j] = 0;
    FN(add_products)(rows, stride, width, (const T *)g + at, (const T *)x + at, mean, block_sums, block_products);
    for (int64_t j = 0; j < width; j++) {
      sums[j] += block_sums[j];
      products[j] += block_products[j];
    }
  }
}
