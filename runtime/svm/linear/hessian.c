/* Factored Hessians; see hessian.h.
 *
 * H = I + sum_i h_i x_i x_i'. Only the rows with curvature h_i count: for the squared hinge those inside the
 * margin. Where they are more than `most`, a sample stands for them: rows of h_i >= u by themselves, of the
 * others one each time their curvatures have added up to u, with weight u, where u makes the sample as
 * large as it may be. The upper triangle is computed in tiles, the pieces of the team, by products of
 * panels of scaled rows.
 *
 * As conjugate gradients make up for its errors, the matrix is float32, which takes half the time; scaled by the
 * roots of its diagonal, so that features of very different size do not drown each other. When that is not
 * enough to be positive definite, it is float64. */
#include "svm/linear/hessian.h"

#include "kernels/kernels.h"
#include "product/product.h"
#include "svm/linear/cholesky.h"

/* To measure: ./dev bench parts linear. */
#define LARGEST_TILE 256
#define STRIP        64         /* rows of a tile on the diagonal that are multiplied at a time */
#define PANEL        PERI_BLOCK /* rows of a panel */
#define NARROW_FROM  48         /* weights from which float32 is worth it */
#define SAMPLE       12         /* rows for each weight that are enough */

/* C += A'B: panels of k rows, lda and ldb apart, with m and n columns. */
static peri_product product_of(peri_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                               const void *b, int64_t ldb, void *c, int64_t ldc) {
  return (peri_product){.dtype = dtype,
                        .m = m,
                        .n = n,
                        .k = k,
                        .a = {.data = a, .along = 1, .step = lda},
                        .b = {.data = b, .along = 1, .step = ldb},
                        .c = c,
                        .ldc = ldc,
                        .add = true};
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Of tiles and of factors, in both dtypes. */
static size_t scratch_of(const peri_linear_hessian *h) {
  const peri_context *context = h->problem->context;
  size_t bytes = 0;
  for (peri_dtype dtype = PERI_FLOAT32; dtype <= PERI_FLOAT64; dtype++) {
    char any[8];
    peri_product tile = product_of(dtype, h->tile, h->tile, PANEL, any, h->tile, any, h->tile, any, h->size);
    bytes =
        larger(bytes, larger(peri_multiply_scratch(context, &tile), peri_cholesky_scratch(context, dtype, h->size)));
  }
  return bytes;
}

peri_status peri_linear_hessian_new(peri_linear_problem *p, int64_t slots, peri_linear_hessian *out) {
  *out = (peri_linear_hessian){.problem = p, .slots = slots, .size = p->width};
  if (p->width > PERI_LINEAR_FACTOR_MOST) {
    return peri_blocks_new(p->blocks, slots * p->width, sizeof *out->diagonal, &out->diagonal);
  }
  out->narrow = p->width >= NARROW_FROM;
  out->matrix = p->width * p->width * (int64_t)sizeof(double);
  out->most = peri_min(p->rows, SAMPLE * p->width + 256);
  out->stride = peri_max(out->most, p->width);
  out->tiles = (p->width + LARGEST_TILE - 1) / LARGEST_TILE;
  out->tile = ((p->width + out->tiles - 1) / out->tiles + 15) / 16 * 16;
  PERI_TRY(peri_blocks_new_zeroed(p->blocks, slots, sizeof *out->has, &out->has));
  PERI_TRY(peri_blocks_new(p->blocks, (slots + 1) * p->width, sizeof *out->units, &out->units));
  PERI_TRY(peri_blocks_new(p->blocks, slots * p->width, sizeof *out->solving, &out->solving));
  PERI_TRY(peri_blocks_new(p->blocks, slots, sizeof *out->listed, &out->listed));
  PERI_TRY(peri_blocks_new(p->blocks, slots * out->most, sizeof *out->row, &out->row));
  PERI_TRY(peri_blocks_new(p->blocks, slots * out->stride, sizeof *out->scale, &out->scale));
  out->panels = (size_t)(2 * PANEL * out->tile) * sizeof(double);
  out->scratch_bytes = out->panels + scratch_of(out);
  int64_t at_once = peri_min(peri_threads(p->context), slots * out->tiles * (out->tiles + 1) / 2);
  return peri_blocks_new(p->blocks, at_once, out->scratch_bytes, &out->scratch);
}

void peri_linear_hessian_widen(peri_linear_hessian *h) {
  h->narrow = h->failed = false;
  memset(h->has, 0, (size_t)h->slots * sizeof *h->has);
}

/* Where the matrix of a slot is built, and its units. */
static char *place(const peri_linear_hessian *h, int64_t slot) {
  return h->to_own ? h->own + slot * h->matrix : h->start;
}
static double *units_of(const peri_linear_hessian *h, int64_t slot, bool own) {
  return h->units + (own ? slot : h->slots) * h->size;
}

/* ---- which rows ---- */

/* How many rows the sample of unit u has. */
static double sample_size(int64_t n, const double *curvature, double unit) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += peri_smaller(curvature[i], unit);
  return sum / unit;
}

