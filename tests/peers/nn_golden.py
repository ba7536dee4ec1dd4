#!/usr/bin/env python3
"""Writes tests/spec/golden/nn.lua and nets.lua: what PyTorch's losses and layers give in float64, and their gradients.

Run it from the repository's root: python3 tests/peers/nn_golden.py
Operands are made by `operand`, which tests/spec/nn_golden_spec.lua has, too; gradients are those of sum(g * y). Inputs
are written {kind, shape}: x numbers, p probabilities, s -1 and 1, c classes, v positive numbers, l lists of classes, m masks."""

import os

import torch
from torch import nn

from lua_text import lua

torch.set_default_dtype(torch.float64)

# Class, inputs, options; tensors among the options are written as inputs are.
X, P, S, V = ("x", [4, 3]), ("p", [4, 3]), ("s", [4, 3]), ("v", [4, 3])
LOSSES = []
for reduction in ("mean", "sum", "none"):
    LOSSES += [(name, inputs, dict(options, reduction=reduction)) for name, inputs, options in [
        ("MSELoss", [X, X], {}),
        ("L1Loss", [X, X], {}),
        ("SmoothL1Loss", [X, X], dict(beta=0.7)),
        ("SmoothL1Loss", [X, X], dict(beta=0.0)),
        ("HuberLoss", [X, X], dict(delta=0.6)),
        ("CrossEntropyLoss", [X, ("c3", [4])], {}),
        ("CrossEntropyLoss", [X, ("c3", [4])], dict(weight=("v", [3]), label_smoothing=0.15)),
        ("CrossEntropyLoss", [X, ("c3", [4])], dict(weight=("v", [3]), ignore_index=2, label_smoothing=0.15)),
        ("CrossEntropyLoss", [X, ("c3", [4])], dict(ignore_index=2, label_smoothing=0.3)),
        ("CrossEntropyLoss", [("x", [2, 3, 4]), ("c3", [2, 4])], dict(weight=("v", [3]))),
        ("CrossEntropyLoss", [("x", [2, 3, 4]), ("c3", [2, 4])], {}),
        ("CrossEntropyLoss", [X, P], dict(weight=("v", [3]), label_smoothing=0.2)),
        ("CrossEntropyLoss", [X, P], {}),
        ("NLLLoss", [X, ("c3", [4])], dict(weight=("v", [3]))),
        ("NLLLoss", [("x", [2, 3, 4]), ("c3", [2, 4])], dict(ignore_index=1)),
        ("BCELoss", [P, P], dict(weight=("v", [3]))),
        ("BCEWithLogitsLoss", [X, P], {}),
        ("BCEWithLogitsLoss", [X, P], dict(weight=("v", [3]), pos_weight=("v", [3]))),
        ("KLDivLoss", [X, P], {}),
        ("KLDivLoss", [X, X], dict(log_target=True)),
        ("HingeEmbeddingLoss", [X, S], dict(margin=0.8)),
        ("SoftMarginLoss", [X, S], {}),
        ("MultiMarginLoss", [X, ("c3", [4])], dict(margin=0.7)),
        ("MultiMarginLoss", [X, ("c3", [4])], dict(p=2, weight=("v", [3]))),
        ("MultiLabelMarginLoss", [("x", [3, 5]), ("l", [3, 5])], {}),
        ("PoissonNLLLoss", [X, V], dict(full=True)),
        ("PoissonNLLLoss", [V, V], dict(log_input=False, eps=0.01)),
        ("GaussianNLLLoss", [X, X, V], dict(full=True)),
        ("GaussianNLLLoss", [X, X, ("v", [4, 1])], dict(eps=0.5)),
        ("MarginRankingLoss", [X, X, S], dict(margin=0.3)),
        ("CosineEmbeddingLoss", [X, X, ("s", [4])], dict(margin=0.1)),
        ("TripletMarginLoss", [X, X, X], dict(margin=2.0)),
        ("TripletMarginLoss", [X, X, X], dict(margin=1.5, p=3.0, swap=True)),
    ]]
LOSSES.append(("KLDivLoss", [X, P], dict(reduction="batchmean")))

