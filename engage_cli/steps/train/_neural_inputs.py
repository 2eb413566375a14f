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
from engage_cli.data.leakage import known_before
from engage_cli.data.numbers.number_inputs import NUMBERS
from engage_cli.data.schema import parse_blocks, side_of
from engage_cli.encoders import Tokens
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.models.neural.finetuning import make_towers, parse_finetune
from engage_cli.models.neural.fusion import FUSIONS
from engage_cli.models.neural.numbers import FittedNumbers, fit_numbers
from engage_cli.models.neural.objectives import Objective
from engage_cli.models.neural.objectives.within_experiments import WithinExperimentsObjective
from engage_cli.models.neural.training.batches import Batches, Cut, StoredBatches, tokens_of
from engage_cli.models.neural.training.image_text_batches import Augmentation, LiveBatches
from engage_cli.models.trainer import Part, Problem
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.records import EncoderRecord
from engage_cli.runtime.distributed import get_rank, get_world_size
from engage_cli.steps.embed import make_encoder, stored_blocks
from engage_cli.steps.inputs.contents import DatasetContents
from engage_cli.steps.train._run_inputs import encoders_of

FEW_POSTS = 10


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Batches of both parts, and what a run must remember of where they come from."""

    train: Batches
    validation: Batches
    dims: dict[str, int]  # width of each block's tokens
    encoders: dict[str, EncoderRecord]
    towers: dict[str, nn.Module]  # none where features are stored


class _Part(NamedTuple):
    """The posts of a part, what is wanted of them, and how they are cut into batches."""

    posts: pd.DataFrame
    numbers: Tokens | None
    wanted: Tensor
    cut: Cut


class _Made(NamedTuple):
    batches: dict[str, Batches]
    dims: dict[str, int]
    encoders: dict[str, Encoder]
    towers: dict[str, nn.Module]


def make_inputs(
    problem: Problem,
    config: TrainConfig,
    encoders: EncoderConfig,
    objective: Objective,
    device: torch.device,
    reporter: Reporter,
    numbers: FittedNumbers | None = None,
) -> Inputs:
    """Make the batches of training and validation posts; embed what the store lacks, where features are stored."""
    checked = problem.validation
    if len(np.unique(checked.truth)) < 2 or len(checked) < FEW_POSTS:
        reporter.say(
            f"warning: {len(checked)} validation posts, of {len(np.unique(checked.truth))} values, cannot "
            "tell a good epoch from a bad one; prepare with other --fractions"
        )
    parts = {
        name: _Part(
            known_before(part.posts),
            _numbers_of(numbers, name, part),
            _wanted_of(objective, part),
            Cut(
                batch_size=config.batch_size,
                seed=config.seed if name == "train" else None,
                rank=get_rank(),
                num_ranks=get_world_size(),
            ),
        )
        for name, part in (("train", problem.train), ("validation", checked))
    }
    make = _make_stored if parse_finetune(config.finetune).mode == "none" else _make_live
    blocks, _ = parse_inputs(config.blocks)
    made = make(problem.dataset, config, encoders, parts, blocks, device, reporter)
    return Inputs(
        train=made.batches["train"],
        validation=made.batches["validation"],
        dims=made.dims,
        encoders=encoders_of(made.encoders),
        towers=made.towers,
    )


def parse_inputs(text: str) -> tuple[tuple[str, ...], bool]:
    """Parse "image,title,numbers" into blocks, and whether numbers are read; raise WrongCallError for anything else."""
    names = [name.strip() for name in text.split(",")]
    return parse_blocks(",".join(name for name in names if name != NUMBERS), also=(NUMBERS,)), NUMBERS in names


def find_numbers(problem: Problem, config: TrainConfig) -> FittedNumbers | None:
    """Return what the network reads in numbers, fitted on the training posts; None where it reads, or they have, none."""
    if not parse_inputs(config.blocks)[1]:
        return None
    train = problem.train
    is_value = problem.kind == "value" and train.weights is None
    return fit_numbers(known_before(train.posts), train.truth, is_value=is_value, seed=config.seed)


def _numbers_of(numbers: FittedNumbers | None, name: str, part: Part) -> Tokens | None:
    if numbers is None:
        return None
    return numbers.train if name == "train" else numbers.reader.read(known_before(part.posts))


def problem_beyond_growth(problem: Problem, numbers: FittedNumbers | None) -> Problem:
    """Return the same posts with values less what the age of their counters lets expect: a network knows no other ages."""
    if numbers is None or numbers.reader.inputs.growth is None:
        return problem
    inputs = numbers.reader.inputs

    def beyond(part: Part) -> Part:
        left = part.scores - inputs.start(part.posts)
        return dataclasses.replace(part, scores=left, truth=left)

    return dataclasses.replace(problem, train=beyond(problem.train), validation=beyond(problem.validation))


def _wanted_of(objective: Objective, part: Part) -> Tensor:
    scores = torch.from_numpy(part.scores)
    if isinstance(objective, WithinExperimentsObjective) and part.weights is not None:
        return objective.encode(scores, torch.from_numpy(part.weights))
    return objective.encode(scores)


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
        name: StoredBatches(
            stored[name], part.wanted, part.cut, reads_tokens=reads_tokens, device=device, numbers=part.numbers
        )
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
            "--encoder-precision and --dtype are for stored features; for trained encoders give --precision"
        )
    exact = dataclasses.replace(encoders.settled(is_own=True), precision="fp32", dtype="fp32")
    made = {side: make_encoder(side, exact) for side in dict.fromkeys(map(side_of, blocks))}
    towers = make_towers(made, parse_finetune(config.finetune), checkpointing=config.checkpointing)
    reads_tokens = bool(FUSIONS.load(config.fusion).reads_tokens)
    contents = {name: DatasetContents(dataset, reporter).contents(part.posts, blocks) for name, part in parts.items()}
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
            numbers=part.numbers,
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
        reporter.say(f"no training post has {' or '.join(absent)}: the model learns without it")
