"""kill -9 at any moment, and the same command again: the same store, byte for byte, and little work done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from engage_cli.config.general import EmbedConfig, EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.steps.embed import _shards as embed_shards
from engage_cli.steps.embed import embed
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from tests import forked, warm

NUM_KILLS, SHARD_SIZE = 25, 16
HOW = EmbedConfig(batch_size="4")


def killed_again_and_again(folder: str, vision: str, text: str, log: str) -> None:
    """Fork a child for every attempt; every batch that a tower did is noted down, in a file that survives the kill."""
    import engage_cli.embeddings.pipeline as pipeline

    embed_shards.SHARD_SIZE.update(vision=SHARD_SIZE, text=SHARD_SIZE)
    encode, store, noted = pipeline.Pipeline._encode, Path(folder) / "features", Path(log)
    rng, attempts, kills = random.Random(0), [], 0
    while True:
        note = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        before = len(list(store.glob("*/shard-*.safetensors")))
        # Every third dies while it starts, the others at a moment of their work, however fast the machine is.
        wanted = 0 if kills % 3 == 0 else rng.randrange(1, 16)
        after = rng.uniform(0, 0.03) if wanted else rng.uniform(0.02, 0.2)
        child = os.fork()
        if child == 0:
            warm.mend_threads()

            def encode_and_note(self: pipeline.Pipeline, prepared: Any) -> Any:
                outputs = encode(self, prepared)
                os.write(note, b"%d\n" % len(next(iter(prepared.values()))))  # noqa: B023
                if kills < NUM_KILLS and 0 < wanted <= len(noted.read_text().split()):  # noqa: B023
                    die_after(after)  # noqa: B023
                return outputs

            pipeline.Pipeline._encode = encode_and_note  # type: ignore[method-assign]
            if kills < NUM_KILLS and not wanted:
                die_after(after)
            embed(load_dataset(Path(folder)), EncoderConfig(vision=vision, text=text), how=HOW)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        os.close(note)
        shards = len(list(store.glob("*/shard-*.safetensors"))) - before
        attempts.append({"encoded": sum(map(int, noted.read_text().split())), "shards": shards})
        if os.WIFSIGNALED(status):
            kills += 1
        elif kills == NUM_KILLS:
            break
        else:  # it ended before the kill: begin anew
            for path in store.glob("*/*"):
                path.unlink()
    print(json.dumps({"kills": kills, "attempts": attempts}))


def die_after(seconds: float) -> None:
    """The system kills the process then, wherever it is: Python does not hear of this signal."""
    if not signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, seconds or 1e-6)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.skipif(sys.platform != "linux", reason="it forks")
def test_25_kills_leave_the_store_of_one_run(
    pixelrec: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(PrepareConfig(), folder=tmp_path / "whole", sources=[Source(path=pixelrec)])
    prepare(PrepareConfig(), folder=tmp_path / "killed", sources=[Source(path=pixelrec)])
    done = forked.run(killed_again_and_again, tmp_path / "killed", encoders.vision, encoders.text, tmp_path / "log")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["kills"] == NUM_KILLS
    twice = [max(0, one["encoded"] - one["shards"] * SHARD_SIZE) for one in answer["attempts"][:-1]]
    assert sum(twice) <= NUM_KILLS * SHARD_SIZE, twice
    assert sum(1 for one in answer["attempts"] if one["shards"]) > 3  # the kills hit while shards were written

    monkeypatch.setattr(embed_shards, "SHARD_SIZE", {"vision": SHARD_SIZE, "text": SHARD_SIZE})
    for summary in embed(load_dataset(tmp_path / "whole"), encoders, how=HOW):
        killed = tmp_path / "killed" / "features" / summary.folder.name
        assert files_of(summary.folder) == files_of(killed)
