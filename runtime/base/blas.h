/* LAPACK's decompositions, by OpenBLAS, behind one gate. Everything else multiplies with the product engine.
 *
 * OpenBLAS keeps a buffer of 128 MB for each call that runs, maps it when it needs one more than ever before, and
 * tries for ever where the system refuses; the threads that it starts as it is loaded do the same. So the libraries
 * are loaded at the first use, without threads, and a call can only be made inside peri_blas_begin and peri_blas_end,
 * which see to it that OpenBLAS holds a buffer for each call that can run at once. Nothing links OpenBLAS: the
 * routines are reached through context->blas, which is NULL outside. */
#ifndef PERI_BLAS_H
#define PERI_BLAS_H

#include "base/base.h"

#include <lapacke.h>

/* The routines of LAPACKE that are used: to use another, name it here. */
#define PERI_LAPACK_ROUTINES(ROUTINE)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, getrf)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, getrs)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, getri)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, potrf)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, geqrf)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, orgqr)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, gesdd)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, syevd)                                                                                  \
  PERI_LAPACK_ROUTINE(ROUTINE, geev)                                                                                   \
  PERI_LAPACK_ROUTINE(ROUTINE, gelsd)
#define PERI_LAPACK_ROUTINE(ROUTINE, name) ROUTINE(LAPACKE_s##name##_work) ROUTINE(LAPACKE_d##name##_work)

/* X of op(A) X = B (or X op(A) = B), in the place of B; A and B lie in rows. The choices are CBLAS's numbers. */
enum {
  PERI_BLAS_ROWS = 101,
  PERI_BLAS_AS_IS = 111,
  PERI_BLAS_UPPER = 121,
  PERI_BLAS_LOWER = 122,
  PERI_BLAS_NON_UNIT = 131,
  PERI_BLAS_UNIT = 132,
  PERI_BLAS_LEFT = 141,
  PERI_BLAS_RIGHT = 142
};
typedef void peri_strsm(int order, int side, int triangle, int transpose, int diagonal, int m, int n, float alpha,
                        const float *a, int lda, float *b, int ldb);
typedef void peri_dtrsm(int order, int side, int triangle, int transpose, int diagonal, int m, int n, double alpha,
                        const double *a, int lda, double *b, int ldb);

typedef struct peri_blas {
  peri_strsm *cblas_strsm;
  peri_dtrsm *cblas_dtrsm;
#define PERI_BLAS_FIELD(name) __typeof__(name) *name;
  PERI_LAPACK_ROUTINES(PERI_BLAS_FIELD)
#undef PERI_BLAS_FIELD
} peri_blas;

/* What the library says of itself. */
typedef struct peri_blas_facts {
  const char *config; /* version and options of the build */
  const char *core;   /* the kernels that it has chosen */
} peri_blas_facts;
peri_status peri_blas_facts_get(peri_context *context, peri_blas_facts *out);

/* Lets the thread that has this context make one call at a time, until peri_blas_end. Not for bodies, and pairs do not
 * nest. PERI_ERR_MEMORY when the system has no room for a buffer. */
peri_status peri_blas_begin(peri_context *context);
void peri_blas_end(peri_context *context);
/* In the place of peri_blas_end, while the call goes on, on another thread; when it has ended, that gives back. */
void peri_blas_leave(peri_context *context);
void peri_blas_give_back(void);

#endif
