"""GB/s of f32 values that a type encodes and decodes: omni against gguf-py (GGUF types) and torch (int8, fp8), in one run.

usage: python3 bench/codec.py --bench build/release/bench/omni_bench_codec [--threads 2] [--rows 2048 --cols 4096]
The ceiling is omni's own copy of f32 values. gguf-py has no encoder for K-quants; its cells stay empty.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

ap = argparse.ArgumentParser()
ap.add_argument("--bench", required=True)
ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
ap.add_argument("--rows", type=int, default=2048)
ap.add_argument("--cols", type=int, default=4096)
args = ap.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)

import gguf  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(args.threads)
values = torch.randn(args.rows, args.cols, generator=torch.Generator().manual_seed(1))
BYTES = values.numel() * 4


def rate(work):
    work()
    seconds = []
    while len(seconds) < 3 or (sum(seconds) < 1 and len(seconds) < 9):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return BYTES / statistics.median(seconds) / 1e9


def torch_pair(dtype, largest, per_tensor=False):
    def encode():
        scale = (values.abs().amax() if per_tensor else values.abs().amax(dim=1, keepdim=True)) / largest
        scaled = values / scale
        return (scaled.round().clamp(-127, 127) if dtype == torch.int8 else scaled).to(dtype), scale

    codes, scale = encode()
    return rate(encode), rate(lambda: codes.to(torch.float32) * scale)


def gguf_pair(name):
    kind = gguf.GGMLQuantizationType[name]
    array = values.numpy()
    try:
        packed = gguf.quants.quantize(array, kind)
        encode = rate(lambda: gguf.quants.quantize(array, kind))
    except NotImplementedError:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        packed = torch.zeros(args.rows, args.cols // block * size, dtype=torch.uint8).numpy()
        encode = None
    return encode, rate(lambda: gguf.quants.dequantize(packed, kind))


command = [args.bench, "--json", "--threads", str(args.threads), "--rows", str(args.rows), "--cols", str(args.cols)]
own = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
peers = {"int8": ("torch", *torch_pair(torch.int8, 127)), "fp8": ("torch", *torch_pair(torch.float8_e4m3fn, 448)),
         "fp8_per_tensor": ("torch", *torch_pair(torch.float8_e4m3fn, 448, True))}
for name in own["types"]:
    if name.startswith("q"):
        peers[name] = ("gguf-py", *gguf_pair(name.upper()))


def cell(value):
    return f"{value:10.2f}" if value is not None else f"{'':10}"


print(f"{args.rows} x {args.cols} values, {args.threads} threads, GB/s of f32, medians; copying f32: {own['copy']:.1f}")
print(f"{'type':18} {'encode':>10} {'decode':>10}   {'peer':8} {'encode':>10} {'decode':>10}")
for name, rates in own["types"].items():
    peer, encode, decode = peers.get(name, ("", None, None))
    print(f"{name:18} {cell(rates['encode'])} {cell(rates['decode'])}   {peer:8} {cell(encode)} {cell(decode)}".rstrip())
