"""Embedding on a processor: PyTorch, ONNX Runtime and OpenVINO on the same images and texts, in turns.

DINOv2-small and MiniLM with engage's pooling (depths), from finished tensors to vectors: the arithmetic is compared.
fp32 and bf16 of PyTorch as engage runs them; fp32 and int8 (dynamic: weights by channel) of ONNX Runtime; OpenVINO in fp32,
and as it comes, which is bf16 where the processor has it. Beside the speed stands the mean cosine to the vectors of fp32.
A contender that is not installed is left out.

    pip install onnxruntime openvino onnx onnxscript
    python benchmarks/cpu_backends.py [--images 64] [--texts 512] [--rounds 3] [--threads 2] [--only dinov2-small,minilm]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from engage_cli.config.general import EncoderConfig
from engage_cli.runtime.devices import matmul_precision
from engage_cli.steps.embed import make_encoder

BATCH = {"vision": 8, "text": 64}
WORDS = [
    "storm",
    "cat",
    "pizza",
    "trailer",
    "official",
    "review",
    "music",
    "dance",
    "house",
    "garden",
    "robot",
    "winter",
    "news",
    "today",
    "the",
    "best",
    "of",
]
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
Inputs = dict[str, np.ndarray]
Runner = Callable[[Inputs], np.ndarray]


class _Pooled(torch.nn.Module):
    """A tower from prepared inputs, in their order, to its pooled vector."""

    def __init__(self, tower: Any, names: list[str]) -> None:
        super().__init__()
        self.tower, self.names = tower, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.tower.pool(self.tower(**dict(zip(self.names, inputs, strict=True))))


def make_tower(side: str, precision: str) -> Any:
    return make_encoder(side, EncoderConfig(precision=precision)).tower.eval()


def batches_of(side: str, tower: Any, num: int) -> list[Inputs]:
    rng = np.random.default_rng(0)
    if side == "vision":
        pixels = [rng.integers(0, 255, (12, 16, 3), np.uint8) for _ in range(num)]
        contents: list[Any] = [Image.fromarray(one).resize((320, 240)) for one in pixels]
    else:
        contents = sorted((" ".join(rng.choice(WORDS, rng.integers(4, 16))) for _ in range(num)), key=len)
    size, found = BATCH[side], []
    for start in range(0, num, size):
        found.append({name: one.numpy() for name, one in tower.prepare(contents[start : start + size]).items()})
    return found


def torch_runner(tower: Any) -> Runner:
    def run(inputs: Inputs) -> np.ndarray:
        with torch.inference_mode():
            return tower.pool(tower(**{name: torch.from_numpy(one) for name, one in inputs.items()})).float().numpy()

    return run


def export(side: str, tower: Any, example: Inputs, folder: Path) -> Path:
    path, names = folder / f"{side}.onnx", list(example)
    axes = {name: {0: "batch", **({1: "length"} if side == "text" else {})} for name in names}
    inputs = tuple(torch.from_numpy(one) for one in example.values())
    torch.onnx.export(
        _Pooled(tower, names),
        inputs,
        str(path),
        input_names=names,
        output_names=["pooled"],
        dynamic_axes={**axes, "pooled": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    return path


def onnx_runner(path: Path, threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    known = {one.name for one in session.get_inputs()}
    return lambda inputs: session.run(None, {name: one for name, one in inputs.items() if name in known})[0]


def quantised(path: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    out = path.with_suffix(".int8.onnx")
    quantize_dynamic(str(path), str(out), weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
    return out


def openvino_runner(path: Path, threads: int, precision: str | None) -> Runner:
    import openvino

    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    model = openvino.Core().compile_model(str(path), "CPU", settings)
    known = {name for one in model.inputs for name in one.names}
    return lambda inputs: np.array(model({name: one for name, one in inputs.items() if name in known})[0])


def contenders(side: str, folder: Path, example: Inputs, threads: int) -> dict[str, Runner]:
    tower = make_tower(side, "fp32")
    found = {"PyTorch, fp32": torch_runner(tower), "PyTorch, bf16": torch_runner(make_tower(side, "bf16"))}
    there = {name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name)}
    path = export(side, tower, example, folder) if there else None
    if path is not None and "onnxruntime" in there:
        found["ONNX Runtime, fp32"] = onnx_runner(path, threads)
        found["ONNX Runtime, int8"] = onnx_runner(quantised(path), threads)
    if path is not None and "openvino" in there:
        found["OpenVINO, fp32"] = openvino_runner(path, threads, "f32")
        found["OpenVINO, as it comes"] = openvino_runner(path, threads, None)
    return found


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())


def compare(side: str, num: int, rounds: int, threads: int) -> None:
    batches = batches_of(side, make_tower(side, "fp32"), num)
    with tempfile.TemporaryDirectory() as place:
        runners = contenders(side, Path(place), batches[0], threads)
        vectors = {name: np.concatenate([run(one) for one in batches]) for name, run in runners.items()}  # and a warm-up
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(rounds):
            for name, run in runners.items():
                started = time.perf_counter()
                for one in batches:
                    run(one)
                seconds[name].append(time.perf_counter() - started)
    first = "PyTorch, fp32"
    for name, taken in seconds.items():
        ratios = sorted(one / other for one, other in zip(seconds[first], taken, strict=True))
        print(
            f"| {side} | {name} | {num / median(taken):,.1f}/s | {median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) | "
            f"{cosine(vectors[first], vectors[name]):.5f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="dinov2-small,minilm")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.set_float32_matmul_precision(matmul_precision(torch.device("cpu")))
    info = Path("/proc/cpuinfo")
    has = info.read_text().split() if info.is_file() else []
    print(
        f"{platform.processor() or platform.machine()}, {asked.threads} threads; {', '.join(f for f in FLAGS if f in has)}"
    )
    print("| | | speed | against fp32 of PyTorch | cosine to it |\n|---|---|---|---|---|")
    for name, side, num in (("dinov2-small", "vision", asked.images), ("minilm", "text", asked.texts)):
        if name in asked.only.split(","):
            compare(side, num, asked.rounds, asked.threads)


if __name__ == "__main__":
    main()
