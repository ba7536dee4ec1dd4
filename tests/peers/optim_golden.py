#!/usr/bin/env python3
"""Writes tests/spec/golden/optim.lua: what PyTorch's optimisers do in float64 and float32, and its schedules in float64.

Run it from the repository's root: python3 tests/peers/optim_golden.py
The objective is in tests/spec/optim_spec.lua, too: sum(a (p - c)^2) + mean(b q^k), with k = 3 but for LBFGS, whose
objective must have a minimum: 4. Lion, which PyTorch does not have, is written out here with NumPy."""

import os

import numpy
import torch

torch.set_default_dtype(torch.float64)
STEPS = 12
EPOCHS = 50

OPTIMIZERS = [
    ("SGD", dict(lr=0.05)),
    ("SGD", dict(lr=0.05, weight_decay=0.1)),
    ("SGD", dict(lr=0.02, momentum=0.9)),
    ("SGD", dict(lr=0.02, momentum=0.8, dampening=0.3, weight_decay=0.05)),
    ("SGD", dict(lr=0.02, momentum=0.9, weight_decay=0.05, nesterov=True)),
    ("SGD", dict(lr=0.02, momentum=0.9, weight_decay=0.5, maximize=True)),
    ("Adam", dict()),
    ("Adam", dict(lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
    ("Adam", dict(lr=0.1, amsgrad=True)),
    ("Adam", dict(lr=0.1, amsgrad=True, weight_decay=0.2, maximize=True)),
    ("AdamW", dict(lr=0.1)),
    ("AdamW", dict(lr=0.1, betas=(0.7, 0.9), weight_decay=0.3, amsgrad=True)),
    ("AdamW", dict(lr=0.1, maximize=True)),
    ("RMSprop", dict()),
    ("RMSprop", dict(lr=0.02, alpha=0.9, eps=1e-5, weight_decay=0.1)),
    ("RMSprop", dict(lr=0.02, centered=True)),
    ("RMSprop", dict(lr=0.02, momentum=0.9)),
    ("RMSprop", dict(lr=0.02, momentum=0.5, centered=True, weight_decay=0.1)),
    ("RMSprop", dict(lr=0.02, weight_decay=0.1, maximize=True)),
    ("Adagrad", dict(lr=0.1)),
    ("Adagrad", dict(lr=0.1, lr_decay=0.2, weight_decay=0.1)),
    ("Adagrad", dict(lr=0.1, initial_accumulator_value=0.5, eps=1e-3, maximize=True)),
    ("Adamax", dict()),
    ("Adamax", dict(lr=0.1, betas=(0.8, 0.7), eps=1e-3, weight_decay=0.1)),
    ("Adamax", dict(lr=0.1, maximize=True)),
    ("NAdam", dict()),
    ("NAdam", dict(lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, momentum_decay=0.1)),
    ("RAdam", dict(lr=0.01)),
    ("RAdam", dict(lr=0.05, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1)),
    ("Adadelta", dict()),
    ("Adadelta", dict(lr=2.0, rho=0.7, eps=1e-3, weight_decay=0.1)),
    ("Adadelta", dict(lr=3.0, eps=1e-3, maximize=True)),
    ("ASGD", dict()),
    ("ASGD", dict(lr=0.05, lambd=0.1, alpha=0.5, t0=4, weight_decay=0.1)),
    ("ASGD", dict(lr=0.02, t0=0, maximize=True)),
    ("Rprop", dict()),
    ("Rprop", dict(lr=0.2, etas=(0.3, 1.7), step_sizes=(0.05, 0.4))),
    ("Rprop", dict(lr=0.1, maximize=True)),
    ("Lion", dict()),
    ("Lion", dict(lr=0.1, betas=(0.7, 0.8), weight_decay=0.2)),
    ("Lion", dict(lr=0.1, maximize=True)),
]

# Each step is several of its own; float32 is compared for the first of them, before rounding decides what it does.
LBFGS = [
    dict(lr=0.1, max_iter=3),
    dict(max_iter=4, line_search_fn="strong_wolfe"),
    dict(max_iter=3, history_size=2, line_search_fn="strong_wolfe"),
    dict(lr=0.3, max_iter=6, max_eval=3),
    dict(lr=0.5, max_iter=8, tolerance_grad=0.5),
    dict(lr=0.5, max_iter=8, tolerance_change=0.2),
]

METRICS = [1.0, 0.9, 0.9, 0.95, 0.91, 0.89, 0.92, 0.93, 0.94, 0.9, 0.5, 0.5, 0.49999, 0.6, 0.7, 0.5, 0.4, 0.4, 0.4,
           0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.39, 0.38, 0.3, 0.31, 0.32, 0.3, 0.3, 0.2, 0.25, 0.24, 0.23, 0.22, 0.21,
           0.2, 0.19, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 0.1, 0.2, 0.3]


class Function:
    """A function of the epoch, in words that are both Python and, with ^ for **, Lua."""

    def __init__(self, words):
        self.words = words
        self.call = eval("lambda epoch: " + words)


# A list of (name, options) under "schedulers" stands for schedules of the same optimiser.
SCHEDULES = [
    ("StepLR", dict(step_size=4, gamma=0.3)),
    ("StepLR", dict(step_size=1)),
    ("MultiStepLR", dict(milestones=[3, 10, 10, 31], gamma=0.5)),
    ("MultiStepLR", dict(milestones=[20, 7])),
    ("ExponentialLR", dict(gamma=0.9)),
    ("InverseTimeLR", dict(decay=0.25)),
    ("InverseTimeLR", dict(decay=0.25, power=0.5)),
    ("PolynomialLR", dict()),
    ("PolynomialLR", dict(total_iters=40, power=1.5)),
    ("CosineAnnealingLR", dict(T_max=8)),
    ("CosineAnnealingLR", dict(T_max=20, eta_min=0.01)),
    ("CosineAnnealingWarmRestarts", dict(T_0=7)),
    ("CosineAnnealingWarmRestarts", dict(T_0=3, T_mult=2, eta_min=0.01)),
    ("ConstantLR", dict()),
    ("ConstantLR", dict(factor=0.5, total_iters=3)),
    ("LinearLR", dict()),
    ("LinearLR", dict(start_factor=0.1, end_factor=0.6, total_iters=7)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.3, step_size_up=5)),
    ("CyclicLR", dict(base_lr=[0.01, 0.02], max_lr=[0.3, 0.1], step_size_up=4, step_size_down=9, mode="triangular2",
                      base_momentum=[0.7, 0.6], max_momentum=0.95)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.3, step_size_up=7, mode="exp_range", gamma=0.95, cycle_momentum=False)),
    ("OneCycleLR", dict(max_lr=0.5, total_steps=51)),
    ("OneCycleLR", dict(max_lr=[0.5, 0.1], epochs=10, steps_per_epoch=6, pct_start=0.25, anneal_strategy="linear",
                        div_factor=10.0, final_div_factor=100.0, base_momentum=0.8)),
    ("OneCycleLR", dict(max_lr=0.5, total_steps=60, three_phase=True, cycle_momentum=False)),
    ("OneCycleLR", dict(max_lr=0.5, total_steps=53, three_phase=True, max_momentum=[0.97, 0.9])),
    ("LambdaLR", dict(lr_lambda=Function("0.95 ** epoch"))),
    ("LambdaLR", dict(lr_lambda=[Function("1 / (1 + epoch)"), Function("(epoch % 7) / 7")])),
    ("MultiplicativeLR", dict(lr_lambda=Function("0.9 + epoch / 500"))),
    ("MultiplicativeLR", dict(lr_lambda=[Function("0.95"), Function("1 / epoch ** 0.1")])),
    ("SequentialLR", dict(schedulers=[("LinearLR", dict(start_factor=0.1, total_iters=5)),
                                      ("CosineAnnealingLR", dict(T_max=45, eta_min=0.001))], milestones=[5])),
    ("SequentialLR", dict(schedulers=[("ConstantLR", dict(factor=0.1, total_iters=4)), ("ExponentialLR", dict(gamma=0.9)),
                                      ("StepLR", dict(step_size=3, gamma=0.5))], milestones=[7, 20])),
    ("ChainedScheduler", dict(schedulers=[("ConstantLR", dict(factor=0.1, total_iters=4)),
                                          ("ExponentialLR", dict(gamma=0.9))])),
    ("ChainedScheduler", dict(schedulers=[("LinearLR", dict(total_iters=6)), ("StepLR", dict(step_size=9)),
                                          ("MultiStepLR", dict(milestones=[12, 30], gamma=0.5))])),
    ("ReduceLROnPlateau", dict()),
    ("ReduceLROnPlateau", dict(patience=1, factor=0.5)),
    ("ReduceLROnPlateau", dict(patience=1, factor=0.5, cooldown=3, threshold=0.2, min_lr=[0.05, 0.03])),
    ("ReduceLROnPlateau", dict(mode="max", patience=2, factor=0.5, threshold=0.01, threshold_mode="abs")),
    ("ReduceLROnPlateau", dict(mode="max", patience=0, factor=0.1, eps=0.05)),
]


