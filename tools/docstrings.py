"""Read by mkdocstrings: an "Example:" of a docstring is code, and "a, b: ..." describes two parameters."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^Example:\n((?:[ ]{4}.*\n?|\n)+)", flags=re.MULTILINE)
_TWO = re.compile(r"^( +)(\w+), (\w+): (.+)$", flags=re.MULTILINE)


class Docstrings(Extension):
    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = _EXAMPLE.sub(_as_code, obj.docstring.value)
            obj.docstring.value = _TWO.sub(r"\1\2: \4\n\1\3: \4", text)


def _as_code(found: re.Match[str]) -> str:
    return f"Example:\n\n```python\n{textwrap.dedent(found[1]).strip()}\n```\n"
