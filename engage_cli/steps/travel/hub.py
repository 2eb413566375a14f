"""Runs on the Hugging Face hub: the archive of `engage export` beside a model card, and nothing else is read there.

A run is fetched once for each commit, checked as `engage import` checks any archive, and kept in the cache folder.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from engage_cli.encoders.packaged import cache_dir
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.run_folder import MARKER, Run, load_run, named_or_newest
from engage_cli.runs.travel_format import MOST_BYTES, describe_run, render_card
from engage_cli.steps.travel.import_run import import_run

SCHEME = "hf:"
ARCHIVE, HUB_CARD = "run.engage", "README.md"
PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
# A path has only one of the slashes of hf://.
ADDRESS = re.compile(rf"hf:/{{1,2}}(?P<repo>{PART}/{PART})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._-]{{0,95}}))?")
REPO = re.compile(rf"{PART}/{PART}")
COMMIT = re.compile(r"[0-9a-f]{40}")
FRONT = "---\nlibrary_name: engage\ntags:\n- engage\n---\n\n"
HOW = "\nPredict with it, where engage is installed: `engage predict cover.jpg --title ... --run hf://{repo}`\n"


@dataclass(frozen=True)
class Address:
    repo: str  # owner/name
    revision: str  # a branch, a tag or a commit


def find_run(run: Path | None, runs_dir: Path, reporter: Reporter) -> Run:
    """Open the named run, fetched where it is hf://owner/name; without a name the newest finished one."""
    if run is not None and str(run).startswith(SCHEME):
        return fetch_run(str(run), reporter=reporter)
    return named_or_newest(run, runs_dir, reporter.say)


def fetch_run(address: str, *, reporter: Reporter | None = None) -> Run:
    """Return the run at hf://owner/name or hf://owner/name@revision; raise EngageError where it cannot be fetched.

    Its training data and its marks are shown when it is fetched. A run that was fetched before is taken from the cache
    folder where the hub cannot be reached.
    """
    reporter, at = reporter or SilentReporter(), parse_address(address)
    kept = cache_dir() / "runs" / at.repo.replace("/", "--")
    if COMMIT.fullmatch(at.revision) and (kept / at.revision / MARKER).is_file():
        return load_run(kept / at.revision)
    try:
        commit, size = _look(at)
    except _UnreachableError as error:
        markers = sorted(kept.glob(f"*/{MARKER}"), key=lambda path: path.lstat().st_mtime_ns)
        if not markers or COMMIT.fullmatch(at.revision) or at.revision != "main":
            raise EngageError(str(error)) from None
        folder = markers[-1].parent
        reporter.say(f"warning: {error}; taking commit {folder.name[:12]} of {at.repo}, which was fetched before")
        return load_run(folder)
    folder = kept / commit
    if (folder / MARKER).is_file():
        return load_run(folder)
    if size > MOST_BYTES:
        raise EngageError(f"{address}: {ARCHIVE} has {size:,} bytes, and the limit is {MOST_BYTES:,}; name another run")
    reporter.say(f"fetching {at.repo}, commit {commit[:12]}: {size:,} bytes")
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept, prefix=".fetching-") as scratch:
        run = import_run(_download(at, commit, Path(scratch)), folder, reporter=reporter)
    for line in describe_run(run):
        reporter.say(line)
    return run


def push_run(
    folder: Path, repo: str, *, public: bool = False, with_posts: bool = False, reporter: Reporter | None = None
) -> str:
    """Upload a finished run's archive and model card in one commit; return the address of the commit.

    The repository is made, private unless `public`, where it is not there. Raises EngageError where the run is damaged or
    the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    from engage_cli.steps.travel.export import export_run  # needs torch, which a server has no use for

    if not REPO.fullmatch(repo):
        raise WrongCallError(f"'{repo[:200]}' is not the name of a repository; give owner/name")
    reporter = reporter or SilentReporter()
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / ARCHIVE
        run = export_run(folder, archive, with_posts=with_posts, reporter=reporter)
        card = FRONT + render_card(run) + HOW.format(repo=repo)
        reporter.say(f"uploading {archive.stat().st_size:,} bytes")
        with _hub(f"{repo}: "):
            hub = HfApi(library_name="engage")
            hub.create_repo(repo, private=not public, exist_ok=True)
            done = hub.create_commit(
                repo,
                [CommitOperationAdd(ARCHIVE, str(archive)), CommitOperationAdd(HUB_CARD, card.encode())],
                commit_message=f"A run of engage that predicts {run.target.name}",
            )
    return str(done.commit_url)


def parse_address(text: str) -> Address:
    """Read hf://owner/name@revision; without a revision it is main."""
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise WrongCallError(
            f"'{text[:200]}' is not the address of a run; give hf://owner/name or hf://owner/name@revision"
        )
    return Address(found["repo"], found["revision"] or "main")


def _look(at: Address) -> tuple[str, int]:
    """Return commit and size of the archive, before anything is downloaded."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with _hub(f"hf://{at.repo}: "):
        found = get_hf_file_metadata(hf_hub_url(at.repo, ARCHIVE, revision=at.revision))
    if found.commit_hash is None or COMMIT.fullmatch(found.commit_hash) is None or found.size is None:
        raise EngageError(f"hf://{at.repo}: the hub did not send the commit and the size of {ARCHIVE}; try again later")
    return found.commit_hash, found.size


def _download(at: Address, commit: str, scratch: Path) -> Path:
    from huggingface_hub import hf_hub_download

    with _hub(f"hf://{at.repo}: "):
        return Path(hf_hub_download(at.repo, ARCHIVE, revision=commit, local_dir=scratch))


class _UnreachableError(EngageError):
    """The hub does not answer."""


@contextlib.contextmanager
def _hub(where: str) -> Iterator[None]:
    """Say in one sentence what the hub's client raises."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def fail(sentence: str) -> NoReturn:
        raise EngageError(where + sentence) from None

    try:
        yield
    except OfflineModeIsEnabled:
        raise _UnreachableError(f"{where}HF_HUB_OFFLINE is set, so engage does not contact the hub") from None
    except RevisionNotFoundError:
        fail("there is no such revision; name a branch, a tag or a commit after @")
    except RepositoryNotFoundError:
        fail("there is no such repository, or it is private; check the name, or log in with `hf auth login`")
    except EntryNotFoundError:
        fail(f"it holds no {ARCHIVE}, so it is not a run of engage; push one with `engage push`")
    except LocalTokenNotFoundError:
        fail("the hub wants to know who you are; log in with `hf auth login`, or set HF_TOKEN")
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            fail(f"the hub refuses this ({status}); log in with `hf auth login`, or set HF_TOKEN to a token that may write")
        raise _UnreachableError(f"{where}the hub cannot answer now ({status}); try again later") from None
    except EngageError:
        raise
    except Exception as error:  # each version of the hub's client has its own family of network errors
        raise _UnreachableError(f"{where}the hub cannot be reached ({type(error).__name__}); try again later") from None
