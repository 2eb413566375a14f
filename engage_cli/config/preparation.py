"""What can be set of `engage prepare`: how raw posts are read, split, and what targets are fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.config.general import LARGEST_SEED
from engage_cli.config.settings import setting

SOURCES, SPLITTING, EXPERIMENTS = "Sources (one or several)", "Split and targets", "Experiments"  # panels of the help


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How raw posts become a data folder."""

    duplicates: str = setting(
        "error",
        "Which row of an id that stands in several is its post: last, first, max (of views, or the first counter), error.",
        panel=SOURCES,
    )
    fetch_images: bool = setting(
        False,
        "Fetch covers that a table names by their addresses, several at once.",
        flags=("--fetch-images",),
        panel=SOURCES,
    )
    private_addresses: bool = setting(
        False, "Fetch from this machine's own network, too.", flags=("--private-addresses",), panel=SOURCES
    )
    date_order: str = setting(
        "",
        "Order of dates that are numbers alone: DMY, MDY, YMD or YDM. Without it: the one that fits.",
        panel=SOURCES,
        show_default=False,
    )
    decimal: str = setting(
        "", "The sign before decimals, . or , in tables where the numbers do not tell.", panel=SOURCES, show_default=False
    )
    encoding: str = setting(
        "",
        "Encoding of tables that are not UTF-8, for example cp1252. Without it, a detector decides.",
        panel=SOURCES,
        show_default=False,
    )
    verify_images: bool = setting(
        False, "Decode every image whole, not only as far as its perceptual hash needs.", flags=("--verify-images",)
    )
    split: str = setting(
        "auto",
        "How posts are divided; auto takes time where posts have dates, random elsewhere.",
        table="engage_cli.data.split_names:SPLITS",
        more_names=("auto",),
        panel=SPLITTING,
    )
    split_from: str = setting(
        "",
        "For --split file: a table with columns id and split, or a column of the source.",
        panel=SPLITTING,
        show_default=False,
    )
    group: str = setting(
        "",
        "A column of the source: posts with the same cell in it stay in one part, as those of one story or campaign.",
        panel=SPLITTING,
        show_default=False,
    )
    dedupe: bool = setting(
        True,
        "Keep near-duplicates (nearly the same image, the same title) in one part; without, results are marked.",
        flags=("--dedupe/--no-dedupe",),
        panel=SPLITTING,
    )
    fractions: str = setting("80/10/10", "Shares of train/validation/test in percent.", panel=SPLITTING)
    seed: int = setting(0, "Seed of the split.", low=0, high=LARGEST_SEED, panel=SPLITTING)
    fit_target_on: str = setting(
        "train",
        "Rows that targets are fitted on: train, or all (the study's way: sees the test rows, and is marked).",
        panel=SPLITTING,
    )
