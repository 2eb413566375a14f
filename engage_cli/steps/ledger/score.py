"""Logged predictions beside what came. The outcomes join the ledger in one transaction; no entry in it is changed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from engage_cli.errors import EngageError
from engage_cli.images.decode import ImageError, read_bytes
from engage_cli.ledger.keys import image_hash, title_hash
from engage_cli.ledger.store import Entry, Key, LoggedRun, Outcome, append_outcomes, read, read_outcomes
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.steps.ledger._groups import Age, Month, by_age, by_month
from engage_cli.steps.ledger.log import utc_now
from engage_cli.steps.prepare.import_posts import ImportedPosts, Source, import_posts
from engage_cli.uncertainty.coverage_test import ENOUGH, bet_on_misses

NOMINAL = 0.8
MARGIN = 0.1  # how closely coverage must be known before it is judged
Z = 1.959964  # of a 95 % interval
NEEDED = math.ceil(Z**2 * NOMINAL * (1 - NOMINAL) / MARGIN**2)  # outcomes: the normal approximation of a binomial interval


@dataclass(frozen=True, kw_only=True)
class RunScore:
    """How one run's logged predictions did; shares are in 0..1, None where nothing supports them."""

    run: str
    target: str
    outcomes: int
    needed: int  # more outcomes before the intervals can be judged, 0 if there are enough
    coverage: float | None  # of the 80 % intervals
    coverage_low: float | None  # exact 95 % binomial interval (Clopper and Pearson 1934)
    coverage_high: float | None
    pairs_right: float | None  # of pairs with unequal outcomes; an equal prediction counts half
    usual_posts: int  # outcomes whose author has an earlier post
    gain_over_usual: float | None  # 1 - mean absolute error / that of the author's median so far
    months: tuple[Month, ...]
    ages: tuple[Age, ...]  # where the table says when posts were published and counted
    e_value: float | None  # of all outcomes so far against "the intervals hold", see uncertainty.coverage_test
    train_again: bool  # whether the e-value is enough


@dataclass(frozen=True, kw_only=True)
class LedgerScore:
    entries: int
    matched: int
    ambiguous: int  # outcomes whose title fits several logged variants
    runs: tuple[RunScore, ...]


