/* Calls of LAPACK that take long, made so that the caller can be stopped: LAPACK looks at no flag. The call runs on a
 * thread of its own, on copies; a caller that is cancelled leaves it to itself and returns at once. What it had is let
 * go of when it has ended, and at the end of the process it is ended. The copies are in the context's budget, until
 * they are let go of, also when it was left; where that has no room for them the call is made where it is. */
#ifndef PERI_APART_H
#define PERI_APART_H

#include "base/blas.h"
#include "ops/ops.h"

/* What info is when the caller was cancelled: check the flag before it. */
enum { PERI_APART_LEFT = -1000000, PERI_APART_PIECES = 7 };

/* Memory of a call: what LAPACK reads, what it writes, or neither: room. */
typedef struct peri_piece {
  void *of_caller;
  size_t bytes;
  bool in, out;
  void *own; /* where the routine finds it: the caller's, or the copy */
} peri_piece;

typedef struct peri_apart peri_apart;
struct peri_apart {
  lapack_int (*routine)(peri_apart *call);
  const peri_blas *blas;
  char job, triangle;
  lapack_int m, n, columns, ld, lwork, liwork, rank;
  double rcond;
  peri_piece piece[PERI_APART_PIECES]; /* unused ones: NULL and no bytes */
};

/* Makes the call, apart when it takes about so many operations that a person would wait; gives info. The context is
 * within peri_blas_begin and peri_blas_end. */
lapack_int peri_apart_run(peri_context *context, peri_apart *call, double operations);

#endif
