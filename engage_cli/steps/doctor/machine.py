"""The machine under engage: device, memory, disks, and whether it reaches the hub.

Heavy packages are imported where they are asked about: they may be what is broken.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
BF16_FLAGS = ("avx512_bf16", "amx_bf16")
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
ENDPOINT = "https://huggingface.co"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")  # the first that is set counts, as for the hub's client


@dataclass(frozen=True, kw_only=True)
class Gpu:
    name: str
    memory_bytes: int
    compute_capability: str


@dataclass(frozen=True, kw_only=True)
class Device:
    """What encoders run on: kind is "cpu", "cuda", or "unknown" where torch fails, and then `problem` says how."""

    kind: str
    processor: str
    cores: int  # that this process may use
    load: float | None = None  # processes that wanted a core in the last minute, ours among them
    threads: int | None = None  # that torch uses
    built_for: str | None = None  # torch: "CPU", "CUDA 12.8", "ROCm 6.3"
    driver: str | None = None
    gpus: tuple[Gpu, ...] = ()
    flags: tuple[str, ...] = ()
    precision: str | None = None
    precision_reason: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """None is unknown, and for the limit also: none that is lower than the total."""

    total_bytes: int | None = None
    available_bytes: int | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Disk:
    holds: str
    folder: str
    free_bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hub:
    """State is "reachable", "not reachable", or "offline": then it was not asked."""

    endpoint: str
    state: str
    note: str
    seconds: float | None = None


def examine_device() -> Device:
    """Return the device, and the precision that "auto" takes there."""
    models = (line.partition(":")[2].strip() for line in _lines(PROC / "cpuinfo") if line.startswith("model name"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processor = next(models, platform.processor() or platform.machine()) or "unknown"
    device = Device(kind="unknown", processor=processor, cores=cores, load=_load())
    try:
        import torch

        from engage_cli.runtime import devices

        builds = {"CUDA": torch.version.cuda, "ROCm": getattr(torch.version, "hip", None)}
        flags = devices.processor_flags()
        device = dataclasses.replace(
            device,
            threads=torch.get_num_threads(),
            built_for=next((f"{kind} {number}" for kind, number in builds.items() if number), "CPU"),
            flags=tuple(flag for flag in FLAGS if flag in flags),
        )
        found = devices.find_device()
        if found.type == "cuda":
            gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
            driver = re.search(r"\d+\.\d+[.\d]*", " ".join(_lines(PROC / "driver/nvidia/version")))
            device = dataclasses.replace(
                device,
                driver=driver[0] if driver else None,
                gpus=tuple(
                    Gpu(name=gpu.name, memory_bytes=gpu.total_memory, compute_capability=f"{gpu.major}.{gpu.minor}")
                    for gpu in gpus
                ),
            )
        precision = devices.choose_precision("auto", found)
    except (ImportError, OSError, RuntimeError) as error:  # a broken installation; a GPU that is lost or taken
        return dataclasses.replace(device, problem=f"torch fails: {summarise(error)}")
    reason = _explain(found.type, precision, flags)
    return dataclasses.replace(device, kind=found.type, precision=precision, precision_reason=reason)


def examine_memory() -> Memory:
    """Return what Linux tells; elsewhere nothing is known."""
    pairs = (line.partition(":") for line in _lines(PROC / "meminfo"))
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in pairs if name in ("MemTotal", "MemAvailable")}
    total, limit = sizes.get("MemTotal"), min(_group_limits(), default=None)
    is_lower = limit is not None and (total is None or limit < total)
    return Memory(total_bytes=total, available_bytes=sizes.get("MemAvailable"), limit_bytes=limit if is_lower else None)


def examine_disk(holds: str, folder: Path, shown: str) -> Disk:
    for place in (folder, *folder.parents):  # a folder that is not there yet will lie where its parent does
        try:
            usage = shutil.disk_usage(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            break
        return Disk(holds=holds, folder=shown, free_bytes=usage.free, total_bytes=usage.total)
    return Disk(holds=holds, folder=shown)


def ask_hub(timeout: float) -> Hub:
    """Ask the hub for its first page, and wait at most `timeout` seconds in all, the look-up of its name included."""
    asked = os.environ.get("HF_ENDPOINT") or ENDPOINT
    endpoint = _without_secrets(asked)
    switch = next((name for name in OFFLINE if os.environ.get(name)), None)
    if switch and os.environ[switch].lower() in ("1", "true", "yes", "on"):
        return Hub(endpoint=endpoint, state="offline", note=f"{switch} is set")
    answer: futures.Future[int] = futures.Future()
    start = time.perf_counter()
    # No client's timeout bounds the look-up of a name, but a thread can be left behind; a daemon does not delay the exit.
    threading.Thread(target=_request, args=(asked, 2 * timeout, answer), daemon=True).start()
    state = "not reachable"
    try:
        status = answer.result(timeout)
        # 404 and 405 are a mirror's that has no first page.
        if status < 400 or status in (404, 405):
            state = "reachable"
        note = f"answered with status {status}"
    except futures.TimeoutError:
        note = f"no answer within {timeout:g} s"
    except Exception as error:  # each version of the hub's client has its own family of network errors
        note = _without_secrets(summarise(error).replace(asked, endpoint))
    return Hub(endpoint=endpoint, state=state, note=note, seconds=round(time.perf_counter() - start, 3))


def _load() -> float | None:
    with suppress(AttributeError, OSError):  # Windows has none
        return round(os.getloadavg()[0], 2)
    return None


def _explain(kind: str, precision: str, flags: set[str]) -> str:
    if kind == "cuda":
        return "the GPU multiplies in it" if precision == "bf16" else "the GPU does not multiply in bf16"
    if not flags:
        return "this system does not list its processor's flags, so nothing is assumed"
    there = [flag for flag in BF16_FLAGS if flag in flags]
    if there:
        return f"the processor multiplies in it ({', '.join(there)})"
    return f"the processor has neither {' nor '.join(BF16_FLAGS)}, and emulated bf16 is slower"


def _group_limits() -> Iterator[int]:
    """Yield the memory limits of this process's control group and of those around it, of both versions, in bytes."""
    for line in _lines(PROC / "self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, file = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
        inside = Path(group.lstrip("/"))
        for part in (inside, *inside.parents):
            yield from (int(text) for text in _lines(root / part / file) if text.isdigit())  # else "max"


def _request(endpoint: str, timeout: float, answer: futures.Future[int]) -> None:
    try:
        # The client that fetches encoders: the same proxies and certificates. No token is sent.
        from huggingface_hub import get_session

        answer.set_result(get_session().head(endpoint, timeout=timeout).status_code)
    except BaseException as error:
        answer.set_exception(error)  # raised where the answer is read


def _without_secrets(text: str) -> str:
    """Leave out a URL's user, password and query."""
    return re.sub(r"(?<=//)\S*@|(?<!\S)[^\s/]*@|[?#]\S*", "", text)


def summarise(error: BaseException) -> str:
    """Return the first line of an error's message, without the number of a system's error, and the error's kind."""
    lines = re.sub(r"^\[[^\]]*\] ", "", str(error).strip()).splitlines()
    return f"{lines[0]} ({type(error).__name__})" if lines else type(error).__name__


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []
