#!/usr/bin/env python3
"""Writes tests/spec/golden/tensor_*.lua: what NumPy, PyTorch and SciPy give for rows of the operation table, with
gradients of first and second order.

Run it from the repository's root: python3 tests/peers/tensor_golden.py [family..]     (Debian: python3-torch)
What is compared stands in tables, one file for each family of rows, in tests/peers/tensor_cases."""

import importlib
import os
import sys

import numpy
import scipy
import torch

from tensor_cases.cases import SPECIAL, lines, number

FAMILIES = ["elementwise", "pairs", "activations", "reductions", "order", "shapes", "indices", "products",
            "linalg", "networks", "losses", "creation"]
torch.set_num_threads(1)


def write(family):
    module = importlib.import_module("tensor_cases." + family)
    body = list(lines(module.ROWS))
    path = os.path.join("tests", "spec", "golden", "tensor_%s.lua" % family)
    with open(path, "w") as file:
        file.write("-- Written by tests/peers/tensor_golden.py with PyTorch %s, NumPy %s, SciPy %s.\n"
                   % (torch.__version__, numpy.__version__, scipy.__version__))
        file.write("-- luacheck: no max line length\nreturn {\n")
        file.write("  tolerance = { f = %g, d = %g, of = \"%s\", signs = %s },\n" % module.TOLERANCE)
        file.write("  special = { %s },\n" % ", ".join(
            '%s = "%s"' % (name, " ".join(map(number, values))) for name, values in sorted(SPECIAL.items())))
        file.write("\n".join(body) + "\n}\n")
    print("%-12s %5d cases %7d bytes" % (family, len(body), os.path.getsize(path)))


for name in sys.argv[1:] or FAMILIES:
    write(name)
