/* The micro-kernels and packing loops of one float type; tiles.isa.c includes this file once for each, with T,
 * FN(name), V (a vector of T), LANES, MADD and the partial LOAD and STORE. MR is the rows of a whole tile. */

#define NR (2 * LANES)

static PERI_ALWAYS_INLINE V FN(load)(const T *from) {
  V vector;
  memcpy(&vector, from, sizeof vector);
  return vector;
}

static PERI_ALWAYS_INLINE void FN(store)(T *to, V vector) { memcpy(to, &vector, sizeof vector); }

static PERI_ALWAYS_INLINE V FN(load_part)(const T *from, int64_t count) {
  return count >= LANES ? FN(load)(from) : LOAD(from, count);
}

static PERI_ALWAYS_INLINE void FN(store_part)(T *to, int64_t count, V vector) {
  if (count >= LANES)
    FN(store)(to, vector);
  else
    STORE(to, count, vector);
}

/* ---- micro-kernels ---- */

static PERI_ALWAYS_INLINE void FN(multiply)(const int rows, const int vectors, const ptrdiff_t a_row,
                                            const ptrdiff_t a_step, int64_t k, const T *a, const T *b, int64_t b_step,
                                            T *c, int64_t ldc, int64_t columns, bool add) {
  V sums[PERI_TILE_ROWS][2];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < vectors; v++) sums[r][v] = (V){0};
  }
  for (int64_t p = 0; p < k; p++) {
    V b0 = FN(load)(b), b1 = vectors > 1 ? FN(load)(b + LANES) : b0;
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      V factor = a[r * a_row + p * a_step] - (V){0};
      sums[r][0] = MADD(factor, b0, sums[r][0]);
      if (vectors > 1) sums[r][1] = MADD(factor, b1, sums[r][1]);
    }
    b += b_step;
  }
  if (columns >= vectors * LANES) {
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      for (int v = 0; v < vectors; v++) {
        T *to = c + r * ldc + v * LANES;
        FN(store)(to, add ? FN(load)(to) + sums[r][v] : sums[r][v]);
      }
    }
    return;
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < vectors; v++) {
      T *to = c + r * ldc + v * LANES;
      int64_t count = columns - v * LANES;
      FN(store_part)(to, count, add ? FN(load_part)(to, count) + sums[r][v] : sums[r][v]);
    }
  }
}

#define TILE(name, rows, vectors, row, step)                                                                           \
  static void FN(name)(int64_t k, const void *a, int64_t a_row, int64_t a_step, const void *b, int64_t b_step,         \
                       void *c, int64_t ldc, int64_t columns, bool add) {                                              \
    (void)a_row, (void)a_step;                                                                                         \
    FN(multiply)(rows, vectors, row, step, k, a, b, b_step, c, ldc, columns, add);                                     \
  }
#define TILES(rows)                                                                                                    \
  TILE(rows_##rows##_1, rows, 1, PERI_A_PITCH, 1)                                                                      \
  TILE(rows_##rows##_2, rows, 2, PERI_A_PITCH, 1)                                                                      \
  TILE(steps_##rows##_1, rows, 1, 1, MR)                                                                               \
  TILE(steps_##rows##_2, rows, 2, 1, MR)                                                                               \
  TILE(anywhere_##rows##_1, rows, 1, a_row, a_step)                                                                    \
  TILE(anywhere_##rows##_2, rows, 2, a_row, a_step)
EACH_ROWS(TILES)

/* ---- packing ---- */

/* One of the stages that turn a square of LANES x LANES: blocks of `side` lanes change places between vectors that are
 * `side` apart. */
#define LEFT(l, side)  ((l) & (side) ? LANES + (l) - (side) : (l))
#define RIGHT(l, side) ((l) & (side) ? LANES + (l) : (l) + (side))
#define EXCHANGE(side)                                                                                                 \
  _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) {                                                           \
    if (i & (side)) continue;                                                                                          \
    V upper = x[i], lower = x[i + (side)];                                                                             \
    x[i] = __builtin_shufflevector(upper, lower, EACH_LANE(LEFT, side));                                               \
    x[i + (side)] = __builtin_shufflevector(upper, lower, EACH_LANE(RIGHT, side));                                     \
  }

static PERI_ALWAYS_INLINE void FN(turn_square)(V x[LANES]) {
  EXCHANGE(1)
#if LANES > 2
  EXCHANGE(2)
#endif
#if LANES > 4
  EXCHANGE(4)
#endif
#if LANES > 8
  EXCHANGE(8)
#endif
}

/* count rows of x, whose elements lie along k, as steps of NR elements. */
static void FN(turn)(int64_t count, int64_t k, const void *const *vectors, void *to) {
  const T *const *x = (const T *const *)vectors;
  T *panel = to;
  for (int64_t i = 0; i < NR; i += LANES) {
    int64_t rows = count - i;
    for (int64_t p = 0; p < k; p += LANES) {
      int64_t steps = k - p;
      V square[LANES];
      if (rows >= LANES && steps >= LANES) {
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++) square[r] = FN(load)(x[i + r] + p);
        FN(turn_square)(square);
#pragma GCC unroll 16
        for (int s = 0; s < LANES; s++) FN(store)(panel + (p + s) * NR + i, square[s]);
        continue;
      }
#pragma GCC unroll 16
      for (int r = 0; r < LANES; r++) square[r] = r < rows ? FN(load_part)(x[i + r] + p, steps) : (V){0};
      FN(turn_square)(square);
#pragma GCC unroll 16
      for (int s = 0; s < LANES; s++) {
        if (s < steps) FN(store)(panel + (p + s) * NR + i, square[s]);
      }
    }
  }
}

/* k rows of x with count elements of a step each. */
static void FN(copy)(int64_t count, int64_t k, const void *from, int64_t ld, void *to) {
  const T *x = from;
  T *panel = to;
  if (count >= NR) {
#pragma GCC unroll 4
    for (int64_t p = 0; p < k; p++) {
      V first = FN(load)(x + p * ld), second = FN(load)(x + p * ld + LANES);
      FN(store)(panel + p * NR, first);
      FN(store)(panel + p * NR + LANES, second);
    }
    return;
  }
  for (int64_t p = 0; p < k; p++) {
    V first = FN(load_part)(x + p * ld, count), second = {0};
    if (count > LANES) second = FN(load_part)(x + p * ld + LANES, count - LANES);
    FN(store)(panel + p * NR, first);
    FN(store)(panel + p * NR + LANES, second);
  }
}

/* Several tiles' rows at once: where steps are far apart, a line of memory holds more than one tile takes. */
static void FN(copy_rows)(int64_t count, int64_t k, const void *from, int64_t ld, void *to) {
  const T *x = from;
  T *panels = to;
  for (int64_t p = 0; p < k; p++) {
    const T *step = x + p * ld;
    T *panel = panels + p * MR;
    int64_t i = 0;
    for (; i + MR <= count; i += MR) {
      memcpy(panel, step + i, MR * sizeof(T));
      panel += PERI_A_PITCH * MR;
    }
    for (; i < count; i++) *panel++ = step[i];
  }
}

static void FN(collect)(int64_t count, int64_t width, int64_t k, const void *const *vectors, int64_t step, void *to) {
  T *panel = to;
  for (int64_t p = 0; p < k; p++) {
    for (int64_t i = 0; i < width; i++) panel[p * width + i] = i < count ? ((const T *)vectors[i])[p * step] : 0;
  }
}

#undef NR
#undef TILE
#undef TILES
#undef LEFT
#undef RIGHT
#undef EXCHANGE
