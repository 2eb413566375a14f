"""kill -9 at any moment, and the same command again: the same store, byte for byte, and little work done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.steps.embed import _shards as embed_shards
from engage_cli.steps.embed import embed
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source

NUM_KILLS, SHARD_SIZE, BATCH_SIZE = 25, 16, 4

# One process imports everything, then forks a child for every attempt: 25 starts of torch would take two minutes.
# Every batch that a tower did is noted down, in a file that survives the kill.
DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import engage_cli.embeddings.pipeline as pipeline
from engage_cli.config.general import EmbedConfig, EncoderConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.steps.embed import _shards as embed_shards
from engage_cli.steps.embed import embed
import transformers.models.vit.modeling_vit, transformers.models.bert.modeling_bert, catboost, sklearn.metrics

folder, vision, text, log, num_kills, shard_size, batch_size = Path(sys.argv[1]), *sys.argv[2:5], *map(int, sys.argv[5:])
embed_shards.SHARD_SIZE.update(vision=shard_size, text=shard_size)
encode = pipeline.Pipeline._encode

def noted(self, prepared):
    outputs = encode(self, prepared)
    time.sleep(0.02)  # tiny towers are too fast to be killed at their work
    os.write(note, b"%d\\n" % len(next(iter(prepared.values()))))
    return outputs

pipeline.Pipeline._encode = noted

def attempt():
    embed(load_dataset(folder), EncoderConfig(vision=vision, text=text), how=EmbedConfig(batch_size=str(batch_size)))

rng, attempts, kills = random.Random(0), [], 0
ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
while True:
    note = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    before = len(list(folder.glob("features/*/shard-*.safetensors")))
    child = os.fork()
    if child == 0:
        attempt()
        os._exit(0)
    if kills < num_kills:  # every third while it starts, the others at a moment of their work, however fast the machine is
        wanted = 0 if kills % 3 == 0 else rng.randrange(1, 16)
        while len(Path(log).read_text().split()) < wanted and not os.waitid(os.P_PID, child, ENDED):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.03) if wanted else rng.uniform(0.05, 0.4))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(note)
    shards = len(list(folder.glob("features/*/shard-*.safetensors"))) - before
    attempts.append({"encoded": sum(map(int, Path(log).read_text().split())), "shards": shards})
    if os.WIFSIGNALED(status):
        kills += 1
    elif kills == num_kills:
        break
    else:  # it ended before the kill: begin anew
        for path in folder.glob("features/*/*"):
            path.unlink()
print(json.dumps({"kills": kills, "attempts": attempts}))
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.skipif(sys.platform != "linux", reason="it forks")
def test_25_kills_leave_the_store_of_one_run(
    pixelrec: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(PrepareConfig(), folder=tmp_path / "whole", sources=[Source(path=pixelrec)])
    prepare(PrepareConfig(), folder=tmp_path / "killed", sources=[Source(path=pixelrec)])
    driver = [sys.executable, "-c", DRIVER, tmp_path / "killed", encoders.vision, encoders.text, tmp_path / "log"]
    numbers = [NUM_KILLS, SHARD_SIZE, BATCH_SIZE]
    done = subprocess.run([str(part) for part in (*driver, *numbers)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["kills"] == NUM_KILLS
    twice = [max(0, one["encoded"] - one["shards"] * SHARD_SIZE) for one in answer["attempts"][:-1]]
    assert sum(twice) <= NUM_KILLS * SHARD_SIZE, twice
    assert sum(1 for one in answer["attempts"] if one["shards"]) > 3  # the kills hit while shards were written

    monkeypatch.setattr(embed_shards, "SHARD_SIZE", {"vision": SHARD_SIZE, "text": SHARD_SIZE})
    from engage_cli.config.general import EmbedConfig

    how = EmbedConfig(batch_size=str(BATCH_SIZE))
    for summary in embed(load_dataset(tmp_path / "whole"), encoders, how=how):
        killed = tmp_path / "killed" / "features" / summary.folder.name
        assert files_of(summary.folder) == files_of(killed)
