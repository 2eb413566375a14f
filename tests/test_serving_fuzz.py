"""Whatever the API's OpenAPI description allows, or forbids, is answered as it describes, and never by a 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engage_cli.steps.serve._limits import Limits
from tests.served import ModelHere, Server, serving_here
from tests.sources import encoded, picture
from tests.test_bad_images import IMAGES

PICTURES = [encoded(picture(number).resize((48, 32))) for number in range(3)]
FILES = [*PICTURES, *PICTURES, *PICTURES, *(data for data, _ in IMAGES.values() if len(data) < 100_000)]
EXAMPLES = 50
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

SOME_FILES = st.lists(st.sampled_from(FILES), max_size=2)


@pytest.fixture(scope="module")
def server(world: Path) -> Iterator[Server]:
    with serving_here(ModelHere(world / "runs" / "gp", Limits())) as found:
        yield found


POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [(path, "POST", mode) for path in ("/api/predict", "/api/explain") for mode in (POSITIVE, NEGATIVE)]
    + [("/api/run", "GET", POSITIVE)],  # of what takes nothing, nothing can be wrong
)
def test_no_question_breaks_the_server(path: str, method: str, mode: schemathesis.GenerationMode, server: Server) -> None:
    operation = schemathesis.openapi.from_url(f"{server.url}/api/openapi.json")[path][method]
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode), files=SOME_FILES, keeps=st.booleans())
    def ask(case: schemathesis.Case, files: list[bytes], keeps: bool) -> None:
        if files and isinstance(case.body, dict) and "images" in case.body:  # a fuzzer by itself draws no image
            case.body["images"] = files
            if not keeps:
                for name in ("posted_at", "with"):
                    case.body.pop(name, None)
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        seen.add(response.status_code)

    ask()
    assert server.get("/api/run").json()["ready"]
    if path == "/api/predict" and mode is POSITIVE:
        assert seen >= {200, 422}  # it reached the model, and the checks before it