def lua(value):
    """A Python value as Lua source."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"%s"' % value
    if isinstance(value, Function):
        return "function(epoch) return %s end" % value.words.replace("**", "^")
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(lua(v) for v in value) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join("%s = %s" % (k, lua(v)) for k, v in value.items()) + "}"
    return repr(value)


# ---- optimisers ----


class Lion(torch.optim.Optimizer):
    """X. Chen et al., 2023, algorithm 2."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                x, g, state = p.numpy(), p.grad.numpy(), self.state[p]
                g = -g if group["maximize"] else g
                m = state.setdefault("m", numpy.zeros_like(x))
                step = numpy.sign(beta1 * m + (1 - beta1) * g)
                x -= group["lr"] * (step + group["weight_decay"] * x)
                m[...] = beta2 * m + (1 - beta2) * g


def problem(power):
    p = torch.tensor([0.5, -1.0, 2.0, 0.25, -0.75], requires_grad=True)
    q = torch.tensor([[1.5, -0.5, 0.75], [-1.25, 0.3, 0.1]], requires_grad=True)
    a, c = torch.tensor([1.0, 0.5, 2.0, 0.1, 3.0]), torch.tensor([0.0, 1.0, 1.5, -2.0, 0.5])
    return p, q, lambda: (a * (p - c) ** 2).sum() + (0.7 * q ** power).mean()


