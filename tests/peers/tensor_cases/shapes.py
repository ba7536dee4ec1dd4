"""Rows that move elements: views, joins, repetitions, triangles, windows."""

import torch

from .cases import At, Row, T

TOLERANCE = (0, 0, "element", "true")
F = torch.nn.functional
ROWS = []


def moves(name, lists, peer=None, whole="iub", second=False, **options):
    """Gradients in both float dtypes by turns, the same lists in integers and masks by turns."""
    ROWS.append(Row(name, lists, peer, second=second, thin=True, **options))
    if whole:
        ROWS.append(Row(name, lists, peer, dtypes=whole, grads=False, thin=True, **options))


def method(name):
    return lambda x, *rest: getattr(x, name)(*rest)


def sized(function):
    """Sizes one by one or in a list."""
    return lambda x, *sizes: function(x, list(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0],
        list) else list(sizes))


moves("view", [[T(3, 4), 2, 6], [T(3, 4), [12]], [T(2, 3, 4), 6, -1], [T(2, 0), 0, 3], [T(1), []],
               [T(4, layout="s"), 2, 2]],
      sized(lambda x, s: x.view(s)))
moves("reshape", [[T(3, 4), 2, 6], [T(3, 4, layout="t"), 12], [T(2, 3, 4, layout="s"), 6, -1], [T(2, 0), 0, 3],
                  [T(1), []],
                  [T(), [1, 1]], [T(4, 3, layout="b"), 2, 6]], sized(torch.reshape))
moves("view_as", [[T(3, 4), T(2, 6, grad=False)], [T(4), T(2, 2, grad=False)]], lambda x, y: x.view(y.shape))
moves("reshape_as", [[T(3, 4, layout="t"), T(2, 6, grad=False)], [T(4), T(2, 2, grad=False)]],
      lambda x, y: x.reshape(y.shape))
moves("flatten", [[T(3, 4, layout="t")], [T(2, 3, 4), At(2)], [T(2, 3, 4, 2), At(2), At(3)], [T()],
                  [T(2, 0, 3), At(1), At(2)]],
      lambda x, a=0, b=-1: torch.flatten(x, a, b))
moves("clone", [[T(3, 4, layout="t")], [T()], [T(0)], [T(4, 2, layout="b")]])
moves("contiguous", [[T(3, 4, layout="t")], [T(5, layout="s")], [T(0)]], method("contiguous"))
moves("detach", [[T(3, 4, layout="t")], [T()]], method("detach"))
moves("narrow", [[T(5), At(1), At(2), 3], [T(3, 4, layout="t"), At(2), At(1), 2], [T(3, 4), At(-1), At(-2), 2],
                 [T(2, 3, 4, layout="s"), At(2), At(3), 0], [T(2, 1, 3, 1, 2), At(3), At(2), 2]],
      lambda x, d, s, n: torch.narrow(x, d, s if s >= 0 else x.shape[d] + s, n))
moves("select", [[T(5), At(1), At(2)], [T(3, 4, layout="t"), At(2), At(-1)], [T(2, 3, 4), At(-2), At(3)]], torch.select)


def sliced(x, d, a, b, step=1):
    """Both ends are included; positions count from 1 here."""
    n = x.shape[d]
    a, b = [v + n if v < 0 else v for v in (a, b)]
    return x.index_select(d, torch.arange(a, b + (1 if step > 0 else -1), step)) if a <= b else x.narrow(d, 0, 0)


moves("slice", [[T(7), At(1), At(2), At(6), 2], [T(3, 4, layout="t"), At(2), At(1), At(3)],
                [T(3, 4), At(-1), At(-3), At(-1)],
                [T(2, 1, 3, 1, 2), At(3), At(1), At(3), 2]], sliced)


def scattered(choose):
    def call(x, source, *rest):
        y = x.clone()
        view = choose(torch.arange(x.numel()).reshape(x.shape), *rest).flatten()
        shape = choose(x, *rest).shape
        flat = y.flatten().index_put((view,), source.expand(shape).flatten() if torch.is_tensor(source) else
                                     torch.full(shape, source, dtype=x.dtype).flatten())
        return flat.reshape(x.shape)
    return call


moves("slice_scatter", [[T(7), T(3), At(1), At(2), At(6), 2], [T(3, 4, layout="t"), T(3, 2), At(2), At(1), At(2)],
                        [T(3, 4), T(1), At(1), At(2), At(3)], [T(5), 1, At(1), At(1), At(2)]], scattered(sliced),
                        whole="iu")
moves("select_scatter", [[T(5), T(), At(1), At(2)], [T(3, 4, layout="t"), T(3), At(2), At(-1)],
                         [T(2, 3), 1, At(1), At(2)]],
      scattered(torch.select), whole="iu")
moves("permute", [[T(3, 4), At(2), At(1)], [T(2, 3, 4, layout="s"), [At(3), At(1), At(2)]],
                  [T(2, 1, 3, 1, 2), At(5), At(4), At(3), At(2), At(1)],
                  [T(2, 3, 4), At(-1), At(1), At(-2)], [T(4), At(1)]], sized(torch.permute))
