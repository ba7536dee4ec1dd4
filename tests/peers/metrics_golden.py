#!/usr/bin/env python3
"""Writes tests/spec/golden/metrics.lua: what scikit-learn's metrics give for small sets of predictions.

usage: metrics_golden.py > tests/spec/golden/metrics.lua        (Debian: python3-sklearn)
"""
import warnings

import numpy as np
import sklearn
from sklearn import metrics

rng = np.random.RandomState(3)
n = 40
names = np.array([-3, 0, 7, 12])
y = names[rng.randint(0, 4, n)]
pred = np.where(rng.uniform(size=n) < 0.6, y, names[rng.randint(0, 3, n)])  # 12 is guessed seldom
never = np.where(pred == 12, 7, pred)  # and here never
w = np.round(rng.uniform(0, 2, n), 2)
w[3] = 0
two = np.where(rng.uniform(size=n) < 0.4, 5, -2)
scores = np.round(rng.normal(0, 1, n) + 0.5 * (two == 5), 1)  # with ties
raw = rng.gamma(1, 1, (n, 4)) + 1.5 * (y[:, None] == names)
many = raw / raw.sum(1, keepdims=True)
sure = 1 / (1 + np.exp(-scores * 4))
sure[0], sure[1] = 0, 1
target = rng.normal(0, 1, (n, 2))
guess = target + rng.normal(0, 0.5, (n, 2))
line_scores = np.repeat(np.arange(8), [1, 1, 1, 2, 3, 1, 1, 2])[::-1]  # steps of all sizes along straight lines
line = np.array([-2] * 5 + [5] * 3 + [-2] * 4)
far = 2**60 + np.array([0, 5, 1, 3, 7, 2])  # integers that float64 does not hold
far_guess = far + np.array([1, -1, 0, 2, 0, -3])


def show(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {show(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple, np.ndarray)):
        return "{ " + ", ".join(show(v) for v in value) + " }"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return repr(float(value))


def prf(p, average=None, weights=None, zero=0):
    got = metrics.precision_recall_fscore_support(y, p, average=average, sample_weight=weights, zero_division=zero)
    return dict(zip(["precision", "recall", "f1"], got))


def curve(weights, drop, y=two, s=scores):
    # scikit-learn's first threshold is one above the largest score in this version and infinite in later ones
    fpr, tpr, at = metrics.roc_curve(y, s, sample_weight=weights, drop_intermediate=drop, pos_label=5)
    return {"fpr": fpr, "tpr": tpr, "thresholds": at[1:]}


def regression(f):
    return {
        "plain": f(target[:, 0], guess[:, 0]),
        "weighted": f(target[:, 0], guess[:, 0], sample_weight=w),
        "columns": f(target, guess),
        "columns_weighted": f(target, guess, sample_weight=w),
    }


warnings.simplefilter("ignore")
cases = {
    "y": y, "pred": pred, "never": never, "weights": w, "two": two, "scores": scores, "many": many, "sure": sure,
    "target": target, "guess": guess,
    "accuracy": metrics.accuracy_score(y, pred),
    "accuracy_weighted": metrics.accuracy_score(y, pred, sample_weight=w),
    "confusion": metrics.confusion_matrix(y, pred),
    "confusion_some": metrics.confusion_matrix(y, pred, labels=[12, -3]),
    "confusion_weighted": metrics.confusion_matrix(y, pred, sample_weight=w),
    "confusion_true": metrics.confusion_matrix(y, never, normalize="true"),
    "confusion_pred": metrics.confusion_matrix(y, never, normalize="pred"),
    "confusion_all": metrics.confusion_matrix(y, never, normalize="all"),
    "prf": prf(pred), "prf_weighted": prf(pred, None, w),
    "prf_never": prf(never), "prf_never_one": prf(never, zero=1),
    "macro": prf(pred, "macro"), "weighted": prf(pred, "weighted"), "micro": prf(pred, "micro"),
    "macro_weighted": prf(pred, "macro", w), "weighted_weighted": prf(pred, "weighted", w),
    "curve": curve(None, False), "curve_dropped": curve(None, True), "curve_weighted": curve(w, False),
    "line": line, "line_scores": line_scores, "curve_line": curve(None, True, line, line_scores),
    "far": far, "far_guess": far_guess, "far_two": np.where(np.arange(6) % 2 == 0, -2, 5),
    "far_auc": metrics.roc_auc_score(np.arange(6) % 2, far),
    "far_mse": metrics.mean_squared_error(far, far_guess), "far_mae": metrics.mean_absolute_error(far, far_guess),
    "far_r2": metrics.r2_score(far - 2**60, far_guess - 2**60),
    "large_r2": metrics.r2_score(target * 1e150, guess * 1e150),
    "auc": metrics.roc_auc_score(two, scores),
    "auc_weighted": metrics.roc_auc_score(two, scores, sample_weight=w),
    "auc_macro": metrics.roc_auc_score(y, many, multi_class="ovr"),
    "auc_by_weight": metrics.roc_auc_score(y, many, multi_class="ovr", average="weighted"),
    "auc_each": [metrics.roc_auc_score(y == c, many[:, i]) for i, c in enumerate(names)],
    "log_loss": metrics.log_loss(two, sure),
    "log_loss_eps": metrics.log_loss(two, sure, eps=1e-3),
    "log_loss_many": metrics.log_loss(y, many),
    "log_loss_weighted": metrics.log_loss(y, many, sample_weight=w),
    "mse": regression(metrics.mean_squared_error),
    "mae": regression(metrics.mean_absolute_error),
    "r2": regression(metrics.r2_score),
}
print(f"-- Written by tests/peers/metrics_golden.py with scikit-learn {sklearn.__version__}: do not edit.")
print("-- luacheck: no max line length\nreturn {")
for name, value in cases.items():
    print(f"  {name} = {show(value)},")
print("}")
