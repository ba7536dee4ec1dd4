#!/usr/bin/env python3
"""Writes tests/spec/golden/svm_*.lua: data sets, and what solves them, for tests/spec/svm_golden_spec.lua.

Run it from the repository's root: python3 tests/peers/svm_golden_lua.py        (Debian: python3-sklearn)

Features are rounded to four decimals before anybody fits them. scikit-learn's LIBSVM (tol = 1e-6) keeps kernel
values in float32, which moves its decisions by about 1e-6 times C. So its solution is only the start of an
active-set method in float64: Newton steps on the variables between their bounds, to the nearest bound or the
whole way; then the variable at a bound whose multiplier has the wrong sign most is set free. It ends when no
KKT condition is violated by more than 1e-9 of the gradient's size (1e-14 of its terms), and that is what the files hold. A comment
behind a case says where LIBSVM is: the relative difference of its objective (recomputed in float64) and the
largest difference of a decision divided by max(1, |decision|), where one exceeds 1e-7.

A sigmoid kernel need not be positive definite on the constraint sum(y a) = 0. Where it is not, there are many
stationary points, none of which is right: `convex` is false and nothing but the KKT conditions can be checked.
Where nu times half the rows is whole, all variables may be at a bound; then peers choose among the intercepts by
rounding errors. Such cases have an objective only.
"""
import os
import warnings

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM
from sklearn.utils.multiclass import _ovr_decision_function

FOLDER = "tests/spec/golden"
HEAD = f"-- Written by tests/peers/svm_golden_lua.py with scikit-learn {sklearn.__version__}.\n-- luacheck: no max line length\n"

# ---- data ----


def standardised(X):
    return (X - X.mean(0)) / X.std(0)


