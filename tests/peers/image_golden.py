#!/usr/bin/env python3
"""Writes the images that image_spec.lua reads, with which the fuzzers of images begin too: PNG of all kinds, made here
from the format's description (https://www.w3.org/TR/png) with zlib alone, and PGM and PPM.

usage: image_golden.py tests/fuzz/corpus

Sample c of the pixel in row y, column x (all from 0) is (37 y + 11 x + 50 c + 3) modulo the number of values.
"""
import os
import struct
import sys
import zlib

folder = sys.argv[1]
H, W = 5, 7
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


def sample(y, x, c, values):
    return (37 * y + 11 * x + 50 * c + 3) % values


def put(kind, name, content):
    with open(os.path.join(folder, kind, name), "wb") as file:
        file.write(content)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def pack(samples, depth):
    """Samples of a row as bytes, the first in the highest bits."""
    if depth == 16:
        return struct.pack(">%dH" % len(samples), *samples)
    out, bits, n = bytearray(), 0, 0
    for s in samples:
        bits, n = bits << depth | s, n + depth
        if n == 8:
            out.append(bits)
            bits, n = 0, 0
    if n:
        out.append(bits << 8 - n)
    return bytes(out)


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(rows, step):
    """Rows with a filter each, all five in turn."""
    out, above = b"", bytes(len(rows[0]))
    for i, row in enumerate(rows):
        kind = i % 5
        line = bytearray([kind])
        for k, value in enumerate(row):
            left, corner = (row[k - step], above[k - step]) if k >= step else (0, 0)
            guess = [0, left, above[k], (left + above[k]) // 2, paeth(left, above[k], corner)][kind]
            line.append((value - guess) % 256)
        out, above = out + bytes(line), row
    return out


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(color, depth, interlaced=False, extra=b"", before=b""):
    values = 2**depth
    step = max(1, CHANNELS[color] * depth // 8)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    data = b""
    for x0, y0, dx, dy in passes:
        rows = [
            pack([sample(y, x, c, values) for x in range(x0, W, dx) for c in range(CHANNELS[color])], depth)
            for y in range(y0, H, dy)
        ]
        if rows and rows[0]:
            data += filtered(rows, step)
    packed = zlib.compress(data, 9)
    head = struct.pack(">IIBBBBB", W, H, depth, color, 0, 0, interlaced)
    half = len(packed) // 2
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + extra
        + chunk(b"IDAT", packed[:half]) + chunk(b"IDAT", packed[half:]) + chunk(b"IEND", b"")
    )


def palette(n):
    return chunk(b"PLTE", b"".join(bytes((7 * i % 256, 255 - i, (i * i) % 256)) for i in range(n)))


for depth in (1, 2, 4, 8, 16):
    put("png", "grey-%d.png" % depth, png(GREY, depth))
for depth in (8, 16):
    put("png", "rgb-%d.png" % depth, png(RGB, depth))
    put("png", "grey-alpha-%d.png" % depth, png(GREY_ALPHA, depth))
    put("png", "rgb-alpha-%d.png" % depth, png(RGB_ALPHA, depth))
for depth in (1, 2, 4, 8):
    put("png", "palette-%d.png" % depth, png(PALETTE, depth, extra=palette(2**depth)))
put("png", "palette-alpha.png", png(PALETTE, 2, extra=palette(4) + chunk(b"tRNS", bytes((0, 100)))))
put("png", "grey-transparent.png", png(GREY, 4, extra=chunk(b"tRNS", struct.pack(">H", 3))))
put("png", "rgb-transparent.png", png(RGB, 8, extra=chunk(b"tRNS", struct.pack(">HHH", 3, 53, 103))))
put("png", "interlaced.png", png(RGB, 8, True))
put("png", "interlaced-16.png", png(GREY, 16, True))
put("png", "interlaced-1.png", png(GREY, 1, True))
put("png", "gamma-and-text.png", png(
    GREY, 8, before=chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"tEXt", b"Comment\0none")
    + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100000)))))


def numbers(values, channels):
    lines = ("  ".join(str(sample(y, x, c, values)) for x in range(W) for c in range(channels)) for y in range(H))
    return "\n".join(lines).encode()


def octets(values, channels):
    samples = [sample(y, x, c, values) for y in range(H) for x in range(W) for c in range(channels)]
    return struct.pack(">%d%s" % (len(samples), "H" if values > 256 else "B"), *samples)


SIZES = b"%d %d" % (W, H)
put("pnm", "text.pgm", b"P2 # grey\n# in text\n" + SIZES + b"\n255\n" + numbers(256, 1) + b" # the end")
put("pnm", "text.ppm", b"P3\n" + SIZES + b" 255 " + numbers(256, 3) + b"\n")
put("pnm", "bytes.pgm", b"P5\n# grey\n" + SIZES + b"\n255\n" + octets(256, 1))
put("pnm", "bytes.ppm", b"P6 " + SIZES + b"\t255\n" + octets(256, 3))
put("pnm", "small.pgm", b"P5 " + SIZES + b" 100\n" + octets(101, 1))
put("pnm", "small-text.pgm", b"P2 " + SIZES + b" 15\n" + numbers(16, 1))
put("pnm", "16.pgm", b"P5 " + SIZES + b" 65535\n" + octets(65536, 1))
put("pnm", "16-text.ppm", b"P3 " + SIZES + b" 1000\n" + numbers(1001, 3))
put("image", "grey.png", png(GREY, 8))
put("image", "rgb.png", png(RGB, 8))
put("image", "grey.pgm", b"P5 " + SIZES + b" 255\n" + octets(256, 1))
put("image", "text.ppm", b"P3 " + SIZES + b" 255 " + numbers(256, 3))
