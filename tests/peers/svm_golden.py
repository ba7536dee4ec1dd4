#!/usr/bin/env python3
"""Writes tests/c/svm_golden.h: what scikit-learn finds on two small sets.

usage: svm_golden.py svc > tests/c/svm_golden.h               (Debian: python3-sklearn)

scikit-learn's SVC keeps kernel values in float32, so that its decisions carry errors of about 1e-6 times
C; the objective is recomputed here in float64 from its dual coefficients.
"""
import sys

import numpy as np
import sklearn
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC


def rings(n):
    rng = np.random.RandomState(7)
    y = np.arange(n) % 2
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(y == 1, 0.5, 1.0) + rng.normal(0, 0.15, n)
    return np.round(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), 4), 5 - 8 * y


def groups(n):
    rng = np.random.RandomState(8)
    y = np.arange(n) % 3
    centres = np.array([[0.0, 0.0, 1.0], [1.5, 0.5, 0.0], [0.5, 1.5, -1.0]])
    return np.round(centres[y] + rng.normal(0, 0.9, (n, 3)), 4), np.array([-2, 10, 3])[y]


def objective(m, X, y, **kernel):
    K = pairwise_kernels(X, **kernel)
    position, total = np.searchsorted(m.classes_, y), 0
    for a in range(len(m.classes_)):
        for b in range(a + 1, len(m.classes_)):
            beta = np.zeros(len(X))
            for c, row in ((a, b - 1), (b, a)):
                mine = position[m.support_] == c
                beta[m.support_[mine]] = m.dual_coef_[row][mine]
            total += beta @ K @ beta / 2 - abs(beta).sum()
    return total


def numbers(values):
    return "{" + ", ".join(repr(float(v)) for v in np.ravel(values)) + "}"


def integers(values):
    return "{" + ", ".join(str(int(v)) for v in np.ravel(values)) + "}"


def table(kind, name, values, show):
    values = np.asarray(values)
    print(f"static const {kind} {name}[{values.size}] = {show(values)};")


sets = {"rings": rings(60), "groups": groups(75)}


def svc():
    print("""
typedef struct golden_svc {
  const char *kernel;
  double C;
  int set, balanced;      /* set 0: rings, 1: groups */
  double gamma, objective; /* summed over the pairs */
  int64_t n_support[3];
  double intercept[3], decision[3]; /* of the first sample, `ovo` and public sign */
} golden_svc;
static const golden_svc golden_svcs[] = {""")
    for number, (name, (X, y)) in enumerate(sets.items()):
        for kernel in "linear", "poly", "rbf", "sigmoid":
            for C in 0.1, 1.0, 10.0:
                for balanced in 0, 1:
                    m = SVC(kernel=kernel, C=C, degree=2, coef0=0.5, tol=1e-6, decision_function_shape="ovo",
                            class_weight="balanced" if balanced else None).fit(X[:-1], y[:-1])
                    used = {"metric": kernel}
                    if kernel != "linear":
                        used["gamma"] = m._gamma
                    if kernel in ("poly", "sigmoid"):
                        used["coef0"] = 0.5
                    if kernel == "poly":
                        used["degree"] = 2
                    print(f'  {{"{kernel}", {C!r}, {number}, {balanced}, {m._gamma!r}, '
                          f"{objective(m, X[:-1], y[:-1], **used)!r}, {integers(m.n_support_)}, "
                          f"{numbers(m.intercept_)}, {numbers(m.decision_function(X[:1]))}}},")
    print("};")


def main(what):
    print(f"/* Written by 'tests/peers/svm_golden.py {what}' with scikit-learn " + sklearn.__version__ + ": do not edit. */")
    print("/* clang-format off */\n#include <stdint.h>\n")
    for name, (X, y) in sets.items():
        table("double", f"golden_{name}_x", X, numbers)
        table("int64_t", f"golden_{name}_y", y, integers)
    {"svc": svc}[what]()
    print("/* clang-format on */")


if __name__ == "__main__":
    main(sys.argv[1])
