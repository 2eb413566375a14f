"""A finished run becomes one archive: its files by the names they have, no path, and no post unless that is asked for."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from pathlib import Path

from engage_cli.errors import EngageError
from engage_cli.io.files import atomic_write, sweep_dead
from engage_cli.io.own_folders import refuse_link
from engage_cli.io.records import file_hash, hash_bytes
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.records import run_record_text
from engage_cli.runs.run_folder import MARKER, MEMBERS, METRICS_KIND, Run, verify_run
from engage_cli.runs.travel_format import CARD_FILE, local_encoders, render_card
from engage_cli.uncertainty.neighbours import NAMES_FILE

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry: equal runs give equal archives


def export_run(folder: Path, out: Path, *, with_posts: bool = False, reporter: Reporter | None = None) -> Run:
    """Write the archive; raise EngageError where the run is damaged or unfinished, or `out` is another file.

    `with_posts` also packs ids, titles and image names of the training posts, which --explain names as neighbours.
    An archive of this run that is there already is left as it is: a call that was killed as it ended can be given again.
    """
    reporter = reporter or SilentReporter()
    refuse_link(out)
    if out.exists() and not zipfile.is_zipfile(out):
        raise EngageError(f"{out} already exists and is not an archive of a run; name another file with --out")
    sweep_dead(out.parent, out.name)
    reporter.say(f"verifying {folder}")
    run = verify_run(folder)
    for name in local_encoders(run):
        reporter.say(
            f"warning: the encoder {name} is a folder of this machine; the other machine needs it at the same place"
        )
    with atomic_write(out) as beside:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            _write(archive, CARD_FILE, render_card(run).encode())
            markers = {}
            if run.meta.is_ensemble:
                for member in run.members:
                    name = f"{MEMBERS}/{member.folder.name}"
                    markers[f"{name}/{MARKER}"] = _pack(archive, member, f"{name}/", {}, with_posts=with_posts)
            _pack(archive, run, "", markers, with_posts=with_posts)
        if out.exists() and file_hash(beside) != file_hash(out):
            raise EngageError(f"{out} already exists and is another archive; name another file with --out")
    return run


def _pack(archive: zipfile.ZipFile, run: Run, prefix: str, markers: dict[str, bytes], *, with_posts: bool) -> bytes:
    """Pack the files of a run, and its marker last, which names what is packed and nothing else; return the marker.

    `markers` are those of its members, as they were packed.
    """
    files = {name: found for name, found in run.done.files.items() if with_posts or name != NAMES_FILE}
    for name in files:
        if name in markers:
            files[name] = hash_bytes(markers[name])
        else:
            _copy(archive, run.open(name), prefix + name)
    marker = run_record_text(dataclasses.replace(run.done, files=files), METRICS_KIND).encode()
    _write(archive, prefix + MARKER, marker)
    return marker


def _copy(archive: zipfile.ZipFile, source: Path, name: str) -> None:
    with source.open("rb") as file, archive.open(_entry(name), "w", force_zip64=True) as packed:
        shutil.copyfileobj(file, packed, 1 << 20)


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(_entry(name), data)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    return entry
