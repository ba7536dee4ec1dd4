/* The loops of one float type; distance.isa.c includes this file once for each. */

/* The terms of a difference x added up: its square, or its size. */
static PERI_ALWAYS_INLINE V FN(with_term)(V sum, V x, const int order) {
  if (order == 2) return MADD(x, x, sum);
  return sum + SIZE_OF(x);
}

/* 1 to 4 rows (a constant) against one vector of columns, or two (a constant). */
static PERI_ALWAYS_INLINE void FN(tile)(const int order, const int rows, const int vectors, int64_t columns, int64_t d,
                                        const T *a, const T *b, int64_t ldb, T *c, int64_t ldc) {
  V sums[4][2];
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = (V){0};
  for (int64_t k = 0; k < d; k++, b += ldb) {
    V b0, b1;
    if (columns >= vectors * LANES) {
      memcpy(&b0, b, sizeof b0);
      memcpy(&b1, b + (vectors - 1) * LANES, sizeof b1);
    } else {
      b0 = b1 = LOAD(b, columns);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
      V value = a[r * d + k] - (V){0}, x = value - b0, y = value - b1;
      sums[r][0] = FN(with_term)(sums[r][0], x, order);
      if (vectors > 1) sums[r][1] = FN(with_term)(sums[r][1], y, order);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) {
    T roots[2 * LANES];
    memcpy(roots, sums[r], sizeof roots);
    for (int j = 0; order == 2 && j < vectors * LANES; j++) roots[j] = ROOT(roots[j]);
    memcpy(c + r * ldc, roots, (size_t)(columns < vectors * LANES ? columns : vectors * LANES) * sizeof(T));
  }
}

static PERI_ALWAYS_INLINE void FN(strip)(const int order, const int rows, int64_t columns, int64_t d, const T *a,
                                         const T *b, int64_t ldb, T *c, int64_t ldc) {
  for (; columns >= 2 * LANES; columns -= 2 * LANES, b += 2 * LANES, c += 2 * LANES) {
    FN(tile)(order, rows, 2, 2 * LANES, d, a, b, ldb, c, ldc);
  }
  for (; columns > 0; columns -= LANES, b += LANES, c += LANES) FN(tile)(order, rows, 1, columns, d, a, b, ldb, c, ldc);
}

static PERI_ALWAYS_INLINE void FN(rows)(const int order, int64_t rows, int64_t columns, int64_t d, const T *a,
                                        const T *b, int64_t ldb, T *c, int64_t ldc) {
  for (; rows >= 4; rows -= 4, a += 4 * d, c += 4 * ldc) FN(strip)(order, 4, columns, d, a, b, ldb, c, ldc);
  for (; rows > 0; rows--, a += d, c += ldc) FN(strip)(order, 1, columns, d, a, b, ldb, c, ldc);
}

static void FN(sizes)(int64_t rows, int64_t columns, int64_t d, const void *a, const void *b, int64_t ldb, void *c,
                      int64_t ldc) {
  FN(rows)(1, rows, columns, d, a, b, ldb, c, ldc);
}
static void FN(squares)(int64_t rows, int64_t columns, int64_t d, const void *a, const void *b, int64_t ldb, void *c,
                        int64_t ldc) {
  FN(rows)(2, rows, columns, d, a, b, ldb, c, ldc);
}
