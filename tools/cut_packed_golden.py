#!/usr/bin/env python3
"""Cuts one matrix out of checkpoints of AWQ, GPTQ, AutoRound, bitsandbytes and torchao for the tests of encodings.

    tools/cut_packed_golden.py FIXTURES OUT

FIXTURES holds folders with config.json, one .safetensors file and golden.safetensors (`deq.NAME.weight`: the
dequantized matrix, perhaps its first rows). Each becomes OUT/FOLDER/: config.json (the quantization_config alone),
model.safetensors (the parts of the matrix, its first 32 rows where that cuts whole words) and deq.npy (8 rows).
"""
import json
import pathlib
import sys

import numpy as np
from safetensors import safe_open

ROWS = 32
MATRICES = {
    "autoround-awq-g128": "model.layers.0.mlp.down_proj",
    "autoround-gptq-g128": "model.layers.0.mlp.down_proj",
    "awq-int4-g128": "model.layers.0.mlp.down_proj",
    "bnb-int8": "model.layers.0.self_attn.k_proj",
    "bnb-nf4": "model.layers.0.self_attn.k_proj",
    "flux-tiny-nf4": "transformer_blocks.0.attn.to_q",
    "gptq-int4-g128-desc-act": "model.layers.0.mlp.down_proj",
    "gptq-int4-g128-sym": "model.layers.0.mlp.down_proj",
    "gptq-int8-g64": "model.layers.0.mlp.down_proj",
    "torchao-float8": "model.layers.0.self_attn.k_proj",
    "torchao-int8": "model.layers.0.self_attn.k_proj",
}


def main():
    fixtures, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for folder, name in MATRICES.items():
        source, target = fixtures / folder, out / folder
        target.mkdir(parents=True, exist_ok=True)
        config = json.loads((source / "config.json").read_text())["quantization_config"]
        config.pop("meta", None)
        (target / "config.json").write_text(json.dumps({"quantization_config": config}, indent=1) + "\n")
        file = next(f for f in source.glob("*.safetensors") if f.name != "golden.safetensors")
        copy(file, name, target / "model.safetensors")
        with safe_open(source / "golden.safetensors", "numpy") as golden:
            np.save(target / "deq.npy", golden.get_tensor(f"deq.{name}.weight")[:8])


def copy(file, name, target):
    """The tensors of one module, byte by byte: numpy lacks some of their types."""
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    parts, data = {}, b""
    for tensor, entry in sorted(header.items()):
        if not tensor.startswith(name + ".") or tensor.endswith(".bias"):
            continue
        begin, end = entry["data_offsets"]
        bytes_, shape = raw[8 + length + begin : 8 + length + end], entry["shape"]
        if tensor.rsplit(".", 1)[1] in ("qweight", "qzeros", "scales") and entry["dtype"] in ("I32", "F16"):
            keep = ROWS if tensor.endswith("scales") else ROWS * shape[1] // header[name + ".scales"]["shape"][1]
            matrix = np.frombuffer(bytes_, np.int32 if entry["dtype"] == "I32" else np.float16).reshape(shape)
            bytes_, shape = np.ascontiguousarray(matrix[:, :keep]).tobytes(), [shape[0], keep]
        parts[tensor] = {"dtype": entry["dtype"], "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(parts).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(len(text).to_bytes(8, "little") + text + data)


if __name__ == "__main__":
    main()
