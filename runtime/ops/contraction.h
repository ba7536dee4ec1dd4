/* Sums of products over shared dimensions, as steps: what einsum, tensordot and inner are made of. */
#ifndef PERI_CONTRACTION_H
#define PERI_CONTRACTION_H

#include "ops/ops.h"

#define PERI_MAX_LABELS 60 /* of dimensions: 26 small letters, 26 large ones, 8 that an ellipsis stands for */

/* A tensor whose dimensions have names; a set of names is a set of bits. */
typedef struct peri_factor {
  peri_value value;
  int ndim;
  int label[PERI_MAX_DIMS];
} peri_factor;

uint64_t peri_factor_labels(const peri_factor *x);
/* Names that stand twice become one, of the diagonal. */
void peri_factor_diagonal(peri_backward *B, peri_factor *x);
/* The dimensions that are not to be kept are summed. */
void peri_factor_sum(peri_backward *B, peri_factor *x, uint64_t keep);
/* The product, summed over what is not to be kept, by one batched matrix product where that serves. Of the result, the
 * dimensions of both come first, then those of a alone, then those of b alone. */
peri_factor peri_contract(peri_call *call, peri_backward *B, peri_factor a, peri_factor b, uint64_t keep);
/* The dimensions in this order. */
peri_value peri_factor_ordered(peri_backward *B, const peri_factor *x, int ndim, const int *label);

#endif
