#!/usr/bin/env python3
"""Drives the omni program over a folder of recorded text checkpoints and prints what agrees.

    tools/check_fixtures.py FOLDER [--omni PROGRAM] [--only NAME ...]

Each folder in FOLDER that has a golden.safetensors with `input_ids` and `logits` is planned, every recorded
`deq.<module>.weight` is compared with `omni inspect --decode`, and `omni generate` runs in f32: as stored, and with
weights dequantized at load (activations then stay float), which is what `logits` and `greedy_ids` were recorded from.
Folders without goldens, and .gguf and .safetensors files, in a folder named `damaged` must be refused.
Needs numpy and safetensors. Exit code 1 when anything disagrees.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file

TOLERANCE = 1e-4  # absolute, f32 against f32


def run(omni, *args, seconds=60):
    try:
        return subprocess.run([omni, *map(str, args)], capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(args, 124, "", "timed out")


def one_line(result):
    return result.stderr.strip().replace("\n", " | ")[:200]


def generate(omni, folder, golden, dump, *flags):
    """(largest difference of logits, equal greedy tokens, tokens, message)"""
    ids = golden["input_ids"][0]
    want = golden["greedy_ids"][0][len(ids):]
    r = run(omni, "generate", folder, "--dtype", "f32", "--temperature", 0, "--ignore-eos", "--max-tokens", len(want),
            "--prompt-ids", ",".join(map(str, ids)), "--dump-logits", dump, "--json", "--quiet", *flags)
    if r.returncode != 0:
        return None, 0, len(want), one_line(r)
    logits = np.load(dump)
    got = json.loads(r.stdout)["outputs"][0]["token_ids"]
    same = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), len(want))
    return logits, same, len(want), ""


def decoded(omni, folder, golden, dump):
    """(exact matrices, matrices, the first that differs)"""
    exact, names, bad = 0, [n for n in golden if n.startswith("deq.")], ""
    for name in names:
        r = run(omni, "inspect", folder, "--decode", name[4:], "-o", dump)
        if r.returncode == 0:
            got = np.load(dump)[: golden[name].shape[0]]
            if got.shape == golden[name].shape and np.array_equal(got, golden[name]):
                exact += 1
                continue
            bad = bad or f"{name}: differs"
        bad = bad or f"{name}: {one_line(r)}"
    return exact, len(names), bad


def check(omni, folder, dump):
    golden = load_file(folder / "golden.safetensors")
    if "logits" not in golden or "input_ids" not in golden or "greedy_ids" not in golden:
        return None
    plan = run(omni, "plan", folder, "--json")
    if plan.returncode != 0:
        return [folder.name, "refused", "", "", "", "", one_line(plan)], False
    stored = sorted({w["stored"] for w in json.loads(plan.stdout)["weights"] if w["role"] == "ordinary"})
    exact, count, bad = decoded(omni, folder, golden, dump)
    as_stored, _, _, failed = generate(omni, folder, golden, dump)
    wish = '{"method": "none", "dequantize": true}'
    floats, same, tokens, why = generate(omni, folder, golden, dump, "--quantization-config", wish)
    want = golden["logits"][0]
    away = np.inf if floats is None else float(np.abs(floats - want).max())
    stored_away = "" if as_stored is None else f"{np.abs(as_stored - want).max():.1e}"
    tool = golden.get("logits_tool")
    tool_away = "" if tool is None or as_stored is None else \
        f"{np.abs(as_stored - tool[0]).max():.1e} ({np.abs(tool[0] - want).max():.1e})"
    ok = exact == count and away <= TOLERANCE and same == tokens and not failed
    row = [folder.name, ", ".join(stored), f"{exact}/{count}", f"{away:.1e}", f"{same}/{tokens}", stored_away, tool_away,
           bad or failed or why]
    return row, ok


def refused(omni, path):
    """Plan or generate must end with code 1 or 2 and one line."""
    answers = [run(omni, "inspect", path)] if path.suffix == ".safetensors" else [run(omni, "plan", path, "--json")]
    if answers[0].returncode == 0 and path.suffix != ".safetensors":
        answers.append(run(omni, "generate", path, "--prompt", "a", "--no-chat-template", "--max-tokens", 1))
    last = answers[-1]
    lines = last.stderr.strip().splitlines()
    ok = last.returncode in (1, 2) and len(lines) == 1 and lines[0].startswith("omni: error: ")
    return [path.name, last.returncode, one_line(last)], ok


def print_table(headers, rows):
    cells = [headers] + [[str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells if i < len(row)) for i in range(len(headers))]
    for row in cells:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip())
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--omni", default="build/bin/omni")
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    good, rows, broken = True, [], []
    with tempfile.TemporaryDirectory() as work:
        dump = pathlib.Path(work) / "x.npy"
        for folder in sorted(p for p in args.folder.iterdir() if p.is_dir()):
            if args.only and folder.name not in args.only:
                continue
            if folder.name == "damaged":
                for path in sorted(p for p in folder.iterdir() if p.is_dir() or p.suffix in (".gguf", ".safetensors")):
                    row, ok = refused(args.omni, path)
                    good &= ok
                    broken.append(["" if ok else "WRONG", *row])
            elif (folder / "golden.safetensors").exists():
                result = check(args.omni, folder, dump)
                if result is not None:
                    good &= result[1]
                    rows.append(["" if result[1] else "WRONG", *result[0]])
    if rows:
        print_table(["", "checkpoint", "stored", "exact", "float logits", "greedy", "as stored", "tool (tool's own)",
                     "message"], rows)
    if broken:
        print_table(["", "damaged", "exit", "message"], broken)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
