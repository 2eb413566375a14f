"""--posted-at: read where it means one thing, refused with the form to write elsewhere."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from engage_cli.data.table_format import DATE, ColumnFormat
from engage_cli.errors import WrongCallError
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.predict._publication_date import parse_publication_date
from engage_cli.steps.predict.lines import answer_lines
from engage_cli.steps.predict.requests import Reads, make_posts
from tests.calls import engage


@pytest.mark.parametrize(
    ("text", "moment", "has_time"),
    [
        ("2026-11-24", "2026-11-24T00:00", False),
        (" 20261124 ", "2026-11-24T00:00", False),
        ("2026/1/5", "2026-01-05T00:00", False),
        ("2026-11-24T18:30", "2026-11-24T18:30", True),
        ("2026-11-24 8:30", "2026-11-24T08:30", True),
        ("2026-11-24T00:00:15.250Z", "2026-11-24T00:00:15.250", True),
        ("2026-11-24T18:30+02:00", "2026-11-24T16:30", True),
        ("2026-11-24T23:30-0300", "2026-11-25T02:30", True),
        ("24/12/2026", "2026-12-24T00:00", False),
        ("12/24/2026 18:30", "2026-12-24T18:30", True),
        ("05.05.2026", "2026-05-05T00:00", False),
        ("24 Nov 2026", "2026-11-24T00:00", False),
        ("November 24, 2026 18:30", "2026-11-24T18:30", True),
    ],
)
def test_what_means_one_moment_is_read(text: str, moment: str, has_time: bool) -> None:
    found = parse_publication_date(text)
    assert found.moment.isoformat() == f"{moment}{'' if moment.count(':') > 1 else ':00'}+00:00".replace(".250", ".250000")
    assert found.has_time == has_time


REFUSED = [
    ("-5", "'-5' is not a date; write it as 2026-11-24"),
    ("18:30", "'18:30' is not a date; write it as 2026-11-24"),
    ("0001-01-01", "lies in the year 1; give one from 1970 to 2199"),
    ("9999-12-31", "lies in the year 9999"),
    ("06/09/2026", "is ambiguous (2026-09-06 or 2026-06-09); write it as one of these"),
    ("6.9.2026 18:30", "is ambiguous"),
    ("06-09-2026", "is ambiguous"),
    ("06/09/26", "is not a date; write it as 2026-11-24"),
    ("2026", "is not a date"),
    ("2026-11", "is not a date"),
    ("2026112", "is not a date"),
    ("Nov 2026", "is not a date"),
    ("9:30 2026", "is not a date"),
    ("now", "is not a date"),
    ("1700000000", "is not a date"),
    ("2026-02-30", "is not a date"),
    ("2026-11-24T25:00", "has no such time of day; write it as 2026-11-24"),
    ("2026-11-24T18:30+99:00", "has no such time of day"),
    ("T " * 500_000, "is not a date"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text[:20] for text, _ in REFUSED])
def test_what_could_mean_another_is_refused(text: str, words: str) -> None:
    with pytest.raises(WrongCallError) as refused:
        parse_publication_date(text)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("06/09/2026", "DMY", "2026-09-06"),
        ("06/09/2026", "MDY", "2026-06-09"),
        ("12/24/2026", "DMY", "2026-12-24"),  # it can be nothing else
        ("2026-06-09", "DMY", "2026-06-09"),
    ],
)
def test_the_runs_own_table_decides_between_two(text: str, order: str, day: str) -> None:
    table = {"posted_at": ColumnFormat(name="day", kind=DATE, date_order=order)}
    reads = Reads(run="r", columns={}, date=True, table=table)
    given = {"tags": "", "description": "", "posted_at": text, "columns": {}}
    posts = make_posts(reads, [("", "a title")], **given, reporter=SilentReporter())
    assert posts["posted_at"].iloc[0].date().isoformat() == day


def test_the_command_and_its_lines_refuse_it_alike(world: Path, pixelrec: Path) -> None:
    image, run = pixelrec / "cover" / "i5.jpg", world / "runs" / "gp"
    for text, words in REFUSED[:5]:
        result = engage("predict", image, "--posted-at", text, "--run", run)
        assert (result.exit_code, result.stdout) == (2, "")
        assert words in result.stderr
        assert result.stderr.splitlines()[-1].startswith(f"engage: --posted-at '{text}'")
    lines = [json.dumps({"image": str(image), "posted_at": text}) for text, _ in REFUSED[:5]]
    for found, (text, words) in zip(answer_lines(io.StringIO("\n".join(lines)), run=run), REFUSED[:5], strict=True):
        assert found["error"].startswith(f"posted_at '{text}'")
        assert words in found["error"]
