"""Rows that sort, choose by rank, count and search."""

import numpy
import torch

from .cases import INF, MAX, MIN, NAN, At, Row, T

TOLERANCE = (1e-6, 1e-13, "tensor", "false")
ROWS = []
ODD = [([5], [1.0, NAN, -INF, INF, 0.0]), ([2, 3], [NAN, 2.0, 1.0, 3.0, 3.0, -1.0]), ([4], [2.0, 2.0, -0.0, 0.0])]


def lists(along=True, whole=False, rest=()):
    """Tensors of 1 to 5 dimensions in several layouts, with a dimension."""
    rest = list(rest)
    found = [[T(7)] + rest, [T(3, 4, layout="t")] + rest + [At(1)], [T(2, 5, layout="s")] + rest + [At(2)],
             [T(2, 3, 4)] + rest + [At(-2)], [T(2, 1, 3, 1, 2)] + rest + [At(3)],
             [T(4, 3, layout="b")] + rest + [At(1)],
             [T(45)] + rest]
    return found


def both(name, peer, argument_lists, positions=(1,), integers="iu", special=True, **options):
    """Distinct numbers with gradients, then many equal ones, integers, and special values."""
    ROWS.append(Row(name, argument_lists, peer, positions=positions, thin=True, **options))
    ROWS.append(Row(name, argument_lists, peer, positions=positions, thin=True, kind="z", grads=False, dtypes="df"))
    if integers:
        ROWS.append(Row(name, argument_lists[:5], peer, positions=positions, thin=True, grads=False, dtypes=integers))
    if special:
        rest = [v for v in argument_lists[0][1:]]
        ROWS.append(Row(name, [[T(*s, values=v)] + rest for s, v in ODD], peer, positions=positions, thin=True,
                        grads=False))


def stable_sort(x, dim=-1, descending=False):
    return tuple(torch.sort(x, dim=dim, descending=descending, stable=True))


def topk(x, k, dim=-1, largest=True, ordered=True):
    """The first k that a stable sort gives, as the documentation says."""
    y, index = stable_sort(x, dim, largest)
    return y.narrow(dim, 0, k), index.narrow(dim, 0, k)


def kthvalue(x, k, dim=-1, keepdim=False):
    y, index = stable_sort(x, dim)
    y, index = y.narrow(dim, k - 1, 1), index.narrow(dim, k - 1, 1)
    return (y, index) if keepdim else (y.squeeze(dim), index.squeeze(dim))


