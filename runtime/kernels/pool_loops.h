/* Pooling of planes for one float type; pool.isa.c includes this file once per type, with T the type, PLACE an integer
 * of its width, LANES of them in a vector, and FN(name) the name with its suffix. */

/* ---- vectors ---- */

typedef T FN(vector) __attribute__((vector_size(BYTES)));
typedef PLACE FN(places) __attribute__((vector_size(BYTES)));
typedef uint8_t FN(bytes) __attribute__((vector_size(LANES)));

static PERI_ALWAYS_INLINE FN(vector) FN(load)(const T *from) {
  FN(vector) vector;
  memcpy(&vector, from, sizeof vector);
  return vector;
}

static PERI_ALWAYS_INLINE void FN(store)(T *to, FN(vector) vector) { memcpy(to, &vector, sizeof vector); }

static PERI_ALWAYS_INLINE FN(vector) FN(choose)(FN(places) mask, FN(vector) a, FN(vector) b) {
  return (FN(vector))(((FN(places))a & mask) | ((FN(places))b & ~mask));
}

#if LANES == 4
/* Elements at distances of stride; none but those are read beyond the last. */
static PERI_ALWAYS_INLINE FN(vector) FN(load_every)(const T *from, int64_t stride) {
  if (stride == 1) return FN(load)(from);
  if (stride != 2) return (FN(vector)){from[0], from[stride], from[2 * stride], from[3 * stride]};
  FN(vector) a = FN(load)(from), b = FN(load)(from + 3);
  return (FN(vector)){a[0], a[2], b[1], b[3]};
}
static PERI_ALWAYS_INLINE FN(vector) FN(first_twos)(FN(vector) a, FN(vector) b) {
  return (FN(vector)){a[0], b[0], a[1], b[1]};
}
static PERI_ALWAYS_INLINE FN(vector) FN(last_twos)(FN(vector) a, FN(vector) b) {
  return (FN(vector)){a[2], b[2], a[3], b[3]};
}
#else
static PERI_ALWAYS_INLINE FN(vector) FN(load_every)(const T *from, int64_t stride) {
  return stride == 1 ? FN(load)(from) : (FN(vector)){from[0], from[stride]};
}
static PERI_ALWAYS_INLINE FN(vector) FN(first_twos)(FN(vector) a, FN(vector) b) { return (FN(vector)){a[0], b[0]}; }
static PERI_ALWAYS_INLINE FN(vector) FN(last_twos)(FN(vector) a, FN(vector) b) { return (FN(vector)){a[1], b[1]}; }
#endif

/* ---- the largest: NaN is larger than all, and the first among equals stays ---- */

static PERI_ALWAYS_INLINE bool FN(is_larger)(T x, T best) { return !(x <= best) && best == best; }
static PERI_ALWAYS_INLINE FN(places) FN(larger)(FN(vector) x, FN(vector) best) { return ~(x <= best) & (best == best); }

/* One window for each lane, all of which lie in x with all their columns; x is the first place of the first. */
static PERI_ALWAYS_INLINE void FN(max_lanes)(const T *x, int64_t row, int64_t rows, const peri_windows *across,
                                             int64_t stride, PLACE first, T *best, FN(places) * place) {
  FN(vector) value = FN(load_every)(x, stride);
  FN(places) at = first - (FN(places)){0}, now = at;
  for (int64_t r = 0; r < rows; r++, x += row) {
    for (int64_t c = 0; c < across->size; c++, now += 1) {
      FN(vector) next = FN(load_every)(x + c * across->dilation, stride);
      FN(places) better = FN(larger)(next, value);
      value = FN(choose)(better, next, value);
      at = (better & now) | (~better & at);
    }
  }
  FN(store)(best, value);
  *place = at;
}

