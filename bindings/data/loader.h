/* Loaders (loader.c), for what takes mini-batches without a loop of Lua. */
#ifndef PERI_BIND_LOADER_H
#define PERI_BIND_LOADER_H

#include "bindings/core/bind.h"
#include "plan/plan.h"

typedef struct data_loader data_loader;

/* The loader at index when its mini-batches are n tensors as they are, without augmentation; else NULL. */
data_loader *data_plain_loader(lua_State *L, bind_state *S, int index, int n);
/* Begins an epoch, as the first call of a loop does. */
peri_status data_begin_epoch(data_loader *l);
/* How many rows the next mini-batch has; 0 at the end. */
int64_t data_rows_ahead(const data_loader *l);
/* The same of all that the epoch has left. */
int64_t data_rows_left(const data_loader *l);
/* What tensor i of a mini-batch of so many rows looks like. */
void data_layout_rows(const data_loader *l, int i, int64_t count, peri_layout *layout);
/* Tensor i of the next mini-batch: into the one that is there, where it looks like that and is the caller's alone, else
 * into a new one. In the loader's context, or a shadow of it. */
peri_status data_take_rows(const data_loader *l, peri_context *context, int i, peri_tensor **into);
/* Of n loaders whose mini-batches look alike, into lanes (plan/lanes.h); lanes that are beyond n get the first one's.
 */
void data_take_rows_in_lanes(int n, data_loader *const *l, int i, void *into);
/* Whether the plan accepts whatever rows, in the place of its arguments. */
bool data_all_accepted(const data_loader *l, const peri_plan *plan);
/* Goes on behind it. */
void data_pass_rows(data_loader *l);
int64_t data_count_batches(const data_loader *l);

#endif
