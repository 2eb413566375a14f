"""Loading transformers checkpoints: quiet, complete, in the asked dtype, and without remote code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from engage_cli.errors import EngageError

# What loading files that were made elsewhere, or damaged, has been seen to raise.
BROKEN = (OSError, ValueError, RuntimeError, ImportError, TypeError, KeyError, AttributeError, SafetensorError)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars and the long report on keys that belong to the other tower; we check keys ourselves."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    had_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if had_bars:
            logging.enable_progress_bar()


def load_model(model_class: Any, folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    """Load a model in eval mode; raise EngageError where weights are missing or the folder cannot be read."""
    try:
        with quiet_transformers():
            model, report = model_class.from_pretrained(
                folder,
                dtype=dtype,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                **options,
            )
    except BROKEN as error:
        raise EngageError(
            f"{folder} cannot be loaded as a checkpoint: {first_line(error)}; save or download it again"
        ) from None
    # A pooler over the class token is often not saved, and never used here.
    missing = sorted(key for key in report["missing_keys"] if "pooler." not in key)
    if missing:
        raise EngageError(
            f"{folder} lacks {len(missing)} weights of {type(model).__name__}, such as '{missing[0]}'; "
            "save or download it again"
        )
    return model.eval()


def load_processor(auto_class: Any, folder: Path, **options: Any) -> Any:
    """Load an image processor or a tokenizer."""
    try:
        with quiet_transformers():
            return auto_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except BROKEN as error:
        raise EngageError(
            f"{folder} holds no usable {auto_class.__name__}: {first_line(error)}; save or download it again"
        ) from None


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message, which may go on for a page, or the error's kind."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
