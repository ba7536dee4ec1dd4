/* What the product engine is made of for one instruction set: micro-kernels that multiply two packed panels, and the
 * loops that pack them. Compiled once for every set from tiles.isa.c; the frame (product.c) calls them.
 *
 * One element of a product is a chain of fused multiply-adds over k, ascending, in blocks of PERI_BLOCK whose sums are
 * added in their order. A tile computes one block for some rows and columns. */
#ifndef PERI_PRODUCT_TILES_H
#define PERI_PRODUCT_TILES_H

#include "base/base.h"

#define PERI_BLOCK       256 /* steps of one chain; the bits of every product depend on it */
#define PERI_TILE_ROWS   12  /* at most */
#define PERI_ROW_COLUMNS 512 /* of a single row, at once */

/* Rows of A over the steps of a block are packed in one of two ways. Where they lie along k in memory, copying them is
 * cheaper than turning them. */
typedef enum peri_layout_of_a {
  PERI_A_ROWS, /* element (i, p) at i * PERI_A_PITCH + p */
  PERI_A_STEPS /* element (i, p) at p * rows of a whole tile + i */
} peri_layout_of_a;
#define PERI_A_PITCH (PERI_BLOCK + 16) /* no two rows fall into the same sets of a cache */

/* C (rows x columns) = A B, or O + A B where there is an O, whose rows are ldo apart (C itself, or a bias: ldo 0).
 * Element (i, p) of A is at i * a_row + p * a_step, which a whole tile of packed rows knows by itself. B has its steps
 * b_step apart, each with a whole number of vectors that may be read. */
typedef void (*peri_tile)(int64_t k, const void *a, int64_t a_row, int64_t a_step, const void *b, int64_t b_step,
                          void *c, int64_t ldc, int64_t columns, const void *old, int64_t ldo);

/* Elements that lie side by side in an image and in a panel. */
typedef struct peri_patch_run {
  int64_t from, at, count;
} peri_patch_run;

/* One float type. */
typedef struct peri_tile_kernels {
  int rows, columns;                 /* of a whole tile; columns are two vectors */
  peri_tile whole[2][2];             /* [how A is packed][vectors - 1] */
  peri_tile some[PERI_TILE_ROWS][2]; /* [rows - 1][vectors - 1], rows of A anywhere */
  peri_tile narrow[PERI_TILE_ROWS];  /* [rows - 1], of half a vector, rows of A anywhere; or NULL */
  /* A single row, c = a B or c += a B, reads B where it lies: in vectors along memory, or side by side. */
  void (*row_along)(int64_t k, const void *a, int64_t a_step, const void *const *vectors, void *c, int64_t columns,
                    bool add);
  void (*row_across)(int64_t k, const void *a, int64_t a_step, const void *b, int64_t b_step, void *c, int64_t columns,
                     bool add);
  /* The sums of whole blocks of one chain, a and b along memory. */
  void (*blocks)(int64_t count, const void *a, const void *b, void *sums);
  /* to[r * ldt + j] += from[r * ldf + j] */
  void (*add_rows)(int64_t rows, int64_t columns, const void *from, int64_t ldf, void *to, int64_t ldt);
  /* Panels of B: k steps of at most `columns` elements, those beyond count 0, up to a whole vector at least; of vectors
   * that lie along memory, or side by side (x[p * ld + i]) */
  void (*turn)(int64_t count, int64_t k, const void *const *vectors, void *panel);
  void (*copy)(int64_t count, int64_t k, const void *x, int64_t ld, void *panel);
  /* A panel of A of vectors that lie side by side; elements beyond count are not written */
  void (*copy_rows)(int64_t count, int64_t k, const void *x, int64_t ld, void *panel);
  /* Steps of `width` elements of vectors that lie anyhow; those beyond count are 0 */
  void (*collect)(int64_t count, int64_t width, int64_t k, const void *const *vectors, int64_t step, void *panel);
  /* A panel of B of patches: step p of the columns in a run lies at from + offsets[p] + run.from on */
  void (*patches)(int64_t runs, const peri_patch_run *run, int64_t steps, const int64_t *offsets, const void *from,
                  void *panel);
  /* Rows of A, in the layout ROWS, of patches: steps in a run of row r lie at from + offsets[r] + run.from on */
  void (*patch_rows)(int64_t runs, const peri_patch_run *run, int64_t rows, const int64_t *offsets, const void *from,
                     void *panel);
  /* The other way: rows of C, ld apart, added to what lies in patches; all runs have `count` elements */
  void (*add_patches)(int64_t runs, int64_t count, const peri_patch_run *run, int64_t rows, const int64_t *offsets,
                      const void *from, int64_t ld, void *to);
  /* Every step-th of a row's elements, n of them */
  void (*pick)(int64_t n, int64_t step, const void *x, void *to);
  /* Rows of n elements, ld apart, between zeros; up to a vector beyond the last row is written too */
  void (*pad)(int64_t rows, int64_t before, int64_t n, int64_t after, const void *x, int64_t ld, void *to,
              int64_t pitch);
  /* c[j * ldc + i] = x[i * columns + j], plus bias[i] where there is one */
  void (*scatter)(int64_t rows, int64_t columns, const void *x, const void *bias, void *c, int64_t ldc);
} peri_tile_kernels;

/* A product for each of PERI_LANES networks: number i of lane l of any operand stands at i * PERI_LANES + l. */
typedef struct peri_lane_product {
  int64_t m, n, k;          /* k is at most PERI_BLOCK */
  const void *a, *b, *bias; /* bias: n numbers, or NULL */
  int64_t a_along, a_step;  /* from one row to the next, and from one step */
  int64_t b_along, b_step;  /* from one column to the next, and from one step */
  void *c;                  /* m x n, contiguous */
} peri_lane_product;

typedef struct peri_product_tiles {
  peri_tile_kernels of[2]; /* float32, float64 */
  void (*lanes[2])(const peri_lane_product *product);
} peri_product_tiles;

#endif
