"""The peers of the machines' bench (tests/bench/svm.lua): scikit-learn, LIBSVM and LIBLINEAR.

usage: bench_svm.py circle DIR              train.csv and test.csv
       bench_svm.py ROW PEER DIR N          ROW of the table below, PEER sklearn or command, DIR with IDX files or float64 bytes

Prints lines "name<TAB>value...". circle: seconds of each part, the best of several runs. ROW: "result", seconds
of the fit, seconds of the prediction of 10,000 rows, accuracy (R2, share of inliers), support vectors.
scikit-learn is timed in its process, with a cache of 2000 MB. The commands svm-train and liblinear-train are
timed as a user sees them: with reading the data (in their text format) and writing the model.
"""
import gzip
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np

# row: scikit-learn's class and options, the command's program and options
ROWS = {
    "rbf": ("SVC", dict(kernel="rbf", C=10, gamma=0.02), "svm", "-s 0 -t 2 -c 10 -g 0.02"),
    "poly": ("SVC", dict(kernel="poly", degree=2, gamma=0.02, coef0=1, C=1), "svm", "-s 0 -t 1 -d 2 -g 0.02 -r 1 -c 1"),
    "linear": ("SVC", dict(kernel="linear", C=1), "svm", "-s 0 -t 0 -c 1"),
    "linearsvc": ("LinearSVC", dict(C=0.1), "liblinear", "-s 1 -c 0.1 -B 1 -e 1e-4"),
    "svr": ("SVR", dict(kernel="rbf", C=1, epsilon=0.1, gamma=0.05), "svm", "-s 3 -t 2 -c 1 -p 0.1 -g 0.05"),
    "oneclass": ("OneClassSVM", dict(kernel="rbf", nu=0.1, gamma=0.05), "svm", "-s 2 -t 2 -n 0.1 -g 0.05"),
}


def say(name, *values):
    print("\t".join([name] + [repr(float(v)) for v in values]), flush=True)


def seconds(f):
    start = time.perf_counter()
    result = f()
    return time.perf_counter() - start, result


# ---- Circle ----


def circle(directory):
    from sklearn.svm import SVC

    load = lambda name: np.loadtxt(f"{directory}/{name}.csv", delimiter=",", skiprows=1)
    train, test = load("train"), load("test")
    X, y, Xt, yt = train[:, :2].copy(), train[:, 2].astype(int), test[:, :2].copy(), test[:, 2].astype(int)
    axis = np.linspace(-2, 2, 100)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)

    def picture(kernel):
        m = SVC(kernel=kernel, degree=2, cache_size=2000).fit(X, y)
        accuracy = m.score(Xt, yt)
        m.decision_function(grid)
        return accuracy

    def sweep(kernel):
        for C in 10.0 ** np.arange(-3, 6):
            accuracy = SVC(kernel=kernel, degree=2, C=C, cache_size=2000).fit(X, y).score(Xt, yt)
        return accuracy

    for part, kernels in (picture, ("linear", "rbf", "poly", "sigmoid")), (sweep, ("rbf", "poly")):
        for kernel in kernels:
            times = [seconds(lambda: part(kernel)) for _ in range(5)]
            say(f"{part.__name__} {kernel}", min(times)[0], times[0][1])


# ---- the others ----


def idx(path):
    if not os.path.exists(path):
        path += ".gz"
    raw = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
    shape = struct.unpack(">" + "I" * raw[3], raw[4 : 4 + 4 * raw[3]])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def load(row, directory, n):
    """Training rows and answers, test rows and answers (None for one class)."""
    if row in ("svr", "oneclass"):
        X, y, Xt, yt = [np.fromfile(f"{directory}/{name}") for name in ("train-x", "train-y", "test-x", "test-y")]
        X, Xt = X.reshape(-1, 20), Xt.reshape(-1, 20)
        return (X[:n], y[:n], Xt, yt) if row == "svr" else (X[:n], None, Xt, None)
    images = lambda name: idx(f"{directory}/{name}-images-idx3-ubyte").reshape(-1, 784) / 255
    labels = lambda name: idx(f"{directory}/{name}-labels-idx1-ubyte").astype(int)
    return images("train")[:n], labels("train")[:n], images("t10k"), labels("t10k")


def quality(row, predicted, yt):
    if row == "oneclass":
        return (predicted > 0).mean()
    if row == "svr":
        return 1 - ((predicted - yt) ** 2).sum() / ((yt - yt.mean()) ** 2).sum()
    return (predicted == yt).mean()


def by_sklearn(row, X, y, Xt, yt):
    from sklearn import svm

    name, options = ROWS[row][:2]
    # LinearSVC's faster way depends on the data: the better of the dual and the primal counts
    variants = [dict(dual=True), dict(dual=False)] if name == "LinearSVC" else [dict(cache_size=2000)]
    best = None
    for more in variants:
        m = getattr(svm, name)(**options, **more)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LinearSVC stops at max_iter
            fit, _ = seconds(lambda: m.fit(X, y))
        predict, predicted = seconds(lambda: m.predict(Xt))
        supports = len(m.support_) if hasattr(m, "support_") else 0
        if best is None or fit < best[0]:
            best = fit, predict, quality(row, predicted, yt), supports
    say("result", *best)


def write_text(path, X, y):
    with open(path, "w") as file:
        for x, label in zip(X, y if y is not None else np.ones(len(X), int)):
            at = np.flatnonzero(x)
            file.write(f"{label} " + " ".join(f"{j + 1}:{v:.9g}" for j, v in zip(at, x[at])) + "\n")


def by_command(row, X, y, Xt, yt):
    program, options = ROWS[row][2:]
    with tempfile.TemporaryDirectory() as folder:
        train, test, model, out = (f"{folder}/{name}" for name in ("train", "test", "model", "out"))
        write_text(train, X, y)
        write_text(test, Xt, yt)
        memory = ["-m", "2000"] if program == "svm" else []
        run = lambda *words: subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fit, _ = seconds(lambda: run(f"{program}-train", "-q", *memory, *options.split(), train, model))
        predict, _ = seconds(lambda: run(f"{program}-predict", test, model, out))
        found = re.search(r"^total_sv (\d+)", open(model).read(1 << 20), re.M)
        say("result", fit, predict, quality(row, np.loadtxt(out), yt), int(found[1]) if found else 0)


if len(sys.argv) == 3 and sys.argv[1] == "circle":
    circle(sys.argv[2])
elif len(sys.argv) == 5 and sys.argv[1] in ROWS:
    row, peer, directory, n = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    {"sklearn": by_sklearn, "command": by_command}[peer](row, *load(row, directory, n))
else:
    sys.exit(__doc__)
