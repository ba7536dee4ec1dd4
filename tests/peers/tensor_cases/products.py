"""Products, contractions, distances and norms."""

import torch

from .cases import INF, At, Row, T

TOLERANCE = (2e-6, 1e-13, "tensor", "false")
ROWS = []


def products(name, lists, peer=None, whole="", **options):
    ROWS.append(Row(name, lists, peer, **options))
    if whole:
        ROWS.append(Row(name, lists, peer, dtypes=whole, grads=False))


def spread(function):
    return lambda *tensors: function(tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list) else tensors)


def matmul(a, b, transpose_a=False, transpose_b=False):
    a, b = [x.mT if t and x.dim() > 1 else x for x, t in ((a, transpose_a), (b, transpose_b))]
    return torch.matmul(a, b)


def added(function):
    def call(x, a, b, beta=1, alpha=1):
        return function(x, a, b, beta=beta, alpha=alpha)
    return call


products("matmul", [[T(3, 4), T(4, 2)], [T(4), T(4)], [T(3, 4, layout="t"), T(4)], [T(4), T(4, 3)],
                    [T(2, 3, 4), T(4, 5, layout="s")],
                    [T(2, 1, 3, 4), T(3, 4, 2)], [T(3, 4), T(2, 4), dict(transpose_b=True)],
                    [T(4, 3), T(4, 2), dict(transpose_a=True)],
                    [T(2, 4, 3), T(2, 5, 4), dict(transpose_a=True, transpose_b=True)], [T(0, 3), T(3, 2)],
                    [T(3, 0), T(0, 2)],
                    [T(17, 33), T(33, 5, layout="t")], [T(4, 3, layout="b"), T(3, 2)]], matmul)
for name in "dot vdot".split():
    products(name, [[T(7), T(7)], [T(0), T(0)], [T(5, layout="s"), T(5)], [T(40), T(40)]])
products("mv", [[T(3, 4), T(4)], [T(3, 4, layout="t"), T(4, layout="s")], [T(0, 3), T(3)], [T(3, 0), T(0)]])
products("mm", [[T(3, 4), T(4, 2)], [T(3, 4, layout="t"), T(4, 2, layout="t")], [T(3, 0), T(0, 2)], [T(1, 9), T(9, 1)]])
products("bmm", [[T(2, 3, 4), T(2, 4, 2)], [T(2, 3, 4, layout="t"), T(2, 4, 1, layout="s")], [T(0, 3, 4), T(0, 4, 2)]])
products("inner", [[T(4), T(4)], [T(2, 3), T(4, 3)], [T(2, 3, layout="t"), T(3)], [T(2, 1, 3), T(2, 3)],
                   [T(), T(2, 3)]], whole="i")
products("outer", [[T(3), T(4)], [T(3, layout="s"), T(2)], [T(0), T(2)]], whole="i")
products("ger", [[T(3), T(4)], [T(3, layout="s"), T(2)]], whole="i")
products("kron", [[T(2, 3), T(3, 2)], [T(2), T(2, 2)], [T(2, 3, layout="t"), T(2)], [T(2, 1, 2), T(1, 2, 1)],
                  [T(), T(3)]], whole="i")
products("tensordot", [[T(2, 3, 4), T(3, 4, 2)], [T(3, 4), T(4, 2), 1], [T(3, 4), T(2, 3), [[At(1)], [At(2)]]],
                       [T(2, 3), T(2, 3), 0],
                       [T(2, 3, 4, layout="t"), T(4, 2, 5), [[At(3), At(1)], [At(1), At(2)]]]],
         lambda a, b, dims=2: torch.tensordot(a, b, dims), whole="i")
