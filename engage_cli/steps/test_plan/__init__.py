"""A test of variants, before it begins and while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.general import MOST_VARIANTS
from engage_cli.config.planning import TestPlanConfig
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.evaluation.evidence import warnings_of
from engage_cli.planning.design import Plan, plan_test, worth_testing
from engage_cli.planning.posterior import Standing, stand, update
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.run_folder import Run, load_run, newest_run
from engage_cli.steps.predict import check_titles_alone, check_variants, pairs_of
from engage_cli.steps.predict.image_file import read_image
from engage_cli.steps.predict.requests import make_posts, reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.predict.table_posts import read_covers, read_posts
from engage_cli.steps.test_plan._counts import Counts, read_counts
from engage_cli.steps.test_plan._rates import rates_of

GO_ON, STOP_SURE, STOP_ALIKE = "go on", "stop: one is ahead", "stop: the difference hardly matters"


@dataclass(frozen=True, kw_only=True)
class TestPlan:
    """What is known of variants (n), and what a test of them needs."""

    __test__ = False  # pytest: no test, whatever its name

    run: Run
    images: tuple[str, ...]
    titles: tuple[str, ...]
    config: TestPlanConfig
    rate: float  # the usual click rate that the predictions were set beside
    standing: Standing  # by the run and, where there are counts, by them
    worth: np.ndarray  # (n,) bool: worth impressions
    plan: Plan  # of a test of those that are worth them, from here on
    counts: Counts | None = None

    @property
    def num_worth(self) -> int:
        return int(self.worth.sum())

    @property
    def verdict(self) -> str:
        if self.standing.chance >= self.config.certainty:
            return STOP_SURE
        return STOP_ALIKE if self.standing.loss <= self.config.tolerance else GO_ON

    def to_json(self) -> dict[str, Any]:
        """Every key is there in every answer: what there is not is null."""
        order = np.argsort(-self.standing.rate, kind="stable")
        return {
            "run": str(self.run.folder),
            "target": self.run.target.name,
            "rate": self.rate,
            "certainty": self.config.certainty,
            "tolerance": self.config.tolerance,
            "variants": [self._variant_json(int(place)) for place in order],
            "leader": self.standing.leader + 1,
            "p_leader_is_best": self.standing.chance,
            "expected_loss": self.standing.loss,
            "verdict": self.verdict,
            "impressions_each": {
                "until_sure": self.plan.until_sure,
                "until_loss_is_tolerated": self.plan.until_cheap,
                "until_decided": self.plan.until_decided,
            },
            "stages": [vars(stage) for stage in self.plan.stages],
            "warnings": warnings_of(self.run),
        }

    def _variant_json(self, place: int) -> dict[str, Any]:
        return {
            "variant": place + 1,
            "image": self.images[place] or None,
            "title": self.titles[place],
            "rate": float(self.standing.rate[place]),
            "p_best": float(self.standing.best[place]),
            "worth_testing": bool(self.worth[place]),
            "impressions": None if self.counts is None else int(self.counts.impressions[place]),
            "clicks": None if self.counts is None else int(self.counts.clicks[place]),
        }


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Variants of one post: every image with every title, or the rows of a table."""

    images: Sequence[Path] = ()
    titles: Sequence[str] = ()
    tags: str = ""
    description: str = ""
    posted_at: str = ""
    columns: Mapping[str, str | float] | None = None
    table: Path | None = None
    images_dir: Path | None = None
    mapping: Mapping[str, str] | None = None


def plan_variants(
    asked: Asked,
    config: TestPlanConfig,
    *,
    counts: Path | None = None,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TestPlan:
    """Say which variants are worth testing, how many impressions decide, and with `counts` who is ahead now."""
    reporter = reporter or SilentReporter()
    _check(asked)
    opened = load_run(run) if run is not None else newest_run(runs_dir)
    if run is None:
        reporter.say(f"run: {opened.folder} (the newest finished one)")
    posts, contents = _posts_of(asked, opened, reporter)
    counted = None if counts is None else read_counts(counts, posts)
    session = InferenceSession(opened)
    if not any(contents) and not asked.table:
        check_titles_alone(session)
    session.load(reporter)
    rates, rate = rates_of(session, posts, contents, config.rate)
    if counted is not None:
        rates = update(rates, counted.clicks, counted.impressions)
    worth = worth_testing(rates, seed=config.seed)
    some = rates.take(np.flatnonzero(worth))
    return TestPlan(
        run=opened,
        images=tuple(posts["image"]),
        titles=tuple(posts["title"]),
        config=config,
        rate=rate,
        standing=stand(rates, seed=config.seed),
        worth=worth,
        plan=plan_test(some, certainty=config.certainty, tolerance=config.tolerance, seed=config.seed),
        counts=counted,
    )


def _check(asked: Asked) -> None:
    if asked.table is not None and (asked.images or any(asked.titles)):
        raise WrongCallError("--table and images or --title are two ways to give variants; give one")
    if asked.table is None and (asked.images_dir is not None or asked.mapping):
        raise WrongCallError("--images-dir and --map go with --table")
    if asked.table is None:
        pairs = pairs_of(list(map(str, asked.images)), asked.titles)
        check_variants(pairs)
        if len(pairs) < 2:
            raise WrongCallError("a test needs two variants or more: give several images, several --title, or --table")


def _posts_of(asked: Asked, run: Run, reporter: Reporter) -> tuple[pd.DataFrame, list[bytes | None]]:
    """Return the variants as the run reads them, and their covers."""
    if asked.table is not None:
        posts, problems = read_posts(asked.table, asked.images_dir, asked.mapping or {}, run, reporter)
        for row, _, problem in problems:
            reporter.say(f"{asked.table}, row {row}: {problem}")
        if not 2 <= len(posts) <= MOST_VARIANTS:
            raise EngageError(
                f"{asked.table} has {len(posts):,} rows: a test needs 2 to {MOST_VARIANTS} variants, one row for each"
            )
        covers = read_covers(posts, asked.images_dir)
        for row, (_, problem) in enumerate(covers, start=1):
            if problem and asked.images_dir is not None:
                raise EngageError(f"{asked.table}, row {row}: image: {problem}")
        return posts, [data for data, _ in covers]
    files = {str(image): read_image(image) for image in asked.images}
    posts = make_posts(
        reads_of(run),
        pairs_of(list(map(str, asked.images)), asked.titles),
        tags=asked.tags,
        description=asked.description,
        posted_at=asked.posted_at,
        columns=asked.columns or {},
        reporter=reporter,
    )
    return posts, [files.get(image) for image in posts["image"]]
