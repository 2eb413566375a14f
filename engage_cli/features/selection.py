"""What `--features` asks for: sets and groups of features, and columns of the user's own, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engage_cli.config.general import STUDY
from engage_cli.data.counter_names import is_counter_name
from engage_cli.data.known_columns import known_columns
from engage_cli.data.leakage import is_known_after
from engage_cli.data.schema import OWN
from engage_cli.errors import WrongCallError
from engage_cli.features.groups import HONEST, LEAKY_PARTS, PARTS, SETS
from engage_cli.features.groups.columns import Author, Time
from engage_cli.near_names import did_you_mean

OWN_PART = "own_columns"
WITH_KNOWN_COLUMNS = (HONEST, "handcrafted")  # sets that take kept columns of a known role, as followers
STUDY_ENCODER = "clip-base"  # study, section 4.2: image and text by one checkpoint


FORMER_NAMES = {"handmade": "handcrafted"}  # of the release before: they still work


@dataclass(frozen=True, kw_only=True)
class FeatureChoice:
    parts: tuple[str, ...]
    columns: tuple[str, ...] = ()  # the user's own

    @property
    def is_leaky(self) -> bool:
        return any(part in LEAKY_PARTS for part in self.parts)


def parse_features(text: str, columns: Iterable[str], sources: Mapping[str, str]) -> FeatureChoice:
    """Parse "honest", "honest,duration", "handcrafted,words_score" or "study".

    `columns` are the table's, `sources` maps our columns to the source's names. Counters come with "study" alone; all
    else that is or looks like one is refused as such.
    """
    own = {column.removeprefix(OWN): column for column in columns if column.startswith(OWN)}
    own = {name: column for name, column in own.items() if not is_counter_name(name)}
    history = {column: part for part, cls in (("time", Time), ("author", Author)) for column in cls.names}
    parts: list[str] = []
    chosen: list[str] = []
    names = [FORMER_NAMES.get(part.strip(), part.strip()) for part in text.split(",")]
    if STUDY in names and len(names) > 1:
        raise WrongCallError(
            f"--features {text}: {STUDY} is the study's own set; it cannot be combined with other features"
        )
    for name in names:
        if name in SETS:
            parts += SETS[name]
            if name in WITH_KNOWN_COLUMNS:
                chosen += known_columns(own.values())
        elif name in own:
            chosen.append(own[name])
        elif name in history:
            parts.append(history[name])
        elif name in LEAKY_PARTS or is_known_after(name, sources):
            raise WrongCallError(f"--features {name}: known only after publication, so no model may see it; leave it out")
        elif name in PARTS and name != OWN_PART:
            parts.append(name)
        else:
            there = ", ".join((*SETS, *(part for part in PARTS if part not in (*LEAKY_PARTS, OWN_PART)), *own))
            raise WrongCallError(f"--features '{name}': no such feature; give one of: {there}{did_you_mean(name, own)}")
    if chosen:
        parts.append(OWN_PART)
    return FeatureChoice(parts=tuple(part for part in PARTS if part in parts), columns=tuple(dict.fromkeys(chosen)))


def parse_pca(text: str) -> int | None:
    """Parse "64" or "none"."""
    if text == "none":
        return None
    if not (text.isdecimal() and int(text) > 0):
        raise WrongCallError(f"--pca {text}: give a number of components from 1, or none")
    return int(text)
