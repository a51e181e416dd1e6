#!/usr/bin/env python3
"""Records tests/golden/media: small pictures in many formats, their pixels, and quality values of pairs.

Needs numpy, pillow, scikit-image (PSNR, SSIM) and flip-evaluator (FLIP at its default viewing distance).
"""
import base64
import json
import pathlib
import flip_evaluator
import numpy as np
import PIL
import skimage
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/media"


def scene(width, height):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 127 + 100 * np.sin(x / 7) * np.cos(y / 9)
    green = 255 * x / width
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 230, 40)
    return np.clip(np.stack([red, green, blue], -1), 0, 255).round().astype(np.uint8)


def variants(a):
    rng = np.random.default_rng(5)
    noisy = np.clip(a + rng.normal(0, 12, a.shape), 0, 255).round().astype(np.uint8)
    shifted = np.roll(a, 2, axis=1)
    darker = (a * 0.8).astype(np.uint8)
    one = a.copy()
    one[20, 30, 1] ^= 1
    return {"noisy": noisy, "shifted": shifted, "darker": darker, "one": one, "inverted": 255 - a}


def quality(a, b):
    flip = flip_evaluator.evaluate(a.astype(np.float32) / 255, b.astype(np.float32) / 255, "LDR")[1]
    return {"psnr": float(peak_signal_noise_ratio(a, b, data_range=255)),
            "ssim": float(structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                                channel_axis=2, data_range=255)),
            "flip": float(flip), "max": int(np.abs(a.astype(int) - b).max())}


def save_formats(a):
    small = Image.fromarray(a[:16, :24].copy())
    grey = small.convert("L")
    alpha = small.copy()
    alpha.putalpha(Image.fromarray(np.tile(np.arange(24, dtype=np.uint8) * 11, (16, 1))))
    files = {"rgb.png": small, "grey.png": grey, "alpha.png": alpha, "palette.png": small.quantize(16),
             "baseline.jpg": small, "progressive.jpg": small, "grey.jpg": grey, "lossless.webp": small,
             "lossy.webp": small, "alpha.webp": alpha}
    options = {"baseline.jpg": {"quality": 95, "subsampling": 0},
               "progressive.jpg": {"quality": 90, "progressive": True, "subsampling": 0},
               "lossless.webp": {"lossless": True}, "lossy.webp": {"quality": 90},
               "alpha.webp": {"lossless": True, "exact": True}}
    pixels = {}
    for name, image in files.items():
        image.save(OUT / name, **options.get(name, {}))
        back = Image.open(OUT / name).convert("RGBA")
        white = Image.new("RGBA", back.size, "white")
        flat = np.asarray(Image.alpha_composite(white, back).convert("RGB"))
        pixels[name] = base64.b64encode(flat.tobytes()).decode()
    return pixels


def main():
    OUT.mkdir(exist_ok=True)
    a = scene(96, 64)
    Image.fromarray(a).save(OUT / "scene.png", optimize=True)
    values = {}
    for name, b in variants(a).items():
        Image.fromarray(b).save(OUT / f"scene_{name}.png", optimize=True)
        values[name] = quality(a, b)
    out = {"source": f"pillow {PIL.__version__}, scikit-image {skimage.__version__}, flip-evaluator",
           "quality": values, "pixels": save_formats(a)}
    (OUT / "media.json").write_text(json.dumps(out, indent=1) + "\n")


main()
