"""Which of the frames that were looked at are offered: the best of each scene, and none twice."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CUT = 20.0  # mean change of a signature, of 255, from which on a frame begins another scene
ALIKE = 6.0  # below it two frames look the same
KEPT = 0.6  # of the best frame's quality: what has less is not offered


@dataclass
class Samples:
    """Frames that were measured, in the order of the video."""

    pts: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    looks: list[np.ndarray] = field(default_factory=list)  # signatures, uint8

    def add(self, pts: int, seconds: float, quality: float, look: np.ndarray) -> None:
        self.pts.append(pts)
        self.seconds.append(seconds)
        self.quality.append(quality)
        self.looks.append(look)

    def add_later(self, others: Samples) -> None:
        """Add those of other samples that come after the last one here."""
        last = self.pts[-1] if self.pts else None
        for row, pts in enumerate(others.pts):
            if last is None or pts > last:
                self.add(pts, others.seconds[row], others.quality[row], others.looks[row])


def difference(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the mean change, 0 to 255, between a signature (s,), or each of (n, s), and each of others (n, s)."""
    changes = np.maximum(one, others) - np.minimum(one, others)  # uint8 does not go below 0
    return np.asarray(changes.mean(axis=-1, dtype=np.float32))


def scenes_of(looks: np.ndarray) -> np.ndarray:
    """Return the number of the scene of each frame, by their signatures (n, s) in the order of the video."""
    changes = np.zeros(len(looks), np.float32)
    changes[1:] = difference(looks[1:], looks[:-1])
    return np.cumsum(changes > CUT)


def choose(samples: Samples, count: int) -> list[int]:
    """Return at most `count` rows of samples, the best first: one of each scene, then more of those that change."""
    quality, looks = np.array(samples.quality), np.stack(samples.looks)
    scenes = scenes_of(looks)
    order = np.argsort(-quality, kind="stable")
    order = order[quality[order] >= KEPT * quality[order[0]]]
    nearest = np.full(len(looks), np.inf, np.float32)  # to what was chosen
    chosen: list[int] = []
    for one_of_each in (True, False):
        taken = {int(scenes[row]) for row in chosen}
        for row in order:
            if len(chosen) == count:
                break
            if nearest[row] < ALIKE or (one_of_each and int(scenes[row]) in taken):
                continue
            if not one_of_each and nearest[row] < 2 * ALIKE:
                continue
            chosen.append(int(row))
            taken.add(int(scenes[row]))
            nearest = np.minimum(nearest, difference(looks[row], looks))
    return sorted(chosen, key=lambda row: -quality[row])
