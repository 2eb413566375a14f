"""All that commands import as they go: a process that has it forks others that begin at once."""

from __future__ import annotations

import importlib
import os
import pkgutil

import engage_cli

LIBRARIES = (
    "catboost",
    "matplotlib.backends.backend_agg",
    "pyarrow.parquet",
    "sklearn.metrics",
    "transformers.models.bert.modeling_bert",
    "transformers.models.vit.image_processing_vit",
    "transformers.models.vit.modeling_vit",
)
NOT_IMPORTED = (
    "engage_cli.__main__",
    "engage_cli.steps.embed._ray",
)


def mend_threads() -> None:
    """Let one thread make torch's pool anew after a fork.

    Two threads that find the pool of before the fork at once do so both, and one of them is told "Invalid thread pool!".
    """
    import torch

    torch.set_num_threads(torch.get_num_threads())


def import_all(*, but: tuple[str, ...] = NOT_IMPORTED) -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(engage_cli.__path__, "engage_cli."):
        if not module.name.startswith(but):
            importlib.import_module(module.name)
    os.register_at_fork(after_in_child=mend_threads)


if __name__ == "__main__":
    import_all()
