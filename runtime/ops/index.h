/* What rows with index tensors and masks share. Index tensors are int64 and count from 1, as scripts do; kernels count
 * from 0, so a row converts a checked copy in its workspace. A mask is a bool tensor of its x's shape. */
#ifndef PERI_INDEX_H
#define PERI_INDEX_H

#include "ops/ops.h"

/* The first value, from 0 in row-major order, that does not lie in 1..size; *at is -1 when there is none. */
peri_status peri_index_outside(peri_tensor *index, int64_t size, int64_t *at, int64_t *value);
/* Its values from 0, in row-major order, into memory for as many. */
peri_status peri_index_shift(peri_tensor *index, int64_t *out);
/* Every value of argument `arg` lies in 1..size. Leaves room for the converted copy. */
peri_status peri_index_check(peri_call *call, int arg, int64_t size);
peri_status peri_index_need_int64(peri_call *call, int arg);
peri_status peri_index_need_vector(peri_call *call, int arg);
/* The workspace: the index tensor's values from 0, in row-major order. */
peri_status peri_index_from_zero(peri_call *call, int arg, const int64_t **out);

/* Argument `arg` is a mask of argument 0. */
peri_status peri_mask_check(peri_call *call, int arg);
/* Row-major positions (from 1) where a mask is true: a new int64 vector. */
peri_status peri_mask_positions(peri_call *call, peri_tensor *mask, peri_tensor **out);

#endif
