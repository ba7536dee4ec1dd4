"""Rows that make few elements of many: sums, means, extremes, norms, and what runs along a dimension."""

import torch

from .cases import INF, NAN, At, Row, T

TOLERANCE = (1e-6, 1e-13, "tensor", "false")
ROWS = []


def over(name, peer, dims=True, kind="x", extra=({},), dtypes="fd", special=(), empty=True, scalars=True, **options):
    """peer(x, dim or None, keepdim, options..) over all, one or several dimensions of tensors of 0 to 5 dimensions."""
    def call(x, dim=None, keepdim=False, **more):
        return peer(x, dim, keepdim, **more)

    lists = [[T(7)], [T(3, 4, layout="t")], [T(2, 1, 3, 1, 2)], [T(4, 3, layout="b")], [T(103)]]
    lists += [[T()], [T(5, 1), At(2)]] if scalars else []
    lists += [[T(3, 4), At(1)], [T(3, 4, layout="t"), At(2)], [T(2, 3, 4, layout="s"), At(-2)], [T(7, 5), At(-1), True],
              [T(2, 1, 3, 1, 2), At(3)]]
    if dims:
        lists += [[T(2, 3, 4), [At(1), At(3)]], [T(2, 3, 4, layout="t"), [At(-1), At(1)], True],
                  [T(2, 1, 3, 1, 2), [At(1), At(5), At(3)]]]
    if empty:
        lists += [[T(0, 3), At(1)], [T(3, 0), At(2)], [T(3, 0), At(1)]]
    for k, more in enumerate(extra):
        chosen = lists if k == 0 else lists[k % 2::2]
        ROWS.append(Row(name, [a + ([more] if more else []) for a in chosen], call, kind=kind, dtypes=dtypes, thin=True,
                        **options))
    if special:
        ROWS.append(Row(name, [[T(*shape, values=values)] + rest for shape, values, rest in special], call,
                        dtypes=[d for d in dtypes if d in "fd"], kind=kind, thin=True, **{**options, "grads": False}))


def reduced(function):
    """torch's f(x), f(x, dim, keepdim)."""
    return lambda x, dim, keepdim, **more: function(x, **more) if dim is None else function(x, dim, keepdim=keepdim,
        **more)


def listed(function):
    """torch's f(x, dims, keepdim) with all dimensions where there is none."""
    def call(x, dim, keepdim, **more):
        dim = list(range(x.dim())) if dim is None else dim
        return function(x, dim, keepdim=keepdim, **more)
    return call


def product(x, dim, keepdim):
    if dim is None:
        return torch.prod(x)
    for d in sorted([v % x.dim() for v in (dim if isinstance(dim, list) else [dim])], reverse=True):
        x = torch.prod(x, d, keepdim=keepdim)
    return x


def test(function):
    def call(x, dim, keepdim):
        if dim is None:
            return bool(function(x))
        for d in sorted([v % x.dim() for v in (dim if isinstance(dim, list) else [dim])], reverse=True):
            x = function(x, d, keepdim=keepdim)
        return x.bool()
    return call


def spread(function):
    """var and std with 0 where count - correction is less, as their documentation says."""
    return lambda x, dim, keepdim, correction=1: function(x, dim, correction=correction, keepdim=keepdim)


def both(function):
    """std_mean and var_mean; PyTorch's own mean of infinities is NaN."""
    return lambda x, dim, keepdim, correction=1: (function(x, dim, correction=correction, keepdim=keepdim),
                                                  reduced(torch.mean)(x, dim, keepdim))


MIXED = [([4], [1.0, INF, 2.0, -1.0], []), ([2, 3], [NAN, 1.0, 2.0, 3.0, -INF, INF], [At(2)]),
         ([2, 2], [NAN, NAN, 0.0, -0.0], [At(1)]), ([3], [-INF, -INF, -INF], [])]
over("sum", reduced(torch.sum), special=MIXED)
over("sum", reduced(torch.sum), dtypes="iub", grads=False)
over("prod", product, special=MIXED)
over("prod", product, dtypes="ib", grads=False)
over("prod", product, kind="z", second=False)
over("mean", reduced(torch.mean), special=MIXED)
over("mean", reduced(lambda x, *a, **k: torch.mean(x.double(), *a, **k)), dtypes="i", grads=False)
over("mean", reduced(lambda x, *a, **k: torch.mean(x.float(), *a, **k)), dtypes="ub", grads=False)
over("any", test(torch.any), kind="z", dtypes="fdiub", grads=False)
over("all", test(torch.all), kind="z", dtypes="fdiub", grads=False)
over("nansum", reduced(torch.nansum), special=MIXED)
over("nanmean", reduced(torch.nanmean), special=MIXED)
over("logsumexp", listed(torch.logsumexp), kind="w", special=MIXED)
over("count_nonzero", lambda x, dim, keepdim: torch.count_nonzero(x, dim).long() if not keepdim else
     (x != 0).sum(dim, keepdim=True), kind="z", dtypes="fdi", grads=False, special=MIXED)
over("amax", listed(torch.amax), empty=False, special=MIXED)
over("amin", listed(torch.amin), empty=False, special=MIXED)
over("amax", listed(torch.amax), empty=False, kind="z", second=False)
over("amin", listed(torch.amin), empty=False, kind="z", second=False)
over("amax", listed(torch.amax), empty=False, dtypes="iu", grads=False)
over("amin", listed(torch.amin), empty=False, dtypes="iu", grads=False)
over("aminmax", lambda x, dim, keepdim: (listed(torch.amin)(x, dim, keepdim), listed(torch.amax)(x, dim, keepdim)),
     dims=False, empty=False, special=MIXED)
