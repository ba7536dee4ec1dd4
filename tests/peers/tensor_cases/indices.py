"""Rows that read and write where index tensors and masks point."""

import torch

from .cases import NAN, At, Row, T

TOLERANCE = (1e-6, 1e-13, "element", "false")
ROWS = []


def I(*shape, high):
    return T(*shape, kind="h", high=high)


def L(*values, shape=()):
    return T(*shape, dtype="i", values=list(values), index=True)


def chosen(name, lists, peer=None, whole="iub", **options):
    ROWS.append(Row(name, lists, peer, **options))
    if whole:
        ROWS.append(Row(name, lists, peer, dtypes=whole, grads=False, thin=True, **options))


def full(value, like):
    return value if torch.is_tensor(value) else torch.tensor(value, dtype=like.dtype)


def onto(x, dim, index, source):
    """source broadcast to the entries that index names, in the dtype of x."""
    shape = list(x.shape)
    shape[dim] = index.numel()
    return full(source, x).to(x.dtype).expand(shape)


def no_dim(function):
    """The dimension may be left out: the first."""
    return lambda x, *rest: function(x, *rest) if isinstance(rest[0], int) else function(x, 0, *rest)


def from_end(x, dim, index):
    return torch.where(index < 0, index + x.shape[dim], index)


def take(x, index):
    return x.flatten()[from_end(x.flatten(), 0, index)]


def last_stays(x, index, source):
    """index_put on a flat tensor where the last of several writes stays, gradients included."""
    flat, index, source = x.flatten(), index.flatten(), source.flatten()
    last = {int(p): k for k, p in enumerate(index)}
    where = torch.tensor(list(last.keys()), dtype=torch.long)
    chosen = torch.tensor(list(last.values()), dtype=torch.long)
    return flat.index_put((where,), source[chosen]).reshape(x.shape)


def put(x, index, source, accumulate=False):
    index = from_end(x.flatten(), 0, index)
    source = source.expand(index.shape)
    if accumulate:
        return x.flatten().index_put((index.flatten(),), source.flatten(), accumulate=True).reshape(x.shape)
    return last_stays(x, index, source)


def places(x, dim, index):
    """Positions in row-major order of what scatter names."""
    grid = list(torch.meshgrid(*[torch.arange(n) for n in index.shape], indexing="ij"))
    grid[dim] = index
    flat = torch.zeros(index.shape, dtype=torch.long)
    for d, n in enumerate(x.shape):
        flat = flat * n + grid[d]
    return flat


def cut(source, index):
    return source[tuple(slice(0, n) for n in index.shape)]


def scatter(x, dim, index, source):
    source = cut(source, index) if torch.is_tensor(source) else torch.full(index.shape, source, dtype=x.dtype)
    return last_stays(x, places(x, dim, index), source)


def index_copy(x, dim, index, source):
    rows = torch.arange(x.numel()).reshape(x.shape).index_select(dim, index)
    return last_stays(x, rows, onto(x, dim, index, source))


def index_put(x, indices, values, accumulate=False):
    indices = [from_end(x, d, i) for d, i in enumerate(indices)]
    rows = torch.arange(x.numel()).reshape(x.shape)[tuple(indices)]
    values = full(values, x).to(x.dtype).expand(rows.shape)
    if accumulate:
        return x.index_put(tuple(indices), values, accumulate=True)
    return last_stays(x, rows, values)


def scatter_reduce(x, dim, index, source, reduce, include_self=True):
    return x.scatter_reduce(dim, index, source, reduce, include_self=include_self)


chosen("index_select", [[T(5), At(1), I(4, high=5)], [T(3, 4, layout="t"), At(2), I(3, high=4)],
                        [T(3, 4), I(2, high=3)],
                        [T(2, 3, 4, layout="s"), At(-2), I(5, high=3)], [T(3, 2), At(1), I(0, high=3)],
                        [T(2, 1, 3, 1, 2), At(3), I(4, high=3)]], no_dim(torch.index_select))
chosen("index", [[T(5), [I(4, high=5)]], [T(3, 4, layout="t"), [I(3, high=3), I(3, high=4)]],
                 [T(3, 4), [I(2, 3, high=3)]],
                 [T(3, 4), [I(2, 1, high=3), I(3, high=4)]], [T(5), [L(-1, 1, -5)]],
                 [T(4, 3, 2, layout="s"), [I(0, high=4)]]],
       lambda x, i: x[tuple(from_end(x, d, v) for d, v in enumerate(i))])
