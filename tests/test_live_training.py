"""Encoders in the loop: the study's recipes end to end on tiny checkpoints of the real classes, and what learns when."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from engage_cli.config.general import EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.recipes import RECIPES, resolve
from engage_cli.config.training import TrainConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.leakage import known_before
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import WrongCallError
from engage_cli.models.neural.finetuning import layers_of, make_towers, parameter_groups, parse_finetune, train_mode
from engage_cli.models.neural.fusion import FUSIONS
from engage_cli.models.neural.model import EngagementModel, seed_everything
from engage_cli.models.neural.training._validation import outputs_of
from engage_cli.models.neural.training.batches import Cut, StoredBatches
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.image_text_batches import LiveBatches
from engage_cli.models.predictor import load_predictor
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.embed import make_encoder, stored_blocks
from engage_cli.steps.inputs.contents import DatasetContents
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.sample import write_sample
from tests.calls import answer, engage
from tests.test_cli import CLASSIFIER_FILES, REGRESSOR_FILES, files_in

CPU = torch.device("cpu")
PAIRS = [("siglip", "deberta"), ("clip", "deberta"), ("vit", "bert")]
COMMANDS = {"train-regressor": REGRESSOR_FILES, "train-classifier": CLASSIFIER_FILES}
# Parts of checkpoints that tokens do not pass through on their way to a fusion, and the keys' biases, which softmax undoes.
UNREACHED = (
    "vision.model.head.",
    "post_layernorm",
    "projection",
    "mask_token",
    "k_proj.bias",
    "key.bias",
    "key_proj.bias",
    ".absent",
)
FEW = ["--epochs", 2, "--width", 16, "--heads", 2, "--layers", 1, "--lr", 1e-3]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """70 posts: fewer steps to train than with the suite's 150."""
    place = tmp_path_factory.mktemp("small")
    write_sample(place / "pixelrec", rows=70, seed=3)
    return prepare(
        PrepareConfig(), folder=place / "data", sources=[Source(path=place / "pixelrec", format="pixelrec")]
    ).dataset


