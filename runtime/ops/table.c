/* The operation table: the lists of rows, file by file. */
#include "ops/rows.h"

const peri_op *const *const peri_op_groups[] = {
    peri_ops_create,    peri_ops_elementwise, peri_ops_compare, peri_ops_choose, peri_ops_reduce,
    peri_ops_extreme,   peri_ops_softmax,     peri_ops_moments, peri_ops_matrix, peri_ops_convolution,
    peri_ops_loss,      peri_ops_view,        peri_ops_slice,   peri_ops_index,  peri_ops_join,
    peri_ops_sort,      peri_ops_write,       peri_ops_linalg,  peri_ops_pool,   peri_ops_average,
    peri_ops_normalize, peri_ops_activation,  peri_ops_bitwise, peri_ops_mix,    NULL};
