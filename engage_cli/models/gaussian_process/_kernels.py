"""How alike two posts are: a weighted sum of kernels, each on one view of the posts or on two at once.

A kernel is one line in TERMS; a product says that posts are alike where they are in both. All are positive semi-definite,
and so is their sum with weights that are not negative. Weights and lengths are learned by models.gaussian_process.process.

An embedding that has parts, as the depths of an encoder, has a length for each: what tells nothing gets a long one
(automatic relevance determination, section 5.1 of Rasmussen and Williams 2006).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engage_cli.models.gaussian_process.cover_inputs import COVER_NUMBERS
from engage_cli.models.gaussian_process.inputs import SPARSE, KernelInputs
from engage_cli.models.gaussian_process.post_numbers import GROWTH, NUMBERS

# A term -> the simple kernels that it is the product of.
TERMS: dict[str, tuple[str, ...]] = {
    "words": ("words",),
    "pieces": ("pieces",),
    "letters": ("letters",),
    "opening": ("opening",),
    "ending": ("ending",),
    "pattern": ("pattern",),
    "text": ("text",),
    "image": ("image",),
    "day": ("day",),
    "season": ("season",),
    "weekday": ("weekday",),
    "statistics": ("statistics",),
    "author": ("author",),
    "age": ("age",),
    "growth": ("growth",),
    "followers": ("followers",),
    "duration": ("duration",),
    "cover_words": ("cover_words",),
    "lettering": ("lettering",),
    "faces": ("faces",),
    "text x image": ("text", "image"),
    "text x season": ("text", "season"),
    "words x season": ("words", "season"),
    "pieces x season": ("pieces", "season"),
    "image x season": ("image", "season"),
    "author x season": ("author", "season"),
    "pieces x image": ("pieces", "image"),
    "pattern x image": ("pattern", "image"),
    "pieces x pieces": ("pieces", "pieces"),
    "text x statistics": ("text", "statistics"),
    "followers x age": ("followers", "age"),
    "followers x age x duration": ("followers", "age", "duration"),
}
# Where the search for length scales begins: of unit vectors, of days, of standardised numbers.
LENGTHS = {"text": 0.7, "image": 0.7, "day": 20.0, "season": 120.0, "statistics": 3.0}
LENGTHS |= dict.fromkeys(COVER_NUMBERS, 3.0)
LENGTHS |= {name: 1.0 for name in NUMBERS if name != GROWTH}

CPU = torch.device("cpu")
AT_ONCE = 1_024  # posts that are compared with all others, or with all landmarks, at once
JITTER = 1e-6  # on the diagonal of what is solved
UNLIKE = 1e12  # the squared distance of what cannot be compared: an infinite one would have no gradient


def first_lengths(terms: Iterable[str], inputs: KernelInputs) -> dict[str, float]:
    """Return where the search begins for each length that the terms need: of an embedding one for each of its parts."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for term in terms for name in TERMS[term]):
        if name in LENGTHS:
            parts = _parts(name, inputs)
            found |= dict.fromkeys(parts, LENGTHS[name] * len(parts) ** 0.5)
    return found


def _parts(name: str, inputs: KernelInputs) -> list[str]:
    """Return the names of what a simple kernel is computed from."""
    return [f"{name} {number}" for number in range(len(inputs.widths[name]))] if name in inputs.widths else [name]


