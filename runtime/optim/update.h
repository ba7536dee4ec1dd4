/* The inner loops of optimisers: one step over n values of one parameter, in a single pass. Compiled
 * once per instruction set from update.isa.c and reached through context->kernels->update. */
#ifndef PERI_UPDATE_H
#define PERI_UPDATE_H

#include <stdint.h>

typedef enum peri_update_id {
  PERI_UPDATE_sgd,
  PERI_UPDATE_momentum,
  PERI_UPDATE_first_momentum, /* the first step, which fills the buffer */
  PERI_UPDATE_nesterov,
  PERI_UPDATE_first_nesterov,
  PERI_UPDATE_adam,
  PERI_UPDATE_amsgrad,
  PERI_UPDATE_rmsprop,
  PERI_UPDATE_adagrad,
  PERI_UPDATE_adamax,
  PERI_UPDATE_nadam,
  PERI_UPDATE_radam,
  PERI_UPDATE_plain_radam, /* its first steps, which the mean of squares does not scale */
  PERI_UPDATE_adadelta,
  PERI_UPDATE_asgd,
  PERI_UPDATE_first_asgd, /* before the average begins, which is the parameter itself until then */
  PERI_UPDATE_rprop,
  PERI_UPDATE_lion,
  PERI_UPDATES
} peri_update_id;

#define PERI_UPDATE_BUFFERS      4
#define PERI_UPDATE_COEFFICIENTS 8
#define PERI_UPDATE_LANES        16

/* n parameters p (written), their gradients g, the buffers of the optimiser (written), and numbers
 * whose meaning the optimiser's row and the loop share. None of the arrays overlap. */
typedef void (*peri_update)(int64_t n, void *p, const void *g, void *const *buffers, const double *c);

/* The same of n parameters of each of PERI_UPDATE_LANES networks, number i of lane l at i * PERI_UPDATE_LANES + l, with
 * each lane's own numbers. */
typedef void (*peri_update_lanes)(int64_t n, void *p, const void *g, void *const *buffers,
                                  const double (*c)[PERI_UPDATE_COEFFICIENTS]);

typedef struct peri_update_kernels {
  peri_update update[PERI_UPDATES][2];      /* float32, float64 */
  peri_update_lanes lanes[PERI_UPDATES][2]; /* NULL for those that are rare */
} peri_update_kernels;

#endif
