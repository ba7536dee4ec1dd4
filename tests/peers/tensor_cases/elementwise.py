"""Rows of one operand: values, special values and gradients in several shapes and layouts."""

import numpy
import scipy.special
import torch

from .cases import SPECIAL as SPECIAL_VALUES
from .cases import Row, T

TOLERANCE = (1e-6, 1e-13, "element", "true")

SHAPES = [
    [T()], [T(7)], [T(3, 4, layout="t")], [T(2, 5, layout="s")], [T(2, 1, 3, 1, 2)],
]
MORE = [[T(0)], [T(3, 2, layout="b")], [T(1, layout="o")], [T(2, 0, 3)]]
SPECIAL = [[T(-1, kind="S")]]


def fresh(lists):
    """Argument lists of their own: keys are given to tensors where they stand."""
    return [[T(*t.shape, kind=t.kind, dtype=t.dtype, layout=t.layout) if isinstance(t,
        T) else t for t in a] for a in lists]


def unary(name, kind="x", peer=None, special_grads=True, native_special=False, **options):
    yield Row(name, fresh(SHAPES), peer, kind=kind, **options)
    yield Row(name, fresh(MORE), peer, dtypes="f", kind=kind, **options)
    options["grads"] = options.get("grads", True) and special_grads
    yield Row(name, fresh(SPECIAL), peer, dtypes="f", native=native_special, **options)
    yield Row(name, fresh(SPECIAL), peer, dtypes="d", second=False, **{k: v for k,
        v in options.items() if k != "second"})


class Value(torch.autograd.Function):
    """The value v in the place of y, whose gradient stays: where PyTorch's own value is not the best."""

    @staticmethod
    def forward(ctx, y, v):
        return v.clone()

    @staticmethod
    def backward(ctx, g):
        return g, None


def better(peer, exact):
    """peer with the values of exact, a function of arrays of NumPy's long double."""
    def function(x):
        with numpy.errstate(all="ignore"):
            v = numpy.asarray(exact(x.detach().numpy().astype(numpy.longdouble)), dtype=numpy.float64)
        return Value.apply(peer(x), torch.from_numpy(v).to(x.dtype).reshape(x.shape))
    return function


def quiet(peer):
    """peer with a gradient of 0 at NaN, as their documentation says; PyTorch passes it on."""
    return lambda x: peer(torch.where(x.isnan(), x.detach(), x))


class Polygamma(torch.autograd.Function):
    """SciPy's: PyTorch's trigamma has ten digits. Left of 0 by reflection, at poles NaN."""

    @staticmethod
    def forward(ctx, x, order):
        ctx.save_for_backward(x)
        ctx.order = order
        v = x.detach().numpy()
        with numpy.errstate(all="ignore"):
            y = scipy.special.polygamma(order, v) if order else scipy.special.digamma(v)
            if order == 1:
                mirrored = (numpy.pi / numpy.sin(numpy.pi * v)) ** 2 - scipy.special.polygamma(1, 1 - v)
                y = numpy.where(v > 0, y, numpy.where((v == numpy.round(v)) & (v < 0), numpy.nan, mirrored))
        return torch.from_numpy(numpy.asarray(y))

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * Polygamma.apply(x, ctx.order + 1), None


def silu_exact(x):
    """x sigmoid(x); 0 at -infinity, its limit (as the documentation says)."""
    return numpy.where(x == -numpy.inf, -0.0, numpy.where(x < 0, x * numpy.exp(x) / (1 + numpy.exp(x)),
                                                          x / (1 + numpy.exp(-x))))


def mish_exact(x):
    return numpy.where(x == -numpy.inf, -0.0, x * numpy.tanh(numpy.log1p(numpy.exp(numpy.minimum(x, 100)))))


def sinc_exact(x):
    """NumPy's and PyTorch's sin(pi n) is not exactly 0; at infinities 0, the limit (as the documentation says)."""
    y = numpy.sinc(x.astype(numpy.float64))
    return numpy.where((x == numpy.round(x)) & (x != 0) & ~numpy.isnan(x), 0, y)


