"""PyTorch's and NumPy's side of `./dev bench product`, each job with the number of threads that is given.

usage: bench_product.py THREADS SECONDS; the jobs come as lines on standard input:
  matmul DTYPE M N K TRANSPOSE_A TRANSPOSE_B
  conv IN OUT KERNEL SIZE BATCH
  lenet BATCH
Prints "job<TAB>seconds.." in the order of the jobs: PyTorch's and NumPy's of a product; forward, data, weights of a
convolution; a training step of the conv net. First a line with the kernels that the two libraries chose.
"""
import os
import sys
import time

threads, budget = int(sys.argv[1]), float(sys.argv[2])
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)

import numpy as np
import torch

torch.set_num_threads(threads)


def best(f):
    least, end = float("inf"), time.perf_counter() + budget
    while True:
        start = time.perf_counter()
        f()
        now = time.perf_counter()
        least = min(least, now - start)
        if now > end:
            return least


def matmul(dtype, m, n, k, transpose_a, transpose_b):
    m, n, k = int(m), int(n), int(k)
    a = torch.randn((k, m) if transpose_a == "1" else (m, k), dtype=getattr(torch, dtype))
    b = torch.randn((n, k) if transpose_b == "1" else (k, n), dtype=getattr(torch, dtype))
    if transpose_a == "1":
        a = a.t()
    if transpose_b == "1":
        b = b.t()
    x, y = a.numpy(), b.numpy()
    with torch.no_grad():
        return best(lambda: a @ b), best(lambda: x @ y)


def conv(channels, filters, kernel, size, batch):
    channels, filters, kernel, size, batch = map(int, (channels, filters, kernel, size, batch))
    x = torch.randn(batch, channels, size, size)
    weight = torch.randn(filters, channels, kernel, kernel)
    with torch.no_grad():
        y = torch.nn.functional.conv2d(x, weight)
        gradient = torch.randn_like(y)
        backward = lambda mask: torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask
        )
        return (
            best(lambda: torch.nn.functional.conv2d(x, weight)),
            best(lambda: backward([True, False, False])),
            best(lambda: backward([False, True, False])),
        )


def lenet(batch):
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 1000), nn.Tanh(), nn.Linear(1000, 10),
    )  # fmt: skip
    optimizer, loss_of = torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss()
    x, y = torch.rand(int(batch), 1, 28, 28), torch.randint(10, (int(batch),))

    def step():
        optimizer.zero_grad()
        loss_of(net(x), y).backward()
        optimizer.step()

    return (best(step),)


print("kernels", torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else "?", sep="\t")
jobs = {"matmul": matmul, "conv": conv, "lenet": lenet}
for line in sys.stdin:
    words = line.split()
    print("\t".join([line.strip()] + [repr(seconds) for seconds in jobs[words[0]](*words[1:])]), flush=True)
