#!/usr/bin/env python3
"""Makes tests/spec/golden/libsvm-*.model by svm-train, and libsvm.lua beside them: what svm-predict says with them.

usage: libsvm_golden.py        (Debian: libsvm-tools, python3-numpy)

The labels of the three classes come in the order 7, 3, -2, which the file of a model keeps.
"""
import os
import subprocess
import tempfile

import numpy as np

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "spec", "golden")
MODELS = [  # name, targets, options
    ("three", "three", "-s 0 -t 2 -g 0.5 -c 2"),
    ("probability", "three", "-s 0 -t 2 -g 0.2 -b 1"),
    ("two", "two", "-s 1 -t 1 -d 3 -g 0.5 -r 1 -n 0.4"),
    ("svr", "numbers", "-s 3 -t 3 -g 0.2 -r 0.5 -p 0.2"),
    ("nu-svr", "numbers", "-s 4 -t 0 -n 0.4"),
    ("one-class", "numbers", "-s 2 -t 2 -g 0.5 -n 0.3"),
    ("precomputed", "two", "-s 0 -t 4 -c 1"),
]


def line(target, row):
    return "%g " % target + " ".join("%d:%g" % (j + 1, v) for j, v in enumerate(row) if v != 0)


def kernel_line(target, number, values):
    return "%g 0:%d " % (target, number) + " ".join("%d:%.17g" % (j + 1, v) for j, v in enumerate(values))


rng = np.random.RandomState(5)
group = np.r_[0, 0, 2, 1, rng.randint(0, 3, 26)]
X, fresh = np.round(rng.randn(30, 3), 1), np.round(rng.randn(12, 3) + [1, 1, 0], 1)
X[:, 0] += 3 * (group == 1)
X[:, 1] += 3 * (group == 2)
X[np.abs(X) < 0.2] = 0
targets = {
    "three": np.array([7, -2, 3])[group],
    "two": np.where(group == 0, 5, -5),
    "numbers": np.round(2 * X[:, 0] - X[:, 1] + 0.2 * rng.randn(30), 2),
}
out = [
    "-- Made by tests/peers/libsvm_golden.py with LIBSVM's svm-train and svm-predict.",
    "-- luacheck: no max line length",
    "return {\n  X = {",
]
out += ["    { %s }," % ", ".join("%g" % v for v in row) for row in X]
out.append("  },\n  fresh = {")
out += ["    { %s }," % ", ".join("%g" % v for v in row) for row in fresh]
out.append("  },")
with tempfile.TemporaryDirectory() as folder:
    train, test, said = (os.path.join(folder, name) for name in ("train", "test", "said"))
    for name, target, options in MODELS:
        with open(train, "w") as file:
            for i in range(len(X)):
                kernel = kernel_line(targets[target][i], i + 1, X @ X[i])
                print(kernel if name == "precomputed" else line(targets[target][i], X[i]), file=file)
        with open(test, "w") as file:
            for row in fresh:
                print(kernel_line(0, 1, X @ row) if name == "precomputed" else line(0, row), file=file)
        model = os.path.join(GOLDEN, "libsvm-%s.model" % name)
        subprocess.run(["svm-train", "-q"] + options.split() + [train, model], check=True, stdout=subprocess.DEVNULL)
        for key, flag in (("predictions", "0"), ("probabilities", "1")):
            if (flag == "1") != ("-b 1" in options):
                continue
            subprocess.run(["svm-predict", "-b", flag, test, model, said], check=True, stdout=subprocess.DEVNULL)
            rows = open(said).read().strip().split("\n")
            if flag == "1":
                labels = [int(word) for word in rows[0].split()[1:]]
                order = np.argsort(labels)
                rows = ["{ %s }" % ", ".join(row.split()[1 + j] for j in order) for row in rows[1:]]
            out.append('  { name = "%s", %s = { %s } },' % (name, key, ", ".join(rows)))
print("\n".join(out) + "\n}", file=open(os.path.join(GOLDEN, "libsvm.lua"), "w"))
