"""README, CONTRIBUTING and docs/ as tests read them: their blocks of code, their calls, their links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
}
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)
_ENGAGE = re.compile(r"(?:^|\s)(?:\$ )?(?:-m engage_cli|(?:\S+/)?engage) ([a-z][a-z-]*.*)")


class Call(NamedTuple):
    page: str
    words: tuple[str, ...]  # the command and what is given to it

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language; "" is that of blocks without one."""
    return [block for _, found, block in _BLOCK.findall(PAGES[page]) if found == language]


def shell_lines(page: str) -> list[str]:
    """Return the calls of a page's blocks of shell, continued lines joined, comments left out."""
    joined = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    return [line for text in joined.splitlines() if (line := re.sub(r"(^|\s)#.*", "", text).strip())]


def engage_calls() -> list[Call]:
    found = []
    for page in PAGES:
        for line in shell_lines(page):
            if call := _ENGAGE.search(line):
                found.append(Call(page, tuple(shlex.split(re.split(r" [<>|] ", call[1])[0]))))
    return sorted(set(found))


def prose(page: str) -> str:
    """Return a page without its blocks of code."""
    return _BLOCK.sub("", PAGES[page])


def sections(page: str) -> dict[str, str]:
    """Return the text under each heading of level two or three, blocks included."""
    parts = re.split(r"^#{2,3} (.+)$", PAGES[page], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}
