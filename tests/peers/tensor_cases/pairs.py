"""Rows of two operands: broadcasting, numbers, promotion, special values, integers and masks."""

import numpy
import torch

from .cases import MAX, MIN, Row, T

TOLERANCE = (1e-6, 1e-13, "element", "true")


def pairs(name, kinds="xx", peer=None, number=1.5, special_grads=True, native=False, **options):
    """Operands that are broadcast, with views; a number on either side; special values, each with each."""
    a, b = kinds
    shapes = [[T(3, 4, kind=a), T(3, 4, kind=b)], [T(3, 1, kind=a), T(1, 4, kind=b, layout="s")],
              [T(2, 3, kind=a, layout="t"), T(3, kind=b)], [T(2, 1, 3, 1, 2, kind=a), T(3, 1, 1, kind=b)]]
    yield Row(name, shapes, peer, native=native, **options)
    rare = [[T(kind=a), T(2, kind=b)], [T(0, kind=a), T(1, kind=b)], [T(4, 2, kind=a, layout="b"), T(2, kind=b)],
            [T(5, kind=a), number], [number, T(5, kind=b)]]
    yield Row(name, rare, wrapped(peer or getattr(torch, name)), dtypes="f", native=native, **options)
    yield Row(name, [[T(3, kind=a), T(2, 3, kind=b, dtype="d")], [T(3, kind="n", dtype="i"), T(3, kind=b)]],
              peer, dtypes="f", native=native, **options)
    options["grads"] = options.get("grads", True) and special_grads
    options["second"] = False
    special = [T(-1, 1, kind="B"), T(-1, kind="B")]
    yield Row(name, [special], peer, native=native, **options)


def wrapped(function):
    """PyTorch's functions that want tensors on both sides, with numbers of the tensor's dtype."""
    def call(a, b, *rest):
        like = a if torch.is_tensor(a) else b
        a, b = [v if torch.is_tensor(v) else torch.tensor(v, dtype=like.dtype) for v in (a, b)]
        return function(a, b, *rest)
    return call


def integers(name, second="i", peer=None, number=3, special=None, grads=False, **options):
    lists = [[T(3, 4), T(3, 4, kind=second)], [T(3, 1, layout="s"), T(1, 4, kind=second)], [T(0), T(0)],
             [T(2, 3, layout="t"), number]]
    if special:
        lists.append([T(-1, 1, kind="B"), T(values=special)])
    return Row(name, lists, peer and wrapped(peer), dtypes="i", grads=grads, **options)


def doubles(function):
    """Integers make float64 here (div's documentation); PyTorch makes float32 of them."""
    return lambda a, b: function(*[v.double() if torch.is_tensor(v) and not v.is_floating_point() else v for v in (a,
        b)])


def floor_div(a, b):
    """Lua's: floor(a / b), as the documentation says, where Python's 1 // -inf is -1."""
    return torch.floor(a / b)


def by_numpy(function):
    return lambda a, b: torch.from_numpy(numpy.asarray(function(a.numpy(), b.numpy())))


ROWS = []
for name in "add sub mul".split():
    ROWS += pairs(name)
    ROWS.append(integers(name, special=[0, 1, -1, 2, MAX, MIN]))
ROWS += pairs("div", "xp", doubles(torch.div))
ROWS.append(Row("div", [[T(3, 4), T(4, kind="n")], [T(3), 2], [T(3), T(3, kind="n", dtype="u")]][:2],
                wrapped(doubles(torch.div)), dtypes="i", grads=False))
ROWS += pairs("pow", "px", special_grads=False)
ROWS.append(integers("pow", "n", torch.pow, special=[0, 1, 2, 3, 63]))
ROWS += pairs("floor_div", "xp", floor_div, grads=False, native=True)
ROWS.append(integers("floor_div", "n", lambda a, b: torch.div(a, b, rounding_mode="floor"),
                     special=[1, 2, -3, 7, MAX, MIN]))
for name in "mod remainder".split():
    ROWS += pairs(name, "wp", torch.remainder, native=True, special_grads=False)
    ROWS.append(integers(name, "n", torch.remainder, special=[1, 2, -3, 7, MAX]))
ROWS += pairs("fmod", "wp", native=True, special_grads=False)
ROWS.append(integers("fmod", "n", torch.fmod, special=[1, 2, -3, 7, MAX]))
for name in "maximum minimum fmax fmin".split():
    ROWS += pairs(name, "xw", special_grads=False)
    ROWS.append(integers(name, peer=getattr(torch, name), special=[0, 1, -1, MAX, MIN]))
ROWS += pairs("atan2", "xw", special_grads=False)
ROWS += pairs("hypot", "xw", special_grads=False)
ROWS += pairs("copysign", "xw", special_grads=False)
ROWS += pairs("logaddexp", "xw", special_grads=False)
ROWS += pairs("xlogy", "xp", special_grads=False)
ROWS += pairs("float_power", "px", doubles(torch.float_power), out="d", special_grads=False)
for name in "eq ne lt le gt ge".split():
    ROWS += pairs(name, "zz", grads=False)
    ROWS.append(integers(name, special=[0, 1, -1, MAX, MIN]))
    ROWS.append(Row(name, [[T(-1, 1, kind="B"), T(-1, kind="B")], [T(4, layout="s"), T(1)]], dtypes="ub", grads=False))
for name in "gcd lcm".split():  # PyTorch's are negative, or not, where they wrap around
    ROWS.append(integers(name, peer=by_numpy(getattr(numpy, name)), special=[0, 1, -6, 12, 35]))
for name in "bitwise_left_shift bitwise_right_shift".split():
    ROWS.append(integers(name, "n", getattr(torch, name), special=[0, 1, 2, 31, 62]))
for name in "bitwise_and bitwise_or bitwise_xor".split():
    ROWS.append(integers(name, special=[0, 1, -1, 6, MAX, MIN]))
    ROWS.append(Row(name, [[T(-1, 1, kind="B"), T(-1, kind="B")], [T(5, layout="s"), T(2, 1)], [T(0), T(0)]],
                    dtypes="b", grads=False))
ROWS.append(Row("bitwise_not", [[T(-1, kind="S")], [T(2, 3, layout="t")], [T(0)]], dtypes="ib", grads=False))
for name in "logical_and logical_or logical_xor".split():
    ROWS.append(Row(name, [[T(-1, 1, kind="B"), T(-1, kind="B")], [T(5, layout="s"), T(2, 1)], [T(0), T(0)],
                           [T(), T(3)],
                           [T(2, 3, layout="t"), T(2, 3)]], dtypes="b", grads=False))
ROWS.append(Row("logical_not", [[T(-1, kind="S")], [T(2, 3, layout="t")], [T(0)], [T()]], dtypes="b", grads=False))
ROWS.append(Row("isclose", [
    [T(3, 4, kind="z"), T(3, 4, kind="z")], [T(-1, 1, kind="B"), T(-1, kind="B")],
    [T(-1, kind="B"), T(-1, kind="B"), 1e-5, 1e-8, True], [T(3, 1), T(4), 0.5, 0.25],
], grads=False))
ROWS.append(Row("isclose", [[T(-1, kind="B"), T(-1, kind="B")], [T(4), T(4, key=1)]], dtypes="iub", grads=False))
