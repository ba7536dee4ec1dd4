/* Blocks of distances for one instruction set; see distance.h. */
#include "product/distance.h"

#include "product/vectors.h"

#include <math.h>

typedef uint32_t bits_f32 __attribute__((vector_size(PERI_VECTOR)));
typedef uint64_t bits_f64 __attribute__((vector_size(PERI_VECTOR)));

#define T          float
#define FN(name)   name##_f32
#define V          peri_f32s
#define MADD       PERI_MADD_F32
#define LANES      (PERI_VECTOR / 4)
#define LOAD       PERI_LOAD_F32
#define ROOT       sqrtf
#define SIZE_OF(x) (peri_f32s)((bits_f32)(x)&0x7fffffffu)
#include "product/distance_loops.h"
#undef T
#undef FN
#undef V
#undef MADD
#undef LANES
#undef LOAD
#undef ROOT
#undef SIZE_OF

#define T          double
#define FN(name)   name##_f64
#define V          peri_f64s
#define MADD       PERI_MADD_F64
#define LANES      (PERI_VECTOR / 8)
#define LOAD       PERI_LOAD_F64
#define ROOT       sqrt
#define SIZE_OF(x) (peri_f64s)((bits_f64)(x)&0x7fffffffffffffffu)
#include "product/distance_loops.h"

const peri_distance_kernels PERI_ISA_NAME(peri_distance_kernels) = {
    .block = {{sizes_f32, sizes_f64}, {squares_f32, squares_f64}}};
