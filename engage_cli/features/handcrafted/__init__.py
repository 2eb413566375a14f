"""Handmade features: what can be counted or measured in a post's texts and cover, each under a name that people use.

A feature is one function, whose docstring says what it is and [its unit], and one line in a table here.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engage_cli.images.decode import ImageError, read_bytes, resolve_inside
from engage_cli.registry import Registry

if TYPE_CHECKING:
    from engage_cli.features.handcrafted.image import Picture

_TEXTS = "engage_cli.features.handcrafted.text"
_PICTURES = "engage_cli.features.handcrafted.image"

# (text) -> float
TITLE_FEATURES = Registry(
    "title feature",
    {
        "title_characters": f"{_TEXTS}:characters",
        "title_words": f"{_TEXTS}:words",
        "title_word_length": f"{_TEXTS}:word_length",
        "title_capital_share": f"{_TEXTS}:capital_share",
        "title_capital_words": f"{_TEXTS}:capital_words",
        "title_digits": f"{_TEXTS}:digits",
        "title_exclamation_marks": f"{_TEXTS}:exclamation_marks",
        "title_question_marks": f"{_TEXTS}:question_marks",
        "title_emoji": f"{_TEXTS}:emoji",
        "title_hashtags": f"{_TEXTS}:hashtags",
        "title_separators": f"{_TEXTS}:separators",
        "title_brackets": f"{_TEXTS}:brackets",
        "title_quotes": f"{_TEXTS}:quotes",
    },
)
# (text) -> str: categories
TITLE_CATEGORIES = Registry("title category", {"title_script": f"{_TEXTS}:script"})
DESCRIPTION_FEATURES = Registry(
    "description feature",
    {
        "description_characters": f"{_TEXTS}:characters",
        "description_words": f"{_TEXTS}:words",
        "description_hashtags": f"{_TEXTS}:hashtags",
        "description_links": f"{_TEXTS}:links",
        "description_lines": f"{_TEXTS}:lines",
    },
)
# (Picture) -> float
IMAGE_FEATURES = Registry(
    "image feature",
    {
        "image_width": f"{_PICTURES}:width",
        "image_height": f"{_PICTURES}:height",
        "image_aspect": f"{_PICTURES}:aspect",
        "image_brightness": f"{_PICTURES}:brightness",
        "image_contrast": f"{_PICTURES}:contrast",
        "image_saturation": f"{_PICTURES}:saturation",
        "image_colourfulness": f"{_PICTURES}:colourfulness",
        "image_warmth": f"{_PICTURES}:warmth",
        "image_red": f"{_PICTURES}:red",
        "image_orange": f"{_PICTURES}:orange",
        "image_yellow": f"{_PICTURES}:yellow",
        "image_green": f"{_PICTURES}:green",
        "image_cyan": f"{_PICTURES}:cyan",
        "image_blue": f"{_PICTURES}:blue",
        "image_purple": f"{_PICTURES}:purple",
        "image_pink": f"{_PICTURES}:pink",
        "image_black": f"{_PICTURES}:black",
        "image_white": f"{_PICTURES}:white",
        "image_sharpness": f"{_PICTURES}:sharpness",
        "image_edge_density": f"{_PICTURES}:edge_density",
        "image_entropy": f"{_PICTURES}:entropy",
        "image_lettering": f"{_PICTURES}:lettering",
    },
)
IMAGE_VERSION = 1  # changes with what any of them measures: what is stored is measured again

MISSING = "<missing>"  # the category of a post that has none: CatBoost takes no missing one


def meaning_of(table: Registry, name: str) -> str:
    """Return what a feature is, with its unit: the first line of its docstring."""
    return (inspect.getdoc(table.load(name)) or "").partition("\n")[0].removesuffix(".")


def measure_texts(texts: pd.Series, table: Registry) -> pd.DataFrame:
    """Return (n, features) float32, a column for each feature of the table."""
    some = texts.tolist()
    columns = [np.fromiter(map(table.load(name), some), np.float32, len(some)) for name in table]
    return pd.DataFrame(np.stack(columns, axis=1), columns=list(table), index=texts.index)


def measure_picture(picture: Picture | None) -> np.ndarray:
    """Return (features,) float32 of a cover; NaN for a post without one."""
    if picture is None:
        return np.full(len(IMAGE_FEATURES), np.nan, np.float32)
    return np.array([IMAGE_FEATURES.load(name)(picture) for name in IMAGE_FEATURES], np.float32)


def measure_file(root: Path, name: str, digest: str) -> np.ndarray | None:
    """Measure a cover's file; None where the one with this hash is no longer there, NaN where it cannot be decoded."""
    from engage_cli.features.handcrafted.image import Picture

    try:
        data = read_bytes(resolve_inside(root, name))
    except ImageError:
        return None
    if hashlib.blake2b(data, digest_size=16).hexdigest() != digest:
        return None
    try:
        return measure_picture(Picture(data))
    except ImageError:
        return measure_picture(None)


def measure_files(files: Sequence[tuple[Path, str, str]]) -> list[np.ndarray | None]:
    """Measure many covers, each given by folder, name and hash: what a worker process does."""
    return [measure_file(*file) for file in files]
