#!/usr/bin/env python3
"""Writes tests/spec/golden/optim.lua: what PyTorch's optimisers and schedules do in float64.

Run it from the repository's root: python3 tests/peers/optim_golden.py
The objective is in tests/spec/optim_spec.lua, too: sum(a (p - c)^2) + mean(b q^3)."""

import os

import torch

torch.set_default_dtype(torch.float64)
STEPS = 12
EPOCHS = 25

OPTIMIZERS = [
    ("SGD", dict(lr=0.05)),
    ("SGD", dict(lr=0.05, weight_decay=0.1)),
    ("SGD", dict(lr=0.02, momentum=0.9)),
    ("SGD", dict(lr=0.02, momentum=0.8, dampening=0.3, weight_decay=0.05)),
    ("SGD", dict(lr=0.02, momentum=0.9, weight_decay=0.05, nesterov=True)),
    ("Adam", dict()),
    ("Adam", dict(lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
    ("Adam", dict(lr=0.1, amsgrad=True)),
    ("AdamW", dict(lr=0.1)),
    ("AdamW", dict(lr=0.1, betas=(0.7, 0.9), weight_decay=0.3, amsgrad=True)),
    ("RMSprop", dict()),
    ("RMSprop", dict(lr=0.02, alpha=0.9, eps=1e-5, weight_decay=0.1)),
    ("RMSprop", dict(lr=0.02, centered=True)),
    ("RMSprop", dict(lr=0.02, momentum=0.9)),
    ("RMSprop", dict(lr=0.02, momentum=0.5, centered=True, weight_decay=0.1)),
    ("Adagrad", dict(lr=0.1)),
    ("Adagrad", dict(lr=0.1, lr_decay=0.2, weight_decay=0.1)),
]

METRICS = [1.0, 0.9, 0.9, 0.95, 0.91, 0.89, 0.92, 0.93, 0.94, 0.9, 0.5, 0.5, 0.49999, 0.6, 0.7, 0.5, 0.4, 0.4, 0.4,
           0.4, 0.4, 0.4, 0.4, 0.4, 0.4]

SCHEDULES = [
    ("StepLR", dict(step_size=4, gamma=0.3)),
    ("StepLR", dict(step_size=1)),
    ("ExponentialLR", dict(gamma=0.9)),
    ("InverseTimeLR", dict(decay=0.25)),
    ("InverseTimeLR", dict(decay=0.25, power=0.5)),
    ("CosineAnnealingLR", dict(T_max=8)),
    ("CosineAnnealingLR", dict(T_max=20, eta_min=0.01)),
    ("ConstantLR", dict()),
    ("ConstantLR", dict(factor=0.5, total_iters=3)),
    ("LinearLR", dict()),
    ("LinearLR", dict(start_factor=0.1, end_factor=0.6, total_iters=7)),
    ("ReduceLROnPlateau", dict()),
    ("ReduceLROnPlateau", dict(patience=1, factor=0.5)),
    ("ReduceLROnPlateau", dict(patience=1, factor=0.5, cooldown=3, threshold=0.2, min_lr=0.05)),
    ("ReduceLROnPlateau", dict(mode="max", patience=2, factor=0.5, threshold=0.01, threshold_mode="abs")),
    ("ReduceLROnPlateau", dict(mode="max", patience=0, factor=0.1, eps=0.05)),
]


def lua(value):
    """A Python value as Lua source."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"%s"' % value
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(lua(v) for v in value) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join("%s = %s" % (k, lua(v)) for k, v in value.items()) + "}"
    return repr(value)


def parameters():
    p = torch.tensor([0.5, -1.0, 2.0, 0.25, -0.75], requires_grad=True)
    q = torch.tensor([[1.5, -0.5, 0.75], [-1.25, 0.3, 0.1]], requires_grad=True)
    return p, q


def trajectory(name, options):
    p, q = parameters()
    a, c, b = torch.tensor([1.0, 0.5, 2.0, 0.1, 3.0]), torch.tensor([0.0, 1.0, 1.5, -2.0, 0.5]), 0.7
    optimizer = getattr(torch.optim, name)([p, q], **({"lr": 0.001} | options if name == "SGD" else options))
    values = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (a * (p - c) ** 2).sum() + (b * q ** 3).mean()
        loss.backward()
        optimizer.step()
        values.append(p.tolist() + q.flatten().tolist())
    return values


def rates(name, options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = torch.optim.lr_scheduler
    if name == "InverseTimeLR":
        decay, power = options["decay"], options.get("power", 1)
        schedule = scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + decay * t) ** power)
    else:
        schedule = getattr(scheduler, name)(optimizer, **options)
    values = [optimizer.param_groups[0]["lr"]]
    for epoch in range(EPOCHS):
        optimizer.step()
        if name == "ReduceLROnPlateau":
            schedule.step(METRICS[epoch])
        else:
            schedule.step()
        values.append(optimizer.param_groups[0]["lr"])
    return values


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "spec", "golden", "optim.lua")
    with open(path, "w") as out:
        out.write("-- Written by tests/peers/optim_golden.py with PyTorch %s.\n" % torch.__version__.split("+")[0])
        out.write("-- luacheck: no max line length\n")
        out.write("return {\n  metrics = %s,\n  optimizers = {\n" % lua(METRICS))
        for name, options in OPTIMIZERS:
            out.write("    { name = \"%s\", options = %s, values = {\n" % (name, lua(options)))
            for row in trajectory(name, options):
                out.write("      %s,\n" % lua(row))
            out.write("    } },\n")
        out.write("  },\n  schedules = {\n")
        for name, options in SCHEDULES:
            out.write("    { name = \"%s\", options = %s, values = %s },\n" % (name, lua(options), lua(rates(name, options))))
        out.write("  },\n}\n")


main()
