"""Names of months in the languages that exports are written in."""

from __future__ import annotations

import re

ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Each language's twelve, whole and shortened; a name is matched by its beginning, so the shorter form serves both.
_NAMES = {
    "German": "jan feb mär apr mai jun jul aug sep okt nov dez",
    "German, shortened": "jän febr mrz - - juni juli - sept - - -",
    "French": "janv févr mars avr mai juin juil août sept oct nov déc",
    "Spanish": "ene feb mar abr may jun jul ago sep oct nov dic",
    "Portuguese": "jan fev mar abr mai jun jul ago set out nov dez",
    "Italian": "gen feb mar apr mag giu lug ago set ott nov dic",
    "Dutch": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "Russian": "янв фев мар апр мая июн июл авг сен окт ноя дек",
    "Russian, alone": "- - - - май - - - - - - -",
    "Polish": "sty lut mar kwi maj cze lip sie wrz paź lis gru",
    "Turkish": "oca şub mar nis may haz tem ağu eyl eki kas ara",
}
_MONTHS = {
    name: ENGLISH[place]
    for names in _NAMES.values()
    for place, name in enumerate(names.split())
    if name != "-" and name != ENGLISH[place].lower()
}
_ANY = "|".join(sorted(map(re.escape, _MONTHS), key=len, reverse=True))
# A day, a month in letters, a year: "1. August 2025", "1 de agosto de 2025", "1 août 2025", "ago. 1, 2025".
_DAY_FIRST = re.compile(
    rf"^(\d{{1,2}})\.?\s+(?:de\s+)?({_ANY})[^\W\d]*\.?,?\s+(?:de\s+|del\s+)?(\d{{4}})(.*)$", re.IGNORECASE
)
_MONTH_FIRST = re.compile(rf"^({_ANY})[^\W\d]*\.?\s+(\d{{1,2}}),?\s+(\d{{4}})(.*)$", re.IGNORECASE)
FOREIGN_MONTH = rf"(?i)(?:^|[\s.])(?:{_ANY})[^\W\d]*\.?(?:\s|,)"


def to_english(cell: str) -> str:
    """Write the month of a date as pandas reads it; what is no such date stays as it is."""
    if found := _DAY_FIRST.match(cell):
        return f"{found[1]} {_MONTHS[found[2].lower()]} {found[3]}{found[4].replace(',', '')}"
    if found := _MONTH_FIRST.match(cell):
        return f"{found[2]} {_MONTHS[found[1].lower()]} {found[3]}{found[4].replace(',', '')}"
    return cell
