/* Kernel matrices in tiles; see kernel_matrix.h. */
#include "svm/kernel/kernel_matrix.h"

#include "svm/kernel/features.h"

/* To measure: ./dev bench parts machines. */
#define LARGEST_TILE  256
#define SMALLEST_TILE 32
#define TILE_WORK     ((int64_t)1 << 28) /* multiplications, so that a tile takes some ms */

typedef struct matrix_job {
  const peri_context *context;
  const peri_svm_kernel *kernel;
  peri_dtype dtype;
  int64_t m, n, d, tile, across; /* across: tiles in a row of them */
  peri_svm_side a, b;
  void *out;
  bool symmetric;
  char *scratch; /* of each thread */
  size_t scratch_bytes;
} matrix_job;

static void copy_element(const matrix_job *job, int64_t to, int64_t from) {
  size_t size = peri_float_size(job->dtype);
  memcpy((char *)job->out + (size_t)to * size, (const char *)job->out + (size_t)from * size, size);
}

/* Rows [i, i_end) and columns [j, j_end) of a symmetric matrix, turned over its diagonal. */
static void mirror(const matrix_job *job, int64_t i, int64_t i_end, int64_t j, int64_t j_end) {
  for (int64_t column = j; column < j_end; column++) {
    for (int64_t row = i; row < i_end && row < column; row++) {
      copy_element(job, column * job->n + row, row * job->n + column);
    }
  }
}

static void tile_body(void *arg, int64_t piece) {
  const matrix_job *job = arg;
  int64_t i = piece / job->across * job->tile, j = piece % job->across * job->tile;
  if (job->symmetric && j < i) return; /* the mirror of another */
  int64_t i_end = peri_min(job->m, i + job->tile), j_end = peri_min(job->n, j + job->tile);
  size_t size = peri_float_size(job->dtype);
  peri_svm_block block = {.kernel = job->kernel,
                          .dtype = job->dtype,
                          .d = job->d,
                          .m = i_end - i,
                          .n = j_end - j,
                          .a = peri_svm_side_from(&job->a, job->dtype, i),
                          .b = peri_svm_side_from(&job->b, job->dtype, j),
                          .out = (char *)job->out + (size_t)(i * job->n + j) * size,
                          .ldo = job->n};
  peri_svm_block_fill(job->context, &block, job->scratch + (size_t)peri_worker() * job->scratch_bytes);
  if (job->symmetric) mirror(job, i, i_end, j, j_end);
}

/* Rows as the job computes with them: of its dtype, less centre unless that is NULL. */
static peri_status pack(peri_blocks *blocks, const matrix_job *job, const peri_svm_rows *rows, const double *centre,
                        peri_svm_side *out) {
  void *copy, *norms;
  *out = (peri_svm_side){.x = rows->x, .ld = job->d, .from = rows->dtype, .given = rows->x, .given_ld = job->d};
  if (rows->dtype != job->dtype || centre != NULL) {
    PERI_TRY(peri_blocks_new(blocks, rows->n * job->d, peri_float_size(job->dtype), &copy));
    PERI_TRY(
        peri_svm_pack(blocks->context, rows->dtype, rows->n, job->d, rows->x, job->d, NULL, centre, job->dtype, copy));
    out->x = copy;
  }
  PERI_TRY(peri_blocks_new(blocks, rows->n, peri_float_size(job->dtype), &norms));
  out->norms = norms;
  return peri_svm_norms(blocks->context, job->kernel, job->dtype, rows->n, job->d, out->x, job->d, norms);
}

static peri_status prepare(peri_blocks *blocks, matrix_job *job, const peri_svm_rows *a, const peri_svm_rows *b) {
  double *means = NULL;
  if (peri_svm_wants_centre(job->kernel, job->d)) {
    const peri_svm_rows *rows = b != NULL ? b : a;
    PERI_TRY(peri_blocks_new(blocks, job->d, sizeof *means, &means));
    PERI_TRY(peri_svm_means(blocks->context, rows->dtype, rows->n, job->d, rows->x, job->d, NULL, means));
  }
  PERI_TRY(pack(blocks, job, a, means, &job->a));
  job->b = job->a;
  return b == NULL ? PERI_OK : pack(blocks, job, b, means, &job->b);
}

peri_status peri_svm_kernel_matrix(peri_context *context, const char *who, const peri_svm_kernel *kernel,
                                   const peri_svm_rows *a, const peri_svm_rows *b, void *out) {
  const peri_svm_rows *columns = b != NULL ? b : a;
  if (kernel->id == PERI_SVM_PRECOMPUTED) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: a precomputed kernel has no values between rows", who);
  }
  if (a->n == 0 || columns->n == 0) return PERI_OK;
  bool wide = peri_is_wide(a->dtype) || peri_is_wide(columns->dtype);
  matrix_job job = {.context = context,
                    .kernel = kernel,
                    .dtype = wide ? PERI_FLOAT64 : PERI_FLOAT32,
                    .m = a->n,
                    .n = columns->n,
                    .d = a->d,
                    .tile = LARGEST_TILE,
                    .out = out,
                    .symmetric = b == NULL};
  while (job.tile > SMALLEST_TILE && job.tile * job.tile * job.d > TILE_WORK) job.tile /= 2;
  job.across = (job.n + job.tile - 1) / job.tile;
  int64_t tiles = (job.m + job.tile - 1) / job.tile * job.across;
  peri_blocks blocks = {.context = context};
  peri_status status = prepare(&blocks, &job, a, b);
  job.scratch_bytes = peri_svm_block_scratch(context, job.kernel, job.dtype, job.d, job.tile, job.tile, true);
  if (status == PERI_OK)
    status = peri_blocks_new(&blocks, peri_min(peri_threads(context), tiles), job.scratch_bytes, &job.scratch);
  if (status == PERI_OK) status = peri_parallel(context, tiles, tile_body, &job);
  peri_blocks_release(&blocks);
  return status;
}

peri_status peri_svm_check_rows(peri_context *context, const char *who, const peri_svm_rows *rows) {
  return peri_svm_check_features(context, who, rows->dtype, rows->n, rows->d, rows->x, rows->d);
}

peri_status peri_svm_gamma_of(peri_context *context, const char *who, peri_gamma_mode mode, double given,
                              const peri_svm_rows *rows, double *gamma) {
  int64_t n = rows->n, d = rows->d;
  double variance, *means;
  *gamma = given;
  if (mode == PERI_GAMMA_VALUE) return PERI_OK;
  *gamma = 1 / (double)d;
  if (mode == PERI_GAMMA_AUTO || n == 0) return PERI_OK;
  peri_blocks blocks = {.context = context};
  PERI_TRY(peri_blocks_new(&blocks, d, sizeof *means, &means));
  peri_status status = peri_svm_means(context, rows->dtype, n, d, rows->x, d, NULL, means);
  if (status == PERI_OK) status = peri_svm_variance(context, rows->dtype, n, d, rows->x, d, NULL, means, &variance);
  peri_blocks_release(&blocks);
  PERI_TRY(status);
  return peri_svm_scale_gamma(context, who, d, variance, gamma);
}
