#!/usr/bin/env python3
"""Records tests/golden/tokenizers.json: token ids of many strings by the reference tokenizers.

Needs tokenizers (the library of tokenizer.json) and sentencepiece. Writes tests/golden/tokenizers/t5_strip too: the
tiny T5 tokenizer with the normalizers that newer exports use (Strip, Replace, Metaspace alone).
"""
import json
import pathlib
import sentencepiece
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/tokenizers"
FOLDERS = ["models/mini-flux/tokenizer", "models/mini-flux/tokenizer_2", "tests/golden/tokenizers/clip_tiny",
           "tests/golden/tokenizers/t5_tiny", "tests/golden/tokenizers/t5_strip", "tests/golden/tokenizers/byte_level"]
STRINGS = [
    "", " ", "   \t\n ", "a cat", "A Cat", "a  cat", " a cat ", "a\tcat\nsat\r\non", "a crab on a teal background",
    "a red fish, near the old house", "don't", "it's we're I've I'm they'll he'd", "DON'T IT'S", "rock'n'roll 'tis",
    "hello, world!", "...!?;:", "a-b_c/d\\e|f", "(a) [b] {c} <d>", "#1 @you 50% $5 & more", "0123456789", "3.14159 1,000",
    "x2 y3z 4k 8K", "C++ & C#", "\"quoted\" 'single' `tick`", "caf\u00e9 na\u00efve r\u00e9sum\u00e9", "cafe\u0301 nai\u0308ve", "\u00c5ngstr\u00f6m \u212b",
    "\u00dcber stra\u00dfe STRASSE", "\u0130stanbul \u0131", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u039f\u0394\u039f\u03a3", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440", "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0", "\u4e2d\u6587\uff0c\u6807\u70b9\u3002",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "emoji \U0001f600 \U0001f408\u200d\u2b1b \U0001f1eb\U0001f1f7 \U0001f44d\U0001f3fd",
    "\U0001f600\U0001f600\U0001f600", "\U0001d49c\U0001d4b7 \U0001f130", "\uff21\uff22\uff43 \uff11\uff12", "\u2460\u2461\u2462 \u00bd \u00b2 \u2168", "\u2460\u0301 x", "\ufb01ne \ufb03 \u01c6", "a\u00a0b\u2003c\u3000d",
    "a\u180eb\u180e c", "a\u0085b\u2028c\u2029d", "a\u200bb\u200dc\ufeffd", "a\u0000b\u0001c\u001fd\u007fe", "\u0300\u0301\u0302", "e\u0301\u0302\u0303\u0304\u0305",
    "\u2581a \u2581\u2581b\u2581", "<|startoftext|>a cat<|endoftext|>", "<|STARTOFTEXT|> x", "a </s> cat<pad>", "<unk> <extra_id_0>", "< /s> <| endoftext |>",
    "a</s>b", "supercalifragilisticexpialidocious", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "a photo of a small red house near the sea, " * 12, "trailing space ", "  leading", "tab\tx", "\u2014 dash \u2013 and \u2026", "\u201ccurly\u201d \u2018x\u2019 don\u2019t",
    "100\u00b0C \u20ac5 \u00a36 \u00a57", "a\u0327\u0301 \u1e09", "\u1100\u1161\u11a8 \uac01", "\U0010ffff \ue000 \ufffd", "\ta\u000bb\u000cc", "co-op e.g. U.S.A. 10:30",
]


def write_strip_variant():
    data = json.loads((GOLDEN / "t5_tiny/tokenizer.json").read_text())
    data["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "NFKC"}, {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]}
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    data["added_tokens"] += [
        {"id": 62, "content": "House", "single_word": True, "lstrip": True, "rstrip": True, "normalized": True,
         "special": False}]
    folder = GOLDEN / "t5_strip"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "tokenizer_config.json").write_text((GOLDEN / "t5_tiny/tokenizer_config.json").read_text())


def main():
    write_strip_variant()
    strings = STRINGS + ["the House is red", "House", " a House , Houses \u2581House", "House\u200d House\u24b6 House-x"]
    lines = ["{", f' "source": "tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}",',
             ' "strings": [', ",\n".join("  " + json.dumps(s) for s in strings) + "],", ' "ids": {']
    blocks = []
    for folder in FOLDERS:
        tokenizer = tokenizers.Tokenizer.from_file(str(ROOT / folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        rows = [json.dumps(tokenizer.encode(s).ids) for s in strings]
        blocks.append(f'  "{folder}": [\n' + ",\n".join("   " + r for r in rows) + "]")
    lines.append(",\n".join(blocks) + "},")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/mini-flux/tokenizer_2/spiece.model"))
    lines.append(' "spiece": [')
    lines.append(",\n".join("  " + json.dumps(pieces.encode(s)) for s in strings) + "]}")
    (ROOT / "tests/golden/tokenizers.json").write_text("\n".join(lines) + "\n")


main()
