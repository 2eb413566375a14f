"""engage on a GPU beside the bare arithmetic, beside what one would write instead, and beside the same machine's processor.

1. `engage embed`: images (DINOv2-base, SigLIP-base) and texts (a BERT of MiniLM's size, DeBERTa-v3-base), from files to the
   written store, beside the forward alone on tensors that are on the GPU already, and beside a plain loop over a DataLoader
   with the checkpoint's own processor and as many workers as there are cores.
2. Training with the encoders in the loop (SigLIP-base + DeBERTa-v3-base, every layer): `fit`, from image files, beside
   forward + backward + clipping + AdamW on batches that are ready.
3. `engage train-gp` on 5,000 posts, CatBoost on 5,000 and on 50,000, each on the GPU and on the processor.

Weights are random, sizes are real; posts are drawn ones (`engage sample`). Contenders take turns; ratios are of one round
each, shown are their median, lowest and highest.

python benchmarks/gpu.py [--rounds 3] [--posts 1500] [--only embed,train,process,catboost]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from engage_cli.config.general import EmbedConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import CatBoostConfig, TrainConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.targets.target import fit_target
from engage_cli.embeddings.store import FeatureStore
from engage_cli.encoders.encoder import Encoder
from engage_cli.encoders.text import TextTower
from engage_cli.images.decode import find_by_stem
from engage_cli.models.boosting.fit import Rows, boost
from engage_cli.models.gaussian_process.inputs import KernelInputsMaker
from engage_cli.models.gaussian_process.process import fit_process
from engage_cli.models.neural.finetuning import make_towers, parameter_groups, parse_finetune, train_mode
from engage_cli.models.neural.model import EngagementModel
from engage_cli.models.neural.objectives import OBJECTIVES
from engage_cli.models.neural.training.batches import Cut
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.image_text_batches import Contents as LiveContents
from engage_cli.models.neural.training.image_text_batches import LiveBatches
from engage_cli.models.neural.training.loop import fit
from engage_cli.models.neural.training.task import Task
from engage_cli.plots.training_log import HistoryLog
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runtime.devices import mixed_precision
from engage_cli.steps.embed._shards import SHARD_SIZE, Contents, Shard, write_shards
from engage_cli.steps.inputs.contents import FileImages
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.sample import COVERS, write_sample

CPU, GPU = torch.device("cpu"), torch.device("cuda")
IMAGES, TEXTS = 20_000, 40_000  # of a round
SMALL = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
CASES = {  # name -> (side, transformers' class, what its config is given)
    "dinov2-base": ("vision", "Dinov2", {"image_size": 224, "patch_size": 14}),
    "siglip-base": ("vision", "Siglip", {}),
    "minilm": ("text", "Bert", SMALL),
    "deberta-base": ("text", "DebertaV2", {"hidden_size": 768, "vocab_size": 30_522, "position_biased_input": False,
        "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"], "position_buckets": 256, "share_att_key": True, "norm_rel_ebd": "layer_norm"}),
}  # fmt: skip
TREES = 200
TRAINED_ON = 4_000  # posts: of fewer, what happens once in an epoch takes most of the time
Work = Callable[[], object]


def make_checkpoint(name: str, folder: Path, titles: Sequence[str]) -> Path:
    """Write a checkpoint of real size with random weights, and a tokenizer that knows the words of the titles."""
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    side, kind, given = CASES[name]
    torch.manual_seed(0)
    getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**given)).save_pretrained(folder)
    if side == "vision":
        own = {
            "image_processor_type": "SiglipImageProcessor" if kind == "Siglip" else "BitImageProcessor",
            "size": {"height": 224, "width": 224},
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(own))
        return folder
    words = sorted({word for title in titles for word in title.lower().split()})
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    return folder


# --- 1: embed ---


def embed(name: str, folder: Path, dataset: Dataset, paths: Sequence[Path], titles: Sequence[str]) -> dict[str, Work]:
    side = CASES[name][0]
    encoder = Encoder(side, str(folder))
    tower, device = encoder.tower, encoder.device
    assert tower
    contents = Contents(dataset, ["image" if side == "vision" else "title"])
    keys, num = [key for key in contents.keys if key], IMAGES if side == "vision" else TEXTS
    keys = (keys * -(-num // len(keys)))[:num]
    items: list[Any] = ((list(paths) if side == "vision" else list(titles)) * num)[:num]
    store, size = FeatureStore(dataset.features_dir, encoder), SHARD_SIZE[side]
    numbers = store.free_numbers()

    def ours() -> None:
        shards = [Shard(next(numbers), keys[start : start + size]) for start in range(0, num, size)]
        write_shards(store, contents, shards, EmbedConfig())

    if isinstance(tower, TextTower):
        ids = sorted(tower.tokenize(items).ids, key=len, reverse=True)
        ready = [tower.pad(ids[start : start + 2048]) for start in range(0, num, 2048)]
    else:
        some = tower.prepare([open_rgb(path) for path in items[:256]])
        ready = [some] * -(-num // 256)
    there = [{key: tensor.to(device) for key, tensor in batch.items()} for batch in ready]

    def bare() -> None:
        with torch.inference_mode():
            for batch in there:
                last = tower.pool(tower.forward(**batch))
        last.float().cpu()

    return {"the forward alone": bare, "engage embed": ours, "a plain loop": plain_loop(side, folder, items)}


def plain_loop(side: str, folder: Path, items: Sequence[Any]) -> Work:
    import transformers
    from torch.utils.data import DataLoader

    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).eval().to(GPU)
    if side == "vision":
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        model = getattr(model, "vision_model", model)
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def collate(some: list[Any]) -> dict[str, Any]:
        if side == "vision":
            return dict(processor(images=[open_rgb(path) for path in some], return_tensors="pt"))
        return dict(tokenizer(some, padding=True, truncation=True, max_length=256, return_tensors="pt"))

    def run() -> None:
        # A tokenizer that ran before a worker is forked leaves it hanging: texts are tokenised in the loop's own process.
        workers, size = (os.cpu_count() or 1, 256) if side == "vision" else (0, 1024)
        loader = DataLoader(items, batch_size=size, num_workers=workers, collate_fn=collate, pin_memory=True)  # type: ignore[arg-type]
        with torch.inference_mode():
            for batch in loader:
                batch = {key: tensor.to(GPU, non_blocking=True) for key, tensor in batch.items() if key != "token_type_ids"}
                if side == "vision":
                    batch["pixel_values"] = batch["pixel_values"].bfloat16()
                model(**batch).last_hidden_state.mean(dim=1).float().cpu().numpy()

    return run


def open_rgb(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


# --- 2: training ---


def training(place: Path, folders: dict[str, Path], paths: Sequence[Path], titles: Sequence[str]) -> dict[str, Work]:
    size = 64
    config = TrainConfig(finetune="full", epochs=1, batch_size=size, patience=0, precision="bf16", width=256)
    scores = np.random.default_rng(0).normal(8, 1, len(paths))
    target = fit_target("views", pd.DataFrame({"views": np.expm1(scores)}), fit_on="train")
    objective = OBJECTIVES["value"].load("hybrid")(target, config)
    wanted = objective.encode(torch.from_numpy(scores))
    names = {"vision": "siglip-base", "text": "deberta-base"}
    encoders = {side: Encoder(side, str(folders[name]), precision="fp32") for side, name in names.items()}
    towers = make_towers(encoders, parse_finetune("full"))
    model = EngagementModel({"image": 768, "title": 768}, config, out_dim=1, towers=towers).to(GPU)

    def live(seed: int | None, num: int) -> LiveBatches:
        images = FileImages([(path.parent, path.name) for path in paths[:num]])
        of_model = {side: model.towers[side] for side in model.towers}
        contents = LiveContents(images, {"title": list(titles[:num])})
        cut = Cut(batch_size=size, seed=seed)
        return LiveBatches(of_model, ["image", "title"], contents, wanted[:num], cut, device=GPU)

    ready = [to_gpu(batch) for batch in live(0, len(paths)).epoch(0)]

    def bare() -> None:
        train_mode(model)
        optimizer = torch.optim.AdamW(parameter_groups(model, config), lr=2e-5, fused=True)
        learning = [p for group in optimizer.param_groups for p in group["params"]]
        for batch in ready:
            with mixed_precision(GPU, "bf16"):
                outputs = model(batch.blocks)
            objective.loss(outputs.float(), batch.wanted).backward()
            nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            task = Task(
                model=model, objective=objective, train=live(0, len(paths)), validation=live(None, size), true=scores[:size]
            )
            log = HistoryLog(Path(folder), "value", writes=False)
            fit(task, config, checkpoints=Checkpoints(Path(folder)), device=GPU, reporter=SilentReporter(), log=log)

    return {"forward + backward + step": bare, "engage, fit": ours}


def to_gpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(GPU)
    if isinstance(value, dict):
        return {key: to_gpu(item) for key, item in value.items()}
    return type(value)(*map(to_gpu, value)) if isinstance(value, tuple) else value


# --- 3: what needs no encoder in the loop ---


def process(dataset: Dataset) -> dict[str, Work]:
    rng, num = np.random.default_rng(0), 5_000
    posts = dataset.posts.sample(num, replace=True, random_state=0).reset_index(drop=True)

    class Drawn:
        def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
            from engage_cli.embeddings.store import Block

            drawn = rng.standard_normal((len(posts), 1_536)).astype(np.float32)
            return {name: Block(drawn[:, None], np.ones((len(posts), 1), bool), drawn) for name in names}

    widths = dict.fromkeys(("image", "text"), (384,) * 4)
    views = KernelInputsMaker().fit(posts, Drawn(), widths).transform(posts, Drawn())
    truth = rng.standard_normal(num)
    return {
        f"train-gp, {device.type}": lambda device=device: fit_process(views, truth, device=device) for device in (GPU, CPU)
    }


def catboost(place: Path, num: int) -> dict[str, Work]:
    from engage_cli.models.boosting import fit as boosting

    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((num + 2_000, 800)).astype(np.float32)
    table = pd.DataFrame(numbers).rename(columns=str)
    truth = numbers[:, :20] @ rng.standard_normal(20) + rng.standard_normal(len(numbers))
    parts = [Rows(table=table.iloc[some], truth=truth[some]) for some in (slice(num), slice(num, None))]
    config = dataclasses.replace(CatBoostConfig(), kind="value", objective="rmse", iterations=TREES)

    def on(device: torch.device) -> None:
        own = boosting.find_device
        boosting.find_device = lambda: device
        try:
            with tempfile.TemporaryDirectory(dir=place) as work, SilentReporter().stage("trees", TREES) as stage:
                boost(config, *parts, [], work=Path(work) / "work", stage=stage)
        finally:
            boosting.find_device = own

    return {f"CatBoost, {device.type}": lambda device=device: on(device) for device in (GPU, CPU)}


def compare(title: str, contenders: dict[str, Work], num: int, rounds: int) -> None:
    """Print what each does in a second, and how many times the first one's time it takes."""
    for work in contenders.values():
        work()  # caches, kernels, lazy imports
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            contenders[name]()
            torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    first = times[next(iter(times))]
    print(f"\n{title}\n{'':28}{'a second':>10}{'seconds':>9}   time, beside the first")
    for name, taken in times.items():
        ratios = sorted(one / other for one, other in zip(taken, first, strict=True))
        words = f"{median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        print(f"{name:28}{num / median(taken):>10,.0f}{median(taken):>9.2f}   {words}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--posts", type=int, default=1_000)
    parser.add_argument("--only", default="embed,train,process,catboost", help="parts, separated by commas")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no GPU: nothing to measure")
        return
    print(f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores, torch {torch.__version__}")
    parts = asked.only.split(",")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_sample(place / "sample", rows=asked.posts)
        dataset = prepare(
            PrepareConfig(split="random"), folder=place / "data", sources=[Source(path=place / "sample", format="pixelrec")]
        ).dataset
        posts = dataset.posts[dataset.posts["image_problem"] == ""]
        files = find_by_stem(place / "sample" / COVERS)
        paths = [place / "sample" / COVERS / files[Path(name).stem] for name in posts["image"]]
        titles = [title or "-" for title in posts["title"]]
        folders = {name: make_checkpoint(name, place / name, titles) for name in CASES}
        if "embed" in parts:
            for name, (side, _, _) in CASES.items():
                num, what = (IMAGES, "images") if side == "vision" else (TEXTS, "texts")
                contenders = embed(name, folders[name], dataset, paths, titles)
                compare(f"embed, {name}: {num:,} {what}", contenders, num, asked.rounds)
        if "train" in parts:
            times = -(-TRAINED_ON // len(paths))
            contenders = training(place, folders, (paths * times)[:TRAINED_ON], (titles * times)[:TRAINED_ON])
            compare(f"one epoch of {TRAINED_ON:,} posts, every layer, bf16", contenders, TRAINED_ON, asked.rounds)
        if "process" in parts:
            compare("a Gaussian process", process(dataset), 5_000, 1)
        if "catboost" in parts:
            for num in (5_000, 50_000):
                compare(f"{TREES} trees, {num:,} rows, 800 columns", catboost(place, num), TREES, 1)


if __name__ == "__main__":
    main()
