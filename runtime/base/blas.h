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

/* The routines that are used: to use another, name it here. */
#define PERI_LAPACK_ROUTINES(ROUTINE)                                                                                  \
  ROUTINE(LAPACKE_sgesv_work)                                                                                          \
  ROUTINE(LAPACKE_dgesv_work)                                                                                          \
  ROUTINE(LAPACKE_ssyevd_work)                                                                                         \
  ROUTINE(LAPACKE_dsyevd_work)                                                                                         \
  ROUTINE(LAPACKE_dgesvd_work)

typedef struct peri_blas {
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

#endif
