#!/usr/bin/env python3
"""Copies a recorded text checkpoint with its goldens cut to what the tests read.

usage: tools/cut_text_golden.py FOLDER OUT
"""
import pathlib
import shutil
import sys

from safetensors.numpy import load_file, save_file

source, out = map(pathlib.Path, sys.argv[1:3])
out.mkdir(parents=True, exist_ok=True)
for name in ["config.json", "model.safetensors"]:
    shutil.copyfile(source / name, out / name)
golden = load_file(source / "golden.safetensors")
save_file({k: golden[k] for k in ["input_ids", "logits", "greedy_ids"]}, out / "golden.safetensors")
