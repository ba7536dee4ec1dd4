/* Gradients kept within bounds before a step: by their norm together, or value by value. */
#ifndef PERI_CLIP_H
#define PERI_CLIP_H

#include "tensor/tensor.h"

/* The norm of all gradients of the parameters as one vector: of that power, which may be infinite. Parameters without a
 * gradient are left out. The sum has a fixed order; a norm that a double holds does not overflow on the way. */
peri_status peri_gradients_norm(peri_context *context, int64_t n, peri_tensor *const *parameters, double power,
                                double *norm);
/* Times a factor, in place. */
void peri_gradients_scale(int64_t n, peri_tensor *const *parameters, double factor);
/* Scales them so that their norm is at most `most`; *norm is what it was. */
peri_status peri_gradients_clip(peri_context *context, int64_t n, peri_tensor *const *parameters, double most,
                                double power, double *norm);
/* Between -limit and limit, in place; NaN stays. A recorder is told of this and of peri_gradients_clip. */
void peri_gradients_clamp(int64_t n, peri_tensor *const *parameters, double limit);

#endif
