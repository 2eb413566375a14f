"""AutoGluon's MultiModalPredictor on one split, for benchmarks/quality.py, which calls it with another Python.

    python -m venv /tmp/autogluon
    /tmp/autogluon/bin/pip install 'torch==2.12.*' 'torchvision==0.27.*' autogluon.multimodal==1.6.3

Reads a table with columns part (train, validation, test), title, image (a path) and label; writes predictions of the test
part, and the seconds that training and prediction took. It is given the two encoders that engage's runs read, as local
folders, and everything else as its authors chose it, but for: eval_metric (its default picks the worst of its top
checkpoints); max_epochs, so that the schedule ends inside the time limit; no augmentation that fetches word lists;
validation once an epoch; and bf16, which it refuses on processors and which halves its time where they multiply in it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

ARCHITECTURE = "vit_small_patch14_dinov2"
IMAGE_SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--posts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist")
    parser.add_argument("--vision", type=Path, required=True, help="a transformers checkpoint of DINOv2-small")
    parser.add_argument("--text", type=Path, required=True, help="a transformers checkpoint")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--time-limit", type=float, required=True, help="seconds")
    parser.add_argument("--classes", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    import numpy as np
    import pandas as pd
    import timm
    import torch
    from autogluon.multimodal import MultiModalPredictor
    from autogluon.multimodal.learners import base
    from autogluon.multimodal.models import timm_image

    posts = pd.read_csv(asked.posts, keep_default_na=False)
    posts["label"] = posts["label"].astype(int if asked.classes else float)
    parts = {part: rows.drop(columns="part").reset_index(drop=True) for part, rows in posts.groupby("part")}
    asked.out.mkdir(parents=True)
    vision = asked.out / "dinov2"
    write_timm_checkpoint(asked.vision, vision)

    def at_224(name: str, **options: Any) -> Any:
        return timm.create_model(name, img_size=IMAGE_SIZE, **options)

    def as_asked(num_gpus: int, precision: str, as_torch: bool = False, cpu_only_warning: bool = True) -> Any:
        return torch.bfloat16 if as_torch else precision

    timm_image.create_model = at_224
    base.infer_precision = as_asked
    predictor = MultiModalPredictor(
        label="label",
        problem_type="multiclass" if asked.classes else "regression",
        eval_metric="quadratic_kappa" if asked.classes else "r2",
        path=str(asked.out / "model"),
        verbosity=2,
    )
    started = time.monotonic()
    predictor.fit(
        train_data=parts["train"],
        tuning_data=parts["validation"],
        column_types={"title": "text", "image": "image_path"},
        time_limit=asked.time_limit,
        seed=asked.seed,
        hyperparameters={
            "model.names": ["timm_image", "hf_text", "fusion_mlp"],
            "model.timm_image.checkpoint_name": str(vision),
            "model.timm_image.train_transforms": ["resize_shorter_side", "center_crop"],
            "model.hf_text.checkpoint_name": str(asked.text),
            "model.hf_text.max_text_len": 64,
            "model.hf_text.pooling_mode": "mean",
            "optim.max_epochs": asked.epochs,
            "optim.val_check_interval": 1.0,
            "env.num_workers": 1,
            "env.num_workers_inference": 1,
            "env.precision": "bf16-mixed",
        },
    )
    seconds = time.monotonic() - started
    started = time.monotonic()
    test = parts["test"].drop(columns="label")
    found = predictor.predict_proba(test).to_numpy() if asked.classes else predictor.predict(test).to_numpy()
    predict_seconds = time.monotonic() - started
    np.savez(asked.out / "predictions.npz", predicted=found)
    record = {"seconds": seconds, "predict_seconds": predict_seconds, "epochs": asked.epochs}
    beside = asked.out / "result.json.tmp"
    beside.write_text(json.dumps(record))
    os.replace(beside, asked.out / "result.json")


def write_timm_checkpoint(source: Path, place: Path) -> None:
    """A DINOv2 checkpoint of transformers as timm names its tensors, its positions resampled to 224 pixels."""
    import timm
    import torch
    from safetensors.torch import load_file

    tensors = load_file(source / "model.safetensors")
    found = {}
    for name, tensor in tensors.items():
        if ".attention.attention." in name or name == "embeddings.mask_token":
            continue
        found[_timm_name(name)] = tensor
    for number in range(1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.layer."))):
        attention = f"encoder.layer.{number}.attention.attention"
        for kind in ("weight", "bias"):
            joined = torch.cat([tensors[f"{attention}.{part}.{kind}"] for part in ("query", "key", "value")])
            found[f"blocks.{number}.attn.qkv.{kind}"] = joined
    model = timm.create_model(ARCHITECTURE, img_size=IMAGE_SIZE, num_classes=0)
    side = IMAGE_SIZE // 14
    grid = found["pos_embed"][:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=(side, side), mode="bicubic", antialias=False)
    found["pos_embed"] = torch.cat([found["pos_embed"][:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
    model.load_state_dict(found, strict=True)
    place.mkdir()
    torch.save(model.state_dict(), place / "pytorch_model.bin")
    mean, std = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD
    config = {
        "architecture": ARCHITECTURE,
        "num_features": model.num_features,
        "input_size": [3, IMAGE_SIZE, IMAGE_SIZE],
        "mean": list(mean),
        "std": list(std),
    }
    (place / "config.json").write_text(json.dumps(config))


def _timm_name(name: str) -> str:
    changes = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "encoder.layer.": "blocks.",
        "attention.output.dense": "attn.proj",
        "layer_scale1.lambda1": "ls1.gamma",
        "layer_scale2.lambda1": "ls2.gamma",
        "layernorm.": "norm.",
    }
    for old, new in changes.items():
        name = name.replace(old, new)
    return name


if __name__ == "__main__":
    main()
