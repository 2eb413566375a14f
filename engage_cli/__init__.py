"""engage: how much engagement a post will get, before it is published.

In a notebook:

    from engage_cli import EngagementRegressor, sample_posts

    posts = sample_posts(300)  # or a DataFrame of your own: images, texts, counters
    model = EngagementRegressor(target="views").fit(posts, image_column="image")
    model.predict_interval(posts.head())
    model.rank(posts.head())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engage_cli.api.estimators import EngagementClassifier as EngagementClassifier
    from engage_cli.api.estimators import EngagementRegressor as EngagementRegressor
    from engage_cli.api.pipeline import embed as embed
    from engage_cli.api.pipeline import evaluate as evaluate
    from engage_cli.api.pipeline import prepare as prepare
    from engage_cli.api.pipeline import train as train
    from engage_cli.api.sample import sample_posts as sample_posts
    from engage_cli.api.trained_run import TrainedRun as TrainedRun
    from engage_cli.api.trained_run import load_run as load_run
    from engage_cli.errors import EngageError as EngageError

__version__ = "0.2.0"

# Where each public name stands: it is imported when it is first asked for, so that `engage --help` stays light.
_PLACES = {
    "EngageError": "engage_cli.errors:EngageError",
    "EngagementClassifier": "engage_cli.api.estimators:EngagementClassifier",
    "EngagementRegressor": "engage_cli.api.estimators:EngagementRegressor",
    "TrainedRun": "engage_cli.api.trained_run:TrainedRun",
    "embed": "engage_cli.api.pipeline:embed",
    "evaluate": "engage_cli.api.pipeline:evaluate",
    "load_run": "engage_cli.api.trained_run:load_run",
    "prepare": "engage_cli.api.pipeline:prepare",
    "sample_posts": "engage_cli.api.sample:sample_posts",
    "train": "engage_cli.api.pipeline:train",
}
__all__ = [
    "EngageError",
    "EngagementClassifier",
    "EngagementRegressor",
    "TrainedRun",
    "__version__",
    "embed",
    "evaluate",
    "load_run",
    "prepare",
    "sample_posts",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'engage_cli' has no attribute '{name}'")
    module, _, attribute = _PLACES[name].partition(":")
    found = globals()[name] = getattr(import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
