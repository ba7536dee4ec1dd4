/* What rows over LAPACK share; see lapack.h. */
#include "ops/lapack.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

/* ---- routines by dtype ---- */

static size_t bytes_of(lapack_int rows, lapack_int columns, size_t size) {
  return (size_t)rows * (size_t)columns * size;
}
static size_t room_of(lapack_int count, size_t size) { return count > 0 ? (size_t)count * size : 0; }

/* gelsd wants 3 k levels + 11 k integers, where k is the smaller size and there are at most 31 levels. */
#define GELSD_INTEGERS 104

#define ROUTINES(T, letter)                                                                                            \
  static lapack_int letter##getrf(const peri_blas *blas, lapack_int m, lapack_int n, void *a, lapack_int *pivots) {    \
    return blas->LAPACKE_##letter##getrf_work(LAPACK_COL_MAJOR, m, n, a, m, pivots);                                   \
  }                                                                                                                    \
  static lapack_int letter##getrs(const peri_blas *blas, char transpose, lapack_int n, lapack_int columns,             \
                                  const void *a, const lapack_int *pivots, void *b) {                                  \
    return blas->LAPACKE_##letter##getrs_work(LAPACK_COL_MAJOR, transpose, n, columns, a, n, pivots, b, n);            \
  }                                                                                                                    \
  static lapack_int letter##getri(const peri_blas *blas, lapack_int n, void *a, const lapack_int *pivots, void *work,  \
                                  lapack_int lwork) {                                                                  \
    return blas->LAPACKE_##letter##getri_work(LAPACK_COL_MAJOR, n, a, n, pivots, work, lwork);                         \
  }                                                                                                                    \
  static lapack_int letter##potrf(const peri_blas *blas, char triangle, lapack_int n, void *a) {                       \
    return blas->LAPACKE_##letter##potrf_work(LAPACK_COL_MAJOR, triangle, n, a, n);                                    \
  }                                                                                                                    \
  static lapack_int letter##geqrf(const peri_blas *blas, lapack_int m, lapack_int n, void *a, void *tau, void *work,   \
                                  lapack_int lwork) {                                                                  \
    return blas->LAPACKE_##letter##geqrf_work(LAPACK_COL_MAJOR, m, n, a, m, tau, work, lwork);                         \
  }                                                                                                                    \
  static lapack_int letter##orgqr(const peri_blas *blas, lapack_int m, lapack_int n, lapack_int k, void *a,            \
                                  const void *tau, void *work, lapack_int lwork) {                                     \
    return blas->LAPACKE_##letter##orgqr_work(LAPACK_COL_MAJOR, m, n, k, a, m, tau, work, lwork);                      \
  }                                                                                                                    \
  static lapack_int letter##gesdd_routine(peri_apart *x) {                                                             \
    return x->blas->LAPACKE_##letter##gesdd_work(LAPACK_COL_MAJOR, x->job, x->m, x->n, x->piece[0].own, x->m,          \
                                                 x->piece[1].own, x->piece[2].own, x->m, x->piece[3].own, x->ld,       \
                                                 x->piece[4].own, x->lwork, x->piece[5].own);                          \
  }                                                                                                                    \
  static lapack_int letter##gesdd(peri_context *context, char job, lapack_int m, lapack_int n, void *a, void *s,       \
                                  void *u, void *vt, lapack_int ldvt, void *work, lapack_int lwork,                    \
                                  lapack_int *iwork) {                                                                 \
    peri_apart x = {.routine = letter##gesdd_routine, .job = job, .m = m, .n = n, .ld = ldvt, .lwork = lwork};         \
    double least = m < n ? m : n, most = m < n ? n : m;                                                                \
    size_t k = (size_t)least, columns = job == 'N' ? 0 : job == 'A' ? (size_t)m : k;                                   \
    x.piece[0] = (peri_piece){a, bytes_of(m, n, sizeof(T)), .in = true};                                               \
    x.piece[1] = (peri_piece){s, k * sizeof(T), .out = true};                                                          \
    x.piece[2] = (peri_piece){u, (size_t)m * columns * sizeof(T), .out = true};                                        \
    x.piece[3] = (peri_piece){vt, job == 'N' ? 0 : bytes_of(ldvt, n, sizeof(T)), .out = true};                         \
    x.piece[4] = (peri_piece){work, room_of(lwork, sizeof(T))};                                                        \
    x.piece[5] = (peri_piece){iwork, 8 * k * sizeof(lapack_int)};                                                      \
    return peri_apart_run(context, &x, lwork < 0 ? 0 : 8 * least * least * most);                                      \
  }                                                                                                                    \
  static lapack_int letter##syevd_routine(peri_apart *x) {                                                             \
    return x->blas->LAPACKE_##letter##syevd_work(LAPACK_COL_MAJOR, x->job, x->triangle, x->n, x->piece[0].own, x->n,   \
                                                 x->piece[1].own, x->piece[2].own, x->lwork, x->piece[3].own,          \
                                                 x->liwork);                                                           \
  }                                                                                                                    \
  static lapack_int letter##syevd(peri_context *context, char job, char triangle, lapack_int n, void *a, void *values, \
                                  void *work, lapack_int lwork, lapack_int *iwork, lapack_int liwork) {                \
    peri_apart x = {                                                                                                   \
        .routine = letter##syevd_routine, .job = job, .triangle = triangle, .n = n, .lwork = lwork, .liwork = liwork}; \
    x.piece[0] = (peri_piece){a, bytes_of(n, n, sizeof(T)), .in = true, .out = true};                                  \
    x.piece[1] = (peri_piece){values, (size_t)n * sizeof(T), .out = true};                                             \
    x.piece[2] = (peri_piece){work, room_of(lwork, sizeof(T))};                                                        \
    x.piece[3] = (peri_piece){iwork, room_of(liwork, sizeof(lapack_int))};                                             \
    return peri_apart_run(context, &x, lwork < 0 ? 0 : 4.0 * n * n * n);                                               \
  }                                                                                                                    \
  static lapack_int letter##geev_routine(peri_apart *x) {                                                              \
    return x->blas->LAPACKE_##letter##geev_work(LAPACK_COL_MAJOR, 'N', x->job, x->n, x->piece[0].own, x->n,            \
                                                x->piece[1].own, x->piece[2].own, NULL, 1, x->piece[3].own, x->n,      \
                                                x->piece[4].own, x->lwork);                                            \
  }                                                                                                                    \
  static lapack_int letter##geev(peri_context *context, char job, lapack_int n, void *a, void *real, void *imaginary,  \
                                 void *vectors, void *work, lapack_int lwork) {                                        \
    peri_apart x = {.routine = letter##geev_routine, .job = job, .n = n, .lwork = lwork};                              \
    x.piece[0] = (peri_piece){a, bytes_of(n, n, sizeof(T)), .in = true};                                               \
    x.piece[1] = (peri_piece){real, (size_t)n * sizeof(T), .out = true};                                               \
    x.piece[2] = (peri_piece){imaginary, (size_t)n * sizeof(T), .out = true};                                          \
    x.piece[3] = (peri_piece){vectors, job == 'N' ? 0 : bytes_of(n, n, sizeof(T)), .out = job != 'N'};                 \
    x.piece[4] = (peri_piece){work, room_of(lwork, sizeof(T))};                                                        \
    return peri_apart_run(context, &x, lwork < 0 ? 0 : 25.0 * n * n * n);                                              \
  }                                                                                                                    \
  static lapack_int letter##gelsd_routine(peri_apart *x) {                                                             \
    return x->blas->LAPACKE_##letter##gelsd_work(LAPACK_COL_MAJOR, x->m, x->n, x->columns, x->piece[0].own, x->m,      \
                                                 x->piece[1].own, x->ld, x->piece[2].own, (T)x->rcond, &x->rank,       \
                                                 x->piece[3].own, x->lwork, x->piece[4].own);                          \
  }                                                                                                                    \
  static lapack_int letter##gelsd(peri_context *context, lapack_int m, lapack_int n, lapack_int columns, void *a,      \
                                  void *b, lapack_int ldb, void *s, double rcond, lapack_int *rank, void *work,        \
                                  lapack_int lwork, lapack_int *iwork) {                                               \
    peri_apart x = {.routine = letter##gelsd_routine,                                                                  \
                    .m = m,                                                                                            \
                    .n = n,                                                                                            \
                    .columns = columns,                                                                                \
                    .ld = ldb,                                                                                         \
                    .lwork = lwork,                                                                                    \
                    .rcond = rcond};                                                                                   \
    double least = m < n ? m : n, most = m < n ? n : m;                                                                \
    x.piece[0] = (peri_piece){a, bytes_of(m, n, sizeof(T)), .in = true};                                               \
    x.piece[1] = (peri_piece){b, bytes_of(ldb, columns, sizeof(T)), .in = true, .out = true};                          \
    x.piece[2] = (peri_piece){s, (size_t)least * sizeof(T), .out = true};                                              \
    x.piece[3] = (peri_piece){work, room_of(lwork, sizeof(T))};                                                        \
    x.piece[4] = (peri_piece){iwork, GELSD_INTEGERS * ((size_t)least + 1) * sizeof(lapack_int)};                       \
    lapack_int info = peri_apart_run(context, &x, lwork < 0 ? 0 : 4 * least * least * most);                           \
    *rank = x.rank;                                                                                                    \
    return info;                                                                                                       \
  }                                                                                                                    \
  static void letter##trsm(const peri_blas *blas, bool left, bool upper, bool unit, int64_t m, int64_t n,              \
                           const void *a, void *b) {                                                                   \
    blas->cblas_##letter##trsm(PERI_BLAS_ROWS, left ? PERI_BLAS_LEFT : PERI_BLAS_RIGHT,                                \
                               upper ? PERI_BLAS_UPPER : PERI_BLAS_LOWER, PERI_BLAS_AS_IS,                             \
                               unit ? PERI_BLAS_UNIT : PERI_BLAS_NON_UNIT, (int)m, (int)n, 1, a, (int)(left ? m : n),  \
                               b, (int)n);                                                                             \
  }
