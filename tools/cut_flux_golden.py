#!/usr/bin/env python3
"""Cuts the goldens of quantized FLUX transformers to what the tests need.

    tools/cut_flux_golden.py FIXTURES tests/golden

FIXTURES holds flux-tiny-gguf and flux-tiny-nf4: the transformer of tests/golden/flux-tiny quantized by ggml and by
bitsandbytes, with what diffusers computed from the dequantized weights in f32. Of the GGUF only the blocks of types
that the test cannot make exactly (everything but F32, BF16 and Q8_0) are kept, with the type of every tensor.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
from gguf import GGUFReader
from safetensors.numpy import load_file, save_file

KEPT = ("velocity.", "latents.", "image_u8")
MADE_BY_THE_TEST = ("F32", "BF16", "Q8_0")


def goldens(folder):
    return {name: value for name, value in load_file(folder / "golden.safetensors").items() if name.startswith(KEPT)}


def cut_gguf(source, target):
    tensors, types = goldens(source), {}
    for tensor in GGUFReader(next(source.glob("*.gguf"))).tensors:
        types[tensor.name] = tensor.tensor_type.name
        if types[tensor.name] not in MADE_BY_THE_TEST:
            tensors["blocks." + tensor.name] = np.ascontiguousarray(tensor.data, np.uint8)
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / "golden.safetensors", {"types": json.dumps(types)})


def cut_nf4(source, target):
    target.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        shutil.copyfile(source / name, target / name)
    save_file(goldens(source), target / "golden.safetensors")


def main():
    fixtures, golden = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    cut_gguf(fixtures / "flux-tiny-gguf", golden / "flux-tiny-gguf")
    cut_nf4(fixtures / "flux-tiny-nf4", golden / "flux-tiny-nf4")


if __name__ == "__main__":
    main()
