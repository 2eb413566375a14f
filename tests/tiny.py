"""Tiny random checkpoints of the real classes, saved as a user's local folders would be."""

from __future__ import annotations

import json
from pathlib import Path

import torch

WORDS = ["pizza", "cat", "car", "mountain", "you", "must", "try", "this", "best", "ever", "a", "the", "of", "food"]
HIDDEN = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


FAMILIES = ("clip", "siglip", "siglip2", "vit", "dinov2", "registers", "bert", "roberta", "deberta")


def make_checkpoint(family: str, folder: Path) -> Path:
    """Write a tiny checkpoint of a family (one of FAMILIES) with its processors."""
    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    {
        "clip": _clip,
        "siglip": _siglip,
        "siglip2": _siglip2,
        "vit": _vit,
        "dinov2": _dinov2,
        "registers": _registers,
        "bert": _bert,
        "roberta": _roberta,
        "deberta": _deberta,
    }[family](folder)
    return folder


def _images(folder: Path, kind: str, pixels: int, **more: object) -> None:
    processor = {
        "image_processor_type": kind,
        "do_resize": True,
        "size": {"height": pixels, "width": pixels},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.5, 0.4, 0.3],
        **more,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def _word_tokenizer(folder: Path, *, end: str, cls: str | None, limit: int, names: list[str]) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    # CLIP finds the end of a text by the highest id: the end token stands last.
    vocab = {token: i for i, token in enumerate(["[PAD]", "[UNK]", *([cls] if cls else []), *WORDS, end])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {end}" if cls else f"$A {end}",
        special_tokens=[(token, vocab[token]) for token in (cls, end) if token],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token=end,
        model_max_length=limit,
        model_input_names=names,
    ).save_pretrained(folder)


def _clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    end = 3 + len(WORDS)
    text = CLIPTextConfig(
        vocab_size=end + 1, max_position_embeddings=16, projection_dim=24, eos_token_id=end, bos_token_id=2, **HIDDEN
    )
    vision = CLIPVisionConfig(image_size=32, patch_size=16, projection_dim=24, **HIDDEN)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=24)
    CLIPModel(config).save_pretrained(folder)
    _images(
        folder, "CLIPImageProcessor", 32, do_center_crop=True, crop_size={"height": 32, "width": 32},
        size={"shortest_edge": 32}, do_convert_rgb=True,
    )  # fmt: skip
    _word_tokenizer(folder, end="[EOS]", cls="[BOS]", limit=16, names=["input_ids", "attention_mask"])


def _siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipModel, SiglipTextConfig, SiglipVisionConfig

    text = SiglipTextConfig(vocab_size=32, max_position_embeddings=64, projection_size=32, **HIDDEN)
    vision = SiglipVisionConfig(image_size=32, patch_size=16, **HIDDEN)
    SiglipModel(SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())).save_pretrained(folder)
    _images(folder, "SiglipImageProcessor", 32)
    _word_tokenizer(folder, end="[EOS]", cls=None, limit=64, names=["input_ids"])


def _siglip2(folder: Path) -> None:
    """NaFlex: every image keeps its shape and has its own number of patches."""
    from transformers import Siglip2Config, Siglip2Model, Siglip2TextConfig, Siglip2VisionConfig

    text = Siglip2TextConfig(vocab_size=32, max_position_embeddings=64, projection_size=32, **HIDDEN)
    vision = Siglip2VisionConfig(num_patches=16, patch_size=16, **HIDDEN)
    Siglip2Model(Siglip2Config(text_config=text.to_dict(), vision_config=vision.to_dict())).save_pretrained(folder)
    processor = {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 16, "max_num_patches": 16}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    _word_tokenizer(folder, end="[EOS]", cls=None, limit=64, names=["input_ids"])


def _vit(folder: Path) -> None:
    from transformers import ViTConfig, ViTModel

    ViTModel(ViTConfig(image_size=32, patch_size=16, **HIDDEN), add_pooling_layer=False).save_pretrained(folder)
    _images(folder, "ViTImageProcessor", 32)


def _dinov2(folder: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(
        image_size=32, patch_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2
    )
    Dinov2Model(config).save_pretrained(folder)
    _images(
        folder, "BitImageProcessor", 32, do_center_crop=True, crop_size={"height": 32, "width": 32},
        size={"shortest_edge": 36}, do_convert_rgb=True,
    )  # fmt: skip


def _registers(folder: Path) -> None:
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    config = Dinov2WithRegistersConfig(
        image_size=32, patch_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2,
        num_register_tokens=3,
    )  # fmt: skip
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    _images(folder, "BitImageProcessor", 32, resample=2, do_convert_rgb=True, do_center_crop=False)


def _roberta(folder: Path) -> None:
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(vocab_size=32, max_position_embeddings=34, pad_token_id=0, **HIDDEN)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    _word_tokenizer(folder, end="</s>", cls="<s>", limit=33, names=["input_ids", "attention_mask"])
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        '{"word_embedding_dimension": 32, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )


def _bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(vocab_size=32, max_position_embeddings=64, **HIDDEN), add_pooling_layer=False).save_pretrained(
        folder
    )
    _word_tokenizer(folder, end="[SEP]", cls="[CLS]", limit=64, names=["input_ids", "attention_mask"])


def _deberta(folder: Path) -> None:
    from transformers import DebertaV2Config, DebertaV2Model, DebertaV2Tokenizer

    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    pieces = [*specials, *("▁" + word for word in WORDS), "▁", *"abcdefghijklmnopqrstuvwxyz"]
    DebertaV2Tokenizer(vocab=[(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=3).save_pretrained(folder)
    config = DebertaV2Config(
        vocab_size=len(pieces), max_position_embeddings=64, relative_attention=True, position_buckets=16,
        pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", share_att_key=True, position_biased_input=False, **HIDDEN,
    )  # fmt: skip
    DebertaV2Model(config).save_pretrained(folder)
