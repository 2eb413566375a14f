"""A cover of the data folder that a run may be asked about, so that its next command can be given as it stands."""

from __future__ import annotations

from pathlib import Path

from engage_cli.data.dataset import Dataset
from engage_cli.runs.run_folder import Run
from engage_cli.steps.predict.requests import has_seen_covers
from engage_cli.uncertainty.forecast import load_uncertainty

NO_COVER = Path()  # the run has seen none, so it is asked about titles alone


def example_cover(run: Run, dataset: Dataset) -> Path | None:
    """Return one of the test split, relative to the working folder where it lies inside.

    NO_COVER for a run that has seen no covers; None where no cover is left.
    """
    if not has_seen_covers(run, load_uncertainty(run).neighbours):
        return NO_COVER
    posts = dataset.posts
    usable = posts[posts["image_hash"] != ""]
    for post in [*usable[usable["split"] == "test"].itertuples(), *usable.head(1).itertuples()]:
        root = dataset.images_of(str(post.source))
        if root is not None and (path := root / str(post.image)).is_file():
            return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return None
