"""What can be set of each training: once, here, with its default, its range and its help."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.config.general import (
    DEFAULT_TEXT,
    DEFAULT_VISION,
    LARGEST_SEED,
    TARGETS,
    TEXT_HELP,
    VISION_HELP,
    EncoderConfig,
)
from engage_cli.config.settings import setting

MODEL, LOOP, TRAINED_ENCODERS, MACHINE = "Model", "Training loop", "Encoders in the loop", "Machine"  # panels of the help
# Said by every trainer, for the defaults are not all the same.
TARGET_HELP = (
    "What to predict. By default train, train-gp and train-regressor predict popularity, and train-catboost and "
    "train-classifier engagement, the study's label."
)
KIND_HELP = (
    "The target's value, or five ordered classes. By default train and train-gp predict the value, and train-catboost the "
    "classes."
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A neural run. The defaults are those of the recipe "frozen"; config.recipes holds where the others differ."""

    target: str = setting("popularity", TARGET_HELP, table=TARGETS)
    vision: str = setting(EncoderConfig.vision, VISION_HELP)
    text: str = setting(EncoderConfig.text, TEXT_HELP)
    blocks: str = setting(
        "image,title,context,numbers",
        "The parts of a post that the model reads, separated by commas: image, title, context (tags and description), text "
        "(all three), numbers (date, author's record, age of counters, and kept followers, duration and category).",
        panel=MODEL,
    )
    fusion: str = setting(
        "gated",
        "How the blocks are fused.",
        panel=MODEL,
        table="engage_cli.models.neural.fusion:FUSIONS",
        former_names={"stack": "study"},
    )
    objective: str = setting("hybrid", "The loss, and how outputs become predictions.", panel=MODEL)
    class_weights: str = setting("none", "For classes: balanced weights each post by the rarity of its class.", panel=MODEL)
    finetune: str = setting(
        "none",
        "Which layers of the encoders to train too: none (stored embeddings), top:N (the last N), lora, full.",
        former_flags=("--tune",),
    )
    epochs: int = setting(40, "Passes over the training posts.", panel=LOOP, low=1)
    batch_size: int = setting(64, "Posts per micro-batch (of each rank under torchrun).", panel=LOOP, low=1)
    accumulate: int = setting(1, "Micro-batches per optimizer step.", panel=LOOP, low=1)
    learning_rate: float = setting(
        5e-4, "Peak learning rate of AdamW.", panel=LOOP, flags=("--learning-rate", "--lr"), low=0
    )
    head_lr: float = setting(
        0.0,
        "Peak learning rate of the new layers when encoders are trained; 0 uses --learning-rate.",
        panel=TRAINED_ENCODERS,
        low=0,
    )
    layer_decay: float = setting(
        1.0,
        "Each encoder layer's learning rate, relative to that of the layer above it.",
        panel=TRAINED_ENCODERS,
        low=0.01,
        high=1,
    )
    weight_decay: float = setting(
        0.05, "Weight decay of AdamW; norms, biases and learned tokens have none.", panel=LOOP, low=0
    )
    schedule: str = setting("cosine", "The learning rate after the warm-up: cosine (down to 0) or constant.", panel=LOOP)
    warmup: float = setting(0.1, "Fraction of the steps used for warm-up.", panel=LOOP, low=0, high=1)
    clip_norm: float = setting(1.0, "Maximum norm of the gradient; 0 turns clipping off.", panel=LOOP, low=0)
    width: int = setting(256, "Width of the fused representation.", panel=MODEL, low=1)
    layers: int = setting(2, "Transformer layers of the fusion.", panel=MODEL, low=0)
    heads: int = setting(4, "Attention heads between blocks; must divide --width.", panel=MODEL, low=1)
    dropout: float = setting(0.4, "Dropout in fusion and head.", panel=MODEL, low=0, high=0.95)
    modality_dropout: float = setting(
        0.0,
        "Probability of hiding a block of a training post, so that the model copes with missing ones.",
        panel=MODEL,
        low=0,
        high=0.95,
    )
    ema: float = setting(
        0.0,
        "Decay of an average of the weights (for example 0.999), which is then saved; 0 turns it off.",
        panel=LOOP,
        low=0,
        high=0.99999,
    )
    average: int = setting(
        1,
        "Average the weights of this many best epochs, if that is no worse on validation posts.",
        panel=LOOP,
        low=1,
        high=50,
    )
    patience: int = setting(
        10, "Epochs without a better validation score before training stops; 0 never stops early.", panel=LOOP, low=0
    )
    precision: str = setting("fp32", "Precision of training: fp32, bf16 or fp16 (mixed precision).", panel=MACHINE)
    checkpointing: bool = setting(
        False,
        "Recompute the encoders' activations instead of storing them: slower, with less memory.",
        panel=TRAINED_ENCODERS,
        flags=("--checkpointing",),
    )
    tf32: bool = setting(
        False, "On a GPU: multiply float32 matrices in TF32, faster and less exact.", panel=MACHINE, flags=("--tf32",)
    )
    compile: bool = setting(False, "Compile the model first (torch.compile).", panel=MACHINE, flags=("--compile",))
    flip: bool = setting(
        False,
        "Mirror half of the training images at random. Off by default: covers contain text. Needs --finetune.",
        panel=TRAINED_ENCODERS,
        flags=("--flip",),
    )
    crop: float = setting(
        1.0,
        "Smallest fraction of an image that a random crop keeps; 1 never crops. Needs --finetune.",
        panel=TRAINED_ENCODERS,
        low=0.05,
        high=1,
    )
    workers: int = setting(
        -1, "Threads that read images while encoders are trained; -1 chooses a number.", panel=MACHINE, low=-1, high=256
    )
    tensorboard: bool = setting(
        False, "Also write events for TensorBoard into the run folder.", panel=LOOP, flags=("--tensorboard",)
    )
    seed: int = setting(
        0, "Seed of initial weights, order, dropout and augmentation.", panel=LOOP, low=0, high=LARGEST_SEED
    )
    seeds: int = setting(
        1,
        "Number of models, trained with this seed and the next ones; their mean is the prediction.",
        panel=LOOP,
        low=1,
        high=100,
    )