chosen("index", [[T(3, 4), [I(3, high=4)], dict(dims=[At(2)])], [T(2, 3, 4), [I(2, high=2), I(2, high=4)],
                                                                 dict(dims=[At(1), At(3)])],
                 [T(2, 3, 4), [I(2, high=3), I(2, high=4)], dict(dims=[At(2), At(3)])]],
       lambda x, i, dims: x[tuple(i[dims.index(d)] if d in dims else slice(None) for d in range(x.dim()))])
def masked(x, indices):
    return x[tuple(i if i.dtype == torch.bool else from_end(x, 0, i) for i in indices)]


chosen("index", [[T(5), [T(5, dtype="b")]], [T(3, 4, layout="t"), [T(3, 4, dtype="b")]],
                 [T(2, 3), [I(1, high=2), T(3, dtype="b")]],
                 [T(3, 4, 2), [T(3, 4, dtype="b"), I(1, high=2)]], [T(0), [T(0, dtype="b")]]], masked)


def put_masked(x, indices, values, accumulate=False):
    return x.index_put(tuple(indices), full(values, x).to(x.dtype), accumulate=accumulate)


chosen("index_put", [[T(6), [T(6, dtype="b")], 2], [T(3, 4, layout="t"), [T(3, 4, dtype="b")], 1],
                     [T(2, 3), [I(1, high=2), T(3, dtype="b")], T(1)],
                     [T(5), [T(5, dtype="b")], T(1)]], put_masked)
chosen("take", [[T(5), I(4, high=5)], [T(3, 4, layout="t"), I(2, 3, high=12)], [T(3, 4), L(-1, 1, -12)],
                [T(4), I(0, high=4)],
                [T(4), L(2, shape=())]], take)
chosen("gather", [[T(5), At(1), I(4, high=5)], [T(3, 4, layout="t"), At(2), I(3, 2, high=4)],
                  [T(3, 4), At(1), I(2, 4, high=3)],
                  [T(2, 3, 4, layout="s"), At(-1), I(2, 3, 5, high=4)], [T(3, 4), At(1), I(0, 4, high=3)]],
                  torch.gather)
chosen("take_along_dim", [[T(3, 4), I(3, 4, high=4), At(2)], [T(3, 4, layout="t"), I(1, 4, high=3), At(1)],
                          [T(3, 1), I(3, 2, high=1), At(2)],
                          [T(2, 3, 4), I(2, 1, 4, high=3), At(2)]], torch.take_along_dim)
chosen("index_put", [[T(5), [I(4, high=5)], T(4)], [T(3, 4, layout="t"), [I(3, high=3), I(3, high=4)], T(3)],
                     [T(3, 4), [I(2, high=3)], T(4)],
                     [T(3, 4), [I(2, high=3)], 2], [T(5), [L(-1, 2, -1)], T(3)],
                     [T(3, 4), [I(2, 1, high=3), I(3, high=4)], T(2, 3)]],
       index_put)
chosen("index_put", [[T(5), [I(6, high=5)], T(6), True], [T(3, 4, layout="t"), [I(5, high=3), I(5, high=4)], T(5),
                                                          True],
                     [T(3, 4), [I(3, high=3)], T(1), True]], index_put, whole="i")
chosen("index_copy", [[T(5), At(1), I(4, high=5), T(4)], [T(3, 4, layout="t"), At(2), I(3, high=4), T(3, 3)],
                      [T(3, 4), I(2, high=3), T(4)],
                      [T(3, 4), At(1), I(2, high=3), 1]], no_dim(index_copy))
chosen("index_fill", [[T(5), At(1), I(3, high=5), 1], [T(3, 4, layout="t"), At(2), I(2, high=4), 0],
                      [T(3, 4), I(2, high=3), 1]],
       no_dim(lambda x, d, i, v: x.index_fill(d, i, v)))
chosen("index_add", [[T(5), At(1), I(6, high=5), T(6)], [T(3, 4, layout="t"), At(2), I(3, high=4), T(3, 3)],
                     [T(3, 4), I(4, high=3), T(4, 4), dict(alpha=2)],
                     [T(3, 4), At(1), I(2, high=3), T(4)]],
       lambda x, *rest, alpha=1: no_dim(lambda x, d, i, s: x.index_add(d, i, onto(x, d, i, s), alpha=alpha))(x, *rest),
       whole="i")
chosen("put", [[T(5), I(4, high=5), T(4)], [T(3, 4, layout="t"), I(2, 3, high=12), T(2, 3)],
               [T(4), L(-1, 2, -1), T(3)], [T(4), I(3, high=4), T(1)]],
       put)
