"""What an archive of a run holds: the files of a run folder under their own names, and a model card."""

from __future__ import annotations

from engage_cli.runs.records import EncoderRecord, RunMeta
from engage_cli.runs.run_folder import Run

CARD_FILE = "model_card.md"
SUFFIXES = (".json", ".safetensors", ".npz", ".cbm", ".parquet")
MOST_ENTRIES = 2_000
MOST_ENTRY_BYTES = 8 << 30
MOST_BYTES = 16 << 30  # of all entries together


def describe_run(run: Run) -> list[str]:
    """Return what a stranger should know of a run before its first answer, a line each."""
    meta, done = run.meta, run.done
    rows = ", ".join(f"{number:,} {part}" for part, number in done.rows.items()) or "not recorded"
    lines = [
        f"model: {meta.words}, kind {meta.kind}, target {run.target.name} ({run.target.formula})",
        f"trained on: posts {rows}; split {meta.data.split}; data fingerprint {meta.data.fingerprint}",
    ]
    if done.evidence is not None:
        lines.append(f"evidence: {done.evidence.metric} {done.evidence.value:.3f} on {done.evidence.held_out:,} posts")
    if (new := done.recalibration) is not None:
        lines.append(f"intervals: fitted anew on {new.outcomes:,} outcomes, predicted {new.first[:10]} to {new.last[:10]}")
    lines += [f"encoder ({one.side}): {one.name}, revision {one.revision}" for one in _encoders(run)]
    lines += [f"mark: {mark}" for mark in dict.fromkeys([*run.marks, *done.marks])] or ["marks: none"]
    return lines


def render_card(run: Run) -> str:
    """Return the model card of an archive, in Markdown."""
    title = f"# A run of engage that predicts {run.target.name}"
    return "\n".join([title, "", *(f"- {line}" for line in describe_run(run)), ""])


def local_encoders(run: Run) -> list[str]:
    """Return the names of encoders that are folders of this machine."""
    return [one.name for one in _encoders(run) if one.name.startswith(("/", ".", "~"))]


def _encoders(run: Run) -> list[EncoderRecord]:
    metas: list[RunMeta] = [run.meta, *(member.meta for member in run.members)]
    return list({(one.side, one.name): one for meta in metas for one in meta.encoders.values()}.values())
