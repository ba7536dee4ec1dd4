"""Losses, each with every reduction."""

import torch
import torch.nn.functional as F

from .cases import At, Row, T

TOLERANCE = (2e-6, 1e-13, "one", "false")
ROWS = []


def losses(name, lists, peer=None, reductions=("mean", "sum", "none"), **options):
    call = peer or getattr(F, name)
    for k, reduction in enumerate(reductions):
        chosen = lists if k == 0 else lists[:2]
        ROWS.append(Row(name, [a[:-1] + [{**a[-1], "reduction": reduction}] if isinstance(a[-1],
            dict) else a + [dict(reduction=reduction)] for a in chosen],
                        call, thin=k > 0, **options))


def X(*shape, **more):
    return T(*shape, **more)


def target(*shape, kind="s", **more):
    return T(*shape, kind=kind, grad=False, **more)


def classes(*shape, high):
    return T(*shape, kind="h", high=high)


PAIRS = [[X(3, 4), X(3, 4)], [X(3, 4, layout="t"), X(3, 4, layout="s")], [X(), X()],
         [X(2, 1, 3, 1, 2), X(2, 1, 3, 1, 2)]]
losses("mse_loss", PAIRS)
losses("l1_loss", PAIRS)
losses("huber_loss", PAIRS + [[X(5), X(5), 0.5]],
       lambda x, y, delta=1.0, **more: F.huber_loss(x, y, delta=delta, **more))
losses("smooth_l1_loss", PAIRS + [[X(5), X(5), 0.5], [X(5), X(5), 0.0]],
       lambda x, y, beta=1.0, **more: F.smooth_l1_loss(x, y, beta=beta, **more))
U = dict(kind="u")


def reduced(y, reduction):
    return y if reduction == "none" else getattr(torch, reduction)(y)


def binary_cross_entropy(x, y, weight=1.0, reduction="mean"):
    """Composed: PyTorch's gradient has 1e-12 in its denominator."""
    return reduced(-weight * (y * torch.clamp(x.log(), -100) + (1 - y) * torch.clamp(torch.log1p(-x), -100)), reduction)


losses("binary_cross_entropy", [[X(3, 4, **U), X(3, 4, grad=False, **U)],
                                [X(3, 4, layout="t", **U), X(3, 4, grad=False, **U), T(4, kind="p", grad=False)],
                                [X(5, **U), X(5, grad=False, **U)]],
       binary_cross_entropy)
losses("binary_cross_entropy_with_logits", [[X(3, 4), X(3, 4, grad=False, **U)],
                                            [X(3, 4, layout="t"), X(3, 4, grad=False, **U), T(4, kind="p", grad=False),
                                             T(4, kind="p", grad=False)],
                                            [X(5, kind="w"), X(5, grad=False, **U)]],
       lambda x, y, weight=None, pos_weight=None, **more: F.binary_cross_entropy_with_logits(x, y, weight,
           pos_weight=pos_weight, **more))
losses("soft_margin_loss", [[X(3, 4), target(3, 4)], [X(7, layout="s"), target(7)], [X(5, kind="w"), target(5)]])
losses("hinge_embedding_loss", [[X(3, 4), target(3, 4)], [X(7, layout="s"), target(7), 0.5]],
       lambda x, y, margin=1.0, **more: F.hinge_embedding_loss(x, y, margin=margin, **more))
losses("kl_div", [[X(3, 4), X(3, 4, kind="u", grad=False)], [X(3, 4, layout="t"), X(3, 4, grad=False),
                                                             dict(log_target=True)],
                                                             [X(6), X(6, kind="u", grad=False)]],
       reductions=("mean", "sum", "none", "batchmean"))
losses("poisson_nll_loss", [[X(3, 4), X(3, 4, kind="p", grad=False)], [X(3, 4, kind="p"),
    X(3, 4, kind="p", grad=False), dict(log_input=False, eps=0.01)],
                            [X(5), X(5, kind="p", grad=False), dict(full=True)]])
losses("gaussian_nll_loss", [[X(3, 4), X(3, 4), X(3, 4, kind="p")], [X(3, 4, layout="t"), X(3, 4), X(3, 1, kind="p"),
                                                                     dict(full=True)], [X(3, 4), X(3, 4),
                                                                         X(3, kind="p")]],
       lambda x, y, v, **more: F.gaussian_nll_loss(x, y, v, **more))
losses("nll_loss", [[X(4, 3), classes(4, high=3)], [X(4, 3, layout="t"), classes(4, high=3),
                                                    T(3, kind="p", grad=False)], [X(2, 3, 4), classes(2, 4, high=3)],
                    [X(4, 3), classes(4, high=3), None, dict(ignore_index=At(2))], [X(5, 2), classes(5, high=2)]],
       lambda x, y, weight=None, **more: F.nll_loss(x, y, weight, **more))
losses("cross_entropy", [[X(4, 3, kind="w"), classes(4, high=3)], [X(4, 3, layout="t"), classes(4, high=3),
                                                                   T(3, kind="p", grad=False)],
                                                                   [X(2, 3, 4), classes(2, 4, high=3)],
                         [X(4, 3), classes(4, high=3), None, dict(ignore_index=At(2))],
                         [X(4, 3), X(4, 3, kind="u", grad=False)],
                         [X(4, 3), classes(4, high=3), T(3, kind="p", grad=False), dict(label_smoothing=0.2)],
                         [X(4, 3), X(4, 3, kind="u", grad=False), None, dict(label_smoothing=0.1)]],
       lambda x, y, weight=None, **more: F.cross_entropy(x, y, weight, **more))
losses("multi_margin_loss", [[X(4, 3), classes(4, high=3)], [X(4, 3, layout="t"), classes(4, high=3), 2, 0.5],
                             [X(4, 3), classes(4, high=3), 1, 1.0, T(3, kind="p", grad=False)]],
       lambda x, y, p=1, margin=1.0, weight=None, **more: F.multi_margin_loss(x, y, p, margin, weight, **more))


def listed(x, y, reduction):
    """A list of classes ends with 0 here, where PyTorch has -1."""
    return F.multilabel_margin_loss(x, y - 1, reduction=reduction)


losses("multilabel_margin_loss", [[X(2, 4), T(2, 4, dtype="i", values=[2, 4, 0, 1, 3, 0, 1, 2])],
                                  [X(1, 3), T(1, 3, dtype="i", values=[1, 2, 3])]], listed)
losses("margin_ranking_loss", [[X(3, 4), X(3, 4), target(3, 4)], [X(7, layout="s"), X(7), target(7), 0.5]],
       lambda a, b, y, margin=0.0, **more: F.margin_ranking_loss(a, b, y, margin=margin, **more))


def cosine(a, b, y, margin=0.0, **more):
    return F.cosine_embedding_loss(a, b, y, margin=margin, **more)


losses("cosine_embedding_loss", [[X(4, 3), X(4, 3), target(4)], [X(4, 3, layout="t"), X(4, 3), target(4), 0.25]],
       cosine)
losses("triplet_margin_loss", [[X(4, 3), X(4, 3), X(4, 3)], [X(4, 3, layout="t"), X(4, 3), X(4, 3), 2.0, 1],
                               [X(4, 3), X(4, 3), X(4, 3), 1.5, 3, dict(swap=True)]],
       lambda a, p, n, margin=1.0, power=2, **more: F.triplet_margin_loss(a, p, n, margin=margin, p=power, **more))
