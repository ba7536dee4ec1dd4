/* Softmax and cross-entropy of a block of rows, for each float type from softmax_loops.h. */
#include "kernels/mathfun.h"
#include "kernels/rows.h"
#include "kernels/vectors.h"

#define FOLD    32
#define SUMS    (FOLD / WIDTH)
#define SCRATCH 512
#define AT_ONCE 2048

#define F32(name) name##_f32
#define F64(name) name##_f64

#define T      float
#define FN     F32
#define EXP(x) exp_f32(x)
#define LOG(x) log_f32(x)
#include "kernels/softmax_loops.h"
#undef T
#undef FN
#undef EXP
#undef LOG

#define T      double
#define FN     F64
#define EXP(x) exp_f64(x)
#define LOG(x) log_f64(x)
#include "kernels/softmax_loops.h"

#define FLOATS(name)                                                                                                   \
  { F32(name), F64(name) }
const peri_softmax_kernels PERI_ISA_NAME(peri_softmax_kernels) = {
    .softmax = FLOATS(softmax),
    .log_softmax = FLOATS(log_softmax),
    .softmax_backward = PERI_FULL(FLOATS(softmax_backward)),
    .log_softmax_backward = PERI_FULL(FLOATS(log_softmax_backward)),
    .cross_entropy = PERI_FULL(FLOATS(cross_entropy)),
    .cross_entropy_backward = PERI_FULL(FLOATS(cross_entropy_backward)),
    .cross_entropy_lanes = PERI_FULL(FLOATS(cross_entropy_lanes)),
    .cross_entropy_lanes_backward = PERI_FULL(FLOATS(cross_entropy_lanes_backward)),
    .hits_lanes = PERI_FULL(FLOATS(hits_lanes)),
};
