/* Matrix products over OpenBLAS, one thread per call, cut by a grid over Perilune's team.
 *
 * Equal bits need equal calls: OpenBLAS's sums depend on the shape of a call, so the grid is a
 * function of (m, n, k, transposes, dtype) alone and one thread makes the same calls as many. Small
 * products take a kernel of ours, matrices of one row or column the matrix-vector product. */
#include "base/blas.h"
#include "kernels/rows.h"

#include <limits.h>
#include <strings.h>

#define SMALL_PRODUCT 4096      /* m n k, below which OpenBLAS's call costs more than the product */
#define FEW_PACKED    64        /* elements of B that are packed even for one row */
#define CUT_FROM      2500000.0 /* m n k, 5 MFLOP */
#define TILE_WORK     60e6      /* m n k of a tile, while there are few */
#define LARGEST_TILE  6e8       /* m n k, about 1 GFLOP or 10 ms */
#define FEW_TILES     16
#define LEAST_SIDE    32
#define LEAST_DEPTH   256

typedef struct product {
  const peri_context *context;
  const peri_product_kernels *kernels;
  bool unpacked; /* OpenBLAS has kernels that do not pack */
  peri_dtype dtype;
  size_t size;
  bool transpose_a, transpose_b;
  int64_t m, n, k;
  double alpha, beta;
  const char *a, *b;
  int64_t lda, ldb;
  char *c;
  int64_t ldc;
  int64_t m_tiles, n_tiles, k_tiles;
  int64_t m_step, n_step, k_step;
  char *partial; /* k_tiles - 1 products of m x n */
} product;

/* ---- the grid ---- */

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* A step of about size / tiles, a multiple of 16 so that OpenBLAS's blocks stay whole. */
static int64_t step_of(int64_t size, int64_t tiles) {
  int64_t step = ceil_div(size, tiles);
  return peri_max(1, peri_min(size, (step + 15) / 16 * 16));
}

/* How many tiles a product should have. */
static int64_t wanted_tiles(double work) {
  if (work < CUT_FROM) return 1;
  double few = work / TILE_WORK, least = work / LARGEST_TILE;
  few = few < 4 ? 4 : few > FEW_TILES ? FEW_TILES : few;
  return (int64_t)((few > least ? few : least) + 0.999);
}

/* For these cores OpenBLAS has kernels that do not pack, for products of up to 100^3 multiplications. While the
 * operands stay in the second-level cache, tiles of that size beat the whole product: 128x128x784 takes 228 us
 * instead of 261 on a Cooperlake. */
static bool has_unpacked_kernels(const char *core) {
  static const char *const cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
  for (size_t i = 0; i < PERI_COUNT(cores); i++) {
    if (strcasecmp(core, cores[i]) == 0) return true;
  }
  return false;
}

#define UNPACKED_WORK 1e6
#define UNPACKED_SIDE 16 /* tiles with a shorter side have no advantage */
#define SECOND_LEVEL  ((size_t)1 << 20)

/* The largest step below `most` that is a multiple of 16 and cuts size evenly. */
static int64_t even_step(int64_t size, int64_t most) {
  int64_t step = step_of(size, ceil_div(size, peri_max(1, most)));
  return step <= most ? step : peri_max(UNPACKED_SIDE, most / 16 * 16);
}

static bool cut_for_unpacked(product *job) {
  double depth = (double)job->k, work = (double)job->m * (double)job->n * depth;
  double elements = ((double)job->m + (double)job->n) * depth + (double)job->m * (double)job->n;
  if (job->dtype != PERI_FLOAT32 || work < CUT_FROM || elements * (double)job->size > (double)SECOND_LEVEL)
    return false;
  if (depth * UNPACKED_SIDE * UNPACKED_SIDE > UNPACKED_WORK || !job->unpacked) return false;
  int64_t side = UNPACKED_SIDE;
  while ((double)((side + 16) * (side + 16)) * depth <= UNPACKED_WORK) side += 16;
  job->m_step = even_step(job->m, side);
  job->n_step = even_step(job->n, (int64_t)(UNPACKED_WORK / depth / (double)job->m_step));
  job->k_step = job->k;
  job->m_tiles = ceil_div(job->m, job->m_step);
  job->n_tiles = ceil_div(job->n, job->n_step);
  job->k_tiles = 1;
  return true;
}

