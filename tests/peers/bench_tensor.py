"""PyTorch's and NumPy's side of `./dev bench tensor`, each job with the number of threads that is given.

usage: bench_tensor.py THREADS SECONDS; the jobs come as lines on standard input: NAME ELEMENTS
Prints "job<TAB>PyTorch's seconds<TAB>NumPy's seconds" in the order of the jobs, "-" for what a peer does not have. First
a line with the kernels that PyTorch chose.
"""
import math
import os
import sys
import time

threads, budget = int(sys.argv[1]), float(sys.argv[2])
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)

import numpy as np
import torch

torch.set_num_threads(threads)
torch.manual_seed(1)


def best(f):
    """The seconds of a call, the best of as many as the budget holds; quick ones are timed ten at a time."""
    start = time.perf_counter()
    f()
    calls = 10 if time.perf_counter() - start < 1e-3 else 1
    least, end = float("inf"), time.perf_counter() + budget
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            f()
        now = time.perf_counter()
        least = min(least, (now - start) / calls)
        if now > end:
            return least


def both(of_torch, of_numpy):
    return best(of_torch), best(of_numpy) if of_numpy else None


def vector(n):
    x = torch.randn(n)
    return x, x.numpy()


def matrix(n):
    side = max(1, math.isqrt(n))
    return vector(side * side)[0].reshape(side, side), side


def square(n, most=1024):
    side = min(most, max(1, math.isqrt(n)))
    a = torch.randn(side, side)
    return a, side


def unary(f, g):
    def job(n):
        x, y = vector(n)
        return both(lambda: f(x), (lambda: g(y)) if g else None)

    return job


def binary(f, g):
    def job(n):
        (x, y), (u, v) = vector(n), vector(n)
        return both(lambda: f(x, u), lambda: g(y, v))

    return job


def along(f, g):
    def job(n):
        x, _ = matrix(n)
        y = x.numpy()
        return both(lambda: f(x), (lambda: g(y)) if g else None)

    return job


def np_softmax(y):
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def index_select(n):
    x, _ = matrix(n)
    index = torch.randint(x.shape[0], (x.shape[0],))
    y, at = x.numpy(), index.numpy()
    return both(lambda: torch.index_select(x, 0, index), lambda: y[at])


def scatter_add(n):
    x, side = matrix(n)
    index = torch.randint(side, (side, side))
    zeros = torch.zeros_like(x)
    y, at, rows = x.numpy(), index.numpy(), np.zeros_like(x.numpy())
    columns = np.arange(side)[None, :]

    def of_numpy():
        z = rows.copy()
        np.add.at(z, (at, columns), y)
        return z

    return both(lambda: zeros.scatter_add(0, index, x), of_numpy)


def unique(n):
    x = torch.randint(max(1, n // 2), (n,)).float()
    y = x.numpy()
    return both(lambda: torch.unique(x), lambda: np.unique(y))


def topk(n):
    x, y = vector(n)
    k = min(10, n)
    return both(lambda: torch.topk(x, k), lambda: np.sort(np.partition(y, n - k)[n - k :]))


def solve(n):
    a, side = square(n)
    a = a + side * torch.eye(side)
    b = torch.randn(side, 1)
    y, z = a.numpy(), b.numpy()
    return both(lambda: torch.linalg.solve(a, b), lambda: np.linalg.solve(y, z))


def svd(n):
    a, _ = square(n)
    y = a.numpy()
    return both(lambda: torch.linalg.svd(a, full_matrices=False), lambda: np.linalg.svd(y, full_matrices=False))


def einsum(n):
    a, side = square(n)
    b, c = torch.randn(side, side), torch.randn(side, side)
    u, v, w = a.numpy(), b.numpy(), c.numpy()
    path = ["einsum_path", (0, 1), (0, 1)]
    return both(
        lambda: torch.einsum("ij,jk,kl->il", a, b, c), lambda: np.einsum("ij,jk,kl->il", u, v, w, optimize=path)
    )


jobs = {
    "add": binary(torch.add, np.add),
    "copy": unary(torch.clone, np.copy),
    "mul": binary(torch.mul, np.multiply),
    "exp": unary(torch.exp, np.exp),
    "tanh": unary(torch.tanh, np.tanh),
    "sum": unary(torch.sum, np.sum),
    "mean": unary(torch.mean, np.mean),
    "max": unary(torch.max, np.max),
    "argmax": unary(torch.argmax, np.argmax),
    "var": unary(torch.var, np.var),
    "median": unary(torch.median, np.median),
    "quantile": unary(lambda x: torch.quantile(x, 0.3) if len(x) <= 10000000 else None, lambda y: np.quantile(y, 0.3)),
    "sum 1": along(lambda x: x.sum(0), lambda y: y.sum(0)),
    "sum 2": along(lambda x: x.sum(1), lambda y: y.sum(1)),
    "mean 1": along(lambda x: x.mean(0), lambda y: y.mean(0)),
    "mean 2": along(lambda x: x.mean(1), lambda y: y.mean(1)),
    "max 1": along(lambda x: x.max(0), lambda y: (y.max(0), y.argmax(0))),  # values and their places
    "max 2": along(lambda x: x.max(1), lambda y: (y.max(1), y.argmax(1))),
    "amax 1": along(lambda x: x.amax(0), lambda y: y.max(0)),
    "cumsum": unary(lambda x: torch.cumsum(x, 0), np.cumsum),
    "cumsum 1": along(lambda x: x.cumsum(0), lambda y: y.cumsum(0)),
    "logsumexp": unary(lambda x: torch.logsumexp(x, 0), None),
    "softmax": along(lambda x: torch.softmax(x, 1), np_softmax),
    "transpose": along(lambda x: x.t().contiguous(), lambda y: np.ascontiguousarray(y.T)),
    "index_select": index_select,
    "scatter_add": scatter_add,
    "sort": unary(torch.sort, np.sort),
    "topk": topk,
    "unique": unique,
    "solve": solve,
    "svd": svd,
    "einsum": einsum,
}

print("kernels", torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else "?", sep="\t")
with torch.no_grad():
    for line in sys.stdin:
        name, elements = line.rstrip("\n").rsplit(" ", 1)
        seconds = jobs[name](int(elements))
        print("\t".join([line.strip()] + ["-" if s is None else repr(s) for s in seconds]), flush=True)
