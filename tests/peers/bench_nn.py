"""PyTorch's side of ./dev bench nn: prints the seconds of one row, or its peak memory in bytes.

usage: bench_nn.py THREADS ROW     (0 threads: as many as PyTorch takes by itself)
"""
import resource
import sys
import time

import torch
from torch import nn

threads, row = int(sys.argv[1]), sys.argv[2]
if threads > 0:
    torch.set_num_threads(threads)
torch.manual_seed(0)


def best_of(runs, f):
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    return best


def layers(*sizes):
    parts = []
    for i in range(len(sizes) - 1):
        parts.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            parts.append(nn.Tanh())
    return nn.Sequential(*parts)


def training(net, x, y, runs, calls):
    loss_of, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.01)

    def steps():
        for _ in range(calls):
            optimizer.zero_grad()
            loss_of(net(x), y).backward()
            optimizer.step()

    return best_of(runs, steps) / calls


def backward(net, x):
    x.requires_grad_()

    def once():
        y = net(x)
        (y[0] if isinstance(y, tuple) else y).sum().backward()

    return best_of(15, once)


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))


def transformer():
    return backward(nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4), 2), torch.randn(64, 32, 64))


def adam():
    parameters = [torch.randn(10, requires_grad=True) for _ in range(1000)]
    for p in parameters:
        p.grad = torch.ones(10)
    return min(best_of(30, torch.optim.Adam(parameters, foreach=foreach).step) for foreach in (False, True))


def memory():
    transformer()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


print({
    "circle": lambda: training(layers(2, 10, 2), torch.randn(10, 2), torch.randint(0, 2, (10,)), 10, 100),
    "mnist32": lambda: training(layers(784, 128, 10), torch.randn(32, 784), torch.randint(0, 10, (32,)), 20, 40),
    "mnist128": lambda: training(layers(784, 128, 10), torch.randn(128, 784), torch.randint(0, 10, (128,)), 20, 40),
    "mlp": lambda: training(layers(784, 1024, 1024, 10), torch.randn(128, 784), torch.randint(0, 10, (128,)), 10, 5),
    "lenet": lambda: training(lenet(), torch.randn(128, 1, 28, 28), torch.randint(0, 10, (128,)), 8, 3),
    "LSTM": lambda: backward(nn.LSTM(64, 64), torch.randn(128, 32, 64)),
    "GRU": lambda: backward(nn.GRU(64, 64), torch.randn(128, 32, 64)),
    "RNN": lambda: backward(nn.RNN(64, 64), torch.randn(128, 32, 64)),
    "transformer": transformer,
    "adam": adam,
    "memory": memory,
}[row]())
