/* Matrix products, the one engine: a frame that cuts a product into pieces for the team, packs panels of its operands,
 * multiplies them tile by tile and finishes strips of the result while they are in cache.
 *
 * Every element of C = A B (m x n, k steps) is computed in one way, whatever the machine, the number of threads, the
 * strides and what stands beside it: a chain of fused multiply-adds over k, ascending, for each block of 256 steps; the
 * sums of blocks added in order; for more than PERI_PART steps, in parts of a length that depends on k alone (or that
 * the caller gives), whose sums are added in order. So a row alone has the bits that it has among a thousand. */
#ifndef PERI_PRODUCT_H
#define PERI_PRODUCT_H

#include "base/base.h"
#include "product/tiles.h"

/* An operand is its vectors along k: the rows of A, the columns of B. They lie anywhere in memory, or are made by a
 * function as they are packed. */
typedef struct peri_operand {
  const void *data;
  int64_t along;        /* elements from one vector to the next */
  int64_t step;         /* elements from one step to the next */
  const int64_t *index; /* vector i is number index[i] in memory; or NULL */
  /* Packs steps from .. from + steps - 1 of vectors first .. first + count - 1; or NULL. A's panels are of the layout
   * PERI_A_ROWS; B's have steps of a whole tile's columns, those beyond count 0. */
  void (*gather)(const void *source, const peri_tile_kernels *tiles, int64_t first, int64_t count, int64_t from,
                 int64_t steps, void *panel);
  const void *source;
} peri_operand;

typedef struct peri_product {
  peri_dtype dtype; /* a float */
  int64_t m, n, k;
  peri_operand a, b;
  void *c; /* rows ldc apart, elements side by side; or NULL, when only finish sees the result */
  int64_t ldc;
  bool add;         /* C += A B, the sum of each block or part added to what stands there; there is a C */
  bool onto_zeros;  /* C = 0 + A B: no zero of C is negative */
  const void *bias; /* n values, added to each row; or NULL */
  /* Called once for every strip when it stands complete: rows i .. of columns j .. at c; or NULL. Strips do not
   * overlap, and come on any thread in any order. */
  void (*finish)(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t j, int64_t columns, void *c,
                 int64_t ldc);
  const void *state;
  int64_t part;       /* steps of a part, or 0 for the rule */
  const void *packed; /* b as peri_pack_columns makes it; or NULL */

  /* as many products, whose operands lie the sum of their strides apart; 0 dimensions is one */
  int batch_dims;
  const int64_t *batch_shape, *batch_a, *batch_b; /* the strides in elements; C's matrices follow one another */
} peri_product;

#define PERI_PART 8192
int64_t peri_part(int64_t k); /* the rule */

peri_status peri_multiply(peri_context *context, const peri_product *product);

/* B in the form that products want, for those that multiply by it again and again: n and k, dtype and b are read. */
size_t peri_packed_bytes(const peri_context *context, const peri_product *product);
peri_status peri_pack_columns(peri_context *context, const peri_product *product, void *packed);

/* A product within a body of the team: on the thread that calls, in memory that it brings; what one needs is enough for
 * all of no more rows, columns and steps. Where there is no C, strips have all columns, and come in order. */
size_t peri_multiply_scratch(const peri_context *context, const peri_product *product);
void peri_multiply_here(const peri_context *context, const peri_product *product, void *scratch);
/* The same by columns that are packed, where A's rows lie in memory: few rows, again and again. Reads m, n, k, a, c,
 * ldc, add and packed, and needs no memory. */
void peri_multiply_by_packed(const peri_context *context, const peri_product *product);

/* Products of networks in lanes. */
void peri_multiply_lanes(const peri_context *context, peri_dtype dtype, const peri_lane_product *product);

#endif
