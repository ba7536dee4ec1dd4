/* Products of networks in lanes (kernels.h), for one float type; included by tiles.isa.c as tile.h is. Each lane's
 * elements are chains as everywhere, of one block. */

/* Some rows and columns of C, for the lanes of one vector. */
static PERI_ALWAYS_INLINE void FN(abreast)(const int rows, const int columns, const peri_lane_product *p, const T *a,
                                           const T *b, const T *bias, T *c) {
  V sums[4][4];
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++) sums[i][j] = (V){0};
  }
  for (int64_t s = 0; s < p->k; s++, a += p->a_step * PERI_LANES, b += p->b_step * PERI_LANES) {
    V right[4];
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++) right[j] = FN(load)(b + j * p->b_along * PERI_LANES);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
      const V left = FN(load)(a + i * p->a_along * PERI_LANES);
#pragma GCC unroll 4
      for (int j = 0; j < columns; j++) sums[i][j] = MADD(left, right[j], sums[i][j]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++) {
      V sum = sums[i][j];
      if (bias != NULL) sum += FN(load)(bias + j * PERI_LANES);
      FN(store)(c + (i * p->n + j) * PERI_LANES, sum);
    }
  }
}

static PERI_ALWAYS_INLINE void FN(abreast_rows)(const int rows, const peri_lane_product *p, const T *a, int lane,
                                                T *c) {
  const T *b = (const T *)p->b + lane, *bias = p->bias != NULL ? (const T *)p->bias + lane : NULL;
  int64_t left = p->n;
  const int64_t along = p->b_along * PERI_LANES;
  for (; left >= 4; left -= 4, b += 4 * along, c += 4 * PERI_LANES) {
    FN(abreast)(rows, 4, p, a, b, bias, c);
    if (bias != NULL) bias += 4 * PERI_LANES;
  }
  if (left >= 2) {
    FN(abreast)(rows, 2, p, a, b, bias, c);
    if (bias != NULL) bias += 2 * PERI_LANES;
    left -= 2, b += 2 * along, c += 2 * PERI_LANES;
  }
  if (left == 1) FN(abreast)(rows, 1, p, a, b, bias, c);
}

static void FN(lanes)(const peri_lane_product *p) {
  for (int lane = 0; lane < PERI_LANES; lane += LANES) {
    const T *a = (const T *)p->a + lane;
    T *c = (T *)p->c + lane;
    int64_t left = p->m;
    const int64_t along = p->a_along * PERI_LANES, row = p->n * PERI_LANES;
    for (; left >= 4; left -= 4, a += 4 * along, c += 4 * row) FN(abreast_rows)(4, p, a, lane, c);
    for (; left > 0; left--, a += along, c += row) FN(abreast_rows)(1, p, a, lane, c);
  }
}
