"""Training beside the bare arithmetic, beside Hugging Face's Trainer and beside a plain PyTorch loop, in one run.

1. The loop, encoders in it (DINOv2-small + MiniLM, all layers trained): batches that are ready, `fit` beside forward +
   backward + clipping + AdamW and nothing else.
2. End to end, from image files and titles: one epoch over 256 posts, `fit` with its batches (decoding, preprocessing,
   tokenising, the best checkpoint written) beside Trainer on the same model, with the checkpoint's own processor and
   tokenizer, as it comes and with worker processes.
3. Stored features: epochs of `fit` beside a plain loop over a DataLoader and torch.optim.AdamW as they come.

Contenders take turns in one process; ratios are of one round each, shown are their median, lowest and highest. Real posts
where ENGAGE_REAL_POSTS names a folder, drawn ones elsewhere. Weights of the encoders are read from the packaged ones.

python benchmarks/train.py [--rounds 5] [--posts 256] [--precision bf16]
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import fit_target
from engage_cli.embeddings.store import Block
from engage_cli.images.decode import find_by_stem
from engage_cli.models.neural.finetuning import make_towers, parameter_groups, parse_finetune, train_mode
from engage_cli.models.neural.model import EngagementModel, LiveInput
from engage_cli.models.neural.objectives import OBJECTIVES
from engage_cli.models.neural.training.batches import Batch, Cut, StoredBatches
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.image_text_batches import Contents, LiveBatches
from engage_cli.models.neural.training.loop import fit
from engage_cli.models.neural.training.task import Task
from engage_cli.plots.training_log import HistoryLog
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runtime.devices import choose_precision, mixed_precision
from engage_cli.steps.embed import make_encoder
from engage_cli.steps.inputs.contents import FileImages
from engage_cli.steps.sample import COVERS, TABLE, write_sample

CPU = torch.device("cpu")
BATCH_SIZE = 16
STORED_POSTS, STORED_EPOCHS = 4096, 10


class Ready:
    """Batches that were made before the clock started."""

    def __init__(self, batches: list[Batch], wanted: torch.Tensor) -> None:
        self.batches, self.wanted, self.sizes = batches, wanted, [len(batch.rows) for batch in batches]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        yield from self.batches[start:]


class Stopwatch(SilentReporter):
    """Times the loop itself, without the sanity check before it."""

    seconds = 0.0

    @contextmanager
    def training(self, **where: Any) -> Iterator[Any]:
        with super().training(**where) as view:
            start = time.perf_counter()
            yield view
            self.seconds = time.perf_counter() - start


def posts_of(num: int, place: Path) -> tuple[list[tuple[Path, str]], list[str], np.ndarray]:
    """Return image files, titles and log1p of views."""
    real = os.environ.get("ENGAGE_REAL_POSTS")
    if real:
        root = Path(real) / "images"
        table, files = pd.read_csv(Path(real) / "posts.csv", dtype=str, keep_default_na=False), find_by_stem(root)
        table = table[table["video_id"].isin(files)].head(num)
        views = table["view_count"].astype(float).to_numpy()
        return [(root, files[name]) for name in table["video_id"]], table["title"].tolist(), np.log1p(views)
    write_sample(place / "sample", rows=num, seed=0)
    table = pd.read_csv(place / "sample" / TABLE, dtype=str, keep_default_na=False)
    views = pd.to_numeric(table["view_number"], errors="coerce").fillna(0)
    root = place / "sample" / COVERS
    return [(root, f"{name}.jpg") for name in table["item_id"]], table["title"].tolist(), np.log1p(views.to_numpy())


class Bench:
    def __init__(self, asked: argparse.Namespace, place: Path) -> None:
        self.asked, self.place = asked, place
        self.paths, self.titles, scores = posts_of(asked.posts, place)
        self.target = fit_target("views", pd.DataFrame({"views": np.expm1(scores)}), fit_on="train")
        self.config = TrainConfig(
            finetune="full", fusion="gated", epochs=1, batch_size=BATCH_SIZE, learning_rate=2e-5, head_lr=5e-4, patience=0,
            precision=asked.precision, width=256, dropout=0.2,
        )  # fmt: skip
        self.objective = OBJECTIVES["value"].load("hybrid")(self.target, self.config)
        self.wanted = self.objective.encode(torch.from_numpy(scores))
        self.scores = scores
        encoders = EncoderConfig(precision="fp32")
        self.encoders = {side: make_encoder(side, encoders) for side in ("vision", "text")}
        torch.manual_seed(0)
        towers = make_towers(self.encoders, parse_finetune("full"))
        self.model = EngagementModel({"image": 384, "title": 384}, self.config, out_dim=1, towers=towers)
        self.first = copy.deepcopy(self.model.state_dict())

    def live(self, seed: int | None, num: int | None = None) -> LiveBatches:
        contents = Contents(FileImages(self.paths[:num]), {"title": self.titles[:num]})
        towers = {side: self.model.towers[side] for side in self.model.towers}
        return LiveBatches(
            towers, ["image", "title"], contents, self.wanted[:num], Cut(batch_size=BATCH_SIZE, seed=seed), device=CPU
        )

    def fit(self, train: Any, validation: Any, config: TrainConfig, model: nn.Module, true: np.ndarray) -> Stopwatch:
        with tempfile.TemporaryDirectory(dir=self.place) as folder:
            watch = Stopwatch()
            task = Task(model=model, objective=self.objective, train=train, validation=validation, true=true)
            log = HistoryLog(Path(folder), "value", writes=False)
            fit(task, config, checkpoints=Checkpoints(Path(folder)), device=CPU, reporter=watch, log=log)
            return watch

    def reset(self) -> None:
        self.model.load_state_dict(self.first)

    # --- 1: the loop ---

    def loop(self) -> dict[str, Callable[[], float]]:
        batches = list(self.live(0).epoch(0))
        ready, few = Ready(batches, self.wanted), Ready([batches[0]._replace(rows=np.arange(BATCH_SIZE))], self.wanted[:16])

        def bare() -> float:
            self.reset()
            train_mode(self.model)
            optimizer = torch.optim.AdamW(parameter_groups(self.model, self.config), lr=2e-5, fused=True)
            learning = [p for group in optimizer.param_groups for p in group["params"]]
            start = time.perf_counter()
            for batch in batches:
                with mixed_precision(CPU, self.config.precision):
                    outputs = self.model(batch.blocks)
                self.objective.loss(outputs.float(), batch.wanted).backward()
                nn.utils.clip_grad_norm_(learning, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            seconds = time.perf_counter() - start
            # What comes after an epoch is not the loop's: the same validation of one batch.
            self.model.eval()
            start = time.perf_counter()
            with torch.inference_mode(), mixed_precision(CPU, self.config.precision):
                self.model(batches[0].blocks)
            return seconds + time.perf_counter() - start

        def ours() -> float:
            self.reset()
            return self.fit(ready, few, self.config, self.model, self.scores[:16]).seconds

        return {"forward + backward + step": bare, "fit": ours}

    # --- 2: end to end ---

    def end_to_end(self) -> dict[str, Callable[[], float]]:
        few = self.live(None, num=4)

        def ours() -> float:
            self.reset()
            start = time.perf_counter()
            self.fit(self.live(0), few, self.config, self.model, self.scores[:4])
            return time.perf_counter() - start

        def trainer(workers: int) -> Callable[[], float]:
            def run() -> float:
                self.reset()
                made = self.trainer(workers)
                start = time.perf_counter()
                made.train()
                return time.perf_counter() - start

            return run

        return {
            "engage, fit": ours,
            "Trainer, as it comes": trainer(0),
            "Trainer, 1 worker": trainer(1),
            "Trainer, 2 workers": trainer(2),
        }

    def trainer(self, workers: int) -> Any:
        import transformers
        from PIL import Image

        vision, text = (self.encoders[side].checkpoint.folder for side in ("vision", "text"))
        processor = transformers.AutoImageProcessor.from_pretrained(vision)
        tokenizer = transformers.AutoTokenizer.from_pretrained(text)
        objective, model = self.objective, self.model

        class WithLoss(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, pixel_values: Any, input_ids: Any, attention_mask: Any, labels: Any) -> dict[str, Any]:
                there = torch.ones(len(labels), dtype=torch.bool)
                blocks = {
                    "image": LiveInput({"pixel_values": pixel_values}, there),
                    "title": LiveInput({"input_ids": input_ids, "attention_mask": attention_mask}, there),
                }
                outputs = self.model(blocks)
                return {"loss": objective.loss(outputs, labels), "logits": outputs}

        def collate(rows: list[int]) -> dict[str, Any]:
            images = []
            for row in rows:
                with Image.open(self.paths[row][0] / self.paths[row][1]) as image:
                    images.append(image.convert("RGB"))
            tokens = tokenizer(
                [self.titles[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=256,
                return_token_type_ids=False,
                return_tensors="pt",
            )
            pixels = processor(images=images, return_tensors="pt")["pixel_values"]
            return {"pixel_values": pixels, **tokens, "labels": self.wanted[rows]}

        arguments = transformers.TrainingArguments(
            output_dir=str(self.place / "trainer"), num_train_epochs=1, per_device_train_batch_size=BATCH_SIZE,
            learning_rate=2e-5, weight_decay=0.05, lr_scheduler_type="cosine", warmup_steps=2, max_grad_norm=1.0,
            bf16=self.asked.precision == "bf16", use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no",
            remove_unused_columns=False, dataloader_num_workers=workers, disable_tqdm=True, label_names=["labels"],
        )  # fmt: skip
        rows = list(range(len(self.titles)))
        return transformers.Trainer(model=WithLoss(), args=arguments, train_dataset=rows, data_collator=collate)

    # --- 3: stored features ---

    def stored(self) -> dict[str, Callable[[], float]]:
        rng = np.random.default_rng(0)
        blocks = {
            name: Block(*(values[:, None], np.ones((STORED_POSTS, 1), bool), values))
            for name in ("image", "title", "context")
            for values in [rng.normal(size=(STORED_POSTS, 384)).astype(np.float16)]
        }
        wanted = torch.from_numpy(rng.normal(size=STORED_POSTS).astype(np.float32))
        config = dataclasses.replace(TrainConfig(), epochs=STORED_EPOCHS, patience=0)
        dims = dict.fromkeys(blocks, 384)

        def make() -> EngagementModel:
            torch.manual_seed(0)
            return EngagementModel(dims, config, out_dim=1)

        def ours() -> float:
            parts = [
                StoredBatches(some, wanted[:num], Cut(batch_size=64, seed=seed), reads_tokens=False, device=CPU)
                for seed, num in ((0, STORED_POSTS), (None, 64))
                for some in [{name: Block(*(part[:num] for part in block)) for name, block in blocks.items()}]
            ]
            start = time.perf_counter()
            self.fit(*parts, config, make(), wanted[:64].double().numpy())
            return time.perf_counter() - start

        def plain() -> float:
            model = make().train()
            tensors = [torch.from_numpy(block.pooled).float() for block in blocks.values()]
            data = torch.utils.data.TensorDataset(*tensors, wanted)
            loader = torch.utils.data.DataLoader(data, batch_size=64, shuffle=True)
            optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.05)
            there = torch.ones(64, 1, dtype=torch.bool)
            from engage_cli.encoders import Tokens

            start = time.perf_counter()
            for _ in range(STORED_EPOCHS):
                for *parts, labels in loader:
                    optimizer.zero_grad()
                    tokens = {name: Tokens(part[:, None], there) for name, part in zip(blocks, parts, strict=True)}
                    self.objective.loss(model(tokens), labels).backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
            return time.perf_counter() - start

        return {"engage, fit": ours, "a plain loop": plain}


def compare(title: str, contenders: dict[str, Callable[[], float]], num: int, rounds: int, *, beside: str) -> None:
    """Print posts/s of each contender, and how many times the time of `beside` each takes."""
    for work in contenders.values():
        work()  # caches, thread pools, lazy imports
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            times[name].append(contenders[name]())
    print(f"\n{title}\n{'':28}{'posts/s':>10}   time, beside {beside}")
    for name, taken in times.items():
        ratios = sorted(one / other for one, other in zip(taken, times[beside], strict=True))
        words = f"{median(ratios):.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f})"
        print(f"{name:28}{num / median(taken):>10,.1f}   {words}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--posts", type=int, default=256)
    parser.add_argument("--precision", default=choose_precision("auto", CPU), choices=("fp32", "bf16"))
    parser.add_argument("--only", default="loop,end,stored", help="parts, separated by commas")
    asked = parser.parse_args()
    parts = asked.only.split(",")
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(asked, Path(place))
        what = f"DINOv2-small + MiniLM, all layers, {asked.precision}, batches of {BATCH_SIZE}"
        if "loop" in parts:
            compare(f"The loop: {what}", bench.loop(), asked.posts, asked.rounds, beside="forward + backward + step")
        if "end" in parts:
            title = f"End to end: one epoch, {what}"
            compare(title, bench.end_to_end(), asked.posts, asked.rounds, beside="engage, fit")
        if "stored" in parts:
            title = f"Stored features: {STORED_EPOCHS} epochs of {STORED_POSTS:,} posts, batches of 64, gated fusion"
            compare(title, bench.stored(), STORED_POSTS * STORED_EPOCHS, asked.rounds, beside="a plain loop")


if __name__ == "__main__":
    main()
