"""PyTorch's and NumPy's side of the benches. Prints lines "name<TAB>seconds[<TAB>accuracy]".

usage: bench_torch.py start | circle THREADS | mnist DIR EPOCHS THREADS | ops THREADS | optim THREADS
"""
import gzip
import os
import struct
import sys
import time

import numpy as np
import torch


def say(name, *values):
    print("\t".join([name] + [repr(float(v)) for v in values]), flush=True)


def circle(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    angle = torch.rand(200) * 2 * np.pi
    y = torch.arange(200) % 2
    radius = torch.where(y == 0, 1.0, 0.5) + 0.15 * torch.randn(200)
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    net = torch.nn.Sequential(torch.nn.Linear(2, 10), torch.nn.Tanh(), torch.nn.Linear(10, 2))
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(20):
            order = torch.randperm(200)
            for i in range(0, 200, 10):
                rows = order[i : i + 10]
                optimizer.zero_grad()
                loss_of(net(x[rows]), y[rows]).backward()
                optimizer.step()
        best = min(best, (time.perf_counter() - start) / 400)
    say("circle step", best)


def idx(path):
    if not os.path.exists(path):
        path += ".gz"
    raw = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
    rank = raw[3]
    shape = struct.unpack(">" + "I" * rank, raw[4 : 4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def mnist(directory, epochs, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images = lambda name: torch.from_numpy(idx(f"{directory}/{name}").reshape(-1, 784).astype(np.float32) / 255)
    labels = lambda name: torch.from_numpy(idx(f"{directory}/{name}").astype(np.int64))
    x, y = images("train-images-idx3-ubyte"), labels("train-labels-idx1-ubyte")
    xt, yt = images("t10k-images-idx3-ubyte"), labels("t10k-labels-idx1-ubyte")
    net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.Tanh(), torch.nn.Linear(128, 10))
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    best = float("inf")
    for _ in range(epochs):
        start = time.perf_counter()
        order = torch.randperm(len(x))
        for i in range(0, len(x), 128):
            rows = order[i : i + 128]
            optimizer.zero_grad()
            loss_of(net(x[rows]), y[rows]).backward()
            optimizer.step()
        best = min(best, time.perf_counter() - start)
    with torch.no_grad():
        accuracy = (net(xt).argmax(1) == yt).float().mean()
    say("mnist epoch", best, accuracy)


def per_call(f):
    f()
    n = 1
    while True:
        start = time.perf_counter()
        for _ in range(n):
            f()
        elapsed = time.perf_counter() - start
        if elapsed > 0.05:
            return elapsed / n
        n = max(2 * n, int(n * 0.06 / max(elapsed, 1e-9)))


def ops(threads):
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    for n in (10, 1000, 100_000, 10_000_000):
        a, b = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        cases = {
            "add": (lambda: a + b, lambda: ta + tb),
            "exp": (lambda: np.exp(a), lambda: ta.exp()),
            "tanh": (lambda: np.tanh(a), lambda: ta.tanh()),
            "sum": (lambda: a.sum(), lambda: ta.sum()),
            "max": (lambda: a.max(), lambda: ta.max()),
        }
        for name, pair in cases.items():
            say(f"{name} {n}", per_call(pair[1]), per_call(pair[0]))


def optim(threads):
    torch.set_num_threads(threads)
    for size in (10, 100, 1000):
        parameters = [torch.randn(size, requires_grad=True) for _ in range(1000)]
        for p in parameters:
            p.grad = torch.ones(size)
        for name, options in (("SGD", dict(lr=0.001, momentum=0.9)), ("Adam", {})):
            best = float("inf")
            for foreach in (False, True):
                optimizer = getattr(torch.optim, name)(parameters, foreach=foreach, **options)
                for _ in range(20):
                    start = time.perf_counter()
                    optimizer.step()
                    best = min(best, time.perf_counter() - start)
            say(f"{name}, {size} values each", best)


what, arguments = sys.argv[1], sys.argv[2:]
if what == "circle":
    circle(int(arguments[0]))
elif what == "mnist":
    mnist(arguments[0], int(arguments[1]), int(arguments[2]))
elif what == "ops":
    ops(int(arguments[0]))
elif what == "optim":
    optim(int(arguments[0]))
elif what != "start":
    sys.exit(__doc__)