ROUTINES(float, s)
ROUTINES(double, d)

#define TABLE(letter)                                                                                                  \
  {                                                                                                                    \
    letter##getrf, letter##getrs, letter##getri, letter##potrf, letter##geqrf, letter##orgqr, letter##gesdd,           \
        letter##syevd, letter##geev, letter##gelsd, letter##trsm                                                       \
  }
const peri_lapack peri_lapack_of[2] = {[PERI_FLOAT32] = TABLE(s), [PERI_FLOAT64] = TABLE(d)};

/* float32 rounds large sizes, perhaps down. */
lapack_int peri_lapack_size(peri_dtype dtype, const void *work) {
  double size = dtype == PERI_FLOAT32 ? (double)nextafterf(*(const float *)work, HUGE_VALF) : *(const double *)work;
  return size >= INT_MAX ? INT_MAX : (lapack_int)ceil(size);
}

/* ---- checks ---- */

static peri_status expected(peri_call *call, int arg, const char *what) {
  const peri_layout *x = &call->args[arg].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s)", call->op->params[arg].name,
                        peri_shape_text(x->ndim, x->shape, text), what);
}

peri_status peri_need_matrices(peri_call *call, int arg) {
  const peri_layout *x = &call->args[arg].tensor->layout;
  PERI_TRY(peri_infer_float(call, arg));
  if (x->ndim < 2) return expected(call, arg, "a matrix, or a batch of them");
  if (x->shape[x->ndim - 1] > INT_MAX || x->shape[x->ndim - 2] > INT_MAX)
    return expected(call, arg, "less than 2^31 rows and columns");
  return PERI_OK;
}

