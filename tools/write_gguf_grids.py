#!/usr/bin/env python3
"""Writes src/checkpoint/gguf_grids.cpp: ggml's codebooks, as the `gguf` package (MIT) carries them.

  python3 tools/write_gguf_grids.py > src/checkpoint/gguf_grids.cpp    # needs `gguf`
"""
import gguf.quants as q

GRIDS = [("kIQ1Grid", q.IQ1_S, "-1, 0, 1"), ("kIQ2SGrid", q.IQ2_S, "8, 25, 43"), ("kIQ2XSGrid", q.IQ2_XS, "8, 25, 43"),
         ("kIQ2XXSGrid", q.IQ2_XXS, "8, 25, 43"), ("kIQ3SGrid", q.IQ3_S, "1, 3, 5 ... 15"),
         ("kIQ3XXSGrid", q.IQ3_XXS, "4, 12, 20, 28, 36, 44, 52, 62")]

print("""#include "checkpoint/gguf_grids.h"

// Data: the codebooks of ggml's IQ1, IQ2 and IQ3 types (MIT licence, the ggml authors), each entry packed into 16
// bits. Written by tools/write_gguf_grids.py.
namespace omni {
// clang-format off""")
for name, quant, values in GRIDS:
    raw = bytes.fromhex(quant.grid_hex.decode())
    entries = [raw[i] | raw[i + 1] << 8 for i in range(0, len(raw), 2)]
    assert len(entries) == quant.grid_shape[0], name
    print(f"\n// {quant.grid_shape[1]} values an entry, lowest bits first: indices of {values}.")
    print(f"const std::array<uint16_t, {len(entries)}> {name} = {{")
    for i in range(0, len(entries), 14):
        print("    " + ", ".join(f"{e:#06x}" for e in entries[i:i + 14]) + ",")
    print("};")
print("// clang-format on\n\n}  // namespace omni")
