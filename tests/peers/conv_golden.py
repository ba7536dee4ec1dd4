#!/usr/bin/env python3
"""Writes tests/spec/golden/conv.lua: what PyTorch's convolutions, pools and batch_norm give in float64, and their
gradients.

Run it from the repository's root: python3 tests/peers/conv_golden.py
Operands are made by `operand`, which tests/spec/conv_golden_spec.lua has, too; gradients are those of sum(g * y)."""

import os

import torch
import torch.nn.functional as F

from lua_text import lua

torch.set_default_dtype(torch.float64)

# Operation, shapes of x and weight, whether there is a bias, options.
CONVOLUTIONS = [
    ("conv1d", (2, 3, 9), (4, 3, 3), True, dict()),
    ("conv1d", (2, 3, 10), (4, 3, 3), True, dict(stride=2, padding=1)),
    ("conv1d", (1, 4, 9), (6, 2, 2), False, dict(groups=2, padding="same")),
    ("conv1d", (2, 4, 11), (4, 1, 3), True, dict(groups=4, dilation=2, padding=2, stride=3)),
    ("conv1d", (3, 8), (2, 3, 4), True, dict(padding="same", dilation=2)),
    ("conv2d", (2, 3, 6, 5), (4, 3, 3, 3), True, dict()),
    ("conv2d", (2, 3, 7, 6), (2, 3, 3, 2), True, dict(stride=[2, 1], padding=[1, 2])),
    ("conv2d", (1, 2, 6, 7), (3, 2, 2, 4), True, dict(padding="same")),
    ("conv2d", (1, 2, 7, 6), (2, 2, 2, 3), False, dict(padding="same", dilation=[3, 2])),
    ("conv2d", (2, 2, 6, 7), (3, 2, 3, 2), True, dict(padding="valid", dilation=[1, 3])),
    ("conv2d", (2, 4, 5, 5), (6, 2, 3, 3), True, dict(groups=2, padding=1)),
    ("conv2d", (1, 4, 6, 6), (8, 1, 3, 3), True, dict(groups=4, stride=2, padding=1)),
    ("conv2d", (1, 3, 7, 7), (3, 1, 3, 3), False, dict(groups=3, dilation=2, padding="same")),
    ("conv2d", (2, 3, 5, 4), (4, 3, 1, 1), True, dict(stride=2)),
    ("conv2d", (1, 2, 3, 3), (2, 2, 5, 5), True, dict(padding=4, stride=3)),
    ("conv2d", (2, 3, 4, 3), (5, 3, 4, 3), True, dict()),
    ("conv2d", (3, 5, 6), (2, 3, 3, 3), True, dict(padding=[0, 1])),
    ("conv_transpose2d", (2, 3, 3, 4), (3, 2, 3, 3), True, dict()),
    ("conv_transpose2d", (1, 3, 3, 3), (3, 2, 2, 2), True, dict(stride=2)),
    ("conv_transpose2d", (1, 2, 3, 4), (2, 3, 3, 4), False, dict(stride=[2, 3], padding=[1, 0], output_padding=[1, 2])),
    ("conv_transpose2d", (1, 2, 4, 3), (2, 2, 3, 2), True, dict(dilation=2, padding=1)),
    ("conv_transpose2d", (1, 4, 3, 3), (4, 3, 3, 3), True, dict(groups=2, stride=2, padding=1, output_padding=1)),
    ("conv_transpose2d", (2, 3, 3, 3), (3, 1, 3, 3), True, dict(groups=3, padding=1)),
    ("conv_transpose2d", (2, 3, 4), (2, 3, 2, 3), True, dict(stride=[1, 2])),
]

# Operation, shape of x, size of the windows (or of the result), options.
POOLS = [
    ("max_pool1d", (2, 3, 9), 3, dict()),
    ("max_pool1d", (1, 2, 11), 3, dict(stride=2, padding=1, dilation=2)),
    ("max_pool1d", (2, 8), 3, dict(stride=2, ceil_mode=True)),
    ("max_pool2d", (2, 3, 6, 7), 2, dict()),
    ("max_pool2d", (1, 2, 7, 8), [3, 2], dict(stride=[2, 1], padding=[1, 1])),
    ("max_pool2d", (1, 2, 8, 9), 3, dict(stride=1, dilation=[2, 3])),
    ("max_pool2d", (2, 7, 6), 3, dict(stride=2, padding=1, ceil_mode=True)),
    ("max_pool2d", (2, 2, 5, 5), 5, dict()),
    ("avg_pool1d", (2, 3, 9), 2, dict()),
    ("avg_pool1d", (1, 2, 10), 3, dict(stride=2, padding=1)),
    ("avg_pool1d", (2, 10), 4, dict(stride=3, padding=2, ceil_mode=True, count_include_pad=False)),
    ("avg_pool2d", (2, 3, 6, 7), 2, dict()),
    ("avg_pool2d", (1, 2, 7, 6), [3, 2], dict(stride=[2, 1], padding=1)),
    ("avg_pool2d", (1, 2, 7, 6), 3, dict(stride=2, padding=1, count_include_pad=False)),
    ("avg_pool2d", (2, 7, 8), 3, dict(stride=[3, 2], padding=1, ceil_mode=True)),
    ("avg_pool2d", (1, 2, 6, 6), 3, dict(stride=2, ceil_mode=True, divisor_override=5)),
    ("adaptive_avg_pool1d", (2, 3, 10), 4, dict()),
    ("adaptive_avg_pool1d", (3, 5), 7, dict()),
    ("adaptive_avg_pool2d", (2, 3, 7, 8), 1, dict()),
    ("adaptive_avg_pool2d", (1, 2, 7, 8), [3, 5], dict()),
    ("adaptive_avg_pool2d", (2, 4, 5), [6, 2], dict()),
]