def score_ledger(
    ledger: Path,
    outcomes: Path,
    *,
    images: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> LedgerScore:
    """Join outcomes to entries by id, else by title and image; of several answers about a post the first counts."""
    reporter = reporter or SilentReporter()
    runs, entries = read(ledger)
    source = Source(path=outcomes, images=images)
    imported = import_posts([source], mapping=mapping or {}, keep=(), reporter=reporter)
    posts = imported.posts.reset_index(drop=True)
    if (repeated := posts["id"][(posts["id"] != "") & posts["id"].duplicated()]).any():
        raise EngageError(f"{outcomes}: the id {repeated.iloc[0]} stands in several rows; leave one count for each post")
    titles = [title_hash(str(title)) for title in posts["title"]]
    hashes = _image_hashes(imported, posts, reporter)
    places, ambiguous = _join(entries, posts["id"].tolist(), titles, hashes)
    by_run: dict[str, list[tuple[Entry, int]]] = defaultdict(list)
    for entry, place in places:
        by_run[entry.run].append((entry, place))
    scores = tuple(_score(run, by_run.get(marker, []), posts) for marker, run in runs.items())
    _keep_outcomes(ledger, [(runs[entry.run], entry, row) for entry, row in places], posts)
    earned = read_outcomes(ledger)
    return LedgerScore(
        entries=len(entries),
        matched=len(places),
        ambiguous=ambiguous,
        runs=tuple(
            _tested(score, [entry for entry in entries if entry.run == marker], earned)
            for marker, score in zip(runs, scores, strict=True)
        ),
    )


def e_value(entries: Sequence[Entry], earned: Mapping[Key, float]) -> float | None:
    """Return that of entries of one run, in their order, with what some earned; None where none with an interval did."""
    known = [(one.low, one.high, earned[one.key]) for one in entries if one.low is not None and one.key in earned]
    if not known:
        return None
    low, high, came = np.array(known, np.float64).T
    return float(bet_on_misses(came < low, came > high)[-1])


def _tested(score: RunScore, entries: Sequence[Entry], earned: Mapping[Key, float]) -> RunScore:
    found = e_value(entries, earned)
    return replace(score, e_value=found, train_again=found is not None and found >= ENOUGH)


def _keep_outcomes(ledger: Path, joined: Sequence[tuple[LoggedRun, Entry, int]], posts: pd.DataFrame) -> None:
    """Append what the posts earned, in each run's own target."""
    scores: dict[str, np.ndarray] = {}
    found, now = [], utc_now()
    for run, entry, row in joined:
        if run.marker not in scores:
            scores[run.marker] = run.target.score(posts)
        if np.isfinite(value := float(scores[run.marker][row])):
            found.append(Outcome(entry=entry.key, time=now, earned=value))
    if found:
        append_outcomes(ledger, found)


def _image_hashes(imported: ImportedPosts, posts: pd.DataFrame, reporter: Reporter) -> list[str]:
    """Return the hash of each outcome's image file, "" where there is none at hand."""
    (root,) = imported.images.values()
    if root is None or not root.is_dir() or "image" not in posts:
        return [""] * len(posts)
    found, unread = [], 0
    for name in posts["image"]:
        try:
            found.append(image_hash(read_bytes(root / name)) if name else "")
        except (ImageError, OSError):
            found.append("")
            unread += 1
    if unread:
        reporter.say(f"warning: {unread:,} images of outcomes cannot be read; these posts are joined by id or title")
    return found


def _join(
    entries: Sequence[Entry], ids: Sequence[str], titles: Sequence[str], images: Sequence[str]
) -> tuple[list[tuple[Entry, int]], int]:
    """Return (entry, row of its outcome), at most one entry of each run for a row, and how many rows are ambiguous."""
    by_id, by_both, by_title = defaultdict(list), defaultdict(list), defaultdict(list)
    for entry in entries:
        if entry.post:
            by_id[entry.post].append(entry)
        else:
            by_both[entry.title_hash, entry.image_hash].append(entry)
            by_title[entry.title_hash].append(entry)
    rows = pd.Series(titles).value_counts()
    joined, ambiguous = [], 0
    for row, (post, title, image) in enumerate(zip(ids, titles, images, strict=True)):
        found = by_id.get(post) or []
        if not found and image:
            found = by_both.get((title, image), [])
        elif not found and by_title.get(title):
            found = by_title[title]
            if rows[title] > 1 or len({entry.image_hash for entry in found}) > 1:
                ambiguous += 1
                continue
        first = {entry.run: entry for entry in reversed(found)}
        joined += [(entry, row) for entry in first.values()]
    return joined, ambiguous


def _score(run: LoggedRun, joined: Sequence[tuple[Entry, int]], posts: pd.DataFrame) -> RunScore:
    """Score in the run's own target; outcomes that lack what it needs are left out."""
    earned = run.target.score(posts) if joined else np.full(len(posts), np.nan)
    known = [(entry, row) for entry, row in joined if entry.value is not None and np.isfinite(earned[row])]
    said = np.array([entry.value for entry, _ in known], np.float64)
    came = np.array([earned[row] for _, row in known], np.float64)
    inside = [
        entry.low <= earned[row] <= entry.high for entry, row in known if entry.low is not None and entry.high is not None
    ]
    share = binomtest(int(sum(inside)), len(inside)).proportion_ci(method="exact") if inside else None
    usual = _usual(posts, earned)[[row for _, row in known]] if known else np.zeros(0)
    has_usual = np.isfinite(usual)
    error = float(np.abs(came - usual)[has_usual].mean()) if has_usual.any() else 0.0
    return RunScore(
        run=run.folder,
        target=run.target.name,
        outcomes=len(known),
        needed=max(0, NEEDED - len(known)),
        coverage=float(np.mean(inside)) if inside else None,
        coverage_low=None if share is None else float(share.low),
        coverage_high=None if share is None else float(share.high),
        pairs_right=_pairs_right(said, came),
        usual_posts=int(has_usual.sum()),
        gain_over_usual=1 - float(np.abs(came - said)[has_usual].mean()) / error if error > 0 else None,
        months=by_month(known, earned),
        ages=by_age(known, earned, posts),
        e_value=None,
        train_again=False,
    )


def _pairs_right(said: np.ndarray, came: np.ndarray) -> float | None:
    right, number = 0.0, 0
    for n in range(len(came)):
        differ = np.sign(came[n] - came[n + 1 :])
        agree = differ * np.sign(said[n] - said[n + 1 :])
        right += float((agree > 0).sum() + ((agree == 0) & (differ != 0)).sum() / 2)
        number += int((differ != 0).sum())
    return right / number if number else None


def _usual(posts: pd.DataFrame, earned: np.ndarray) -> np.ndarray:
    """Return (n,) the median of what the author's strictly earlier posts earned; NaN without a date or an earlier post."""
    usual = np.full(len(posts), np.nan)
    if "posted_at" not in posts:
        return usual
    authors = posts["author"].to_numpy() if "author" in posts else np.full(len(posts), "")
    times = pd.to_datetime(posts["posted_at"], utc=True).dt.tz_localize(None).to_numpy()
    for author in pd.unique(authors):
        rows = np.flatnonzero((authors == author) & ~np.isnat(times) & np.isfinite(earned))
        for row in rows:
            earlier = rows[times[rows] < times[row]]
            if len(earlier):
                usual[row] = np.median(earned[earlier])
    return usual
