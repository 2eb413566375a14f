"""Near-duplicates: posts that show nearly the same image or carry the same title form a group.

So do the variants of one experiment, and experiments that share an image or a lede: they tell one story, and what a model
learned of one would be recognised in the other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engage_cli.data.schema import EXPERIMENT, GIVEN_GROUP, IMAGE_ID
from engage_cli.images.phash import near_pairs

SLICE = 50_000  # titles that one thread takes at once
MOST_SHARING = 10  # experiments; a lede that more share is a phrase of the house, and tells no story


def find_groups(posts: pd.DataFrame, image_hashes: Sequence[bytes] | None = None) -> np.ndarray:
    """Return (n,) strings, equal for near-duplicates, chains included; a group is called after its smallest id.

    `image_hashes` are the posts' perceptual hashes, b"" where there is none; without them only equal bytes (the column
    image_hash) are equal images.
    """
    num = len(posts)
    titles = pd.Series(normalise_titles(posts["title"]), dtype=object)
    links = [_links_of_equal(titles), _links_of_equal(posts["image_hash"].reset_index(drop=True))]
    links += _links_of_stories(posts.reset_index(drop=True))
    if image_hashes is not None:
        by_hash = pd.Series(list(image_hashes), dtype=object)
        links.append(_links_of_equal(by_hash))
        first = by_hash[by_hash != b""].drop_duplicates()
        pairs = near_pairs(first.tolist())
        rows = first.index.to_numpy()
        links.append((rows[pairs[:, 0]], rows[pairs[:, 1]]))
    left, right = (np.concatenate([link[side] for link in links]) for side in (0, 1))
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(num, num))
    labels = connected_components(graph, directed=False)[1]
    names = posts["id"].to_numpy(object).copy()
    smallest: dict[int, str] = {}
    in_groups = np.flatnonzero(np.bincount(labels)[labels] > 1)
    for row in in_groups:
        smallest[labels[row]] = min(smallest.get(labels[row], names[row]), names[row])
    names[in_groups] = [smallest[labels[row]] for row in in_groups]
    return names


def normalise_titles(titles: pd.Series) -> list[str]:
    """Lower case, letters and digits only: "Wow!!", "ＷＯＷ" and "wow" are one title; emoji alone are not a title.

    What is not seen (Unicode's category Cf, such as a zero-width space) does not divide words.
    """

    def normalise(text: pa.Array) -> list[str]:
        text = pc.utf8_lower(text)
        text = pc.replace_substring_regex(text, r"\p{Cf}+", "")
        return pc.utf8_trim_whitespace(pc.replace_substring_regex(text, r"[^\p{L}\p{N}_]+", " ")).to_pylist()

    # Not by Arrow: before its version 26 NFKC took letters with accents apart, "é" to "e" and an accent.
    texts = (title if isinstance(title, str) else None for title in titles)
    composed = [text if text is None or text.isascii() else unicodedata.normalize("NFKC", text) for text in texts]
    text = pa.array(composed, pa.string())
    with ThreadPoolExecutor() as pool:  # Arrow's kernels let other threads run
        parts = pool.map(normalise, (text.slice(start, SLICE) for start in range(0, len(text), SLICE)))
        return [title for part in parts for title in part]


def find_experiments(posts: pd.DataFrame) -> np.ndarray:
    """Return (n,) strings, equal for the variants of one experiment; a post that is in none stands alone, by its id."""
    if EXPERIMENT not in posts:
        return posts["id"].to_numpy(object).copy()
    names = "experiment:" + posts[EXPERIMENT]
    return np.asarray(names.where(posts[EXPERIMENT] != "", posts["id"]), object)


def _links_of_stories(posts: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Link the variants of an experiment, experiments of one story, and posts that the user says belong together."""
    links = [_links_of_equal(posts[GIVEN_GROUP])] if GIVEN_GROUP in posts else []
    if EXPERIMENT not in posts:
        return links
    experiments = posts[EXPERIMENT]
    links.append(_links_of_equal(experiments))
    for column in (IMAGE_ID, "description"):
        if column in posts:
            shared = experiments.groupby(posts[column]).nunique()
            tells = (experiments != "") & posts[column].map(shared <= MOST_SHARING)
            links.append(_links_of_equal(posts[column].where(tells, "")))
    return links


def _links_of_equal(keys: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Link each row to the first one with its key; an empty key links nothing."""
    codes, names = pd.factorize(keys)
    is_key = np.array([bool(name) for name in names], bool)
    rows = np.flatnonzero(is_key[codes])
    first = np.full(len(names), -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return rows, first[codes[rows]]
