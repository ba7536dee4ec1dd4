/* What rows over LAPACK share: its routines by dtype, batches of matrices, and what is checked before it sees a number.
 *
 * LAPACK's matrices lie in columns and ours in rows, so that it sees the transpose of what it is given. Where a
 * factorisation of the transpose serves as well (A' = P L U is A = U' L' P'), nothing is turned. */
#ifndef PERI_LAPACK_H
#define PERI_LAPACK_H

#include "base/blas.h"
#include "ops/apart.h"
#include "ops/ops.h"

/* ---- routines by dtype; matrices in columns, the arguments LAPACK's, info is returned ---- */
typedef struct peri_lapack {
  lapack_int (*getrf)(const peri_blas *blas, lapack_int m, lapack_int n, void *a, lapack_int *pivots);
  lapack_int (*getrs)(const peri_blas *blas, char transpose, lapack_int n, lapack_int columns, const void *a,
                      const lapack_int *pivots, void *b);
  lapack_int (*getri)(const peri_blas *blas, lapack_int n, void *a, const lapack_int *pivots, void *work,
                      lapack_int lwork);
  lapack_int (*potrf)(const peri_blas *blas, char triangle, lapack_int n, void *a);
  lapack_int (*geqrf)(const peri_blas *blas, lapack_int m, lapack_int n, void *a, void *tau, void *work,
                      lapack_int lwork);
  lapack_int (*orgqr)(const peri_blas *blas, lapack_int m, lapack_int n, lapack_int k, void *a, const void *tau,
                      void *work, lapack_int lwork);
  /* these take longest, and the caller can be stopped meanwhile (apart.h): info is then PERI_APART_LEFT */
  lapack_int (*gesdd)(peri_context *context, char job, lapack_int m, lapack_int n, void *a, void *s, void *u, void *vt,
                      lapack_int ldvt, void *work, lapack_int lwork, lapack_int *iwork);
  lapack_int (*syevd)(peri_context *context, char job, char triangle, lapack_int n, void *a, void *values, void *work,
                      lapack_int lwork, lapack_int *iwork, lapack_int liwork);
  lapack_int (*geev)(peri_context *context, char job, lapack_int n, void *a, void *real, void *imaginary, void *vectors,
                     void *work, lapack_int lwork);
  lapack_int (*gelsd)(peri_context *context, lapack_int m, lapack_int n, lapack_int columns, void *a, void *b,
                      lapack_int ldb, void *s, double rcond, lapack_int *rank, void *work, lapack_int lwork,
                      lapack_int *iwork);
  /* matrices in rows: X in the place of B */
  void (*trsm)(const peri_blas *blas, bool left, bool upper, bool unit, int64_t m, int64_t n, const void *a, void *b);
} peri_lapack;
extern const peri_lapack peri_lapack_of[2]; /* by float dtype */

/* A size of workspace as a routine answers it in work[0]. */
lapack_int peri_lapack_size(peri_dtype dtype, const void *work);

/* ---- matrices ---- */

/* Floats of two dimensions or more, each size at most LAPACK's largest integer; and square ones. */
peri_status peri_need_matrices(peri_call *call, int arg);
peri_status peri_need_square(peri_call *call, int arg);
/* LAPACK does not promise to stop on NaN. */
peri_status peri_need_finite(peri_call *call, int arg);
/* The sizes of a matrix of argument arg, and how many there are. */
typedef struct peri_matrices {
  int64_t count, m, n;
} peri_matrices;
peri_matrices peri_matrices_of(const peri_layout *x);
/* x as a batch of the given shape (broadcast), one matrix behind the other in memory: in rows, or turned, in columns,
 * then with `room` rows (0: as many as there are). */
peri_status peri_matrices_copy(peri_context *context, const peri_view *x, int ndim, const int64_t *shape, bool turned,
                               int64_t room, char *memory);
/* The reverse of a turned copy, into the contiguous y, of its rows first. */
peri_status peri_matrices_turn(peri_context *context, const peri_tensor *y, int64_t room, char *memory);

/* A right side: as it is, or a vector as one column, as solve takes them. */
typedef struct peri_right_side {
  bool vector;
  peri_view view;
  int ndim;                     /* of the broadcast result, with its column */
  int64_t shape[PERI_MAX_DIMS]; /* batch, rows of the solution, columns */
} peri_right_side;
/* Reads A (..., m x n) and b (..., m or m x c): the batches broadcast, the solution has n rows. */
peri_status peri_infer_right_side(peri_call *call, int of_A, int of_b, peri_right_side *out);

/* Signs that no machine chooses otherwise: the first of the largest elements (but for rounding) of each of n vectors is
 * made positive; its elements are `step` apart, the vectors `along`. A second set of vectors follows where it is not
 * NULL. */
typedef struct peri_vectors {
  void *data;
  int64_t length, step, along;
} peri_vectors;
void peri_fix_signs(peri_dtype dtype, int64_t n, peri_vectors vectors, const peri_vectors *followers);

/* ---- workspace: pieces one behind the other, each aligned, and none empty: there is memory to point to ---- */
static inline size_t peri_room(size_t bytes) { return bytes == 0 ? 64 : (bytes + 63) / 64 * 64; }

/* "A is singular ..": which matrix of a batch it was. */
const char *peri_which(char *buffer, size_t bytes, int64_t index, int64_t count);

#endif
