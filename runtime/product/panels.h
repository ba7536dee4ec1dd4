/* What the frame of products and small ones share: which tile takes some rows and columns, what it begins from, and how
 * panels of B are packed. */
#ifndef PERI_PANELS_H
#define PERI_PANELS_H

#include "product/product.h"

#define PERI_PANEL_COLUMNS 64 /* at most */

static inline bool peri_lies_across(const peri_operand *x) {
  return x->gather == NULL && x->index == NULL && x->along == 1;
}

/* Whether there is a tile of half a vector for so few columns. */
static inline bool peri_is_half(const peri_tile_kernels *tiles, int64_t columns) {
  return columns * 4 <= tiles->columns && tiles->narrow[0] != NULL;
}

/* The tile of the rows and columns, where rows of A lie anywhere. */
static inline peri_tile peri_tile_of(const peri_tile_kernels *tiles, int64_t rows, int64_t columns) {
  return peri_is_half(tiles, columns) ? tiles->narrow[rows - 1] : tiles->some[rows - 1][columns * 2 > tiles->columns];
}

/* What a tile begins from: C, or zeros where the sign of zero tells. */
extern const double peri_zeros[PERI_PANEL_COLUMNS]; /* of either type */
static inline const void *peri_tile_start(const peri_product *p, bool add, const void *c) {
  return add ? c : p->onto_zeros ? peri_zeros : NULL;
}

/* Where step `from` of count vectors lies. */
void peri_find_vectors(size_t size, const peri_operand *x, const char *data, int64_t first, int64_t count, int64_t from,
                       const void **vectors);
/* A panel of B: steps from .. of columns first .. */
void peri_pack_panel(const peri_tile_kernels *tiles, size_t size, const peri_operand *b, const char *data,
                     int64_t first, int64_t count, int64_t from, int64_t steps, void *panel);

/* Small products: whether it is one, and that done. */
bool peri_is_small(const peri_product *product);
bool peri_multiply_small(const peri_context *context, const peri_product *product);

#endif
