/* The product of small matrices for one float type; small_gemm.isa.c includes this file once per
 * type, with T, FN(name), VECTOR (32 bytes of T), LANES, MADD(a, b, c) for vectors, and where the set
 * has them, loads and stores of a part of a vector (through memory they would wait for one another).
 *
 * op(B) is packed with its rows padded to whole vectors, then every row of C is a sum of rows of B
 * times numbers of A, four rows at a time. Element c_ij is summed over p in order, in one lane. */

static PERI_ALWAYS_INLINE VECTOR FN(load)(const T *from) {
  VECTOR vector;
  memcpy(&vector, from, sizeof vector);
  return vector;
}

/* The first count elements of a vector; the rest of a loaded one is 0. */
#ifdef PARTIAL_LOAD
static PERI_ALWAYS_INLINE VECTOR FN(load_part)(const T *from, int64_t count) {
  return count >= LANES ? FN(load)(from) : PARTIAL_LOAD(from, count);
}

static PERI_ALWAYS_INLINE void FN(store)(T *to, const VECTOR *vector, int64_t count) {
  if (count >= LANES) {
    memcpy(to, vector, sizeof *vector);
  } else {
    PARTIAL_STORE(to, count, *vector);
  }
}
#else
static PERI_ALWAYS_INLINE VECTOR FN(load_part)(const T *from, int64_t count) {
  VECTOR vector = {0};
  memcpy(&vector, from, (size_t)peri_min(count, LANES) * sizeof(T));
  return vector;
}

static PERI_ALWAYS_INLINE void FN(store)(T *to, const VECTOR *vector, int64_t count) {
  memcpy(to, vector, (size_t)peri_min(count, LANES) * sizeof(T));
}
#endif

static PERI_ALWAYS_INLINE VECTOR FN(repeat)(T value) { return value - (VECTOR){0}; }

static PERI_ALWAYS_INLINE void FN(finish)(T *c, const VECTOR *product, int64_t count, T alpha, T beta) {
  VECTOR sum = *product;
  if (alpha != 1) sum = sum * FN(repeat)(alpha);
  if (beta != 0) {
    sum = MADD(FN(repeat)(beta), FN(load_part)(c, count), sum);
  }
  FN(store)(c, &sum, count);
}

/* rows x (2 vectors) of C; a_row and a_step are the strides of op(A) along i and p */
static PERI_ALWAYS_INLINE void FN(tile)(int rows, int vectors, int64_t count, int64_t k, T alpha, const T *a,
                                        int64_t a_row, int64_t a_step, const T *b, int64_t b_row, T beta, T *c,
                                        int64_t ldc) {
  VECTOR sums[4][2];
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < vectors; v++) sums[r][v] = (VECTOR){0};
  }
  for (int64_t p = 0; p < k; p++) {
    VECTOR b0 = FN(load)(b + p * b_row), b1 = vectors > 1 ? FN(load)(b + p * b_row + LANES) : b0;
    for (int r = 0; r < rows; r++) {
      VECTOR factor = FN(repeat)(a[r * a_row + p * a_step]);
      sums[r][0] = MADD(factor, b0, sums[r][0]);
      if (vectors > 1) sums[r][1] = MADD(factor, b1, sums[r][1]);
    }
  }
  for (int r = 0; r < rows; r++) {
    FN(finish)(c + r * ldc, &sums[r][0], count, alpha, beta);
    if (vectors > 1) FN(finish)(c + r * ldc + LANES, &sums[r][1], count - LANES, alpha, beta);
  }
}

static PERI_ALWAYS_INLINE void FN(columns)(int vectors, int64_t count, int64_t m, int64_t k, T alpha, const T *a,
                                           int64_t a_row, int64_t a_step, const T *b, int64_t b_row, T beta, T *c,
                                           int64_t ldc) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) {
    FN(tile)(4, vectors, count, k, alpha, a + i * a_row, a_row, a_step, b, b_row, beta, c + i * ldc, ldc);
  }
  if (m & 2) {
    FN(tile)(2, vectors, count, k, alpha, a + i * a_row, a_row, a_step, b, b_row, beta, c + i * ldc, ldc);
    i += 2;
  }
  if (m & 1) {
    FN(tile)(1, vectors, count, k, alpha, a + i * a_row, a_row, a_step, b, b_row, beta, c + i * ldc, ldc);
  }
}

static void FN(small)(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const void *a,
                      int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc) {
  _Alignas(64) T packed[PERI_SMALL_PRODUCT_PACKED];
  const T *as = a, *bs = b;
  T *cs = c;
  int64_t b_row = ldb;
  if (transpose_b || n % LANES != 0) {
    b_row = (n + LANES - 1) / LANES * LANES;
    for (int64_t i = 0; i < k * b_row; i += LANES) memcpy(packed + i, &(VECTOR){0}, sizeof(VECTOR));
    if (transpose_b) {
      for (int64_t j = 0; j < n; j++) {
        for (int64_t p = 0; p < k; p++) packed[p * b_row + j] = bs[j * ldb + p];
      }
    } else {
      for (int64_t p = 0; p < k; p++) {
        for (int64_t j = 0; j < n; j++) packed[p * b_row + j] = bs[p * ldb + j];
      }
    }
    bs = packed;
  }
  int64_t a_row = transpose_a ? 1 : lda, a_step = transpose_a ? lda : 1;
  for (int64_t j = 0; j < n; j += 2 * LANES) {
    if (n - j > LANES) {
      FN(columns)(2, n - j, m, k, (T)alpha, as, a_row, a_step, bs + j, b_row, (T)beta, cs + j, ldc);
    } else {
      FN(columns)(1, n - j, m, k, (T)alpha, as, a_row, a_step, bs + j, b_row, (T)beta, cs + j, ldc);
    }
  }
}

static void FN(scale)(int64_t n, double beta, void *c) {
  T *cs = c, factor = (T)beta;
  if (beta == 0) {
    for (int64_t i = 0; i < n; i++) cs[i] = 0;
  } else {
    for (int64_t i = 0; i < n; i++) cs[i] *= factor;
  }
}