moves("movedim", [[T(2, 3, 4), At(1), At(3)], [T(2, 3, 4), [At(1), At(2)], [At(3), At(1)]],
                  [T(3, 4, layout="t"), At(-1), At(1)]])
moves("transpose", [[T(3, 4), At(1), At(2)], [T(2, 3, 4, layout="s"), At(-1), At(1)], [T(3), At(1), At(1)]])
moves("t", [[T(3, 4)], [T(2, 5, layout="s")], [T(0, 3)]])
moves("expand", [[T(3, 1), 3, 4], [T(4), 2, 3, 4], [T(1, 3, 1, layout="s"), [2, -1, 2]], [T(), 2, 2], [T(1), 0]],
      sized(lambda x, s: x.expand(s)))
moves("expand_as", [[T(3, 1), T(3, 4, grad=False)], [T(4), T(2, 3, 4, grad=False)]], lambda x, y: x.expand(y.shape))
moves("squeeze", [[T(1, 3, 1)], [T(1, 3, 1, layout="t"), At(1)], [T(2, 3), At(1)], [T(1)], [T(2, 1, 3, 1, 2), At(-2)]],
      torch.squeeze)
moves("unsqueeze", [[T(3), At(1)], [T(3, layout="s"), At(2)], [T(2, 3, layout="t"), At(-1)], [T(), At(1)],
                    [T(2, 3), At(2)]])
moves("unflatten", [[T(6), At(1), [2, 3]], [T(2, 12, layout="s"), At(2), [3, -1]], [T(4, 3), At(-2), [2, 2]]],
      lambda x, d, s: x.unflatten(d, s))
for k in "123":
    moves("atleast_%sd" % k, [[T()], [T(3)], [T(2, 3, layout="t")], [T(2, 3, 2, 2)]])
moves("split", [[T(7), 3], [T(3, 4, layout="t"), 2, At(2)], [T(6), [1, 3, 2]], [T(4, 3), [0, 4]], [T(5), 9]],
      lambda x, n, d=0: list(torch.split(x, n, d)))
moves("chunk", [[T(7), 3], [T(3, 5, layout="t"), 2, At(2)], [T(4), 6], [T(2, 6), 4, At(-1)]],
      lambda x, n, d=0: list(torch.chunk(x, n, d)))
moves("tensor_split", [[T(7), 3], [T(3, 5, layout="t"), 2, At(2)], [T(2), 4], [T(7), [2, 5]], [T(3, 6), [1, 4], At(2)]],
      lambda x, n, d=0: list(torch.tensor_split(x, n, d)))
moves("hsplit", [[T(6), 2], [T(3, 4, layout="t"), 3], [T(2, 5), [2, 3]]],
      lambda x, n: list(torch.tensor_split(x, n, min(1, x.dim() - 1))))
moves("vsplit", [[T(6, 2), 2], [T(3, 4, layout="t"), 2], [T(5, 2), [1, 3]]],
      lambda x, n: list(torch.tensor_split(x, n, 0)))
moves("unbind", [[T(3)], [T(3, 4, layout="t"), At(2)], [T(2, 3, 2), At(-1)]], lambda x, d=0: list(torch.unbind(x, d)))
moves("broadcast_tensors", [[[T(3, 1), T(4)]], [[T(2, 3, layout="t"), T(), T(1, 3)]], [[T(0), T(1)]]],
      lambda x: list(torch.broadcast_tensors(*x)))
moves("meshgrid", [[[T(3), T(2)]], [[T(3), T(2, layout="s"), T(4)], "xy"], [[T(2)]], [[T(3), T(1)], "xy"]],
      lambda x, indexing="ij": list(torch.meshgrid(*x, indexing=indexing)))
moves("diagonal", [[T(3, 4)], [T(3, 4, layout="t"), 1], [T(3, 4), -1], [T(2, 3, 4, layout="s"), 1, At(1), At(3)],
                   [T(2, 3, 3), 0, At(-2), At(-1)],
                   [T(3, 3), 3]], torch.diagonal)
moves("diag_embed", [[T(3)], [T(2, 3, layout="t"), 1], [T(2, 3), -1, At(1), At(3)], [T(2, 3), 0, At(1), At(2)]],
      torch.diag_embed)
moves("diag", [[T(3)], [T(3, layout="s"), 1], [T(3, 4, layout="t")], [T(3, 4), -1], [T(3), -2], [T(0)]], torch.diag)
for name in "tril triu".split():
    moves(name, [[T(3, 4)], [T(4, 3, layout="t"), 1], [T(2, 3, 3, layout="s"), -1], [T(3, 4), 5], [T(3, 4), -5],
                 [T(0, 3)]])
moves("unfold", [[T(7), At(1), 3, 2], [T(3, 5, layout="t"), At(2), 2, 1], [T(2, 6, 2), At(-2), 3, 3],
                 [T(4), At(1), 4, 1]],
      lambda x, d, n, s: x.unfold(d, n, s))
moves("flip", [[T(5), At(1)], [T(3, 4, layout="t"), [At(1), At(2)]], [T(2, 3, 4), At(-1)],
               [T(2, 3, 4, layout="s"), At(1), At(3)], [T(0), At(1)]],
      sized(torch.flip))
