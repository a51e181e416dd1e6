"""mini-FLUX on the CPU: omni against diffusers, both in one run on the same prompt, size, steps and threads.

usage: python3 bench/flux.py --omni build/release/bin/omni --model models/mini-flux [--steps 20] [--repeat 5] [--threads 2] [--json FILE]
Prints medians of warm runs, the spread, and ratios. The arms alternate, so that a noisy moment hits both.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

ap = argparse.ArgumentParser()
ap.add_argument("--omni", required=True)
ap.add_argument("--model", required=True)
ap.add_argument("--steps", type=int, default=20)
ap.add_argument("--size", type=int, default=256)
ap.add_argument("--repeat", type=int, default=5)
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
ap.add_argument("--omni-modes", default="f32,bf16,int8,fp8,fp8_per_tensor,int8_weight_only,q8_0,q6_k,q5_k,q4_k,q4_0,int4,int4/g32/asym,nf4,nvfp4")
ap.add_argument("--json")
args = ap.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)

import diffusers  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(args.threads)
diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()


class Peer:
    """A diffusers pipeline whose transformer calls and VAE decode are timed."""

    def __init__(self, dtype):
        self.pipe = diffusers.FluxPipeline.from_pretrained(args.model, torch_dtype=dtype)
        self.pipe.set_progress_bar_config(disable=True)
        self.transformer = 0.0
        inner = self.pipe.transformer.forward

        def timed(*a, **k):
            start = time.perf_counter()
            out = inner(*a, **k)
            self.transformer += time.perf_counter() - start
            return out

        self.pipe.transformer.forward = timed

    def paint(self):
        self.transformer = 0.0
        start = time.perf_counter()
        self.pipe("a cat", height=args.size, width=args.size, num_inference_steps=args.steps, guidance_scale=3.5, max_sequence_length=32,
                  generator=torch.Generator().manual_seed(42))
        return time.perf_counter() - start, self.transformer / args.steps


def omni(mode):
    command = [args.omni, "bench", args.model, "--json", "--quiet", "--steps", str(args.steps), "--width", str(args.size), "--height", str(args.size),
               "--repeat", str(args.repeat), "--threads", str(args.threads), "--seed", "42"]
    command += ["--dtype", mode] if mode in ("f32", "bf16") else ["--quantization", mode]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


peers = {"f32": Peer(torch.float32), "bf16": Peer(torch.bfloat16)}
rows = {}
for peer in peers.values():
    peer.paint()
for _ in range(args.rounds):
    for name, peer in peers.items():
        for _ in range(args.repeat):
            seconds, step = peer.paint()
            rows.setdefault("diffusers " + name, []).append((seconds, step))
    for mode in args.omni_modes.split(","):
        result = omni(mode)
        step = result["outputs"][0]["seconds_per_step"]
        rows.setdefault("omni " + mode, []).extend((s, step) for s in result["outputs"][0]["runs"])

cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
print(f"mini-FLUX {args.size}x{args.size}, {args.steps} steps, warm, medians; {cpu}, {args.threads} threads; torch {torch.__version__}, "
      f"diffusers {diffusers.__version__}")
table = {name: (statistics.median(s for s, _ in runs), statistics.median(t for _, t in runs), min(s for s, _ in runs), max(s for s, _ in runs))
         for name, runs in rows.items()}
base, base32, own = table["diffusers bf16"], table["diffusers f32"], table["omni bf16"]
print(f"{'run':24} {'s / picture':>12} {'(min .. max)':>18} {'ms / step':>10} {'x diffusers bf16':>17} {'x diffusers f32':>16} {'step x omni bf16':>17}")
for name, (seconds, step, low, high) in table.items():
    print(f"{name:24} {seconds:12.3f} {f'({low:.3f} .. {high:.3f})':>18} {1e3 * step:10.2f} {base[0] / seconds:17.2f} {base32[0] / seconds:16.2f} "
          f"{own[1] / step:17.2f}")
if args.json:
    json.dump({name: dict(zip(("seconds", "seconds_per_step", "min", "max"), t)) for name, t in table.items()}, open(args.json, "w"), indent=2)
sys.stdout.flush()