peri_status peri_need_square(peri_call *call, int arg) {
  const peri_layout *x = &call->args[arg].tensor->layout;
  PERI_TRY(peri_need_matrices(call, arg));
  return x->shape[x->ndim - 1] == x->shape[x->ndim - 2] ? PERI_OK
                                                        : expected(call, arg, "a square matrix, or a batch of them");
}

/* x - x is 0 for finite numbers alone, and a sum of zeros. */
#define ALL_FINITE(T)                                                                                                  \
  static bool all_finite_##T(const T *x, int64_t n) {                                                                  \
    T sum[8] = {0};                                                                                                    \
    int64_t i = 0;                                                                                                     \
    for (; i + 8 <= n; i += 8) {                                                                                       \
      for (int lane = 0; lane < 8; lane++) sum[lane] += x[i + lane] - x[i + lane];                                     \
    }                                                                                                                  \
    for (; i < n; i++) sum[0] += x[i] - x[i];                                                                          \
    for (int lane = 1; lane < 8; lane++) sum[0] += sum[lane];                                                          \
    return sum[0] == 0;                                                                                                \
  }
ALL_FINITE(float)
ALL_FINITE(double)

peri_status peri_need_finite(peri_call *call, int arg) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(call->args[arg].tensor, &own));
  peri_dtype dtype = own->layout.dtype;
  const void *data = own->data;
  int64_t n = own->layout.numel, wrong = -1;
  bool finite = dtype == PERI_FLOAT32 ? all_finite_float(data, n) : all_finite_double(data, n);
  for (int64_t i = 0; !finite && i < n && wrong < 0; i++) {
    double value = peri_load_number(dtype, own->data + (size_t)i * peri_dtype_size(dtype));
    if (!(value - value == 0)) wrong = i;
  }
  peri_tensor_release(&own);
  if (wrong < 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld of %s is not finite", (long long)wrong + 1,
                        call->op->params[arg].name);
}

