"""Whether an explanation names the word and the place that the posts were made to hang on.

On a planted sample (synthetic.planting) a regressor and CatBoost learn views from DINOv2-small and MiniLM; then fresh
posts of another seed are explained one by one, as `engage predict --explain` does: half of them have the planted word and a
badge, a quarter the word alone, a quarter the badge alone. Of each run:

word      in how many of the posts with it the planted word's change is the largest of all words' and above 0.
region    in how many of the posts with a badge the region of the cover with the largest change, which is above 0, lies in
          the badge's cell of the planted 4 x 4 grid with at least half of its area; by chance it would in 8 %.
effect    the mean change in log views that is said of the word, of that region, and of the window of regions there that
          changes most, beside the law's: what such a post really loses without word or badge; and beside the model's: by
          how much its prediction falls where the cover is drawn without the badge.
groups    of CatBoost: which group of features contributes most (SHAP), and how often those of the texts together, and those
          of the cover, have the sign of what was planted there.
seconds   an explanation takes, the first left out.

python benchmarks/explain.py [--rows 1000] [--posts 100] [--place FOLDER]      (--place: keeps and reuses data and runs)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np
import pandas as pd

from engage_cli.explain.occlusion import GRID as REGIONS
from engage_cli.explain.occlusion import effect_at
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.predict.explain import Explanation, explain_post
from engage_cli.steps.predict.requests import make_posts
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.synthetic.planting import GRID, VIEWS_LAW, WORD, draw_planted_cover, make_planted_posts
from engage_cli.synthetic.posts import VIEWS_SPREAD

SEED = 1  # of the fresh posts; those that are learned from have 0
RUNS = {
    "neural": ("train-regressor", "--target", "views"),
    "catboost": ("train-catboost", "--target", "views", "--as", "value"),
}
OF_COVER = ("image embedding", "image statistics")  # groups; image-text match is counted among the texts
LAW = {part: 2 * VIEWS_SPREAD * VIEWS_LAW[part] for part in ("word", "badge")}  # from -1 to +1, in log views


@dataclass(frozen=True, kw_only=True)
class FreshPost:
    title: str
    tags: str
    description: str
    cover: bytes
    plain: bytes | None  # the same cover without its badge; None of one that has none
    cell: tuple[int, int] | None  # of the badge

    @property
    def has_word(self) -> bool:
        return WORD in self.title.split(" ")


@dataclass(frozen=True, kw_only=True)
class Found:
    post: FreshPost
    why: Explanation
    model: float | None  # by how much the prediction falls for the cover without its badge
    seconds: float

    @property
    def word(self) -> float:
        return next(change for word, change in self.why.words if word == WORD)

    @property
    def has_named_word(self) -> bool:
        return self.word > 0 and self.word == max(abs(change) for _, change in self.why.words)

    @property
    def region(self) -> float:
        return float(self._regions.max())

    @property
    def window(self) -> float:
        assert self.why.windows is not None
        return effect_at(self.why.windows, *divmod(int(self._regions.argmax()), REGIONS))

    @property
    def has_named_region(self) -> bool:
        assert self.post.cell is not None
        row, column = divmod(int(self._regions.argmax()), REGIONS)
        return self.region > 0 and _inside(row, self.post.cell[0]) * _inside(column, self.post.cell[1]) >= 0.5

    @property
    def _regions(self) -> np.ndarray:
        assert self.why.regions is not None
        return self.why.regions


def _inside(region: int, cell: int) -> float:
    """Return how much of a row of regions lies in a row of the planted grid's cells."""
    low, high = max(region / REGIONS, cell / GRID), min((region + 1) / REGIONS, (cell + 1) / GRID)
    return round(REGIONS * max(0.0, high - low), 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--posts", type=int, default=100)
    parser.add_argument("--place", type=Path)
    session = parser.parse_args()
    with nullcontext(session.place) if session.place else tempfile.TemporaryDirectory() as place:
        runs = train(Path(place), session.rows)
        posts = make_fresh_posts(session.posts)
        for name, run in runs.items():
            report(name, explain_all(run, posts))


def train(place: Path, rows: int) -> dict[str, Path]:
    if not (place / "data").exists():
        engage("sample", place / "sample", "--planted", "--rows", rows)
        engage("prepare", "--pixelrec-dir", place / "sample", "--data", place / "data")
    runs = {name: place / "runs" / name for name in RUNS}
    for name, run in runs.items():
        if not (run / "metrics.json").exists():
            engage(*RUNS[name], "--data", place / "data", "--vision", "dinov2-small", "--text", "minilm", "--run", run)
    return runs


def make_fresh_posts(num: int) -> list[FreshPost]:
    made = make_planted_posts(8 * num, SEED)
    table = made.table.assign(has_word=made.factors["word"] == WORD, has_badge=made.factors["row"] >= 0)
    lost = made.missing_covers | made.truncated_covers
    wanted = {(True, True): num - 2 * (num // 4), (True, False): num // 4, (False, True): num // 4, (False, False): 0}
    posts = []
    for number, (row, factor) in enumerate(zip(table.to_dict("records"), made.factors.to_dict("records"), strict=True)):
        kind = (bool(row["has_word"]), bool(row["has_badge"]))
        if wanted[kind] == 0 or number in lost or not row["title"]:
            continue
        wanted[kind] -= 1
        drawn, style, seed = int(factor["drawn"]), int(factor["style"]), (SEED, number)
        cell = (int(factor["row"]), int(factor["column"])) if kind[1] else None
        plain = draw_planted_cover(drawn, style, seed, None)
        posts.append(
            FreshPost(
                title=row["title"],
                tags=row["tag"],
                description=row["description"],
                cover=draw_planted_cover(drawn, style, seed, cell),
                plain=plain if cell is not None else None,
                cell=cell,
            )
        )
    return posts


def explain_all(run: Path, posts: Sequence[FreshPost]) -> list[Found]:
    session, reporter = InferenceSession(load_run(run)), SilentReporter()
    found = []
    for number, post in enumerate(posts):
        table = make_posts(
            session.run,
            [(f"{number}.jpg", post.title)],
            tags=post.tags,
            description=post.description,
            posted_at="",
            columns={},
            reporter=reporter,
        )
        start = time.perf_counter()
        why = explain_post(session, table, post.cover, overlay=None, reporter=reporter)
        seconds = time.perf_counter() - start
        model = why.value - _value(session, table, post.plain) if post.plain is not None else None
        found.append(Found(post=post, why=why, model=model, seconds=seconds))
        session.sources.forget()
    return found


def _value(session: InferenceSession, post: pd.DataFrame, cover: bytes) -> float:
    return float(session.uncertainty.main(session.predict(post, [cover]))[0])


def report(name: str, found: Sequence[Found]) -> None:
    worded, badged = [one for one in found if one.post.has_word], [one for one in found if one.post.cell is not None]
    print(f"{name}: {len(found)} posts")
    named = sum(one.has_named_word for one in worded)
    print(f"  word    named in {named} of {len(worded)} = {named / len(worded):.0%}")
    named = sum(one.has_named_region for one in badged)
    print(f"  region  named in {named} of {len(badged)} = {named / len(badged):.0%}")
    model = mean(one.model for one in badged if one.model is not None)
    region, window = mean(one.region for one in badged), mean(one.window for one in badged)
    print(f"  effect  of the word {mean(one.word for one in worded):+.2f}; in the law {LAW['word']:+.2f}")
    print(
        f"  effect  of the region {region:+.2f}, of the window there {window:+.2f}; of the badge in the model {model:+.2f},"
    )
    print(f"          in the law {LAW['badge']:+.2f}")
    _report_groups(found)
    seconds = [one.seconds for one in found[1:]]
    print(f"  seconds {median(seconds):.2f} (median; {min(seconds):.2f} to {max(seconds):.2f})", flush=True)


def _report_groups(found: Sequence[Found]) -> None:
    groups = [one.why.reasons.groups for one in found if one.why.reasons is not None]
    if not groups:
        return
    firsts = Counter(next(iter(one)) for one in groups)
    print("  groups  first: " + ", ".join(f"{group} {times / len(groups):.0%}" for group, times in firsts.most_common()))
    for side, planted in (
        ("cover", [one.post.cell is not None for one in found]),
        ("texts", [o.post.has_word for o in found]),
    ):
        sums = [sum(value for group, value in one.items() if (group in OF_COVER) == (side == "cover")) for one in groups]
        right = sum((value > 0) == there for value, there in zip(sums, planted, strict=True))
        print(f"  groups  of the {side}: the sign is right in {right} of {len(sums)} = {right / len(sums):.0%}")


def engage(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "engage_cli", *map(str, arguments)], check=True, capture_output=True)


if __name__ == "__main__":
    main()
