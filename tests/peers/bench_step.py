"""PyTorch's side of ./dev bench step: prints the seconds of one step of a row.

usage: bench_step.py ROW THREADS
"""
import sys
import time

import torch
from torch import nn

torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(0)

# sizes, rows, calls, whether Adam, whether the gradient alone
ROWS = {
    "circle10": ((2, 10, 2), 10, 200, False, False),
    "circle1": ((2, 10, 2), 1, 200, False, False),
    "gradient": ((24, 8, 2), 200, 200, False, True),
    "full": ((4, 32, 16, 4), 10000, 3, True, False),
    "mnist32": ((784, 128, 10), 32, 50, False, False),
}


def chain():
    a, b = torch.rand(1000000, requires_grad=True), torch.rand(1000000)
    best = float("inf")
    for _ in range(40):
        start = time.perf_counter()
        a.grad = None
        ((a - b) ** 2 * 0.7 + 0.1).tanh().mean().backward()
        best = min(best, time.perf_counter() - start)
    print(best)


def dense(sizes, rows):
    layers = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(nn.Tanh())
    return nn.Sequential(*layers), torch.randn(rows, sizes[0]), torch.randint(0, sizes[-1], (rows,))


def lenet():
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))
    return net, torch.rand(128, 1, 28, 28), torch.randint(0, 10, (128,))


def main():
    if sys.argv[1] == "chain":
        return chain()
    calls, adam, gradient = 8, False, False
    if sys.argv[1] == "lenet":
        net, x, y = lenet()
    else:
        sizes, rows, calls, adam, gradient = ROWS[sys.argv[1]]
        net, x, y = dense(sizes, rows)
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters()) if adam else torch.optim.SGD(net.parameters(), lr=0.01)
    best = float("inf")
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(calls):
            optimizer.zero_grad()
            loss_of(net(x), y).backward()
            if not gradient:
                optimizer.step()
        best = min(best, time.perf_counter() - start)
    print(best / calls)


main()
