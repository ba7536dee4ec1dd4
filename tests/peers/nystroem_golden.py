#!/usr/bin/env python3
"""Writes tests/spec/golden/nystroem.lua: scikit-learn's Nystroem over all rows of a small set.

usage: nystroem_golden.py > tests/spec/golden/nystroem.lua        (Debian: python3-sklearn)

Columns are put in the order of the rows that they belong to, so that the order of drawing does not matter.
"""
import numpy as np
import sklearn
from sklearn.kernel_approximation import Nystroem

KERNELS = [
    ("rbf", dict(gamma=0.4)),
    ("rbf", dict(gamma=None)),
    ("poly", dict(gamma=0.5, degree=3, coef0=1)),
    ("sigmoid", dict(gamma=0.7, coef0=-0.3)),
]


def table(rows):
    return "{\n" + "".join("    { " + ", ".join(repr(float(v)) for v in row) + " },\n" for row in rows) + "  }"


rng = np.random.RandomState(3)
X, fresh = np.round(rng.randn(8, 3), 2), np.round(rng.randn(4, 3), 2)
print("-- Made by tests/peers/nystroem_golden.py with scikit-learn %s.\n-- luacheck: no max line length" % sklearn.__version__)
print("return {\n  X = %s,\n  fresh = %s," % (table(X), table(fresh)))
for kernel, options in KERNELS:
    m = Nystroem(kernel=kernel, n_components=len(X), random_state=0, **options).fit(X)
    features = m.transform(fresh)[:, np.argsort(m.component_indices_)]
    given = ", ".join("%s = %g" % item for item in options.items() if item[1] is not None)
    print('  { options = { kernel = "%s"%s }, features = %s },' % (kernel, ", " * bool(given) + given, table(features)))
print("}")