/* n windows of a row; the last lanes may do some of them once more. */
static PERI_ALWAYS_INLINE void FN(max_inside)(int64_t n, const T *x, int64_t row, int64_t rows,
                                              const peri_windows *across, int64_t stride, PLACE first, T *best,
                                              char *place, bool bytes) {
  for (int64_t j = 0; j < n; j += LANES) {
    FN(places) at;
    j = peri_min(j, n - LANES);
    FN(max_lanes)(x + j * stride, row, rows, across, stride, first, best + j, &at);
    if (place != NULL && bytes) {
      FN(bytes) narrow = __builtin_convertvector(at, FN(bytes));
      memcpy(place + j, &narrow, sizeof narrow);
    } else if (place != NULL) {
      for (int64_t k = 0; k < LANES; k++) ((int64_t *)(void *)place)[j + k] = at[k];
    }
  }
}

/* One window; x is the first of its rows that lie in the plane. */
static void FN(max_one)(const T *x, int64_t row, int64_t rows, const peri_windows *across, int64_t j, PLACE first,
                        T *best, PLACE *place) {
  int64_t start = j * across->stride - across->padding, step = across->dilation;
  int64_t from = first_place(across, start), to = past_places(across, start);
  T value = x[start + from * step];
  PLACE at = first + (PLACE)from;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = from; c < to; c++) {
      T next = x[r * row + start + c * step];
      if (!FN(is_larger)(next, value)) continue;
      value = next;
      at = first + (PLACE)(r * across->size + c);
    }
  }
  *best = value;
  *place = at;
}

/* Row i of windows: those from inner.from to inner.to lie in x with all their columns. */
static PERI_ALWAYS_INLINE void FN(max_row)(const peri_windows windows[2], peri_span inner, int64_t i, const T *x, T *y,
                                           char *place, bool bytes) {
  const peri_windows *down = &windows[0], *across = &windows[1];
  int64_t start = i * down->stride - down->padding, row = down->dilation * across->n;
  int64_t from = first_place(down, start), rows = past_places(down, start) - from, n = inner.to - inner.from;
  PLACE first = (PLACE)(from * across->size);
  x += (start + from * down->dilation) * across->n;
  if (n >= LANES) {
    const T *inside = x + inner.from * across->stride - across->padding;
    char *places = place != NULL ? place + (size_t)inner.from * (bytes ? 1 : sizeof(int64_t)) : NULL;
    if (across->stride == 1) {
      FN(max_inside)(n, inside, row, rows, across, 1, first, y + inner.from, places, bytes);
    } else if (across->stride == 2) {
      FN(max_inside)(n, inside, row, rows, across, 2, first, y + inner.from, places, bytes);
    } else {
      FN(max_inside)(n, inside, row, rows, across, across->stride, first, y + inner.from, places, bytes);
    }
  }
  for (int64_t j = 0; j < across->count; j++) {
    PLACE at;
    if (n >= LANES && j == inner.from) j = inner.to;
    if (j == across->count) break;
    FN(max_one)(x, row, rows, across, j, first, y + j, &at);
    if (place != NULL && bytes) ((uint8_t *)place)[j] = (uint8_t)at;
    if (place != NULL && !bytes) ((int64_t *)(void *)place)[j] = at;
  }
}

static PERI_ALWAYS_INLINE void FN(max_rows)(int64_t planes, const peri_windows windows[2], int64_t from, int64_t to,
                                            const T *x, T *y, char *place, bool bytes) {
  peri_span inner = whole_windows(&windows[1]);
  for (int64_t plane = 0; plane < planes; plane++, x += windows[0].n * windows[1].n) {
    for (int64_t i = from; i < to; i++, y += windows[1].count) {
      FN(max_row)(windows, inner, i, x, y, place, bytes);
      if (place != NULL) place += (size_t)windows[1].count * (bytes ? 1 : sizeof(int64_t));
    }
  }
}

static void FN(max)(int64_t planes, const peri_windows windows[2], int64_t from, int64_t to, const void *x, void *y,
                    void *place) {
  if (place == NULL) {
    FN(max_rows)(planes, windows, from, to, x, y, NULL, false);
  } else if (peri_pool_place_dtype(windows) == PERI_UINT8) {
    FN(max_rows)(planes, windows, from, to, x, y, place, true);
  } else {
    FN(max_rows)(planes, windows, from, to, x, y, place, false);
  }
}

/* ---- to and from the places ---- */

