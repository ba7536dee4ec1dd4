"""What a case of tensor_golden.py is: operands that Python and Lua both make from one text, and what the peer says.

An argument list is written as scripts of Perilune write it, counting from 1, with tensors as T(sizes..) and positions
as At(n); the peer gets the same counted from 0. A trailing dictionary holds options.

The numbers of a tensor are a formula of their place (`formula`, which tests/spec/tensor_golden_spec.lua has, too):
multiples of 1/128, which every float dtype holds, or integers. Cases of float32 are computed in float64 from the
float32 operands and rounded once, unless they are `native`."""

import numpy
import torch

DTYPES = {"f": torch.float32, "d": torch.float64, "i": torch.int64, "u": torch.uint8, "b": torch.bool}
LETTERS = {dtype: letter for letter, dtype in DTYPES.items()}
INF, NAN = float("inf"), float("nan")
MAX, MIN = 2**63 - 1, -(2**63)

_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.75, -3.75, 0.1, 1e-3, -1e-6, 1e-30, 1e-40, -1e-40, 10.25, 88.5,
           -104.0, 16777217.0, 1e10, -3e30]
_PAIRS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.75, 1e-40, -1e30, INF, -INF, NAN]

# Special values: S of each dtype, and the shorter B of which all pairs are formed.
SPECIAL = {
    "fS": _FLOATS + [3.4028234663852886e38, INF, -INF, NAN],
    "dS": _FLOATS + [710.0, -745.0, 1e-310, 5e-324, 1.7976931348623157e308, INF, -INF, NAN],
    "iS": [0, 1, -1, 2, -3, 7, 256, 2**53 + 1, MAX, MAX - 1, MIN],
    "uS": [0, 1, 2, 128, 255],
    "bS": [True, False],
    "fB": _PAIRS, "dB": _PAIRS, "iB": [0, 1, -1, 2, -7, 256, 2**53 + 1, MAX, MIN],
    "uB": [0, 1, 128, 255], "bB": [True, False],
}

# Numbers by k, a number of 0..100 that runs through all of them.
KINDS = {
    "x": lambda k: (k - 50) / 32,   # about 0
    "w": lambda k: (k - 50) / 8,    # wider
    "p": lambda k: (k + 4) / 32,    # above 0
    "u": lambda k: (k + 14) / 128,  # between 0 and 1
    "c": lambda k: (k - 50) / 64,   # between -1 and 1
    "g": lambda k: (k + 36) / 32,   # above 1
    "z": lambda k: (k % 7 - 3) / 2, # equal ones, zeros, halves
    "s": lambda k: k % 2 * 2 - 1,   # -1 and 1
    "i": lambda k: k - 50, "j": lambda k: k % 9 - 4, "n": lambda k: k % 9 + 1,
    "m": lambda k: k % 3 == 0,
}


def formula(kind, key, count, high=0):
    numbers = [(73 * i + 29 * key) % 101 for i in range(count)]
    return [k % high + 1 for k in numbers] if kind == "h" else [KINDS[kind](k) for k in numbers]


