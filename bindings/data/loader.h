/* Loaders (loader.c), for what takes mini-batches without a loop of Lua. */
#ifndef PERI_BIND_LOADER_H
#define PERI_BIND_LOADER_H

#include "bindings/core/bind.h"

typedef struct data_loader data_loader;

/* The loader at index when its mini-batches are n tensors as they are, without augmentation; else NULL. */
data_loader *data_plain_loader(lua_State *L, bind_state *S, int index, int n);
/* Begins an epoch, as the first call of a loop does. */
peri_status data_begin_epoch(data_loader *l);
/* How many rows the next mini-batch has; 0 at the end. */
int64_t data_rows_ahead(const data_loader *l);
/* Tensor i of the next mini-batch, as a new tensor, or into one that was made so for as many rows. */
peri_status data_take_rows(const data_loader *l, int i, peri_tensor **into);
/* Goes on behind it. */
void data_pass_rows(data_loader *l);
int64_t data_count_batches(const data_loader *l);

#endif
