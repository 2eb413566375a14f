"""How fast this machine is, in two seconds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from engage_cli.encoders.packaged import DINOV2_CONFIG
from engage_cli.steps.doctor.machine import Device, summarise

MODEL = "a ViT-S/14 with random weights"
BATCH_SIZE, IMAGE_SIZE = {"cpu": 8, "cuda": 256}, 224  # as `engage embed` takes them
JPEG_SIZE = (640, 360)
DECODING_SHARE = 0.25  # of the time; the rest is the model's


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Throughput, warm-up excluded; None where it was not measured, and `problems` say why."""

    model: str = MODEL
    device: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    images_per_second: float | None = None
    jpeg_size: tuple[int, int] = JPEG_SIZE
    jpegs_per_second: float | None = None
    problems: tuple[str, ...] = ()


def measure(device: Device, seconds: float) -> Probe:
    """Measure for about so many seconds, imports aside; 0 for not at all."""
    probe, problems = Probe(device=device.kind, precision=device.precision), []
    if seconds <= 0:
        return dataclasses.replace(probe, problems=("not asked for",))
    try:
        rate = _measure_decoding(seconds * DECODING_SHARE)
        probe = dataclasses.replace(probe, jpegs_per_second=round(rate, 2))
    except (ImportError, OSError) as error:  # Pillow or numpy is broken, or was built without JPEG
        problems.append(f"no JPEG was decoded: {summarise(error)}")
    if device.precision is None:
        problems.append("no model ran: torch fails")
        return dataclasses.replace(probe, problems=tuple(problems))
    try:
        batch_size, rate = _measure_model(device.kind, device.precision, seconds * (1 - DECODING_SHARE))
        probe = dataclasses.replace(probe, batch_size=batch_size, images_per_second=round(rate, 2))
    # transformers is broken, a malformed HF_ENDPOINT stops its import, or the GPU's memory is taken.
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        problems.append(f"no model ran: {summarise(error)}")
    return dataclasses.replace(probe, problems=tuple(problems))


def _measure_decoding(seconds: float) -> float:
    import numpy as np
    from PIL import Image

    from engage_cli.images.decode import decode

    # Blurred noise: as smooth as a photograph, for on plain noise a decoder does other work.
    coarse = np.random.default_rng(0).integers(0, 256, (JPEG_SIZE[1] // 10, JPEG_SIZE[0] // 10, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(coarse).resize(JPEG_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    data = file.getvalue()

    def work() -> int:
        decode(data)
        return 1

    work()
    return _rate(work, time.perf_counter() + seconds)


def _measure_model(kind: str, precision: str, seconds: float) -> tuple[int, float]:
    """Return the batch size, smaller where time is short, and images a second."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    from engage_cli.runtime.devices import PRECISIONS, matmul_precision

    device = torch.device(kind)
    torch.zeros(1, device=device)  # what a GPU's first use costs is none of the probe's time
    until = time.perf_counter() + seconds
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(matmul_precision(device))
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            model = Dinov2Model(Dinov2Config(**DINOV2_CONFIG)).eval().to(device, PRECISIONS[precision])
            most = BATCH_SIZE[kind]
            pixels = torch.rand(most, 3, IMAGE_SIZE, IMAGE_SIZE).to(device, PRECISIONS[precision])

            def work(size: int) -> int:
                model(pixels[:size])
                if kind == "cuda":
                    torch.cuda.synchronize()
                return size

            work(1)
            if kind == "cuda":
                until = time.perf_counter() + seconds / 2  # its kernels were loaded in the meantime
            one = 1 / _rate(lambda: work(1), 0)
            # A warm-up and two timed batches should fit: a slow machine gets smaller ones, not more time.
            size = max(1, min(most, int((until - time.perf_counter()) / (3 * one))))
            work(size)
            return size, _rate(lambda: work(size), until)
    finally:
        torch.set_float32_matmul_precision(before)


def _rate(work: Callable[[], int], until: float) -> float:
    """Return the units a second of `work`, which says how many it did; it runs once, and again until the time is up."""
    start, done = time.perf_counter(), 0
    while True:
        done += work()
        now = time.perf_counter()
        if now >= until:
            return done / max(now - start, 1e-9)
