"""What a CatBoost training reads: posts with their sources, and tables fitted on some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import experiment_arrays
from engage_cli.data.folds import count_groups, make_folds
from engage_cli.data.schema import KNOWN_AFTER
from engage_cli.data.targets.target import Target
from engage_cli.data.within_experiments import within_truth
from engage_cli.encoders.encoder import Encoder
from engage_cli.features.groups import PARTS, PartOptions
from engage_cli.features.inputs import PostInputs
from engage_cli.features.selection import FeatureChoice, parse_pca
from engage_cli.features.table import FeatureTable, kinds_of
from engage_cli.metrics.metrics import true_of
from engage_cli.models.boosting.fit import Rows
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.inputs.table_source import StoredTable

FOLDS_OF_SCORES = 5  # in which a training row's linear scores are computed


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The training and validation posts that have the target, in the order of the data."""

    posts: pd.DataFrame  # with counters: for targets alone
    given: PostInputs  # what the model may see of them
    parts: dict[str, np.ndarray]  # "train" and "validation": places in the above
    choice: FeatureChoice
    options: PartOptions
    encoders: dict[str, Encoder]

    def new_table(self, *, without: Sequence[str] = ()) -> FeatureTable:
        return FeatureTable([part for part in self.choice.parts if part not in without], self.options)

    def fit_rows(
        self,
        table: FeatureTable,
        places: np.ndarray,
        target: Target,
        kind: str,
        advance: Callable[[str], None] = lambda part: None,
    ) -> Rows:
        """Fit the table on these posts and return their rows."""
        (truth, weights), posts = self._wanted(places, target, kind), self.posts.iloc[places]
        folds = make_folds(posts, min(FOLDS_OF_SCORES, count_groups(posts)), seed=self.options.seed)
        features = table.fit(self.given.take(places), truth, folds, advance=advance)
        return Rows(table=features, truth=truth, weights=weights)

    def rows(self, table: FeatureTable, places: np.ndarray, target: Target, kind: str) -> Rows:
        """Return the rows of these posts by a fitted table."""
        truth, weights = self._wanted(places, target, kind)
        return Rows(table=table.transform(self.given.take(places)), truth=truth, weights=weights)

    def truth(self, places: np.ndarray, target: Target, kind: str) -> np.ndarray:
        return self._wanted(places, target, kind)[0]

    def _wanted(self, places: np.ndarray, target: Target, kind: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Return what is learned of posts, and how much each counts: of variants of experiments, their differences."""
        posts = self.posts.iloc[places]
        scores = target.score(posts)
        if kind == "value" and (known := experiment_arrays(posts, target)).any:
            within = within_truth(scores, known)
            return within.truth, within.weights
        return true_of(kind, scores, target.classes(scores)), None


def make_inputs(
    config: CatBoostConfig,
    choice: FeatureChoice,
    dataset: Dataset,
    encoders: EncoderConfig,
    target: Target,
    reporter: Reporter,
) -> Inputs:
    """Read the posts, and embed and measure whatever the data folder lacks."""
    classes = [PARTS.load(name) for name in choice.parts]
    blocks = list(dict.fromkeys(block for part in classes for block in part.blocks))
    source = StoredTable(
        dataset,
        encoders,
        blocks,
        reads_images=any(part.reads_images for part in classes),
        reads_covers=any(part.reads_covers for part in classes),
        reporter=reporter,
    )
    shared = _shared_width(list(source.encoders.values()))
    if "image_text_match" in choice.parts and not shared:
        reporter.say(
            f"no image-text cosine: {encoders.vision} and {encoders.text} do not share a space "
            "(the two sides of one CLIP or SigLIP checkpoint do)"
        )
    numbers = {part: dataset.rows(part, target) for part in ("train", "validation")}
    both = np.sort(np.concatenate(list(numbers.values())))
    posts = dataset.posts.iloc[both].reset_index(drop=True)
    counters = [name for name in KNOWN_AFTER if name in posts] if choice.is_leaky else []
    return Inputs(
        posts=posts,
        given=PostInputs(posts, source, counters=counters),
        parts={part: np.searchsorted(both, rows) for part, rows in numbers.items()},
        choice=choice,
        options=PartOptions(
            pca=parse_pca(config.pca),
            columns=kinds_of(posts, choice.columns),
            shared_width=shared,
            seed=config.seed,
        ),
        encoders=source.encoders,
    )


def _shared_width(encoders: Sequence[Encoder]) -> int:
    """Return the width of the space that both encoders map to, 0 where they do not."""
    spaces = {encoder.shared_space for encoder in encoders}
    return encoders[0].widths[0] if len(encoders) == 2 and len(spaces) == 1 and None not in spaces else 0
