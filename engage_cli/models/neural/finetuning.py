"""Which parameters of the encoders learn, and how fast each learns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from engage_cli.config.training import TrainConfig
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError, WrongCallError

MODES = ("none", "top:N", "lora", "full")
LORA_RANK, LORA_ALPHA, LORA_DROPOUT = 8, 16, 0.05
# What attention's queries and values are called; LoRA on these two is what its paper (Hu et al. 2021) recommends.
QUERIES_AND_VALUES = re.compile(r"(^|\.)(q|v|query|value)(_proj|_lin)?$")
TOWERS = "towers."
# Parts that every layer builds upon, wherever a model keeps them: embeddings, CLIP's first norm, the norm of DeBERTa's
# relative positions. Training one of them would send gradients through all frozen layers.
BELOW_LAYERS = ("embed", "pre_layrnorm", "encoder.LayerNorm")
# Vectors that are not weights of a product, whatever their shape: like norms and biases they do not decay.
NO_DECAY = (
    "cls_token",
    "mask_token",
    "register_tokens",
    "class_embedding",
    "position_embedding",
    "probe",
    "absent",
    "kind",
)


class Finetune(NamedTuple):
    """A parsed --finetune."""

    mode: str  # "none", "top", "lora" or "full"
    num_layers: int = 0


def parse_finetune(text: str) -> Finetune:
    """Parse none, top:N, lora or full; raise WrongCallError for anything else."""
    if text in ("none", "lora", "full"):
        return Finetune(text)
    mode, _, number = text.partition(":")
    if mode == "top" and number.isdecimal() and int(number) > 0:
        return Finetune("top", int(number))
    raise WrongCallError(f"unknown --finetune '{text}'; give one of: {', '.join(MODES)} (N from 1)")


def make_towers(
    encoders: Mapping[str, Encoder], finetune: Finetune, *, checkpointing: bool = False
) -> dict[str, nn.Module]:
    """Load each side's encoder for training. Encoders are in fp32: weights learn in it, whatever the checkpoint's type."""
    towers: dict[str, nn.Module] = {}
    for side, encoder in encoders.items():
        assert encoder.precision == "fp32"
        towers[side] = encoder.tower
        prepare_tower(towers[side], finetune, checkpointing=checkpointing)
    return towers


def layers_of(tower: nn.Module) -> tuple[str, int]:
    """Return the name and the length of an encoder's list of layers."""
    lists = [(name, len(module)) for name, module in tower.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise EngageError(
            f"--finetune: the encoder '{getattr(tower, 'name', '?')}' has no list of layers; give --finetune full"
        )
    return max(lists, key=lambda one: one[1])


def prepare_tower(tower: nn.Module, finetune: Finetune, *, checkpointing: bool) -> None:
    """Set which parameters of a tower learn; insert LoRA's matrices."""
    if finetune.mode == "lora":
        _insert_lora(tower)
    elif finetune.mode == "top":
        _train_top(tower, finetune.num_layers)
    if checkpointing:
        model: Any = tower.model
        if not getattr(model, "supports_gradient_checkpointing", False):
            raise EngageError(f"--checkpointing: the encoder '{getattr(tower, 'name', '?')}' cannot do it")
        # Before transformers 5.20 it had but its other name, which later ones call deprecated.
        name = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
        getattr(model, f"{name}_checkpointing_enable")({"use_reentrant": False})


def train_mode(model: nn.Module) -> None:
    """Training mode for what learns; what is frozen stays in eval mode, so that its dropout does not blur it."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()


def freeze_unreached(model: nn.Module) -> int:
    """Freeze parameters that a backward pass just left without a gradient; return how many there are.

    Checkpoints carry parts that their tokens do not pass through (a pooler, a mask token, a projection).
    """
    unreached = [p for p in model.parameters() if p.requires_grad and p.grad is None]
    for parameter in unreached:
        parameter.requires_grad_(False)
    return len(unreached)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Split what learns into AdamW's groups: by learning rate (new layers, each layer of an encoder), and by decay.

    Matrices decay; norms, biases, learned tokens and positions do not. `rate` is a group's peak learning rate.
    """
    depths = {side: layers_of(tower) for side, tower in getattr(model, "towers", {}).items()}
    groups: dict[tuple[str, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part, rate = _part_of(name, depths, config)
        decays = parameter.ndim >= 2 and not any(word in name for word in NO_DECAY)
        group = groups.setdefault(
            (part, decays),
            {
                "name": part if decays else f"{part}, norms and biases",
                "params": [],
                "rate": rate,
                "weight_decay": config.weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """Return what a run must keep: all that is new, and of the encoders what learned."""
    return {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad or not name.startswith(TOWERS)
    }


def load_trained(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what `trained_state` gave; what the encoders did not learn stays their checkpoint's."""
    with torch.no_grad():
        own = dict(model.named_parameters())
        missing = [name for name in own if name not in state and not name.startswith(TOWERS)]
        if missing or set(state) - set(own):
            name = next(iter([*missing, *(set(state) - set(own))]))
            raise EngageError(f"the saved weights do not fit this model, such as '{name}'; train the run again")
        for name, tensor in state.items():
            if own[name].shape != tensor.shape:
                raise EngageError(f"the saved '{name}' does not fit this model; train the run again")
            own[name].copy_(tensor)


def _part_of(name: str, depths: Mapping[str, tuple[str, int]], config: TrainConfig) -> tuple[str, float]:
    """Return what a parameter belongs to, and its peak learning rate."""
    if not name.startswith(TOWERS):
        return "new layers", config.head_lr or config.learning_rate
    side, _, inner = name.removeprefix(TOWERS).partition(".")
    layers, num = depths[side]
    place = re.match(re.escape(layers) + r"\.(\d+)\.", inner)
    if place:
        below = num - 1 - int(place[1])
        return f"{side} layer {int(place[1])}", config.learning_rate * config.layer_decay**below
    if any(word in inner for word in BELOW_LAYERS):
        return f"{side} embeddings", config.learning_rate * config.layer_decay**num
    return f"{side} after its layers", config.learning_rate


def _train_top(tower: nn.Module, num_layers: int) -> None:
    """Train the last layers and what stands after them."""
    layers, num = layers_of(tower)
    if num_layers > num:
        raise WrongCallError(f"--finetune top:{num_layers}: the encoder '{getattr(tower, 'name', '?')}' has {num} layers")
    is_after = False
    for name, parameter in tower.named_parameters():
        place = re.match(re.escape(layers) + r"\.(\d+)\.", name)
        is_after = is_after or place is not None
        in_top = place is not None and int(place[1]) >= num - num_layers
        is_below = any(word in name for word in BELOW_LAYERS)
        parameter.requires_grad_(in_top or (is_after and place is None and not is_below))


def _insert_lora(tower: nn.Module) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise EngageError("--finetune lora needs peft; install it with: pip install 'engage-cli[lora]'") from None
    layers, _ = layers_of(tower)
    names = [
        name
        for name, module in tower.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(f"{layers}.") and QUERIES_AND_VALUES.search(name)
    ]
    if not names:
        raise EngageError(f"--finetune lora: no queries and values found in the encoder '{getattr(tower, 'name', '?')}'")
    for parameter in tower.parameters():
        parameter.requires_grad_(False)
    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, lora_dropout=LORA_DROPOUT, target_modules=names)
    inject_adapter_in_model(config, tower)
