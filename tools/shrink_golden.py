"""Copies a golden file with its block taps rounded to f16 (error 2^-12 of a value, far below the 2e-3 of range they judge).

usage: python3 tools/shrink_golden.py IN.safetensors OUT.safetensors
"""
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

with safe_open(sys.argv[1], "np") as f:
    out = {k: f.get_tensor(k) for k in f.keys()}
    for k in out:
        if ".step0." in k:
            out[k] = out[k].astype(np.float16)
    save_file(out, sys.argv[2], f.metadata())
