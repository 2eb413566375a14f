"""What can be set, once: each field has its default and its help here, and the command line takes both from here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from engage_cli.config.settings import setting
from engage_cli.errors import WrongCallError

Kind = Literal["value", "classes"]  # what is predicted of a target: its value, or one of five ordered classes

DEFAULT_VISION = "dinov2-small"
DEFAULT_TEXT = "minilm"
PARTS = ("train", "validation", "test")
VISION_HELP = "Vision encoder: a name of the table, any hub id, or a local folder."
TEXT_HELP = "Text encoder: a name of the table, any hub id, or a local folder."
TARGETS = "engage_cli.data.target_names:TARGETS"
ENCODERS = "Encoders"  # a panel of the help
LARGEST_SEED = 2**32 - 1  # that NumPy's and scikit-learn's generators take
DATA_MARK = ".engage"  # written first into a data folder: what lies beside it under our names is ours
QUANTILE_LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # intervals of 95, 80 and 50 %, and the median
CLASS_NAMES = ("Very Low", "Low", "Medium", "High", "Very High")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which encoders turn posts into vectors, and how."""

    vision: str = setting(DEFAULT_VISION, VISION_HELP)
    text: str = setting(DEFAULT_TEXT, TEXT_HELP)
    precision: str = setting(
        "auto", "Precision of the encoders: fp32, bf16, or auto for the best on this machine.", panel=ENCODERS
    )
    pool: str = setting(
        "auto",
        "How tokens are pooled into one vector: checkpoint (as it was trained), depths (that, and token statistics from a "
        "quarter, half and three quarters of the layers), cls, mean, map (SigLIP's attention head). vision=mean sets one "
        "encoder only. auto is depths for stored embeddings, checkpoint for finetuned encoders and the study's recipe.",
        panel=ENCODERS,
    )
    resize: str = setting(
        "auto",
        "How an image is fitted to the encoder's square: squash (resized to it, ignoring the aspect ratio), native (as the "
        "checkpoint's processor does, which often cuts the sides off). auto is squash for stored embeddings, native for "
        "finetuned encoders and for the study's recipe.",
        panel=ENCODERS,
        former_flags=("--framing",),
        former_names={"whole": "squash", "own": "native"},
    )
    tokens: int = setting(
        0,
        "Also store this many tokens of each post, for fusions with attention: regions of a grid, first words of a text.",
        low=0,
        high=256,
        panel=ENCODERS,
    )
    dtype: str = setting("fp16", "Number format of stored vectors: fp16 or fp32.", panel=ENCODERS)

    def settled(self, *, is_own: bool) -> EncoderConfig:
        """Return it with every "auto" of pooling and resize replaced: by what checkpoints do themselves, or by ours."""
        pool, resize = ("checkpoint", NATIVE) if is_own else ("depths", SQUASH)
        pools = {side: setting_of_side(self.pool, side, pool).replace("auto", pool) for side in ("vision", "text")}
        return dataclasses.replace(
            self,
            pool=",".join(f"{side}={pooling}" for side, pooling in pools.items()),
            resize=resize if self.resize == "auto" else self.resize,
        )


NATIVE, SQUASH = RESIZES = ("native", "squash")
AUTO = "auto"  # the name of a default that depends on other options
STUDY = "study"  # the name under which the study's own way is reached
MOST_VARIANTS = 400  # of one post that are ranked at once
LEAKY = (
    "LEAKY: it was trained on the counters that its label is computed from, which nobody has before publication; "
    "its figures say nothing about new posts"
)
POOLINGS = ("checkpoint", "depths", "cls", "mean", "map")


def setting_of_side(value: str, side: str, default: str) -> str:
    """Return a side's part of a setting such as "mean" or "vision=cls,text=mean"; raise WrongCallError for others."""
    if "=" not in value:
        return value.strip()
    found = {}
    for pair in value.split(","):
        name, sign, part = (word.strip() for word in pair.partition("="))
        if not (sign and part) or name not in ("vision", "text") or name in found:
            raise WrongCallError(f"'{value}' is not understood; write mean, or vision=mean, or vision=cls,text=mean")
        found[name] = part
    return found.get(side, default)


ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """How the encoding is done; the vectors are the same."""

    batch_size: str = setting(
        "auto",
        "Images or texts per batch; auto suits the device, and is halved when memory runs out.",
        panel="Speed and machines",
    )
    compile: bool = setting(
        False,
        "Compile the encoder first (torch.compile): takes half a minute, and may pay off on a GPU with many posts.",
        panel="Speed and machines",
    )
    engine: str = setting(
        "local", "Where it runs: local (or torchrun's ranks), or ray for a Ray cluster.", panel="Speed and machines"
    )
    workers: int = setting(
        0,
        "Workers of --engine ray; 0 is one for each GPU, else one for every four cores.",
        low=0,
        panel="Speed and machines",
    )


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Where pieces of a command run; the result is the same."""

    engine: str = setting(
        "local",
        "Where the work is done: local (one piece after the other), or ray for a Ray cluster.",
        panel="Speed and machines",
    )
    workers: int = setting(
        0,
        "Workers of --engine ray; 0 is one for each GPU, else one for every four cores.",
        low=0,
        panel="Speed and machines",
    )


LOCAL = EngineConfig()
