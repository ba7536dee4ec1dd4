/* The loops of Cholesky's factor: linear_kernels.isa.c includes this file for float and double, with T, FN(name) and
 * ROOT. Products are rounded before they are added, and a sum has as many lanes on every machine. */

/* y -= scale[0] x_0 + .., four rows for each pass over y. */
INLINE void FN(take_off)(int64_t n, int64_t rows, const T *x, int64_t ldx, const T *scale, int64_t step,
                         T *restrict y) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    const T *restrict x0 = x + i * ldx, *restrict x1 = x0 + ldx, *restrict x2 = x1 + ldx, *restrict x3 = x2 + ldx;
    T s0 = scale[i * step], s1 = scale[(i + 1) * step], s2 = scale[(i + 2) * step], s3 = scale[(i + 3) * step];
    for (int64_t j = 0; j < n; j++) y[j] = (((y[j] - s0 * x0[j]) - s1 * x1[j]) - s2 * x2[j]) - s3 * x3[j];
  }
  for (; i < rows; i++) {
    const T *restrict x0 = x + i * ldx;
    T s = scale[i * step];
    for (int64_t j = 0; j < n; j++) y[j] -= s * x0[j];
  }
}

static void FN(less)(int64_t n, int64_t rows, const void *x, int64_t ldx, const void *scale, int64_t step, void *y) {
  FN(take_off)(n, rows, x, ldx, scale, step, y);
}

static bool FN(pivot)(int64_t n, void *row) {
  T *y = row, root = ROOT(y[0]);
  if (!(y[0] > 0) || root - root != 0) return false; /* infinity less itself is no number */
  T scale = 1 / root;
  y[0] = root;
  for (int64_t j = 1; j < n; j++) y[j] *= scale;
  return true;
}

static void FN(negated)(int64_t n, const void *from, void *to) {
  const T *restrict x = from;
  T *restrict y = to;
  for (int64_t j = 0; j < n; j++) y[j] = -x[j];
}

/* 64 bytes, in as many registers as the machine takes for them. */
typedef T FN(line) __attribute__((vector_size(64)));
#define LINE ((int64_t)(64 / sizeof(T)))

INLINE FN(line) FN(load_line)(const T *x) {
  FN(line) v;
  memcpy(&v, x, sizeof v);
  return v;
}

/* The sum of x y. */
INLINE T FN(inner)(int64_t n, const T *x, const T *y) {
  FN(line) a = {0}, b = {0};
  int64_t j = 0;
  for (; j + 2 * LINE <= n; j += 2 * LINE) {
    a += FN(load_line)(x + j) * FN(load_line)(y + j);
    b += FN(load_line)(x + j + LINE) * FN(load_line)(y + j + LINE);
  }
  T sum = 0;
  for (; j < n; j++) sum += x[j] * y[j];
  a += b;
  for (int lane = 0; lane < LINE; lane++) sum += a[lane];
  return sum;
}

#define TOGETHER_ROWS 4

static void FN(solve)(int64_t n, const void *upper, void *vector) {
  const T *u = upper;
  T *x = vector;
  for (int64_t i = 0; i < n; i += TOGETHER_ROWS) { /* U' */
    int64_t end = i + TOGETHER_ROWS < n ? i + TOGETHER_ROWS : n;
    for (int64_t r = i; r < end; r++) {
      x[r] /= u[r * n + r];
      for (int64_t j = r + 1; j < end; j++) x[j] -= x[r] * u[r * n + j];
    }
    FN(take_off)(n - end, end - i, u + i * n + end, n, x + i, 1, x + end);
  }
  for (int64_t i = n - 1; i >= 0; i--)
    x[i] = (x[i] - FN(inner)(n - i - 1, u + i * n + i + 1, x + i + 1)) / u[i * n + i];
}

#undef LINE
#undef TOGETHER_ROWS
