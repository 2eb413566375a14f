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
        "Which row to keep if several have the same id: last, first, max (by views, or the first counter); error stops.",
        panel=SOURCES,
    )
    fetch_images: bool = setting(
        False,
        "Download the covers from the web addresses in the table, several at once.",
        flags=("--fetch-images",),
        panel=SOURCES,
    )
    private_addresses: bool = setting(
        False, "Also download from addresses in your local network.", flags=("--private-addresses",), panel=SOURCES
    )
    min_age: str = setting(
        "",
        "Leave out posts that were younger than this when their counters were read, for example 7d or 12h.",
        panel=SOURCES,
        show_default=False,
    )
    date_order: str = setting(
        "",
        "Order of numeric dates: DMY, MDY, YMD or YDM. Default: the one that fits the whole column.",
        panel=SOURCES,
        show_default=False,
    )
    decimal: str = setting(
        "", "The decimal sign, . or , for tables whose numbers are ambiguous.", panel=SOURCES, show_default=False
    )
    encoding: str = setting(
        "",
        "Encoding of tables that are not UTF-8, for example cp1252. Default: detected.",
        panel=SOURCES,
        show_default=False,
    )
    verify_images: bool = setting(
        False, "Decode every image completely (slower), to find all damaged ones.", flags=("--verify-images",)
    )
    split: str = setting(
        "auto",
        "How posts are split; auto is time if posts have dates, else random.",
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
        "A column of the source: posts with the same value in it stay in one part, for example those of one campaign.",
        panel=SPLITTING,
        show_default=False,
    )
    dedupe: bool = setting(
        True,
        "Keep near-duplicates (nearly the same image, the same title) in one part. If turned off, results are marked.",
        flags=("--dedupe/--no-dedupe",),
        panel=SPLITTING,
    )
    fractions: str = setting("80/10/10", "Percentages of train/validation/test.", panel=SPLITTING)
    seed: int = setting(0, "Seed of the split.", low=0, high=LARGEST_SEED, panel=SPLITTING)
    fit_target_on: str = setting(
        "train",
        "Rows on which targets are fitted: train, or all (as in the study: uses test rows, so results are marked).",
        panel=SPLITTING,
    )
