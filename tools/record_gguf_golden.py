#!/usr/bin/env python3
"""Cuts a GGUF file with a tensor of each type down to one block of a few rows, for tests/golden/checkpoints/gguf-types.

  python3 tools/record_gguf_golden.py ALL-TYPES.gguf OUT_FOLDER    # needs `gguf` and `safetensors`

OUT_FOLDER/types.gguf holds the blocks, OUT_FOLDER/golden.safetensors what gguf-py dequantizes them to (f32).
"""
import pathlib
import sys

import gguf
import numpy as np
from gguf.quants import dequantize
from safetensors.numpy import save_file

ROWS = (0, 3)  # normal values, and one outlier


def main():
    source, out = sys.argv[1], pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(out / "types.gguf", "fixture")
    writer.add_array("fixture.ints", [1, -2, 3])
    writer.add_array("fixture.strings", ["a", "", "\u00fcn\u00ef"])
    writer.add_float32("fixture.f32", 0.1)
    writer.add_bool("fixture.flag", True)
    writer.add_uint64("fixture.u64", 2**40)
    golden = {}
    for tensor in reader.tensors:
        kind = tensor.tensor_type
        block, size = gguf.GGML_QUANT_SIZES[kind]
        if block == 1:
            keep = tensor.data if len(tensor.data) < 4 else tensor.data[list(ROWS), :16 if kind != kind.BF16 else 32]
            writer.add_tensor(tensor.name, np.ascontiguousarray(keep), raw_dtype=kind)
            values = dequantize(keep, kind) if kind == kind.BF16 else keep
        else:
            rows = tensor.data.reshape(-1, tensor.data.shape[-1])[list(ROWS), :size]
            stacked = tensor.data.ndim == 3
            keep = np.ascontiguousarray(rows.reshape(2, 1, size) if stacked else rows)
            writer.add_tensor(tensor.name, keep, raw_dtype=kind)
            values = dequantize(np.ascontiguousarray(rows), kind)
        golden[tensor.name] = np.ascontiguousarray(values.reshape(-1, values.shape[-1]).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(golden, out / "golden.safetensors")
    (out / "golden.safetensors").chmod(0o644)


main()