/* OpenBLAS packs both operands of every tile, which costs (m_tiles n + n_tiles m) k in all. Of the grids
 * of at least so many tiles this takes the one with the least, and of equal ones that with higher
 * tiles. Sides that are short are not cut. */
static void cut(product *job) {
  if (cut_for_unpacked(job)) return;
  int64_t wanted = wanted_tiles((double)job->m * (double)job->n * (double)job->k);
  int64_t most_m = peri_max(1, job->m / LEAST_SIDE), most_n = peri_max(1, job->n / LEAST_SIDE);
  int64_t m_tiles = 1, n_tiles = 1;
  double least = 0;
  for (int64_t i = 1; i <= peri_min(wanted, most_m); i++) {
    int64_t j = peri_min(ceil_div(wanted, i), most_n);
    double cost = (double)i * (double)job->n + (double)j * (double)job->m;
    bool enough = i * j >= wanted || i == most_m;
    if (!enough || (least > 0 && cost >= least)) continue;
    least = cost;
    m_tiles = i;
    n_tiles = j;
  }
  job->m_step = step_of(job->m, m_tiles);
  job->n_step = step_of(job->n, n_tiles);
  job->m_tiles = ceil_div(job->m, job->m_step);
  job->n_tiles = ceil_div(job->n, job->n_step);
  /* what the sides could not give comes from the depth */
  int64_t tiles = job->m_tiles * job->n_tiles, k_tiles = (wanted + tiles / 2) / tiles;
  k_tiles = peri_max(1, peri_min(k_tiles, job->k / LEAST_DEPTH));
  job->k_step = step_of(job->k, k_tiles);
  job->k_tiles = ceil_div(job->k, job->k_step);
}

/* ---- one tile ---- */

typedef struct tile {
  int64_t m, n, k;
  const char *a, *b;
  double beta;
  char *c;
  int64_t ldc;
} tile;

/* The leading dimension of a matrix of one row says nothing, and may be beyond OpenBLAS's integers. */
static blasint leading(int64_t rows, int64_t columns, int64_t ld) {
  return (blasint)(rows == 1 ? peri_max(1, columns) : ld);
}

static bool fits_blas(int64_t rows, int64_t ld) { return rows == 1 || ld <= INT_MAX; }

static void run_gemm(const product *job, const tile *t) {
  CBLAS_TRANSPOSE ta = job->transpose_a ? CblasTrans : CblasNoTrans, tb = job->transpose_b ? CblasTrans : CblasNoTrans;
  const peri_blas *blas = job->context->blas;
  blasint m = (blasint)t->m, n = (blasint)t->n, k = (blasint)t->k;
  blasint lda = job->transpose_a ? leading(t->k, t->m, job->lda) : leading(t->m, t->k, job->lda);
  blasint ldb = job->transpose_b ? leading(t->n, t->k, job->ldb) : leading(t->k, t->n, job->ldb);
  blasint ldc = leading(t->m, t->n, t->ldc);
  if (job->dtype == PERI_FLOAT32) {
    blas->cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, (float)job->alpha, (const float *)t->a, lda, (const float *)t->b,
                      ldb, (float)t->beta, (float *)t->c, ldc);
  } else {
    blas->cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, job->alpha, (const double *)t->a, lda, (const double *)t->b, ldb,
                      t->beta, (double *)t->c, ldc);
  }
}

static void run_tile(void *arg, int64_t piece) {
  const product *job = arg;
  int64_t p = piece % job->k_tiles, j = piece / job->k_tiles % job->n_tiles, i = piece / job->k_tiles / job->n_tiles;
  int64_t m0 = i * job->m_step, n0 = j * job->n_step, k0 = p * job->k_step;
  tile t = {
      .m = peri_min(job->m_step, job->m - m0),
      .n = peri_min(job->n_step, job->n - n0),
      .k = peri_min(job->k_step, job->k - k0),
      .a = job->a + (size_t)(job->transpose_a ? k0 * job->lda + m0 : m0 * job->lda + k0) * job->size,
      .b = job->b + (size_t)(job->transpose_b ? n0 * job->ldb + k0 : k0 * job->ldb + n0) * job->size,
      .beta = p == 0 ? job->beta : 0,
      .c = job->c + (size_t)(m0 * job->ldc + n0) * job->size,
      .ldc = job->ldc,
  };
  if (p > 0) {
    t.c = job->partial + (size_t)(((p - 1) * job->m + m0) * job->n + n0) * job->size;
    t.ldc = job->n;
  }
  run_gemm(job, &t);
}

