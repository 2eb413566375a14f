"""Answer posts line by line, with the model loaded once: a JSON object in, a JSON object out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.run_folder import named_or_newest
from engage_cli.steps.predict import answer_of, check_titles_alone, check_variants, pairs_of, read_image
from engage_cli.steps.predict.requests import Reads, in_fields, make_posts, reads_of
from engage_cli.steps.predict.session import InferenceSession

MOST_LINE_BYTES = 4 << 20
MOST_LEVELS = 20  # of lists and objects in each other
FIELDS = ("id", "image", "images", "title", "titles", "tags", "description", "posted_at", "with")


def answer_lines(
    lines: Iterable[str | bytes],
    *,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield what `predict --json` says of each line's post, or {"error": sentence}; `id` comes back as it was given."""
    reporter = reporter or SilentReporter()
    opened = named_or_newest(run, runs_dir, reporter.say)
    session, reads = InferenceSession(opened), reads_of(opened)
    session.load(reporter)
    reporter.say("ready")
    for line in lines:
        if not line.strip():
            continue
        echo: dict[str, Any] = {}
        try:
            request = _parse(line)
            echo = {"id": request["id"]} if "id" in request else {}
            yield {**echo, **_answer(session, reads, request)}
        except EngageError as error:
            yield {**echo, "error": in_fields(str(error))}
        finally:
            session.sources.forget()


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines; of one that is too long only its beginning, and one sign more than is taken."""
    while line := stream.readline(MOST_LINE_BYTES + 1):
        rest = line
        while len(rest) > MOST_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MOST_LINE_BYTES + 1)
        yield line


def _parse(line: str | bytes) -> dict[str, Any]:
    if len(line) > MOST_LINE_BYTES:
        raise WrongCallError(f"the line is longer than {MOST_LINE_BYTES >> 20} MiB")
    try:
        request = json.loads(line if isinstance(line, str) else line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise WrongCallError(f"the line is not UTF-8 (its byte {error.start + 1:,})") from None
    except (ValueError, RecursionError):
        raise WrongCallError("the line is not JSON") from None
    if not isinstance(request, dict):
        raise WrongCallError("the line is not a JSON object")
    if unknown := [name for name in request if name not in FIELDS]:
        raise WrongCallError(f"unknown field '{unknown[0]}'; there are: {', '.join(FIELDS)}")
    if _is_deeper(request, MOST_LEVELS):
        raise WrongCallError("the line is nested too deeplyly")
    return request


def _is_deeper(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(items) and (levels == 0 or any(_is_deeper(item, levels - 1) for item in items))


def _answer(session: InferenceSession, reads: Reads, request: dict[str, Any]) -> dict[str, Any]:
    images = _texts(request, "image", "images")
    pairs = pairs_of(images, _texts(request, "title", "titles"))
    check_variants(pairs)
    if not images:
        check_titles_alone(session)
    files = {image: read_image(Path(image)) for image in images}
    columns = request.get("with", {})
    if not isinstance(columns, dict):
        raise WrongCallError('"with" is an object of column names and values')
    posts = make_posts(
        reads,
        pairs,
        tags=_text(request, "tags"),
        description=_text(request, "description"),
        posted_at=_text(request, "posted_at"),
        columns={str(name): value if isinstance(value, float) else str(value) for name, value in columns.items()},
        reporter=SilentReporter(),
    )
    return answer_of(session, posts, [files.get(image) for image in posts["image"]]).to_json()


def _text(request: dict[str, Any], name: str) -> str:
    value = request.get(name, "")
    if value is not None and not isinstance(value, str):
        raise WrongCallError(f'"{name}" is a text')
    return value or ""


def _texts(request: dict[str, Any], one: str, many: str) -> list[str]:
    if many not in request:
        return [text] if (text := _text(request, one)) else []
    values = request[many]
    if one in request or not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise WrongCallError(f'give "{one}", a text, or "{many}", a list of texts')
    return list(values)
