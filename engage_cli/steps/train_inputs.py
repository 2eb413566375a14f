"""What a neural training reads: stored blocks, or pictures and texts with the encoders that are trained on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from engage_cli.core.batches import Batches, Cut, StoredBatches, tokens_of
from engage_cli.core.config import EncoderConfig, TrainConfig
from engage_cli.core.dataset import Dataset
from engage_cli.core.distributed import get_rank, get_world_size
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.errors import EngageError
from engage_cli.core.fusion import FUSIONS
from engage_cli.core.leakage import known_before
from engage_cli.core.live_batches import Augmentation, Contents, LiveBatches
from engage_cli.core.metrics import true_of
from engage_cli.core.objectives import Objective
from engage_cli.core.posts import side_of
from engage_cli.core.progress import Reporter
from engage_cli.core.targets import Target, require_variety
from engage_cli.core.tuning import make_towers, parse_tune
from engage_cli.steps.embed import make_encoder, stored_blocks
from engage_cli.steps.post_contents import DatasetContents

PARTS = ("train", "validation")
FEW_POSTS = 10


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Batches of both parts, and what a run must remember of where they come from."""

    train: Batches
    validation: Batches
    true: np.ndarray  # of the validation posts: scores or classes
    dims: dict[str, int]  # width of each block's tokens
    encoders: dict[str, Any]  # records, by side
    towers: dict[str, nn.Module]  # none where features are stored
    rows: dict[str, int]


def make_inputs(
    dataset: Dataset,
    config: TrainConfig,
    encoders: EncoderConfig,
    *,
    target: Target,
    objective: Objective,
    blocks: Sequence[str],
    device: torch.device,
    reporter: Reporter,
) -> Inputs:
    """Make the batches of training and validation posts; embed what the store lacks, where features are stored."""
    rows = {part: dataset.rows(part, target) for part in PARTS}
    scores = {part: target.score(dataset.posts.iloc[rows[part]]) for part in PARTS}
    true = {part: true_of(objective.kind, scores[part], target.classes(scores[part])) for part in PARTS}
    require_variety(true["train"], objective.kind, target.name)
    if len(np.unique(true["validation"])) < 2 or len(true["validation"]) < FEW_POSTS:
        reporter.say(
            f"warning: {len(true['validation'])} validation posts, of {len(np.unique(true['validation']))} values, cannot "
            "tell a good epoch from a bad one; prepare with other --fractions"
        )
    wanted = {part: objective.encode(torch.from_numpy(scores[part])) for part in PARTS}
    posts = {part: known_before(dataset.posts.iloc[rows[part]]) for part in PARTS}
    ranks = {"rank": get_rank(), "num_ranks": get_world_size()}
    cuts = {
        "train": Cut(batch_size=config.batch_size, seed=config.seed, **ranks),
        "validation": Cut(batch_size=config.batch_size, **ranks),
    }
    towers: dict[str, nn.Module] = {}
    batches: dict[str, Batches] = {}
    reads_tokens = bool(FUSIONS.load(config.fusion).reads_tokens)
    if parse_tune(config.tune).mode == "none":
        if reads_tokens and not encoders.tokens:
            reporter.say("the fusion attends to one vector of each block; --tokens 16 keeps regions and words as well")
        source = stored_blocks(dataset, encoders, blocks, reporter)
        stored = {part: source.blocks(posts[part], blocks) for part in PARTS}
        _say_absent({name: bool(block.mask.any()) for name, block in stored["train"].items()}, reporter)
        dims = {name: int(tokens_of(block, reads_tokens).values.shape[-1]) for name, block in stored["train"].items()}
        for part in PARTS:
            batches[part] = StoredBatches(stored[part], wanted[part], cuts[part], reads_tokens=reads_tokens, device=device)
        records = {side: _record(store.encoder) for side, store in source.stores.items()}
    else:
        exact = dataclasses.replace(encoders, precision="fp32", dtype="fp32")
        made = {side: make_encoder(side, exact) for side in dict.fromkeys(map(side_of, blocks))}
        towers = make_towers(made, parse_tune(config.tune), checkpointing=config.checkpointing)
        dims = {name: _dim(towers[side_of(name)], reads_tokens) for name in blocks}
        contents = {part: DatasetContents(dataset).contents(posts[part], blocks) for part in PARTS}
        _say_absent(_present(contents["train"], posts["train"]["image_hash"] != "", blocks), reporter)
        augmentation = Augmentation(flip=config.flip, crop=config.crop) if config.flip or config.crop < 1 else None
        for part in PARTS:
            batches[part] = LiveBatches(
                towers,
                blocks,
                contents[part],
                wanted[part],
                cuts[part],
                device=device,
                augmentation=augmentation if part == "train" else None,
                workers=config.workers,
            )
        records = {side: _record(encoder) for side, encoder in made.items()}
    return Inputs(
        train=batches["train"],
        validation=batches["validation"],
        true=true["validation"],
        dims=dims,
        encoders=records,
        towers=towers,
        rows={part: len(numbers) for part, numbers in rows.items()},
    )


def _record(encoder: Encoder) -> dict[str, Any]:
    return {"name": encoder.checkpoint.name, **encoder.record}


def _dim(tower: Any, reads_tokens: bool) -> int:
    return int(tower.dim if reads_tokens else tower.pooled_dim)


def _present(contents: Contents, has_image: Any, blocks: Sequence[str]) -> dict[str, bool]:
    return {name: bool(has_image.any()) if name == "image" else any(contents.texts[name]) for name in blocks}


def _say_absent(present: Mapping[str, bool], reporter: Reporter) -> None:
    absent = [name for name, is_there in present.items() if not is_there]
    if len(absent) == len(present):
        raise EngageError(
            f"no training post has {' or '.join(absent)}: there is nothing to learn from; name other --blocks"
        )
    if absent:
        reporter.say(f"no training post has {' or '.join(absent)}: the model learns without")
