/* Normalisation of columns, for each float type from normalize_loops.h. */
#include "kernels/isa.h"
#include "kernels/rows.h"

#define BLOCK 64

#define F32(name) name##_f32
#define F64(name) name##_f64

#define T  float
#define FN F32
#include "kernels/normalize_loops.h"
#undef T
#undef FN

#define T  double
#define FN F64
#include "kernels/normalize_loops.h"

#define FLOATS(name)                                                                                                   \
  { F32(name), F64(name) }
const peri_normalize_kernels PERI_ISA_NAME(peri_normalize_kernels) = {
    .scale = FLOATS(scale),
    .products = PERI_FULL(FLOATS(products)),
    .correct = PERI_FULL(FLOATS(correct)),
};