for equation, shapes in [("ij,jk->ik", [(2, 3), (3, 4)]), ("ii", [(3, 3)]), ("ii->i", [(3, 3)]), ("i,j", [(2,), (3,)]),
                         ("ij->", [(2, 3)]),
                         ("...ij->...ji", [(2, 3, 4)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 2)]),
                         ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 4)]),
                         ("ij,ij->i", [(3, 4), (3, 4)]), ("i,ij,j->", [(3,), (3, 4), (4,)]),
                         ("...i,...i->...", [(2, 1, 3), (4, 3)]),
                         ("ijk->kij", [(2, 3, 4)]), ("abc,cd,be->ade", [(2, 3, 4), (4, 2), (3, 3)])]:
    products("einsum", [[equation] + [T(*s) for s in shapes]], torch.einsum, whole="i" if len(shapes) < 3 else "")
for name, shapes in dict(addmm=((3, 2), (3, 4), (4, 2)), addmv=((3,), (3, 4), (4,)),
                         baddbmm=((2, 3, 2), (2, 3, 4), (2, 4, 2)),
                         addbmm=((3, 2), (2, 3, 4), (2, 4, 2))).items():
    x, a, b = shapes
    products(name, [[T(*x), T(*a), T(*b)], [T(*x, layout="t"), T(*a, layout="s"), T(*b), dict(beta=0.5, alpha=-2.0)],
                    [T(1), T(*a), T(*b)], [T(*x), T(*a), T(*b), dict(beta=2)]], added(getattr(torch, name)))
for name in "cross linalg.cross".split():
    products(name, [[T(3), T(3)], [T(2, 3), T(2, 3, layout="t")], [T(3, 4), T(3, 1), At(1)], [T(2, 1, 3), T(1, 4, 3)]],
             lambda a, b, dim=-1: torch.linalg.cross(a, b, dim=dim), whole="i")
products("linalg.multi_dot", [[[T(2, 3), T(3, 4), T(4, 2)]], [[T(3), T(3, 4), T(4)]], [[T(2, 3), T(3)]],
                              [[T(2, 5), T(5, 3), T(3, 4), T(4, 2)]]],
         torch.linalg.multi_dot)
products("chain_matmul", [[T(2, 3), T(3, 4), T(4, 2)], [[T(2, 5), T(5, 3)]]], spread(torch.linalg.multi_dot))
for name in "matrix_power linalg.matrix_power".split():
    products(name, [[T(3, 3), 2], [T(2, 2, 2, layout="t"), 3], [T(3, 3), 0], [T(3, 3), 1], [T(3, 3, kind="q"), -1],
                    [T(3, 3, kind="q"), -2], [T(2, 2), 7]],
             torch.linalg.matrix_power)
products("linear", [[T(3, 4), T(2, 4), T(2)], [T(4), T(2, 4)], [T(2, 3, 4, layout="t"), T(5, 4), T(5)],
                    [T(0, 4), T(2, 4), T(2)]],
         torch.nn.functional.linear)
products("linear", [[T(3, 4), T(2, 4), T(2), dict(activation=how)] for how in ("tanh", "sigmoid", "relu")],
         lambda x, w, b, activation: getattr(torch, activation)(torch.nn.functional.linear(x, w, b)))
products("bilinear", [[T(3, 4), T(3, 2), T(5, 4, 2), T(5)], [T(2, 3, 2), T(2, 3, 3), T(2, 2, 3)]],
         torch.nn.functional.bilinear)


def order(p):
    return {"inf": INF, "-inf": -INF}.get(p, p)


def vector_norm(x, p=2, dim=None, keepdim=False):
    return torch.linalg.vector_norm(x, order(p), dim=dim, keepdim=keepdim)


def matrix_norm(x, p="fro", dim=(-2, -1), keepdim=False):
    return torch.linalg.matrix_norm(x, order(p), dim=tuple(dim), keepdim=keepdim)


def norm(x, p="fro", dim=None, keepdim=False):
    return torch.norm(x, order(p), dim=dim, keepdim=keepdim)


def any_norm(x, p=None, dim=None, keepdim=False):
    return torch.linalg.norm(x, order(p), dim=tuple(dim) if isinstance(dim, list) else dim, keepdim=keepdim)


