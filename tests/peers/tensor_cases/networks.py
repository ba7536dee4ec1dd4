"""Rows of networks: convolutions, pools, normalisations, embeddings, images at another size."""

import torch
import torch.nn.functional as F

from .cases import INF, NAN, At, Row, T

TOLERANCE = (2e-6, 1e-12, "one", "false")
ROWS = []


def rows(name, lists, peer=None, **options):
    ROWS.append(Row(name, lists, peer or getattr(F, name), **options))


def sized(function):
    """Numbers or tables of them."""
    return lambda *arguments, **options: function(*arguments, **{k: tuple(v) if isinstance(v, list) else v for k,
                                                                 v in options.items()})


rows("conv1d", [[T(2, 3, 7), T(4, 3, 3), T(4)], [T(3, 8, layout="t"), T(2, 3, 2), T(2), dict(stride=2, padding=1)],
                [T(2, 4, 9), T(4, 2, 3), None, dict(groups=2, dilation=2, padding="same")], [T(1, 1, 5), T(1, 1, 5)]],
                sized(F.conv1d))
rows("conv2d", [[T(2, 3, 5, 6), T(4, 3, 3, 2), T(4)], [T(2, 6, 5, layout="t"), T(3, 2, 3, 3), None,
                                                       dict(stride=[2, 1], padding=1)],
                [T(1, 4, 6, 6, layout="s"), T(4, 1, 3, 3), T(4), dict(groups=4, padding="same", dilation=2)],
                [T(1, 2, 4, 4), T(3, 2, 1, 1), T(3), dict(padding="valid")]], sized(F.conv2d))
rows("conv2d", [[T(1, 2, 4, 4), T(3, 2, 2, 2), T(3), dict(activation=how)] for how in ("tanh", "sigmoid")],
     lambda x, w, b, activation: getattr(torch, activation)(F.conv2d(x, w, b)))
rows("conv_transpose2d", [[T(2, 3, 3, 4), T(3, 2, 3, 3), T(2)], [T(1, 3, 3, 3, layout="t"), T(3, 2, 2, 2), None,
                                                                 dict(stride=2)],
                          [T(1, 4, 3, 3), T(4, 3, 3, 3), T(6), dict(groups=2, stride=2, padding=1, output_padding=1)]],
                          sized(F.conv_transpose2d))


def pool(function):
    def call(x, size, stride=None, padding=0, *rest):
        return function(x, size, stride if stride is not None else size, padding, *rest)
    return call


def max_pool(function):
    def call(x, size, stride=None, padding=0, dilation=1, ceil_mode=False):
        return function(x, size, stride if stride is not None else size, padding, dilation, ceil_mode=ceil_mode)
    return call


rows("max_pool1d", [[T(2, 3, 9), 3], [T(2, 9, layout="t"), 3, 2, 1], [T(1, 2, 8), 2, 3, 0, 2],
                    [T(2, 8), 3, 2, 0, 1, True]], max_pool(F.max_pool1d))
rows("max_pool2d", [[T(2, 3, 6, 7), 2], [T(1, 5, 6, layout="t"), [3, 2], [2, 1], [1, 1]], [T(1, 2, 7, 6), 2, 2, 0, 2],
                    [T(1, 2, 5, 5), 2, 2, 0, 1, True],
                    [T(1, 1, 3, 4, values=[1.0, NAN, 2.0, -1.0, 0.0, 1.0, -INF, INF, 3.0, 3.0, -0.0, 0.0]), 2, 1]],
                    max_pool(F.max_pool2d))
rows("max_pool2d_with_indices", [[T(2, 3, 6, 7), 2], [T(1, 2, 5, 6, layout="t"), 3, 2, 1]],
     max_pool(lambda *a, **more: F.max_pool2d(*a, **more, return_indices=True)), positions=(1,))
rows("avg_pool1d", [[T(2, 3, 9), 2], [T(2, 10, layout="t"), 3, 2, 1], [T(2, 10), 4, 3, 2, True, False]],
     pool(F.avg_pool1d))