/* ---- matrices ---- */

peri_matrices peri_matrices_of(const peri_layout *x) {
  peri_matrices of = {1, x->shape[x->ndim - 2], x->shape[x->ndim - 1]};
  for (int d = 0; d < x->ndim - 2; d++) of.count *= x->shape[d];
  return of;
}

/* Memory as a batch of that shape, in columns with room for so many rows. */
static peri_view in_columns(peri_dtype dtype, int ndim, const int64_t *shape, int64_t room, char *memory) {
  peri_view view = {.data = memory};
  peri_layout_set(&view.layout, dtype, ndim, shape);
  view.layout.strides[ndim - 2] = 1;
  view.layout.strides[ndim - 1] = room;
  int64_t stride = room * shape[ndim - 1];
  for (int d = ndim - 3; d >= 0; d--) {
    view.layout.strides[d] = stride;
    stride *= shape[d];
  }
  view.contiguous = peri_layout_is_contiguous(&view.layout);
  return view;
}

peri_status peri_matrices_copy(peri_context *context, const peri_view *x, int ndim, const int64_t *shape, bool turned,
                               int64_t room, char *memory) {
  peri_view to = {.data = memory, .contiguous = true};
  peri_layout_set(&to.layout, x->layout.dtype, ndim, shape);
  if (to.layout.numel == 0) return PERI_OK;
  if (turned) to = in_columns(x->layout.dtype, ndim, shape, room > 0 ? room : shape[ndim - 2], memory);
  return peri_view_copy_into(context, &to, x);
}

peri_status peri_matrices_turn(peri_context *context, const peri_tensor *y, int64_t room, char *memory) {
  const peri_layout *layout = &y->layout;
  if (layout->numel == 0) return PERI_OK;
  peri_view from =
      in_columns(layout->dtype, layout->ndim, layout->shape, room > 0 ? room : layout->shape[layout->ndim - 2], memory);
  return peri_view_copy_into(context, &y->view, &from);
}

/* ---- right sides ---- */

static peri_status no_right_side(peri_call *call, int of_A, int of_b) {
  const peri_layout *A = &call->args[of_A].tensor->layout, *b = &call->args[of_b].tensor->layout;
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s but %s is %s (expected %s with %lld rows)",
                        call->op->params[of_A].name, peri_shape_text(A->ndim, A->shape, s), call->op->params[of_b].name,
                        peri_shape_text(b->ndim, b->shape, t), call->op->params[of_b].name,
                        (long long)A->shape[A->ndim - 2]);
}

