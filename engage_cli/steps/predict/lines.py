"""Answer posts line by line, with the model loaded once: a JSON object in, a JSON object out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.steps.predict import answer_of, check_titles_alone, check_variants, pairs_of
from engage_cli.steps.predict.answer_json import AnswerJson
from engage_cli.steps.predict.image_file import read_image
from engage_cli.steps.predict.requests import Reads, in_fields, make_posts, reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.travel.hub import find_run

MOST_LINE_BYTES = 4 << 20
MOST_LEVELS = 20  # of lists and objects in each other
FIELDS = ("id", "image", "images", "title", "titles", "tags", "description", "posted_at", "after", "with")


class Request(NamedTuple):
    """A line, checked."""

    images: list[str]
    titles: list[str]
    tags: str
    description: str
    posted_at: str
    after: str
    columns: Mapping[str, str | float]


def answer_lines(
    lines: Iterable[str | bytes],
    *,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> Iterator[Mapping[str, object]]:
    """Yield what `predict --json` says of each line's post, or {"error": sentence}; `id` comes back as it was given."""
    reporter = reporter or SilentReporter()
    opened = find_run(run, runs_dir, reporter)
    session, reads = InferenceSession(opened), reads_of(opened)
    session.load(reporter)
    reporter.say("ready")
    for line in lines:
        if not line.strip():
            continue
        echo: dict[str, object] = {}
        try:
            asked = _parse(line)
            echo = {"id": asked["id"]} if "id" in asked else {}
            yield {**echo, **_answer(session, reads, _request_of(asked))}
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


def _parse(line: str | bytes) -> Mapping[str, object]:
    if len(line) > MOST_LINE_BYTES:
        raise WrongCallError(
            f"the line is longer than {MOST_LINE_BYTES >> 20} MiB; write one post a line, with paths of images"
        )
    try:
        asked = json.loads(line if isinstance(line, str) else line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise WrongCallError(f"the line is not UTF-8 (its byte {error.start + 1:,}); send it as UTF-8") from None
    except (ValueError, RecursionError):
        raise WrongCallError("the line is not JSON; write one object a line") from None
    if not isinstance(asked, dict):
        raise WrongCallError("the line is not a JSON object; write one object a line")
    if unknown := [name for name in asked if name not in FIELDS]:
        raise WrongCallError(f"unknown field '{unknown[0]}'; give one of: {', '.join(FIELDS)}")
    if _is_deeper(asked, MOST_LEVELS):
        raise WrongCallError("the line is nested too deeply; write plain fields")
    return asked


def _is_deeper(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(items) and (levels == 0 or any(_is_deeper(item, levels - 1) for item in items))


def _request_of(asked: Mapping[str, object]) -> Request:
    """Check the fields of a line; raise WrongCallError for one that is not as it should be."""
    columns = asked.get("with", {})
    if not isinstance(columns, dict):
        raise WrongCallError('"with" is an object of column names and values')
    return Request(
        images=_texts(asked, "image", "images"),
        titles=_texts(asked, "title", "titles"),
        tags=_text(asked, "tags"),
        description=_text(asked, "description"),
        posted_at=_text(asked, "posted_at"),
        after=_text(asked, "after"),
        columns={str(name): value if isinstance(value, float) else str(value) for name, value in columns.items()},
    )


def _answer(session: InferenceSession, reads: Reads, request: Request) -> AnswerJson:
    pairs = pairs_of(request.images, request.titles)
    check_variants(pairs)
    if not request.images:
        check_titles_alone(session)
    files = {image: read_image(Path(image)) for image in request.images}
    posts = make_posts(
        reads,
        pairs,
        tags=request.tags,
        description=request.description,
        posted_at=request.posted_at,
        columns=request.columns,
        reporter=SilentReporter(),
        after=request.after,
    )
    return answer_of(session, posts, [files.get(image) for image in posts["image"]]).to_json()


def _text(asked: Mapping[str, object], name: str) -> str:
    value = asked.get(name, "")
    if value is not None and not isinstance(value, str):
        raise WrongCallError(f'"{name}" is a text')
    return value or ""


def _texts(asked: Mapping[str, object], one: str, many: str) -> list[str]:
    if many not in asked:
        return [text] if (text := _text(asked, one)) else []
    values = asked[many]
    if one in asked or not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise WrongCallError(f'give "{one}", a text, or "{many}", a list of texts')
    return list(values)