/* The smallest unit, within a twentieth, that makes at most `most` rows. */
static double sample_unit(int64_t n, const double *curvature, double most) {
  double low = 0, high = 0;
  for (int64_t i = 0; i < n; i++) high += curvature[i];
  high /= most;
  for (int round = 0; round < 20 && high - low > 0.05 * high; round++) {
    double middle = (low + high) / 2;
    if (sample_size(n, curvature, middle) > most)
      low = middle;
    else
      high = middle;
  }
  return high;
}

static void list_rows(peri_linear_hessian *h, int64_t slot) {
  int64_t n = h->problem->rows, count = 0, used = 0, *row = h->row + slot * h->most;
  const double *curvature = h->curvature + slot * n;
  double *scale = h->scale + slot * h->stride, unit = 0;
  for (int64_t i = 0; i < n; i++) used += curvature[i] > 0;
  if (used > h->most) unit = sample_unit(n, curvature, (double)h->most - 1);
  double gathered = unit / 2;
  for (int64_t i = 0; i < n && count < h->most; i++) {
    double weight = curvature[i];
    if (weight < unit) {
      gathered += weight;
      weight = gathered >= unit ? unit : 0;
      gathered -= weight;
    }
    if (weight == 0) continue;
    row[count] = i;
    scale[count++] = sqrt(weight);
  }
  h->listed[slot] = count;
}

static void list_body(void *arg, int64_t slot) {
  peri_linear_hessian *h = arg;
  const peri_linear_problem *p = h->problem;
  list_rows(h, slot);
  if (!h->narrow) return;
  double *units = units_of(h, slot, h->to_own);
  for (int64_t j = 0; j < h->size; j++) units[j] = 1;
  for (int64_t r = 0; r < h->listed[slot]; r++) {
    double scale = h->scale[slot * h->stride + r], weight = scale * scale;
    p->kernels->add_squares[p->wide](p->d, peri_linear_row(p, h->row[slot * h->most + r]), weight, units);
    if (p->constant > 0) units[p->d] += weight * p->constant * p->constant;
  }
  for (int64_t j = 0; j < h->size; j++) units[j] = 1 / sqrt(units[j]);
}

/* ---- one tile ---- */

/* Columns from .. from + count - 1 of rows first .. of the list, scaled. */
static void pack(const peri_linear_hessian *h, int64_t slot, int64_t first, int64_t rows, int64_t from, int64_t count,
                 void *out) {
  const peri_linear_problem *p = h->problem;
  const double *units = units_of(h, slot, h->to_own) + from;
  int64_t features = peri_min(count, p->d - from);
  for (int64_t r = 0; r < rows; r++) {
    double scale = h->scale[slot * h->stride + first + r];
    int64_t i = h->row[slot * h->most + first + r];
    const char *x = (const char *)peri_linear_row(p, i) + from * (int64_t)peri_float_size(p->dtype);
    if (h->narrow) {
      float *y = (float *)out + r * count;
      p->kernels->narrowed[p->wide](features, x, scale, units, y);
      if (features < count) y[count - 1] = (float)(scale * units[count - 1] * p->constant);
    } else {
      double *y = (double *)out + r * count;
      p->kernels->scaled[p->wide](features, x, scale, y);
      if (features < count) y[count - 1] = scale * p->constant;
    }
  }
}

