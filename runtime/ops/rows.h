/* The rows that formulas name, and the lists that the table is made of. */
#ifndef PERI_ROWS_H
#define PERI_ROWS_H

#include "ops/ops.h"
#include "kernels/kernels.h"

#define UNARY(name, ...)   extern const peri_op peri_op_##name;
#define BINARY(name, ...)  extern const peri_op peri_op_##name;
#define COMPARE(name, ...) extern const peri_op peri_op_##name;
#define TEST(name, ...)    extern const peri_op peri_op_##name;
#define TUNED(name, ...)   extern const peri_op peri_op_##name;
#include "kernels/elementwise.def"

extern const peri_op peri_op_where, peri_op_to, peri_op_sum, peri_op_mean, peri_op_cat, peri_op_softmax,
    peri_op_log_softmax, peri_op_matmul, peri_op_reshape, peri_op_flatten, peri_op_expand, peri_op_narrow,
    peri_op_select, peri_op_unsqueeze, peri_op_slice, peri_op_slice_backward, peri_op_permute, peri_op_transpose,
    peri_op_t, peri_op_eye, peri_op_index, peri_op_index_select, peri_op_index_at, peri_op_index_backward,
    peri_op_index_put, peri_op_gather, peri_op_gather_backward, peri_op_scatter_add, peri_op_scatter_reduce,
    peri_op_nonzero, peri_op_coordinates, peri_op_one_hot, peri_op_solve, peri_op_linear, peri_op_cross_entropy,
    peri_op_mse_loss, peri_op_masked_select, peri_op_masked_fill, peri_op_copy_, peri_op_conv1d, peri_op_conv2d,
    peri_op_conv_transpose2d, peri_op_max_pool1d, peri_op_max_pool2d, peri_op_avg_pool1d, peri_op_avg_pool2d,
    peri_op_adaptive_avg_pool1d, peri_op_adaptive_avg_pool2d, peri_op_batch_norm, peri_op_clone, peri_op_var,
    peri_op_std, peri_op_amax, peri_op_amin, peri_op_sort, peri_op_cumsum, peri_op_clamp, peri_op_interpolate,
    peri_op_pad, peri_op_stack, peri_op_arange, peri_op_diagonal, peri_op_diagonal_backward, peri_op_unfold,
    peri_op_unfold_backward, peri_op_flip, peri_op_rot90, peri_op_roll, peri_op_repeat_interleave, peri_op_vander,
    peri_op_einsum, peri_op_merge, peri_op_inv, peri_op_max, peri_op_min, peri_op_norm2, peri_op_distance,
    peri_op_vector_norm, peri_op_svd, peri_op_svdvals, peri_op_qr, peri_op_det, peri_op_eigh, peri_op_lu_factor,
    peri_op_cholesky, peri_op_pinv, peri_op_solve_triangular, peri_op_prod, peri_op_eigvalsh;
/* Those that layers and losses are. */
extern const peri_op peri_op_layer_norm, peri_op_rms_norm, peri_op_group_norm, peri_op_instance_norm, peri_op_embedding,
    peri_op_embedding_bag, peri_op_bilinear, peri_op_adaptive_max_pool2d, peri_op_unflatten, peri_op_gelu,
    peri_op_prelu, peri_op_glu, peri_op_l1_loss, peri_op_huber_loss, peri_op_smooth_l1_loss,
    peri_op_binary_cross_entropy, peri_op_binary_cross_entropy_with_logits, peri_op_soft_margin_loss,
    peri_op_hinge_embedding_loss, peri_op_kl_div, peri_op_poisson_nll_loss, peri_op_gaussian_nll_loss, peri_op_nll_loss,
    peri_op_cross_entropy_rows, peri_op_multi_margin_loss, peri_op_multilabel_margin_loss, peri_op_margin_ranking_loss,
    peri_op_cosine_embedding_loss, peri_op_triplet_margin_loss, peri_op_rnn_sequence, peri_op_gru_sequence,
    peri_op_lstm_sequence, peri_op_dropout, peri_op_index_add;
/* No row of the table: what functions outside the runtime are recorded as. */
extern const peri_op peri_op_function;

/* What a row can apply to its result: the choices of its option, and their rows; the first is none. */
#define PERI_ACTIVATIONS "none tanh relu sigmoid"
extern const peri_op *const peri_activations[];

/* The elementwise rows as steps of formulas: peri_step_exp(B, x), peri_step_mul(B, a, b). Operands may be numbers. */
#define UNARY(name, ...)   peri_value peri_step_##name(peri_backward *B, peri_value x);
#define BINARY(name, ...)  peri_value peri_step_##name(peri_backward *B, peri_value a, peri_value b);
#define COMPARE(name, ...) peri_value peri_step_##name(peri_backward *B, peri_value a, peri_value b);
#include "kernels/elementwise.def"
/* And other rows that many formulas have. */
peri_value peri_step_where(peri_backward *B, peri_value mask, peri_value a, peri_value b);
peri_value peri_step_t(peri_backward *B, peri_value matrix);
peri_value peri_step_permute(peri_backward *B, peri_value x, int ndim, const int64_t *order);
peri_value peri_step_narrow(peri_backward *B, peri_value x, int64_t dim, int64_t start, int64_t length);
peri_value peri_step_cat(peri_backward *B, peri_value a, peri_value b, int64_t dim);
/* The entries of x along dim at a vector index. */
peri_value peri_step_index_select(peri_backward *B, peri_value x, int64_t dim, peri_value index);
/* Zeros of a shape with the elements of g added at index along dim. */
peri_value peri_step_scatter(peri_backward *B, peri_value g, int ndim, const int64_t *shape, peri_value index,
                             int64_t dim);

