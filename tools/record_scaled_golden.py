#!/usr/bin/env python3
"""Makes the golden checkpoints of the encodings compressed-tensors, fp8 and modelopt, under tests/golden/checkpoints.

  record_scaled_golden.py cut FIXTURES OUT   one small matrix of each checkpoint that a tool wrote, and its values
  record_scaled_golden.py make OUT           every form of compressed-tensors in one checkpoint, by the library itself
                                             (needs torch and compressed-tensors: 0.19.0 for ct-forms, 0.17.0 for
                                             ct-forms-0.17, whose words hold whole codes and which orders columns)

FIXTURES holds folders with config.json, model.safetensors and golden.safetensors (deq.<module>.weight, f32).
"""
import json
import pathlib
import struct
import sys

ROWS = 8  # of a cut matrix
CUTS = {  # folder: modules
    "ct-fp8-block": ["model.layers.0.self_attn.k_proj"],
    "ct-fp8-dynamic": ["model.layers.0.self_attn.k_proj"],
    "ct-fp8-static-kv": ["model.layers.0.self_attn.k_proj"],
    "ct-mxfp4": ["model.layers.0.self_attn.k_proj"],
    "ct-nvfp4": ["model.layers.0.self_attn.k_proj"],
    "ct-w4a16-g128": ["model.layers.0.mlp.down_proj"],
    "ct-w8a8": ["model.layers.0.self_attn.k_proj"],
    "hf-fp8-block": ["model.layers.0.mlp.down_proj"],
    "modelopt-fp8-kv": ["model.layers.0.self_attn.k_proj"],
    "modelopt-nvfp4-kv": ["model.layers.0.self_attn.k_proj"],
}
SIZES = {"BF16": 2, "F16": 2, "F32": 4, "F8_E4M3": 1, "F8_E5M2": 1, "I32": 4, "I64": 8, "I8": 1, "U8": 1}


def read(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size :]
    return {n: (t["dtype"], t["shape"], body[slice(*t["data_offsets"])]) for n, t in header.items()}


