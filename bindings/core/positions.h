/* Tensors of positions in a key: what several of them, broadcast together, choose of a tensor. */
#ifndef BIND_POSITIONS_H
#define BIND_POSITIONS_H

#include "tensor/tensor.h"

struct peri_arg;

typedef struct bind_positions {
  int n;
  int64_t dim[PERI_MAX_DIMS]; /* the dimensions that they choose along, ascending */
  peri_tensor *index[PERI_MAX_DIMS];
} bind_positions;

/* Replaces *x by the entries at the positions. The positions' dimensions stand where the dimensions that they choose
 * along stood if those lie side by side, else first. */
peri_status bind_take_positions(peri_context *context, const bind_positions *p, peri_tensor **x);
/* Writes a number, or a tensor that broadcasts to what bind_take_positions gives, to the entries; where one is named
 * twice the last value stays. */
peri_status bind_put_positions(peri_context *context, const bind_positions *p, peri_tensor *x,
                               const struct peri_arg *value);

#endif
