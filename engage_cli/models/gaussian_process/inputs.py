"""What kernels compare of posts: words, how titles are written, embeddings, dates, ages, authors, and counts in titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from engage_cli.covers.reading import Reading
from engage_cli.covers.source import covers_of
from engage_cli.data.ages.growth import DAYS, Growth, fit_growth
from engage_cli.data.leakage import known_before
from engage_cli.data.schema import texts_of
from engage_cli.embeddings.store import BlockSource
from engage_cli.errors import EngageError
from engage_cli.features.groups.tfidf import PLAIN, STYLE, TfIdf, empty_rows, term_specs
from engage_cli.io.array_reading import Spec, sparse_rows, sparse_specs
from engage_cli.models.gaussian_process._placing import Moments, parts_of_width, unit_rows
from engage_cli.models.gaussian_process.cover_inputs import COVER_NUMBERS, COVER_WORDS, CoverInputs, cover_specs
from engage_cli.models.gaussian_process.post_numbers import NUM_STATISTICS, NUMBERS, kernel_numbers, scale_of, statistics_of

MOST_TERMS = 200_000
AT_ONCE = 8_192  # posts whose vectors are in memory at once, while their scale is measured
BLOCKS = ("image", "text")
TERM_KINDS = (*PLAIN, *STYLE)  # of title, tags and description; of the title alone
SPARSE = (*TERM_KINDS, COVER_WORDS)
LONGEST = 1.01  # of a number in a row of length 1, rounded
MOST_DAYS = 4e6  # of a date, before and after 1970: more than Python's own have


@dataclass(frozen=True, kw_only=True)
class KernelInputs:
    """n posts. A post that lacks something has zeros there, or NaN for a number: it is like no other in that."""

    words: Any  # (n, V) CSR, rows of length 1
    pieces: Any  # (n, W) CSR, as are the next four: how the title is written
    letters: Any
    opening: Any
    ending: Any
    pattern: Any
    text: np.ndarray  # (n, P) float32, standardised by the training posts; each part of a row of length 1
    image: np.ndarray  # (n, Q) the same
    day: np.ndarray  # (n,) float64 days since 1970
    weekday: np.ndarray  # (n,) 0 to 6
    age: np.ndarray  # (n,) float64 log days, standardised by the training posts, as are the next three; NaN where unknown
    followers: np.ndarray  # (n,) float64 log1p
    duration: np.ndarray  # (n,) float64 log1p
    growth: np.ndarray  # (n,) float64 log of the share of its final counters that a post has by its age (data.ages.growth)
    statistics: np.ndarray  # (n, F) float32, standardised by the training posts; 0 where unknown
    author: np.ndarray  # (n,) object; "" where unknown
    widths: Mapping[str, tuple[int, ...]]  # of the parts of image and text
    # Of covers; without, they have no columns. Numbers are standardised by the training posts, 0 where unknown.
    cover_words: Any = None  # (n, X) CSR, rows of length 1
    lettering: np.ndarray = None  # type: ignore[assignment]  # (n, L) float32
    faces: np.ndarray = None  # type: ignore[assignment]  # (n, M) float32

    def __post_init__(self) -> None:
        nothing = {COVER_WORDS: empty_rows(len(self)), **dict.fromkeys(COVER_NUMBERS, np.zeros((len(self), 0), np.float32))}
        for name, value in nothing.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def take(self, rows: np.ndarray) -> KernelInputs:
        return replace(self, **{name: getattr(self, name)[rows] for name in PER_POST})

    def part(self, block: str, number: int) -> slice:
        """Return where a part stands in the vectors of a block."""
        return parts_of_width(self.widths[block])[number]

    def __len__(self) -> int:
        return len(self.day)


PER_POST = tuple(field.name for field in fields(KernelInputs) if field.name != "widths")


class Takes(Protocol):
    """Views of posts, or what makes them of some posts at a time."""

    def take(self, rows: np.ndarray) -> KernelInputs: ...

    def __len__(self) -> int: ...


class KernelInputsMaker:
    """Posts to Views; fitted on training posts."""

    def __init__(self, covers: Sequence[str] = ()) -> None:
        """`covers` names the kernels of covers (cover_inputs.CHOICES)."""
        self.covers = CoverInputs(covers)
        self.tfidf = TfIdf(MOST_TERMS)
        self.style = TfIdf(MOST_TERMS, STYLE)
        self.scales: dict[str, np.ndarray] = {}  # of each block (2, P): means and deviations of its numbers
        self.widths: dict[str, tuple[int, ...]] = {}
        self.scale = np.zeros((2, 0), np.float32)  # means and deviations of the statistics
        self.growth = Growth()
        self.numbers_scale = np.zeros((2, len(NUMBERS)), np.float32)  # the same of the numbers that have their own kernels

    def fit(
        self,
        posts: pd.DataFrame,
        source: BlockSource,
        widths: Mapping[str, Sequence[int]] | None = None,
        truth: np.ndarray | None = None,
    ) -> KernelInputsMaker:
        """`widths` are of the parts of an encoder's vectors, by block (else one); growth is learned from `truth` (n,)."""
        posts = known_before(posts)
        self.growth = Growth() if truth is None else Growth(days=fit_growth(posts, truth).days)
        self.tfidf.fit(texts_of(posts, "text"))
        self.style.fit(texts_of(posts, "title"))
        self.covers.fit(posts, self._readings(posts, source))
        moments: dict[str, Moments] = {}
        for start in range(0, len(posts), AT_ONCE):
            for name, block in self.vectors(posts.iloc[start : start + AT_ONCE], source).items():
                moments.setdefault(name, Moments(block.shape[1])).add(block[np.asarray(block.any(axis=1))])
        for name, found in moments.items():
            self.widths[name] = tuple((widths or {}).get(name, (len(found.mean),)))
            self.scales[name] = found.scale()
        self.scale, self.numbers_scale = scale_of(statistics_of(posts)), scale_of(kernel_numbers(posts, self.growth))
        return self

    def later(self, posts: pd.DataFrame, source: BlockSource) -> Takes:
        """Return what makes the kernel inputs of posts when they are taken: of all at once they may not fit into memory."""
        return _Later(self, posts, source)

    def transform(self, posts: pd.DataFrame, source: BlockSource) -> KernelInputs:
        posts = known_before(posts)
        texts, titles = texts_of(posts, "text"), texts_of(posts, "title")
        vectors = self.vectors(posts, source)
        for name, block in vectors.items():
            if block.shape[1] != self.scales[name].shape[1]:
                raise EngageError(
                    f"the run's Gaussian process was fitted on other vectors of '{name}' than these; train again"
                )
        placed = {
            name: unit_rows(
                (block - self.scales[name][0]) / self.scales[name][1] * np.asarray(block.any(axis=1))[:, None],
                self.widths[name],
            )
            for name, block in vectors.items()
        }
        mean, deviation = self.scale
        dates = posts["posted_at"] if "posted_at" in posts else pd.Series(pd.NaT, index=posts.index)
        is_known = np.asarray(dates.notna(), bool)
        day = np.full(len(posts), np.nan)
        day[is_known] = dates[is_known].dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.float64) / 86_400
        numbers = (kernel_numbers(posts, self.growth) - self.numbers_scale[0]) / self.numbers_scale[1]
        author = posts["author"].fillna("").astype(str) if "author" in posts else pd.Series("", index=posts.index)
        return KernelInputs(
            **{kind: self.tfidf.rows(texts, kind) for kind in PLAIN},
            **{kind: self.style.rows(titles, kind) for kind in STYLE},
            **placed,
            day=day,
            weekday=np.where(is_known, (np.floor(np.nan_to_num(day)) + 3) % 7, np.nan),  # 1970-01-01 was a Thursday
            **dict(zip(NUMBERS, np.ascontiguousarray(numbers.T), strict=True)),
            statistics=np.nan_to_num((statistics_of(posts) - mean) / deviation).astype(np.float32),
            author=author.to_numpy(object),
            **self.covers.transform(posts, self._readings(posts, source)),
            widths=self.widths,
        )

    def vectors(self, posts: pd.DataFrame, source: BlockSource) -> dict[str, np.ndarray]:
        """(n, P) float32 of each block."""
        return {name: block.pooled.astype(np.float32) for name, block in source.blocks(posts, BLOCKS).items()}

    def _readings(self, posts: pd.DataFrame, source: BlockSource) -> Sequence[Reading | None]:
        return covers_of(source, posts) if self.covers.reads else ()

    def arrays(self) -> dict[str, np.ndarray]:
        scales = {f"scale_{name}": scale for name, scale in self.scales.items()}
        widths = {f"widths_{name}": np.array(some) for name, some in self.widths.items()}
        return {
            **self.tfidf.arrays(),
            **self.style.arrays(),
            **self.covers.arrays(),
            **scales,
            **widths,
            "scale": self.scale,
            "scale_numbers": self.numbers_scale,
            "growth_days": np.array([self.growth.days]),
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take arrays of `maker_specs`; raise ValueError where they do not fit together."""
        self.tfidf.restore(arrays)
        self.style.restore(arrays)
        self.covers.restore({name: arrays[name] for name in cover_specs() if name in arrays})
        self.scales = {name: arrays[f"scale_{name}"] for name in BLOCKS}
        self.widths = {name: tuple(map(int, arrays[f"widths_{name}"])) for name in BLOCKS}
        self.scale, self.numbers_scale = arrays["scale"], arrays["scale_numbers"]
        self.growth = Growth(days=float(arrays["growth_days"][0]))
        for name in BLOCKS:
            if sum(self.widths[name]) != self.scales[name].shape[1]:
                raise ValueError(f"the parts of '{name}' are not as wide as its vectors")
        if not all(
            (scale[1] > 0).all()
            for scale in (*self.scales.values(), *self.covers.scales.values(), self.scale, self.numbers_scale)
        ):
            raise ValueError("a deviation is not above 0")

    @property
    def num_terms(self) -> dict[str, int]:
        """Of each kind."""
        found = {kind: len((self.tfidf if kind in PLAIN else self.style).terms.get(kind, ())) for kind in TERM_KINDS}
        return {**found, COVER_WORDS: self.covers.num_terms}


def maker_specs() -> dict[str, Spec]:
    """Return what `KernelInputsMaker.arrays` gives."""
    specs = {"scale": Spec(dtype="float32", shape=(2, NUM_STATISTICS))}
    specs["scale_numbers"] = Spec(dtype="float32", shape=(2, len(NUMBERS)))
    specs["growth_days"] = Spec(dtype="float64", shape=(1,), low=min(DAYS), high=max(DAYS))
    for kind in TERM_KINDS:
        specs |= term_specs(kind)
    for name in BLOCKS:
        specs[f"scale_{name}"] = Spec(dtype="float32", shape=(2, f"numbers of {name}"))
        specs[f"widths_{name}"] = Spec(dtype="int64", shape=(f"parts of {name}",), low=1)
    return {**specs, **cover_specs()}


@dataclass(frozen=True)
class _Later:
    maker: KernelInputsMaker
    posts: pd.DataFrame
    source: BlockSource

    def take(self, rows: np.ndarray) -> KernelInputs:
        return self.maker.transform(self.posts.iloc[rows], self.source)

    def __len__(self) -> int:
        return len(self.posts)


def kernel_inputs_to_arrays(inputs: KernelInputs) -> dict[str, np.ndarray]:
    """Return what `kernel_inputs_from_arrays` takes; strings and sparse matrices as plain arrays."""
    found: dict[str, np.ndarray] = {}
    for name in PER_POST:
        value = getattr(inputs, name)
        if (name in COVER_NUMBERS and not value.shape[1]) or (name == COVER_WORDS and not inputs.lettering.shape[1]):
            continue
        if name in SPARSE:
            for part in ("data", "indices", "indptr"):
                found[f"{name}_{part}"] = getattr(value, part)
            found[f"{name}_shape"] = np.array(value.shape)
        elif name == "author":
            text = "\0".join(map(str, value)).encode("utf-8", "replace")
            found["author"] = np.frombuffer(text, np.uint8)
        else:
            found[name] = value.astype(np.float16) if name in BLOCKS else value
    for name, widths in inputs.widths.items():
        found[f"widths_{name}"] = np.array(widths)
    return found


def kernel_input_specs() -> dict[str, Spec]:
    """Return what `kernel_inputs_to_arrays` gives of n posts."""
    specs = {
        "day": Spec(dtype="float64", shape=("n",), low=-MOST_DAYS, high=MOST_DAYS, has_gaps=True),
        "weekday": Spec(dtype="float64", shape=("n",), low=0, high=6, has_gaps=True),
        "statistics": Spec(dtype="float32", shape=("n", NUM_STATISTICS)),
        "author": Spec(dtype="uint8", shape=("letters of authors",)),
    }
    specs |= {name: Spec(dtype="float64", shape=("n",), has_gaps=True) for name in NUMBERS}
    for kind in TERM_KINDS:
        specs |= {**sparse_specs(kind), f"{kind}_shape": Spec(dtype="int64", shape=(2,), low=0)}
    of_covers = {**sparse_specs(COVER_WORDS), f"{COVER_WORDS}_shape": Spec(dtype="int64", shape=(2,), low=0)}
    of_covers |= {name: Spec(dtype="float32", shape=("n", width)) for name, width in COVER_NUMBERS.items()}
    specs |= {name: replace(spec, is_optional=True) for name, spec in of_covers.items()}
    for name in BLOCKS:
        specs[name] = Spec(dtype="float16", shape=("n", f"numbers of {name}"), low=-LONGEST, high=LONGEST)
        specs[f"widths_{name}"] = Spec(dtype="int64", shape=(f"parts of {name}",), low=1)
    return specs


def kernel_inputs_from_arrays(
    arrays: Mapping[str, np.ndarray], *, num_terms: Mapping[str, int], widths: Mapping[str, tuple[int, ...]]
) -> KernelInputs:
    """Take arrays of `kernel_input_specs`.

    Their maker has so many terms of each kind, and blocks with parts of these widths. Raises ValueError where they do not
    fit together.
    """
    num = len(arrays["day"])
    matrices = {}
    for kind in SPARSE if f"{COVER_WORDS}_shape" in arrays else TERM_KINDS:
        if arrays[f"{kind}_shape"].tolist() != [num, num_terms[kind]]:
            raise ValueError(f"{kind}: its rows or columns are not as many as there are posts or terms")
        matrices[kind] = sparse_rows(arrays, kind, num=num, width=num_terms[kind])
    authors = np.array(bytes(arrays["author"]).decode().split("\0"), object)
    found = {name: tuple(map(int, arrays[f"widths_{name}"])) for name in BLOCKS}
    if len(authors) != num or found != widths:
        raise ValueError("authors, or the parts of vectors, are not as many as they have to be")
    there = [name for name in COVER_NUMBERS if name in arrays]
    plain: Sequence[str] = ("text", "image", "day", "weekday", *NUMBERS, "statistics", *there)
    values = {name: arrays[name].astype(np.float32) if name in BLOCKS else arrays[name] for name in plain}
    return KernelInputs(**matrices, author=authors, widths=found, **values)
