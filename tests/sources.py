"""Synthetic folders built to the letter of each data set's format."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

PIXELREC = (
    "item_id,view_number,comment_number,thumbup_number,share_number,coin_number,favorite_number,barrage_number,title,tag,description\n"
    'i0,799668.0,10.0,500.0,7.0,1.0,20.0,3.0,"A cat, ""really""",cute,"two\nlines"\n'
    "i1,,,,,,,,NA,food,\n"
)


def picture(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """An image with shapes of all sizes, the large ones strongest, as in photographs; two seeds are far apart."""
    rng = np.random.default_rng(seed)
    shapes = np.zeros((size[1], size[0], 3))
    for side, strength in ((4, 80), (8, 40), (16, 20), (32, 10)):
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        shapes += strength * (np.asarray(noise.resize(size, Image.Resampling.BICUBIC)) / 127.5 - 1)
    return Image.fromarray(np.clip(shapes + 110, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixelrec_folder(folder: Path, text: str = PIXELREC, covers: str = "covers") -> Path:
    """Two items; the table lies deep, the covers beside it or packed."""
    (folder / "deep" / "pixelrec_iteminfo").mkdir(parents=True)
    (folder / "deep" / "pixelrec_iteminfo" / "pixel50k_item_info.csv").write_text(text, encoding="utf-8")
    (folder / covers).mkdir()
    return folder


def microlens_folder(folder: Path, *, titles: str = "MicroLens-50k_titles.csv", header: str = "item,title\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / titles).write_text(f"{header}1,Cats, dogs, and a #bird\n3,“Quiet” night\n7,no counters\n", encoding="utf-8")
    (folder / "MicroLens-50k_likes_and_views.txt").write_text("1\t20\t1000\n3\t5\t800\n9\t1\t2\n")
    (folder / "tags_to_summary.csv").write_text("1,animals\n3,music\n")
    (folder / "MicroLens-50k_covers").mkdir()
    for item in (1, 3):
        (folder / "MicroLens-50k_covers" / f"{item}.jpg").write_bytes(encoded(picture(item)))
    return folder


SMPD_2020 = {
    "train_img_filepath.txt": "train_img.txt",
    "train_text.json": "train_tags.json",
    "train_temporalspatial_information.json": "train_temporalspatial.json",
    "train_user_data.json": "train_userdata.json",
    "train_additional_information.json": "train_additional.json",
}


def smpd_folder(folder: Path, *, of_2020: bool = False, num: int = 3) -> Path:
    """Row-aligned files of `num` posts by two users; the second post has neither title nor tags."""
    folder.mkdir(parents=True, exist_ok=True)
    users, posts = [f"{70 + n % 2}@N{n % 2}" for n in range(num)], [str(1000 + n) for n in range(num)]
    keys = [{"Uid": user, "Pid": post} for user, post in zip(users, posts, strict=True)]
    texts = [
        {"Title": "None", "Alltags": ""} if n == 1 else {"Title": f"Title {n}", "Alltags": f"sun sea{n}"}
        for n in range(num)
    ]
    records = {
        "train_text.json": [{**key, "Mediatype": "photo", **text} for key, text in zip(keys, texts, strict=True)],
        "train_category.json": [{**key, "Category": "Travel", "Subcategory": "Beach", "Concept": "sea"} for key in keys],
        "train_temporalspatial_information.json": [
            {**key, "Postdate": str(1_425_000_000 + 86_400 * n), "Latitude": "0"} for n, key in enumerate(keys)
        ],
        "train_user_data.json": [{"Uid": user, "ispro": "1"} for user in users],
        "train_additional_information.json": [{**key, "Ispublic": "1"} for key in keys],
    }
    files = {name: json.dumps(rows) for name, rows in records.items()}
    paths = [f"train/{user}/{post}.jpg" for user, post in zip(users, posts, strict=True)]
    files["train_img_filepath.txt"] = "\n".join(paths) + "\n"
    files["train_label.txt"] = "\n".join(f"{5.5 + n}" for n in range(num)) + "\n"
    for name, text in files.items():
        (folder / (SMPD_2020.get(name, name) if of_2020 else name)).write_text(text)
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(encoded(picture(100 + number)))
    return folder


def write_archive(path: Path, members: dict[str, bytes]) -> Path:
    """Write a .tar, .tar.gz or .zip whose members have exactly these names, wicked ones included."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, data in members.items():
                packed.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_table(path: Path, num: int, **columns: object) -> Path:
    """A table of `num` posts with distinct titles and views; a column is a list, or a function of the row number."""
    cells = {"id": lambda n: f"p{n}", "views": lambda n: 10 * n + 7, "title": lambda n: f"title number {n}", **columns}
    rows = [[str(cell(n) if callable(cell) else cell[n]) for cell in cells.values()] for n in range(num)]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [list(cells), *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
