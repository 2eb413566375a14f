"""What a cell of text means: white space, line ends, and the escapes that exports leave in it."""

from __future__ import annotations

import html
import re

import pandas as pd
import pyarrow as pa

EARLIEST = pd.Timestamp("1970-01-01", tz="UTC")  # nothing was posted before
NOTHING = ("", "na", "n/a", "nan", "null", "none", "nat", "-")
# Escapes that some exports leave in texts: \n written as two characters, &amp; and &#39;.
_ENTITY = r"&(?:[a-zA-Z]{2,8}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});"
_ESCAPE = r"\\r\\n|\\[nrt\"]"
_NO_ESCAPE = r"\\[a-mo-qsu-zA-Z\\]|:\\"  # C:\new and \nabla beside \frac are not line breaks


def as_arrow(column: pd.Series) -> pa.Array:
    """Return a column's cells as one array of strings; a missing one is empty."""
    cells = pa.array(column.fillna("").astype(str))
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells


def clean_text(column: pd.Series) -> pd.Series:
    """Strip, drop NUL bytes, make every line end one newline and a missing text the empty string."""
    text = column.fillna("").astype(str)
    for wrong, right in (("\0", ""), ("\r\n", "\n"), ("\r", "\n")):
        if _may_hold(text, wrong):
            text = text.str.replace(wrong, right, regex=False)
    return text.str.strip()


def _may_hold(column: pd.Series, sign: str) -> bool:
    """Return False where no cell holds the sign. All cells lie in one buffer, which is faster to search than each."""
    cells = as_arrow(column)
    buffer = cells.buffers()[-1]
    return buffer is not None and sign.encode() in buffer.to_pybytes()


def sound_text(text: str) -> str:
    """Replace halves of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def mend_text(column: pd.Series) -> tuple[pd.Series, list[str]]:
    """As `clean_text`, with escapes made the signs they stand for; return the notes that say so."""
    text, notes = clean_text(column), []
    if _may_hold(text, "&"):
        mended = text.where(~text.str.contains(_ENTITY, regex=True), text.map(html.unescape))
        changed = mended != text
        if changed.any():
            sign = re.search(_ENTITY, str(text[changed].iloc[0]))
            shown = f" like '{sign[0]}'" if sign else ""
            notes.append(f"{int(changed.sum()):,} cells held HTML entities{shown}, which were decoded")
            text = mended
    if _may_hold(text, "\\n") and not text.str.contains("\n", regex=False).any():
        rows = text.str.contains("\\n", regex=False) & ~text.str.contains(_NO_ESCAPE, regex=True)
        if rows.any():
            text = text.where(~rows, text.map(_unescape))
            notes.append(f"{int(rows.sum()):,} cells held \\n as two characters, which were read as a line break")
    return (text.str.strip() if notes else text), notes


def _unescape(text: str) -> str:
    signs = {"\\r\\n": "\n", "\\n": "\n", "\\r": "\n", "\\t": "\t", '\\"': '"'}
    return re.sub(_ESCAPE, lambda part: signs[part[0]], text)
