/* Sums, products and extremes of columns for one element type; reduce.isa.c includes this file once
 * per type, with T the type, FN(name) the name with its suffix, and IS_NAN(x).
 *
 * Everything is a reduction of columns, whose inner loop runs along the row and is vectorised. A
 * contiguous run is folded first: it is read as a matrix of FOLD columns, whose results are combined
 * in a fixed tree. */

/* ---- the largest and the smallest; NaN is beyond both ---- */

static PERI_ALWAYS_INLINE bool FN(beats)(T x, T best, bool largest) {
  return (largest ? x > best : x < best) || (IS_NAN(x) && !IS_NAN(best));
}

#if !defined(VECTOR)
static PERI_ALWAYS_INLINE void FN(best_values)(int64_t n, int64_t stride, int64_t width, const T *x, T *best,
                                               bool largest) {
  for (int64_t j = 0; j < width; j++) best[j] = x[j];
  for (int64_t i = 1; i < n; i++) {
    const T *row = x + i * stride;
    for (int64_t j = 0; j < width; j++) best[j] = FN(beats)(row[j], best[j], largest) ? row[j] : best[j];
  }
}
#endif

static PERI_ALWAYS_INLINE void FN(best_columns)(int64_t n, int64_t stride, int64_t width, const T *x, T *best,
                                                int64_t *index, bool largest) {
  for (int64_t j = 0; j < width; j++) {
    best[j] = x[j];
    index[j] = 0;
  }
  for (int64_t i = 1; i < n; i++) {
    const T *row = x + i * stride;
    for (int64_t j = 0; j < width; j++) {
      bool better = FN(beats)(row[j], best[j], largest);
      best[j] = better ? row[j] : best[j];
      index[j] = better ? i : index[j];
    }
  }
}

/* Where the value is found first. */
static int64_t FN(find)(int64_t n, const T *x, T value) {
  enum { STEP = 64 };
  int64_t i = 0;
  for (; i + STEP <= n; i += STEP) {
    int found = 0;
    for (int j = 0; j < STEP; j++) found |= IS_NAN(value) ? IS_NAN(x[i + j]) : x[i + j] == value;
    if (found) break;
  }
  int64_t first = i;
  for (int64_t j = peri_min(n, i + STEP) - 1; j >= i; j--) { /* without a branch on what no processor foresees */
    first = (IS_NAN(value) ? IS_NAN(x[j]) : x[j] == value) ? j : first;
  }
  return first;
}

#if defined(VECTOR) /* floats, four vectors at a time; what a NaN is compared with stays, and is told apart */
static PERI_ALWAYS_INLINE T FN(run_best)(int64_t n, const T *x, bool largest) {
  enum { LANES = sizeof(VECTOR) / sizeof(T), SETS = 4 };
  T value = x[0];
  int64_t i = 0;
  bool unordered = false;
  if (n >= SETS * LANES) {
    VECTOR best[SETS];
    NANS nans = NO_NANS;
    for (int s = 0; s < SETS; s++) memcpy(&best[s], x + s * LANES, sizeof best[s]);
    for (; i + SETS * LANES <= n; i += SETS * LANES) {
      for (int s = 0; s < SETS; s++) {
        VECTOR v;
        memcpy(&v, x + i + s * LANES, sizeof v);
        best[s] = largest ? LARGER(v, best[s]) : SMALLER(v, best[s]);
        nans = WITH_NANS(nans, v);
      }
    }
    T lanes[SETS * LANES];
    for (int s = 0; s < SETS; s++) memcpy(lanes + s * LANES, &best[s], sizeof best[s]);
    for (int j = 0; j < SETS * LANES; j++) value = (largest ? lanes[j] > value : lanes[j] < value) ? lanes[j] : value;
    unordered = ANY_NANS(nans);
  }
  for (; i < n; i++) {
    value = (largest ? x[i] > value : x[i] < value) ? x[i] : value;
    unordered |= IS_NAN(x[i]);
  }
  return unordered ? (T)NAN : value;
}
#else
static PERI_ALWAYS_INLINE T FN(run_best)(int64_t n, const T *x, bool largest) {
  T lanes[FOLD], value = x[0];
  int64_t folded = n - n % FOLD;
  if (folded > 0) {
    FN(best_values)(n / FOLD, FOLD, FOLD, x, lanes, largest);
    for (int j = 0; j < FOLD; j++) value = FN(beats)(lanes[j], value, largest) ? lanes[j] : value;
  }
  for (int64_t i = folded; i < n; i++) value = FN(beats)(x[i], value, largest) ? x[i] : value;
  return value;
}
#endif

/* The value is the one at the index: among equal zeros that settles the sign. */
static PERI_ALWAYS_INLINE void FN(best_run)(int64_t n, const T *x, T *best, int64_t *index, bool largest) {
  T value = FN(run_best)(n, x, largest);
  int64_t first = index != NULL || value == 0 || IS_NAN(value) ? FN(find)(n, x, value) : -1;
  *best = first >= 0 ? x[first] : value;
  if (index != NULL) *index = first;
}

static PERI_ALWAYS_INLINE void FN(best)(int64_t n, int64_t stride, int64_t width, const void *x, void *value,
                                        int64_t *index, bool largest) {
  int64_t ignored[PERI_REDUCE_COLUMNS];
  if (width == 1 && stride == 1) {
    FN(best_run)(n, x, value, index, largest);
  } else {
    FN(best_columns)(n, stride, width, x, value, index != NULL ? index : ignored, largest);
  }
}

static void FN(max)(int64_t n, int64_t stride, int64_t width, const void *x, void *value, int64_t *index) {
  FN(best)(n, stride, width, x, value, index, true);
}

static void FN(min)(int64_t n, int64_t stride, int64_t width, const void *x, void *value, int64_t *index) {
  FN(best)(n, stride, width, x, value, index, false);
}