/* Of b as A's shape without its last dimension, the rows are vectors. */
static bool is_vector(const peri_layout *A, const peri_layout *b) {
  if (b->ndim == 1) return true;
  if (b->ndim != A->ndim - 1) return false;
  for (int d = 0; d < b->ndim; d++) {
    if (b->shape[d] != A->shape[d]) return false;
  }
  return true;
}

peri_status peri_infer_right_side(peri_call *call, int of_A, int of_b, peri_right_side *out) {
  const peri_layout *A = &call->args[of_A].tensor->layout, *b = &call->args[of_b].tensor->layout;
  PERI_TRY(peri_infer_same_dtype(call, of_A, of_b));
  if (b->ndim == 0) return no_right_side(call, of_A, of_b);
  out->vector = is_vector(A, b);
  out->view = call->args[of_b].tensor->view;
  peri_layout *view = &out->view.layout;
  if (out->vector) {
    if (b->ndim == PERI_MAX_DIMS) return no_right_side(call, of_A, of_b);
    view->shape[view->ndim] = view->strides[view->ndim] = 1;
    view->ndim++;
  }
  int ndim = A->ndim > view->ndim ? A->ndim : view->ndim;
  if (view->shape[view->ndim - 2] != A->shape[A->ndim - 2] || view->shape[view->ndim - 1] > INT_MAX)
    return no_right_side(call, of_A, of_b);
  for (int d = 0; d < ndim - 2; d++) {
    int in_A = d - (ndim - A->ndim), in_b = d - (ndim - view->ndim);
    int64_t x = in_A < 0 ? 1 : A->shape[in_A], y = in_b < 0 ? 1 : view->shape[in_b];
    if (x != y && x != 1 && y != 1) return no_right_side(call, of_A, of_b);
    out->shape[d] = x == 1 ? y : x;
  }
  out->ndim = ndim;
  out->shape[ndim - 2] = A->shape[A->ndim - 1];
  out->shape[ndim - 1] = view->shape[view->ndim - 1];
  return PERI_OK;
}

/* ---- signs ---- */

#define FIX_SIGNS(T, absolute)                                                                                         \
  static void negate_##T(T *x, int64_t n, int64_t step) {                                                              \
    for (int64_t i = 0; i < n; i++) x[i * step] = -x[i * step];                                                        \
  }                                                                                                                    \
  static bool is_negative_##T(const T *x, int64_t n, int64_t step) {                                                   \
    T largest = 0;                                                                                                     \
    for (int64_t i = 0; i < n; i++) largest = absolute(x[i * step]) > largest ? absolute(x[i * step]) : largest;       \
    largest -= largest / 64; /* so that rounding does not choose between equals */                                     \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      if (absolute(x[i * step]) >= largest) return x[i * step] < 0;                                                    \
    }                                                                                                                  \
    return false;                                                                                                      \
  }                                                                                                                    \
  static void fix_##T(int64_t n, peri_vectors v, const peri_vectors *w) {                                              \
    for (int64_t j = 0; j < n; j++) {                                                                                  \
      if (!is_negative_##T((const T *)v.data + j * v.along, v.length, v.step)) continue;                               \
      negate_##T((T *)v.data + j * v.along, v.length, v.step);                                                         \
      if (w != NULL) negate_##T((T *)w->data + j * w->along, w->length, w->step);                                      \
    }                                                                                                                  \
  }
FIX_SIGNS(float, fabsf)
FIX_SIGNS(double, fabs)

void peri_fix_signs(peri_dtype dtype, int64_t n, peri_vectors vectors, const peri_vectors *followers) {
  if (dtype == PERI_FLOAT32) {
    fix_float(n, vectors, followers);
  } else {
    fix_double(n, vectors, followers);
  }
}

const char *peri_which(char *buffer, size_t bytes, int64_t index, int64_t count) {
  if (count == 1) return "";
  snprintf(buffer, bytes, "matrix %lld of ", (long long)index + 1);
  return buffer;
}
