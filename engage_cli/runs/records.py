"""The records of a run folder: what run.json, metrics.json and test.json hold."""

from __future__ import annotations

import functools
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, Field

from engage_cli import __version__
from engage_cli.config.general import Kind
from engage_cli.data.numbers.number_inputs import NumberInputs
from engage_cli.data.schema import AUTHOR_COLUMNS, BLOCKS, LOG_AGE, OWN
from engage_cli.data.table_format import ColumnFormat
from engage_cli.errors import EngageError
from engage_cli.io.ranges import Count, FromOne, once
from engage_cli.io.record_fields import one_of
from engage_cli.io.records import parse, read_record, record, record_text, write_record
from engage_cli.runs.model_table import MODELS

T = TypeVar("T")

VERSION = 2  # of all files of a run folder; a folder of another one is trained again
AGAIN = "train again"

Setting = bool | int | float | str | None
Width = Annotated[int, Field(ge=1, le=1 << 20)]
# Of settings that what a model is, or how it predicts, depends on.
RANGES = {"width": (1, 1 << 14), "layers": (0, 256), "heads": (1, 1024), "batch_size": (1, 1 << 20), "dropout": (0, 1)}
Side = Annotated[str, Field(pattern=r"^(vision|text)\z")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
# The name of a folder right inside another: no path, nothing hidden.
FolderName = Annotated[str, Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}\z")]
# Of a file of the run, or of a member's marker.
FileName = Annotated[
    str, Field(pattern=r"^(members/[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}/)?[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}\z")
]


def _model(name: str) -> str:
    if name not in MODELS:
        raise ValueError(f"unknown model '{name[:40]}'; it must be one of: {', '.join(MODELS)}")
    return name


def _block(name: str) -> str:
    if name not in BLOCKS:
        raise ValueError(f"unknown block '{name[:40]}'; it must be one of: {', '.join(BLOCKS)}")
    return name


def _number_column(name: str) -> str:
    if name not in (*AUTHOR_COLUMNS, LOG_AGE) and not name.startswith(OWN):
        raise ValueError(f"'{name[:40]}' is no column of numbers")
    return name


Block = Annotated[str, AfterValidator(_block)]
NumberColumn = Annotated[str, AfterValidator(_number_column)]


@record
class DataOf:
    """The data that a run was trained on."""

    fingerprint: str
    split: str
    table: dict[str, ColumnFormat] = field(default_factory=dict)  # our column -> what it was in the table of the posts
    texts: tuple[str, ...] = ()  # of the posts, those that any of them has
    median_age: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # days, of training posts' counters


@record
class EncoderRecord:
    """An encoder of a run: its name, and all that decides about its vectors."""

    name: str
    side: Side
    revision: str
    precision: Annotated[str, one_of("fp32", "bf16")]
    pooling: str
    tokens: Annotated[int, Field(ge=0, le=4096)]
    dtype: Annotated[str, one_of("fp16", "fp32")]
    normalised: bool
    resize: Annotated[str, one_of("native", "squash")]
    preprocessing: str


@record
class RunMeta:
    """run.json: all that was decided before training."""

    engage: str = __version__
    command: str
    model: Annotated[str, AfterValidator(_model)]
    kind: Kind
    recipe: str = ""
    given: dict[str, Setting] = field(default_factory=dict)  # what was given besides the recipe
    config: dict[str, Setting] = field(default_factory=dict)  # the trainer's settings, see `settings`
    asked: dict[str, Setting] = field(default_factory=dict)  # of several models: the encoders that were asked for
    ranks: FromOne = 1
    data: DataOf
    encoders: dict[Side, EncoderRecord] = field(default_factory=dict)
    blocks: Annotated[tuple[Block, ...], AfterValidator(once)] = ()  # that it reads
    dims: dict[Block, Width] = field(default_factory=dict)  # of a neural model: the width of each block's tokens
    numbers: NumberInputs | None = None  # of a neural model: the numbers of posts that it reads
    reads_images: bool = False  # of a table: whether it measures covers
    reads_covers: bool = False  # whether it reads what covers show: lettering and faces
    reads_date: bool = False
    reads_columns: Annotated[
        tuple[NumberColumn, ...], AfterValidator(once)
    ] = ()  # of a process: numbers of posts beside these
    members: Annotated[tuple[FolderName, ...], AfterValidator(once)] = ()  # of an ensemble: folders in members/
    of: dict[FolderName, Hash] = field(default_factory=dict)  # of stacked runs: the hashes of their markers
    leaky: bool = False
    marks: tuple[str, ...] = ()  # why its figures cannot be compared with honest ones
    started: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def is_ensemble(self) -> bool:
        return MODELS[self.model].is_ensemble

    @property
    def words(self) -> str:
        """What people call the model."""
        return MODELS[self.model].words

    def settings(self, schema: type[T], *, folder: Path) -> T:
        """Return `config` as the trainer's settings; raise EngageError for one that is unknown or out of range."""
        where = f"{folder / 'run.json'}: config"
        found = parse(self.config, _strict(cast("Any", schema)), where=where, again=AGAIN)
        for name, (low, high) in RANGES.items():
            if not low <= getattr(found, name, low) <= high:
                raise EngageError(f"{where}.{name}: it is not within {low} to {high}; {AGAIN}")
        return schema(**vars(found))


@functools.cache
def _strict(schema: Any) -> Any:
    """Return settings that are read as strictly as records are."""
    return record(type(schema.__name__, (schema,), {}))


Figures = dict[str, float]


@record
class FoldFigure:
    mean: float
    std: float
    folds: tuple[float, ...]


@record
class Folds:
    """Cross-validation beside a run."""

    number: Count
    note: str
    rows: Count
    trees: tuple[Count, ...]
    metrics: dict[str, FoldFigure]


@record
class GroupShare:
    """What a group of features contributes on average, as in models.boosting.shap."""

    name: str
    group: str
    loss_change: float
    mean_abs_shap: float


@record
class Why:
    """What the predictions of a boosted model rest on."""

    loss: str
    unit: str
    rows: Count
    groups: tuple[GroupShare, ...]


@record
class Evidence:
    """The score of a run on posts that it did not learn from."""

    posts: Count  # that it learned from
    held_out: Count  # that it is scored on
    method: str  # how these were held out
    metric: str  # of which a guess has 0
    value: float
    low: float | None  # of the 95 % interval; None of too few posts for one
    high: float | None

    @property
    def is_better_than_guess(self) -> bool:
        """Whether the held-out posts show it."""
        return self.low is not None and self.low > 0


@record
class Recalibration:
    """On what the intervals of a run were fitted anew."""

    of: Hash  # the marker of the run whose intervals they were
    model: Hash  # the marker of the run that was trained
    outcomes: FromOne
    first: str  # when the first and the last of these posts were predicted
    last: str
    shift: float  # by which all values moved, in the target's unit


@record
class RunMetrics:
    """metrics.json, the marker, which is written last: how training ended, and the hash of every file that counts."""

    files: dict[FileName, Hash] = field(default_factory=dict)
    finished: str = ""
    split: str = "validation"
    note: str = ""
    rows: dict[str, Count] = field(default_factory=dict)  # posts of each part
    metrics: Figures = field(default_factory=dict)  # on the validation posts
    evidence: Evidence | None = None
    seconds: float | None = None
    recalibration: Recalibration | None = None
    leaky: bool = False
    marks: tuple[str, ...] = ()
    # Of neural models.
    best_epoch: Count | None = None
    averaged_epochs: tuple[Count, ...] | None = None
    epochs: Count | None = None
    collapse: str | None = None
    parameters: Count | None = None
    trained_parameters: Count | None = None
    peak_gpu_memory: Count | None = None
    # Of CatBoost.
    best_iteration: Count | None = None
    features: Count | None = None
    folds: Folds | None = None
    why: Why | None = None
    # Of Gaussian processes.
    left_out_r2: float | None = None
    # Of ensembles.
    weights: dict[FolderName, float] | None = None
    offset: float | None = None
    members: dict[FolderName, Figures] | None = None


@record
class SliceFigures:
    by: str
    name: str
    rows: Count
    metrics: dict[str, Figures]


@record
class CrossValidatedFigures:
    """Of few test posts together with those that models trained without them predicted."""

    rows: Count
    metrics: dict[str, Figures]  # name -> value, low, high


@record
class TestFigures:
    """test.json: what `engage evaluate` found on the test split. It carries no answers, and names its run's marker."""

    of: Hash
    run: str
    kind: Kind
    target: str
    rows: Count
    leaky: bool
    metrics: dict[str, Figures]  # name -> value, low, high
    slices: tuple[SliceFigures, ...] = ()
    cross_validated: CrossValidatedFigures | None = None  # where the test posts are few


def write_run_record(path: Path, value: Any, kind: str) -> None:
    write_record(path, value, kind=kind, version=VERSION)


def run_record_text(value: Any, kind: str) -> str:
    return record_text(value, kind=kind, version=VERSION)


def read_run_record(path: Path, schema: type[T], kind: str) -> T:
    """Read a record of a run folder; raise EngageError for a link, and for whatever is wrong with it."""
    if path.is_symlink():
        raise EngageError(f"{path} is a link, not a file of this run; {AGAIN}")
    return read_record(path, schema, kind=kind, version=VERSION, again=AGAIN)
