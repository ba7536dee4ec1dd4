"""Rows that choose, limit, convert or have numbers beside their operand."""

import numpy
import torch
import torch.nn.functional as F

from .cases import INF, MIN, NAN, Row, T
from .elementwise import better

TOLERANCE = (1e-6, 1e-13, "element", "true")
ROWS = []


def tuned(name, peer, numbers, kind="w", special=True, grads=True, native=False):
    """Each list of numbers in several shapes, and special values."""
    for k, more in enumerate(numbers):
        shapes = [[T(3, 4, layout="t")], [T(2, 5, layout="s")], [T()], [T(0)], [T(2, 1, 3, 1, 2)]]
        lists = [[shapes[(k + j) % 5][0]] + list(more) for j in range(3)]
        ROWS.append(Row(name, lists, peer, kind=kind, grads=grads))
        if special:
            ROWS.append(Row(name, [[T(-1, kind="S")] + list(more)], peer, grads=grads and special != "values",
                            second=False, native=native))


def elu(x, alpha=1.0, over=1.0):
    """PyTorch's exp(x) - 1 cancels."""
    return torch.where(x > 0, x, alpha * torch.expm1(torch.where(x > 0, x.detach() * 0, x) / over))


def gelu(x, approximate):
    """PyTorch's 1 + erf(x / sqrt(2)), or 1 + tanh, cancels below 0."""
    if approximate == "none":
        return x * 0.5 * torch.erfc(-x * 0.5**0.5)
    return better(lambda x: F.gelu(x, approximate="tanh"), gelu_tanh)(x)


def gelu_tanh(x):
    return x / (1 + numpy.exp(-2 * numpy.sqrt(2 / numpy.longdouble(numpy.pi))
                              * (x + numpy.longdouble("0.044715") * x**3)))


def clamp(x, min=None, max=None):
    """The gradient at NaN is 1 here (clamp's documentation), 0 in PyTorch."""
    return torch.where(x.isnan(), x, torch.clamp(x, min, max))


tuned("leaky_relu", F.leaky_relu, [[], [0.2], [-0.5], [0.0]], special="values")
tuned("hardtanh", F.hardtanh, [[], [-0.5, 0.25], [0.0, 6.0]], special="values")
tuned("elu", elu, [[], [0.3], [2.0]])
tuned("celu", lambda x, alpha=1.0: elu(x, alpha, alpha), [[], [0.3], [2.0]])
tuned("softplus", F.softplus, [[], [2.0], [0.5, 1.0]], special="values")
tuned("nan_to_num", torch.nan_to_num, [[], [1.0], [0.5, 7.0, -8.0]], native=True)
tuned("gelu", lambda x: gelu(x, "none"), [[]], special="")
tuned("gelu", lambda x, approximate: gelu(x, approximate), [[dict(approximate="tanh")], [dict(approximate="none")]],
      special="")
