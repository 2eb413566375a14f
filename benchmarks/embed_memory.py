"""Peak memory of `engage embed` with few and with four times as many different images: it should not grow with them.

Drawn images and a tiny ViT with random weights, so that what is measured is the pipeline's and not an encoder's. Each
command is a process of its own; its peak resident size is what the system says of it.

python benchmarks/embed_memory.py [--images 6000]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

TIMES = 4


def write_posts(folder: Path, num: int) -> None:
    """Write posts.csv and images/, no two images alike."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    lines = ["id,views,title,image"]
    for number in range(num):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (18, 32, 3), np.uint8)).resize((320, 180)).save(out, "JPEG")
        (folder / "images" / f"{number}.jpg").write_bytes(out.getvalue())
        lines.append(f"p{number},{number},title {number},{number}.jpg")
    (folder / "posts.csv").write_text("\n".join(lines) + "\n")


def write_encoder(folder: Path) -> None:
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    ViTModel(ViTConfig(image_size=224, patch_size=32, **small), add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessorPil().save_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**settings, "image_processor_type": "ViTImageProcessor"}))


def peak_of(arguments: list[str]) -> float:
    """Run a command of engage and return its peak resident size in MB."""
    process = subprocess.Popen([sys.executable, "-m", "engage_cli", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"engage {' '.join(arguments)} failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=6000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, peaks = Path(place), []
        write_encoder(folder / "encoder")
        for num in (asked.images, TIMES * asked.images):
            write_posts(folder / str(num), num)
            table = ["--table", str(folder / str(num) / "posts.csv"), "--images-dir", str(folder / str(num) / "images")]
            data = ["--data", str(folder / f"data{num}")]
            peak_of(["prepare", *table, *data, "--no-dedupe"])
            peaks.append(peak_of(["embed", *data, "--vision", str(folder / "encoder"), "--blocks", "image"]))
            print(f"{num:,} images: peak {peaks[-1]:,.0f} MB", flush=True)
        print(f"{TIMES} times the images: {100 * (peaks[1] / peaks[0] - 1):+.1f} % memory")


if __name__ == "__main__":
    main()
