/* The tiles and packing loops of one float type; tiles.isa.c includes this file once for each, behind micro.h. MR is
 * the rows of a whole tile. */

#define NR (2 * LANES)

TILE(packed_rows_1, MR, 1, PERI_A_PITCH, 1)
TILE(packed_rows_2, MR, 2, PERI_A_PITCH, 1)
TILE(packed_steps_1, MR, 1, 1, MR)
TILE(packed_steps_2, MR, 2, 1, MR)
#define TILES(rows) TILE(rows_##rows##_1, rows, 1, a_row, a_step) TILE(rows_##rows##_2, rows, 2, a_row, a_step)
EACH_ROWS(TILES)

/* ---- turning ---- */

/* Of two vectors, within each 16 bytes: the lower (upper) halves woven, one element from each in turn, and as they are.
 * Of their pieces of 16 bytes: the first, third (second, fourth) of the one, then of the other. */
#define WOVEN(l, upper) ((l) / QUARTER * QUARTER + (l) % QUARTER / 2 + (upper) * (QUARTER / 2) + ((l) % 2 ? LANES : 0))
#define HALVES(l, upper)                                                                                               \
  ((l) / QUARTER * QUARTER + (l) % (QUARTER / 2) + (upper) * (QUARTER / 2) + ((l) % QUARTER < QUARTER / 2 ? 0 : LANES))
#define PIECES(l, odd)                                                                                                 \
  (((l) < LANES / 2 ? 0 : LANES) + (2 * ((l) % (LANES / 2) / QUARTER) + (odd)) * QUARTER + (l) % QUARTER)
#define PICK(a, b, which, upper) __builtin_shufflevector(a, b, EACH_LANE(which, upper))

/* Turns LANES vectors: element j of vector i becomes element i of vector j. First their pieces of 16 bytes, then within
 * pieces, which needs no crossing of lanes, so that the first steps are complete soon. */
static PERI_ALWAYS_INLINE void FN(turn_square)(V x[LANES]) {
  V t[LANES];
#pragma GCC unroll 16
  for (int q = 0; q < QUARTER; q++) { /* t[g * QUARTER + q]: pieces g of vectors q, QUARTER + q, ... */
#if LANES / QUARTER == 4
    const V *y = x + q, *z = y + 2 * QUARTER;
    V a = PICK(y[0], y[QUARTER], PIECES, 0), b = PICK(z[0], z[QUARTER], PIECES, 0);
    V c = PICK(y[0], y[QUARTER], PIECES, 1), d = PICK(z[0], z[QUARTER], PIECES, 1);
    t[q] = PICK(a, b, PIECES, 0), t[2 * QUARTER + q] = PICK(a, b, PIECES, 1);
    t[QUARTER + q] = PICK(c, d, PIECES, 0), t[3 * QUARTER + q] = PICK(c, d, PIECES, 1);
#elif LANES / QUARTER == 2
    t[q] = PICK(x[q], x[QUARTER + q], PIECES, 0), t[QUARTER + q] = PICK(x[q], x[QUARTER + q], PIECES, 1);
#else
    t[q] = x[q];
#endif
  }
#pragma GCC unroll 16
  for (int g = 0; g < LANES; g += QUARTER) {
#if QUARTER == 4
    V a = PICK(t[g], t[g + 1], WOVEN, 0), b = PICK(t[g + 2], t[g + 3], WOVEN, 0);
    V c = PICK(t[g], t[g + 1], WOVEN, 1), d = PICK(t[g + 2], t[g + 3], WOVEN, 1);
    x[g] = PICK(a, b, HALVES, 0), x[g + 1] = PICK(a, b, HALVES, 1);
    x[g + 2] = PICK(c, d, HALVES, 0), x[g + 3] = PICK(c, d, HALVES, 1);
#else
    x[g] = PICK(t[g], t[g + 1], WOVEN, 0), x[g + 1] = PICK(t[g], t[g + 1], WOVEN, 1);
#endif
  }
}

/* LANES steps from step p on of LANES rows x[r]. */
static PERI_ALWAYS_INLINE void FN(turn_steps)(const T *const *x, int64_t p, V out[LANES]) {
#pragma GCC unroll 16
  for (int r = 0; r < LANES; r++) out[r] = FN(load)(x[r] + p);
  FN(turn_square)(out);
}

/* The same where only `count` rows and `steps` steps are there; the others are 0. */
static void FN(turn_edge)(const T *const *x, int64_t p, int64_t count, int64_t steps, V out[LANES]) {
  V rows[LANES];
  if (steps >= LANES) {
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) rows[r] = r < count ? FN(load)(x[r] + p) : (V){0};
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) rows[r] = r < count ? LOAD(x[r] + p, steps) : (V){0};
  }
  FN(turn_square)(rows);