/* The identity's part of a tile, and of the one that lies opposite, which factors read. */
static void clear(const peri_linear_hessian *h, int64_t slot, int64_t i, int64_t m, int64_t j, int64_t n) {
  size_t size = h->narrow ? sizeof(float) : sizeof(double);
  const double *units = units_of(h, slot, h->to_own);
  char *matrix = place(h, slot);
  for (int64_t r = i; r < i + m; r++) memset(matrix + (size_t)(r * h->size + j) * size, 0, (size_t)n * size);
  for (int64_t r = j; r < j + n; r++) memset(matrix + (size_t)(r * h->size + i) * size, 0, (size_t)m * size);
  for (int64_t r = i; i == j && r < i + m; r++) {
    if (h->narrow)
      ((float *)(void *)matrix)[r * h->size + r] = (float)(units[r] * units[r]);
    else
      ((double *)(void *)matrix)[r * h->size + r] = 1;
  }
}

/* c += a'b, panels of `rows` rows with m and n columns; little below the diagonal where a is b. */
static void multiply(const peri_linear_hessian *h, int64_t m, int64_t n, int64_t rows, const char *a, const char *b,
                     char *c, void *scratch) {
  int64_t size = h->narrow ? sizeof(float) : sizeof(double), strip = a == b ? STRIP : m;
  peri_dtype dtype = h->narrow ? PERI_FLOAT32 : PERI_FLOAT64;
  for (int64_t i = 0; i < m; i += strip) {
    int64_t j = a == b ? i : 0;
    peri_product product = product_of(dtype, peri_min(strip, m - i), n - j, rows, a + i * size, m, b + j * size, n,
                                      c + (i * h->size + j) * size, h->size);
    peri_multiply_here(h->problem->context, &product, scratch);
  }
}

/* Tiles (0,0), (0,1), (1,1), (0,2), .. of each listed matrix. */
static void tile_body(void *arg, int64_t piece) {
  peri_linear_hessian *h = arg;
  int64_t each = h->tiles * (h->tiles + 1) / 2, slot = h->building[piece / each], number = piece % each, j = 0;
  for (; number > j; j++) number -= j + 1;
  int64_t i = number, from_i = i * h->tile, from_j = j * h->tile;
  int64_t m = peri_min(h->tile, h->size - from_i), n = peri_min(h->tile, h->size - from_j);
  char *a = h->scratch + (size_t)peri_worker() * h->scratch_bytes, *scratch = a + h->panels;
  char *b = i == j ? a : a + h->panels / 2;
  char *c = place(h, slot) + (from_i * h->size + from_j) * (int64_t)(h->narrow ? sizeof(float) : sizeof(double));
  clear(h, slot, from_i, m, from_j, n);
  for (int64_t first = 0; first < h->listed[slot]; first += PANEL) {
    if (peri_linear_stop(h->problem, h->problem->turn)) return;
    int64_t rows = peri_min(PANEL, h->listed[slot] - first);
    pack(h, slot, first, rows, from_i, m, a);
    if (i != j) pack(h, slot, first, rows, from_j, n, b);
    multiply(h, m, n, rows, a, b, c, scratch);
  }
}

/* ---- factor and solve ---- */

/* Stands for a float64 matrix that rounding has made indefinite. */
static void keep_diagonal(const peri_linear_hessian *h, double *matrix, const double *diagonal) {
  memset(matrix, 0, (size_t)h->matrix);
  for (int64_t j = 0; j < h->size; j++) matrix[j * h->size + j] = sqrt(diagonal[j]);
}

