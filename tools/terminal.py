"""Draw docs/images/terminal.svg: what `engage predict` prints about variants of a post.

First `make demo`, and in its folder demo/ `engage train --target views`: the newest run there is asked.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
TITLES = ("OMG the most AMAZING pizza in Naples!!", "My pizza in Naples, week 3")
CALL = [
    "predict",
    "pixelrec/cover/i7.jpg",
    "pixelrec/cover/i12.jpg",
    "--title",
    TITLES[0],
    "--title",
    TITLES[1],
    "--tags",
    "food",
]
WIDTH = 78


def main() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engage_cli", *CALL],
        cwd=ROOT / "demo",
        env={"PYTHONPATH": str(ROOT), "COLUMNS": str(WIDTH), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    console = Console(record=True, width=WIDTH, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    lines = [shlex.join(["engage", *CALL[:3]]), *(shlex.join(CALL[place : place + 2]) for place in (3, 5, 7))]
    console.print(Text.assemble(("$ ", "bold green"), (" \\\n    ".join(lines), "bold")))
    console.print(Text("\n" + done.stdout.rstrip()))
    svg = console.export_svg(title="engage predict", theme=MONOKAI)
    # No font from a foreign host: the reader's own monospaced one.
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace, Menlo, Consolas")
    PICTURE.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
