"""PixelRec's shape, drawn: texts, tags, covers, counters with heavy tails, and vectors that truly tell of them.

The law of log views is a sum, scaled to these shares of its variance:

    30 %  the cover: a line and a product of its traits, which its vector shows with noise
    20 %  the words of the title, of which the text's vector shows a part
    10 %  the category, one of 108
    40 %  noise, which nothing tells

So no model can have an R² above 0.60. Words follow Zipf's law: the more posts there are, the more words a model can learn,
and so R² goes on rising. Likes, comments, shares and favourites are views times a rate that depends on another trait.
"""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

NUM_WORDS, NUM_TAGS = 60_000, 108
NUM_TRAITS, WIDTH = 24, 1536  # of one side; of its vector, as DINOv2-small and MiniLM give at four depths
SHARES = {"cover": 0.3, "words": 0.2, "tag": 0.1, "noise": 0.4}
CEILING = 1 - SHARES["noise"]
WITHOUT_DESCRIPTION = 0.238  # of the posts, as in PixelRec
MEDIAN_LOG_VIEWS, DEVIATION = 12.66, 1.8  # 315,000 views; 94 to 40 million in half a million posts
COUNTERS = {"thumbup": 0.03, "comment": 0.003, "share": 0.004, "favorite": 0.012, "coin": 0.01, "barrage": 0.004}
SIDE = 48  # pixels of a cover
AT_ONCE = 4096  # posts whose words are in memory
NUM_REFERENCE = 20_000
SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnpqrstvwxyz" for vowel in "aeiou"]


class World(NamedTuple):
    """What is true of n posts, beside what their table says."""

    cover: np.ndarray  # (n, NUM_TRAITS)
    title: np.ndarray  # (n, NUM_TRAITS) the mean of its words' traits
    description: np.ndarray  # (n, NUM_TRAITS)
    tag: np.ndarray  # (n,) int64


def draw_words(rng: np.random.Generator) -> list[str]:
    """Words of two to four syllables, the most frequent first."""
    words: dict[str, None] = {}
    while len(words) < NUM_WORDS:
        words["".join(rng.choice(SYLLABLES, rng.integers(2, 5)))] = None
    return list(words)


class _Bag(NamedTuple):
    """The words of n texts, one after another, and how many each has."""

    words: np.ndarray
    lengths: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(n, k) of values (NUM_WORDS, k); 0 of an empty text."""
        ends = np.cumsum(self.lengths)
        found = np.zeros((len(self.lengths), values.shape[1]))
        for start in range(0, len(found), AT_ONCE):
            some = slice(start, min(start + AT_ONCE, len(found)))
            first, last = ends[some.start] - self.lengths[some.start], ends[some.stop - 1]
            rows = np.repeat(np.arange(some.stop - some.start), self.lengths[some])
            np.add.at(found[some], rows, values[self.words[first:last]])
        return found / np.maximum(np.sqrt(self.lengths), 1)[:, None]

    def texts(self, words: list[str]) -> list[str]:
        ends = np.cumsum(self.lengths)
        return [
            " ".join(words[place] for place in self.words[end - length : end])
            for end, length in zip(ends.tolist(), self.lengths.tolist(), strict=True)
        ]


class Posts(NamedTuple):
    """n posts, and what their counters are."""

    world: World
    titles: _Bag
    descriptions: _Bag
    counters: dict[str, np.ndarray]


class Law:
    """What decides; its constants are measured once, on NUM_REFERENCE posts, and are the same whatever is drawn then."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.words, self.traits = draw_words(rng), rng.standard_normal((NUM_WORDS, NUM_TRAITS))
        self.effects = rng.standard_normal(NUM_WORDS) * (rng.random(NUM_WORDS) < 0.3)
        self.directions = rng.standard_normal((6, NUM_TRAITS)) / np.sqrt(NUM_TRAITS)
        self.tag_effects, self.tag_traits = rng.standard_normal(NUM_TAGS), rng.standard_normal((NUM_TAGS, NUM_TRAITS))
        words, tags = 1.0 / np.arange(1, NUM_WORDS + 1) ** 1.05, 1.0 / (5 + np.arange(NUM_TAGS))
        self.shares, self.tag_shares = words / words.sum(), tags / tags.sum()
        self._known: dict[str, tuple[float, float]] = {}
        self.posts(np.random.default_rng((seed, 1)), NUM_REFERENCE)

    def posts(self, rng: np.random.Generator, num: int) -> Posts:
        tag = rng.choice(NUM_TAGS, num, p=self.tag_shares)
        cover = rng.standard_normal((num, NUM_TRAITS)) + 0.5 * self.tag_traits[tag]
        lengths = np.clip(rng.lognormal(2.2, 0.45, num), 1, 30).astype(int)
        described = np.clip(rng.lognormal(2.7, 0.9, num), 1, 250).astype(int) * (rng.random(num) >= WITHOUT_DESCRIPTION)
        titles, descriptions = (_Bag(rng.choice(NUM_WORDS, int(n.sum()), p=self.shares), n) for n in (lengths, described))
        title = titles.mean(self.traits)
        line, one, other, of_cover = (cover @ self.directions[place] for place in (0, 1, 2, 4))
        known, shown = titles.mean(self.effects[:, None])[:, 0], title @ self.directions[3]
        parts = {
            "cover": self._scaled("cover", self._scaled("line", line) + 0.8 * self._scaled("product", one * other)),
            "words": self._scaled("words", self._scaled("known", known) + self._scaled("shown", shown)),
            "tag": self._scaled("tag", self.tag_effects[tag]),
            "noise": rng.standard_normal(num),
        }
        told = sum(np.sqrt(share) * parts[name] for name, share in SHARES.items())
        views = np.exp(MEDIAN_LOG_VIEWS + DEVIATION * np.asarray(told))
        rate = 0.3 * self._scaled("of cover", of_cover) + 0.3 * self._scaled("of title", title @ self.directions[5])
        counters = {
            name: np.round(views * share * np.exp(rate + 0.4 * rng.standard_normal(num)))
            for name, share in COUNTERS.items()
        }
        world = World(cover, title, descriptions.mean(self.traits), tag)
        return Posts(world, titles, descriptions, {"view": views, **counters})

    def _scaled(self, name: str, values: np.ndarray) -> np.ndarray:
        mean, std = self._known.setdefault(name, (float(values.mean()), float(values.std())))
        return (values - mean) / std