# Class, constructor's arguments, inputs, options.
IMAGE = ("x", [2, 4, 5, 6])
LAYERS = [
    ("Linear", [3, 5], [X], {}),
    ("Bilinear", [3, 2, 4], [X, ("x", [4, 2])], {}),
    ("Conv1d", [4, 6, 3], [("x", [2, 4, 9])], dict(stride=2, padding=1, groups=2)),
    ("Conv2d", [4, 3, 3], [IMAGE], dict(padding="same")),
    ("ConvTranspose2d", [4, 6, 3], [IMAGE], dict(stride=2, padding=1, output_padding=1, groups=2)),
    ("MaxPool1d", [3], [("x", [2, 4, 9])], dict(stride=2, padding=1)),
    ("AvgPool1d", [3], [("x", [2, 4, 9])], dict(stride=2, padding=1)),
    ("AdaptiveAvgPool1d", [4], [("x", [2, 4, 9])], {}),
    ("AdaptiveMaxPool2d", [[2, 4]], [IMAGE], {}),
    ("AdaptiveMaxPool2d", [3], [IMAGE], {}),
    ("LayerNorm", [3], [X], {}),
    ("LayerNorm", [[5, 6]], [IMAGE], dict(eps=0.1)),
    ("LayerNorm", [[4, 5, 6]], [IMAGE], dict(elementwise_affine=False)),
    ("GroupNorm", [2, 4], [IMAGE], {}),
    ("GroupNorm", [1, 4], [("x", [3, 4])], dict(eps=0.1)),
    ("GroupNorm", [4, 4], [("x", [3, 4, 5])], dict(affine=False)),
    ("InstanceNorm2d", [4], [IMAGE], {}),
    ("InstanceNorm2d", [4], [IMAGE], dict(affine=True, eps=0.1)),
    ("Embedding", [5, 3], [("c5", [2, 4])], {}),
    ("Embedding", [5, 3], [("c5", [2, 4])], dict(padding_idx=2)),
    ("EmbeddingBag", [5, 3], [("c5", [3, 4])], dict(mode="sum")),
    ("EmbeddingBag", [5, 3], [("c5", [3, 4])], dict(mode="mean", padding_idx=2)),
    ("Softmax", [], [("x", [2, 3, 4])], dict(dim=2)),
    ("LogSoftmax", [], [("x", [2, 3, 4])], dict(dim=3)),
    ("Flatten", [], [IMAGE], {}),
    ("Unflatten", [2, [2, 2]], [IMAGE], {}),
    ("Upsample", [], [IMAGE], dict(scale_factor=2.0)),
    ("Upsample", [], [IMAGE], dict(size=[7, 4], mode="bilinear")),
    ("Upsample", [], [("x", [2, 3, 5])], dict(size=8, mode="linear", align_corners=True)),
    ("PReLU", [], [X], {}),
    ("PReLU", [], [IMAGE], dict(num_parameters=4)),
    ("GLU", [], [IMAGE], dict(dim=2)),
    ("LeakyReLU", [], [X], dict(negative_slope=0.2)),
    ("ELU", [], [X], dict(alpha=0.7)),
    ("CELU", [], [X], dict(alpha=0.5)),
    ("GELU", [], [X], dict(approximate="tanh")),
    ("Softplus", [], [X], dict(beta=2.0, threshold=1.0)),
    ("Hardtanh", [], [X], dict(min_val=-0.6, max_val=0.7)),
]
# Recurrent layers and transformers: class, constructor's arguments, inputs, options, and what the pass is given by name.
SEQUENCE, STATES = ("x", [4, 2, 3]), ("x", [1, 2, 5])
NETS = [
    ("RNN", [3, 5], [SEQUENCE], {}, {}),
    ("RNN", [3, 5], [SEQUENCE, STATES], dict(nonlinearity="relu"), dict(lengths=[2, 4])),
    ("RNN", [3, 2], [("x", [2, 4, 3])], dict(num_layers=2, bidirectional=True, batch_first=True, bias=False), {}),
    ("GRU", [3, 5], [SEQUENCE], {}, {}),
    ("GRU", [3, 5], [SEQUENCE, STATES], dict(bias=False), dict(lengths=[4, 3])),
    ("GRU", [3, 2], [("x", [2, 4, 3]), ("x", [4, 2, 2])],
     dict(num_layers=2, bidirectional=True, batch_first=True), dict(lengths=[3, 1])),
    ("LSTM", [3, 5], [SEQUENCE], {}, {}),
    ("LSTM", [3, 5], [SEQUENCE, STATES, STATES], dict(bias=False), dict(lengths=[4, 1])),
    ("LSTM", [3, 2], [("x", [2, 4, 3]), ("x", [4, 2, 2]), ("x", [4, 2, 2])],
     dict(num_layers=2, bidirectional=True, batch_first=True), dict(lengths=[2, 4])),
    ("LSTM", [3, 2], [("x", [4, 3]), ("x", [2, 2]), ("x", [2, 2])], dict(num_layers=2), {}),
    ("RNNCell", [3, 5], [X, ("x", [4, 5])], dict(nonlinearity="relu"), {}),
    ("GRUCell", [3, 5], [X, ("x", [4, 5])], {}, {}),
    ("LSTMCell", [3, 5], [X, ("x", [4, 5]), ("x", [4, 5])], {}, {}),
    ("LSTMCell", [3, 5], [X], dict(bias=False), {}),
    ("MultiheadAttention", [6, 2], [("x", [4, 2, 6])], {}, {}),
    ("MultiheadAttention", [6, 3], [("x", [2, 4, 6]), ("x", [2, 5, 3]), ("x", [2, 5, 4])],
     dict(kdim=3, vdim=4, batch_first=True), dict(key_padding_mask=("m", [2, 5]), average_attn_weights=False)),
    ("MultiheadAttention", [6, 2], [("x", [4, 2, 6]), ("x", [5, 2, 6]), ("x", [5, 2, 6])], dict(bias=False),
     dict(attn_mask=("x", [4, 5]), need_weights=False)),
    ("MultiheadAttention", [6, 2], [("x", [4, 6])], {}, dict(attn_mask=("m", [4, 4]))),
    ("TransformerEncoderLayer", [6, 2], [("x", [4, 2, 6])], dict(dim_feedforward=7, dropout=0.0),
     dict(src_mask=("m", [4, 4]))),
    ("TransformerEncoderLayer", [6, 3], [("x", [2, 4, 6])],
     dict(dim_feedforward=7, dropout=0.0, activation="gelu", norm_first=True, batch_first=True, layer_norm_eps=0.01),
     dict(src_key_padding_mask=("m", [2, 4]))),
    ("TransformerEncoder", [6, 2], [("x", [3, 2, 6])], dict(dim_feedforward=5, dropout=0.0), {}),
]
# Without Hardsigmoid, whose derivative PyTorch has in float32 alone.
for activation in ["Tanh", "ReLU", "Sigmoid", "LogSigmoid", "ReLU6", "SELU", "GELU", "SiLU", "Mish", "Softsign", "Hardswish"]:
    LAYERS.append((activation, [], [X], {}))