@dataclass(frozen=True, kw_only=True)
class GaussianProcessConfig:
    """A Gaussian process: it chooses by what training posts say of each other, so that little is left to be set."""

    target: str = setting("popularity", TARGET_HELP, table=TARGETS)
    kind: str = setting("value", KIND_HELP, flags=("--as",), names=("value", "classes"))
    vision: str = setting(EncoderConfig.vision, VISION_HELP)
    text: str = setting(EncoderConfig.text, TEXT_HELP)
    covers: str = setting(
        "none",
        "What is compared of covers beside their embeddings: none, lettering, faces, or both. It needs the extra covers.",
        names=("none", "lettering", "faces", "both"),
    )
    seed: int = setting(0, "Seed of the sample of posts from which the kernels are learned.", low=0, high=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """Several models of one target, weighed together."""

    target: str = setting("popularity", TARGET_HELP, table=TARGETS)
    kind: str = setting("value", KIND_HELP, flags=("--as",), names=("value", "classes"))
    members: str = setting(
        "gp,catboost,neural", "The models of the ensemble, separated by commas; each is trained with its own defaults."
    )
    vision: str = setting(EncoderConfig.vision, VISION_HELP)
    text: str = setting(EncoderConfig.text, TEXT_HELP)
    seed: int = setting(0, "Seed of every member.", low=0, high=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class CatBoostConfig:
    """A CatBoost run: the study's hyper-parameters, on features that are known before publication."""

    target: str = setting("engagement", TARGET_HELP, table=TARGETS)
    kind: str = setting("classes", KIND_HELP, flags=("--as",), names=("classes", "value"))
    objective: str = setting("rmse", "With --as value: rmse, or quantile (seven quantiles, and intervals from them).")
    vision: str = setting(
        EncoderConfig.vision, f"{VISION_HELP} auto is {DEFAULT_VISION}, and clip-base with --features study."
    )
    text: str = setting(EncoderConfig.text, f"{TEXT_HELP} auto is {DEFAULT_TEXT}, and clip-base with --features study.")
    features: str = setting(
        "honest",
        "The features: honest uses only what is known before publication; words and handcrafted are parts of it; "
        "embeddings are the single numbers of the encoders' vectors, of which honest has a linear score; study is the "
        "study's own set with the counters that its label is computed from, and is marked LEAKY. "
        "Groups and your own columns are added by name, as in honest,duration.",
    )
    pca: str = setting(
        "none", "Also give it this many principal components of each embedding (in place of its single numbers), or none."
    )
    folds: int = setting(
        0, "Also cross-validate with this many folds of the training and validation posts; 0 turns it off.", low=0, high=50
    )
    iterations: int = setting(2000, "Maximum number of trees; early stopping usually ends sooner.", low=1, panel="Trees")
    learning_rate: float = setting(
        0.03, "Learning rate.", flags=("--learning-rate", "--lr"), low=1e-6, high=10, panel="Trees"
    )
    depth: int = setting(6, "Depth of a tree.", low=1, high=16, panel="Trees")
    l2: float = setting(3.0, "L2 regularisation of leaf values.", low=0, panel="Trees")
    subsample: float = setting(0.8, "Fraction of posts per tree (Bernoulli bootstrap).", low=0.01, high=1, panel="Trees")
    border_count: int = setting(
        0,
        "Split candidates per feature; 0 chooses 128, and 32 of more than 1,000 features, where few are fast and as good.",
        low=0,
        high=254,
        panel="Trees",
    )
    rsm: float = setting(
        0.0,
        "Fraction of features tried per split (CPU only); 0 chooses 0.3, and 0.1 of more than 1,000 features.",
        low=0,
        high=1,
        panel="Trees",
    )
    patience: int = setting(150, "Trees without a better validation score before training stops.", low=1, panel="Trees")
    seed: int = setting(0, "Seed of the bootstrap, the folds and the components.", low=0, high=LARGEST_SEED)
