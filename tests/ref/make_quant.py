#!/usr/bin/env python3
"""Makes quant.safetensors, the reference of tests/unit/test_quant.c, with ggml's reference functions.

    python3 make_quant.py LIBGGML-BASE.so [folder]      (needs numpy, safetensors; the library comes with llama-cpp-python)

x holds values of several kinds, a K block (256) each: bell-shaped, heavy-tailed, of sub-blocks with very different
sizes, constant, all zero, of one sign, with two equal extremes, too small for a scale. NAME holds the bytes of
quantize_row_NAME_ref, NAME.f32 what dequantize_row_NAME makes of them.
"""
import ctypes
import os
import sys

import numpy as np
from safetensors.numpy import save_file

FORMATS = {"q8_0": (32, 34), "q4_0": (32, 18), "q4_1": (32, 20), "q5_0": (32, 22), "q5_1": (32, 24),
           "q4_K": (256, 144), "q5_K": (256, 176), "q6_K": (256, 210)}


def values():
    r = np.random.default_rng(7)
    outlier = r.standard_normal(256) * 1e-4
    outlier[7] = 50
    blocks = [r.standard_normal(256) * 0.02, r.standard_t(2, 256) * 0.1,
              r.standard_normal(256) * np.repeat(10.0 ** r.uniform(-6, 2, 8), 32), np.full(256, -0.5), np.zeros(256),
              np.abs(r.standard_normal(256)), -np.abs(r.standard_normal(256)), np.tile([1, -1], 128),
              np.tile([-1, 1], 128), outlier, r.standard_normal(256) * 1e-39,
              np.round(r.standard_normal(256) * 4) / 8, r.integers(-3, 4, 256)]
    return np.concatenate(blocks).astype(np.float32)


def main():
    lib = ctypes.CDLL(sys.argv[1])
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))
    x = values()
    out = {"x": x, "F16": x.astype(np.float16).view(np.uint8)}
    for name, (n, size) in FORMATS.items():
        y, back = np.zeros(x.size // n * size, np.uint8), np.zeros_like(x)
        pointer = [a.ctypes.data_as(ctypes.c_void_p) for a in (x, y, back)]
        getattr(lib, f"quantize_row_{name}_ref")(pointer[0], pointer[1], ctypes.c_int64(x.size))
        getattr(lib, f"dequantize_row_{name}")(pointer[1], pointer[2], ctypes.c_int64(x.size))
        out[name.upper()] = y
        out[name.upper() + ".f32"] = back
    save_file(out, os.path.join(folder, "quant.safetensors"))


main()