peri_value peri_step_expand_to(peri_backward *B, peri_value x, int ndim, const int64_t *shape);
/* the root of the sum of squares over dims */
peri_value peri_step_norm2(peri_backward *B, peri_value x, int dims, const int64_t *dim, bool keepdim);
peri_value peri_step_solve_triangular(peri_backward *B, peri_value A, peri_value b, bool upper, bool left,
                                      bool unitriangular);
/* The matrix of the exchanges that lu_factor tells, m x m. */
peri_value peri_step_permutation(peri_backward *B, const peri_tensor *pivots, peri_dtype dtype, int64_t m);
/* Below what share of the largest a singular value counts as 0. */
double peri_rank_tolerance(const peri_layout *A);
/* identities, of the shape of square matrices */
peri_value peri_step_identity(peri_backward *B, const peri_layout *like);
/* The diagonal of two dimensions, from 0, the second behind the first, as one in the place of the first: a view. */
peri_value peri_step_merge(peri_backward *B, peri_value x, int64_t first, int64_t second);

/* y = loop(x) over y's shape; y may be x */
peri_status peri_apply_loop(peri_loop1 loop, peri_tensor *x, peri_tensor *y);

extern const peri_op *const peri_ops_create[];
extern const peri_op *const peri_ops_elementwise[];
extern const peri_op *const peri_ops_activation[];
extern const peri_op *const peri_ops_bitwise[];
extern const peri_op *const peri_ops_mix[];
extern const peri_op *const peri_ops_compare[];
extern const peri_op *const peri_ops_choose[];
extern const peri_op *const peri_ops_reduce[];
extern const peri_op *const peri_ops_extreme[];
extern const peri_op *const peri_ops_scan[];
extern const peri_op *const peri_ops_statistics[];
extern const peri_op *const peri_ops_quantile[];
extern const peri_op *const peri_ops_differences[];
extern const peri_op *const peri_ops_histogram[];
extern const peri_op *const peri_ops_softmax[];
extern const peri_op *const peri_ops_moments[];
extern const peri_op *const peri_ops_matrix[];
extern const peri_op *const peri_ops_contraction[];
extern const peri_op *const peri_ops_products[];
extern const peri_op *const peri_ops_norms[];
extern const peri_op *const peri_ops_distance[];
extern const peri_op *const peri_ops_convolution[];
extern const peri_op *const peri_ops_loss[];
extern const peri_op *const peri_ops_loss_elementwise[];
extern const peri_op *const peri_ops_loss_class[];
extern const peri_op *const peri_ops_loss_pairs[];
extern const peri_op *const peri_ops_view[];
extern const peri_op *const peri_ops_slice[];
extern const peri_op *const peri_ops_take[];
extern const peri_op *const peri_ops_put[];
extern const peri_op *const peri_ops_scatter[];
extern const peri_op *const peri_ops_mask[];
extern const peri_op *const peri_ops_join[];
extern const peri_op *const peri_ops_sort[];
extern const peri_op *const peri_ops_unique[];
extern const peri_op *const peri_ops_search[];
extern const peri_op *const peri_ops_write[];
extern const peri_op *const peri_ops_linalg[];
extern const peri_op *const peri_ops_spectral[];
extern const peri_op *const peri_ops_least_squares[];
extern const peri_op *const peri_ops_solvers[];
extern const peri_op *const peri_ops_pool[];
extern const peri_op *const peri_ops_average[];
extern const peri_op *const peri_ops_normalize[];
extern const peri_op *const peri_ops_normalize_rows[];
extern const peri_op *const peri_ops_embedding[];
extern const peri_op *const peri_ops_pool_parts[];
extern const peri_op *const peri_ops_sequence[];
extern const peri_op *const peri_ops_random[];
extern const peri_op *const peri_ops_multinomial[];
extern const peri_op *const peri_ops_order[];
extern const peri_op *const peri_ops_expand[];
extern const peri_op *const peri_ops_split[];
extern const peri_op *const peri_ops_together[];
extern const peri_op *const peri_ops_diagonal[];
extern const peri_op *const peri_ops_window[];
extern const peri_op *const peri_ops_turn[];
extern const peri_op *const peri_ops_repeat[];
extern const peri_op *const peri_ops_assemble[];
extern const peri_op *const peri_ops_interpolate[];
extern const peri_op *const peri_ops_pad[];
extern const peri_op *const peri_ops_augment[];
extern const peri_op *const peri_ops_recurrent[];
extern const peri_op *const peri_ops_dropout[];
extern const peri_op *const peri_ops_attention[];

#endif
