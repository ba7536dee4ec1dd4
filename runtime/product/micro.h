/* The micro-kernel of one float type and one kind of vector; tiles.isa.c includes this file once for each, with T,
 * FN(name), V (a vector of T), LANES, MADD and the partial LOAD and STORE. */

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

static PERI_ALWAYS_INLINE void FN(multiply)(const int rows, const int vectors, const ptrdiff_t a_row,
                                            const ptrdiff_t a_step, int64_t k, const T *a, const T *b, int64_t b_step,
                                            T *c, int64_t ldc, int64_t columns, const T *old, int64_t ldo) {
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
  const bool whole = columns >= vectors * LANES;
  if (old != NULL) {
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      for (int v = 0; v < vectors; v++) {
        const T *from = old + r * ldo + v * LANES;
        sums[r][v] = (whole ? FN(load)(from) : FN(load_part)(from, columns - v * LANES)) + sums[r][v];
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < vectors; v++) {
      T *to = c + r * ldc + v * LANES;
      if (whole)
        FN(store)(to, sums[r][v]);
      else
        FN(store_part)(to, columns - v * LANES, sums[r][v]);
    }
  }
}
