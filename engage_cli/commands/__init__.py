"""The commands. A file here imports nothing heavy: its step is imported when it runs."""

from engage_cli.commands.doctor import doctor
from engage_cli.commands.embed import embed
from engage_cli.commands.evaluate import evaluate
from engage_cli.commands.predict import predict
from engage_cli.commands.prepare import prepare
from engage_cli.commands.sample import sample
from engage_cli.commands.serve import serve
from engage_cli.commands.train import train
from engage_cli.commands.train_catboost import train_catboost
from engage_cli.commands.train_classifier import train_classifier
from engage_cli.commands.train_gp import train_gp
from engage_cli.commands.train_regressor import train_regressor

__all__ = [
    "doctor",
    "embed",
    "evaluate",
    "predict",
    "prepare",
    "sample",
    "serve",
    "train",
    "train_catboost",
    "train_classifier",
    "train_gp",
    "train_regressor",
]