def pack(X, y, fitted, tested):
    X = np.round(X, 4) + 0.0
    rng = np.random.RandomState(99)
    weight = np.round(rng.uniform(0.2, 3.0, fitted), 2)
    weight[rng.permutation(fitted)[: fitted // 8]] = 0
    return {"X": X[:fitted], "y": y[:fitted], "test": X[fitted : fitted + tested], "weight": weight}


def circle():
    """The Circle experiment of the course: 200 points to fit, 40 of those to test."""
    parts = [np.loadtxt(f"data/circle/{name}.csv", delimiter=",", skiprows=1) for name in ("train", "test")]
    a = np.concatenate(parts)
    return pack(a[:, :2], a[:, 2].astype(int), 200, 40)


def blobs(labels, fitted, tested, features, spread, seed):
    X, y = datasets.make_blobs(fitted + tested, features, centers=len(labels), cluster_std=spread, random_state=seed,
                               center_box=(-4, 4))
    return pack(X, np.array(labels)[y], fitted, tested)


def tumours():
    """Breast Cancer Wisconsin (Diagnostic), its first 13 features: two classes that overlap a little."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    order = np.random.RandomState(3).permutation(len(X))[:190]
    return pack(standardised(X[order, :13]), np.where(y[order] == 1, 7, -5), 160, 30)


def digits():
    X, y = datasets.load_digits(return_X_y=True)
    order = np.random.RandomState(4).permutation(len(X))[:320]
    return pack(X[order] / 16, y[order] + 1, 300, 20)


def sinc():
    rng = np.random.RandomState(5)
    x = rng.uniform(-10, 10, 150)
    return pack(x[:, None], np.round(np.sinc(x / np.pi) + rng.normal(0, 0.1, 150), 4), 120, 30)


def diabetes():
    X, y = datasets.load_diabetes(return_X_y=True)
    order = np.random.RandomState(6).permutation(len(X))[:160]
    return pack(standardised(X[order]), np.round(standardised(y[order]), 4), 130, 30)


def novelty():
    rng = np.random.RandomState(7)
    inner = np.concatenate([rng.normal(0, 0.5, (90, 2)), rng.normal(2, 0.3, (60, 2))])
    X = np.concatenate([inner[rng.permutation(150)], rng.uniform(-2, 4, (30, 2))])
    return pack(X + 4, np.zeros(180, int), 150, 30)  # the origin outside: linear machines are not 0


sets = {
    "circle": circle(),
    "blobs3": blobs([10, -2, 3], 90, 30, 2, 1.6, 1),
    "blobs5": blobs([1, 2, 3, 4, 5], 120, 30, 4, 2.2, 2),
    "blobs10": blobs([7, 3, 8, -1, 0, 15, 4, 100, 2, 9], 200, 20, 5, 1.8, 3),
    "tumours": tumours(),
    "digits": digits(),
    "sinc": sinc(),
    "diabetes": diabetes(),
    "novelty": novelty(),
}

# ---- the exact solution ----


def violation(g, a, U, E):
    """Of min g'a: the least t and multipliers v such that |g - E'v| <= t where a is free, >= -t at 0, <= t at U."""
    worst, multipliers = 0.0, []
    for e in E:  # every variable is in one constraint with coefficient +1 or -1
        mine, s = e != 0, e[e != 0]
        slope = g[mine] * s
        low, high = (a[mine] <= 0, a[mine] >= U[mine])
        # s > 0 at 0 wants slope >= v; s < 0 at 0 wants slope <= v; free wants both
        above = np.where(s > 0, ~low, ~high)  # these want slope <= v
        below = np.where(s > 0, ~high, ~low)  # these want slope >= v
        top = slope[above].max() if above.any() else -np.inf
        bottom = slope[below].min() if below.any() else np.inf
        worst = max(worst, top - bottom)
        free = above & below
        if free.any():
            multipliers.append(slope[free].mean())
        elif np.isinf(top) or np.isinf(bottom):
            multipliers.append(bottom if np.isinf(top) else top)
        else:
            multipliers.append((top + bottom) / 2)
    return worst, multipliers


def solve(Q, p, E, total, U, a):
    """min a'Qa/2 + p'a, E a = total, 0 <= a <= U, from a near the solution. Returns a and the multipliers."""
    a = np.clip(a, 0, U)
    a[a < 1e-8 * U] = 0
    full = a > U * (1 - 1e-8)
    a[full] = U[full]
    free = (a > 0) & (a < U)
    ridge = 1e-11 * max(1e-30, np.abs(np.diag(Q)).mean())
    rows, stalled = len(E), 0
    for _ in range(20000):
        g = Q @ a + p
        n = free.sum()
        blocked = False
        if n:
            F = np.flatnonzero(free)
            system = np.zeros((n + rows, n + rows))
            system[:n, :n] = Q[np.ix_(F, F)] + ridge * np.eye(n)
            system[:n, n:], system[n:, :n] = E[:, F].T, E[:, F]
            right = np.concatenate([-g[F], total - E @ a])
            held = ~E[:, F].any(1)  # a constraint without free variables has no multiplier here
            for k in np.flatnonzero(held):
                system[n + k, n + k], right[n + k] = 1, 0
            d = np.linalg.solve(system, right)[:n]
            wall = np.where(d > 0, U[F], 0)
            room = np.where(d != 0, (wall - a[F]) / np.where(d != 0, d, 1), np.inf)
            first = room.argmin()
            if room[first] < 1:
                a[F] += max(room[first], 0) * d
                a[F[first]] = wall[first]
                free[F[first]] = False
                blocked = True
            else:
                a[F] += d
                for _ in range(2):  # against rounding, and the ridge
                    right[:n], right[n:] = -(Q[F] @ a + p[F]), total - E @ a
                    right[n:][held] = 0
                    d = np.linalg.solve(system, right)[:n]
                    if ((a[F] + d > 0) & (a[F] + d < U[F])).all():
                        a[F] += d
        if blocked:
            continue
        g = Q @ a + p
        worst, v = violation(g, a, U, E)
        size = max(1.0, np.abs(g).max(), 1e-5 * (np.abs(Q) @ a).max())
        if worst <= 1e-9 * size:
            assert np.abs(E @ a - total).max() <= 1e-9 * max(1, U.max(), np.abs(total).max())
            return a, v
        # free the worst pair: in a constraint without free variables one alone could not move
        best, pick = 0, []
        for e, m in zip(E, v):
            mine = np.flatnonzero(e)
            slope = g[mine] * e[mine]
            up = np.where(e[mine] > 0, a[mine] < U[mine], a[mine] > 0)  # may grow e a: wants slope >= v
            down = np.where(e[mine] > 0, a[mine] > 0, a[mine] < U[mine])
            i, j = np.where(up, slope, np.inf).argmin(), np.where(down, slope, -np.inf).argmax()
            if slope[j] - slope[i] > best:
                best, pick = slope[j] - slope[i], [mine[i], mine[j]]
        if free[pick].all():  # then only the ridge and rounding are in the way: one more Newton step
            stalled += 1
            ridge /= 10
            if stalled > 20:
                raise RuntimeError(f"no progress: violation {worst}, gradient {size}")
        free[pick] = True
    raise RuntimeError("active set does not settle")


def gram(A, B, used):
    return pairwise_kernels(A, B, **used)


def check_kernel(X, used):
    """Whether the kernel is positive semidefinite where sum(beta) = 0, up to rounding."""
    K = gram(X, X, used)
    P = np.eye(len(X)) - 1 / len(X)
    e = np.linalg.eigvalsh(P @ K @ P)
    return e[0] > -1e-8 * abs(e[-1])


def classifier_pairs(m, X, y, used, upper, options):
    """The exact machines of all pairs, from the fitted m: objectives, coefficients on X, intercepts, margins."""
    K, position, pairs = gram(X, X, used), np.searchsorted(m.classes_, y), []
    k, nu = len(m.classes_), options.get("nu")
    for a in range(k):
        for b in range(a + 1, k):
            start = np.zeros(len(X))
            for c, row in ((a, b - 1), (b, a)):
                mine = position[m.support_] == c
                start[m.support_[mine]] = np.abs(m.dual_coef_[row][mine])
            rows = np.flatnonzero((position == a) | (position == b))
            s = np.where(position[rows] == a, 1.0, -1.0)
            Q, U = s[:, None] * K[np.ix_(rows, rows)] * s, upper[rows]
            alpha, n = start[rows], len(rows)
            if nu is None:
                E, total, p = s[None, :], np.zeros(1), -np.ones(n)
            else:
                E, p = np.stack([s > 0, s < 0]).astype(float), np.zeros(n)
                total = np.full(2, nu * U.sum() / 2)
                alpha = alpha * (nu * U.sum() / alpha.sum())
            peer = alpha @ Q @ alpha / 2 + p @ alpha
            alpha, v = solve(Q, p, E, total, U, alpha)
            objective, r = alpha @ Q @ alpha / 2 + p @ alpha, 1.0
            if nu is None:
                rho = v[0]
            else:
                r, rho = (v[0] + v[1]) / 2, (v[0] - v[1]) / 2
                assert r > 1e-4, f"{options} {r}: decisions are 0 / 0"
            g = Q @ alpha + p
            slack = np.where(E[0] > 0, g - v[0], g - v[-1]) if nu is not None else g - v[0] * s
            beta = np.zeros(len(X))
            beta[rows] = s * alpha / r
            pairs.append({"objective": objective, "peer": peer, "beta": beta, "intercept": -rho / r, "rows": rows,
                          "alpha": alpha, "U": U, "slack": slack})
    return pairs


def clear(pair):
    """Whether every variable is plainly 0 or not."""
    inside = pair["alpha"] > 0
    return (pair["alpha"][inside] > 1e-4 * pair["U"][inside]).all() and (pair["slack"][~inside] > 1e-4).all()


# ---- Lua ----


def lua(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return "{" + ", ".join((f"[{k}]" if isinstance(k, int) else k) + f" = {lua(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(lua(v) for v in value) + "}"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return repr(float(value))


def short(values, digits=10):
    return "{" + ", ".join(f"{float(v):.{digits}g}" for v in np.ravel(values)) + "}"


def write(name, lines):
    with open(os.path.join(FOLDER, name + ".lua"), "w") as file:
        file.write(HEAD + "return {\n" + "\n".join(lines) + "\n}\n")


def write_data():
    lines = []
    for name, s in sets.items():
        rows = lambda X: "{" + ", ".join("{" + ", ".join(f"{v:.4f}".rstrip("0").rstrip(".") for v in x) + "}" for x in X) + "}"
        lines.append(f"  {name} = {{\n    X = {rows(s['X'])},\n    test = {rows(s['test'])},\n"
                     f"    y = {lua(list(s['y']))},\n    weight = {lua(list(s['weight']))},\n  }},")
    write("svm_data", lines)


# ---- cases ----

FULL, LARGE = (1e-2, 1.0, 10.0), (1e3, 1e5)
KERNELS = {
    "linear": {},
    "rbf": {"gamma": "scale"},
    "poly": {"degree": 2, "gamma": "scale", "coef0": 1.0},
    "sigmoid": {"gamma": 0.005, "coef0": -2.0},
}


def used_kernel(m, options):
    kernel, used = options["kernel"], {"metric": options["kernel"]}
    if kernel != "linear":
        used["gamma"] = m._gamma
    if kernel in ("poly", "sigmoid"):
        used["coef0"] = options.get("coef0", 0.0)
    if kernel == "poly":
        used["degree"] = options.get("degree", 3)
    return used


def remark(peer, objective, differences):
    relative = (peer - objective) / max(abs(objective), 1e-300)
    parts = []
    if abs(relative) > 1e-7:
        parts.append(f"objective {relative:+.1e}")
    if differences is not None and differences > 1e-7:
        parts.append(f"decisions {differences:.1e}")
    return f" -- LIBSVM: {', '.join(parts)}" if parts else ""


def scaled_difference(a, b):
    return (np.abs(a - b) / np.maximum(1, np.abs(b))).max()


def fit(estimator, options, X, y, weight=None):
    large = options.get("C", 1) > 100  # there LIBSVM may need minutes: it is stopped, and told by the remark
    m = estimator(tol=1e-3 if large else 1e-6, max_iter=10**6 if large else -1, cache_size=500, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if large else "error")
        return m.fit(X, y, sample_weight=weight) if y is not None else m.fit(X, sample_weight=weight)


def classify(name, set_name, options, weighted=False, shown=True):
    s = sets[set_name]
    keep = s["weight"] > 0 if weighted else np.ones(len(s["X"]), bool)
    X, y, weight = s["X"][keep], s["y"][keep], s["weight"][keep] if weighted else np.ones(keep.sum())
    estimator = SVC if name == "SVC" else NuSVC
    m = fit(estimator, {"decision_function_shape": "ovo", **options}, X, y, weight if weighted else None)
    used = used_kernel(m, options)
    fields = [f'set = "{set_name}"', f"options = {lua(options)}"]
    if weighted:
        fields.append("weighted = true")
    if options["kernel"] != "linear":
        fields.append(f"gamma = {m._gamma!r}")
    if not check_kernel(X, used):
        return "  {" + ", ".join(fields + ["convex = false"]) + "},"
    classes, k = m.classes_, len(m.classes_)
    given = options.get("class_weight")
    if given == "balanced":
        class_weight = {c: len(y) / (k * (y == c).sum()) for c in classes}
    else:
        class_weight = {c: (given or {}).get(int(c), 1.0) for c in classes}
    upper = options.get("C", 1.0) * weight * np.array([class_weight[c] for c in y])
    pairs = classifier_pairs(m, X, y, used, upper, options)
    objective, peer = sum(p["objective"] for p in pairs), sum(p["peer"] for p in pairs)
    fields += ["convex = true", f"objective = {objective!r}"]
    if not shown:
        return "  {" + ", ".join(fields) + "}," + remark(peer, objective, None)
    support = np.any([p["beta"] != 0 for p in pairs], 0)
    strict = np.linalg.eigvalsh(gram(X, X, used))[0] > 1e-4
    if strict and all(clear(p) for p in pairs):
        fields.append(f"n_support = {lua([int((support & (y == c)).sum()) for c in classes])}")
    sign = -1 if k == 2 else 1
    decision = gram(s["test"], X, used) @ np.array([p["beta"] for p in pairs]).T + [p["intercept"] for p in pairs]
    intercept = [sign * p["intercept"] for p in pairs]
    votes = np.zeros((len(decision), k))
    column = 0
    for a in range(k):
        for b in range(a + 1, k):
            votes[:, a] += decision[:, column] > 0
            votes[:, b] += decision[:, column] <= 0
            column += 1
    winner = votes.argmax(1)
    if options.get("decision_function_shape") == "ovr":
        decision = _ovr_decision_function(decision < 0, -decision, k)
        winner = decision.argmax(1) if options.get("break_ties") else winner
    fields += [f"intercept = {short(intercept)}", f"decision = {short(sign * decision, 9)}",
               f"predict = {lua(list(classes[winner]))}"]
    difference = scaled_difference(m.decision_function(s["test"]).reshape(len(decision), -1), sign * decision)
    return "  {" + ", ".join(fields) + "}," + remark(peer, objective, difference)


def regress(name, set_name, options, weighted=False, shown=True):
    s = sets[set_name]
    keep = s["weight"] > 0 if weighted else np.ones(len(s["X"]), bool)
    X, z, weight = s["X"][keep], s["y"][keep], s["weight"][keep] if weighted else np.ones(keep.sum())
    m = fit(SVR if name == "SVR" else NuSVR, options, X, z, weight if weighted else None)
    used = used_kernel(m, options)
    fields = [f'set = "{set_name}"', f"options = {lua(options)}"]
    if weighted:
        fields.append("weighted = true")
    if options["kernel"] != "linear":
        fields.append(f"gamma = {m._gamma!r}")
    if not check_kernel(X, used):
        return "  {" + ", ".join(fields + ["convex = false"]) + "},"
    K, n, C = gram(X, X, used), len(X), options.get("C", 1.0) * weight
    beta = np.zeros(n)
    beta[m.support_] = m.dual_coef_[0]
    Q = np.block([[K, -K], [-K, K]])
    U, start = np.concatenate([C, C]), np.concatenate([np.maximum(beta, 0), np.maximum(-beta, 0)])
    if name == "SVR":
        epsilon = options.get("epsilon", 0.1)
        p, E, total = np.concatenate([epsilon - z, epsilon + z]), np.concatenate([np.ones(n), -np.ones(n)])[None, :], np.zeros(1)
    else:
        nu = options.get("nu", 0.5)
        p, E = np.concatenate([-z, z]), np.zeros((2, 2 * n))
        E[0, :n], E[1, n:] = 1, 1
        total = np.full(2, nu * C.sum() / 2)
    peer = start @ Q @ start / 2 + p @ start
    a, v = solve(Q, p, E, total, U, start)
    objective, beta = a @ Q @ a / 2 + p @ a, a[:n] - a[n:]
    rho = v[0] if name == "SVR" else (v[0] - v[1]) / 2
    fields += ["convex = true", f"objective = {objective!r}"]
    if not shown:
        return "  {" + ", ".join(fields) + "}," + remark(peer, objective, None)
    if name == "NuSVR":
        fields.append(f"tube = {-(v[0] + v[1]) / 2!r}")
    slack = Q @ a + p - (v[0] * E[0] if name == "SVR" else v[0] * E[0] + v[1] * E[1])
    pair = {"alpha": a, "U": U, "slack": slack}
    if np.linalg.eigvalsh(K)[0] > 1e-4 and clear(pair):
        fields.append(f"n_support = {lua([int((beta != 0).sum())])}")
    decision = gram(s["test"], X, used) @ beta - rho
    fields += [f"intercept = {short([-rho])}", f"decision = {short(decision, 9)}"]
    return "  {" + ", ".join(fields) + "}," + remark(peer, objective, scaled_difference(m.predict(s["test"]), decision))


def one_class(set_name, options, weighted=False, shown=True):
    s = sets[set_name]
    keep = s["weight"] > 0 if weighted else np.ones(len(s["X"]), bool)
    X, weight = s["X"][keep], s["weight"][keep] if weighted else np.ones(keep.sum())
    m = fit(OneClassSVM, options, X, None, weight if weighted else None)
    used = used_kernel(m, options)
    fields = [f'set = "{set_name}"', f"options = {lua(options)}"]
    if weighted:
        fields.append("weighted = true")
    if options["kernel"] != "linear":
        fields.append(f"gamma = {m._gamma!r}")
    if not check_kernel(X, used):
        return "  {" + ", ".join(fields + ["convex = false"]) + "},"
    K, n = gram(X, X, used), len(X)
    start = np.zeros(n)
    start[m.support_] = m.dual_coef_[0]
    peer = start @ K @ start / 2
    a, v = solve(K, np.zeros(n), np.ones((1, n)), np.array([options["nu"] * weight.sum()]), weight, start)
    fields += ["convex = true", f"objective = {a @ K @ a / 2!r}"]
    if not shown:
        return "  {" + ", ".join(fields) + "}," + remark(peer, a @ K @ a / 2, None)
    if np.linalg.eigvalsh(K)[0] > 1e-4 and clear({"alpha": a, "U": weight, "slack": K @ a - v[0]}):
        fields.append(f"n_support = {lua([int((a > 0).sum())])}")
    decision = gram(s["test"], X, used) @ a - v[0]
    fields += [f"intercept = {short([-v[0]])}", f"decision = {short(decision, 9)}",
               f"predict = {lua([1 if d > 0 else -1 for d in decision])}"]
    return ("  {" + ", ".join(fields) + "},"
            + remark(peer, a @ K @ a / 2, scaled_difference(m.decision_function(s["test"]), decision)))


def kernels(*names, **changes):
    return [{"kernel": name, **KERNELS[name], **changes} for name in names]


def all_svc():
    lines = []
    for set_name, names in (("circle", KERNELS), ("tumours", KERNELS), ("blobs3", KERNELS), ("blobs5", ("rbf", "linear")),
                            ("blobs10", ("rbf", "poly")), ("digits", ("rbf", "linear"))):
        for options in kernels(*names):
            for C in FULL + LARGE:
                lines.append(classify("SVC", set_name, {**options, "C": C}, shown=C in FULL))
    classes = {"circle": {1: 0.5, 2: 3.0}, "tumours": {-5: 4.0}, "blobs3": {-2: 0.25, 10: 2.0}}
    for set_name, given in classes.items():
        for options in kernels("rbf", "linear"):
            for C in (1.0, 10.0):
                for class_weight in ("balanced", given):
                    lines.append(classify("SVC", set_name, {**options, "C": C, "class_weight": class_weight}))
                lines.append(classify("SVC", set_name, {**options, "C": C}, weighted=True))
                lines.append(classify("SVC", set_name, {**options, "C": C, "class_weight": given}, weighted=True))
            lines.append(classify("SVC", set_name, {**options, "C": 1e3}, weighted=True, shown=False))
    lines.append(classify("SVC", "digits", {**kernels("poly")[0], "C": 1.0}, weighted=True))
    lines.append(classify("SVC", "circle", {"kernel": "rbf", "gamma": "auto", "C": 10.0}))
    lines.append(classify("SVC", "circle", {"kernel": "poly", "gamma": 0.7, "coef0": 0.0, "degree": 3, "C": 1.0}))
    lines.append(classify("SVC", "circle", {"kernel": "sigmoid", "gamma": 1.0, "coef0": 0.5, "C": 10.0}))
    for changes in ({}, {"break_ties": True}):
        lines.append(classify("SVC", "blobs5", {**kernels("rbf")[0], "C": 1.0, "decision_function_shape": "ovr", **changes}))
    write("svm_svc", lines)


def all_nu_svc():
    lines = []
    for set_name, names, nus in (("circle", ("rbf", "poly"), (0.213, 0.613)), ("tumours", KERNELS, (0.213, 0.613)),
                                 ("blobs3", ("rbf",), (0.413, 0.813)), ("blobs3", ("poly",), (0.813,)), ("blobs5", ("rbf", "linear"), (0.713,)),
                                 ("blobs10", ("rbf",), (0.413,)), ("digits", ("rbf",), (0.213,))):
        for options in kernels(*names):
            for nu in nus:
                lines.append(classify("NuSVC", set_name, {**options, "nu": nu}))
    for set_name in ("circle", "blobs3"):
        lines.append(classify("NuSVC", set_name, {**kernels("rbf")[0], "nu": 0.413}, weighted=True))
        lines.append(classify("NuSVC", set_name, {**kernels("rbf")[0], "nu": 0.6}, shown=False))
    lines.append(classify("NuSVC", "tumours", {"kernel": "sigmoid", "gamma": 0.1, "coef0": 0.0, "nu": 0.313}))
    write("svm_nusvc", lines)


def all_svr():
    lines, nu_lines = [], []
    for set_name, names in (("sinc", ("rbf", "linear")), ("diabetes", KERNELS)):
        for options in kernels(*names):
            for C in FULL + LARGE:
                lines.append(regress("SVR", set_name, {**options, "C": C, "epsilon": 0.1}, shown=C in FULL))
            for epsilon in (0.0, 0.5):
                lines.append(regress("SVR", set_name, {**options, "C": 1.0, "epsilon": epsilon}))
            for C in (1.0, 10.0):
                for nu in (0.213, 0.713):
                    nu_lines.append(regress("NuSVR", set_name, {**options, "C": C, "nu": nu}))
            lines.append(regress("SVR", set_name, {**options, "C": 1.0, "epsilon": 0.1}, weighted=True))
            nu_lines.append(regress("NuSVR", set_name, {**options, "C": 1.0, "nu": 0.413}, weighted=True))
            nu_lines.append(regress("NuSVR", set_name, {**options, "C": 1.0, "nu": 0.5}, shown=False))
    write("svm_svr", lines)
    write("svm_nusvr", nu_lines)


def all_one_class():
    lines = []
    for options in kernels(*KERNELS):
        for nu in (0.013, 0.103, 0.503, 0.903):
            lines.append(one_class("novelty", {**options, "nu": nu}))
        lines.append(one_class("novelty", {**options, "nu": 0.303}, weighted=True))
    lines.append(one_class("novelty", {**kernels("rbf")[0], "nu": 0.1}, shown=False))
    lines.append(one_class("novelty", {"kernel": "sigmoid", "gamma": 0.5, "coef0": 0.5, "nu": 0.303}))
    for nu in (0.103, 0.503):
        lines.append(one_class("tumours", {**kernels("rbf")[0], "nu": nu}))
    write("svm_oneclass", lines)


write_data()
all_svc()
all_nu_svc()
all_svr()
all_one_class()
