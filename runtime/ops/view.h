/* What rows share that look at their first argument otherwise. */
#ifndef PERI_VIEW_H
#define PERI_VIEW_H

#include "ops/ops.h"

static inline const peri_layout *peri_input(const peri_call *call) { return &call->args[0].tensor->layout; }
/* The output begins as the input's layout, in its place. */
peri_layout *peri_same_layout(peri_call *call);
/* At least so many dimensions (1 to 3), with sizes of 1 where NumPy's atleast_1d to atleast_3d put them. */
void peri_layout_lift(peri_layout *layout, int dims);
/* Gradients: the same numbers in the input's shape; as they are (what was broadcast is summed when they arrive). */
peri_status peri_grad_reshape(peri_backward *B);
peri_status peri_grad_pass(peri_backward *B);

#endif
