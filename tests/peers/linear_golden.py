#!/usr/bin/env python3
"""Writes tests/c/linear_golden.h: what scikit-learn (LIBLINEAR) finds for each linear machine on two small sets.

usage: linear_golden.py > tests/c/linear_golden.h               (Debian: python3-sklearn)

Balanced classes go through sample weights: with class_weight, LIBLINEAR's one-vs-rest machines weigh the rows of
their own class alone and count those of all others as 1.
"""
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC, LinearSVR

from svm_golden import groups, integers, numbers, rings, table

warnings.simplefilter("ignore")


def targets(X):
    rng = np.random.RandomState(9)
    return np.round(X @ [1.5, -0.7, 0.2] + 3 + rng.normal(0, 0.5, len(X)), 4)


sets = [rings(60), groups(75)]
z = targets(sets[1][0])
weights = 0.5 + np.arange(75) % 4 * 0.5
weights[::9] = 0

print(f"/* Written by tests/peers/linear_golden.py with scikit-learn {sklearn.__version__}: do not edit. */")
print('/* clang-format off */\n#include "svm/linear.h"\n')
for name, (X, y) in zip(("rings", "groups"), sets):
    table("double", f"golden_{name}_x", X, numbers)
    table("int64_t", f"golden_{name}_y", y, integers)
table("double", "golden_targets", z, numbers)
table("double", "golden_weights", weights, numbers)
print("""
typedef struct golden_linear {
  peri_linear_kind kind;
  peri_linear_penalty penalty;
  peri_linear_loss loss;
  peri_multi_class multi_class;
  int set; /* 0: rings, 1: groups */
  bool weighted, balanced;
  double C, epsilon, intercept_scaling;
  double coef[9], intercept[3];
} golden_linear;
static const golden_linear golden_linears[] = {""")


def show(kind, penalty, loss, multi_class, number, weighted, balanced, m, epsilon=0.0):
    print(f"  {{{kind}, PERI_PENALTY_{penalty}, PERI_LOSS_{loss}, {multi_class}, {number}, {int(weighted)}, "
          f"{int(balanced)}, {m.C!r}, {epsilon!r}, {float(m.intercept_scaling)!r}, {numbers(m.coef_)}, "
          f"{numbers(m.intercept_)}}},")


exact = dict(tol=1e-10, max_iter=10**6, random_state=0)
rough = dict(tol=1e-8, max_iter=3000)  # LIBLINEAR's L1 solvers get no further for all their passes
for weighted, balanced, scaling in (0, 0, 1.0), (1, 1, 3.0):
    for C in 0.1, 1.0:
        for number, (X, y) in enumerate(sets):
            common = dict(C=C, intercept_scaling=scaling, **exact)
            w = weights[:len(X)] if weighted else np.ones(len(X))
            part = w > 0
            if balanced:
                classes = np.unique(y)
                share = np.array([w[y == c].sum() for c in classes])  # of weights: scikit-learn before 1.7 counts rows
                w = w * (w.sum() / (len(classes) * share))[np.searchsorted(classes, y)]

            def fit(estimator, *row):
                show(*row, number, weighted, balanced, estimator.fit(X[part], y[part], w[part]))

            svc = "PERI_LINEAR_CLASSIFIER"
            fit(LinearSVC(**common), svc, "L2", "SQUARED_HINGE", "PERI_OVR")
            fit(LinearSVC(loss="hinge", **common), svc, "L2", "HINGE", "PERI_OVR")
            fit(LinearSVC(penalty="l1", dual=False, **{**common, **rough}), svc, "L1", "SQUARED_HINGE", "PERI_OVR")
            fit(LinearSVC(multi_class="crammer_singer", **common), svc, "L2", "HINGE", "PERI_CRAMMER_SINGER")
            for penalty in "l2", "l1":
                settings = {**common, **rough} if penalty == "l1" else common
                fit(LogisticRegression(solver="liblinear", penalty=penalty, **settings), "PERI_LINEAR_LOGISTIC",
                    penalty.upper(), "LOGISTIC", "PERI_OVR")
        for epsilon in 0.0, 0.3:
            for name, loss in ("EPSILON", "epsilon_insensitive"), ("SQUARED_EPSILON", "squared_epsilon_insensitive"):
                X = sets[1][0]
                m = LinearSVR(C=C, epsilon=epsilon, loss=loss, intercept_scaling=scaling, **exact)
                m.fit(X, z, sample_weight=weights if weighted else None)
                show("PERI_LINEAR_REGRESSOR", "L2", name, "PERI_OVR", 1, weighted, 0, m, epsilon)
print("};\n/* clang-format on */")
