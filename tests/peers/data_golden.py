#!/usr/bin/env python3
"""Writes tests/spec/golden/data_sets.lua: what scikit-learn makes of a small matrix, and its noiseless moons.

usage: data_golden.py > tests/spec/golden/data_sets.lua        (Debian: python3-sklearn)
"""
import numpy as np
import sklearn
from sklearn.datasets import make_moons
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler

rng = np.random.RandomState(5)
X = rng.normal(0, 1, (12, 4)) @ rng.normal(0, 1, (4, 4)) + [3, -2, 0, 100]
X[:, 2] = 0.1  # constant
fresh = rng.normal(0, 2, (3, 4))


def show(value):
    if np.ndim(value) > 0:
        return "{ " + ", ".join(show(v) for v in value) + " }"
    return repr(float(value))


def signed(p):
    """Perilune's signs: the largest entry of each component is positive."""
    largest = np.abs(p.components_).argmax(1)
    return np.sign(p.components_[np.arange(len(largest)), largest])


near = np.full((15, 3), [1e8, -3.0, 1e-3])  # constant but for rounding, nearly so, not so
near[::7] += [1.5e-8, 4e-15, 1e-12]
standard, minmax = StandardScaler().fit(X), MinMaxScaler((-1, 2)).fit(X)
pca, white = PCA(3).fit(X), PCA(3, whiten=True).fit(X)
moons, half = make_moons(9, shuffle=False)
cases = {
    "X": X, "fresh": fresh,
    "standard": standard.transform(X), "standard_fresh": standard.transform(fresh), "mean": standard.mean_,
    "scale": standard.scale_,
    "near": near, "near_scale": StandardScaler().fit(near).scale_,
    "minmax": minmax.transform(X), "minmax_fresh": minmax.transform(fresh),
    "components": pca.components_ * signed(pca)[:, None], "variance": pca.explained_variance_,
    "ratio": pca.explained_variance_ratio_, "singular_values": pca.singular_values_,
    "scores": pca.transform(fresh) * signed(pca), "white": white.transform(fresh) * signed(white),
    "moons": moons, "moons_y": half + 1,
}
print(f"-- Written by tests/peers/data_golden.py with scikit-learn {sklearn.__version__}: do not edit.")
print("-- luacheck: no max line length\nreturn {")
for name, value in cases.items():
    print(f"  {name} = {show(value)},")
print("}")
