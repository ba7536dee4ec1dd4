/* Blocks of distances for one instruction set; see distance.h. */
#include "product/distance.h"

#include "product/vectors.h"

#include <math.h>

#define T        float
#define FN(name) name##_f32
#define V        peri_f32s
#define MADD     PERI_MADD_F32
#define LANES    (PERI_VECTOR / 4)
#define LOAD     PERI_LOAD_F32
#define ROOT     sqrtf
#include "product/distance_loops.h"
#undef T
#undef FN
#undef V
#undef MADD
#undef LANES
#undef LOAD
#undef ROOT

#define T        double
#define FN(name) name##_f64
#define V        peri_f64s
#define MADD     PERI_MADD_F64
#define LANES    (PERI_VECTOR / 8)
#define LOAD     PERI_LOAD_F64
#define ROOT     sqrt
#include "product/distance_loops.h"

const peri_distance_kernels PERI_ISA_NAME(peri_distance_kernels) = {.block = {block_f32, block_f64}};
