/* What the rows of pooling share: windows along the last one or two dimensions of x, whose others are planes. The
 * row's own constant (id) says how many dimensions those are. One dimension is a plane of one row. */
#ifndef PERI_POOL_H
#define PERI_POOL_H

#include "kernels/kernels.h"
#include "ops/ops.h"

/* A row's parameters from the kernel's size on; what is left out is not given. */
#define PERI_POOL_SIZE(name, dims)                                                                                     \
  { name, PERI_KIND_SHAPE, .optional = true, .count = dims }
#define PERI_POOL_PARAMS(dims)                                                                                         \
  {"x", PERI_KIND_TENSOR}, {"kernel_size", PERI_KIND_SHAPE, .count = dims}, PERI_POOL_SIZE("stride", dims),            \
      PERI_POOL_SIZE("padding", dims)

/* x must be floats of (N x) C x H x W, or (N x) C x L, with elements in its planes. */
peri_status peri_pool_check(peri_call *call, int dims);
/* Whether a size, a stride or the like is in its range, each number of it. */
peri_status peri_pool_range(peri_call *call, int arg, int64_t least);
/* Fills windows along the last dims of `sizes` but for their count: kernel_size is argument `first`, and stride,
 * padding and (dilated) dilation come behind. */
void peri_pool_windows(const peri_arg *args, int first, bool dilated, int dims, const int64_t *sizes,
                       peri_windows windows[2]);
/* Checks the arguments from 1 on and counts the windows; a last one may hang over the end in ceil_mode. */
peri_status peri_pool_count(peri_call *call, bool dilated, bool ceil_mode, peri_windows windows[2]);
/* How many windows there are, from the tensor of their results. */
static inline void peri_pool_take_counts(const peri_layout *y, int dims, peri_windows windows[2]) {
  windows[0].count = dims == 1 ? 1 : y->shape[y->ndim - 2];
  windows[1].count = y->shape[y->ndim - 1];
}
/* States an output as x with other sizes behind its planes. */
peri_status peri_pool_output(peri_call *call, int output, peri_dtype dtype, int dims, const int64_t sizes[2]);
/* How many planes x has. */
int64_t peri_pool_planes(const peri_layout *x, int dims);
/* Hands arguments of sizes on to a step, where they are given. */
void peri_pool_hand_on(peri_call *call, int to, const peri_arg *args, int from, int count);

#endif
