"""From posts to a report in one call: prepare, embed, train and evaluate with all defaults, each shown as its command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engage_cli.config.general import EmbedConfig, EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import EnsembleConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.dataset_meta import MARKER as DATA_MARKER
from engage_cli.data.row_counts import say_counts
from engage_cli.data.schema import parse_blocks
from engage_cli.errors import EngageError
from engage_cli.evaluation.results import Evaluation
from engage_cli.io.files import sweep
from engage_cli.io.records import read_record, record, write_record
from engage_cli.near_names import did_you_mean_path
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.run_folder import MARKER as RUN_MARKER
from engage_cli.runs.run_folder import Run, load_run
from engage_cli.steps.embed import embed
from engage_cli.steps.evaluate import evaluate
from engage_cli.steps.evaluate.report import place_report, write_report
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.train.pipeline import train_ensemble

KIND, VERSION, REQUEST_FILE = "engage quickstart", 1, "quickstart.json"
FIRST_TARGETS = ("views", "likes", "popularity", "given")  # what a person counts comes first
BLOCKS = "image,title,context,text"
STEPS = (
    "Four steps. You can stop at any time; the same command continues.",
    "  prepare: read and check the posts, and set some aside for testing",
    "  embed: turn images and texts into numbers that models can read (DINOv2 for images, MiniLM for texts)",
    "  train: train three models, and average them: usually the longest step",
    "  evaluate: predict the posts that were set aside, and compare with what they really got",
)
FEW, MANY = 500, 10_000  # posts; 200 take two minutes of two cores, 6,000 about six


@record
class Request:
    """What a quickstart was asked for; the same command continues it, another one is refused."""

    source: str
    images: str
    mapping: dict[str, str]
    target: str


@dataclass(frozen=True, kw_only=True)
class Started:
    """What a quickstart left behind."""

    dataset: Dataset
    run: Run
    evaluation: Evaluation
    report: Path

    @property
    def has_images(self) -> bool:
        return bool((self.dataset.posts["image_problem"] == "").any())


def quickstart(
    source: Path,
    *,
    folder: Path,
    images: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    target: str = "auto",
    encoders: EncoderConfig | None = None,
    tell: Callable[[str], None],
    reporter: Reporter,
) -> Started:
    """Do what is not done yet. `tell` gets each step as the command that does the same.

    Raises EngageError where the folder holds something else, or what a quickstart of other posts began.
    """
    request = Request(
        source=str(source.resolve()),
        images=str(images.resolve()) if images else "",
        mapping=dict(mapping or {}),
        target=target,
    )
    if not source.exists():
        raise EngageError(f"no such file or folder: {source}; check the path{did_you_mean_path(source)}")
    if images is not None and not images.exists():
        raise EngageError(f"no such image folder: {images}; check --images-dir{did_you_mean_path(images)}")
    _claim(folder, request)
    for line in STEPS:
        reporter.say(line)
    encoders = encoders or EncoderConfig()
    data, runs = folder / "data", folder / "runs"
    words: list[str | Path] = ["prepare", source]
    if images:
        words += ["--images-dir", images]
    if mapping:
        words += ["--map", ",".join(f"{ours}={theirs}" for ours, theirs in mapping.items())]
    tell(command(*words, "--data", data))
    if (data / DATA_MARKER).is_file():
        dataset = load_dataset(data)
    else:
        where = [Source(path=source, images=images)]
        found = prepare(PrepareConfig(), folder=data, sources=where, mapping=dict(mapping or {}), reporter=reporter)
        dataset = found.dataset
    reporter.say(say_counts(dataset.meta))
    reporter.say(_say_time(dataset.meta.rows.kept))
    name = _choose_target(dataset, target)
    tell(command("embed", "--data", data))
    embed(dataset, encoders, blocks=parse_blocks(BLOCKS), how=EmbedConfig(), reporter=reporter)
    run = runs / name
    tell(command("train", "--target", name, "--data", data, "--run", run))
    if not (run / RUN_MARKER).is_file():
        config = EnsembleConfig(target=name, vision=encoders.vision, text=encoders.text)
        train_ensemble(config, dataset=dataset, encoders=encoders, run=run, runs_dir=runs, reporter=reporter)
    tell(command("evaluate", run, "--data", data))
    evaluation = evaluate([run], dataset=dataset, reporter=reporter)
    page = place_report(None, [run], split="test", runs_dir=runs)
    write_report(evaluation, dataset=dataset, report=page, reporter=reporter)
    return Started(dataset=dataset, run=load_run(run), evaluation=evaluation, report=page)


def _say_time(num_posts: int) -> str:
    """Say how long the rest takes, as roughly as it is known."""
    if num_posts <= FEW:
        return "Without a GPU the rest takes a few minutes."
    if num_posts <= MANY:
        return "Without a GPU the rest takes from a few minutes to half an hour, depending on the machine."
    return "The rest grows with the posts, and may take an hour or more without a GPU."


def command(*words: str | Path) -> str:
    """Return a command of engage as it can be pasted into a shell."""
    return shlex.join(["engage", *map(str, words)])


def _claim(folder: Path, request: Request) -> None:
    """Note what the folder is for, before anything else is written there."""
    place = folder / REQUEST_FILE
    if folder.exists() and not folder.is_dir():
        raise EngageError(f"{folder} is a file; name an empty or new folder with --folder")
    if place.is_file():
        before = read_record(place, Request, kind=KIND, version=VERSION, again="name a new folder with --folder")
        if before == request:
            return
        if (folder / "data" / DATA_MARKER).is_file():
            raise EngageError(
                f"{folder} holds a quickstart {_difference(before, request)}; name a new folder with --folder"
            )
    elif folder.exists():
        sweep(folder)  # of a call that was killed in its very first file
        if others := sorted(entry.name for entry in folder.iterdir()):
            raise EngageError(f"{folder} holds other files ({others[0]}); name an empty or new folder with --folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_record(place, request, kind=KIND, version=VERSION)


def _difference(before: Request, now: Request) -> str:
    """Say what a folder was made from that the same call now gives otherwise."""
    if before.source != now.source:
        return f"of {before.source}"
    names = {"--images-dir": before.images != now.images, "--map": before.mapping != now.mapping}
    names["--target"] = before.target != now.target
    return f"of the same posts with another {' and '.join(name for name, differs in names.items() if differs)}"


def _choose_target(dataset: Dataset, target: str) -> str:
    if target != "auto":
        return dataset.target(target).name
    targets = dataset.meta.targets
    return next(name for name in (*FIRST_TARGETS, *targets) if name in targets)
