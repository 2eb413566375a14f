"""The bootstrap: rows drawn again with replacement, and the 95 % percentile interval of a figure over the draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

PERCENTILES = (2.5, 97.5)


def resample(num_rows: int, num_resamples: int, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield `num_resamples` times (num_rows,) int64: places drawn with replacement. Equal seeds draw equal rows."""
    generator = np.random.default_rng(seed)
    for _ in range(num_resamples):
        yield generator.integers(0, num_rows, num_rows)


def bounds_of(point: float, samples: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of the figure over the draws, (draws,); the figure itself without any."""
    low, high = np.percentile(samples, PERCENTILES) if len(samples) else (point, point)
    return float(low), float(high)


def with_bounds(point: float, samples: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Return the figure as value, with the low and high end of its interval over the draws."""
    low, high = bounds_of(point, samples)
    return {"value": point, "low": low, "high": high}
