"""What can be set, once: each field has its default and its help here, and the command line takes both from here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from engage_cli.core.errors import WrongCallError

DEFAULT_VISION = "dinov2-small"
DEFAULT_TEXT = "minilm"
PARTS = ("train", "validation", "test")
VISION_HELP = "Vision encoder: a name of the table, any hub id, or a local folder."
TEXT_HELP = "Text encoder: a name of the table, any hub id, or a local folder."
DATA_MARK = ".engage"  # written first into a data folder: what lies beside it under our names is ours
QUANTILE_LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # intervals of 95, 80 and 50 %, and the median
CLASS_NAMES = ("Very Low", "Low", "Medium", "High", "Very High")


def setting(default: Any, help: str) -> Any:
    """A dataclass field with its help; the default stays readable as `Config.field`."""
    return dataclasses.field(default=default, metadata={"help": help})


def help_of(config: type, field: str) -> str:
    """Return the help text of a field made by `setting`."""
    return next(str(f.metadata["help"]) for f in dataclasses.fields(config) if f.name == field)


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How raw posts become a data folder."""

    split: str = setting("auto", "How posts are divided; auto takes time where posts have dates, random elsewhere.")
    fractions: str = setting("80/10/10", "Shares of train/validation/test in percent.")
    seed: int = setting(0, "Seed of the split.")
    duplicates: str = setting(
        "error",
        "Which row of an id that stands in several is its post: last, first, max (of views, or the first counter), error.",
    )
    fetch_images: bool = setting(False, "Fetch covers that a table names by their addresses, several at once.")
    private_addresses: bool = setting(False, "Fetch from this machine's own network, too.")
    date_order: str = setting(
        "", "Order of dates that are numbers alone: DMY, MDY, YMD or YDM. Without it: the one that fits."
    )
    decimal: str = setting("", "The sign before decimals, . or , in tables where the numbers do not tell.")
    encoding: str = setting("", "Encoding of tables that are no UTF-8, as cp1252. Without it: a detector's finding.")
    split_from: str = setting("", "For --split file: a table with columns id and split, or a column of the source.")
    dedupe: bool = setting(
        True, "Keep near-duplicates (nearly the same image, the same title) in one part; without, results are marked."
    )
    verify_images: bool = setting(False, "Decode every image whole, not only as far as its perceptual hash needs.")
    fit_target_on: str = setting(
        "train", "Rows that targets are fitted on: train, or all (the study's way: sees the test rows, and is marked)."
    )


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which encoders turn posts into vectors, and how."""

    vision: str = setting(DEFAULT_VISION, VISION_HELP)
    text: str = setting(DEFAULT_TEXT, TEXT_HELP)
    precision: str = setting("auto", "Arithmetic of the encoders: fp32, bf16, or auto for what this machine does best.")
    pool: str = setting(
        "auto",
        "How tokens become one vector: checkpoint (its own way), depths (that, beside statistics of the tokens a quarter, "
        "half and three quarters of the way up), cls, mean, map (SigLIP's attention head); for one side alone as in "
        "vision=mean. auto is depths for stored features, checkpoint for encoders that are trained and the study's way.",
    )
    framing: str = setting(
        "auto",
        "How a picture comes into the encoder's square: whole (pressed into it), own (as the checkpoint's processor does, "
        "which often cuts the sides off). auto is whole for stored features, own for encoders that are trained and the "
        "study's way.",
    )
    tokens: int = setting(
        0, "Keep this many tokens of each post too, for fusions that attend: regions of a grid, the first words of a text."
    )
    dtype: str = setting("fp16", "Number format of stored vectors: fp16 or fp32.")

    def settled(self, *, is_own: bool) -> EncoderConfig:
        """Return it with every "auto" of pooling and framing replaced: by what checkpoints do themselves, or by ours."""
        pool, framing = ("checkpoint", OWN) if is_own else ("depths", WHOLE)
        pools = {side: setting_of_side(self.pool, side, pool).replace("auto", pool) for side in ("vision", "text")}
        return dataclasses.replace(
            self,
            pool=",".join(f"{side}={pooling}" for side, pooling in pools.items()),
            framing=framing if self.framing == "auto" else self.framing,
        )


OWN, WHOLE = FRAMINGS = ("own", "whole")
LARGEST_SEED = 2**32 - 1  # that NumPy's and scikit-learn's generators take
STUDY = "study"  # the name under which the study's own way is reached
MOST_VARIANTS = 400  # of one post that are ranked at once
LEAKY = (
    "LEAKY: it was given the counters that its label is computed from, which nobody has before publication; "
    "its figures say nothing of posts to come"
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
        "auto", "Images or texts per step of an encoder; auto is what suits the device, and halves when memory runs out."
    )
    compile: bool = setting(
        False, "Compile the encoder first (torch.compile): costs half a minute, and may pay on a GPU with many posts."
    )
    engine: str = setting("local", "Where it runs: local (or torchrun's ranks), or ray for a Ray cluster.")
    workers: int = setting(0, "Workers of --engine ray; 0 is one for each GPU, else one for every four cores.")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A neural run. The defaults are those of the recipe "stored"; core.recipes holds where the others differ."""

    target: str = setting("popularity", "What is predicted.")
    vision: str = setting(EncoderConfig.vision, VISION_HELP)
    text: str = setting(EncoderConfig.text, TEXT_HELP)
    blocks: str = setting("image,title,context", "What the model sees of a post, separated by commas.")
    fusion: str = setting("gated", "How blocks are joined.")
    objective: str = setting("hybrid", "The loss, and how outputs become predictions.")
    class_weights: str = setting("none", "Classes only: balanced weighs a post by the rarity of its class.")
    tune: str = setting(
        "none",
        "Which part of the encoders is trained too: none (stored features are read), top:N (last N layers), lora, full.",
    )
    epochs: int = setting(40, "Passes over the training posts.")
    batch_size: int = setting(64, "Posts per micro-batch (of each rank under torchrun).")
    accumulate: int = setting(1, "Micro-batches per optimizer step.")
    learning_rate: float = setting(5e-4, "Peak learning rate of AdamW.")
    head_lr: float = setting(0.0, "Peak learning rate of the new layers, where encoders are trained; 0 is that of all.")
    layer_decay: float = setting(1.0, "Each encoder layer's learning rate, relative to that of the layer above it.")
    weight_decay: float = setting(0.05, "Weight decay of AdamW; norms, biases and learned tokens have none.")
    schedule: str = setting("cosine", "The learning rate after the warm-up: cosine (down to 0) or constant.")
    warmup: float = setting(0.1, "Share of the steps in which the learning rate rises.")
    clip_norm: float = setting(1.0, "Largest norm of the gradient; 0 does not clip.")
    width: int = setting(256, "Width of the fused representation.")
    layers: int = setting(2, "Transformer layers of the stack.")
    heads: int = setting(4, "Heads of the attention between blocks; they divide the width.")
    dropout: float = setting(0.4, "Dropout in fusion and head.")
    modality_dropout: float = setting(
        0.0,
        "Chance that a block of a training post is hidden (never its last one): the model learns to do without.",
    )
    ema: float = setting(0.0, "Decay of a running average of the weights, as 0.999, which is then what is kept; 0 is none.")
    average: int = setting(1, "Average the weights of so many best epochs, where that is no worse on validation posts.")
    patience: int = setting(10, "Epochs without a better validation score before training stops; 0 never stops early.")
    precision: str = setting("fp32", "Arithmetic of training: fp32, bf16 or fp16 (mixed precision).")
    checkpointing: bool = setting(False, "Compute the encoders' activations twice instead of keeping them: less memory.")
    tf32: bool = setting(False, "On a GPU: multiply float32 matrices in TF32, faster and less exact.")
    compile: bool = setting(False, "Compile the model first (torch.compile).")
    flip: bool = setting(False, "Mirror half of the training images; off, for covers carry lettering. Needs --tune.")
    crop: float = setting(
        1.0, "Smallest share of an image that a random crop keeps in training; 1 never crops. Needs --tune."
    )
    workers: int = setting(-1, "Threads that read images while encoders are trained; -1 chooses.")
    tensorboard: bool = setting(False, "Also write events for TensorBoard into the run folder.")
    seed: int = setting(0, "Seed of initial weights, order, dropout and augmentation.")
    seeds: int = setting(1, "Models, of this seed and those after it, trained one after another; their mean is predicted.")


