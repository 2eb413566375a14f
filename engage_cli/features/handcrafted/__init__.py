"""Hand-crafted features: what can be counted or measured in a post's texts and cover, each under a name that people use.

A feature is one function, whose docstring says what it is and [its unit], and one line in a table here.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engage_cli.images.decode import ImageError, read_same
from engage_cli.registry import Registry

if TYPE_CHECKING:
    from engage_cli.features.handcrafted.image import LoadedImage


# (text) -> float
TITLE_FEATURES = Registry(
    "title feature",
    {
        "title_characters": "engage_cli.features.handcrafted.text:characters",
        "title_words": "engage_cli.features.handcrafted.text:words",
        "title_word_length": "engage_cli.features.handcrafted.text:word_length",
        "title_capital_share": "engage_cli.features.handcrafted.text:capital_share",
        "title_capital_words": "engage_cli.features.handcrafted.text:capital_words",
        "title_digits": "engage_cli.features.handcrafted.text:digits",
        "title_exclamation_marks": "engage_cli.features.handcrafted.text:exclamation_marks",
        "title_question_marks": "engage_cli.features.handcrafted.text:question_marks",
        "title_emoji": "engage_cli.features.handcrafted.text:emoji",
        "title_hashtags": "engage_cli.features.handcrafted.text:hashtags",
        "title_separators": "engage_cli.features.handcrafted.text:separators",
        "title_brackets": "engage_cli.features.handcrafted.text:brackets",
        "title_quotes": "engage_cli.features.handcrafted.text:quotes",
    },
)
# (text) -> str: categories
TITLE_CATEGORIES = Registry("title category", {"title_script": "engage_cli.features.handcrafted.text:script"})
DESCRIPTION_FEATURES = Registry(
    "description feature",
    {
        "description_characters": "engage_cli.features.handcrafted.text:characters",
        "description_words": "engage_cli.features.handcrafted.text:words",
        "description_hashtags": "engage_cli.features.handcrafted.text:hashtags",
        "description_links": "engage_cli.features.handcrafted.text:links",
        "description_lines": "engage_cli.features.handcrafted.text:lines",
    },
)
# (Image) -> float
IMAGE_FEATURES = Registry(
    "image feature",
    {
        "image_width": "engage_cli.features.handcrafted.image:width",
        "image_height": "engage_cli.features.handcrafted.image:height",
        "image_aspect": "engage_cli.features.handcrafted.image:aspect",
        "image_brightness": "engage_cli.features.handcrafted.image:brightness",
        "image_contrast": "engage_cli.features.handcrafted.image:contrast",
        "image_saturation": "engage_cli.features.handcrafted.image:saturation",
        "image_colourfulness": "engage_cli.features.handcrafted.image:colourfulness",
        "image_warmth": "engage_cli.features.handcrafted.image:warmth",
        "image_red": "engage_cli.features.handcrafted.image:red",
        "image_orange": "engage_cli.features.handcrafted.image:orange",
        "image_yellow": "engage_cli.features.handcrafted.image:yellow",
        "image_green": "engage_cli.features.handcrafted.image:green",
        "image_cyan": "engage_cli.features.handcrafted.image:cyan",
        "image_blue": "engage_cli.features.handcrafted.image:blue",
        "image_purple": "engage_cli.features.handcrafted.image:purple",
        "image_pink": "engage_cli.features.handcrafted.image:pink",
        "image_black": "engage_cli.features.handcrafted.image:black",
        "image_white": "engage_cli.features.handcrafted.image:white",
        "image_sharpness": "engage_cli.features.handcrafted.image:sharpness",
        "image_edge_density": "engage_cli.features.handcrafted.image:edge_density",
        "image_entropy": "engage_cli.features.handcrafted.image:entropy",
        "image_lettering": "engage_cli.features.handcrafted.image:lettering",
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


def measure_image(image: LoadedImage | None) -> np.ndarray:
    """Return (features,) float32 of a cover; NaN for a post without one."""
    if image is None:
        return np.full(len(IMAGE_FEATURES), np.nan, np.float32)
    return np.array([IMAGE_FEATURES.load(name)(image) for name in IMAGE_FEATURES], np.float32)


def measure_file(root: Path, name: str, digest: str) -> np.ndarray | None:
    """Measure a cover's file; None where the one with this hash is no longer there, NaN where it cannot be decoded."""
    from engage_cli.features.handcrafted.image import LoadedImage

    data = read_same(root, name, digest)
    if data is None:
        return None
    try:
        return measure_image(LoadedImage(data))
    except ImageError:
        return measure_image(None)


def measure_files(files: Sequence[tuple[Path, str, str]]) -> list[np.ndarray | None]:
    """Measure many covers, each given by folder, name and hash: what a worker process does."""
    return [measure_file(*file) for file in files]