def median(nan):
    """The lower one in the middle of a stable sort, and NaN where there is one (or of those that are not NaN)."""
    def call(x, dim=None, keepdim=False):
        whole = dim is None
        if whole:
            x, dim = x.flatten(), 0
        y, index = stable_sort(x, dim)
        n, count = x.shape[dim], x.isnan().sum(dim, keepdim=True)
        at = torch.clamp((n - count - 1) // 2, 0) if nan else torch.where(count > 0, n - count, (n - 1) // 2)
        y, index = y.gather(dim, at), index.gather(dim, at)
        if not keepdim:
            y, index = y.squeeze(dim), index.squeeze(dim)
        return y if whole else (y, index)
    return call


def mode(x, dim=-1, keepdim=False):
    """PyTorch's value, and the first place where it stands (the documentation says so)."""
    y = torch.mode(x, dim, keepdim=True).values
    index = (x == y).int().argmax(dim, keepdim=True)
    y = x.gather(dim, index)
    return (y, index) if keepdim else (y.squeeze(dim), index.squeeze(dim))


def extreme(function):
    def call(x, dim=None, keepdim=False):
        return function(x) if dim is None else tuple(function(x, dim, keepdim=keepdim))
    return call


def arg(function):
    """Numbers of Lua without a dimension."""
    def call(x, dim=None, keepdim=False):
        return int(function(x)) if dim is None else function(x, dim, keepdim=keepdim)
    return call


both("sort", stable_sort, lists() + [[T(6), At(-1), True], [T(3, 4), At(1), True], [T(0)], [T(2, 0), At(1)], [T()]])
both("argsort", lambda x, *a: stable_sort(x, *a)[1], lists() + [[T(6), At(-1), True], [T(0)]], positions=(0,),
     grads=False)
both("msort", torch.msort, [[T(7)], [T(4, 3, layout="t")], [T(3, 2, 2)], [T(0)], [T(4, 3, layout="b")]], positions=())
both("topk", topk, lists(rest=[2]) + [[T(6), 3, At(-1), False], [T(4, 3), 4, At(1), True, True], [T(5), 0]][:2])
both("kthvalue", kthvalue, lists(rest=[2]) + [[T(3, 4), 3, At(2), True], [T(6), 6]])
both("median", median(False), lists() + [[T(6)], [T(3, 5), At(2), True], [T(3, 5)], [T()]])
both("nanmedian", median(True), lists() + [[T(6)], [T(3, 5), At(2), True], [T(3, 5)]])
both("mode", mode, lists() + [[T(3, 5), At(1), True], [T(9)]], special=False)  # of NaN PyTorch chooses by their order
for name in "max min".split():
    both(name, extreme(getattr(torch, name)), lists() + [[T(3, 4)], [T(3, 4), At(2), True], [T()], [T(3, 0), At(1)]])
for name in "argmax argmin".split():
    both(name, arg(getattr(torch, name)), lists() + [[T(3, 4)], [T(3, 4), At(2), True], [T()], [T(3, 4, layout="t")]],
         positions=(0,), grads=False)


def quantile(function):
    """Over all dimensions or one; a vector q comes first."""
    def call(x, q, dim=None, keepdim=False, interpolation="linear"):
        return function(x, q.to(x.dtype) if torch.is_tensor(q) else q, dim, keepdim=keepdim,
                        interpolation=interpolation)
    return call


QUANTILES = [[T(7), 0.3], [T(3, 4, layout="t"), 0.5], [T(3, 5), 0.25, At(2)],
             [T(2, 3, 4, layout="s"), 0.9, At(1), True],
             [T(8), T(values=[0.0, 0.25, 0.5, 1.0], grad=False)], [T(3, 4), T(values=[0.1, 0.75], grad=False), At(1)],
             [T(3, 4), T(values=[0.5], grad=False), At(2), True], [T(5), 1.0], [T(5), 0]]
QUANTILES += [[T(6), 0.37, dict(interpolation=how)] for how in ("lower", "higher", "midpoint", "nearest")]
QUANTILES += [[T(2, 6), 0.5, At(2), dict(interpolation=how)] for how in ("lower", "higher", "midpoint", "nearest")]
for name in "quantile nanquantile".split():
    ROWS.append(Row(name, QUANTILES, quantile(getattr(torch, name))))
    ROWS.append(Row(name, [[T(values=[1.0, NAN, 3.0, 2.0]), 0.5], [T(2, 3, values=[NAN, 1.0, 2.0, 5.0, 3.0, 4.0]),
                                                                   0.25, At(2)],
                           [T(values=[NAN, NAN]), 0.5]], quantile(getattr(torch, name)), grads=False))


def counted(x, weights=None, minlength=0):
    """Labels count from 1 here: entry i counts i."""
    return torch.bincount(x, weights, minlength)


ROWS += [
    Row("bincount", [[T(9, kind="h", high=5)], [T(9, kind="h", high=5), None, 8], [T(0, kind="h", high=3)],
                     [T(0, kind="h", high=3), None, 4]], counted, dtypes="i", grads=False),
    Row("bincount", [[T(9, kind="h", high=5), T(9)], [T(7, kind="h", high=3), T(7, layout="s"), 6]],
        lambda x, w, m=0: torch.zeros(max(m, int(x.max()) + 1), dtype=w.dtype).index_add(0, x, w)),
    Row("histc", [[T(50), 7, -1.0, 1.0], [T(3, 4, layout="t"), 5], [T(20), 4, 0.0, 0.5], [T(0), 3, 0.0, 1.0],
                  [T(30, kind="z"), 6]],
        lambda x, bins=100, low=0, high=0: torch.histc(x, bins, low, high), grads=False),
    Row("histogram", [[T(50), 7, dict(range=[-1.0, 1.0])], [T(3, 4, layout="t"), 5],
                      [T(20), T(values=[-1.0, -0.25, 0.0, 0.75])],
                      [T(20), 4, dict(weight=T(20, kind="p"))], [T(20), 4, dict(density=True)],
                      [T(9), T(values=[-1.0, 0.0, 2.0]), dict(weight=T(9, kind="p"), density=True)]],
        lambda x, bins, **more: tuple(torch.histogram(x, bins, **more)), grads=False),
]


def unique(x, ordered=True, inverse=False, counts=False, dim=None):
    return torch.unique(x, sorted=True, return_inverse=inverse, return_counts=counts, dim=dim)


def inverse_only(function):
    """Results with the inverse, counted from 1."""
    def call(*arguments):
        results = function(*arguments)
        if not isinstance(results, tuple):
            return results
        flags = [v for v in arguments[1:] if isinstance(v, bool)]
        return tuple(r + 1 if k == 1 and flags[-2] else r for k, r in enumerate(results))
    return call


ROWS += [
    Row("unique", [[T(9, kind="z")], [T(3, 4, kind="z", layout="t"), True, True, True],
                   [T(9, kind="z"), True, False, True],
                   [T(8, kind="z"), True, True, False], [T(4, 2, kind="z"), True, True, True, At(1)], [T(0)],
                   [T(2, 5, kind="z"), True, False, False, At(2)]], inverse_only(unique), dtypes="fd", grads=False),
    Row("unique", [[T(9, kind="j")], [T(3, 4, kind="j", layout="t"), True, True, True], [T(-1, kind="S")],
                   [T(4, 2, kind="j"), True, True, True, At(1)]], inverse_only(unique), dtypes="i", grads=False),
    Row("unique", [[T(9)], [T(5), True, True, True]], inverse_only(unique), dtypes="ub", grads=False),
    Row("unique_consecutive", [[T(values=[1.0, 1.0, 2.0, 2.0, 1.0])], [T(values=[3.0, 3.0, -1.0, 0.0]), True, True],
                               [T(values=[3.0, 3.0, -1.0, 0.0]), False, True], [T(0)],
                               [T(3, 2, values=[1.0, 2.0, 1.0, 2.0, 0.0, 1.0]), True, True, At(1)]],
        inverse_only(lambda x, inverse=False, counts=False, dim=None:
                     torch.unique_consecutive(x, return_inverse=inverse, return_counts=counts, dim=dim)), grads=False),
    Row("unique_consecutive", [[T(values=[1, 1, 2, 2, 1])], [T(values=[3, 3, -1, 0, 0]), True, True]],
        inverse_only(lambda x, inverse=False, counts=False, dim=None:
                     torch.unique_consecutive(x, return_inverse=inverse, return_counts=counts, dim=dim)),
        dtypes="i", grads=False),
]
EDGES = [-1.0, -0.25, 0.0, 0.0, 0.5, 1.25]
ROWS += [
    Row("searchsorted", [[T(values=EDGES), T(3, 4, kind="z")], [T(values=EDGES), T(3, 4, layout="t", kind="z"), True],
                         [T(values=EDGES), 0.0], [T(values=EDGES), 0.0, dict(side="right")],
                         [T(values=EDGES), T(2, 3, kind="z"), dict(side="left")], [T(0), T(2)], [T(values=EDGES), T(0)],
                         [T(2, 3, values=EDGES[:3] + EDGES[3:]), T(2, 4, kind="z")]],
        lambda x, v, right=False, side="left": torch.searchsorted(x, v,
                                                                  side="right" if right else side)
                                                                  if torch.is_tensor(v) else
        torch.searchsorted(x, torch.tensor(v, dtype=x.dtype), side="right" if right else side), grads=False,
        positions=(0,)),
    Row("searchsorted", [[T(values=[3.0, -1.0, 2.0, 2.0]), T(3, 4, kind="w"),
                          dict(sorter=T(values=[2, 3, 4, 1], dtype="i", index=True))],
                         [T(2, 2, values=[1.0, 0.0, -2.0, 2.0]), T(2, 5, kind="z"),
                          dict(sorter=T(2, 2, values=[2, 1, 1, 2], dtype="i", index=True), side="right")]],
        lambda x, v, **more: torch.searchsorted(x, v, **more), grads=False, positions=(0,)),
    # of NaN as NumPy has it: before its equals
    Row("searchsorted", [[T(values=[0.0, 1.0, NAN]), T(values=[NAN, 2.0, INF, -INF])]],
        lambda x, v: torch.from_numpy(numpy.searchsorted(x.numpy(), v.numpy())), grads=False, positions=(0,)),
    Row("searchsorted", [[T(values=[-3, 0, 0, 7]), T(2, 5, kind="j")], [T(values=[-3, 0, 7]), T(4, kind="j"), True],
                         [T(values=[MIN, -1, 2**53, 2**53 + 1, MAX]), T(-1, kind="S")]],
        lambda x, v, right=False: torch.searchsorted(x, v, right=right), dtypes="i", grads=False, positions=(0,)),
    Row("bucketize", [[T(3, 4, kind="z"), T(values=EDGES)], [T(3, 4, kind="z", layout="t"), T(values=EDGES), True],
                      [0.25, T(values=EDGES)], [T(0), T(values=EDGES)], [T(2), T(0)]],
        lambda v, x, right=False: torch.bucketize(v, x, right=right), grads=False, positions=(0,)),
    Row("isin", [[T(3, 4, kind="z"), T(3, kind="z")], [T(5, kind="z", layout="s"), 0.5], [1.5, T(4, kind="z")],
                 [T(3, 4, kind="z"), T(2, 2, kind="z"), dict(invert=True)], [T(0), T(3)], [T(3), T(0)],
                 [T(4, kind="z"), T(4, kind="z"), dict(assume_unique=True)],
                 [T(values=[NAN, 1.0, -0.0]), T(values=[NAN, 0.0])]],
        lambda a, b, **more: torch.isin(a, b, **{**more, "assume_unique": False}), grads=False),
    Row("isin", [[T(3, 4, kind="j"), T(3, kind="j")], [T(-1, kind="S"), T(values=[MAX, 0, 2**53])],
                 [T(4, kind="j"), 2]],
        torch.isin, dtypes="i", grads=False),
]
