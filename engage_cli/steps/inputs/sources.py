"""What gives a run the contents of posts: a data folder's stores and files, or posts' own files and texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.schema import COVER_TEXT, side_of
from engage_cli.embeddings.live import LiveBlocks, LiveVectors
from engage_cli.embeddings.store import BlockSource
from engage_cli.encoders.encoder import Encoder, EncoderIdentity
from engage_cli.errors import EngageError
from engage_cli.images.decode import ImageError, decode
from engage_cli.io.files import fingerprint
from engage_cli.models.predictor import Source, Sources, choose_source, members_of
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.run_folder import FIRST, Run, blaming
from engage_cli.steps.covers import CoverMemo, LiveCovers, WithCovers, stored_covers
from engage_cli.steps.embed import make_encoder, stored_blocks
from engage_cli.steps.inputs.contents import DatasetContents, GivenContents
from engage_cli.steps.inputs.table_source import ImageMemo, LiveTable, StoredTable


def encoder_config(run: Run) -> EncoderConfig:
    """Return the encoders that a run was trained on."""
    encoders = run.meta.encoders
    if not encoders:  # it reads no embedding
        return EncoderConfig()
    any_side = next(iter(encoders.values()))
    return EncoderConfig(
        vision=encoders["vision"].name if "vision" in encoders else EncoderConfig.vision,
        text=encoders["text"].name if "text" in encoders else EncoderConfig.text,
        pool=",".join(f"{side}={encoder.pooling}" for side, encoder in encoders.items()),
        resize=encoders.get("vision", any_side).resize,
        precision=any_side.precision,
        tokens=any_side.tokens,
        dtype=any_side.dtype,
    )


def blocks_of(run: Run) -> list[str]:
    """Return the blocks whose vectors, or contents, the run reads."""
    return list(run.meta.dims or run.meta.blocks)


def source_of(run: Run, dataset: Dataset, reporter: Reporter) -> Source:
    """Return what gives a run what it reads of a data folder's posts; what the stores lack is embedded first."""
    return choose_source(run, StoredSources(dataset, reporter))


class StoredSources(Sources):
    """Of a data folder's posts. An encoder is looked at before anything is embedded with another one."""

    def __init__(self, dataset: Dataset, reporter: Reporter) -> None:
        self.dataset, self.reporter = dataset, reporter

    def vectors(self, run: Run) -> BlockSource:
        _encoders_of(run, {})
        blocks = stored_blocks(self.dataset, encoder_config(run), blocks_of(run), self.reporter)
        return WithCovers(blocks, stored_covers(self.dataset, self.reporter)) if run.meta.reads_covers else blocks

    def contents(self, run: Run) -> DatasetContents:
        _encoders_of(run, {})
        return DatasetContents(self.dataset, self.reporter)

    def table(self, run: Run) -> StoredTable:
        _encoders_of(run, {})
        return StoredTable(
            self.dataset,
            encoder_config(run),
            blocks_of(run),
            reads_images=run.meta.reads_images,
            reads_covers=run.meta.reads_covers,
            reporter=self.reporter,
        )


class LiveSources:
    """What gives a run what it reads of posts that lie in no data folder. Encoders stay loaded between two calls."""

    def __init__(self, run: Run, *, num_towers: int | None = 1) -> None:
        self.run, self.num_towers, self.images, self.covers = run, num_towers, ImageMemo(), CoverMemo()
        self._encoders: dict[str, Encoder] = {}  # of all members, by record
        self._vectors: dict[str, LiveVectors] = {}  # by the records of both sides: members with equal encoders share them
        self._found: dict[Path, dict[str, Encoder]] = {}  # by the folders of members, those that were looked at
        self.of([])  # looks at all of them
        self.sees_images = any(sees_images(member) for member in members_of(run))

    @property
    def encoders(self) -> list[Encoder]:
        """Those that are read through; an encoder that was trained is in its run's model."""
        return list(self._encoders.values())

    def of(self, images: Sequence[bytes | None]) -> Source:
        """Return the source of posts whose covers these are."""
        return choose_source(self.run, _GivenSources(self, images))

    def vectors_of(self, member: Run) -> LiveVectors:
        found = self.encoders_of(member, self._encoders)
        key = fingerprint([one.record for one in found.values()])
        return self._vectors.setdefault(key, LiveVectors(found, num_towers=self.num_towers))

    def encoders_of(self, member: Run, known: dict[str, Encoder]) -> dict[str, Encoder]:
        """Return a member's encoders by side, after they were looked at once."""
        if member.folder not in self._found:
            self._found[member.folder] = _encoders_of(member, known)
        return self._found[member.folder]

    def problems_of(self, images: Sequence[bytes | None]) -> list[str]:
        """Return why each image that the run looks at gives no image; "" where it gives one, or there is none.

        To be asked after the run was: an image that was decoded for it is not decoded again.
        """
        if not self.sees_images:
            return [""] * len(images)
        seen = next((vectors for vectors in self._vectors.values() if "vision" in vectors.encoders), None)
        find = seen.problem_of if seen is not None else problem_of
        return [find(image) if image is not None else "" for image in images]

    def forget(self) -> None:
        """Drop what was made of the contents so far: they are not kept for ever."""
        for vectors in self._vectors.values():
            vectors.forget()
        self.images.forget()
        self.covers.forget()


class _GivenSources(Sources):
    """Of posts whose covers are these."""

    def __init__(self, live: LiveSources, images: Sequence[bytes | None]) -> None:
        self.live, self.given = live, images

    def vectors(self, run: Run) -> BlockSource:
        covers = LiveCovers(self.given, self.live.covers)
        blocks = LiveBlocks(self.live.vectors_of(run), self.given, covers)
        return WithCovers(blocks, covers) if run.meta.reads_covers else blocks

    def contents(self, run: Run) -> GivenContents:
        self.live.encoders_of(run, {})  # what is loaded of them is in the run's model
        return GivenContents(self.given, LiveCovers(self.given, self.live.covers))

    def table(self, run: Run) -> LiveTable:
        return LiveTable(self.vectors(run), self.given, self.live.images, self.live.covers)


def sees_images(run: Run) -> bool:
    """Say whether anything of a cover reaches the run."""
    return (
        run.meta.reads_images
        or run.meta.reads_covers
        or any(side_of(block) == "vision" or block == COVER_TEXT for block in blocks_of(run))
    )


def problem_of(image: bytes) -> str:
    """Return why an image gives no image; "" where it gives one."""
    try:
        decode(image)
    except ImageError as problem:
        return str(problem)
    return ""


def _encoders_of(run: Run, known: dict[str, Encoder]) -> dict[str, Encoder]:
    """Return a run's encoders by side, those that are known already where they are the same."""
    config, found = encoder_config(run), {}
    for side in dict.fromkeys(side_of(block) for block in blocks_of(run)):
        with blaming(run.folder / FIRST, "encoders"):
            encoder = make_encoder(side, config, is_proven=True)
        must_be_same_encoder(run, side, encoder.record)
        found[side] = known.setdefault(fingerprint(encoder.record), encoder)
    return found


def must_be_same_encoder(run: Run, side: str, record: EncoderIdentity) -> None:
    known = run.meta.encoders[side]
    saved = {key: value for key, value in dataclasses.asdict(known).items() if key != "name"}
    if saved != record:
        changed = ", ".join(key for key, value in record.items() if saved.get(key) != value)
        raise EngageError(
            f"the encoder '{known.name}' on this machine is not the one that {run.folder} was "
            f"trained on (differs in: {changed}); train again, or bring back that checkpoint"
        )
