/* The kinds of layers that have files of their own, and what all kinds share. */
#ifndef PERI_KINDS_H
#define PERI_KINDS_H

#include "nn/nn.h"

/* A frame that has run: its first output goes out, hidden ones are released. */
peri_status peri_layer_run(peri_call *call, peri_tensor **out);

extern const peri_layer_kind peri_kind_max_pool2d, peri_kind_avg_pool2d, peri_kind_adaptive_avg_pool2d,
    peri_kind_batch_norm1d, peri_kind_batch_norm2d;

#endif
