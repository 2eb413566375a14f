"""`engage embed` beside the limit of the arithmetic and beside what one would write or install instead, in one run.

bare      the forward alone, on tensors that are ready (texts sorted by length), in the fastest precision, attention,
          batch size and layout of threads that a search finds: the limit
engage    files in, the written store out: reading, decoding or tokenising, the tower, writing
sentence-transformers   encode() on opened images or strings, as it comes, and with the best settings of a search
plain     a loop over a DataLoader with the checkpoint's processor, as it comes, and with the best of a search
clip-retrieval          its Reader, mapper and writer, where it is installed

Every contender lives in a process of its own, loads its model before the clock starts, and gets the same images or titles
in turns, so that a machine that slows down slows all of them. Ratios are of one round each; shown are their median, lowest
and highest. Real posts where ENGAGE_REAL_POSTS names a folder, drawn ones elsewhere; DINOv2-small and MiniLM with their
weights, CLIP ViT-B/32 and SigLIP-base with random ones.

python benchmarks/embed.py [--only dinov2-small,minilm,clip-b32,siglip-base] [--rounds 4] [--share 1.0]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

SEARCH = {"vision": 64, "text": 2048}  # contents on which the best settings are looked for
CLIP_RETRIEVAL = "clip-retrieval"


class Case(NamedTuple):
    side: str
    family: str  # a packaged encoder, or a config of transformers with random weights
    per_round: int


CASES = {
    "dinov2-small": Case("vision", "dinov2-small", 500),
    "minilm": Case("text", "minilm", 5900),
    "clip-b32": Case("vision", "CLIP", 500),
    "siglip-base": Case("vision", "Siglip", 125),
}
CONTENDERS = (
    "bare",
    "engage",
    "sentence-transformers, default",
    "sentence-transformers, best",
    "plain loop, default",
    "plain loop, best",
)
Work = Callable[[Sequence[Any]], object]  # paths of images or texts


# --- the contenders, each in a process of its own ---


def bare(case: Case, folder: Path, contents: Sequence[Any]) -> tuple[Work, str]:
    """Tensors are made by engage's own preprocessing, before the clock starts."""
    import torch

    from engage_cli.encoders._checkpoints import find_checkpoint
    from engage_cli.encoders.text import TextTower
    from engage_cli.encoders.vision import VisionTower
    from engage_cli.runtime.devices import PRECISIONS, choose_precision, matmul_precision

    device = torch.device("cpu")
    dtype = PRECISIONS[choose_precision("auto", device)]
    torch.set_float32_matmul_precision(matmul_precision(device))
    tower = (VisionTower if case.side == "vision" else TextTower)(find_checkpoint(case.side, str(folder)), dtype)

    def ready(some: Sequence[Any], size: int) -> list[dict[str, torch.Tensor]]:
        if isinstance(tower, TextTower):
            ids = sorted(tower.tokenize(some).ids, key=len, reverse=True)
            return [tower.pad(ids[start : start + size]) for start in range(0, len(ids), size)]
        pixels = tower.prepare([open_rgb(path) for path in some])["pixel_values"]
        return [{"pixel_values": part} for part in tower.pixels.normalise(pixels, dtype).contiguous().split(size)]

    def forward(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            return tower.pool(tower(**batch))

    cores = os.cpu_count() or 1
    sizes = (8, 16, 32) if case.side == "vision" else (128, 64, 32)
    layouts = ((cores, 1), (1, cores)) if cores > 1 else ((1, 1),)
    batches: list[dict[str, torch.Tensor]] = []

    def run(settings: tuple[int, str, tuple[int, int]]) -> None:
        _, attention, (workers, threads) = settings
        tower.model.set_attn_implementation(attention)
        torch.set_num_threads(threads)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(forward, batches))

    def prepare(some: Sequence[Any], settings: tuple[int, str, tuple[int, int]]) -> None:
        batches[:] = ready(some, settings[0])

    best, words = search([sizes, ("sdpa", "eager"), layouts], lambda o: prepare(contents, o), run)
    return Untimed(lambda some: prepare(some, best), lambda: run(best)), f"{str(dtype)[6:]}, {words}"


