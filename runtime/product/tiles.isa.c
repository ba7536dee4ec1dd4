/* The micro-kernels of products for one instruction set; see tiles.h. */
#include "product/tiles.h"

#include "kernels/kernels.h"
#include "product/vectors.h"

#define SOME_ROWS(something) something(1) something(2) something(3) something(4)
#define MORE_ROWS(something) SOME_ROWS(something) something(5) something(6)
#define ALL_ROWS(something)                                                                                            \
  MORE_ROWS(something) something(7) something(8) something(9) something(10) something(11) something(12)
#ifdef PERI_SCORES
#define MR        4 /* a third of the code at nearly the speed */
#define EACH_ROWS SOME_ROWS
#elif defined(__AVX512F__) || defined(__ARM_NEON)
#define MR        12 /* 24 sums, two vectors of B and one of A: all of 32 registers are used */
#define EACH_ROWS ALL_ROWS
#else
#define MR        6 /* of 16 registers */
#define EACH_ROWS MORE_ROWS
#endif

#define LANES_2(f, side) f(0, side), f(1, side)
#define LANES_4(f, side) LANES_2(f, side), f(2, side), f(3, side)
#define LANES_8(f, side) LANES_4(f, side), f(4, side), f(5, side), f(6, side), f(7, side)
#define LANES_16(f, side)                                                                                              \
  LANES_8(f, side), f(8, side), f(9, side), f(10, side), f(11, side), f(12, side), f(13, side), f(14, side), f(15, side)

#define TILE(name, rows, vectors, row, step)                                                                           \
  static void FN(name)(int64_t k, const void *a, int64_t a_row, int64_t a_step, const void *b, int64_t b_step,         \
                       void *c, int64_t ldc, int64_t columns, const void *old, int64_t ldo) {                          \
    (void)a_row, (void)a_step;                                                                                         \
    FN(multiply)(rows, vectors, row, step, k, a, b, b_step, c, ldc, columns, old, ldo);                                \
  }

#define T        float
#define FN(name) name##_f32
#define V        peri_f32s
#define QUARTER  4
#define MADD     PERI_MADD_F32
#define LOAD     PERI_LOAD_F32
#define STORE    PERI_STORE_F32
#define MASK     peri_lanes_of_f32
#define MASK_OF  PERI_LANES_F32
#define MERGE    PERI_MERGE_F32
#if PERI_VECTOR == 64
#define LANES     16
#define EACH_LANE LANES_16
#elif PERI_VECTOR == 32
#define LANES     8
#define EACH_LANE LANES_8
#else
#define LANES     4
#define EACH_LANE LANES_4
#endif
#include "product/of_type.h"

#define T        double
#define FN(name) name##_f64
#define V        peri_f64s
#define QUARTER  2
#define MADD     PERI_MADD_F64
#define LOAD     PERI_LOAD_F64
#define STORE    PERI_STORE_F64
#define MASK     peri_lanes_of_f64
#define MASK_OF  PERI_LANES_F64
#define MERGE    PERI_MERGE_F64
#if PERI_VECTOR == 64
#define LANES     8
#define EACH_LANE LANES_8
#elif PERI_VECTOR == 32
#define LANES     4
#define EACH_LANE LANES_4
#else
#define LANES     2
#define EACH_LANE LANES_2
#endif
#include "product/of_type.h"

/* Tiles of half a vector, for few columns: a processor whose widest vectors are two narrower ones does them in half the
 * time. */
#if PERI_VECTOR == 64
#define NARROW(rows) TILE(rows_##rows, rows, 1, a_row, a_step)
#define T            float
#define FN(name)     name##_half_f32
#define V            peri_f32h
#define LANES        8
#define MADD         PERI_MADD_F32H
#define LOAD         PERI_LOAD_F32H
#define STORE        PERI_STORE_F32H
#include "product/micro.h"
EACH_ROWS(NARROW)
#undef T
#undef FN
#undef V
#undef LANES
#undef MADD
#undef LOAD
#undef STORE

#define T        double
#define FN(name) name##_half_f64
#define V        peri_f64h
#define LANES    4
#define MADD     PERI_MADD_F64H
#define LOAD     PERI_LOAD_F64H
#define STORE    PERI_STORE_F64H
#include "product/micro.h"
EACH_ROWS(NARROW)

#define NARROW_F32(rows)        rows_##rows##_half_f32,
#define NARROW_F64(rows)        rows_##rows##_half_f64,
#define NARROW_TILES(each_rows) .narrow = {EACH_ROWS(each_rows)},
#else
#define NARROW_TILES(each_rows)
#endif

#define ROWS_F32(rows) {rows_##rows##_1_f32, rows_##rows##_2_f32},
#define ROWS_F64(rows) {rows_##rows##_1_f64, rows_##rows##_2_f64},
#ifdef PERI_SCORES
#define WHOLE(packed, type)                                                                                            \
  { rows_4_1_##type, rows_4_2_##type }
#else
#define WHOLE(packed, type)                                                                                            \
  { packed##_1_##type, packed##_2_##type }
#endif
#define TABLE(type, lane, each_rows, each_narrow)                                                                      \
  {                                                                                                                    \
    .rows = MR, .columns = 2 * PERI_VECTOR / (int)sizeof(lane),                                                        \
    .whole = {[PERI_A_ROWS] = WHOLE(packed_rows, type), [PERI_A_STEPS] = WHOLE(packed_steps, type)},                   \
    .some = {EACH_ROWS(each_rows)}, NARROW_TILES(each_narrow).row_along = row_along_##type,                            \
    .row_across = row_across_##type, .blocks = blocks_##type, .add_rows = add_rows_##type, .turn = turn_##type,        \
    .copy = copy_##type, .copy_rows = copy_rows_##type, .collect = collect_##type, .patches = patches_##type,          \
    .patch_rows = patch_rows_##type, .add_patches = add_patches_##type, .pick = pick_##type, .pad = pad_##type,        \
    .scatter = scatter_##type,                                                                                         \
  }

const peri_product_tiles PERI_ISA_NAME(peri_product_tiles) = {
    .of = {TABLE(f32, float, ROWS_F32, NARROW_F32), TABLE(f64, double, ROWS_F64, NARROW_F64)},
    .lanes = PERI_FULL({lanes_f32, lanes_f64})};