moves("flipud", [[T(5)], [T(3, 4, layout="t")]])
moves("fliplr", [[T(2, 5, layout="s")], [T(3, 4, layout="t")]])
moves("rot90", [[T(3, 4)], [T(3, 4, layout="t"), 2], [T(3, 4), -1], [T(2, 3, 2), 1, [At(2), At(3)]],
                [T(2, 3), 3, [At(2), At(1)]], [T(2, 3), 0]],
      lambda x, k=1, dims=(0, 1): torch.rot90(x, k, dims))
moves("roll", [[T(5), 2], [T(3, 4, layout="t"), 1, At(1)], [T(3, 4), [1, -2], [At(1), At(2)]], [T(3, 4), -5],
               [T(2, 3, 2), 7, At(-1)], [T(0), 1]],
      lambda x, s, d=None: torch.roll(x, s, d))
moves("tile", [[T(3), 2], [T(2, 3, layout="t"), 2, 2], [T(3), [2, 1]], [T(2, 3), [1, 2, 1]], [T(2, 2, 2), 2],
               [T(), 3]], sized(torch.tile))
moves("repeat_interleave", [[T(3), 2], [T(2, 3, layout="t"), 2, At(2)], [T(3), T(dtype="i", values=[1, 0, 2])],
                            [T(3, 2), T(dtype="i", values=[2, 0, 1]), At(1)], [T(2, 2), 3], [T(3), 0]],
      lambda x, n, d=None: torch.repeat_interleave(x, n, d))
moves("cat", [[[T(3), T(2)]], [[T(2, 3, layout="t"), T(1, 3)]], [[T(2, 3), T(2, 1, layout="s"), T(2, 2)], At(2)],
              [[T(2, 0), T(2, 3)], At(-1)],
              [[T(2)]], [[T(2, 1, 3, 1, 2), T(2, 1, 1, 1, 2)], At(3)]], torch.cat)
moves("stack", [[[T(3), T(3)]], [[T(2, 3, layout="t"), T(2, 3)], At(2)], [[T(2, 3), T(2, 3, layout="s")], At(-1)],
                [[T(), T()]]], torch.stack)
LETTERS = "fdiub"
ROWS.append(Row("cat", [[[T(2, dtype=a), T(3, dtype=b)]] for a in LETTERS for b in LETTERS if a != b], torch.cat,
                dtypes="f",
                grads=False, native=True))
ROWS.append(Row("stack", [[[T(2, dtype=a), T(2, dtype=b)]] for a in LETTERS for b in LETTERS if a != b],
                lambda x: torch.stack(x),
                dtypes="f", grads=False, native=True))
ROWS.append(Row("cat", [[[T(2, dtype="f"), T(3, dtype="d")]], [[T(2, dtype="i"), T(3, dtype="d"), T(1, dtype="f")]]],
                torch.cat,
                dtypes="f"))
ROWS.append(Row("stack", [[[T(2, dtype="f"), T(2, dtype="d")], At(2)]], torch.stack, dtypes="f"))
moves("hstack", [[[T(3), T(2)]], [[T(2, 3, layout="t"), T(2, 1)]], [[T(), T()]]])
moves("vstack", [[[T(3), T(3)]], [[T(2, 3, layout="t"), T(3)]], [[T(), T()]]])
moves("dstack", [[[T(3), T(3)]], [[T(2, 3, layout="t"), T(2, 3)]], [[T(2, 1, 2), T(2, 1, 1)]]])
moves("column_stack", [[[T(3), T(3)]], [[T(3, 2, layout="t"), T(3)]], [[T(), T()]]])
moves("block_diag", [[[T(2, 3), T(1, 2)]], [[T(2), T(2, 2, layout="t")]], [[T()]]], lambda x: torch.block_diag(*x))
moves("cartesian_prod", [[[T(2), T(3)]], [[T(3)]], [[T(2), T(2, layout="s"), T(3)]]],
      lambda x: torch.cartesian_prod(*x))
moves("combinations", [[T(4)], [T(5, layout="s"), 3], [T(3), 2, True], [T(1)], [T(3), 1], [T(0), 2]],
      lambda x, r=2, again=False: torch.combinations(x, r, again) if len(x) else x.new_zeros(0, r))
moves("pad", [[T(5), [1, 2]], [T(3, 4, layout="t"), [1, 0, 2, 1]], [T(3, 4), [-1, 1]], [T(3, 4), [0, 1], "constant", 2],
              [T(2, 3, layout="s"), [1, 1, 0, 2], "constant", 1]],
      lambda x, s, mode="constant", value=0: F.pad(x.double() if not x.is_floating_point() else x, s, mode,
                                                   value).to(x.dtype), whole="iu")
moves("pad", [[T(1, 2, 5), [1, 2], mode] for mode in ("reflect", "replicate", "circular")] +
      [[T(1, 2, 4, 5), [1, 2, 2, 1], mode] for mode in ("reflect", "replicate", "circular")], F.pad, whole="")