/* y where the places say so, else 0, each lane's two numbers beside each other. */
static PERI_ALWAYS_INLINE void FN(store_twos)(FN(vector) y, FN(places) left, FN(places) right, T *x) {
  FN(vector) a = (FN(vector))((FN(places))y & left), b = (FN(vector))((FN(places))y & right);
  FN(store)(x, FN(first_twos)(a, b));
  FN(store)(x + LANES, FN(last_twos)(a, b));
}

/* Windows of 2 x 2 that lie in x beside each other: everything is written once, and some once more. */
static void FN(scatter_fours)(const peri_windows windows[2], const T *y, const uint8_t *place, T *x) {
  const peri_windows *down = &windows[0], *across = &windows[1];
  for (int64_t i = 0; i < down->count; i++, y += across->count, place += across->count) {
    T *upper = x + 2 * i * across->n, *lower = upper + across->n;
    for (int64_t j = 0; j < across->count; j += LANES) {
      FN(bytes) bytes;
      j = peri_min(j, across->count - LANES);
      memcpy(&bytes, place + j, sizeof bytes);
      FN(places) at = __builtin_convertvector(bytes, FN(places));
      FN(vector) value = FN(load)(y + j);
      FN(store_twos)(value, at == 0, at == 1, upper + 2 * j);
      FN(store_twos)(value, at == 2, at == 3, lower + 2 * j);
    }
    for (int64_t j = 2 * across->count; j < across->n; j++) upper[j] = lower[j] = 0;
  }
  memset(x + 2 * down->count * across->n, 0, (size_t)((down->n - 2 * down->count) * across->n) * sizeof(T));
}

/* x += y at the places, or y = x there. */
static PERI_ALWAYS_INLINE void FN(visit)(const peri_windows windows[2], const int64_t *offsets, T *y, const void *place,
                                         T *x, bool scatter) {
  const peri_windows *down = &windows[0], *across = &windows[1];
  const uint8_t *bytes = place;
  const int64_t *numbers = place;
  for (int64_t i = 0, k = 0; i < down->count; i++) {
    int64_t at = (i * down->stride - down->padding) * across->n - across->padding;
    for (int64_t j = 0; j < across->count; j++, k++, at += across->stride) {
      int64_t chosen = at + (offsets != NULL ? offsets[bytes[k]] : place_offset(windows, numbers[k]));
      if (scatter) {
        x[chosen] += y[k];
      } else {
        y[k] = x[chosen];
      }
    }
  }
}

static PERI_ALWAYS_INLINE void FN(visit_planes)(int64_t planes, const peri_windows windows[2], T *y, const char *place,
                                                T *x, bool scatter) {
  int64_t table[256], *offsets = NULL, size = windows[0].n * windows[1].n, count = windows[0].count * windows[1].count;
  bool bytes = peri_pool_place_dtype(windows) == PERI_UINT8;
  if (bytes) {
    offsets = table;
    for (int64_t k = 0; k < windows[0].size * windows[1].size; k++) offsets[k] = place_offset(windows, k);
  }
  for (int64_t plane = 0; plane < planes; plane++, x += size, y += count) {
    if (scatter) memset(x, 0, (size_t)size * sizeof(T));
    FN(visit)(windows, offsets, y, place, x, scatter);
    place += (size_t)count * (bytes ? 1 : sizeof(int64_t));
  }
}

static void FN(scatter)(int64_t planes, const peri_windows windows[2], const void *y, const void *place, void *x) {
  const T *values = y;
  const uint8_t *places = place;
  T *out = x;
  if (!are_fours(windows) || windows[1].count < LANES) {
    FN(visit_planes)(planes, windows, (T *)(uintptr_t)y, place, x, true);
    return;
  }
  int64_t count = windows[0].count * windows[1].count, size = windows[0].n * windows[1].n;
  for (int64_t plane = 0; plane < planes; plane++) {
    FN(scatter_fours)(windows, values + plane * count, places + plane * count, out + plane * size);
  }
}

static void FN(gather)(int64_t planes, const peri_windows windows[2], const void *x, const void *place, void *y) {
  FN(visit_planes)(planes, windows, y, place, (T *)(uintptr_t)x, false);
}

/* ---- averages ---- */