ROWS += [
    Row("gelu", [[T(values=[0.0, -0.0, 1.0, -1.0, 5.0, INF, NAN])]], F.gelu),
    Row("prelu", [[T(3, 4), T(1, kind="u")], [T(3, 4, layout="t"), T(4, kind="u")], [T(2, 3, 2), T(3)], [T(5), T(1)],
                  [T(2, 3, 2, 1, 2), T(3)]], F.prelu),
    Row("glu", [[T(3, 4)], [T(4, 3, layout="t"), 1], [T(2, 6, 2), 2], [T(0, 4)]],
        lambda x, dim=0: F.glu(x, dim - 1 if dim > 0 else -1)),
    Row("lerp", [[T(3, 4), T(3, 4), 0.3], [T(3, 1), T(1, 4), T(3, 4, kind="u")], [T(2, 3, layout="t"), T(3), 1.0],
                 [T(5), T(5, layout="s"), 1.5], [T(4), T(4), T(values=[0.0, 1.0, 0.5, 2.0])], [T(0), T(0), 0.5]]),
    Row("where", [[T(3, 4, dtype="b"), T(3, 4), T(3, 4)], [T(3, 1, dtype="b"), T(4), T(3, 4, layout="t")],
                  [T(2, 3, dtype="b", layout="s"), T(1), T()], [T(0, dtype="b"), T(0), T(0)],
                  [T(-1, kind="S", dtype="b"), T(2), T(2, 2)]]),
    Row("where", [[T(5, dtype="b"), T(5), 2.5], [T(5, dtype="b"), -1, T(5)]],
        lambda m, a, b: torch.where(m, *[v if torch.is_tensor(v) else torch.tensor(v, dtype=torch.float64) for v in (a,
            b)])),
    Row("where", [[T(3, 4, dtype="b"), T(3, 4), T(4)]], dtypes="iub", grads=False),
    Row("where", [[T(4)], [T(3, 4, layout="t")], [T(2, 2, 3)], [T(0, 2)]], dtypes="ib", grads=False,
        peer=lambda x: list(torch.where(x)), positions=range(9)),
    Row("where", [[T(3, 4, kind="z")]], grads=False, peer=lambda x: list(torch.where(x)), positions=range(9)),
    Row("masked_fill", [[T(3, 4), T(3, 4, dtype="b"), 2.5], [T(3, 4, layout="t"), T(4, dtype="b"), -INF],
                        [T(2, 3, layout="s"), T(2, 1, dtype="b"), 0], [T(0), T(0, dtype="b"), 1],
                        [T(), T(dtype="b"), 1]]),
    Row("masked_fill", [[T(3, 4), T(4, dtype="b"), 7], [T(3, 4, layout="t"), T(3, 1, dtype="b"), 200]], dtypes="iu",
        grads=False),
    Row("masked_fill", [[T(3, 4), T(4, dtype="b"), True]], dtypes="b", grads=False,
        peer=lambda x, m, v: x.masked_fill(m, v)),
    Row("clamp", [[T(3, 4), -0.5, 0.75], [T(3, 4, layout="t"), None, 0.25], [T(2, 5, layout="s"), 0.1],
                  [T(3, 4), T(4), T(3, 1)], [T(3, 4), T(), T(4, key=1)], [T(0), -1, 1], [T(), 0.0, 1.0],
                  [T(5), 1.0, 1.0],
                  [T(2, 3), T(3), None], [T(2, 3), None, T(2, 1)], [T(2, 3), T(3), T(2, 1, kind="c")]], clamp),
    Row("clamp", [[T(-1, kind="S"), -1.5, 2.5], [T(-1, kind="S"), None, 0.0], [T(-1, kind="S"), -INF, INF]], clamp,
        second=False),
    Row("clamp", [[T(-1, kind="S"), -3, 256], [T(-1, kind="S"), MIN + 1], [T(3, 4), T(4), T(3, 1)]], torch.clamp,
        dtypes="i", grads=False),
    Row("to", [[T(3, 4, layout="t"), "float64"], [T(-1, kind="S"), "float64"]], lambda x, dtype: x.double(), dtypes="f",
        native=True),
    Row("to", [[T(3, 4, layout="t"), "float32"], [T(-1, kind="S"), "float32"]], lambda x, dtype: x.float(), dtypes="d",
        second=False),
    Row("to", [[T(3, 4, kind="w"), "int64"], [T(0), "int64"]], lambda x, dtype: x.long(), grads=False),
    Row("to", [[T(-1, kind="S"), "bool"], [T(3, 4, kind="z"), "bool"]], lambda x, dtype: x.bool(), dtypes="fdiub",
        grads=False),
    Row("to", [[T(-1, kind="S"), "float32"], [T(3, 4), "float32"]], lambda x, dtype: x.float(), dtypes="iub",
        grads=False),
    Row("to", [[T(-1, kind="S"), "float64"]], lambda x, dtype: x.double(), dtypes="iub", grads=False),
    Row("to", [[T(-1, kind="S"), "int64"]], lambda x, dtype: x.long(), dtypes="ub", grads=False),
    Row("to", [[T(5, kind="p"), "uint8"], [T(-1, kind="S", dtype="b"), "uint8"]], lambda x, dtype: x.to(torch.uint8),
        grads=False),
]