class Products:
    """What the simple kernels are computed from, for the posts of two sets: computed once, whatever the lengths are."""

    def __init__(
        self, first: KernelInputs, second: KernelInputs, *, dtype: torch.dtype = torch.float64, device: torch.device = CPU
    ) -> None:
        self.dtype, self.device = dtype, device
        self.shape = (len(first), len(second))
        self._first, self._second = first, second
        self._known: dict[str, Tensor] = {}

    def parts(self, name: str) -> list[str]:
        return _parts(name, self._first)

    def base(self, name: str) -> Tensor:
        """(n, m) inner products, squared distances, or equalities."""
        name = "day" if name == "season" else name
        if name not in self._known:
            self._known[name] = self._compute(name).to(self.dtype)
        return self._known[name]

    def _compute(self, name: str) -> Tensor:
        if name == GROWTH:  # linear, so that it holds for ages beyond all seen
            one, other = (self._there(np.nan_to_num(inputs.growth)) for inputs in (self._first, self._second))
            return one[:, None] * other[None]
        name, _, number = name.partition(" ")
        one, other = getattr(self._first, name), getattr(self._second, name)
        if name in SPARSE:
            return self._there((one @ other.T).toarray())
        if name in ("weekday", "author"):
            same = (one[:, None] == other[None]) & ((one != "") if name == "author" else np.ones(len(one), bool))[:, None]
            return self._there(same)
        if number:
            both = self._there(one.any(axis=1))[:, None] & self._there(other.any(axis=1))[None]
            part = self._first.part(name, int(number))
            alike = self._there(one[:, part]) @ self._there(other[:, part]).T
            return torch.where(both, (2 - 2 * alike).clamp_min(0.0), UNLIKE)
        one, other = self._there(one), self._there(other)
        if name in ("day", *NUMBERS):
            squares = (one[:, None] - other[None]) ** 2
            return torch.where(squares.isnan(), UNLIKE, squares)
        squares = (one**2).sum(dim=1)[:, None] + (other**2).sum(dim=1)[None] - 2 * (one @ other.T)
        return squares.clamp_min(0.0)

    def _there(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def present_terms(inputs: KernelInputs) -> list[str]:
    """Return the terms that these posts have something for."""
    has = {
        **{kind: getattr(inputs, kind).nnz > 0 for kind in SPARSE},
        **{name: bool(getattr(inputs, name).any()) for name in COVER_NUMBERS},
        "text": bool(inputs.text.any()),
        "image": bool(inputs.image.any()),
        "day": bool(np.isfinite(inputs.day).any()),
        "weekday": bool(np.isfinite(inputs.weekday).any()),
        "statistics": bool(inputs.statistics.any()),
        "author": bool((inputs.author != "").any()),
    }
    has |= {name: bool(np.isfinite(getattr(inputs, name)).any()) for name in NUMBERS}
    has["season"] = has["day"]
    return [term for term, names in TERMS.items() if all(has[name] for name in names)]


def kernel(products: Products, weights: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
    """(n, m): the weighted sum of the terms that have a weight."""
    simple: dict[str, Tensor] = {}
    for name in dict.fromkeys(name for term in weights for name in TERMS[term]):
        if name in LENGTHS:
            first, *rest = products.parts(name)
            exponent = products.base(first) * (-0.5 / lengths[first] ** 2)
            for another in rest:
                exponent = exponent.addcmul(products.base(another), -0.5 / lengths[another] ** 2)
            simple[name] = exponent.exp()
        else:
            simple[name] = products.base(name)
    total = torch.zeros(products.shape, dtype=products.dtype, device=products.device)
    for term, weight in weights.items():
        names = TERMS[term]
        part = simple[names[0]]
        for name in names[1:]:
            part = part * simple[name]
        total = total.addcmul(part, weight)
    return total


@dataclass(frozen=True, kw_only=True)
class KernelParams:
    """What was learned of the kernel. Weights, noise and level are shares of the target's variance, more or less."""

    weights: dict[str, float]
    lengths: dict[str, float]
    noise: float
    level: float = 0.0  # the variance of what the variants of an experiment share besides

    def of(self, products: Products) -> Tensor:
        """(n, m) float64."""
        weights = {name: torch.tensor(value, dtype=torch.float64) for name, value in self.weights.items()}
        lengths = {name: torch.tensor(value, dtype=torch.float64) for name, value in self.lengths.items()}
        return kernel(products, weights, lengths)

    def between(self, first: KernelInputs, second: KernelInputs, device: torch.device = CPU) -> Tensor:
        """(n, m) float64, computed some rows at a time: the terms of all would take ten times the memory."""
        found = torch.empty((len(first), len(second)), dtype=torch.float64, device=device)
        for start in range(0, len(first), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(first)))
            found[start : start + len(rows)] = self.of(Products(first.take(rows), second, device=device))
        return found
