"""Rows that make tensors, and those that write numbers into them."""

import numpy
import torch

from .cases import INF, MAX, Row, T

TOLERANCE = (1e-6, 1e-13, "element", "false")
NAMES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "uint8": torch.uint8,
         "bool": torch.bool}
ROWS = []


def made(name, lists, peer, dtypes="f", **options):
    ROWS.append(Row(name, lists, peer, dtypes=dtypes, grads=False, native=True, **options))


def shaped(function):
    """Sizes one by one or in a list, and a dtype by its name."""
    def call(*arguments, dtype="float32"):
        sizes = [a for a in arguments if not isinstance(a, list)]
        shape = arguments[0] if arguments and isinstance(arguments[0], list) else sizes
        return function(shape, NAMES[dtype])
    return call


SHAPES = [[2, 3], [0], [[2, 1, 3, 1, 2]], [[]], [4, dict(dtype="float64")], [[2, 2], dict(dtype="int64")],
          [3, dict(dtype="uint8")], [3, dict(dtype="bool")]]
for name, value in dict(zeros=0, ones=1, empty=0).items():  # empty gives zeros (its documentation)
    made(name, SHAPES, shaped(lambda shape, dtype, value=value: torch.full(shape, value, dtype=dtype)))
    made(name + "_like", [[T(2, 3)], [T(0, 3)], [T()], [T(2, 3, layout="t"), dict(dtype="float64")],
                          [T(4, layout="s"), dict(dtype="int64")]],
         lambda x, dtype=None, value=value: torch.full(x.shape, value, dtype=NAMES[dtype] if dtype else x.dtype),
         dtypes="fdiub")
    made("new_" + name, [[T(2), 2, 3], [T(2), [4]], [T(1), 2, dict(dtype="float64")]],
         lambda x, *shape, dtype=None, value=value: torch.full(shape[0] if isinstance(shape[0], list) else shape,
                                                               value, dtype=NAMES[dtype] if dtype else x.dtype),
         dtypes="fdiub")


def full(shape, value, dtype="float32"):
    return torch.full(shape, value, dtype=NAMES[dtype])


made("full", [[[2, 3], 1.5], [[0], 2], [[], -0.25], [[2], INF], [[2], MAX, dict(dtype="int64")],
              [[3], 200, dict(dtype="uint8")], [[2], 0.1, dict(dtype="float64")]], full)
made("full_like", [[T(2, 3), 3], [T(0), 1], [T(2, 3, layout="t"), 0.5, dict(dtype="float64")]],
     lambda x, value, dtype=None: torch.full(x.shape, value, dtype=NAMES[dtype] if dtype else x.dtype), dtypes="fdiu")
made("new_full", [[T(2), [2, 3], 3], [T(2), [2], 0.5, dict(dtype="float64")]],
     lambda x, shape, value, dtype=None: torch.full(shape, value, dtype=NAMES[dtype] if dtype else x.dtype),
     dtypes="fdiu")
made("eye", [[3], [2, 4], [0], [4, 2, dict(dtype="int64")], [3, dict(dtype="bool")]],
     lambda n, m=None, dtype="float32": torch.eye(n, n if m is None else m, dtype=NAMES[dtype]))


def arange(a, b, step=1, dtype=None):
    """Both ends are included; int64 when all numbers are integers."""
    whole = all(isinstance(v, int) for v in (a, b, step))
    count = int(numpy.floor((b - a) / step + 1e-6)) + 1
    values = [a + k * step for k in range(max(count, 0))]
    return torch.tensor(values, dtype=NAMES[dtype] if dtype else torch.int64 if whole else torch.float32)


made("arange", [[1, 5], [1, 10, 3], [0.0, 1.0, 0.25], [5, 1, -2], [0, 1, 0.1], [1, 4, dict(dtype="float64")],
                [MAX - 2, MAX], [0.0, 3.0, 1.0, dict(dtype="int64")], [3, 3]], arange)
made("linspace", [[0, 1, 5], [-1.5, 2, 8], [3, 3, 3], [1, 0, 4], [0, 1, 1], [0, 10, 11, dict(dtype="int64")],
                  [0, 1, 7, dict(dtype="float64")], [-1e30, 1e30, 3]],
     lambda a, b, n, dtype="float32": torch.linspace(a, b, n, dtype=torch.float64).to(NAMES[dtype]))
made("logspace", [[0, 3, 4], [-1, 1, 5], [0, 8, 9, 2], [0, 1, 3, 2.5, dict(dtype="float64")], [2, 2, 2]],
     lambda a, b, n, base=10, dtype="float32": torch.from_numpy(numpy.logspace(a, b, n, base=base)).to(NAMES[dtype]))
for name in "tril_indices triu_indices".split():
    made(name, [[3, 3], [3, 4, 1], [4, 2, -1], [2, 2, 5], [3, 3, -5], [0, 3]],
         lambda r, c, offset=0, f=getattr(torch, name): f(r, c, offset), positions=(0,))


def vander(x, n=None, increasing=False):
    """PyTorch's own writes over what its gradient needs."""
    powers = range(len(x) if n is None else n)
    return torch.stack([x**k for k in (powers if increasing else reversed(powers))], 1)


ROWS += [
    Row("vander", [[T(4)], [T(3, layout="s"), 5], [T(3), 2, True], [T(2), 1]], vander),
    Row("vander", [[T(4)], [T(3), 3, True]], lambda x, n=None, increasing=False: torch.vander(x, n, increasing),
        dtypes="i", grads=False),
    Row("fill_", [[T(2, 3), 1], [T(2, 3, layout="t"), 0], [T(0), 1], [T(), 1]], lambda x, v: torch.full_like(x, v),
        dtypes="fdiub", grads=False),
    Row("zero_", [[T(2, 3)], [T(2, 3, layout="t")], [T(4, layout="s")], [T(0)]], torch.zeros_like, dtypes="fdiub",
        grads=False),
    Row("copy_", [[T(2, 3), T(2, 3)], [T(2, 3, layout="t"), T(3)], [T(4, layout="s"), 1], [T(2, 3), T()]],
        lambda x, v: x.clone().copy_(v) if torch.is_tensor(v) else torch.full_like(x, v), dtypes="fdiub", grads=False),
    Row("copy_", [[T(3), T(3, dtype=letter)] for letter in "fdiub"], lambda x, v: x.clone().copy_(v), dtypes="fdb",
        grads=False, native=True),
]
