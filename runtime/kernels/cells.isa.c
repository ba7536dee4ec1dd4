/* Recurrent cells, for each float type from cells_loops.h. */
#include "kernels/mathfun.h"
#include "kernels/rows.h"

#define BLOCK 32

#define T          float
#define FN         F32
#define TANH(x)    tanh_f32(x)
#define SIGMOID(x) sigmoid_f32(x)
#define MADD       madd_f32
#include "kernels/cells_loops.h"
#undef T
#undef FN
#undef TANH
#undef SIGMOID
#undef MADD

#define T          double
#define FN         F64
#define TANH(x)    tanh_f64(x)
#define SIGMOID(x) sigmoid_f64(x)
#define MADD       madd_f64
#include "kernels/cells_loops.h"

#define FLOATS(name)                                                                                                   \
  { F32(name), F64(name) }
const peri_cell_kernels PERI_ISA_NAME(peri_cell_kernels) = {
    .forward = {FLOATS(tanh_cell), FLOATS(relu_cell), FLOATS(gru_cell), FLOATS(lstm_cell)},
    .backward = PERI_FULL({FLOATS(tanh_slope), FLOATS(relu_slope), FLOATS(gru_slope), FLOATS(lstm_slope)}),
};