@dataclass(frozen=True, kw_only=True)
class ProcessConfig:
    """A Gaussian process: it chooses by what training posts say of each other, so that little is left to be set."""

    target: str = setting("popularity", "What is predicted.")
    kind: str = setting("value", "The target's value, or five ordered classes.")
    vision: str = setting(EncoderConfig.vision, VISION_HELP)
    text: str = setting(EncoderConfig.text, TEXT_HELP)
    seed: int = setting(0, "Seed of the sample of posts by which likeness is learned.")


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """Several models of one target, weighed together."""

    target: str = setting("popularity", "What is predicted.")
    kind: str = setting("value", "The target's value, or five ordered classes.")
    members: str = setting("gp,catboost,neural", "The models, separated by commas; each is trained by its own defaults.")
    vision: str = setting(EncoderConfig.vision, VISION_HELP)
    text: str = setting(EncoderConfig.text, TEXT_HELP)
    seed: int = setting(0, "Seed of every member.")


@dataclass(frozen=True, kw_only=True)
class CatBoostConfig:
    """A CatBoost run: the study's hyper-parameters, on features that are known before publication."""

    target: str = setting("engagement", "What is predicted.")
    kind: str = setting("classes", "Five ordered classes, or the target's value.")
    objective: str = setting("rmse", "With --as value: rmse, or quantile for seven quantiles and so for intervals.")
    vision: str = setting(EncoderConfig.vision, VISION_HELP)
    text: str = setting(EncoderConfig.text, TEXT_HELP)
    features: str = setting(
        "honest",
        "What a post is described by: honest is all that is known before publication; embeddings, words and handmade are "
        "parts of it; study is the study's own set with the counters that its label is computed from, and is marked LEAKY. "
        "Groups and your own columns are added by name, as in honest,duration.",
    )
    pca: str = setting(
        "none", "Reduce each embedding to so many principal components (as many as it has, at most), or none."
    )
    folds: int = setting(0, "Also cross-validate on so many folds of the training and validation posts; 0 does not.")
    iterations: int = setting(2000, "Most trees; early stopping usually ends sooner.")
    learning_rate: float = setting(0.03, "Learning rate.")
    depth: int = setting(6, "Depth of a tree.")
    l2: float = setting(3.0, "L2 regularisation of leaf values.")
    subsample: float = setting(0.8, "Share of posts per tree (Bernoulli bootstrap).")
    border_count: int = setting(32, "Split candidates per feature; few are fast and as good on embeddings.")
    rsm: float = setting(0.1, "Share of features tried per split (CPU only).")
    patience: int = setting(150, "Trees without a better validation score before training stops.")
    seed: int = setting(0, "Seed of the bootstrap, the folds and the components.")