#pragma GCC unroll 16
  for (int r = 0; r < LANES; r++) out[r] = rows[r];
}

/* The same of few elements, one by one, into steps of a panel. */
#define FEW_TURNED 64
static PERI_ALWAYS_INLINE void FN(turn_few)(const T *const *x, int64_t p, int64_t count, int64_t steps, T *panel) {
  for (int64_t s = 0; s < steps; s++) FN(store)(panel + s * NR, (V){0});
  for (int64_t r = 0; r < count; r++) {
    const T *vector = x[r] + p;
    for (int64_t s = 0; s < steps; s++) panel[s * NR + r] = vector[s];
  }
}

/* count rows of x, whose elements lie along k, as steps of NR elements; of up to LANES, as half steps. */
static void FN(turn)(int64_t count, int64_t k, const void *const *vectors, void *to) {
  const T *const *x = (const T *const *)vectors;
  for (int64_t i = 0; i < NR && i < count; i += LANES) {
    T *panel = (T *)to + i;
    int64_t p = 0, rows = count - i;
    V steps[LANES];
    for (; rows >= LANES && p + LANES <= k; p += LANES) {
      FN(turn_steps)(x + i, p, steps);
#pragma GCC unroll 16
      for (int s = 0; s < LANES; s++) FN(store)(panel + (p + s) * NR, steps[s]);
    }
    for (; p < k; p += LANES) {
      const int64_t some = peri_max(0, peri_min(rows, LANES)), ahead = peri_min(k - p, LANES);
      if (some * ahead <= FEW_TURNED) {
        FN(turn_few)(x + i, p, some, ahead, panel + p * NR);
        continue;
      }
      FN(turn_edge)(x + i, p, rows, k - p, steps);
      for (int s = 0; s < LANES && p + s < k; s++) FN(store)(panel + (p + s) * NR, steps[s]);
    }
  }
}

#undef FEW_TURNED

/* ---- a single row ---- */

/* The next LANES steps, or those that are there, of the chains of LANES columns that were turned. */
static PERI_ALWAYS_INLINE V FN(add_turned)(const T *a, int64_t a_step, const V turned[LANES], int64_t steps, V sum) {
#pragma GCC unroll 16
  for (int s = 0; s < LANES; s++) {
    if (s < steps) sum = MADD(a[s * a_step] - (V){0}, turned[s], sum);
  }
  return sum;
}

/* c = a B, or c += a B, where each column of B lies along k: turned and multiplied at once. Few columns at a time,
 * since memory that is read in more places at once comes slower, and enough chains for their latency. */
#define ROW_VECTORS (PERI_VECTOR == 64 ? 1 : 2)
static void FN(row_along)(int64_t k, const void *row, int64_t a_step, const void *const *vectors, void *to,
                          int64_t columns, bool add) {
  const T *a = row;
  for (int64_t at = 0; at < columns; at += ROW_VECTORS * LANES) {
    const T *const *x = (const T *const *)vectors + at;
    int64_t count = columns - at, p = 0;
    V sums[ROW_VECTORS] = {{0}}, turned[LANES];
    for (; count >= ROW_VECTORS * LANES && p + LANES <= k; p += LANES) {
#pragma GCC unroll 2
      for (int v = 0; v < ROW_VECTORS; v++) {
        FN(turn_steps)(x + v * LANES, p, turned);
        sums[v] = FN(add_turned)(a + p * a_step, a_step, turned, LANES, sums[v]);
      }
    }
    for (; p < k; p += LANES) {
      for (int v = 0; v < ROW_VECTORS && v * LANES < count; v++) {
        FN(turn_edge)(x + v * LANES, p, count - v * LANES, k - p, turned);
        sums[v] = FN(add_turned)(a + p * a_step, a_step, turned, k - p, sums[v]);
      }
    }
    for (int v = 0; v < ROW_VECTORS && v * LANES < count; v++) {
      T *c = (T *)to + at + v * LANES;
      FN(store_part)(c, count - v * LANES, add ? FN(load_part)(c, count - v * LANES) + sums[v] : sums[v]);
    }
  }
}
#undef ROW_VECTORS

/* One chain for each lane: blocks of one and the same product. */
static void FN(blocks)(int64_t count, const void *left, const void *right, void *to) {
  for (int64_t at = 0; at < count; at += LANES) {
    const T *a[LANES], *b[LANES];
    int64_t some = peri_min(LANES, count - at);
    for (int64_t r = 0; r < LANES; r++) { /* lanes beyond the last block repeat it */
      int64_t block = at + peri_min(r, some - 1);
      a[r] = (const T *)left + block * PERI_BLOCK;
      b[r] = (const T *)right + block * PERI_BLOCK;
    }
    V sum = {0};
    for (int64_t p = 0; p < PERI_BLOCK; p += LANES) {
      V x[LANES], y[LANES];
      FN(turn_steps)(a, p, x);
      FN(turn_steps)(b, p, y);
#pragma GCC unroll 16
      for (int s = 0; s < LANES; s++) sum = MADD(x[s], y[s], sum);
    }
    FN(store_part)((T *)to + at, some, sum);
  }
}