def draw(folder: Path, num: int, *, seed: int = 0) -> None:
    """Write PixelRec's layout and world.npz into a folder. Two sizes are of one law, and have no post in common."""
    law = Law(seed)
    world, titles, descriptions, counters = law.posts(np.random.default_rng((seed, num)), num)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "item_info.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["item_id", *(f"{name}_number" for name in counters), "title", "tag", "description"])
        columns = zip(titles.texts(law.words), descriptions.texts(law.words), strict=True)
        for row, (name, description) in enumerate(columns):
            numbers = [f"{values[row]:.1f}" for values in counters.values()]
            table.writerow([f"i{row}", *numbers, name, f"{law.words[world.tag[row]]} {world.tag[row]}", description])
    _draw_covers(folder / "cover", num, seed)
    np.savez(folder / "world.npz", **world._asdict())


def _draw_covers(folder: Path, num: int, seed: int) -> None:
    """Write small JPEGs, no two alike; they show nothing of the vectors, which are drawn."""
    folder.mkdir(exist_ok=True)

    def write(row: int) -> None:
        out = io.BytesIO()
        pixels = np.random.default_rng((seed, num, row)).integers(0, 255, (6, 6, 3), np.uint8)
        Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(out, "JPEG", quality=60)
        (folder / f"i{row}.jpg").write_bytes(out.getvalue())

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(write, range(num), chunksize=256):
            pass


class Vectors:
    """Vectors of covers and texts by their traits: a fixed matrix, a spectrum that falls, noise, four parts (depths)."""

    def __init__(self, world: World, *, seed: int = 0) -> None:
        law = np.random.default_rng((seed, 1))
        self.world, self.seed = world, seed
        self.tags = law.standard_normal((NUM_TAGS, NUM_TRAITS)).astype(np.float32)
        self.maps = {side: law.standard_normal((NUM_TRAITS, WIDTH)).astype(np.float32) for side in ("vision", "text")}
        self.mixing = (
            law.standard_normal((64, WIDTH)).astype(np.float32) / np.sqrt(1 + np.arange(64, dtype=np.float32))[:, None]
        )

    def traits(self, block: str, rows: np.ndarray) -> np.ndarray:
        title, description = self.world.title[rows], self.world.description[rows]
        tags = self.tags[self.world.tag[rows]]
        found = {"image": self.world.cover[rows], "title": title, "context": 0.7 * description + 0.7 * tags}.get(block)
        return np.asarray(0.7 * title + 0.4 * description + 0.5 * tags if found is None else found, np.float32)

    def of(self, block: str, rows: np.ndarray) -> np.ndarray:
        """(n, WIDTH) float16."""
        side = "vision" if block == "image" else "text"
        rng = np.random.default_rng((self.seed, len(rows), int(rows[0]), len(block)))
        common = rng.standard_normal((len(rows), 64), np.float32) @ self.mixing
        found = self.traits(block, rows) @ self.maps[side] + 1.5 * common
        return (found + 3.0 * rng.standard_normal(found.shape, np.float32)).astype(np.float16)
