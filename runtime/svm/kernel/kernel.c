/* The table of kernels and their blocks; see kernel.h. */
#include "svm/kernel/kernel.h"

#include "product/product.h"
#include "svm/grouping.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* ---- the table ---- */

static void apply_linear(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                         void *x) {
  (void)kernels, (void)kernel, (void)dtype, (void)n, (void)x;
}

static void apply_poly(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       void *x) {
  kernels->svm->affine[peri_is_wide(dtype)](n, x, kernel->gamma, kernel->coef0);
  kernels->svm->power[peri_is_wide(dtype)](n, x, kernel->degree);
}

static void apply_unary(const peri_kernels *kernels, peri_unary_id id, peri_dtype dtype, int64_t n, void *x) {
  ptrdiff_t size = (ptrdiff_t)peri_float_size(dtype);
  kernels->elementwise->unary[id][dtype](n, x, size, x, size);
}

static void apply_rbf(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                      void *x) {
  (void)kernel;
  apply_unary(kernels, PERI_UNARY_exp, dtype, n, x);
}

static void apply_sigmoid(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                          void *x) {
  kernels->svm->affine[peri_is_wide(dtype)](n, x, kernel->gamma, kernel->coef0);
  apply_unary(kernels, PERI_UNARY_tanh, dtype, n, x);
}

const peri_svm_kernel_row peri_svm_kernel_table[PERI_SVM_KERNEL_COUNT] = {
    [PERI_SVM_LINEAR] = {.name = "linear", .apply = apply_linear},
    [PERI_SVM_POLY] = {.name = "poly", .uses_gamma = true, .apply = apply_poly},
    [PERI_SVM_RBF] = {.name = "rbf", .uses_gamma = true, .of_distance = true, .apply = apply_rbf},
    [PERI_SVM_SIGMOID] = {.name = "sigmoid", .uses_gamma = true, .apply = apply_sigmoid},
    [PERI_SVM_PRECOMPUTED] = {.name = "precomputed"},
};

bool peri_svm_kernel_is_definite(const peri_svm_kernel *kernel) {
  switch (kernel->id) {
  case PERI_SVM_POLY:
    return kernel->coef0 >= 0;
  case PERI_SVM_SIGMOID:
  case PERI_SVM_PRECOMPUTED: /* unknown */
    return false;
  default:
    return true;
  }
}

const char *peri_svm_kernel_name(int64_t id) {
  return id >= 0 && id < PERI_SVM_KERNEL_COUNT ? peri_svm_kernel_table[id].name : NULL;
}

int64_t peri_svm_kernel_find(const char *name) {
  for (int64_t id = 0; id < PERI_SVM_KERNEL_COUNT; id++) {
    if (strcmp(peri_svm_kernel_table[id].name, name) == 0) return id;
  }
  return -1;
}

/* ---- sides ---- */

/* To measure: ./dev bench parts machines. */
#define NARROW 8 /* features up to which distances come from differences alone */

const void *peri_svm_given_row(const peri_svm_side *side, int64_t i) {
  return peri_at(side->from, side->given, side->given_ld, side->order != NULL ? side->order[i] : i, 0);
}

peri_svm_side peri_svm_side_from(const peri_svm_side *side, peri_dtype dtype, int64_t row) {
  peri_svm_side rest = *side;
  rest.x = peri_at(dtype, side->x, side->ld, row, 0);
  rest.norms = peri_at(dtype, side->norms, 1, row, 0);
  if (side->columns != NULL) rest.columns = peri_at(dtype, side->columns, 1, row, 0);
  if (side->order != NULL)
    rest.order = side->order + row;
  else
    rest.given = peri_svm_given_row(side, row);
  return rest;
}

bool peri_svm_is_narrow(const peri_svm_kernel *kernel, int64_t d) {
  return peri_svm_kernel_table[kernel->id].of_distance && d <= NARROW;
}

bool peri_svm_wants_centre(const peri_svm_kernel *kernel, int64_t d) {
  return peri_svm_kernel_table[kernel->id].of_distance && d > NARROW;
}

/* ---- strips ---- */

/* A block at work. */
typedef struct filling {
  const peri_context *context;
  const peri_svm_block *block;
  const peri_svm_kernel_row *kernel;
  double largest; /* of the norms of b */
  int64_t count;  /* of values in a row of a strip, with those that nobody reads */
} filling;

static int64_t number_of(const peri_svm_block *block, int64_t i) { return block->rows != NULL ? block->rows[i] : i; }

