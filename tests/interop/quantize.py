"""Opens what `omni quantize` writes with the readers of other projects and compares the numbers.

Makes two tiny text models with random weights, quantizes each with omni into every format, and then
  - compressed-tensors: its own decompressors give the same matrices as `omni inspect --decode`, and transformers loads
    the folder and computes the logits that omni computes;
  - fp8: transformers loads the folder, dequantizes it and has the same matrices;
  - gguf: gguf-py reads the file and dequantizes to the same matrices; transformers loads it and has the same logits.
Also the FLUX transformer of the tests as compressed-tensors and as GGUF in its original names. Prints a line a check
with the largest difference; exit code 1 when one is beyond its bound.

usage: quantize.py --omni PROGRAM [--keep FOLDER]
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
warnings.filterwarnings("ignore")

import numpy as np
import torch
import transformers
import compressed_tensors
import gguf
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from safetensors import safe_open
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, FineGrainedFP8Config, LlamaConfig, Qwen3Config

transformers.logging.set_verbosity_error()
PROMPT = [5, 17, 9, 44, 21, 8, 130, 77]
SOURCE = pathlib.Path(__file__).resolve().parents[2]

# Scheme, the bound of the relative error of logits against omni's, and that of matrices against the library's.
#
# Weights only: the logits are the same arithmetic, so they agree to f32 rounding. With quantized inputs they need not:
# a value that lies within f32 rounding of the middle between two codes goes to either side in two programs, and that
# one code changes later ones, up to the size of the scheme's own noise (about 0.1 here). int8 inputs are moreover
# scaled by max / 127.5 in the library and by max / 127 in omni, and the library quantizes the inputs of fp8 blocks,
# which omni leaves float. There the matrices are the proof, and the logits only show that the model is the same one.
NOISE = 0.15
COMPRESSED = [
    ("int8", NOISE, 0), ("int8_weight_only", 1e-4, 0), ("fp8", NOISE, 0), ("fp8_per_tensor", NOISE, 0),
    ("int4", 1e-4, 0), ("int4/g32", 1e-4, 0), ("int4_g32_asym", 1e-4, 0), ("q8_0", 1e-4, 0), ("i3/g32", 1e-4, 0),
    ("fp8/128x128", NOISE, 0), ("nvfp4", 0.02, 0), ("mxfp4", 1e-4, 0), ("mxfp8", 1e-4, 0),
]
FP8 = ["fp8/128x128"]
GGUF = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"]


class Report:
    def __init__(self):
        self.failed = 0

    def line(self, what, difference, bound):
        good = difference <= bound
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {what:<78} {difference:9.3g}  (bound {bound:.3g})", flush=True)


def run(omni, *args):
    done = subprocess.run([omni, *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"omni {' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout


def train_tokenizer(folder, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    text = ["the crab sits on a teal background and looks at the other crab"] * 4
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet,
                                                            special_tokens=["<|end|>"], show_progress=False))
    tokenizer.save(str(folder / "tokenizer.json"))


def make_model(folder, kind):
    """A text model with random weights, bf16: qwen3 tied, llama untied. K of every linear is a multiple of 256."""
    torch.manual_seed(1)
    sizes = dict(vocab_size=320, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=128, bos_token_id=0, eos_token_id=0)
    if kind == "qwen3":
        # transformers takes 128 for the head of every GGUF Qwen3.
        config = Qwen3Config(**sizes, head_dim=128, tie_word_embeddings=True)
    else:
        config = LlamaConfig(**sizes, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.08)
            elif "norm" in name:
                parameter.normal_(1, 0.1)
    model.save_pretrained(folder)
    train_tokenizer(folder, 320)
    return folder


def omni_logits(omni, model, scratch):
    out = scratch / "logits.npy"
    run(omni, "generate", model, "--prompt-ids", ",".join(map(str, PROMPT)), "--max-tokens", 1, "--temperature", 0,
        "--ignore-eos", "--dtype", "f32", "--dump-logits", out, "--quiet")
    return np.load(out)


def omni_matrix(omni, path, name, scratch):
    out = scratch / "matrix.npy"
    run(omni, "inspect", path, "--decode", name, "-o", out)
    return np.load(out)


def relative(got, want):
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def largest_difference(got, want):
    """Of two matrices, over the largest entry; want is rounded to the dtype that a reader dequantizes into."""
    want = want.to(got.dtype)
    return float((got.float() - want.float()).abs().max() / want.float().abs().max())


def logits_of(model):
    with torch.no_grad():
        return model(torch.tensor([PROMPT])).logits[0].float().numpy()


def tensors_of(folder):
    out = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            out.update({name: opened.get_tensor(name) for name in opened.keys()})
    return out


def check_matrices(report, omni, folder, what, bound, scratch):
    """Every quantized module through the library's own decompressor. Returns omni's matrices."""
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    scheme = QuantizationConfig.model_validate(config).config_groups["group_0"]
    compressor = BaseCompressor.get_value_from_registry(config["config_groups"]["group_0"]["format"])
    tensors = tensors_of(folder)
    worst, expected = 0.0, {}
    for name in sorted(tensors):
        if not name.endswith(".weight_scale"):
            continue
        module = name[: -len(".weight_scale")]
        parts = {k[len(module) + 1 :]: v for k, v in tensors.items() if k.startswith(module + ".")}
        parts.pop("bias", None)
        theirs = compressor.decompress(parts, scheme)["weight"]
        expected[module] = torch.from_numpy(omni_matrix(omni, folder, module, scratch))
        worst = max(worst, largest_difference(theirs, expected[module]))
    report.line(f"{what}: {len(expected)} matrices by compressed-tensors", worst if expected else float("inf"), bound)
    return expected


def check_compressed(report, omni, model, kind, scratch):
    for scheme, logits_bound, matrix_bound in COMPRESSED:
        out = scratch / f"{kind}-{scheme.replace('/', '-')}"
        run(omni, "quantize", model, "--quantization", scheme, "--format", "compressed-tensors", "-o", out, "--quiet")
        what = f"{kind} {scheme} as compressed-tensors"
        expected = check_matrices(report, omni, out, what, matrix_bound, scratch)
        loaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32,
                                                      quantization_config=CompressedTensorsConfig(dequantize=True))
        state = loaded.state_dict()
        worst = max(largest_difference(state[module + ".weight"], ours) for module, ours in expected.items())
        report.line(f"{what}: {len(expected)} matrices by transformers", worst, matrix_bound)
        report.line(f"{what}: logits by transformers",
                    relative(logits_of(loaded.float()), omni_logits(omni, out, scratch)), logits_bound)


def check_fp8(report, omni, model, kind, scratch):
    for scheme in FP8:
        out = scratch / f"{kind}-fp8-{scheme.replace('/', '-')}"
        run(omni, "quantize", model, "--quantization", scheme, "--format", "fp8", "-o", out, "--quiet")
        loaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32,
                                                      quantization_config=FineGrainedFP8Config(dequantize=True))
        worst, count = 0.0, 0
        state = loaded.state_dict()
        for name in sorted(n for n in tensors_of(out) if n.endswith(".weight_scale_inv")):
            module = name[: -len(".weight_scale_inv")]
            theirs = state[module + ".weight"]
            ours = torch.from_numpy(omni_matrix(omni, out, module, scratch))
            worst = max(worst, largest_difference(theirs, ours))
            count += 1
        report.line(f"{kind} {scheme} as fp8: {count} matrices by transformers", worst if count else float("inf"), 0)


def check_gguf_file(report, omni, file, what, scratch):
    reader = gguf.GGUFReader(file)
    worst, count, quantized = 0.0, 0, 0
    for tensor in reader.tensors:
        if not tensor.name.endswith(".weight") or len(tensor.shape) != 2:
            continue
        theirs = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
        ours = omni_matrix(omni, file, tensor.name[: -len(".weight")], scratch)
        worst = max(worst, float(np.abs(theirs - ours).max() / np.abs(ours).max()))
        count += 1
        quantized += tensor.tensor_type.name not in ("F32", "F16", "BF16")
    report.line(f"{what}: {count} matrices, {quantized} of them quantized, by gguf-py", worst if quantized else float("inf"),
                0)
    return reader


def check_gguf(report, omni, model, kind, scratch):
    for scheme in GGUF:
        out = scratch / f"{kind}-{scheme}.gguf"
        run(omni, "quantize", model, "--quantization", scheme, "-o", out, "--quiet")
        what = f"{kind} {scheme} as gguf"
        check_gguf_file(report, omni, out, what, scratch)
        loaded = AutoModelForCausalLM.from_pretrained(out.parent, gguf_file=out.name, dtype=torch.float32)
        report.line(f"{what}: logits by transformers", relative(logits_of(loaded), omni_logits(omni, out, scratch)), 1e-4)


def check_flux(report, omni, scratch):
    model = SOURCE / "tests/golden/flux-tiny"
    for scheme in ["int8", "int4/g32", "fp8"]:
        out = scratch / f"flux-{scheme.replace('/', '-')}"
        run(omni, "quantize", model, "--quantization", scheme, "-o", out, "--quiet")
        check_matrices(report, omni, out / "transformer", f"flux {scheme} as compressed-tensors", 0, scratch)
    for scheme in ["q8_0", "q4_0"]:
        out = scratch / f"flux-{scheme}.gguf"
        run(omni, "quantize", model, "--quantization", scheme, "-o", out, "--quiet")
        reader = check_gguf_file(report, omni, out, f"flux {scheme} as gguf", scratch)
        architecture = reader.get_field("general.architecture").contents()
        names = {t.name for t in reader.tensors}
        wanted = {"img_in.weight", "double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.bias",
                  "final_layer.adaLN_modulation.1.weight"}
        report.line(f"flux {scheme} as gguf: architecture '{architecture}', original names missing",
                    len(wanted - names) + (architecture != "flux"), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--omni", required=True)
    parser.add_argument("--keep", help="a folder for the models; a temporary one when left out")
    args = parser.parse_args()
    omni = str(pathlib.Path(args.omni).resolve())
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, compressed-tensors "
          f"{compressed_tensors.__version__}, gguf {__import__('importlib.metadata').metadata.version('gguf')}")
    report = Report()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = pathlib.Path(args.keep or temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        for kind in ["qwen3", "llama"]:
            model = make_model(scratch / kind, kind)
            check_compressed(report, omni, model, kind, scratch)
            check_fp8(report, omni, model, kind, scratch)
            check_gguf(report, omni, model, kind, scratch)
        check_flux(report, omni, scratch)
    print("every reader agrees" if report.failed == 0 else f"{report.failed} checks failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