/* Sums of the columns over the rows from .. to. */
static PERI_ALWAYS_INLINE void FN(sum_rows)(const T *x, peri_span rows, int64_t width, double *sums) {
  for (int64_t j = 0; j < width; j++) sums[j] = (double)x[rows.from * width + j];
  for (int64_t i = rows.from + 1; i < rows.to; i++) {
    for (int64_t j = 0; j < width; j++) sums[j] += (double)x[i * width + j];
  }
}

static PERI_ALWAYS_INLINE void FN(average_row)(const peri_spans *across, bool pairs, double divisor, const double *sums,
                                               T *y) {
  if (pairs && is_power(divisor * across->span[0].divisor)) {
    const double share = 1 / (divisor * across->span[0].divisor);
    PERI_INDEPENDENT
    for (int64_t j = 0; j < across->count; j++) y[j] = (T)((sums[2 * j] + sums[2 * j + 1]) * share);
    return;
  }
  for (int64_t j = 0; j < across->count; j++) {
    peri_span span = across->span[j];
    double total = sums[span.from];
    for (int64_t k = span.from + 1; k < span.to; k++) total += sums[k];
    y[j] = (T)(total / (divisor * span.divisor));
  }
}

static void FN(average)(int64_t planes, const peri_spans spans[2], int64_t from, int64_t to, const void *x, void *y,
                        double *scratch) {
  const peri_spans *down = &spans[0], *across = &spans[1];
  const T *in = x;
  T *out = y;
  bool pairs = are_pairs(across);
  for (int64_t plane = 0; plane < planes; plane++, in += down->n * across->n) {
    for (int64_t i = from; i < to; i++, out += across->count) {
      FN(sum_rows)(in, down->span[i], across->n, scratch);
      FN(average_row)(across, pairs, down->span[i].divisor, scratch, out);
    }
  }
}

/* Windows of two by two, which do not overlap: each element is written once. */
static void FN(spread_pairs)(int64_t planes, const peri_spans spans[2], const T *in, T *out) {
  const peri_spans *down = &spans[0], *across = &spans[1];
  const int64_t width = across->n, count = across->count;
  const double share = 1 / (down->span[0].divisor * across->span[0].divisor);
  for (int64_t plane = 0; plane < planes; plane++, out += down->n * width) {
    for (int64_t i = 0; i < down->count; i++, in += count) {
      T *row = out + 2 * i * width, *next = row + width;
      PERI_INDEPENDENT
      for (int64_t j = 0; j < count; j++) {
        const T value = (T)(0 + (double)in[j] * share); /* no zero is negative */
        row[2 * j] = row[2 * j + 1] = next[2 * j] = next[2 * j + 1] = value;
      }
      for (int64_t j = 2 * count; j < width; j++) row[j] = next[j] = 0;
    }
    const int64_t done = 2 * down->count * width;
    memset(out + done, 0, (size_t)(down->n * width - done) * sizeof(T));
  }
}

static void FN(spread)(int64_t planes, const peri_spans spans[2], const void *y, void *x, double *scratch) {
  const peri_spans *down = &spans[0], *across = &spans[1];
  const T *in = y;
  T *out = x;
  int64_t width = across->n;
  if (are_pairs(down) && are_pairs(across) && is_power(down->span[0].divisor * across->span[0].divisor)) {
    FN(spread_pairs)(planes, spans, in, out);
    return;
  }
  for (int64_t plane = 0; plane < planes; plane++, out += down->n * width) {
    memset(out, 0, (size_t)(down->n * width) * sizeof(T));
    for (int64_t i = 0; i < down->count; i++, in += across->count) {
      peri_span rows = down->span[i];
      for (int64_t j = 0; j < width; j++) scratch[j] = 0;
      for (int64_t j = 0; j < across->count; j++) {
        peri_span span = across->span[j];
        double share = (double)in[j] / (rows.divisor * span.divisor);
        for (int64_t k = span.from; k < span.to; k++) scratch[k] += share;
      }
      for (int64_t r = rows.from; r < rows.to; r++) {
        T *row = out + r * width;
        for (int64_t j = 0; j < width; j++) row[j] += (T)scratch[j];
      }
    }
  }
}
