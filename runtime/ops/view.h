/* What rows share that look at their first argument otherwise. */
#ifndef PERI_VIEW_H
#define PERI_VIEW_H

#include "ops/ops.h"

static inline const peri_layout *peri_input(const peri_call *call) { return &call->args[0].tensor->layout; }
/* The output begins as the input's layout, in its place. */
peri_layout *peri_same_layout(peri_call *call);

#endif
