"""How long `--help` takes, beside Python alone and Python with typer imported. Best of ten, interleaved."""

from __future__ import annotations

import subprocess
import sys
import time

CALLS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import typer, typer.rich_utils": [sys.executable, "-c", "import typer, typer.rich_utils"],
    "engage --help": [sys.executable, "-m", "engage_cli", "--help"],
    "engage train-classifier --help": [sys.executable, "-m", "engage_cli", "train-classifier", "--help"],
}


def main() -> None:
    best = dict.fromkeys(CALLS, float("inf"))
    for _ in range(10):
        for name, call in CALLS.items():
            start = time.perf_counter()
            subprocess.run(call, check=True, capture_output=True)
            best[name] = min(best[name], time.perf_counter() - start)
    floor = best["import typer, typer.rich_utils"]
    for name, seconds in best.items():
        print(f"{name:<34}{seconds:6.3f} s  {seconds / floor:5.2f} x typer alone")


if __name__ == "__main__":
    main()
