"""Synthetic posts whose engagement hangs on one word of the title and on one place of the cover, to test explanations.

Half of the posts carry WORD between two words of their title, and independently half carry a badge in one cell of a
GRID x GRID grid over their cover. g = +1 where the title has the word, else -1; b = +1 where the cover has the badge,
else -1; p, w, m and noise are those of synthetic.posts.

    z          = 0.9 g + 0.9 b + 0.2 p + 0.2 w + 0.2 m + 0.3 e            g and b: 88.5 % of the variance, half each
    log views  = log 300,000 + 1.6 z
    log rate   = log 0.05 + 0.5 g + 0.5 b + 0.1 p + 0.1 w + 0.1 m + 0.2 e'

All else is the ordinary sample of the seed: its ids, titles, tags and descriptions, its images below the badges, and its
quirks. A post without a title has no word, and one whose cover is missing or truncated no badge.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from engage_cli.synthetic.covers import QUALITY, SIZE, paint_cover
from engage_cli.synthetic.posts import SyntheticPosts, make_posts

WORD = "GIVEAWAY"
GRID = 4  # cells a side
CELL = SIZE // GRID  # pixels a side
VIEWS_LAW = {"word": 0.9, "badge": 0.9, "image": 0.2, "words": 0.2, "match": 0.2, "noise": 0.3}
RATE_LAW = {"word": 0.5, "badge": 0.5, "image": 0.1, "words": 0.1, "match": 0.1, "noise": 0.2}

MAGENTA, YELLOW, WHITE = (230, 0, 150), (255, 236, 0), (255, 255, 255)
SMALLEST_BADGE = 46  # pixels wide
NUM_SPIKES = 12
FINER = 4  # drawn so many times larger, for smooth edges


def make_planted_posts(rows: int, seed: int) -> SyntheticPosts:
    """Make the posts; the same seed gives the same ones.

    `factors` also has word (WORD or ""), row and column (the badge's cell, counted from the top left, or -1 and -1).
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    ordinary = make_posts(rows, seed)  # which titles and covers there are is asked before the law can be followed
    titles = ordinary.table["title"].to_numpy(dtype=object, copy=True)
    has_word = (rng.random(rows) < 0.5) & (titles != "")
    has_badge = rng.random(rows) < 0.5
    has_badge[[*ordinary.missing_covers, *ordinary.truncated_covers]] = False
    cells = np.where(has_badge[:, None], rng.integers(0, GRID, (rows, 2)), -1)
    places = rng.random(rows)
    signs = {"word": np.where(has_word, 1.0, -1.0), "badge": np.where(has_badge, 1.0, -1.0)}
    posts = make_posts(rows, seed, views_law=VIEWS_LAW, rate_law=RATE_LAW, more=signs)
    titles[has_word] = [insert_word(title, at) for title, at in zip(titles[has_word], places[has_word], strict=True)]
    words = np.where(has_word, WORD, "")
    return SyntheticPosts(
        table=posts.table.assign(title=titles),
        factors=posts.factors.assign(word=words, row=cells[:, 0], column=cells[:, 1]),
        missing_covers=posts.missing_covers,
        truncated_covers=posts.truncated_covers,
    )


def insert_word(title: str, at: float) -> str:
    """Put WORD between two words of a title of at least two; `at` in [0, 1) says which."""
    words = title.split(" ")
    words.insert(1 + int(at * (len(words) - 1)), WORD)
    return " ".join(words)


def draw_planted_cover(drawn: int, style: int, seed: tuple[int, int], cell: tuple[int, int] | None) -> bytes:
    """Return a JPEG of the ordinary cover with a badge inside the cell (row, column), or without one."""
    image = paint_cover(drawn, style, seed)
    if cell is not None:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        badge = _draw_badge(int(rng.integers(SMALLEST_BADGE, CELL + 1)), rng.uniform(0, 360))
        top, left = CELL * np.array(cell) + rng.integers(0, CELL - badge.width + 1, 2)
        image.paste(badge, (int(left), int(top)), badge)
    out = io.BytesIO()
    # Colours at full resolution: at half of it JPEG's blocks are 16 pixels wide, which no cell of 56 is a multiple of, so
    # the badge would tint its neighbours. And without a badge too, or the encoding would tell which covers have one.
    image.save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


def _draw_badge(width: int, angle: float) -> Image.Image:
    """Draw a starburst with a ring and a dot, `width` pixels wide, transparent around it."""
    middle = radius = width * FINER / 2
    image = Image.new("RGBA", (width * FINER, width * FINER), (*MAGENTA, 0))
    pen = ImageDraw.Draw(image)
    turns = np.deg2rad(angle) + np.linspace(0, 2 * np.pi, 2 * NUM_SPIKES, endpoint=False)
    reach = radius * np.where(np.arange(2 * NUM_SPIKES) % 2 == 0, 1.0, 0.8)
    tips = middle + reach[:, None] * np.column_stack([np.cos(turns), np.sin(turns)])
    pen.polygon([(float(x), float(y)) for x, y in tips], fill=MAGENTA)
    for share, colour in ((0.68, WHITE), (0.6, YELLOW), (0.32, MAGENTA)):
        pen.ellipse(
            (middle - share * radius, middle - share * radius, middle + share * radius, middle + share * radius), colour
        )
    return image.reduce(FINER)
