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

/* Where rows are longer than the block, processors do not foresee where the next begins: it is asked for ahead. */
static PERI_ALWAYS_INLINE void FN(ask_ahead)(int64_t rows, int64_t stride, int64_t width, const T *x) {
  enum { AHEAD = 2, LINE = 64 / sizeof(T) };
  if (stride == width || rows <= AHEAD) return;
  for (int64_t j = 0; j < width; j += LINE) __builtin_prefetch(x + AHEAD * stride + j);
}

static PERI_ALWAYS_INLINE T FN(better)(T value, T kept, bool largest) {
  bool better = (largest ? value > kept : value < kept) | IS_NAN(value);
  return better ? value : kept;
}

static PERI_ALWAYS_INLINE void FN(best_values)(int64_t n, int64_t stride, int64_t width, const T *x, T *best,
                                               bool largest) {
  int64_t i = 1;
  for (int64_t j = 0; j < width; j++) best[j] = x[j];
#if defined(VECTOR)
  for (; stride != width && i + 4 <= n; i += 4) { /* which asks for four rows at once */
    const T *a = x + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    for (int64_t j = 0; j < width; j++) {
      T kept = FN(better)(b[j], FN(better)(a[j], best[j], largest), largest);
      best[j] = FN(better)(d[j], FN(better)(c[j], kept, largest), largest);
    }
  }
#endif
  for (; i < n; i++) {
    for (int64_t j = 0; j < width; j++) best[j] = FN(better)(x[i * stride + j], best[j], largest);
  }
}

/* Places are counted in numbers as wide as the elements, and n is below 2^31. */
static PERI_ALWAYS_INLINE void FN(best_columns)(int64_t n, int64_t stride, int64_t width, const T *x, T *best,
                                                int64_t *index, bool largest) {
  PLACE place[PERI_REDUCE_COLUMNS];
  for (int64_t j = 0; j < width; j++) {
    best[j] = x[j];
    place[j] = 0;
  }
  for (PLACE i = 1; i < (PLACE)n; i++) {
    const T *row = x + i * stride;
    FN(ask_ahead)(n - i, stride, width, row);
    for (int64_t j = 0; j < width; j++) {
      T value = row[j], kept = best[j];
      bool better = (largest ? value > kept : value < kept) | (IS_NAN(value) & !IS_NAN(kept));
      best[j] = better ? value : kept;
      place[j] = better ? i : place[j];
    }
  }
  for (int64_t j = 0; j < width; j++) index[j] = place[j];
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
  enum { SHORT = 8 };
  for (; i + SHORT <= n; i += SHORT) {
    int found = 0;
    for (int j = 0; j < SHORT; j++) found |= IS_NAN(value) ? IS_NAN(x[i + j]) : x[i + j] == value;
    if (found) break;
  }
  int64_t first = i;
  for (int64_t j = peri_min(n, i + SHORT) - 1; j >= i; j--) { /* without a branch on what no processor foresees */
    first = (IS_NAN(value) ? IS_NAN(x[j]) : x[j] == value) ? j : first;
  }
  return first;
}

#if defined(VECTOR) /* floats, four vectors at a time; what a NaN is compared with stays, and is told apart */
static PERI_ALWAYS_INLINE T FN(run_best)(int64_t n, const T *x, bool largest) {
  enum { LANES = sizeof(VECTOR) / sizeof(T), SETS = 4 };
  T value = x[0];
  bool unordered = false;
  if (n >= LANES) {
    VECTOR best[SETS];
    NANS nans = NO_NANS;
    for (int s = 0; s < SETS; s++) memcpy(&best[s], x, sizeof best[s]);
    int64_t i = 0;
    for (; i + SETS * LANES <= n; i += SETS * LANES) {
      for (int s = 0; s < SETS; s++) {
        VECTOR v;
        memcpy(&v, x + i + s * LANES, sizeof v);
        best[s] = largest ? LARGER(v, best[s]) : SMALLER(v, best[s]);
        nans = WITH_NANS(nans, v);
      }
    }
    for (; i < n; i += LANES) { /* the last vector ends with x, and may have been looked at in part */
      VECTOR v;
      memcpy(&v, x + peri_min(i, n - LANES), sizeof v);
      best[0] = largest ? LARGER(v, best[0]) : SMALLER(v, best[0]);
      nans = WITH_NANS(nans, v);
    }
    for (int half = SETS / 2; half > 0; half /= 2) {
      for (int s = 0; s < half; s++) {
        best[s] = largest ? LARGER(best[s + half], best[s]) : SMALLER(best[s + half], best[s]);
      }
    }
    T lanes[LANES];
    memcpy(lanes, &best[0], sizeof best[0]);
    for (int half = LANES / 2; half > 0; half /= 2) {
      for (int j = 0; j < half; j++) {
        lanes[j] = (largest ? lanes[j + half] > lanes[j] : lanes[j + half] < lanes[j]) ? lanes[j + half] : lanes[j];
      }
    }
    value = lanes[0];
    unordered = ANY_NANS(nans);
  } else {
    for (int64_t i = 0; i < n; i++) {
      value = (largest ? x[i] > value : x[i] < value) ? x[i] : value;
      unordered |= IS_NAN(x[i]);
    }
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
  if (width == 1 && stride == 1) {
    FN(best_run)(n, x, value, index, largest);
  } else if (index != NULL) {
    FN(best_columns)(n, stride, width, x, value, index, largest);
  } else {
    FN(best_values)(n, stride, width, x, value, largest);
  }
}

static void FN(max)(int64_t n, int64_t stride, int64_t width, const void *x, void *value, int64_t *index) {
  FN(best)(n, stride, width, x, value, index, true);
}

static void FN(min)(int64_t n, int64_t stride, int64_t width, const void *x, void *value, int64_t *index) {
  FN(best)(n, stride, width, x, value, index, false);
}