/* Adds the products of the later parts of the depth to the first, in their order. */
static void combine_row(void *arg, int64_t row) {
  const product *job = arg;
  for (int64_t p = 1; p < job->k_tiles; p++) {
    job->kernels->add[job->dtype](job->n, job->partial + (size_t)(((p - 1) * job->m + row) * job->n) * job->size,
                                  job->c + (size_t)(row * job->ldc) * job->size);
  }
}

static peri_status run_grid(peri_context *context, product *job) {
  int64_t tiles = job->m_tiles * job->n_tiles * job->k_tiles;
  void *partial = NULL;
  size_t bytes = 0;
  if (job->k_tiles > 1) {
    bytes = (size_t)((job->k_tiles - 1) * job->m * job->n) * job->size;
    PERI_TRY(peri_alloc(context, bytes, &partial));
    job->partial = partial;
  }
  peri_status status = peri_blas_parallel(context, tiles, run_tile, job);
  if (status == PERI_OK && job->k_tiles > 1) {
    for (int64_t row = 0; row < job->m; row++) combine_row(job, row);
  }
  peri_free(context, partial, bytes);
  return status;
}

/* ---- the driver ---- */

/* Packing op(B) must be worth it: a transposed B for a few rows of A is better left to OpenBLAS. */
static bool is_small(peri_dtype dtype, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  const int64_t lanes = PERI_PRODUCT_LANES(dtype);
  if (m > SMALL_PRODUCT || n > SMALL_PRODUCT || k > SMALL_PRODUCT || k == 0 || m * n * k > SMALL_PRODUCT) return false;
  if (transpose_b && m < 4 && n * k > FEW_PACKED) return false;
  return (n + lanes - 1) / lanes * lanes * k <= PERI_SMALL_PRODUCT_PACKED;
}

static void scale_only(const product *job) {
  for (int64_t i = 0; i < job->m; i++) {
    job->kernels->scale[job->dtype](job->n, job->beta, job->c + (size_t)(i * job->ldc) * job->size);
  }
}

peri_status peri_gemm(peri_context *context, peri_dtype dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                      int64_t k, double alpha, const void *a, int64_t lda, const void *b, int64_t ldb, double beta,
                      void *c, int64_t ldc) {
  const peri_product_kernels *kernels = context->kernels->rows->product;
  if (m == 0 || n == 0) return PERI_OK;
  if (alpha != 0 && is_small(dtype, transpose_b, m, n, k)) {
    kernels->small[dtype](transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return PERI_OK;
  }
  product job = {
      .context = context,
      .kernels = kernels,
      .dtype = dtype,
      .size = dtype == PERI_FLOAT32 ? sizeof(float) : sizeof(double),
      .transpose_a = transpose_a,
      .transpose_b = transpose_b,
      .m = m,
      .n = n,
      .k = k,
      .alpha = alpha,
      .beta = beta,
      .a = a,
      .b = b,
      .lda = lda,
      .ldb = ldb,
      .c = c,
      .ldc = ldc,
  };
  if (k == 0 || alpha == 0) {
    scale_only(&job);
    return PERI_OK;
  }
  if (!fits_blas(transpose_a ? k : m, lda) || !fits_blas(transpose_b ? n : k, ldb) || !fits_blas(m, ldc)) {
    return peri_fail_memory(context, "out of memory: the rows of a matrix are more than %d elements apart", INT_MAX);
  }
  if ((double)m * (double)n * (double)k >= CUT_FROM) {
    peri_blas_facts facts;
    PERI_TRY(peri_blas_facts_get(context, &facts));
    job.unpacked = has_unpacked_kernels(facts.core);
  }
  cut(&job);
  return run_grid(context, &job);
}
