/* Where the solver's kernel rows come from. A source knows the kernel between the samples of one problem,
 * numbered from 0, and lends rows of it; every row can be read (any value) up to PERI_SVM_LANES - 1
 * elements beyond its end. There are three: the whole Gram matrix, computed once and shared by all pairs of classes;
 * where that exceeds the budget, the matrix of a pair; and a cache of rows where that does too. */
#ifndef PERI_SVM_GRAM_H
#define PERI_SVM_GRAM_H

#include "svm/grouping.h"
#include "svm/kernel/kernel.h"

typedef struct peri_row_source {
  peri_dtype dtype;
  bool definite; /* positive semidefinite */
  /* the whole matrix, rows of ld elements; or NULL, then rows are fetched */
  const void *matrix;
  int64_t ld;
  /* how many rows can be lent at a time */
  int64_t capacity;
  /* bytes that copies of parts of the whole matrix may take */
  double spare;
  /* rows[i] = row index[i], valid until the next fetch; count <= capacity */
  peri_status (*fetch)(struct peri_row_source *self, int64_t count, const int64_t *index, const void **rows);
} peri_row_source;

/* ---- the whole matrix ---- */

/* Leading dimension of a Gram matrix of n rows: room for reading beyond, away from powers of two. */
int64_t peri_gram_ld(int64_t n);
/* gram (n x n, ld as above) of the rows of x: tiles over the team, half computed, half mirrored. */
peri_status peri_gram_fill(peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, int64_t d,
                           const peri_svm_side *x, void *gram);
/* The same of a given matrix: gram[i][j] = x[order[i]][order[j]], from one float dtype to another. */
peri_status peri_gram_gather(peri_context *context, peri_dtype dtype, int64_t n, peri_dtype from, const void *x,
                             int64_t ldx, const int64_t *order, void *gram);

/* The part of a square of n rows above its diagonal, to below it. */
void peri_gram_mirror(peri_dtype dtype, int64_t n, int64_t ld, void *square);

/* ---- rows of a part of the samples ---- */

/* Samples of a problem: stretches of rows of x, one after the other in the problem's numbering. */
typedef struct peri_stretch {
  int64_t first, count; /* rows of x */
  int64_t at;           /* number of the first in the problem */
} peri_stretch;

#define PERI_STRETCHES 2

/* What rows are computed from: features, or a given matrix of kernel values, whose rows and columns are taken in the
 * order of `side`, which then has no x. */
typedef struct peri_cached_rows {
  const peri_svm_kernel *kernel;
  peri_dtype dtype; /* of kernel values, and of side.x */
  int64_t d;
  peri_svm_side side;
  int64_t most; /* samples of a part */
} peri_cached_rows;

/* Bytes of scratch memory that each thread takes for parts. */
size_t peri_gram_part_scratch(const peri_context *context, const peri_cached_rows *rows);
/* The whole matrix of a problem of stretches, n samples in all: by the team, or with `team` false by whoever calls it,
 * which may be a body. scratch is for all threads. Fails only when cancelled. */
peri_status peri_gram_fill_part(peri_context *context, const peri_cached_rows *rows, int64_t stretches,
                                const peri_stretch *stretch, bool team, void *gram, void *scratch);

/* ---- cached rows ---- */

typedef struct peri_row_cache {
  peri_row_source source; /* first: a row cache is a source */
  peri_context *context;
  bool team; /* computes rows; else whoever fetches them, in a body */
  peri_cached_rows rows;
  int64_t stretches, n;
  peri_stretch stretch[PERI_STRETCHES];

  int64_t slots, ld;
  char *values;       /* slots rows of ld elements */
  int64_t *slot_of;   /* most samples: slot, or -1 */
  int64_t *sample_of; /* slots: sample, or -1 */
  int64_t *used;      /* slots: the fetch that last lent it */
  int64_t fetches;
  int64_t hand;         /* where the search for the next slot begins */
  int64_t *missing;     /* batch: which rows a fetch computes */
  int64_t *missing_row; /* batch: the rows of x that they are */
  int64_t batch;
  char *scratch; /* of each thread, where there are features */
  size_t scratch_bytes;
} peri_row_cache;

/* Caches for problems of up to most samples: `wanted` of them, one for each thread, where `bytes` hold all rows in
 * each; else a single one, within `bytes` as far as 16 rows allow, whose rows the team computes. What they lend is the
 * same.
 */
peri_status peri_row_caches_new(peri_blocks *blocks, const peri_cached_rows *rows, int64_t most, double bytes,
                                int64_t wanted, peri_row_cache **out, int64_t *count);
/* Begins another problem: forgets the rows held. */
void peri_row_cache_begin(peri_row_cache *cache, int64_t stretches, const peri_stretch *stretch);

#endif