static void factor_body(void *arg, int64_t slot) {
  peri_linear_hessian *h = arg;
  const peri_context *context = h->problem->context;
  int64_t size = h->size;
  void *matrix = place(h, slot), *scratch = h->scratch + (size_t)peri_worker() * h->scratch_bytes;
  if (peri_linear_stop(h->problem, h->problem->turn)) return;
  if (h->narrow) {
    if (!peri_cholesky_factor(context, PERI_FLOAT32, size, matrix, scratch)) h->listed[slot] = -1;
  } else {
    double *diagonal = h->scale + slot * h->stride, *values = matrix;
    for (int64_t j = 0; j < size; j++) diagonal[j] = values[j * size + j];
    if (!peri_cholesky_factor(context, PERI_FLOAT64, size, values, scratch)) keep_diagonal(h, values, diagonal);
  }
  if (h->to_own) h->has[slot] = true;
}

static void curvatures(void *arg, int64_t slot, int64_t first, int64_t count, double *out) {
  const peri_linear_hessian *h = arg;
  memcpy(out, h->curvature + slot * h->problem->rows + first, (size_t)count * sizeof *out);
}

static peri_status build_diagonals(peri_linear_hessian *h, const peri_linear_slots *which) {
  PERI_TRY(peri_linear_sweep_run(
      &(peri_linear_sweep){.at = which, .coefficients = curvatures, .arg = h, .squares = true, .sums = h->diagonal}));
  for (int64_t l = 0; l < which->count; l++) {
    for (int64_t j = 0; j < h->size; j++) h->diagonal[which->list[l] * h->size + j] += 1;
  }
  return PERI_OK;
}

static peri_status build(peri_linear_hessian *h, const peri_linear_slots *which) {
  PERI_TRY(peri_linear_each(which, (double)h->problem->rows * 4, list_body, h));
  int64_t pieces = which->count * h->tiles * (h->tiles + 1) / 2;
  if (h->size < NARROW_FROM) {
    for (int64_t piece = 0; piece < pieces; piece++) tile_body(h, piece);
  } else {
    PERI_TRY(peri_parallel(h->problem->context, pieces, tile_body, h));
  }
  return peri_linear_each(which, (double)h->size * (double)h->matrix, factor_body, h);
}

peri_status peri_linear_hessian_build(peri_linear_hessian *h, const peri_linear_slots *which, const double *curvature,
                                      bool own) {
  h->curvature = curvature;
  if (h->diagonal != NULL) return build_diagonals(h, which);
  char **matrices = own ? &h->own : &h->start;
  if (*matrices == NULL) PERI_TRY(peri_blocks_new(h->problem->blocks, own ? h->slots : 1, (size_t)h->matrix, matrices));
  h->to_own = own;
  h->building = which->list;
  PERI_TRY(build(h, which));
  for (int64_t l = 0; l < which->count; l++) h->failed |= h->listed[which->list[l]] < 0;
  return PERI_OK;
}

static void solve_narrow(const peri_linear_hessian *h, const float *matrix, const double *units, float *t, double *z) {
  int64_t size = h->size;
  double largest = 0;
  for (int64_t j = 0; j < size; j++) largest = peri_larger(largest, fabs(units[j] * z[j]));
  if (largest == 0) return;
  for (int64_t j = 0; j < size; j++) t[j] = (float)(units[j] * z[j] / largest);
  peri_cholesky_solve(h->problem->context, PERI_FLOAT32, size, matrix, t);
  for (int64_t j = 0; j < size; j++) z[j] = units[j] * (double)t[j] * largest;
}

void peri_linear_hessian_solve(const peri_linear_hessian *h, int64_t slot, double *z) {
  for (int64_t j = 0; h->diagonal != NULL && j < h->size; j++) z[j] /= h->diagonal[slot * h->size + j];
  if (h->diagonal != NULL) return;
  const void *matrix = h->has[slot] ? h->own + slot * h->matrix : h->start;
  if (h->narrow)
    solve_narrow(h, matrix, units_of(h, slot, h->has[slot]), h->solving + slot * h->size, z);
  else
    peri_cholesky_solve(h->problem->context, PERI_FLOAT64, h->size, matrix, z);
}