/* Those of a row of exponents that are marked (see rbf_exponent), from the differences. */
static void restore_exponents(const filling *f, int64_t i, void *x) {
  const peri_svm_block *block = f->block;
  double (*distance)(int64_t d, const void *u, const void *v) =
      f->context->kernels->svm->distance[peri_is_wide(block->a.from)][peri_is_wide(block->b.from)];
  double gamma = block->kernel->gamma;
  const void *u = peri_svm_given_row(&block->a, number_of(block, i));
  for (int64_t j = 0; j < block->n; j++) {
    if (block->dtype == PERI_FLOAT64) {
      double *value = (double *)x + j;
      if (*value > 0) *value = -gamma * distance(block->d, u, peri_svm_given_row(&block->b, j));
    } else {
      float *value = (float *)x + j;
      if (*value > 0) *value = (float)(-gamma * distance(block->d, u, peri_svm_given_row(&block->b, j)));
    }
  }
}

/* A row of exponents -gamma |a_i - b_j|^2, from squared distances where there are few features, else from products. */
static void exponents(const filling *f, int64_t i, void *x) {
  const peri_svm_block *block = f->block;
  const peri_svm_kernels *loops = f->context->kernels->svm;
  double gamma = block->kernel->gamma;
  bool wide = peri_is_wide(block->dtype), lost;
  if (block->d <= NARROW) {
    lost = loops->distance_exponent[wide](f->count, x, gamma);
  } else {
    double norm = peri_value(block->dtype, block->a.norms, number_of(block, i));
    lost = loops->rbf_exponent[wide](block->n, x, block->b.norms, f->largest, norm, gamma);
  }
  if (lost) restore_exponents(f, i, x);
}

/* Products or squared distances become kernel values. */
static void finish_strip(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t j, int64_t columns,
                         void *strip, int64_t ld) {
  (void)batch, (void)j, (void)columns; /* there is one batch, and one piece of columns */
  const filling *f = state;
  const peri_svm_block *block = f->block;
  for (int64_t r = 0; r < rows; r++) {
    void *values = (char *)strip + r * ld * (int64_t)peri_float_size(block->dtype);
    if (f->kernel->of_distance) exponents(f, i + r, values);
    f->kernel->apply(f->context->kernels, block->kernel, block->dtype, f->count, values);
  }
  if (block->use != NULL) block->use(block->state, i, rows, strip, ld);
}

/* ---- blocks ---- */

#define NARROW_ROWS 64

/* The rows of b as columns. */
static void turn_rows(const peri_svm_block *block, void *turned) {
  const bool wide = block->dtype == PERI_FLOAT64;
  for (int64_t j = 0; j < block->n; j++) {
    const void *row = peri_at(block->dtype, block->b.x, block->b.ld, j, 0);
    for (int64_t l = 0; l < block->d; l++) {
      if (wide)
        ((double *)turned)[l * PERI_SVM_COLUMNS + j] = ((const double *)row)[l];
      else
        ((float *)turned)[l * PERI_SVM_COLUMNS + j] = ((const float *)row)[l];
    }
  }
}

/* Squared distances of few features. Where b has its columns, values that nobody keeps are made in whole vectors. */
static void fill_narrow(filling *f, void *scratch) {
  const peri_svm_block *block = f->block;
  const bool wide = block->dtype == PERI_FLOAT64, kept = block->out != NULL;
  const int64_t size = (int64_t)peri_float_size(block->dtype), ld = kept ? block->ldo : peri_svm_padded(block->n);
  double turned[NARROW * PERI_SVM_COLUMNS]; /* of either type */
  const void *columns = block->b.columns;
  int64_t apart = block->b.columns_ld;
  if (columns == NULL) {
    turn_rows(block, turned);
    columns = turned;
    apart = PERI_SVM_COLUMNS;
  } else if (!kept) {
    f->count = peri_svm_padded(block->n);
  }
  for (int64_t i = 0; i < block->m; i += NARROW_ROWS) {
    int64_t rows = peri_min(NARROW_ROWS, block->m - i);
    char *strip = kept ? (char *)block->out + i * ld * size : scratch;
    for (int64_t r = 0; r < rows; r++)
      f->context->kernels->svm->narrow_squares[wide](
          f->count, block->d, peri_at(block->dtype, block->a.x, block->a.ld, number_of(block, i + r), 0), columns, apart,
          strip + r * ld * size);
    finish_strip(f, 0, i, rows, 0, block->n, strip, ld);
  }
}

static peri_product product_of(const filling *f) {
  const peri_svm_block *block = f->block;
  return (peri_product){.dtype = block->dtype,
                        .m = block->m,
                        .n = block->n,
                        .k = block->d,
                        .a = {.data = block->a.x, .along = block->a.ld, .step = 1, .index = block->rows},
                        .b = {.data = block->b.x, .along = block->b.ld, .step = 1},
                        .c = block->out,
                        .ldc = block->ldo,
                        .finish = finish_strip,
                        .state = f};
}

