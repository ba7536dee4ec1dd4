"""Linear algebra: factors, solutions, spectra, of float32 computed in float64 and rounded."""

import torch

from .cases import Row, T

TOLERANCE = (1e-5, 2e-12, "one", "false")
L = torch.linalg
ROWS = []


def rows(name, lists, peer=None, **options):
    ROWS.append(Row(name, lists, peer or getattr(L, name.split(".")[-1]), **options))


def q(*shape, **more):
    return T(*shape, kind="q", **more)


def y(*shape, **more):
    return T(*shape, kind="y", **more)


def signs(vectors, dim):
    """What makes the largest element of each vector along dim positive (the documentation says so)."""
    at = vectors.detach().abs().argmax(dim, keepdim=True)
    return torch.sign(vectors.detach().gather(dim, at))


def eigh(x, UPLO="L"):
    values, vectors = L.eigh(x, UPLO=UPLO)
    return values, vectors * signs(vectors, -2)


def svd(x, full_matrices=True):
    u, s, vh = L.svd(x, full_matrices=False)
    turn = signs(u, -2)
    u, vh = u * turn, vh * turn.mT
    if full_matrices:
        m, n, k = x.shape[-2], x.shape[-1], s.shape[-1]
        assert m == n == k
    return u, s, vh


def qr(x, mode="reduced"):
    """R's diagonal is not negative here (the documentation says so)."""
    q_, r = L.qr(x, mode="reduced")
    turn = torch.sign(torch.diagonal(r.detach(), dim1=-2, dim2=-1))
    turn = torch.where(turn == 0, 1.0, turn)
    return q_ * turn.unsqueeze(-2), r * turn.unsqueeze(-1)


def eig(x):
    """Vectors of length 1, real ones with a positive largest element; real and imaginary parts apart."""
    values, vectors = L.eig(x)
    turn = torch.where((values.imag == 0).unsqueeze(-2), signs(vectors.real, -2), torch.ones(1, dtype=torch.float64))
    return values.real, values.imag, vectors.real * turn, vectors.imag * turn


def lu(x):
    return tuple(L.lu(x))


def lu_factor(x):
    f, pivots = L.lu_factor(x)
    return f, pivots.long() - 1


def solve(a, b):
    return L.solve(a, b)


def lstsq(a, b, rcond=None):
    """residuals are there for every rank and column (the documentation says so)."""
    vector = b.dim() == a.dim() - 1
    columns = b.unsqueeze(-1) if vector else b
    x = L.pinv(a, rtol=rcond if rcond is not None else max(a.shape[-2:]) * 2.220446049250313e-16) @ columns
    residuals = ((a @ x - columns) ** 2).sum(-2)
    rank = L.matrix_rank(a, rtol=rcond) if rcond is not None else L.matrix_rank(a)
    return x.squeeze(-1) if vector else x, residuals.squeeze(-1) if vector else residuals, rank


SQUARE = [[q(3, 3)], [q(2, 3, 3, layout="t")], [q(1, 1)], [q(4, 4, layout="s")], [q(5, 5, key=7)]]
for name in ("linalg.inv", "inverse"):
    rows(name, SQUARE + [[T(0, 0)]], L.inv)
for name in ("linalg.det", "det"):
    rows(name, SQUARE + [[T(3, 3)], [T(0, 0)]], L.det)
for name in ("linalg.slogdet", "slogdet"):
    rows(name, SQUARE + [[T(3, 3)]], lambda x: tuple(L.slogdet(x)))
rows("linalg.solve", [[q(3, 3), T(3)], [q(3, 3, layout="t"), T(3, 2)], [q(2, 3, 3), T(2, 3, 1, layout="s")],
                      [q(2, 3, 3), T(3, 2)], [q(2, 2, 2), T(2, 2, 1)], [q(1, 1), T(1, 1)],
                      [q(5, 5), T(5, 3, layout="t")]], solve)
TRIANGLES = [[T(3, 3, kind="l"), T(3, 2), dict(upper=False)], [T(3, 3, kind="l", layout="t"), T(2, 3),
                                                               dict(upper=False, left=False)],
             [T(2, 3, 3, kind="l"), T(2, 3, 1), dict(upper=False, unitriangular=True)],
             [q(3, 3), T(3, 2, layout="s"), dict(upper=True)],
             [q(4, 4), T(2, 4), dict(upper=True, left=False)], [q(2, 2), T(3, 2, 2),
                                                                dict(upper=True, unitriangular=True)]]


def triangular(a, b, upper, left=True, unitriangular=False):
    """Only that triangle is read, and has the gradient."""
    a = torch.triu(a, 1 if unitriangular else 0) if upper else torch.tril(a, -1 if unitriangular else 0)
    if unitriangular:
        a = a + torch.eye(a.shape[-1], dtype=a.dtype)
    return L.solve_triangular(a, b, upper=upper, left=left)


rows("linalg.solve_triangular", TRIANGLES, triangular)
rows("linalg.cholesky", [[y(3, 3)], [y(2, 3, 3, layout="t")], [y(4, 4), dict(upper=True)], [y(1, 1)],
                         [y(5, 5, layout="s")]],
     lambda x, upper=False: L.cholesky((x + x.mT) / 2, upper=upper))