for name in "var std".split():
    over(name, spread(getattr(torch, name)), extra=({}, dict(correction=0), dict(correction=2)), empty=False,
         scalars=False, special=MIXED)
    ROWS.append(Row(name, [[T()], [T(1)]], lambda x, f=getattr(torch, name): f(x), grads=False))
for name in "var_mean std_mean".split():
    over(name, both(getattr(torch, name[:3])), extra=({}, dict(correction=0)), empty=False, scalars=False,
         special=MIXED)


def softmax(name):
    function = getattr(torch, name)
    ROWS.append(Row(name, [[T(7)], [T(3, 4, layout="t")], [T(3, 4), At(1)], [T(2, 3, 4, layout="s"), At(2)],
                           [T(2, 1, 3, 1, 2), At(3)], [T(0, 3)], [T(3, 0)], [T()], [T(70)], [T(3, 17), At(-1)]],
                    lambda x, dim=-1: function(x, dim), kind="w"))
    ROWS.append(Row(name, [[T(values=[1.0, INF, 2.0])], [T(values=[-INF, 0.0, 1.0])], [T(values=[NAN, 0.0, 1.0])],
                           [T(values=[-INF, -INF])], [T(values=[1e30, -1e30, 0.0])], [T(values=[88.5, -104.0, 89.5])]],
                    lambda x, dim=-1: function(x, dim), grads=False))


softmax("softmax")
softmax("log_softmax")


def along(name, peer=None, kind="x", dtypes="fd", positions=(), special=True, **options):
    lists = [[T(7), At(1)], [T(7), At(1)], [T(3, 4, layout="t"), At(1)], [T(3, 4, layout="s"), At(2)],
             [T(2, 3, 4), At(-2)],
             [T(2, 1, 3, 1, 2), At(5)], [T(0, 3), At(1)], [T(3, 0), At(1)], [T(45), At(-1)],
             [T(4, 3, layout="b"), At(1)]]
    ROWS.append(Row(name, lists, peer, kind=kind, dtypes=dtypes, positions=positions, thin=True, **options))
    if special:
        ROWS.append(Row(name, [[T(values=[1.0, INF, 2.0, -INF, 0.0]), At(1)], [T(values=[NAN, 0.0, 1.0]), At(1)],
                               [T(values=[1.0, NAN, -0.0, NAN, 3.0]), At(1)], [T(values=[-INF, -INF, 0.0]), At(1)]],
                        peer, grads=False, positions=positions))


along("cumsum")
along("cumsum", dtypes="iub", grads=False, special=False)
along("cumprod")
along("cumprod", kind="z", special=False, second=False)
along("cumprod", dtypes="ib", grads=False, special=False)
along("cummax", positions=[1])
along("cummin", positions=[1])
along("cummax", kind="z", positions=[1], special=False, second=False)
along("cummin", kind="z", positions=[1], special=False, second=False)
along("cummax", dtypes="iu", positions=[1], special=False, grads=False)
along("cummin", dtypes="iu", positions=[1], special=False, grads=False)
along("logcumsumexp", kind="w")

ROWS += [
    Row("diff", [[T(7)], [T(3, 4, layout="t")], [T(3, 4), 1, At(1)], [T(6), 3], [T(2, 3, 4, layout="s"), 2, At(3)],
                 [T(3, 4), dict(prepend=T(3, 1), append=T(3, 2))], [T(4), 0], [T(1)], [T(5, 0), 1, At(1)]],
        lambda x, n=1, dim=-1, **more: torch.diff(x, n, dim, **more)),
    Row("diff", [[T(7)], [T(3, 4), 2, At(1)]], lambda x, n=1, dim=-1: torch.diff(x, n, dim), dtypes="i", grads=False),
    Row("diff", [[T(7)]], dtypes="b", grads=False),
    Row("trapezoid", [[T(7)], [T(3, 4, layout="t")], [T(3, 4), dict(dx=0.5)], [T(3, 4), dict(dim=At(1))],
                      [T(3, 4), T(4, kind="p")], [T(3, 4), T(3, 4)], [T(1)], [T(2, 3, 4), dict(dx=2.0, dim=At(2))]],
        lambda y, x=None, dx=1, dim=-1: torch.trapezoid(y, x, dim=dim) if x is not None else torch.trapezoid(y, dx=dx,
            dim=dim)),
    Row("cumulative_trapezoid", [[T(7)], [T(3, 4, layout="t")], [T(3, 4), dict(dx=0.5)], [T(3, 4), dict(dim=At(1))],
                                 [T(3, 4), T(4, kind="p")], [T(3, 4), T(3, 4)]],
        lambda y, x=None, dx=1, dim=-1: torch.cumulative_trapezoid(y, x, dim=dim) if x is not None else
        torch.cumulative_trapezoid(y, dx=dx, dim=dim)),
    Row("cov", [[T(3, 5)], [T(6)], [T(3, 5, layout="t"), dict(correction=0)],
                [T(2, 4), dict(fweights=T(4, dtype="i", kind="n"))],
                [T(2, 4), dict(aweights=T(4, kind="p", grad=False))],
                [T(3, 4), dict(correction=2, aweights=T(4, kind="p", grad=False), fweights=T(4, dtype="i", kind="n"))]],
        lambda x, **more: torch.cov(x, **more)),
    Row("corrcoef", [[T(3, 5)], [T(6)], [T(4, 7, layout="t")], [T(2, 3, layout="s")]]),
]
