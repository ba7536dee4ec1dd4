/* OpenBLAS and LAPACKE behind one gate.
 *
 * OpenBLAS keeps a buffer of 128 MB for each call that runs, maps it when it needs one more than ever before, and
 * tries for ever where the system refuses; the threads that it starts as it is loaded do the same. So the libraries
 * are loaded at the first use, without threads, and a call can only be made inside peri_blas_begin and peri_blas_end,
 * which see to it that OpenBLAS holds a buffer for each call that can run at once. Nothing links OpenBLAS: the
 * routines are reached through context->blas, which is NULL outside. */
#ifndef PERI_BLAS_H
#define PERI_BLAS_H

#include "base/base.h"

#include <cblas.h>
#include <lapacke.h>

/* The routines that are used: to use another, name it here. */
#define PERI_BLAS_ROUTINES(ROUTINE)                                                                                    \
  ROUTINE(cblas_sgemm)                                                                                                 \
  ROUTINE(cblas_dgemm)                                                                                                 \
  ROUTINE(cblas_ssyrk)                                                                                                 \
  ROUTINE(cblas_dsyrk)                                                                                                 \
  ROUTINE(cblas_strsv)                                                                                                 \
  ROUTINE(cblas_dtrsv)
#define PERI_LAPACK_ROUTINES(ROUTINE)                                                                                  \
  ROUTINE(LAPACKE_sgesv_work)                                                                                          \
  ROUTINE(LAPACKE_dgesv_work)                                                                                          \
  ROUTINE(LAPACKE_ssyevd_work)                                                                                         \
  ROUTINE(LAPACKE_dsyevd_work)                                                                                         \
  ROUTINE(LAPACKE_dgesvd_work)                                                                                         \
  ROUTINE(LAPACKE_spotrf_work)                                                                                         \
  ROUTINE(LAPACKE_dpotrf_work)

typedef struct peri_blas {
#define PERI_BLAS_FIELD(name) __typeof__(name) *name;
  PERI_BLAS_ROUTINES(PERI_BLAS_FIELD)
  PERI_LAPACK_ROUTINES(PERI_BLAS_FIELD)
#undef PERI_BLAS_FIELD
} peri_blas;

/* What the library says of itself. */
typedef struct peri_blas_facts {
  const char *config; /* version and options of the build */
  const char *core;   /* the kernels that it has chosen */
} peri_blas_facts;
peri_status peri_blas_facts_get(peri_context *context, peri_blas_facts *out);

/* Lets this context make `calls` calls at once, or as many as there are threads, processors and buffers for: until
 * peri_blas_end, peri_parallel uses no more workers than that. *taken goes to peri_blas_end. Pairs nest. Not for
 * bodies: who starts the job opens the gate for them. PERI_ERR_MEMORY when the system has no room for a single buffer.
 */
peri_status peri_blas_begin(peri_context *context, int64_t calls, int *taken);
void peri_blas_end(peri_context *context, int taken);

/* The same around a job whose bodies make calls. */
peri_status peri_blas_parallel(peri_context *context, int64_t pieces, peri_body body, void *arg);

#endif