def product(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def rounded(values, letter):
    return [float(numpy.float32(v)) for v in values] if letter == "f" else values


def matrices(kind, values, shape):
    """Of numbers about 0: q regular matrices, y positive definite ones, k symmetric ones, l lower triangles."""
    x = torch.tensor(values, dtype=torch.float64).reshape(shape)
    eye = torch.eye(shape[-2], shape[-1], dtype=torch.float64)
    if kind == "q":
        return x + 3 * eye
    if kind == "l":
        return torch.tril(x) * (1 - eye) + (x.abs() + 1) * eye
    x = (x + x.mT) / 2
    return x + 6 * eye if kind == "y" else x


class T:
    """A tensor: its dtype is the case's or `dtype`; `layout` t has its dimensions in reverse in memory, s every
    second place of the last, o lies within a larger one, b is broadcast along its first dimension. `index`: values are
    positions, from 1. `grad`: whether its gradient is wanted where it is of floats."""

    def __init__(self, *shape, kind=None, dtype=None, layout="", key=None, high=0, values=None, index=False, grad=True):
        self.shape, self.kind, self.dtype, self.layout, self.key = list(shape), kind, dtype, layout, key
        self.high, self.values, self.index, self.grad = high, values, index or kind == "h", grad
        if values is not None and not shape:
            self.shape = [len(values)]

    def letter(self, case):
        return self.dtype or ("i" if self.kind == "h" else case.dtype)

    def settled_kind(self, case):
        letter, kind = self.letter(case), self.kind or case.row.kind
        if letter in "fd":
            return kind
        return {"b": "m", "u": "n", "i": kind if kind in "ijnhsSB" else "i"}[letter] if kind not in "SB" else kind

    def sizes(self, case):
        """Special values are as many as they are: a size of -1 stands for that."""
        return [len(SPECIAL[self.letter(case) + self.kind]) if n < 0 else n for n in self.shape]

    def numbers(self, case):
        letter, kind, count = self.letter(case), self.settled_kind(case), product(self.shape)
        if self.values is not None:
            return self.values
        if kind in "SB":
            return SPECIAL[letter + kind]
        if self.layout == "b":
            part = formula(kind, self.key, count // max(self.shape[0], 1), self.high)
            return part * self.shape[0]
        if kind in "qykl":
            return matrices(kind, formula("x", self.key, count), self.shape).flatten().tolist()
        return formula(kind, self.key, count, self.high)

    def lua(self, case):
        letter, kind = self.letter(case), self.settled_kind(case)
        shape = ",".join(map(str, self.sizes(case))) or "-"
        head = "@%s%s%s %s" % (letter, "*" if self.wants(case) else "", self.layout, shape)
        if self.values is not None:
            return '"%s|%s"' % (head, " ".join(number(v) for v in self.values))
        return '"%s %s%s"' % (head, kind, "" if kind in "SB" else "%d%s" % (self.key,
            ".%d" % self.high if self.high else ""))

    def wants(self, case):
        return self.grad and case.row.grads and self.letter(case) in "fd" and not self.index

    def peer(self, case):
        letter = self.letter(case)
        values = rounded(self.numbers(case), letter)
        if self.index:
            values = [v - 1 if v > 0 else v for v in values]
        dtype = torch.float64 if letter == "f" and case.wide else DTYPES[letter]
        x = torch.tensor(values, dtype=dtype).reshape(self.sizes(case))
        if self.wants(case):
            case.leaves.append(x.requires_grad_())
        return x


class At(int):
    """A position or a dimension, from 1 or from the end."""

    def peer(self):
        return int(self) - 1 if self > 0 else int(self)


def number(v):
    """The shortest text that reads as this number; signs of zeros stay."""
    if isinstance(v, bool):
        return "1" if v else "0"
    text = str(v)
    return text[:-2] if text.endswith(".0") and text != "-0.0" else text


def lua(value, case):
    if isinstance(value, T):
        return value.lua(case)
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"%s"' % value
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(lua(v, case) for v in value) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join("%s = %s" % (k, lua(v, case)) for k, v in value.items()) + "}"
    if isinstance(value, float) and (value != value or value in (INF, -INF)):
        return {True: "0/0"}.get(value != value) or ("1/0" if value > 0 else "-1/0")
    if value == MIN:
        return "math.mininteger"
    return repr(int(value)) if isinstance(value, int) else repr(value)


def peer(value, case):
    if isinstance(value, T):
        return value.peer(case)
    if isinstance(value, At):
        return value.peer()
    if isinstance(value, (list, tuple)):
        return [peer(v, case) for v in value]
    if isinstance(value, dict):
        return {k: peer(v, case) for k, v in sorted(value.items())}  # leaves in the order of names
    return value


def keys(value, next_key=1):
    """Gives each tensor that has none a key of its own, and says the next one."""
    if isinstance(value, T):
        if value.key is None:
            value.key = next_key
        return next_key + 1
    for v in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []:
        next_key = keys(v, next_key)
    return next_key


def all_tensors(value):
    if isinstance(value, T):
        return [value]
    parts = [v for _, v in sorted(value.items())] if isinstance(value, dict) else value if isinstance(value,
        (list, tuple)) else []
    return [t for v in parts for t in all_tensors(v)]


class Row:
    """A row of the operation table and its argument lists.

    peer      the function of the peer, of the same name in torch where it is left out
    dtypes    letters: each list is taken in each, or of a row that is `thin` in one of them, by turns
    kind      of the numbers of tensors that say none
    grads     whether gradients are compared, second: those of second order too, in float64
    native    float32 is computed by the peer in float32
    positions the numbers of results (from 0) that are positions
    out       the dtype of float results, where it is not that of the operands"""

    def __init__(self, name, lists, peer=None, dtypes="fd", kind="x", grads=True, second=True, native=False,
                 positions=(), out=None, thin=False):
        self.name, self.lists, self.dtypes, self.kind = name, lists, dtypes, kind
        self.thin = thin
        self.grads, self.second, self.native, self.positions, self.out = grads, second, native, positions, out
        self.function = peer or getattr(torch, name.split(".")[-1])


class Case:
    def __init__(self, row, arguments, dtype):
        keys(arguments)
        self.row, self.arguments, self.dtype, self.leaves = row, arguments, dtype, []
        letters = {t.letter(self) for t in all_tensors(arguments)}
        self.wide = not row.native and "f" in letters and "d" not in letters

    def result_letter(self, x):
        letter = LETTERS[x.dtype]
        if letter == "d" and self.row.out:
            return self.row.out
        return "f" if letter == "d" and self.wide else letter

    def text(self, x, letter=None, add=0):
        if not torch.is_tensor(x):
            return "%s|%s" % ("t" if isinstance(x, bool) else "n", number(x + add if add else x))
        letter = letter or self.result_letter(x)
        values = (x.detach() + add if add else x.detach()).flatten()
        if letter == "f":
            with numpy.errstate(over="ignore"):
                values = values.numpy().astype(numpy.float32)
        shape = ",".join(map(str, x.shape)) or "-"
        return "%s %s|%s" % (letter, shape, " ".join(number(v) for v in (values if letter == "f" else values.tolist())))

    def gradients(self, outputs):
        """The gradients of sum(cotangent * output), and of what they give with cotangents of their own."""
        live = [(k, y) for k, y in enumerate(outputs) if torch.is_tensor(y) and y.requires_grad]
        if not live or not self.leaves:
            return None, None
        total = sum((y * cotangent(9 + k, y)).sum() for k, y in live)
        if not self.row.second or self.dtype != "d":
            return torch.autograd.grad(total, self.leaves, allow_unused=True), None
        first = torch.autograd.grad(total, self.leaves, create_graph=True, allow_unused=True)
        again = [(g * cotangent(20 + i, g)).sum() for i, g in enumerate(first) if g is not None and g.requires_grad]
        if not again:
            return first, None
        try:
            return first, torch.autograd.grad(sum(again), self.leaves, allow_unused=True)
        except RuntimeError as error:
            if "not implemented" not in str(error):
                raise
            return first, None  # PyTorch has none

    def line(self):
        arguments = peer(self.arguments, self)
        options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
        outputs = self.row.function(*arguments, **options)
        if not isinstance(outputs, (tuple, list)):
            outputs = [outputs]
        texts = [self.text(y, add=1 if k in self.row.positions else 0) for k, y in enumerate(outputs)]
        parts = ['"%s"' % self.row.name, lua(self.arguments, self), "{%s}" % ", ".join('"%s"' % t for t in texts)]
        for name, list_ in zip("gh", self.gradients(outputs)):
            if list_ is None:
                continue
            letters = [t.letter(self) for t in all_tensors(self.arguments) if t.wants(self)]
            zeros = [torch.zeros(x.shape, dtype=x.dtype) if g is None or g._is_zerotensor() else g
                     for g, x in zip(list_, self.leaves)]
            parts.append("%s = {%s}" % (name, ", ".join('"%s"' % self.text(g, l) for g, l in zip(zeros, letters))))
        return "  {" + ", ".join(parts) + "},"


def cotangent(key, like):
    return torch.tensor(formula("x", key, like.numel()), dtype=like.dtype).reshape(like.shape)


def lines(rows):
    for row in rows:
        for k, arguments in enumerate(row.lists):
            for dtype in row.dtypes[k % len(row.dtypes)] if row.thin else row.dtypes:
                case = Case(row, list(arguments), dtype)
                try:
                    yield case.line()
                except Exception as error:
                    raise RuntimeError("%s%s of %s: %s" % (row.name, lua(case.arguments, case), dtype,
                                                           error)) from error