class Untimed:
    """Work with a part before the clock starts."""

    def __init__(self, prepare: Callable[[Sequence[Any]], None], run: Callable[[], None]) -> None:
        self.prepare, self.run = prepare, run

    def __call__(self, some: Sequence[Any]) -> None:
        self.run()


def engage(case: Case, folder: Path, contents: Sequence[Any], data: Path) -> tuple[Work, str]:
    from engage_cli.config.general import EmbedConfig
    from engage_cli.data.dataset import load_dataset
    from engage_cli.embeddings.store import FeatureStore
    from engage_cli.encoders.encoder import Encoder
    from engage_cli.steps.embed._shards import SHARD_SIZE, Contents, Shard, write_shards

    dataset = load_dataset(data)
    encoder = Encoder(case.side, str(folder))
    of_posts = Contents(dataset, ["image" if case.side == "vision" else "title"])
    names = dataset.posts["image"] if case.side == "vision" else dataset.posts["title"]
    key_of = dict(zip(names, of_posts.keys, strict=True))
    store = FeatureStore(dataset.features_dir, encoder)
    assert encoder.tower

    def work(some: Sequence[Any]) -> None:
        keys = [key_of[one.name if case.side == "vision" else one] for one in some]
        size, numbers = SHARD_SIZE[case.side], store.free_numbers()
        shards = [Shard(next(numbers), keys[start : start + size]) for start in range(0, len(keys), size)]
        write_shards(store, of_posts, shards, EmbedConfig())

    work(contents[: SEARCH[case.side] // 4])
    return work, f"{encoder.precision}, defaults"


def sentence_transformers(case: Case, folder: Path, contents: Sequence[Any], best: bool) -> tuple[Work, str]:
    import torch
    from sentence_transformers import SentenceTransformer

    def load(dtype: str) -> Any:
        return SentenceTransformer(str(folder), device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)})

    def encode(model: Any, some: Sequence[Any], size: int) -> None:
        inputs = [open_rgb(path) for path in some] if case.side == "vision" else list(some)
        model.encode(inputs, batch_size=size, show_progress_bar=False)

    if not best:
        model = load("float32")
        encode(model, contents[:32], 32)
        return lambda some: encode(model, some, 32), "float32, batch size 32"
    models = {dtype: load(dtype) for dtype in ("float32", "bfloat16")}
    sizes = (16, 8, 32) if case.side == "vision" else (64, 32, 128)
    chosen, words = search([list(models), sizes], lambda o: None, lambda o: encode(models[o[0]], contents, o[1]))
    return lambda some: encode(models[chosen[0]], some, chosen[1]), words


def plain_loop(case: Case, folder: Path, contents: Sequence[Any], best: bool) -> tuple[Work, str]:
    import torch
    import transformers
    from torch.utils.data import DataLoader

    is_vision = case.side == "vision"
    if is_vision:
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def collate(some: list[Any]) -> dict[str, torch.Tensor]:
        if is_vision:
            return dict(processor(images=[open_rgb(path) for path in some], return_tensors="pt"))
        return dict(tokenizer(some, padding=True, truncation=True, max_length=256, return_tensors="pt"))

    def load(dtype: torch.dtype) -> Any:
        return transformers.AutoModel.from_pretrained(folder, dtype=dtype).eval()

    def forward(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if is_vision:
            batch["pixel_values"] = batch["pixel_values"].to(model.dtype)
            if hasattr(model, "get_image_features"):
                return model.get_image_features(**batch).pooler_output
            return model(**batch).last_hidden_state[:, 0]
        tokens, mask = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
        return (tokens * mask).sum(dim=1) / mask.sum(dim=1)

    def run(model: Any, some: Sequence[Any], size: int, workers: int, ordered: bool) -> None:
        items = sorted(some, key=len) if ordered and not is_vision else list(some)
        with torch.inference_mode():
            for batch in DataLoader(items, batch_size=size, num_workers=workers, collate_fn=collate):  # type: ignore[arg-type]
                forward(model, batch).float().numpy()

    if not best:
        model = load(torch.float32)
        run(model, contents[:32], 32, 0, False)
        return lambda some: run(model, some, 32, 0, False), "float32, batch size 32, DataLoader as it comes"
    models = {"float32": load(torch.float32), "bfloat16": load(torch.bfloat16)}
    # A tokenizer that ran before a worker is forked leaves it hanging: texts are tokenised in the loop's own process.
    settings = [list(models), (16, 8, 32) if is_vision else (64, 32, 128), (0, 1, 2) if is_vision else (0,)]
    chosen, words = search(settings, lambda o: None, lambda o: run(models[o[0]], contents, o[1], o[2], True))
    return lambda some: run(models[chosen[0]], some, chosen[1], chosen[2], True), f"{words} workers"


def clip_retrieval(case: Case, folder: Path, contents: Sequence[Any]) -> tuple[Work, str]:
    """It takes folders of images, and checkpoints of CLIP alone."""
    import shutil

    from clip_retrieval import clip_inference  # type: ignore[import-not-found]

    def work(some: Sequence[Any]) -> None:
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "in").mkdir()
            for path in some:
                shutil.copy(path, Path(place) / "in")
            clip_inference(
                input_dataset=f"{place}/in", output_folder=f"{place}/out", clip_model=f"hf_clip:{folder}", enable_text=False
            )

    return work, "defaults, loading its model included"