def command_of(command: str, pair: tuple[str, str], dataset: Dataset, checkpoints: dict[str, str]) -> list[object]:
    vision, text = (checkpoints[family] for family in pair)
    return [command, "--recipe", "study", "--data", dataset.folder, "--vision", vision, "--text", text, *FEW]


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_study_end_to_end(
    command: str, pair: tuple[str, str], small: Dataset, checkpoints: dict[str, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    found = answer(*command_of(command, pair, small, checkpoints), "--run", run)
    assert found["epochs"] == 2
    assert files_in(run) == COMMANDS[command]
    assert len((run / "history.jsonl").read_text().splitlines()) == 2
    saved = load_run(run)
    assert saved.meta.recipe == "study"
    assert saved.meta.model == "finetuned"
    config = saved.meta.settings(TrainConfig, folder=run)
    assert (config.finetune, config.fusion) == ("full", "study" if command == "train-regressor" else "concat")

    trained = dict(load_predictor(saved).model.named_parameters())
    encoders = EncoderConfig(vision=config.vision, text=config.text, precision="fp32")
    seed_everything(config.seed)
    sides = {side: make_encoder(side, encoders) for side in ("vision", "text")}
    out_dim = 1 if command == "train-regressor" else 5
    fresh = EngagementModel(saved.meta.dims, config, out_dim=out_dim, towers=make_towers(sides, parse_finetune("full")))
    names = {id(parameter): name for name, parameter in fresh.named_parameters()}
    groups = parameter_groups(fresh, config)
    expected = {f"{side} layer {n}" for side in ("vision", "text") for n in (0, 1)} | {"new layers"}
    assert expected <= {group["name"] for group in groups}
    for group in groups:
        still = [names[id(p)] for p in group["params"] if torch.equal(p, trained[names[id(p)]])]
        reached = [name for name in still if not any(word in name for word in UNREACHED)]
        assert not reached, group["name"]
    kept = [names[id(p)] for group in groups for p in group["params"] if torch.equal(p, trained[names[id(p)]])]
    assert len(kept) < 20

    scores = answer("evaluate", run, "--data", small.folder, "--no-report", "--resamples", 5)
    assert set(scores["runs"][0]["metrics"]) >= {"r2" if command == "train-regressor" else "kappa"}
    root = small.images_of("pixelrec")
    image = small.posts["image"][small.posts["image_problem"] == ""].iloc[3]
    post = answer("predict", root / image, "--title", "best pizza", "--run", run)["posts"][0]
    assert post["class"] in ("Very Low", "Low", "Medium", "High", "Very High")


class _KilledError(Exception):
    pass


def test_killed_and_continued_with_encoders_in_the_loop(
    small: Dataset, checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = command_of("train-regressor", ("clip", "bert"), small, checkpoints)
    arguments = [*command, "--epochs", 4, "--flip", "--crop", 0.6]
    answer(*arguments, "--run", tmp_path / "whole")
    monkeypatch.setattr("engage_cli.models.neural.training.loop.SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr("engage_cli.models.neural.training.loop.CHECKPOINT_SHARE", 1e9)
    original, saves = Checkpoints.save, 0

    def save(self: Checkpoints, *given: object) -> None:
        nonlocal saves
        original(self, *given)
        saves += 1
        if saves in (2, 4):
            raise _KilledError

    monkeypatch.setattr(Checkpoints, "save", save)
    for _ in range(2):
        result = engage(*arguments, "--run", tmp_path / "killed", "--json")
        assert isinstance(result.exception, _KilledError)
    found = answer(*arguments, "--run", tmp_path / "killed")
    assert saves > 4
    for name in ("model.safetensors", "history.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert found["metrics"] == json.loads((tmp_path / "whole" / "metrics.json").read_text())["metrics"]


STUDY = {  # spec, section 4, written down a second time
    "train-regressor": {
        "learning_rate": 2e-5, "weight_decay": 0.01, "batch_size": 16, "accumulate": 3, "epochs": 50, "precision": "fp16",
        "schedule": "cosine", "clip_norm": 1.0, "objective": "hybrid", "fusion": "study", "finetune": "full", "patience": 0,
        "vision": "siglip", "text": "deberta", "blocks": "image,title,context", "target": "popularity",
    },
    "train-classifier": {
        "learning_rate": 2e-5, "weight_decay": 0.01, "batch_size": 16, "epochs": 1, "objective": "cross-entropy",
        "finetune": "full", "vision": "vit", "text": "bert", "blocks": "image,text", "target": "engagement",
    },
}  # fmt: skip


@pytest.mark.parametrize("command", STUDY)
def test_the_studys_hyper_parameters_stand_in_run_json(
    command: str, dataset: Dataset, checkpoints: dict[str, str], tmp_path: Path
) -> None:
    given = {"vision": checkpoints["vit"], "text": checkpoints["bert"], "epochs": 1, "width": 16, "heads": 2}
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    answer(command, "--recipe", "study", "--data", dataset.folder, *options, "--run", tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "run.json").read_text())
    assert saved["given"] == given
    expected = {**STUDY[command], **given}
    assert {name: saved["config"][name] for name in expected} == expected
    kind = "value" if command == "train-regressor" else "classes"
    plain = resolve(kind, "study", {}, has_gpu=False).config
    assert {name: getattr(plain, name) for name in STUDY[command]} == STUDY[command]


def test_which_recipe_is_taken() -> None:
    def taken(has_gpu: bool, recipe: str | None = None, **given: object) -> tuple[str, str]:
        resolved = resolve("value", recipe, given, has_gpu=has_gpu)
        return resolved.recipe, resolved.config.finetune

    assert taken(False) == ("frozen", "none")
    assert taken(True) == ("study", "full")
    assert taken(True, finetune="none") == ("frozen", "none")
    assert taken(False, finetune="lora") == ("finetune", "lora")
    assert taken(True, finetune="lora") == ("study", "lora")
    assert taken(False, "finetune") == ("finetune", "top:2")
    assert taken(False, "study", finetune="top:1") == ("study", "top:1")
    assert resolve("classes", "study", {"epochs": 3, "lr": None}, has_gpu=False).given == {"epochs": 3}
    with pytest.raises(WrongCallError, match="unknown --recipe 'x'; give one of: frozen, seeds3, finetune, study"):
        taken(False, "x")
    fields = {field.name for field in dataclasses.fields(TrainConfig)}
    assert all(set(values) <= fields for kinds in RECIPES.values() for values in kinds.values())


def test_every_setting_of_a_training_is_an_option_of_both_trainers() -> None:
    import inspect

    from engage_cli import cli

    for command, missing in ((cli.train_classifier, set()), (cli.train_regressor, {"class_weights"})):
        options = set(inspect.signature(command).parameters)
        assert {field.name for field in dataclasses.fields(TrainConfig)} - options == missing


def encoders_of(checkpoints: dict[str, str], vision: str, text: str) -> dict[str, Encoder]:
    return {
        "vision": Encoder("vision", checkpoints[vision], precision="fp32", dtype="fp32"),
        "text": Encoder("text", checkpoints[text], precision="fp32", dtype="fp32"),
    }


@pytest.mark.parametrize(
    ("vision", "text"), [("vit", "bert"), ("siglip", "deberta"), ("clip", "clip"), ("dinov2", "roberta")]
)
def test_what_learns_in_each_mode(checkpoints: dict[str, str], vision: str, text: str) -> None:
    def learning(mode: str) -> dict[str, set[str]]:
        towers = make_towers(encoders_of(checkpoints, vision, text), parse_finetune(mode))
        return {side: {n for n, p in tower.named_parameters() if p.requires_grad} for side, tower in towers.items()}

    whole, top, lora = learning("full"), learning("top:1"), learning("lora")
    for side in ("vision", "text"):
        assert any("embed" in name for name in whole[side])
        layers, num = layers_of(make_towers(encoders_of(checkpoints, vision, text), parse_finetune("full"))[side])
        assert num == 2
        assert any(name.startswith(f"{layers}.1.") for name in top[side])
        assert not any(name.startswith(f"{layers}.0.") or "embed" in name for name in top[side])
        assert top[side] < whole[side]
        assert {name.rpartition("lora_")[2][0] for name in lora[side]} == {"A", "B"}
        assert len(lora[side]) == 2 * 2 * 2  # two matrices for queries and values in two layers
    with pytest.raises(WrongCallError, match="has 2 layers"):
        learning("top:3")


def test_frozen_parts_stay_in_eval_mode(checkpoints: dict[str, str]) -> None:
    config = TrainConfig(finetune="top:1", width=8, heads=2)
    towers = make_towers(encoders_of(checkpoints, "vit", "bert"), parse_finetune("top:1"))
    model = EngagementModel({"image": 32, "title": 32}, config, out_dim=1, towers=towers)
    train_mode(model)
    modes = {name: module.training for name, module in model.named_modules()}
    assert not modes["towers.text.model.embeddings.dropout"]
    assert not modes["towers.text.model.encoder.layer.0.output.dropout"]
    assert modes["towers.text.model.encoder.layer.1.output.dropout"]
    assert modes["head"]


def test_learning_rates_by_depth(checkpoints: dict[str, str]) -> None:
    config = TrainConfig(
        finetune="full", learning_rate=1.0, head_lr=7.0, layer_decay=0.5, weight_decay=0.1, width=8, heads=2
    )
    towers = make_towers(encoders_of(checkpoints, "vit", "bert"), parse_finetune("full"))
    model = EngagementModel({"image": 32, "title": 32}, config, out_dim=1, towers=towers)
    rates = {group["name"]: (group["rate"], group["weight_decay"]) for group in parameter_groups(model, config)}
    assert rates["new layers"] == (7.0, 0.1)
    assert rates["new layers, norms and biases"] == (7.0, 0.0)
    assert rates["vision layer 1"] == rates["text layer 1"] == (1.0, 0.1)
    assert rates["vision layer 0"] == (0.5, 0.1)
    assert rates["text embeddings"] == (0.25, 0.1)
    assert rates["vision layer 0, norms and biases"] == (0.5, 0.0)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(("vision", "text"), [("vit", "bert"), ("siglip", "deberta"), ("clip", "clip")])
def test_a_live_tower_gives_what_the_store_holds(
    fusion: str, vision: str, text: str, dataset: Dataset, checkpoints: dict[str, str]
) -> None:
    tokens = 4 if FUSIONS.load(fusion).reads_tokens else 0
    config = EncoderConfig(
        vision=checkpoints[vision], text=checkpoints[text], precision="fp32", dtype="fp32", tokens=tokens
    )
    blocks = ["image", "title", "context"]
    posts = known_before(dataset.posts)
    stored = stored_blocks(dataset, config, blocks).blocks(posts, blocks)
    how = TrainConfig(fusion=fusion, width=16, heads=2, layers=1)
    towers = make_towers({side: make_encoder(side, config) for side in ("vision", "text")}, parse_finetune("full"))
    wanted, cut = torch.zeros(len(posts)), Cut(batch_size=16)
    live = LiveBatches(towers, blocks, DatasetContents(dataset).contents(posts, blocks), wanted, cut, device=CPU, workers=0)
    kept = StoredBatches(stored, wanted, cut, reads_tokens=bool(tokens), device=CPU)
    dims = {name: block.values.shape[-1] for name, block in next(kept.epoch(0)).blocks.items() for block in [block]}
    torch.manual_seed(0)
    model = EngagementModel(dims, how, out_dim=2, towers=towers, num_tokens=tokens)
    from_live, from_store = (outputs_of(model, batches, 2, CPU) for batches in (live, kept))
    torch.testing.assert_close(from_live, from_store, atol=2e-4, rtol=1e-3)
    assert from_live.std(dim=0).min() > 1e-3


@pytest.mark.parametrize("mode", ["top:1", "lora"])
def test_small_modes_train_evaluate_and_keep_little(
    mode: str, dataset: Dataset, checkpoints: dict[str, str], tmp_path: Path
) -> None:
    common = ["--data", dataset.folder, "--vision", checkpoints["vit"], "--text", checkpoints["bert"]]
    small = ["--width", 16, "--epochs", 2, "--checkpointing", "--fusion", "attention", "--modality-dropout", 0.2]
    found = answer("train-regressor", *common, "--finetune", mode, *small, "--run", tmp_path / "run")
    assert 0 < found["trained_parameters"] < found["parameters"]
    from safetensors import safe_open

    with safe_open(tmp_path / "run" / "model.safetensors", "pt") as file:
        names = list(file.keys())
    of_encoders = [name for name in names if name.startswith("towers.")]
    assert of_encoders
    if mode == "lora":
        assert all("lora_" in name for name in of_encoders)
    else:
        assert not any("embeddings" in name or ".layers.0." in name or ".layer.0." in name for name in of_encoders)
    on_validation = answer(
        "evaluate", tmp_path / "run", "--data", dataset.folder, "--split", "validation", "--no-report", "--resamples", 2
    )
    value = on_validation["runs"][0]["metrics"]["r2"]["value"]
    assert value == pytest.approx(found["metrics"]["r2"], abs=1e-5)  # the kept weights are the ones that were scored


def test_a_quantile_run_gives_intervals(dataset: Dataset, encoders: EncoderConfig, tmp_path: Path) -> None:
    common = ["--data", dataset.folder, "--vision", encoders.vision, "--text", encoders.text, "--target", "views"]
    answer("train-regressor", *common, "--objective", "quantile", "--epochs", 3, "--run", tmp_path / "run")
    root = dataset.images_of("pixelrec")
    image = root / dataset.posts["image"][dataset.posts["image_problem"] == ""].iloc[3]
    post = answer("predict", image, "--title", "best pizza", "--run", tmp_path / "run")["posts"][0]
    low, high = post["interval_80"]
    assert low < post["value"] < high
    saved = json.loads((tmp_path / "run" / "calibration.json").read_text())["calibration"]
    assert saved["usual_spread"] != 1.0  # residuals are in units of the spread that it predicts
    shown = engage("predict", image, "--title", "best pizza", "--run", tmp_path / "run").stdout
    assert "  80 % interval: " in shown


def test_a_learning_rate_turned_up_until_it_collapses(dataset: Dataset, encoders: EncoderConfig, tmp_path: Path) -> None:
    common = ["--data", dataset.folder, "--vision", encoders.vision, "--text", encoders.text, "--fusion", "concat"]
    high = ["--lr", 30, "--clip-norm", 0, "--epochs", 2, "--schedule", "constant", "--warmup", 0]
    result = engage("train-classifier", *common, *high, "--run", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert "the classifier has collapsed; try a smaller --learning-rate" in result.stderr
    assert "the classifier has collapsed" in result.stdout
    assert "collapsed" in json.loads((tmp_path / "run" / "metrics.json").read_text())["collapse"]


@pytest.mark.parametrize("vision", ["vit", "siglip", "siglip2", "clip", "dinov2", "registers"])
@pytest.mark.parametrize("text", ["bert"])
def test_gradients_end_at_the_lowest_layer_that_learns_in_images(
    vision: str, text: str, dataset: Dataset, checkpoints: dict[str, str]
) -> None:
    no_gradient_below(dataset, checkpoints, vision, text, "vision", ["image"])


@pytest.mark.parametrize("text", ["bert", "roberta", "deberta", "clip", "siglip"])
def test_gradients_end_at_the_lowest_layer_that_learns_in_texts(
    text: str, dataset: Dataset, checkpoints: dict[str, str]
) -> None:
    no_gradient_below(dataset, checkpoints, "vit", text, "text", ["title"])


def no_gradient_below(
    dataset: Dataset, checkpoints: dict[str, str], vision: str, text: str, side: str, blocks: list[str]
) -> None:
    towers = make_towers(encoders_of(checkpoints, vision, text), parse_finetune("top:1"))
    layers, _ = layers_of(towers[side])
    found: list[bool] = []
    first = towers[side].get_submodule(f"{layers}.0")
    first.register_forward_hook(
        lambda module, given, output: found.append((output[0] if isinstance(output, tuple) else output).requires_grad)
    )
    posts = known_before(dataset.posts.head(4))
    contents = DatasetContents(dataset).contents(posts, blocks)
    batches = LiveBatches(towers, blocks, contents, torch.zeros(4), Cut(batch_size=4), device=CPU, workers=0)
    config = TrainConfig(finetune="top:1", fusion="attention", width=8, heads=2)
    model = EngagementModel({blocks[0]: towers[side].dim}, config, out_dim=1, towers=towers)
    train_mode(model)
    outputs = model(next(batches.epoch(0)).blocks)
    assert outputs.requires_grad
    assert found == [False]


def test_tokens_and_positions_do_not_decay(checkpoints: dict[str, str]) -> None:
    config = TrainConfig(finetune="full", weight_decay=0.1, width=8, heads=2)
    for vision in ("dinov2", "registers", "siglip", "clip", "vit"):
        towers = make_towers(encoders_of(checkpoints, vision, "bert"), parse_finetune("full"))
        model = EngagementModel({"image": 32, "title": 32}, config, out_dim=1, towers=towers)
        names = {id(p): name for name, p in model.named_parameters()}
        decaying = [names[id(p)] for g in parameter_groups(model, config) if g["weight_decay"] for p in g["params"]]
        assert not [n for n in decaying if any(word in n for word in ("_token", "position_emb", "probe", "class_emb"))]
        assert any("patch_embed" in name for name in decaying)
