/* The kinds of layers that have files of their own, and what all kinds share. */
#ifndef PERI_KINDS_H
#define PERI_KINDS_H

#include "nn/nn.h"

/* A frame that has run: its first output goes out, hidden ones are released. */
peri_status peri_layer_run(peri_call *call, peri_tensor **out);

/* Initial values. Uniform within +-1/sqrt(the inputs of one output), which are all of a weight's sizes but the first:
 * what PyTorch's layers do, after Y. LeCun, L. Bottou, G. Orr, K.-R. Mueller, "Efficient BackProp", 1998, up to a
 * constant. */
peri_status peri_init_zeros(const peri_layer *layer, peri_tensor *parameter);
peri_status peri_init_ones(const peri_layer *layer, peri_tensor *parameter);
peri_status peri_init_uniform(const peri_layer *layer, peri_tensor *parameter, double inputs);

/* Elements of x are 0 with probability p, else divided by 1 - p. */
peri_status peri_layer_drop(peri_context *context, double p, peri_tensor *x, peri_tensor **out);

extern const peri_layer_kind peri_kind_conv1d, peri_kind_conv2d, peri_kind_conv_transpose2d, peri_kind_max_pool1d,
    peri_kind_avg_pool1d, peri_kind_adaptive_avg_pool1d, peri_kind_adaptive_max_pool2d, peri_kind_layer_norm,
    peri_kind_rms_norm, peri_kind_group_norm, peri_kind_instance_norm2d, peri_kind_embedding, peri_kind_embedding_bag,
    peri_kind_bilinear, peri_kind_dropout2d, peri_kind_unflatten, peri_kind_upsample, peri_kind_zero_pad2d;
extern const peri_layer_kind peri_kind_max_pool2d, peri_kind_avg_pool2d, peri_kind_adaptive_avg_pool2d,
    peri_kind_batch_norm1d, peri_kind_batch_norm2d;
extern const peri_layer_kind peri_kind_rnn, peri_kind_lstm, peri_kind_gru, peri_kind_rnn_cell, peri_kind_lstm_cell,
    peri_kind_gru_cell;

/* Layers that libperilune_score is without, for the size of what they alone call. */
#define PERI_KINDS_ELSEWHERE(kind)                                                                                     \
  kind(AdaptiveMaxPool2d, adaptive_max_pool2d) kind(EmbeddingBag, embedding_bag) kind(Bilinear, bilinear)              \
      kind(Upsample, upsample) kind(RNNCell, rnn_cell) kind(LSTMCell, lstm_cell) kind(GRUCell, gru_cell)

#endif
