"""What a neural training reads: stored blocks, or images and texts with the encoders that are trained on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import TrainConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import experiment_arrays
from engage_cli.data.leakage import known_before
from engage_cli.data.schema import side_of
from engage_cli.data.targets.target import Target, require_variety
from engage_cli.data.within_experiments import within_truth
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.metrics.metrics import true_of
from engage_cli.models.neural.finetuning import make_towers, parse_finetune
from engage_cli.models.neural.fusion import FUSIONS
from engage_cli.models.neural.objectives import Objective
from engage_cli.models.neural.objectives.within_experiments import WithinExperimentsObjective
from engage_cli.models.neural.training.batches import Batches, Cut, StoredBatches, tokens_of
from engage_cli.models.neural.training.image_text_batches import Augmentation, LiveBatches
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.records import EncoderRecord
from engage_cli.runtime.distributed import get_rank, get_world_size
from engage_cli.steps.embed import make_encoder, stored_blocks
from engage_cli.steps.inputs.contents import DatasetContents
from engage_cli.steps.train._run_inputs import encoders_of

PARTS = ("train", "validation")
FEW_POSTS = 10


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Batches of both parts, and what a run must remember of where they come from."""

    train: Batches
    validation: Batches
    true: np.ndarray  # of the validation posts: scores or classes
    dims: dict[str, int]  # width of each block's tokens
    encoders: dict[str, EncoderRecord]
    towers: dict[str, nn.Module]  # none where features are stored
    rows: dict[str, int]


class _Part(NamedTuple):
    """The posts of a part, what is wanted of them, and how they are cut into batches."""

    posts: pd.DataFrame
    wanted: Tensor
    cut: Cut


class _Made(NamedTuple):
    batches: dict[str, Batches]
    dims: dict[str, int]
    encoders: dict[str, Encoder]
    towers: dict[str, nn.Module]


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
    rows = {name: dataset.rows(name, target) for name in PARTS}
    scores = {name: target.score(dataset.posts.iloc[rows[name]]) for name in PARTS}
    wanted = {name: objective.encode(torch.from_numpy(scores[name])) for name in PARTS}
    if isinstance(objective, WithinExperimentsObjective):
        for name in PARTS:
            known = experiment_arrays(dataset.posts.iloc[rows[name]], target)
            if not known.any:
                raise WrongCallError(
                    f"--objective within-experiments needs {name} posts that are variants of experiments; prepare them "
                    "with --experiment, --outcome and --exposure"
                )
            within = within_truth(scores[name], known)
            scores[name] = within.truth
            wanted[name] = objective.encode(torch.from_numpy(within.truth), torch.from_numpy(within.weights))
    true = {name: true_of(objective.kind, scores[name], target.classes(scores[name])) for name in PARTS}
    require_variety(true["train"], objective.kind, target.name)
    if len(np.unique(true["validation"])) < 2 or len(true["validation"]) < FEW_POSTS:
        reporter.say(
            f"warning: {len(true['validation'])} validation posts, of {len(np.unique(true['validation']))} values, cannot "
            "tell a good epoch from a bad one; prepare with other --fractions"
        )
    parts = {
        name: _Part(
            known_before(dataset.posts.iloc[rows[name]]),
            wanted[name],
            Cut(
                batch_size=config.batch_size,
                seed=config.seed if name == "train" else None,
                rank=get_rank(),
                num_ranks=get_world_size(),
            ),
        )
        for name in PARTS
    }
    make = _make_stored if parse_finetune(config.finetune).mode == "none" else _make_live
    made = make(dataset, config, encoders, parts, blocks, device, reporter)
    return Inputs(
        train=made.batches["train"],
        validation=made.batches["validation"],
        true=true["validation"],
        dims=made.dims,
        encoders=encoders_of(made.encoders),
        towers=made.towers,
        rows={name: len(numbers) for name, numbers in rows.items()},
    )


def _make_stored(
    dataset: Dataset,
    config: TrainConfig,
    encoders: EncoderConfig,
    parts: Mapping[str, _Part],
    blocks: Sequence[str],
    device: torch.device,
    reporter: Reporter,
) -> _Made:
    reads_tokens = bool(FUSIONS.load(config.fusion).reads_tokens)
    if reads_tokens and not encoders.tokens:
        reporter.say("the fusion attends to one vector of each block; --tokens 16 keeps regions and words as well")
    source = stored_blocks(dataset, encoders, blocks, reporter)
    stored = {name: source.blocks(part.posts, blocks) for name, part in parts.items()}
    _say_absent({name: bool(block.mask.any()) for name, block in stored["train"].items()}, reporter)
    batches: dict[str, Batches] = {
        name: StoredBatches(stored[name], part.wanted, part.cut, reads_tokens=reads_tokens, device=device)
        for name, part in parts.items()
    }
    dims = {name: int(tokens_of(block, reads_tokens).values.shape[-1]) for name, block in stored["train"].items()}
    return _Made(batches, dims, {side: store.encoder for side, store in source.stores.items()}, {})


def _make_live(
    dataset: Dataset,
    config: TrainConfig,
    encoders: EncoderConfig,
    parts: Mapping[str, _Part],
    blocks: Sequence[str],
    device: torch.device,
    reporter: Reporter,
) -> _Made:
    if (encoders.precision, encoders.dtype) != (EncoderConfig.precision, EncoderConfig.dtype):
        raise WrongCallError(
            "--encoder-precision and --dtype are for stored features; encoders that are trained go by --precision"
        )
    exact = dataclasses.replace(encoders.settled(is_own=True), precision="fp32", dtype="fp32")
    made = {side: make_encoder(side, exact) for side in dict.fromkeys(map(side_of, blocks))}
    towers = make_towers(made, parse_finetune(config.finetune), checkpointing=config.checkpointing)
    reads_tokens = bool(FUSIONS.load(config.fusion).reads_tokens)
    contents = {name: DatasetContents(dataset).contents(part.posts, blocks) for name, part in parts.items()}
    has_image = bool((parts["train"].posts["image_hash"] != "").any())
    texts = contents["train"].texts
    _say_absent({name: has_image if name == "image" else any(texts[name]) for name in blocks}, reporter)
    augmentation = Augmentation(flip=config.flip, crop=config.crop) if config.flip or config.crop < 1 else None
    batches: dict[str, Batches] = {
        name: LiveBatches(
            towers,
            blocks,
            contents[name],
            part.wanted,
            part.cut,
            device=device,
            augmentation=augmentation if name == "train" else None,
            workers=config.workers,
        )
        for name, part in parts.items()
    }
    dims = {name: _dim(towers[side_of(name)], reads_tokens) for name in blocks}
    return _Made(batches, dims, made, towers)


def _dim(tower: Any, reads_tokens: bool) -> int:
    return int(tower.dim if reads_tokens else tower.pooled_dim)


def _say_absent(present: Mapping[str, bool], reporter: Reporter) -> None:
    absent = [name for name, is_there in present.items() if not is_there]
    if len(absent) == len(present):
        raise EngageError(
            f"no training post has {' or '.join(absent)}: there is nothing to learn from; name other --blocks"
        )
    if absent:
        reporter.say(f"no training post has {' or '.join(absent)}: the model learns without")