CHOLESKY = [[T(3, 2), T(3, 3, kind="l")], [T(2, 3, 1, layout="t"), T(2, 3, 3, kind="l")], [T(3, 2), q(3, 3), True]]


def factor(f, upper):
    f = torch.triu(f) if upper else torch.tril(f)
    return f.mT @ f if upper else f @ f.mT


rows("cholesky_solve", CHOLESKY, lambda b, f, upper=False: L.solve(factor(f, upper), b))
rows("cholesky_inverse", [[T(3, 3, kind="l")], [T(2, 2, 2, kind="l", layout="t")], [q(3, 3), True]],
     lambda f, upper=False: L.inv(factor(f, upper)))
rows("linalg.lu", [[q(3, 3)], [T(2, 3, 3, layout="t", key=3)], [q(4, 4, layout="s")]], lu)
rows("linalg.lu", [[T(4, 3)], [T(3, 5)]], lu, grads=False, dtypes="d")
rows("linalg.lu_factor", [[q(3, 3)], [T(2, 3, 3, layout="t", key=3)], [q(4, 4)]], lu_factor, positions=(1,))
rows("linalg.lu_factor", [[T(4, 3)], [T(3, 5)]], lu_factor, grads=False, positions=(1,), dtypes="d")
rows("linalg.lu_solve", [[q(3, 3), T(3, dtype="i", values=[3, 2, 3], index=True), T(3, 2)],
                         [q(2, 2, 2), T(2, 2, dtype="i", values=[2, 2, 1, 2], index=True), T(2, 2, 1)]],
     lambda f, p, b: torch.lu_solve(b, f, (p + 1).int()))
rows("linalg.eigh", [[T(3, 3, kind="k")], [T(2, 3, 3, kind="k", layout="t")], [y(4, 4), dict(UPLO="U")], [T(1, 1)]],
     lambda x, UPLO="L": eigh((x + x.mT) / 2, UPLO))
rows("linalg.eigvalsh", [[T(3, 3, kind="k")], [T(2, 3, 3, kind="k", layout="t")], [y(4, 4), dict(UPLO="U")]],
     lambda x, UPLO="L": L.eigh((x + x.mT) / 2, UPLO=UPLO)[0])
# the order of eigenvalues is LAPACK's, and not the same in both dtypes
rows("linalg.eig", [[q(3, 3)], [T(2, 2, 2, layout="t")]], eig, grads=False)
rows("linalg.eig", [[T(4, 4)], [T(5, 5)]], eig, grads=False, dtypes="d")
rows("linalg.eigvals", [[q(3, 3)], [T(2, 2, 2, layout="t")]], lambda x: eig(x)[:2], grads=False)
rows("linalg.eigvals", [[T(4, 4)], [T(5, 5)]], lambda x: eig(x)[:2], grads=False, dtypes="d")
rows("linalg.svd", [[T(3, 3)], [T(2, 3, 3, layout="t")], [T(4, 3), dict(full_matrices=False)],
                    [T(2, 4, layout="s"), dict(full_matrices=False)]], svd)
rows("linalg.svdvals", [[T(3, 3)], [T(2, 3, 4, layout="t")], [T(4, 2)]], lambda x: L.svd(x, full_matrices=False)[1])
rows("linalg.qr", [[T(3, 3)], [T(4, 3, layout="t")], [T(2, 4, 2)], [T(3, 3), "complete"], [T(2, 4)]], qr)
rows("linalg.pinv", [[T(3, 3)], [T(4, 3, layout="t")], [T(2, 2, 3)], [T(3, 4), dict(rtol=0.2)]],
     lambda x, rtol=None: L.pinv(x, rtol=rtol))
rows("linalg.pinv", [[T(3, 3, kind="k"), dict(hermitian=True)]],
     lambda x, hermitian: L.pinv((x + x.mT) / 2, hermitian=True),
     second=False)  # only sums of mirrored elements are defined
rows("linalg.lstsq", [[T(4, 2), T(4)], [T(4, 3, layout="t"), T(4, 2)], [T(3, 3), T(3, 1)], [T(2, 4, 2), T(2, 4, 3)],
                      [T(2, 4), T(2)]], lstsq)
rows("linalg.lstsq", [[T(4, 3), T(4), 0.3]], lstsq, grads=False)
rows("linalg.matrix_rank", [[T(3, 4)], [T(2, 2, values=[1.0, 2.0, 2.0, 4.0])], [T(3, 3), dict(atol=1.0)],
                            [T(3, 3, kind="k"), dict(hermitian=True)], [T(3, 3), dict(rtol=0.5)], [T(2, 3, 3)]],
     lambda x, **more: L.matrix_rank(x, **more), grads=False, native=True)
for name in ("linalg.matrix_exp", "matrix_exp"):
    rows(name, [[T(3, 3)], [T(2, 2, 2, layout="t")], [q(3, 3)], [T(1, 1)], [T(4, 4, kind="w")]], torch.matrix_exp,
         second=False)
rows("linalg.householder_product", [[T(4, 3), T(3)], [T(3, 3, layout="t"), T(2)], [T(2, 4, 2), T(2, 2)]],
     L.householder_product)