def write(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, data) in sorted(tensors.items(), key=lambda item: (-SIZES[item[1][0]], item[0])):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def first_rows(tensor, rows):
    dtype, shape, data = tensor
    return (dtype, [rows] + shape[1:], data[: len(data) // shape[0] * rows])


def cut(source, out, modules):
    stored, golden = read(source / "model.safetensors"), read(source / "golden.safetensors")
    tensors, values = {}, {}
    for module in modules:
        parts = {n: t for n, t in stored.items() if n.startswith(module + ".")}
        codes = parts.get(module + ".weight_packed") or parts[module + ".weight"]
        for name, tensor in parts.items():
            rows = tensor[1][0] if tensor[1] else 0
            tensors[name] = first_rows(tensor, ROWS) if rows == codes[1][0] else tensor
        shape = module + ".weight_shape"
        if shape in parts:
            tensors[shape] = ("I64", [2], struct.pack("<2q", ROWS, struct.unpack("<2q", parts[shape][2])[1]))
        values[module + ".weight"] = first_rows(golden["deq." + module + ".weight"], ROWS)
        attention = module.rpartition(".")[0]
        for name, tensor in stored.items():
            if name.startswith(attention) and name.endswith(("k_scale", "v_scale")):
                tensors[name] = tensor
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    kept = {"quantization_config": config["quantization_config"]}
    (out / "config.json").write_text(json.dumps(kept, indent=1) + "\n")
    beside = source / "hf_quant_config.json"
    if beside.exists():
        (out / "hf_quant_config.json").write_text(json.dumps(json.loads(beside.read_text()), indent=1) + "\n")
    write(out / "model.safetensors", tensors)
    write(out / "golden.safetensors", values)


def old_cases():
    """What versions before 0.19 wrote in another way, or at all."""
    for bits in (3, 5, 6, 7):
        args = dict(num_bits=bits, type="int", symmetric=False, strategy="group", group_size=16)
        yield f"pack{bits}_asym", "pack-quantized", args
    yield "pack4_order", "pack-quantized", dict(
        num_bits=4, type="int", symmetric=False, strategy="group", group_size=16, actorder="group"
    )


def cases():
    """(name, format, arguments of the weights)."""
    for bits in range(2, 9):
        for symmetric in (True, False):
            kind = "sym" if symmetric else "asym"
            args = dict(num_bits=bits, type="int", symmetric=symmetric, strategy="group", group_size=16)
            yield f"pack{bits}_{kind}", "pack-quantized", args
    yield "pack4_channel", "pack-quantized", dict(num_bits=4, type="int", symmetric=False, strategy="channel")
    yield "pack4_tensor", "pack-quantized", dict(num_bits=4, type="int", symmetric=False, strategy="tensor")
    yield "int8_asym", "int-quantized", dict(num_bits=8, type="int", symmetric=False, strategy="channel")
    yield "int4_group", "naive-quantized", dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=16)
    yield "fp8_group", "naive-quantized", dict(num_bits=8, type="float", strategy="group", group_size=32)
    yield "fp8_tensor", "float-quantized", dict(num_bits=8, type="float", strategy="tensor")
    yield "fp8_block", "float-quantized", dict(num_bits=8, type="float", strategy="block", block_structure=[4, 32])
    yield "mxfp8", "mxfp8-quantized", dict(num_bits=8, type="float", strategy="group", group_size=32,
                                           scale_dtype="torch.uint8")
    yield "mxfp4", "mxfp4-pack-quantized", dict(num_bits=4, type="float", strategy="group", group_size=32,
                                                scale_dtype="torch.uint8")
    yield "nvfp4", "nvfp4-pack-quantized", dict(num_bits=4, type="float", strategy="tensor_group", group_size=16,
                                                scale_dtype="torch.float8_e4m3fn")


def qparams(weight, args, torch):
    """Scales and zero points from the ranges of the groups, global scale, order."""
    from compressed_tensors.quantization.utils import calculate_qparams

    rows, cols = weight.shape
    order = global_scale = None
    grouped = weight
    if args.actorder == "group":
        order = torch.randperm(cols) // args.group_size
        grouped = weight[:, torch.argsort(order, stable=True)]
    if args.strategy == "tensor":
        low, high = weight.amin().reshape(1), weight.amax().reshape(1)
    elif args.strategy == "block":
        height, width = args.block_structure
        tiles = grouped.reshape(rows // height, height, cols // width, width)
        low, high = tiles.amin((1, 3)), tiles.amax((1, 3))
    else:
        tiles = grouped.reshape(rows, -1, args.group_size or cols)
        low, high = tiles.amin(-1), tiles.amax(-1)
    if args.strategy == "tensor_group":
        global_scale = (torch.tensor([6.0 * 448.0]) / weight.abs().max()).float()
    scale, zero_point = calculate_qparams(low, high, args, global_scale=global_scale)
    return scale, zero_point, global_scale, order


def exact_nvfp4(packed, args, torch):
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    rows, half = packed["weight_packed"].shape
    codes = unpack_fp4_from_uint8(packed["weight_packed"], rows, half * 2, dtype=torch.float32)
    scale = packed["weight_scale"].float()
    return dequantize(codes, scale, args=args, global_scale=packed["weight_global_scale"], dtype=torch.float32)


def make(root):
    import compressed_tensors
    import torch
    from compressed_tensors.compressors.base import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from safetensors.torch import save_file

    old = compressed_tensors.__version__ == "0.17.0"
    out = root / ("ct-forms-0.17" if old else "ct-forms")
    torch.manual_seed(0)
    tensors, values, groups = {}, {}, {}
    for name, form, options in old_cases() if old else cases():
        args = QuantizationArgs(**options)
        scheme = QuantizationScheme(targets=[f"layers.{name}"], weights=args, format=form)
        weight = torch.randn(12, 64 if args.group_size == 32 else 32)
        scale, zero_point, global_scale, order = qparams(weight, args, torch)
        if scale.dtype.is_floating_point and scale.dtype != torch.float8_e4m3fn:
            scale = scale.to(torch.bfloat16).float()  # what a bf16 model stores
        state = {"weight": weight, "weight_scale": scale}
        if not args.symmetric:
            state["weight_zero_point"] = zero_point.to(torch.int8)
        if global_scale is not None:
            state["weight_global_scale"] = global_scale
        if order is not None:
            state["weight_g_idx"] = order.to(torch.int32)
        compressor = BaseCompressor.get_value_from_registry(form)
        packed = compressor.compress(state, scheme)
        plain = compressor.decompress(dict(packed), scheme)["weight"]
        if form == "nvfp4-pack-quantized":  # the library's own is rounded to bf16
            plain = exact_nvfp4(packed, args, torch)
        assert (plain.float() - weight).abs().max() < 2.5, name
        for part, tensor in packed.items():
            keep = tensor.to(torch.bfloat16) if part == "weight_scale" and tensor.dtype == torch.float32 else tensor
            tensors[f"layers.{name}.{part}"] = keep.contiguous()
        values[f"layers.{name}.weight"] = plain.float().contiguous()
        groups[f"group_{name}"] = json.loads(scheme.model_dump_json())
    tensors["lm_head.weight"] = torch.zeros(2, 4, dtype=torch.bfloat16)
    out.mkdir(parents=True, exist_ok=True)
    config = {"quant_method": "compressed-tensors", "format": "mixed-precision", "config_groups": groups,
              "ignore": ["lm_head"], "version": compressed_tensors.__version__}
    (out / "config.json").write_text(json.dumps({"quantization_config": config}, separators=(",", ":")) + "\n")
    save_file(tensors, out / "model.safetensors")
    save_file(values, out / "golden.safetensors")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "cut":
        for folder, modules in CUTS.items():
            cut(pathlib.Path(sys.argv[2]) / folder, pathlib.Path(sys.argv[3]) / folder, modules)
    elif len(sys.argv) == 3 and sys.argv[1] == "make":
        make(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(__doc__)


main()
