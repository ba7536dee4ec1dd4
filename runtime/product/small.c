/* Products that need no frame: panels of B, small products, those by columns that are packed, and of lanes. */
#include "product/panels.h"

#include "kernels/kernels.h"

#define SMALL_WORK 300000

const double peri_zeros[PERI_PANEL_COLUMNS];

void peri_find_vectors(size_t size, const peri_operand *x, const char *data, int64_t first, int64_t count, int64_t from,
                       const void **vectors) {
  for (int64_t i = 0; i < count; i++) {
    int64_t vector = x->index != NULL ? x->index[first + i] : first + i;
    vectors[i] = data + (vector * x->along + from * x->step) * (int64_t)size;
  }
}

void peri_pack_panel(const peri_tile_kernels *tiles, size_t size, const peri_operand *b, const char *data,
                     int64_t first, int64_t count, int64_t from, int64_t steps, void *panel) {
  const void *vectors[PERI_PANEL_COLUMNS];
  if (b->gather != NULL) {
    b->gather(b->source, tiles, first, count, from, steps, panel);
  } else if (peri_lies_across(b)) {
    tiles->copy(count, steps, data + (first + from * b->step) * (int64_t)size, b->step, panel);
  } else {
    peri_find_vectors(size, b, data, first, count, from, vectors);
    if (b->step == 1)
      tiles->turn(count, steps, vectors, panel);
    else
      tiles->collect(count, tiles->columns, steps, vectors, b->step, panel);
  }
}

/* How many of the columns that are left go together, where there are tiles of half a vector: no more than three halves
 * are a vector and a half. */
static int64_t columns_ahead(const peri_tile_kernels *tiles, int64_t left) {
  const int64_t nr = tiles->columns, vector = nr / 2;
  const bool apart = left > vector && left <= vector + vector / 2 && tiles->narrow[0] != NULL;
  return apart ? vector : peri_min(nr, left);
}

/* Small products: A and where it can be B are read where they lie, and nothing is cut, allocated or written down. */
bool peri_is_small(const peri_product *p) {
  return p->m <= SMALL_WORK && p->n <= SMALL_WORK && p->k <= PERI_BLOCK && p->m * p->n * p->k <= SMALL_WORK &&
         p->a.gather == NULL && p->a.index == NULL && p->b.gather == NULL && p->c != NULL && p->batch_dims == 0 &&
         p->packed == NULL;
}

bool peri_multiply_small(const peri_context *context, const peri_product *p) {
  _Alignas(64) char panel[PERI_BLOCK * PERI_PANEL_COLUMNS * 4];
  if (!peri_is_small(p)) return false;
  const bool wide = p->dtype == PERI_FLOAT64, across = peri_lies_across(&p->b);
  const peri_tile_kernels *tiles = &context->kernels->tiles->of[wide];
  const int64_t nr = tiles->columns, size = wide ? sizeof(double) : sizeof(float);
  for (int64_t at = 0, columns; at < p->n; at += columns) {
    int64_t b_step = nr;
    const char *b = panel;
    columns = columns_ahead(tiles, p->n - at);
    if (across && (columns == nr || columns * 2 == nr || (columns * 4 == nr && peri_is_half(tiles, columns)))) {
      b_step = p->b.step;
      b = (const char *)p->b.data + at * size;
    } else {
      peri_pack_panel(tiles, (size_t)size, &p->b, p->b.data, at, columns, 0, p->k, panel);
    }
    for (int64_t i = 0; i < p->m; i += tiles->rows) {
      int64_t rows = peri_min(tiles->rows, p->m - i);
      char *c = (char *)p->c + (i * p->ldc + at) * size;
      const bool biased = p->bias != NULL && !p->add;
      const void *old = biased ? (const char *)p->bias + at * size : peri_tile_start(p, p->add, c);
      peri_tile_of(tiles, rows, columns)(p->k, (const char *)p->a.data + i * p->a.along * size, p->a.along, p->a.step,
                                         b, b_step, c, p->ldc, columns, old, p->add ? p->ldc : 0);
    }
  }
  if (p->bias != NULL && p->add) tiles->add_rows(p->m, p->n, p->bias, 0, p->c, p->ldc);
  if (p->finish != NULL) p->finish(p->state, 0, 0, p->m, 0, p->n, p->c, p->ldc);
  return true;
}

void peri_multiply_by_packed(const peri_context *context, const peri_product *p) {
  const bool wide = p->dtype == PERI_FLOAT64;
  const peri_tile_kernels *tiles = &context->kernels->tiles->of[wide];
  const int64_t size = wide ? sizeof(double) : sizeof(float), nr = tiles->columns;
  const int64_t panel = peri_min(PERI_BLOCK, peri_max(1, p->k)) * nr * size; /* bytes */
  const char *b = p->packed;
  for (int64_t from = 0; from < p->k; from += PERI_BLOCK) {
    const int64_t steps = peri_min(PERI_BLOCK, p->k - from);
    for (int64_t at = 0; at < p->n; at += nr, b += panel) {
      const int64_t columns = peri_min(nr, p->n - at);
      for (int64_t i = 0; i < p->m; i += tiles->rows) {
        const int64_t rows = peri_min(tiles->rows, p->m - i);
        const char *a = (const char *)p->a.data + (i * p->a.along + from * p->a.step) * size;
        char *c = (char *)p->c + (i * p->ldc + at) * size;
        peri_tile_of(tiles, rows, columns)(steps, a, p->a.along, p->a.step, b, nr, c, p->ldc, columns,
                                           p->add || from > 0 ? c : NULL, p->ldc);
      }
    }
  }
}

void peri_multiply_lanes(const peri_context *context, peri_dtype dtype, const peri_lane_product *product) {
  context->kernels->tiles->lanes[dtype == PERI_FLOAT64](product);
}
