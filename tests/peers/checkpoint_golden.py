#!/usr/bin/env python3
"""Writes tests/spec/golden/checkpoint.lua: the weights of a network of PyTorch as a safetensors file, made here from the
format's description with NumPy alone, an input, and what the network gives for it.

Run it from the repository's root: python3 tests/peers/checkpoint_golden.py
The file is what the package safetensors writes: tensors by the size of their elements, then by name; the header without
blanks, padded with spaces to 8 bytes."""

import json
import os
import textwrap
import struct
from collections import OrderedDict

import numpy as np
import torch

torch.manual_seed(1)
net = torch.nn.Sequential(OrderedDict(
    conv=torch.nn.Conv2d(2, 3, 3, padding=1), norm=torch.nn.BatchNorm2d(3), act=torch.nn.Tanh(),
    flat=torch.nn.Flatten(), out=torch.nn.Linear(3 * 4 * 5, 2)))
for _ in range(3):  # the running statistics become something
    net(torch.randn(8, 2, 4, 5) * 2 + 1)
net.eval()
x = torch.randn(3, 2, 4, 5)

NAMES = {"float32": "F32", "int64": "I64"}


def write(arrays):
    header, body = {}, b""
    for name in sorted(arrays, key=lambda n: (-arrays[n].itemsize, n)):
        content = arrays[name].tobytes()
        header[name] = {"dtype": NAMES[str(arrays[name].dtype)], "shape": list(arrays[name].shape),
                        "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def read(content):
    """The way back, as other programs go it."""
    (length,) = struct.unpack("<Q", content[:8])
    kinds = {kind: dtype for dtype, kind in NAMES.items()}
    arrays = {}
    for name, entry in json.loads(content[8:8 + length]).items():
        begin, end = entry["data_offsets"]
        piece = content[8 + length + begin:8 + length + end]
        arrays[name] = np.frombuffer(piece, kinds[entry["dtype"]]).reshape(entry["shape"])
    return arrays


arrays = {name: value.numpy() for name, value in net.state_dict().items()}
content = write(arrays)
again = read(content)
assert set(again) == set(arrays) and all((again[name] == arrays[name]).all() for name in arrays)


def numbers(tensor):
    text = ", ".join("%.9g" % v for v in tensor.detach().flatten().tolist())
    return "{\n    " + "\n    ".join(textwrap.wrap(text, 112)) + "\n  }"


path = os.path.join("tests", "spec", "golden", "checkpoint.lua")
with open(path, "w") as file:
    file.write("-- Written by tests/peers/checkpoint_golden.py with PyTorch %s.\n" % torch.__version__)
    file.write("return {\n  x = %s,\n  y = %s,\n  file = table.concat {\n" % (numbers(x), numbers(net(x))))
    for at in range(0, len(content), 56):
        file.write('    "%s",\n' % content[at:at + 56].hex())
    file.write("  },\n}\n")