def cbrt(x):
    """PyTorch has none."""
    return torch.sign(x) * x.abs() ** (1 / 3)


def selu(x):
    """PyTorch's exp(x) - 1 cancels."""
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return scale * torch.where(x > 0, x, alpha * torch.expm1(torch.where(x > 0, 0 * x.detach(), x)))


INTEGERS = [[T(-1, kind="S")], [T(2, 3, layout="t")], [T()], [T(0)]]


def integer(name, peer=None, dtypes="i", **options):
    return Row(name, fresh(INTEGERS if dtypes == "i" else [[T(2, 3)], [T(0)]]), peer, dtypes=dtypes, grads=False,
               **options)


F = torch.nn.functional
WITHOUT_NAN = T(25, values=SPECIAL_VALUES["fS"][:-1])
ROWS = []
for name, kind in dict(reciprocal="p", sqrt="p", rsqrt="p", exp="w", expm1="w", log="p", sin="w", cos="w", tanh="x",
                       sigmoid="w", frac="w", exp2="w", log2="p", log10="p", asin="c", acos="c", atan="w",
                       atanh="c", erf="x", erfc="x", erfinv="c").items():
    ROWS += unary(name, kind)
for name, kind in dict(square="x", asinh="w", acosh="g").items():
    ROWS += unary(name, kind, native_special=True)  # x * x overflows in the gradient
ROWS += unary("neg")
ROWS += unary("abs", peer=quiet(torch.abs), special_grads=False)  # at NaN ours is that of sign, NaN
ROWS += unary("relu", peer=quiet(torch.relu))
ROWS += unary("log1p", "u", better(torch.log1p, numpy.log1p))  # PyTorch's vectors lose the largest numbers
ROWS += unary("tan", "x", better(torch.tan, numpy.tan))
ROWS += unary("sinh", "x", better(torch.sinh, numpy.sinh), special_grads=False)
ROWS += unary("cosh", "x", better(torch.cosh, numpy.cosh), special_grads=False)
ROWS += unary("sinc", "x", better(torch.sinc, sinc_exact), special_grads=False)  # near 0 both derivatives cancel
ROWS += unary("cbrt", "p", better(cbrt, numpy.cbrt), special_grads=False)
ROWS += unary("lgamma", "p", lambda x: torch.lgamma(x), second=False)
ROWS += unary("digamma", "p", lambda x: Polygamma.apply(x, 0), second=False)
ROWS.append(Row("sign", fresh(SHAPES + MORE + [[T(-1, kind="S")]]),
                lambda x: torch.from_numpy(numpy.asarray(numpy.sign(x.numpy()))), kind="z", grads=False))
for name in "floor ceil round trunc isnan isinf isfinite".split():
    ROWS += unary(name, "z", grads=False)
ROWS.append(Row("signbit", fresh(SHAPES + MORE) + [[WITHOUT_NAN]], kind="z", grads=False))
ROWS += unary("relu6", "w", quiet(F.relu6))
ROWS += unary("hardsigmoid", "w", quiet(lambda x: F.relu6(x + 3) / 6))  # PyTorch's sixth is one of float32
# PyTorch's own gradient at 3 depends on whether a vector instruction makes it
ROWS += unary("hardswish", "w", lambda x: x * (F.relu6(x + 3) / 6), special_grads=False)
ROWS += unary("softsign", "w", F.softsign, special_grads=False)  # inf / inf, where the derivative is 0
ROWS += unary("silu", "w", better(F.silu, silu_exact), special_grads=False)
ROWS += unary("mish", "w", better(F.mish, mish_exact), special_grads=False)
ROWS += unary("selu", "w", selu)
ROWS += unary("logsigmoid", "w", F.logsigmoid)
for name in "neg abs sign square floor ceil round trunc relu signbit isnan isinf isfinite".split():
    ROWS.append(integer(name))
for name in "signbit isnan isinf isfinite".split():
    ROWS.append(integer(name, dtypes="ub"))