# --- what they share ---


def open_rgb(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def search(
    settings: Sequence[Sequence[Any]], prepare: Callable[[Any], None], run: Callable[[Any], None]
) -> tuple[Any, str]:
    """Return the fastest settings, found one after the other with the others held, and how they read."""

    def timed(option: tuple[Any, ...]) -> float:
        prepare(option)
        run(option)
        return min(seconds(lambda: run(option)) for _ in range(2))

    best = tuple(values[0] for values in settings)
    for position, values in enumerate(settings):
        options = [(*best[:position], value, *best[position + 1 :]) for value in values]
        best = min(options, key=timed)
    return best, ", ".join(f"{part[0]} x {part[1]} threads" if isinstance(part, tuple) else str(part) for part in best)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def worker(name: str, case: Case, folder: Path, place: Path) -> None:
    """Answer rounds, given on stdin as lines of JSON, by their seconds."""
    contents = load_contents(place, case)[: SEARCH[case.side]]
    kind, _, settings = name.partition(", ")
    if kind == "bare":
        work, words = bare(case, folder, contents)
    elif kind == "engage":
        work, words = engage(case, folder, contents, place / "data")
    elif kind == CLIP_RETRIEVAL:
        work, words = clip_retrieval(case, folder, contents)
    else:
        make = sentence_transformers if kind == "sentence-transformers" else plain_loop
        work, words = make(case, folder, contents, settings == "best")
    answer = os.fdopen(int(os.environ["ANSWER"]), "w")
    print(json.dumps(words), file=answer, flush=True)
    for line in sys.stdin:
        first, last = json.loads(line)
        some = load_contents(place, case)[first:last]
        if isinstance(work, Untimed):
            work.prepare(some)
        print(json.dumps(seconds(lambda some=some: work(some))), file=answer, flush=True)


def load_contents(place: Path, case: Case) -> list[Any]:
    if case.side == "text":
        return list(json.loads((place / "titles.json").read_text(encoding="utf-8")))
    return [Path(path) for path in json.loads((place / "images.json").read_text(encoding="utf-8"))]


class Contender:
    """A worker's process."""

    def __init__(self, name: str, case_name: str, folder: Path, place: Path) -> None:
        ours, theirs = os.pipe()
        command = [sys.executable, __file__, "--worker", name, "--only", case_name, "--folder", folder, "--place", place]
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(place / "stderr.txt").open("w"),
            text=True,
            pass_fds=[theirs],
            env={**os.environ, "ANSWER": str(theirs), "HF_HUB_OFFLINE": "1"},
        )
        os.close(theirs)
        self.answers = os.fdopen(ours)
        self.settings = self._answer(place)

    def go(self, first: int, last: int, place: Path) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([first, last]) + "\n")
        self.process.stdin.flush()
        return float(self._answer(place))

    def _answer(self, place: Path) -> Any:
        line = self.answers.readline()
        if not line:
            raise SystemExit((place / "stderr.txt").read_text()[-2000:])
        return json.loads(line)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def prepare_posts(place: Path) -> None:
    """Prepare the posts once, and write down their images and titles."""
    from engage_cli.config.preparation import PrepareConfig
    from engage_cli.steps.prepare import prepare
    from engage_cli.steps.prepare.import_posts import Source
    from engage_cli.steps.sample import write_sample

    real = os.environ.get("ENGAGE_REAL_POSTS")
    if real:
        source = Source(path=Path(real) / "posts.csv", images=Path(real) / "images")
    else:
        write_sample(place / "sample", rows=2500)
        source = Source(path=place / "sample", format="pixelrec")
    dataset = prepare(PrepareConfig(split="random"), folder=place / "data", sources=[source]).dataset
    posts = dataset.posts[dataset.posts["image_problem"] == ""].drop_duplicates("image_hash")
    root = dataset.images_of(str(posts["source"].iloc[0]))
    assert root is not None
    (place / "images.json").write_text(json.dumps([str(root / name) for name in posts["image"]]))
    titles = [title for title in dict.fromkeys(dataset.posts["title"]) if title]
    titles = titles * -(-10_000 // len(titles)) if not real else titles  # drawn titles repeat
    (place / "titles.json").write_text(json.dumps(titles))


def find_folder(case: Case, place: Path) -> Path:
    """Return the checkpoint: packaged, or made with random weights at its real size."""
    import shutil

    import transformers

    from engage_cli.encoders.packaged import PACKAGED, packaged_folder

    if case.family in PACKAGED:
        return packaged_folder(case.family)
    folder = place / case.family
    transformers.utils.logging.disable_progress_bar()
    model = getattr(transformers, f"{case.family}Model")(getattr(transformers, f"{case.family}Config")())
    model.save_pretrained(folder)
    processor = {"size": {"height": 224, "width": 224}} if case.family == "Siglip" else {}
    kind = {"image_processor_type": f"{case.family if case.family == 'Siglip' else 'CLIP'}ImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(kind | processor))
    for file in (
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ):  # for those that load a text side too
        shutil.copy(packaged_folder("minilm") / file, folder)
    return folder


def bench(name: str, case: Case, rounds: int, place: Path) -> dict[str, Any]:
    folder = find_folder(case, place)
    names = [*CONTENDERS, *([CLIP_RETRIEVAL] if importlib.util.find_spec("clip_retrieval") and name == "clip-b32" else [])]
    contenders: dict[str, Contender] = {}
    num_contents = len(load_contents(place, case))
    times: dict[str, list[float]] = {contender: [] for contender in names}
    for contender in names:
        contenders[contender] = Contender(contender, name, folder, place)
    for number in range(rounds):
        for contender in names if number % 2 == 0 else reversed(names):
            first = (number * case.per_round) % (num_contents - case.per_round + 1)
            times[contender].append(contenders[contender].go(first, first + case.per_round, place))
    for contender in contenders.values():
        contender.end()
    what = "images" if case.side == "vision" else "titles"
    print(f"\n{name}: {rounds} rounds of {case.per_round:,} {what}")
    print(f"  {'':<31}{what + '/s':>10}   of the bare forward   engage is           settings")
    for contender in names:
        per_second = case.per_round / median(times[contender])
        of_bare = spread([b / t for b, t in zip(times["bare"], times[contender], strict=True)])
        faster = spread([t / e for e, t in zip(times["engage"], times[contender], strict=True)])
        shown = "" if contender == "engage" else f"{faster} x"
        print(
            f"  {contender:<31}{per_second:>10,.1f}   {of_bare:<20}  {shown:<18}  {contenders[contender].settings}",
            flush=True,
        )
    return {"case": name, "per_round": case.per_round, "seconds": times}


def spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def chosen(only: str) -> Iterator[str]:
    for name in only.split(",") if only else CASES:
        if name not in CASES:
            raise SystemExit(f"unknown case '{name}'; there are: {', '.join(CASES)}")
        yield name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases, separated by commas")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--share", type=float, default=1.0, help="of each round's images or titles")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        worker(asked.worker, CASES[asked.only], asked.folder, asked.place)
        return
    with tempfile.TemporaryDirectory() as place:
        prepare_posts(Path(place))
        for name in chosen(asked.only):
            case = CASES[name]
            bench(name, case._replace(per_round=max(1, int(case.per_round * asked.share))), asked.rounds, Path(place))


if __name__ == "__main__":
    main()