/* The next 8 steps, or count, of chains for some columns that lie side by side. */
static PERI_ALWAYS_INLINE void FN(add_steps)(const int count, bool first, const T *a, int64_t a_step, const T *b,
                                             int64_t b_step, T *sums, int64_t columns) {
  V factors[8];
#pragma GCC unroll 8
  for (int s = 0; s < count; s++) factors[s] = a[s * a_step] - (V){0};
  int64_t j = 0;
  for (; j + LANES <= columns; j += LANES) {
    V sum = first ? (V){0} : FN(load)(sums + j);
#pragma GCC unroll 8
    for (int s = 0; s < count; s++) sum = MADD(factors[s], FN(load)(b + s * b_step + j), sum);
    FN(store)(sums + j, sum);
  }
  if (j < columns) {
    V sum = first ? (V){0} : FN(load)(sums + j);
#pragma GCC unroll 8
    for (int s = 0; s < count; s++) sum = MADD(factors[s], FN(load_part)(b + s * b_step + j, columns - j), sum);
    FN(store)(sums + j, sum);
  }
}

/* c = a B, or c += a B, where the columns of B lie side by side: memory is read in its order, and chains wait in the
 * first-level cache. */
static void FN(row_across)(int64_t k, const void *row, int64_t a_step, const void *from, int64_t b_step, void *to,
                           int64_t columns, bool add) {
  const T *a = row;
  for (int64_t at = 0; at < columns; at += PERI_ROW_COLUMNS) {
    _Alignas(64) T sums[PERI_ROW_COLUMNS];
    const T *b = (const T *)from + at;
    T *c = (T *)to + at;
    int64_t width = peri_min(PERI_ROW_COLUMNS, columns - at), p = 0;
    for (int64_t j = 0; k == 0 && j < width; j++) sums[j] = 0;
    for (; p + 8 <= k; p += 8) FN(add_steps)(8, p == 0, a + p * a_step, a_step, b + p * b_step, b_step, sums, width);
    for (; p < k; p++) FN(add_steps)(1, p == 0, a + p * a_step, a_step, b + p * b_step, b_step, sums, width);
    if (!add) {
      memcpy(c, sums, (size_t)width * sizeof(T));
      continue;
    }
    for (int64_t j = 0; j < width; j++) c[j] += sums[j];
  }
}

/* ---- rows that are added ---- */

static void FN(add_rows)(int64_t rows, int64_t columns, const void *from, int64_t ldf, void *to, int64_t ldt) {
  for (int64_t r = 0; r < rows; r++) {
    const T *x = (const T *)from + r * ldf;
    T *c = (T *)to + r * ldt;
    int64_t j = 0;
    for (; j + LANES <= columns; j += LANES) FN(store)(c + j, FN(load)(c + j) + FN(load)(x + j));
    if (j == columns) continue;
    V sum = LOAD(c + j, columns - j) + LOAD(x + j, columns - j);
    STORE(c + j, columns - j, sum);
  }
}

/* ---- packing ---- */

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
  for (int64_t p = 0; p < k && count <= LANES; p++) FN(store)(panel + p * NR, FN(load_part)(x + p * ld, count));
  for (int64_t p = 0; p < k && count > LANES; p++) {
    FN(store)(panel + p * NR, FN(load)(x + p * ld));
    FN(store)(panel + p * NR + LANES, FN(load_part)(x + p * ld + LANES, count - LANES));
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

static void FN(scatter)(int64_t rows, int64_t columns, const void *from, const void *bias, void *to, int64_t ldc) {
  const T *x = from, *vectors[LANES];
  T *c = to;
  for (int64_t i = 0; i < rows; i += LANES) {
    int64_t count = peri_min(LANES, rows - i);
    const V more = bias != NULL ? FN(load_part)((const T *)bias + i, count) : (V){0};
    for (int64_t r = 0; r < count; r++) vectors[r] = x + (i + r) * columns;
    for (int64_t j = 0; j < columns; j += LANES) {
      V square[LANES];
      if (count == LANES && j + LANES <= columns)
        FN(turn_steps)(vectors, j, square);
      else
        FN(turn_edge)(vectors, j, count, columns - j, square);
      for (int64_t s = 0; s < peri_min(LANES, columns - j); s++)
        FN(store_part)(c + (j + s) * ldc + i, count, bias != NULL ? square[s] + more : square[s]);
    }
  }
}

#undef NR
#undef TILES
#undef WOVEN
#undef HALVES
#undef PIECES
#undef PICK
