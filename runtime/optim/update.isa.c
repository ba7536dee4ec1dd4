/* The update loops of optimisers for both float types; see update.h. */
#include "optim/update.h"

#include "kernels/isa.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define T               float
#define FN(name)        name##_f32
#define SQRT            sqrtf
#define ABS             __builtin_fabsf
#define LARGEST         FLT_MAX
#define ROOT_OF_LARGEST 0x1.fffffep+63f
#include "optim/update_loops.h"
#undef T
#undef FN
#undef SQRT
#undef ABS
#undef LARGEST
#undef ROOT_OF_LARGEST
#define T               double
#define FN(name)        name##_f64
#define SQRT            sqrt
#define ABS             __builtin_fabs
#define LARGEST         DBL_MAX
#define ROOT_OF_LARGEST 0x1.fffffffffffffp+511
#include "optim/update_loops.h"

#define BOTH(name)  [PERI_UPDATE_##name] = {name##_f32, name##_f64}
#define LANES(name) [PERI_UPDATE_##name] = {name##_lanes_f32, name##_lanes_f64}

const peri_update_kernels PERI_ISA_NAME(peri_update_kernels) = {
    .update = {BOTH(sgd), BOTH(momentum), BOTH(first_momentum), BOTH(nesterov), BOTH(first_nesterov), BOTH(adam),
               BOTH(amsgrad), BOTH(rmsprop), BOTH(adagrad), BOTH(adamax), BOTH(nadam), BOTH(radam), BOTH(plain_radam),
               BOTH(adadelta), BOTH(asgd), BOTH(first_asgd), BOTH(rprop), BOTH(lion)},
    .lanes = {LANES(sgd), LANES(momentum), LANES(first_momentum), LANES(nesterov), LANES(first_nesterov), LANES(adam),
              LANES(amsgrad)}};