chosen("put", [[T(5), I(7, high=5), T(7), True], [T(3, 4, layout="t"), I(2, 3, high=12), T(3), True]], put, whole="i")
chosen("scatter", [[T(5), At(1), I(4, high=5), T(4)], [T(3, 4, layout="t"), At(2), I(3, 2, high=4), T(3, 4)],
                   [T(3, 4), At(1), I(2, 4, high=3), 1],
                   [T(2, 3, 2), At(-2), I(2, 3, 2, high=3), T(2, 3, 2)], [T(3), At(1), I(0, high=3), T(0)]], scatter)
chosen("scatter_add", [[T(5), At(1), I(7, high=5), T(7)], [T(3, 4, layout="t"), At(2), I(3, 4, high=4), T(3, 4)],
                       [T(2, 3, 2), At(-2), I(2, 3, 2, high=3), T(2, 3, 2)]],
       lambda x, d, i, s: x.scatter_add(d, i, s), whole="i")
def scatter_prod(x, dim, index, source, reduce, include_self=True):
    """One factor after the other, which has gradients of every order beside zeros, too."""
    flat, named = list(x.flatten()), set()
    for k, v in zip(places(x, dim, index).flatten().tolist(), cut(source, index).flatten()):
        flat[k] = flat[k] * v if include_self or k in named else v
        named.add(k)
    return torch.stack(flat).reshape(x.shape)


for own in (True, False):
    ROWS.append(Row("scatter_reduce", [
        [T(6, kind="z"), At(1), I(9, high=5), T(9, kind="z"), "prod", dict(include_self=own)],
        [T(values=[2.0, 0.0, 3.0]), At(1), L(1, 1, 2, 2, 3, 3, 3, 1),
         T(values=[0.0, 3.0, 0.0, 5.0, 2.0, 4.0, 0.0, 0.5]), "prod",
         dict(include_self=own)],
        [T(3, 4, kind="z"), At(2), I(3, 4, high=4), T(3, 4, kind="z"), "prod", dict(include_self=own)],
        [T(3, 4), At(2), I(3, 4, high=4), T(3, 4), "prod", dict(include_self=own)]], scatter_prod))
for how in "sum prod mean amax amin".split():
    for own in (True, False):
        more = [how] + ([] if own else [dict(include_self=False)])
        lists = [[T(5), At(1), I(7, high=5), T(7)] + more, [T(3, 4, layout="t"), At(2), I(3, 4, high=4),
                                                            T(3, 4)] + more]
        ROWS.append(Row("scatter_reduce", lists, scatter_reduce, second=how in "sum mean".split(), kind="p"))
        if how != "mean":
            ROWS.append(Row("scatter_reduce", lists, scatter_reduce, dtypes="i", grads=False))
ROWS += [
    Row("one_hot", [[I(4, high=3), 3], [I(2, 2, high=3), 5], [I(0, high=3), 3], [L(2, shape=()), 3]],
        lambda i, n: torch.nn.functional.one_hot(i, n).float(), dtypes="i", grads=False),
    Row("one_hot", [[I(4, high=3), 3, dict(dtype="float64")]],
        lambda i, n, dtype: torch.nn.functional.one_hot(i, n).double(), dtypes="i",
        grads=False),
    Row("nonzero", [[T(9, kind="z")], [T(3, 4, kind="z", layout="t")], [T(0)], [T(values=[NAN, 0.0, -0.0, 1e-40])]],
        lambda x: torch.nonzero(x.flatten())[:, 0], grads=False, positions=(0,)),
    Row("nonzero", [[T(9, kind="j")], [T(3, 4)]], lambda x: torch.nonzero(x.flatten())[:, 0], dtypes="ib", grads=False,
        positions=(0,)),
    Row("argwhere", [[T(9, kind="z")], [T(3, 4, kind="z", layout="t")], [T(0, 2)], [T(2, 2, 2, kind="z")]],
        grads=False, positions=(0,)),
    Row("argwhere", [[T(9, kind="j")], [T(3, 4)]], dtypes="ib", grads=False, positions=(0,)),
]
chosen("masked_select", [[T(3, 4), T(3, 4, dtype="b")], [T(3, 4, layout="t"), T(4, dtype="b")],
                         [T(3, 1), T(3, 4, dtype="b")], [T(0), T(0, dtype="b")],
                         [T(2, 3), T(2, 1, dtype="b")]])
chosen("masked_scatter", [[T(3, 4), T(3, 4, dtype="b"), T(12)], [T(3, 4, layout="t"), T(4, dtype="b"), T(3, 4)],
                          [T(5), T(5, dtype="b"), T(5, layout="s")]],
       lambda x, m, s: x.masked_scatter(m.expand(x.shape), s))
