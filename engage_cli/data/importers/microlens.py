"""MicroLens: titles, likes and views, a category, and covers called after the item.

Ni et al. 2023, "A Content-Driven Micro-Video Recommendation Dataset at Scale", arXiv:2309.15379.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from engage_cli.data.importers import Import
from engage_cli.data.importers.folders import Tree
from engage_cli.data.tables.reading import read_text
from engage_cli.data.tables.typed import Typed
from engage_cli.errors import EngageError

TITLES = ("*_title_en.csv", "*_titles.csv", "*_title.csv")
COUNTERS = "*_likes_and_views.txt"
CATEGORIES = "tags_to_summary.csv"
LAYOUT = f"{COUNTERS}, {' or '.join(TITLES[:2])}, {CATEGORIES} (optional), and covers/ or an archive of it, at any depth"
HEADERS = {"item", "id", "itemid", "item_id", "videoid"}


def recognise(tree: Tree) -> bool:
    return bool(tree.find(COUNTERS))


def read_microlens(folder: Path) -> Import:
    """Read the items that have counters; covers are `<item>.jpg`. There is no author and no time."""
    tree = Tree(folder)
    counters_path, titles_path = tree.one(COUNTERS), tree.one(*TITLES)
    notes = []
    counters = _read_counters(counters_path)
    titles, num_lines = _read_pairs(titles_path)
    found = {"id": "item", "title": titles_path.name, "likes": counters_path.name, "views": counters_path.name}
    raw = counters.assign(title=counters["id"].map(titles).fillna(""))
    without = int((~counters["id"].isin(titles.index)).sum())
    if without:
        notes.append(f"{titles_path.name}: {without:,} items that have counters have no title there")
    if lost := int((~titles.index.isin(counters["id"])).sum()):
        notes.append(
            f"{counters_path.name}: {lost:,} of {num_lines:,} titled items have no counters there and are left out"
        )
    if tree.find(CATEGORIES):
        categories, _ = _read_pairs(tree.one(CATEGORIES))
        if lost := int((~categories.index.isin(counters["id"])).sum()):
            notes.append(f"{CATEGORIES}: {lost:,} of {len(categories):,} items have no counters and are left out")
        raw["tags"] = raw["id"].map(categories).fillna("")
        found["tags"] = CATEGORIES
    typed = Typed(raw, {ours: ours for ours in ("id", "title", "tags", "likes", "views") if ours in raw}, counters_path)
    typed.posts["image"] = typed.posts["id"] + ".jpg"
    return Import(
        posts=typed.posts,
        source="microlens",
        images=tree.images(),
        found=found,
        warnings=(*notes, *typed.notes),
        problems=typed.problems,
    )


def _read_counters(path: Path) -> pd.DataFrame:
    """Read item, likes, views: tabs, no header."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != 3:
            raise EngageError(
                f"{path}, line {number}: {len(fields)} fields instead of item, likes and views: '{line[:40]}'"
            )
        rows.append(fields)
    if rows and rows[0][0].lower() in HEADERS:
        rows = rows[1:]
    if not rows:
        raise EngageError(f"{path} is empty; get the dataset's file again")
    return pd.DataFrame(rows, columns=["id", "likes", "views"], dtype=str)


def _read_pairs(path: Path) -> tuple[pd.Series, int]:
    """Read `item,text` lines, split at the first comma alone: titles hold commas and no quotes around them."""
    pairs: dict[str, str] = {}
    lines = read_text(path).replace("\r\n", "\n").split("\n")
    number = 0
    while number < len(lines):
        line, number = lines[number], number + 1
        if not line.strip():
            continue
        # A title in quotes may run over several lines, as long as none of those is an item of its own.
        opens = line.partition(",")[2].lstrip().startswith('"')
        while opens and line.count('"') % 2 and number < len(lines) and not re.match(r"\d+,", lines[number]):
            line, number = f"{line}\n{lines[number]}", number + 1
        item, comma, text = line.partition(",")
        item = item.strip()
        if not comma:
            raise EngageError(f"{path}, line {number}: there is no comma between item and text: '{line[:40]}'")
        if number == 1 and item.lower() in HEADERS:
            continue
        text = text.strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"')
        if pairs.setdefault(item, text) != text:
            raise EngageError(f"{path}, line {number}: item '{item}' occurs twice with different texts; remove one")
    return pd.Series(pairs, dtype=str), len(pairs)
