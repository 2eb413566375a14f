"""How small a face may be that is still found: faces of given heights, pasted on drawn covers, and how many are found.

The faces are cut out of the images of a folder: those that the detector finds there at 100 pixels or more, one of each
image. Each is then pasted, at each height, at a random place of a drawn cover of 480 x 360. It counts as found where a
box overlaps its own by 0.4 or more (intersection over union). Told is also how often a face is seen on the same drawn
cover without one.

python benchmarks/faces.py --images FOLDER [--faces 60] [--longest-side 832]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from engage_cli.covers.faces import LONGEST_SIDE, Face, detect_faces, overlap
from engage_cli.images.decode import ImageError, decode
from engage_cli.synthetic.covers import paint_cover

HEIGHTS = (8, 10, 12, 16, 24, 32, 48, 64, 96)  # pixels of a cover of COVER
COVER = (480, 360)
SUREST, LARGE_ENOUGH = 0.6, 100  # score and height of a face that is cut out
AROUND = 0.5  # of what surrounds a face, on each side, as a share of it
ENOUGH = 0.4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=60)
    parser.add_argument("--longest-side", type=int, default=LONGEST_SIDE, help="pixels to which covers are scaled")
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    cut = [one for one, _ in zip(cut_faces(asked.images), range(asked.faces), strict=False)]
    if not cut:
        raise SystemExit(f"no face of {LARGE_ENOUGH} pixels was found in {asked.images}")
    covers = [
        paint_cover(number % 4, number // 4 % 4, (0, number)).resize(COVER, Image.Resampling.BICUBIC)
        for number in range(len(cut))
    ]
    seen, seconds, looked = (
        sum(bool(detect_faces(np.asarray(one), longest_side=asked.longest_side)) for one in covers),
        0.0,
        0,
    )
    print(f"| height, pixels | found of {len(cut)} faces |\n|---|---|")
    for height in HEIGHTS:
        found = 0
        for (image, box), cover in zip(cut, covers, strict=True):
            pasted, place = paste(image, box, height, cover, random)
            started = time.process_time()
            faces = detect_faces(np.asarray(pasted), longest_side=asked.longest_side)
            seconds, looked = seconds + time.process_time() - started, looked + 1
            found += any(overlap(np.array(corners(face)), place) >= ENOUGH for face in faces)
        print(f"| {height} | {found / len(cut):.0%} |", flush=True)
    print(f"\nfaces seen on {seen} of {len(covers)} drawn covers without one; {1000 * seconds / looked:.0f} ms a cover")


def cut_faces(folder: Path) -> Iterator[tuple[Image.Image, np.ndarray]]:
    """Yield (what is cut out, the face's box in it: left, top, right, bottom) of the largest face of each image."""
    for path in sorted(folder.iterdir()):
        try:
            image = decode(path.read_bytes())
        except ImageError:
            continue
        large = [face for face in detect_faces(np.asarray(image)) if face.height >= LARGE_ENOUGH and face.score >= SUREST]
        if large:
            left, top, right, bottom = corners(large[0])
            wide, high = AROUND * (right - left), AROUND * (bottom - top)
            x, y = max(0.0, left - wide), max(0.0, top - high)
            box = (x, y, min(image.width, right + wide), min(image.height, bottom + high))
            yield image.crop(tuple(map(round, box))), np.array([left - x, top - y, right - x, bottom - y])


def corners(face: Face) -> tuple[float, float, float, float]:
    return face.left, face.top, face.left + face.width, face.top + face.height


def paste(
    image: Image.Image, box: np.ndarray, height: int, cover: Image.Image, random: np.random.Generator
) -> tuple[Image.Image, np.ndarray]:
    """Return a copy of the cover with the face at this height, and the face's box on it."""
    scale = height / (box[3] - box[1])
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small, whole = image.resize(size, Image.Resampling.LANCZOS), cover.copy()
    place = [int(random.integers(0, max(1, room - side))) for room, side in zip(COVER, size, strict=True)]
    whole.paste(small, (place[0], place[1]))
    return whole, scale * box + np.array([*place, *place])


if __name__ == "__main__":
    main()
