#!/usr/bin/env python3
"""Records tests/golden/torch_random.json: bits of torch.randn on the CPU for sizes below 16, tails and mixed calls.

Needs torch. Each case is a seed and the sizes of the calls made one after the other with one generator; `bits` holds
the f32 values of all calls as unsigned 32-bit integers. `last` instead keeps the last 20 values of one large call.
"""
import json
import pathlib
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASES = [
    (0, [1]), (42, [1, 1, 1]), (42, [2]), (7, [15]), (3, [3, 16, 2]), (42, [16]), (42, [17]), (5, [31]), (6, [33]),
    (2**32 + 9, [16]), (9, [16]), (1234567890123, [5, 20, 5]), (0, [100]), (2**64 - 1, [18]),
]
LAST = [(11, 1000), (12, 4099), (42, 65535)]


def generator(seed):
    # manual_seed takes signed 64-bit integers; the bits are what counts
    return torch.Generator().manual_seed(seed if seed < 2**63 else seed - 2**64)


def bits(values):
    return [int(b) & 0xFFFFFFFF for b in values.view(torch.int32)]


def main():
    cases = []
    for seed, sizes in CASES:
        g = generator(seed)
        cases.append({"seed": str(seed), "sizes": sizes,
                      "bits": bits(torch.cat([torch.randn(n, generator=g) for n in sizes]))})
    last = []
    for seed, size in LAST:
        last.append({"seed": str(seed), "size": size, "bits": bits(torch.randn(size, generator=generator(seed))[-20:])})
    lines = [f'{{"source": "torch {torch.__version__}",', ' "cases": [', ",\n".join("  " + json.dumps(c) for c in cases) + "],",
             ' "last": [', ",\n".join("  " + json.dumps(c) for c in last) + "]}"]
    (ROOT / "tests/golden/torch_random.json").write_text("\n".join(lines) + "\n")


main()
