#!/usr/bin/env python3
"""Writes the files of NumPy that numpy_spec.lua reads, with which the fuzzers of NPY and NPZ begin too.

usage: numpy_golden.py tests/fuzz/corpus        (Debian: python3-numpy)
"""
import io
import os
import sys
import zipfile

import numpy as np

folder = sys.argv[1]


def path(kind, name):
    return os.path.join(folder, kind, name + "." + kind)


def ends(dtype):
    """2 x 3: the ends of an integer type and what lies between; int64's largest of uint64."""
    info = np.iinfo(dtype)
    high = min(info.max, 2**63 - 1)
    return np.array([[info.min, 0, 1], [2, high - 1, high]], dtype)


def halves(dtype):
    """2 x 3: numbers that a type of floats has exactly, and some that are none."""
    return np.array([[0.5, -1.25, -0.0], [np.inf, np.nan, np.finfo(dtype).tiny]], dtype)


def arrays():
    yield "bool", np.array([[True, False, False], [True, True, False]])
    for order, suffix in (("<", ""), (">", "-big")):
        for name in ("i2", "i4", "i8", "u2", "u4", "u8"):
            yield name + suffix, ends(name).astype(order + name)
        for name in ("f2", "f4", "f8"):
            yield name + suffix, halves(name).astype(order + name)
    yield "i1", ends("i1")
    yield "u1", ends("u1")
    yield "fortran", np.asfortranarray(np.arange(24, dtype="f4").reshape(2, 3, 4))
    yield "fortran-list", np.asfortranarray(np.arange(3.0))
    yield "scalar", np.float64(2.5)
    yield "empty", np.zeros((3, 0, 2), "f4")
    yield "u8-beyond", np.array([1, 2**63], "u8")
    # what is refused
    yield "complex", np.zeros(2, "c8")
    yield "text", np.array(["a", "bc"])
    yield "bytes", np.array([b"a", b"bc"])
    yield "objects", np.array([1, None], object)
    yield "structured", np.zeros(2, [("a", "f4"), ("b", "i4")])
    yield "dates", np.zeros(2, "M8[s]")
    yield "times", np.zeros(2, "m8[s]")
    yield "long-double", np.zeros(2, np.longdouble)


for name, array in arrays():
    np.save(path("npy", name), array)
for version in ((2, 0), (3, 0)):
    with open(path("npy", "version-%d" % version[0]), "wb") as file:
        np.lib.format.write_array(file, np.arange(6).reshape(2, 3), version)

pair = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b.c/\u00e9": np.array([True, False])}
np.savez(path("npz", "stored"), **pair)
np.savez_compressed(path("npz", "deflated"), **pair)
np.savez_compressed(path("npz", "dense"), zeros=np.zeros((64, 64)))
np.savez(path("npz", "list"), np.arange(3), np.float32(1.5))
np.savez(path("npz", "none"))
np.savez(path("npz", "objects"), a=np.array([None]))


class Pipe(io.RawIOBase):
    """What cannot seek: sizes and sums of members then stand behind them."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


for name, method, large in (("pipe", zipfile.ZIP_STORED, False), ("pipe-deflated", zipfile.ZIP_DEFLATED, True)):
    with open(path("npz", name), "wb") as file, zipfile.ZipFile(Pipe(file), "w", method) as archive:
        for key, array in pair.items():
            with archive.open(key + ".npy", "w", force_zip64=large) as member:
                np.lib.format.write_array(member, array)
with zipfile.ZipFile(path("npz", "text"), "w") as archive:
    archive.writestr(zipfile.ZipInfo("readme.txt"), "no array")
