"""The date of a post to come, as a person types it: read only where it can mean one thing."""

from __future__ import annotations

import datetime
import re
from typing import NamedTuple

import pandas as pd

from engage_cli.data.cells.texts import EARLIEST
from engage_cli.data.importers.table import END_OF_TIME
from engage_cli.errors import WrongCallError

# In all of these a year has four digits. Some can be read by two of them: 06/09/2026.
_FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d",
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
_COMPACT = "%Y%m%d"  # of eight digits, no fewer: 2026112 would be two days
_TIME = re.compile(
    r"^(?P<day>.*\S)(?:[T ]+)(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.(?:\d{3}|\d{6}))?)?)\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?$",
    re.ASCII,
)
LONGEST = 60  # characters
_ASK = "write it as 2026-11-24, or with its time in UTC as 2026-11-24T18:30"


class PublicationDate(NamedTuple):
    moment: pd.Timestamp  # in UTC
    has_time: bool  # a day alone is at midnight


def parse_publication_date(text: str, order: str = "") -> PublicationDate:
    """Parse --posted-at; raise WrongCallError, with the form to write, for what is not a date or could be two.

    A time is in UTC unless an offset follows it. `order` is that of the dates in the run's own table, DMY or MDY: it
    decides where a date could be two.
    """
    if len(text) > LONGEST:
        raise WrongCallError(f"--posted-at '{text[:LONGEST]}...' is not a date; {_ASK}")
    found = _TIME.match(text.strip())
    day = _parse_day(text, found["day"] if found else text.strip(), order)
    time = datetime.time()
    if found:
        zone = (found["zone"] or "+00:00").replace("Z", "+00:00")
        try:
            time = datetime.time.fromisoformat(f"0{found['time']}" if found["time"][1] == ":" else found["time"])
            offset = datetime.datetime.strptime(zone.replace(":", ""), "%z").utcoffset()
        except ValueError:
            raise WrongCallError(f"--posted-at '{text}' has no such time of day; {_ASK}") from None
        assert offset is not None
        moment = pd.Timestamp(datetime.datetime.combine(day, time), tz="UTC") - offset
    else:
        moment = pd.Timestamp(datetime.datetime.combine(day, time), tz="UTC")
    if not EARLIEST <= moment < END_OF_TIME:
        raise WrongCallError(
            f"--posted-at '{text}' lies in the year {moment.year}; give one from {EARLIEST.year} to {END_OF_TIME.year - 1}"
        )
    return PublicationDate(moment, has_time=bool(found))


def _parse_day(whole: str, text: str, order: str) -> datetime.date:
    forms = (_COMPACT,) if re.fullmatch(r"\d{8}", text) else _FORMS
    found = {form: day for form in forms if (day := _read(text, form)) is not None}
    days = dict.fromkeys(day for form, day in found.items() if _order_of(form) == order) or dict.fromkeys(found.values())
    if not days:
        raise WrongCallError(f"--posted-at '{whole}' is not a date; {_ASK}")
    if len(days) > 1:
        either = " or ".join(f"{day:%Y-%m-%d}" for day in days)
        raise WrongCallError(f"--posted-at '{whole}' is ambiguous ({either}); write it as one of these")
    return next(iter(days))


def _order_of(form: str) -> str:
    return "".join(part for part in form.upper() if part in "DMY")


def _read(text: str, form: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text, form).date()
    except ValueError:
        return None