# Shape of x, whether there are running statistics, whether weight and bias, options.
NORMS = [
    ((6, 3), True, True, dict(training=True)),
    ((4, 3, 5), True, True, dict(training=True, momentum=0.4, eps=0.01)),
    ((2, 3, 4, 3), True, True, dict(training=True)),
    ((2, 3, 4, 3), False, True, dict(training=True)),
    ((3, 2, 2, 3), True, False, dict(training=True, momentum=1.0)),
    ((6, 3), True, True, dict()),
    ((2, 3, 4, 3), True, True, dict(eps=0.1)),
    ((2, 4, 5), True, False, dict(momentum=0.5)),
]


def operand(key, shape):
    """Multiples of 1/32, which every dtype holds: another permutation of as many as 101 for each key."""
    count = 1
    for size in shape:
        count *= size
    values = [((73 * i + 29 * key) % 101 - 50) / 32 for i in range(count)]
    return torch.tensor(values).reshape(shape)


def field(name, tensor):
    return "%s = %s" % (name, lua(tensor.detach().flatten().tolist()))


def answers(y, leaves):
    """The lines with y, its shape and the gradients of the leaves, a dictionary."""
    gradients = torch.autograd.grad(y, list(leaves.values()), operand(9, y.shape))
    lines = ["y_shape = %s" % lua(list(y.shape)), field("y", y)]
    return lines + [field("grad_" + name, g) for name, g in zip(leaves, gradients)]


def leaf(key, shape):
    return operand(key, shape).requires_grad_()


def convolution(name, shape, weight_shape, has_bias, options):
    leaves = dict(x=leaf(1, shape), weight=leaf(2, weight_shape))
    if has_bias:
        channels = weight_shape[0]
        if name == "conv_transpose2d":
            channels = weight_shape[1] * options.get("groups", 1)
        leaves["bias"] = leaf(3, (channels,))
    y = getattr(F, name)(leaves["x"], leaves["weight"], leaves.get("bias"), **options)
    head = ["name = " + lua(name), "x = " + lua(shape), "weight = " + lua(weight_shape), "options = " + lua(options)]
    if has_bias:
        head.append("bias = " + lua(leaves["bias"].shape))
    return head, answers(y, leaves)


def pool(name, shape, size, options):
    x = leaf(1, shape)
    more = []
    if name == "max_pool2d":
        y, indices = F.max_pool2d(x, size, return_indices=True, **options)
        more = [field("indices", indices + 1)]
    else:
        y = getattr(F, name)(x, size, **options)
    head = ["name = " + lua(name), "x = " + lua(shape), "size = " + lua(size), "options = " + lua(options)]
    return head, answers(y, dict(x=x)) + more


def norm(shape, has_running, has_weight, options):
    leaves, channels = dict(x=leaf(1, shape)), shape[1]
    mean, var = (operand(4, (channels,)), operand(5, (channels,)).abs() + 0.25) if has_running else (None, None)
    if has_weight:
        leaves.update(weight=leaf(2, (channels,)), bias=leaf(3, (channels,)))
    y = F.batch_norm(leaves["x"], mean, var, leaves.get("weight"), leaves.get("bias"), **options)
    head = ["x = " + lua(shape), "running = " + lua(has_running), "weight = " + lua(has_weight),
            "options = " + lua(options)]
    more = [field("running_mean", mean), field("running_var", var)] if has_running else []
    return head, answers(y, leaves) + more


def write(out, name, cases, function):
    out.write("  %s = {\n" % name)
    for case in cases:
        head, lines = function(*case)
        out.write("    { %s,\n      %s },\n" % (", ".join(head), ",\n      ".join(lines)))
    out.write("  },\n")


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "spec", "golden", "conv.lua")
    with open(path, "w") as out:
        out.write("-- Written by tests/peers/conv_golden.py with PyTorch %s.\n" % torch.__version__.split("+")[0])
        out.write("-- luacheck: no max line length\n")
        out.write("return {\n")
        write(out, "convolutions", CONVOLUTIONS, convolution)
        write(out, "pools", POOLS, pool)
        write(out, "norms", NORMS, norm)
        out.write("}\n")


main()
