"""Build the documentation site into site/, strictly: a broken link, a warning or a foreign host fails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tools.reference import REFERENCE, render

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
# What a browser fetches by itself; a link that a reader may follow is no such thing.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\ssrc\s*=\s*["']?(?:https?:)?//|"""
    r"""<link\b[^>]*\srel="(?:stylesheet|preconnect|dns-prefetch|preload|icon)"[^>]*href="(?:https?:)?//|"""
    r"""@import\s+(?:url\()?["']?(?:https?:)?//|url\(["']?(?:https?:)?//"""
)


def main() -> int:
    REFERENCE.write_text(render(), encoding="utf-8")
    if problem := build():
        print(problem, file=sys.stderr)
        return 1
    print(f"{SITE}: {len(list(SITE.rglob('index.html')))} pages")
    return 0


def build() -> str:
    """Build the site; return what is wrong with it, "" for nothing."""
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=ROOT, capture_output=True, text=True
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", built.stdout + built.stderr)
    if built.returncode or re.search(r"\bgriffe: |\bwarning\b", said, flags=re.IGNORECASE):
        return said
    foreign = foreign_hosts()
    return f"a browser would fetch from foreign hosts: {', '.join(foreign)}" if foreign else ""


def foreign_hosts() -> list[str]:
    """Return the pages and styles that make a browser fetch from elsewhere."""
    files = (path for path in sorted(SITE.rglob("*")) if path.suffix in (".html", ".css", ".svg"))
    return [str(path.relative_to(SITE)) for path in files if FETCHED.search(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    raise SystemExit(main())
