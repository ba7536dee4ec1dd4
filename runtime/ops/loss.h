/* What losses share: the words of their reduction, checks of shapes and values, and the last steps of those that are
 * composed of other rows. */
#ifndef PERI_LOSS_H
#define PERI_LOSS_H

#include "ops/rows.h"

#include <float.h>
#include <math.h>

enum { PERI_REDUCE_NONE, PERI_REDUCE_SUM, PERI_REDUCE_MEAN, PERI_REDUCE_BATCHMEAN };
#define PERI_REDUCTION_PARAM                                                                                           \
  {                                                                                                                    \
    "reduction", PERI_KIND_CHOICE, .optional = true, .named = true, .otherwise = PERI_REDUCE_MEAN,                     \
                                   .choices = "none sum mean"                                                          \
  }
#define PERI_REDUCTION_DOC "reduction is 'mean', 'sum' or 'none'."

/* Arguments 0 and i: of one shape, since what broadcasts is mostly an accident, and of one float dtype. */
peri_status peri_loss_alike(peri_call *call, int i);
/* A vector of n numbers of the input's dtype, where it is given. */
peri_status peri_loss_vector(peri_call *call, int arg, int64_t n);
/* Every element is a number from low to high, or, where `either` says so, one of the two. */
peri_status peri_loss_values(peri_call *call, int arg, double low, double high, bool either);
/* Whether that is so of a contiguous tensor. */
bool peri_loss_within(const peri_tensor *x, double low, double high, bool either);
/* A row's reads_alike where it reads signs alone. */
bool peri_loss_reads_signs(const peri_call *call, int arg, const peri_tensor *x);
/* Every element is -1 or 1, of int64 or of the input's dtype; and the shape is that of argument 0. */
peri_status peri_loss_signs(peri_call *call, int arg);
peri_status peri_loss_alike_signs(peri_call *call, int arg);
/* int64 classes from 1 to `classes`, or the one that is ignored, and how often that is there. */
peri_status peri_loss_classes(peri_call *call, int arg, int64_t classes, int64_t ignored, int64_t *count);
/* A finite number of at least low, which may be -INFINITY, or of more than that. */
peri_status peri_loss_number(peri_call *call, int arg, double low, bool more);

/* The losses as the argument says, answered as the output. */
void peri_loss_reduced(peri_backward *B, peri_value losses, int reduction);
/* What arrives at each of the losses, of the shape of argument 0 (or none). */
peri_value peri_loss_incoming(peri_backward *B, int reduction);
/* Such signs in the input's dtype. */
peri_value peri_step_signs(peri_backward *B, int arg);
/* x where it is not below 0; a gradient passes at 0. */
peri_value peri_step_hinge(peri_backward *B, peri_value x);
/* log(1 + exp(x)) without overflow */
peri_value peri_step_log1p_exp(peri_backward *B, peri_value x);
peri_value peri_step_mean(peri_backward *B, peri_value x);
peri_value peri_step_total(peri_backward *B, peri_value x);
peri_value peri_step_masked_fill(peri_backward *B, peri_value x, peri_value mask, double value);
peri_value peri_step_gather(peri_backward *B, peri_value x, int64_t dim, peri_value index);
/* A mask: the columns of n rows that index names, one for each. */
peri_value peri_step_named(peri_backward *B, peri_value index, int64_t columns);

#endif