size_t peri_svm_block_scratch(const peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t d,
                              int64_t m, int64_t n, bool kept) {
  char any;
  if (peri_svm_is_narrow(kernel, d))
    return (size_t)(kept ? 1 : peri_min(m, NARROW_ROWS) * peri_svm_padded(n)) * peri_float_size(dtype);
  peri_svm_block block = {.dtype = dtype, .d = d, .m = m, .n = n, .out = kept ? &any : NULL};
  filling f = {.context = context, .block = &block};
  peri_product product = product_of(&f);
  return peri_multiply_scratch(context, &product);
}

void peri_svm_block_fill(const peri_context *context, const peri_svm_block *block, void *scratch) {
  filling f = {.context = context,
               .block = block,
               .kernel = &peri_svm_kernel_table[block->kernel->id],
               .count = block->n};
  if (peri_svm_is_narrow(block->kernel, block->d)) {
    fill_narrow(&f, scratch);
    return;
  }
  for (int64_t j = 0; f.kernel->of_distance && j < block->n; j++) {
    double norm = peri_value(block->dtype, block->b.norms, j);
    if (norm > f.largest) f.largest = norm;
  }
  peri_product product = product_of(&f);
  peri_multiply_here(context, &product, scratch);
}

/* ---- norms ---- */

#define NORM_ROWS  16
#define NORM_PIECE (64 * NORM_ROWS)

typedef struct norms_job {
  const peri_context *context;
  peri_dtype dtype;
  int64_t n, d, ldx;
  const void *x;
  void *norms;
  char *scratch;
  size_t scratch_bytes;
} norms_job;

static void squares_body(void *arg, int64_t piece) {
  const norms_job *job = arg;
  bool wide = peri_is_wide(job->dtype);
  int64_t end = peri_min(job->n, (piece + 1) * NORM_PIECE);
  for (int64_t i = piece * NORM_PIECE; i < end; i++) {
    double norm = job->context->kernels->svm->square[wide](job->d, peri_at(job->dtype, job->x, job->ldx, i, 0));
    if (wide)
      ((double *)job->norms)[i] = norm;
    else
      ((float *)job->norms)[i] = (float)norm;
  }
}

/* Of some rows with each other, of which the diagonal is wanted. */
static peri_product square_of(const norms_job *job, int64_t from, int64_t rows, void *products) {
  peri_operand x = {.data = peri_at(job->dtype, job->x, job->ldx, from, 0), .along = job->ldx, .step = 1};
  return (peri_product){
      .dtype = job->dtype, .m = rows, .n = rows, .k = job->d, .a = x, .b = x, .c = products, .ldc = rows};
}

static void products_body(void *arg, int64_t piece) {
  const norms_job *job = arg;
  size_t size = peri_float_size(job->dtype);
  int64_t end = peri_min(job->n, (piece + 1) * NORM_PIECE);
  double products[NORM_ROWS * NORM_ROWS];
  for (int64_t from = piece * NORM_PIECE; from < end; from += NORM_ROWS) {
    int64_t rows = peri_min(NORM_ROWS, end - from);
    peri_product product = square_of(job, from, rows, products);
    peri_multiply_here(job->context, &product, job->scratch + (size_t)peri_worker() * job->scratch_bytes);
    for (int64_t i = 0; i < rows; i++)
      memcpy((char *)job->norms + (size_t)(from + i) * size, (char *)products + (size_t)(i * rows + i) * size, size);
  }
}

peri_status peri_svm_norms(peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, int64_t d,
                           const void *x, int64_t ldx, void *norms) {
  norms_job job = {.context = context, .dtype = dtype, .n = n, .d = d, .ldx = ldx, .x = x, .norms = norms};
  int64_t pieces = (n + NORM_PIECE - 1) / NORM_PIECE;
  if (n == 0) return PERI_OK;
  if (peri_svm_kernel_table[kernel->id].of_distance) return peri_parallel(context, pieces, squares_body, &job);
  peri_blocks blocks = {.context = context};
  peri_product largest = square_of(&job, 0, NORM_ROWS, NULL);
  job.scratch_bytes = peri_multiply_scratch(context, &largest);
  PERI_TRY(peri_blocks_new(&blocks, peri_min(peri_threads(context), pieces), job.scratch_bytes, &job.scratch));
  peri_status status = peri_parallel(context, pieces, products_body, &job);
  peri_blocks_release(&blocks);
  return status;
}

void peri_svm_diagonal(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       const void *norms, double *diagonal) {
  const peri_svm_kernel_row *row = &peri_svm_kernel_table[kernel->id];
  for (int64_t i = 0; i < n; i++) {
    const void *norm = (const char *)norms + (size_t)i * peri_float_size(dtype);
    double value = 0;
    if (!row->of_distance) memcpy(&value, norm, peri_float_size(dtype));
    row->apply(kernels, kernel, dtype, 1, &value);
    diagonal[i] = peri_value(dtype, &value, 0);
  }
}