DIMENSIONS = {"GLU": ["dim"], "Softmax": ["dim"], "LogSoftmax": ["dim"], "Unflatten": [0]}


def operand(key, shape):
    """Multiples of 1/32, which every dtype holds: another permutation of as many as 101 for each key."""
    count = 1
    for size in shape:
        count *= size
    values = [((73 * i + 29 * key) % 101 - 50) / 32 for i in range(count)]
    return torch.tensor(values).reshape(shape)


def made(key, kind, shape):
    """The tensor of that kind; classes count from 0, and a list of them ends with -1."""
    x = operand(key, shape)
    if kind == "p":
        return (x * 32 + 51) / 102
    if kind == "v":
        return x.abs() + 0.25
    if kind == "s":
        return (x > 0).double() * 2 - 1
    if kind == "l":
        return (x * 32 + 50).long() % (shape[-1] + 1) - 1
    if kind == "m":  # a mask, under which something remains of each row
        return (x > 0) & (torch.arange(shape[-1]) > 0)
    if kind.startswith("c"):
        return (x * 32 + 50).long() % int(kind[1:])
    return x


def numbers(tensor):
    return "{" + ", ".join("%.17g" % v for v in tensor.detach().flatten().tolist()) + "}"


def answers(module, inputs, kinds):
    """y, its shape, and the gradients of inputs and parameters. Signs have none."""
    leaves = [x.requires_grad_() for x, kind in zip(inputs, kinds) if kind[0] in "xpv"]
    parameters = list(module.named_parameters())
    for i, (_, p) in enumerate(parameters):
        p.data = operand(5 + i, p.shape)
    y = module(*inputs)
    y.backward(operand(9, y.shape))
    lines = ["y_shape = " + lua(list(y.shape)), "y = " + numbers(y)]
    lines.append("inputs_grad = {" + ", ".join(numbers(x.grad if x.grad is not None else x * 0) for x in leaves) + "}")
    if parameters:
        lines.append("grad = {" + ", ".join("%s = %s" % (n, numbers(p.grad)) for n, p in parameters) + "}")
    return lines