rows("avg_pool2d", [[T(2, 3, 6, 7), 2], [T(1, 2, 7, 6, layout="t"), [3, 2], [2, 1], 1],
                    [T(1, 2, 7, 6), 3, 2, 1, False, False], [T(1, 2, 6, 6), 3, 2, 0, True, True, 5]],
     pool(F.avg_pool2d))
rows("adaptive_avg_pool1d", [[T(2, 3, 10), 4], [T(3, 5, layout="t"), 7], [T(2, 1, 6), 1]])
rows("adaptive_avg_pool2d", [[T(2, 3, 7, 6), [3, 2]], [T(1, 5, 4, layout="t"), 3], [T(1, 2, 6, 6), 1]])
rows("adaptive_max_pool2d", [[T(2, 3, 7, 6), [3, 2]], [T(1, 5, 4, layout="t"), 3]])


def batch_norm(x, mean=None, var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    return F.batch_norm(x, mean, var, weight, bias, training, momentum, eps)


def constant(*shape, kind="x"):
    return T(*shape, kind=kind, grad=False)


rows("batch_norm", [[T(4, 3), None, None, T(3), T(3), True], [T(2, 3, 4, layout="t"), None, None, None, None, True],
                    [T(2, 3, 2, 2), None, None, T(3), T(3), True, 0.1, 0.5],
                    [T(4, 3), constant(3), constant(3, kind="p"), T(3), T(3)],
                    [T(2, 3, 4), constant(3), constant(3, kind="p"), None, None, False, 0.1, 0.25]], batch_norm)
rows("layer_norm", [[T(3, 4), 4, T(4), T(4)], [T(2, 3, 4, layout="t"), [3, 4]],
                    [T(2, 3, 4, layout="s"), [4], T(4), None, 0.5], [T(5), 5]],
     lambda x, n, w=None, b=None, eps=1e-5: F.layer_norm(x, n if isinstance(n, list) else [n], w, b, eps))


def rms_norm(x, n, w=None, eps=None):
    """x / sqrt(mean(x^2) + eps): this PyTorch has none."""
    dims = tuple(range(-len(n), 0)) if isinstance(n, list) else (-1,)
    y = x / torch.sqrt((x * x).mean(dims, keepdim=True) + (eps if eps is not None else 2.0**-52))
    return y * w if w is not None else y


rows("rms_norm", [[T(3, 4), 4, T(4)], [T(2, 3, 4, layout="t"), [3, 4], None, 1e-3],
                  [T(2, 3, 4, layout="s"), [4], T(4), 0.5]], rms_norm)
rows("group_norm", [[T(3, 4), 2, T(4), T(4)], [T(2, 6, 3, layout="t"), 3], [T(2, 4, 2, 2), 1, T(4), None, 0.5],
                    [T(2, 4, 3), 4]],
     lambda x, n, w=None, b=None, eps=1e-5: F.group_norm(x, n, w, b, eps))
rows("instance_norm", [[T(2, 3, 4), T(3), T(3)], [T(2, 3, 2, 2, layout="t")], [T(1, 2, 5), T(2), T(2), 0.5]],
     lambda x, w=None, b=None, eps=1e-5: F.instance_norm(x, weight=w, bias=b, eps=eps))
INDEX = dict(kind="h", high=5)
rows("embedding", [[T(4, **INDEX), T(5, 3)], [T(2, 3, **INDEX), T(5, 2, layout="t")],
                   [T(6, **INDEX), T(5, 2), dict(padding_idx=At(2))], [T(0, **INDEX), T(5, 2)]],
     lambda i, w, **more: F.embedding(i, w, **more))


def embedding_bag(index, weight, mode="mean", padding_idx=None):
    """Composed, which can be differentiated twice."""
    keep = (index != padding_idx).to(weight.dtype) if padding_idx is not None else torch.ones(index.shape,
        dtype=weight.dtype)
    total = (weight[index] * keep.unsqueeze(-1)).sum(1)
    return total if mode == "sum" else total / torch.clamp(keep.sum(1, keepdim=True), 1)


rows("embedding_bag", [[T(2, 4, **INDEX), T(5, 3)], [T(3, 2, **INDEX), T(5, 2), dict(mode="sum")],
                       [T(3, 4, **INDEX), T(5, 2), dict(padding_idx=At(2))]],
     embedding_bag)
for shape, how in [((1, 2, 5), "linear"), ((1, 2, 4, 5), "bilinear")]:
    sizes = [3, 8] if len(shape) == 3 else [[3, 8], [7, 2]]
    rows("interpolate", [[T(*shape), s, dict(mode=how, align_corners=a)] for s in sizes for a in (False, True)] +
         [[T(*shape, layout="t"), None, dict(scale_factor=f, mode=how)] for f in (2.0, 0.5, 1.7)],
         lambda x, size=None, **more: F.interpolate(x, tuple(size) if isinstance(size, list) else size, **more))
rows("interpolate", [[T(1, 2, 5), 8], [T(1, 2, 4, 5, layout="t"), [3, 7]],
                     [T(2, 1, 4, 3), None, dict(scale_factor=2.0)], [T(1, 1, 5), None, dict(scale_factor=0.6)]],
     lambda x, size=None, **more: F.interpolate(x, tuple(size) if isinstance(size, list) else size, **more))


def sequence(function, states):
    """PyTorch's own, to which x is what an identity as the weight of the input gives."""
    def call(x, weight, bias=None, *given, reverse=False, nonlinearity="tanh"):
        gates, hidden = weight.shape
        given = [s if s is not None else x.new_zeros(x.shape[1],
                                                     hidden) for s in list(given) + [None] * (states - len(given))]
        weights = [torch.eye(gates, dtype=x.dtype), weight]
        if bias is not None:
            weights += [torch.zeros(gates, dtype=x.dtype), bias]
        first = [s.unsqueeze(0) for s in given]
        run = torch.rnn_relu if nonlinearity == "relu" else function
        y, *last = run(x.flip(0) if reverse else x, first if states > 1 else first[0], weights, bias is not None, 1,
                       0.0,
                       True, False, False)
        return [y.flip(0) if reverse else y] + [s[0] for s in last]
    return call


for name, gates, function in (("rnn", 1, torch.rnn_tanh), ("gru", 3, torch.gru), ("lstm", 4, torch.lstm)):
    n = 2 if name == "lstm" else 1
    rows(name + "_sequence", [
        [T(3, 2, 2 * gates), T(2 * gates, 2), T(2 * gates)],
        [T(4, 1, 3 * gates, layout="t"), T(3 * gates, 3), T(3 * gates)] + [T(1, 3) for _ in range(n)],
        [T(3, 2, 2 * gates, layout="s"), T(2 * gates, 2, layout="t"), None, dict(reverse=True)],
    ], sequence(function, n))
rows("rnn_sequence", [[T(3, 2, 2), T(2, 2), T(2), T(2, 2), dict(nonlinearity="relu")]], sequence(torch.rnn_tanh, 1))


def attention(q, k, v, mask=None, dropout_p=0, is_causal=False, scale=None, need_weights=False):
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -INF) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(-1)
    return (weights @ v, weights) if need_weights else weights @ v


rows("scaled_dot_product_attention", [
    [T(3, 4), T(5, 4), T(5, 2)], [T(2, 3, 4, layout="t"), T(2, 5, 4), T(2, 5, 3, layout="s")],
    [T(2, 2, 3, 4), T(2, 1, 3, 4), T(3, 2), None, 0, True], [T(3, 4), T(5, 4), T(5, 2), T(3, 5)],
    [T(2, 4), T(3, 4), T(3, 2), T(dtype="b", values=[True, False, True])],
    [T(3, 4), T(5, 4), T(5, 2), dict(scale=0.3, need_weights=True)],
], attention)