def cond(x, p=2):
    """PyTorch's writes over what its own gradient needs."""
    if p in (2, -2):
        return torch.linalg.cond(x, p)
    return matrix_norm(x, p) * matrix_norm(torch.linalg.inv(x), p)


ORDERS = [1, 2, 3, 0.5, "inf", "-inf", 0, -1]
products("linalg.vector_norm", [[T(7)], [T(3, 4, layout="t")], [T()]] + [[T(3, 4), p, At(2)] for p in ORDERS] +
         [[T(2, 3, 2, layout="s"), p, [At(1), At(3)], True] for p in ORDERS[:4]] + [[T(0)], [T(0, 3), 2, At(1)]],
         vector_norm, kind="p")
products("norm", [[T(7)], [T(3, 4, layout="t")]] + [[T(3, 4), p, At(2)] for p in ["fro", 1, 2, 3, "inf", "-inf",
    0]] + [[T(3, 4), "nuc"]] +
         [[T(2, 3, 4), "fro", [At(1), At(3)]]], norm, kind="p")
products("linalg.matrix_norm", [[T(3, 4)], [T(2, 3, 4, layout="t")]] + [[T(3, 4), p] for p in [1, -1, 2, -2, "inf",
    "-inf", "nuc", "fro"]] +
         [[T(2, 3, 4), 1, [At(1), At(3)], True], [T(3, 2, 4, layout="s"), "fro", [At(3), At(1)]]], matrix_norm)
products("linalg.norm", [[T(7)], [T(3, 4, layout="t")], [T(3, 4), 1], [T(3, 4), 2], [T(5), 3],
                         [T(2, 3, 4), None, At(2)], [T(2, 3, 4), "nuc", [At(2), At(3)]],
                         [T(5), "inf"], [T(3, 4), "fro", None, True]], any_norm, kind="p")
products("linalg.cond", [[T(3, 3, kind="q")], [T(2, 3, 3, kind="q", layout="t")],
                         [T(4, 3)]] + [[T(3, 3, kind="q"), p] for p in [1, -1, 2, -2, "inf", "-inf", "fro", "nuc"]],
         cond)


def cdist(a, b, p=2.0):
    """From differences: PyTorch's products of rows lose digits, its gradient has no derivative of its own, and of
    equal largest differences each gets all of it; here they share, as vector_norm's do (whose norms these are)."""
    return vector_norm(a.unsqueeze(-2) - b.unsqueeze(-3), order(p), -1)


products("cdist", [[T(3, 4), T(2, 4)], [T(2, 3, 4, layout="t"), T(5, 4)],
                   [T(0, 3), T(2, 3)]] + [[T(3, 4), T(2, 4), p] for p in [1, 3, 0.5, "inf"]], cdist)
ROWS.append(Row("cdist", [[T(3, 4), T(2, 4), 0]], lambda a, b, p: torch.cdist(a, b, 0.0), grads=False))
products("pdist", [[T(4, 3)], [T(3, 5, layout="t")]] + [[T(4, 3), p] for p in [1, 3, "inf"]],
         lambda x, p=2: torch.stack([vector_norm(x[i] - x[j], order(p), 0) for i in range(len(x)) for j in range(i + 1,
             len(x))]))
products("cosine_similarity", [[T(3, 4), T(3, 4)], [T(3, 4, layout="t"), T(4), At(2)], [T(5), T(5), At(1)],
                               [T(2, 3, 2), T(2, 3, 2), At(-2), 0.5]],
         lambda a, b, dim=1, eps=1e-8: (a * b).sum(dim) / (torch.clamp(vector_norm(*torch.broadcast_tensors(a, b)[:1],
             2, dim), eps) *
                                                           torch.clamp(vector_norm(torch.broadcast_tensors(a, b)[1], 2,
                                                               dim), eps)))