def loss(name, inputs, options):
    given = dict(options)
    for i, key in enumerate(k for k, value in options.items() if isinstance(value, tuple)):
        given[key] = made(20 + i, *options[key])
    if "ignore_index" in given:
        given["ignore_index"] -= 1
    module = getattr(nn, name)(**given)
    tensors = [made(1 + i, *x) for i, x in enumerate(inputs)]
    head = "name = %s, inputs = %s, options = %s" % (lua(name), lua(inputs), lua(options))
    return head, answers(module, tensors, [kind for kind, _ in inputs])


def layer(name, arguments, inputs, options):
    given, places = dict(options), list(arguments)
    for key in DIMENSIONS.get(name, []):
        if isinstance(key, str):
            given[key] -= 1
        else:
            places[key] -= 1
    if "padding_idx" in given:
        given["padding_idx"] -= 1
    if name == "Unflatten":
        places[1] = tuple(places[1])
    if name == "Upsample" and isinstance(given.get("size"), list):
        given["size"] = tuple(given["size"])
    module = getattr(nn, name)(*places, **given)
    tensors = [made(1 + i, *x) for i, x in enumerate(inputs)]
    head = "name = %s, arguments = %s, inputs = %s, options = %s" % (
        lua(name), lua(arguments), lua(inputs), lua(options))
    return head, answers(module, tensors, [kind for kind, _ in inputs])


def flat(outputs):
    """The tensors of nested tuples, in order; what is None is left out."""
    if torch.is_tensor(outputs):
        return [outputs]
    return [x for part in outputs or () for x in flat(part)]


def pass_of(module, name, tensors, given):
    """All outputs of a pass, as tests/spec/nn_golden_spec.lua has them."""
    x, states = tensors[0], tensors[1:]
    if name in ("MultiheadAttention", "TransformerEncoderLayer", "TransformerEncoder"):
        masks = {k: made(30, *v) if isinstance(v, tuple) else v for k, v in given.items()}
        if name == "MultiheadAttention":
            return flat(module(x, *(states or [x, x]), **masks))
        return flat(module(x, **masks))
    state = None if not states else states[0] if len(states) == 1 else tuple(states)
    if "lengths" not in given:
        return flat(module(x, state))
    first = module.batch_first
    packed = nn.utils.rnn.pack_padded_sequence(x, given["lengths"], batch_first=first, enforce_sorted=False)
    y, last = module(packed, state)
    total = x.shape[1 if first else 0]
    y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=first, total_length=total)
    return flat((y, last))


def net(name, arguments, inputs, options, given):
    if name == "TransformerEncoder":
        module = nn.TransformerEncoder(nn.TransformerEncoderLayer(*arguments, **options), 2, nn.LayerNorm(arguments[0]))
    else:
        module = getattr(nn, name)(*arguments, **options)
    tensors = [made(1 + i, *x).requires_grad_() for i, x in enumerate(inputs)]
    parameters = list(module.named_parameters())
    for i, (_, p) in enumerate(parameters):
        p.data = operand(5 + i, p.shape) / 4
    outputs = pass_of(module, name, tensors, given)
    sum((operand(9 + i, y.shape) * y).sum() for i, y in enumerate(outputs)).backward()
    grads = ", ".join('["%s"] = %s' % (n.replace("layers.1", "layers.2").replace("layers.0", "layers.1"),
                                       numbers(p.grad)) for n, p in parameters)
    head = "name = %s, arguments = %s, inputs = %s, options = %s, given = %s" % (
        lua(name), lua(arguments), lua(inputs), lua(options), lua(given))
    return head, ["shapes = " + lua([list(y.shape) for y in outputs]),
                  "outputs = {" + ", ".join(numbers(y) for y in outputs) + "}",
                  "inputs_grad = {" + ", ".join(numbers(x.grad) for x in tensors) + "}",
                  "names = " + lua([n.replace("layers.1", "layers.2").replace("layers.0", "layers.1")
                                    for n, _ in parameters]),
                  "grad = {" + grads + "}"]


def write(out, name, cases, function):
    out.write("  %s = {\n" % name)
    for case in cases:
        head, lines = function(*case)
        out.write("    { %s,\n      %s },\n" % (head, ",\n      ".join(lines)))
    out.write("  },\n")


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "spec", "golden")
    for file, groups in (("nn.lua", [("losses", LOSSES, loss), ("layers", LAYERS, layer)]),
                         ("nets.lua", [("nets", NETS, net)])):
        with open(os.path.join(folder, file), "w") as out:
            out.write("-- Written by tests/peers/nn_golden.py with PyTorch %s.\n" % torch.__version__.split("+")[0])
            out.write("-- luacheck: no max line length\n")
            out.write("return {\n")
            for group in groups:
                write(out, *group)
            out.write("}\n")


main()
