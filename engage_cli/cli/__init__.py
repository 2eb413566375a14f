"""The commands. A file here imports nothing heavy: its step is imported when it runs."""

from engage_cli.cli.after_publication.recalibrate import recalibrate
from engage_cli.cli.after_publication.score import score
from engage_cli.cli.after_publication.travel import export_run, import_run, push
from engage_cli.cli.doctor import doctor
from engage_cli.cli.embed import embed
from engage_cli.cli.evaluate import evaluate
from engage_cli.cli.frames import frames
from engage_cli.cli.predict import predict
from engage_cli.cli.prepare import prepare
from engage_cli.cli.quickstart import quickstart
from engage_cli.cli.sample import sample
from engage_cli.cli.serve import serve
from engage_cli.cli.test_plan import test_plan
from engage_cli.cli.train import train
from engage_cli.cli.train_catboost import train_catboost
from engage_cli.cli.train_classifier import train_classifier
from engage_cli.cli.train_gp import train_gp
from engage_cli.cli.train_regressor import train_regressor

__all__ = [
    "doctor",
    "embed",
    "evaluate",
    "export_run",
    "frames",
    "import_run",
    "predict",
    "prepare",
    "push",
    "quickstart",
    "recalibrate",
    "sample",
    "score",
    "serve",
    "test_plan",
    "train",
    "train_catboost",
    "train_classifier",
    "train_gp",
    "train_regressor",
]