def new_optimizer(name, parameters, options):
    if name == "Lion":
        return Lion(parameters, **options)
    if name == "NAdam":  # whose loop over single tensors takes mu_t into the product twice
        options = options | dict(foreach=True)
    return getattr(torch.optim, name)(parameters, **({"lr": 0.001} | options if name == "SGD" else options))


def trajectory(name, options, steps, dtype, groups=None):
    torch.set_default_dtype(dtype)
    p, q, objective = problem(4 if name == "LBFGS" else 3)
    parameters = [dict(params=[x], **own) for x, own in zip((p, q), groups)] if groups else [p, q]
    optimizer = new_optimizer(name, parameters, options)
    values = []

    def closure():
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    for _ in range(steps):
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        values.append(p.tolist() + q.flatten().tolist())
    torch.set_default_dtype(torch.float64)
    return values


# ---- schedules ----


def make_schedule(name, optimizer, options):
    scheduler = torch.optim.lr_scheduler
    if name == "InverseTimeLR":
        decay, power = options["decay"], options.get("power", 1)
        return scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + decay * t) ** power)
    if name == "ChainedScheduler":
        return scheduler.ChainedScheduler([make_schedule(n, optimizer, o) for n, o in options["schedulers"]])
    options = dict(options)
    if "schedulers" in options:
        options["schedulers"] = [make_schedule(n, optimizer, o) for n, o in options["schedulers"]]
    if "lr_lambda" in options:
        f = options["lr_lambda"]
        options["lr_lambda"] = [g.call for g in f] if isinstance(f, list) else f.call
    return getattr(scheduler, name)(optimizer, **options)


def rates(name, options):
    """The rates of both groups and, where they change, their momenta, of each epoch."""
    first, second = (torch.zeros(1, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.SGD([dict(params=[first]), dict(params=[second], lr=0.05)], lr=0.2, momentum=0.5)
    schedule = make_schedule(name, optimizer, options)
    values, momenta = [], []
    for epoch in range(EPOCHS + 1):
        values.append([group["lr"] for group in optimizer.param_groups])
        momenta.append([group["momentum"] for group in optimizer.param_groups])
        if epoch == EPOCHS:
            break
        optimizer.step()
        if name == "ReduceLROnPlateau":
            schedule.step(METRICS[epoch])
        else:
            schedule.step()
    return values, momenta


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "spec", "golden", "optim.lua")
    cases = [(name, options, STEPS, STEPS, None) for name, options in OPTIMIZERS]
    cases += [("LBFGS", options, 6, 2, None) for options in LBFGS]
    cases += [("SGD", dict(lr=0.05, momentum=0.9), STEPS, STEPS, [dict(lr=0.01), dict(momentum=0.5, weight_decay=0.1)]),
              ("Adam", dict(lr=0.05), STEPS, STEPS, [dict(betas=(0.5, 0.9)), dict(lr=0.2, eps=0.01)])]
    with open(path, "w") as out:
        out.write("-- Written by tests/peers/optim_golden.py with PyTorch %s.\n" % torch.__version__.split("+")[0])
        out.write("-- luacheck: no max line length\n")
        out.write("return {\n  metrics = %s,\n  optimizers = {\n" % lua(METRICS))
        for name, options, steps, steps32, groups in cases:
            out.write("    { name = \"%s\", options = %s,%s\n" % (name, lua(options),
                                                                " groups = %s," % lua(groups) if groups else ""))
            for field, n, dtype in (("float64", steps, torch.float64), ("float32", steps32, torch.float32)):
                out.write("      %s = {\n" % field)
                for row in trajectory(name, options, n, dtype, groups):
                    digits = repr if dtype == torch.float64 else lambda x: "%.9g" % x
                    out.write("        {%s},\n" % ", ".join(digits(x) for x in row))
                out.write("      },\n")
            out.write("    },\n")
        out.write("  },\n  schedules = {\n")
        for name, options in SCHEDULES:
            values, momenta = rates(name, options)
            cycles = any(row != momenta[0] for row in momenta)
            out.write("    { name = \"%s\", options = %s, values = %s%s },\n" % (
                name, lua(options), lua(values), ", momenta = %s" % lua(momenta) if cycles else ""))
        out.write("  },\n}\n")


main()
