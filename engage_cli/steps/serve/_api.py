"""The routes: the page, what the run is, and the model's answers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Coroutine
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from engage_cli import __version__
from engage_cli.steps.serve._admission import Admission
from engage_cli.steps.serve._guard import Guard
from engage_cli.steps.serve._limits import Limits
from engage_cli.steps.serve._openapi import (
    ABOUT,
    OPENAPI,
    Schema,
    answer_schemas,
    describe_about,
    describe_ask,
    describe_frames,
    describe_log,
)
from engage_cli.steps.serve._process import ModelGoneError, ModelProcess, ModelTimeoutError
from engage_cli.steps.serve._uploads import CLIENT_GONE, RefusedError, read_job
from engage_cli.steps.serve._videos import RETRY_AFTER, VideoDesk, temporary_file

TOO_SLOW = 408
DROP_SECONDS = 3.0
CROWDED = "too many requests at once; try again"
PAGE = {  # path -> file of engage_cli/page, media type
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{
        f"/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8")
        for name in ("page", "ask", "banner", "detail", "dom", "export", "form", "results", "words")
    },
}


def make_app(model: ModelProcess, limits: Limits, *, host: str, token: str) -> ASGIApp:
    @contextlib.asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        yield
        await model.close()

    app = FastAPI(title="engage", version=__version__, docs_url=None, redoc_url=None, openapi_url=OPENAPI, lifespan=live)
    admission, desk = Admission(limits), VideoDesk(limits)

    @app.get("/api/run", openapi_extra=describe_about(), summary="What the run is, how well it did, what it reads")
    async def get_run() -> JSONResponse:
        more = {"limits": dataclasses.asdict(limits), "ready": model.is_ready, "logs": model.ledger is not None}
        more["videos"] = desk.can_decode
        return JSONResponse({**(model.about or {}), **more})

    @app.post("/api/predict", openapi_extra=describe_ask(limits, explain=False), summary="Predict and rank variants")
    async def predict(request: Request) -> Response:
        return await ask(request, explain=False)

    @app.post("/api/explain", openapi_extra=describe_ask(limits, explain=True), summary="Explain one prediction")
    async def explain(request: Request) -> Response:
        return await ask(request, explain=True)

    @app.post("/api/frames", openapi_extra=describe_frames(), summary="Find frames of a video that could be covers")
    async def frames(request: Request) -> Response:
        try:
            with desk.place(), admission.body() as body, temporary_file() as file:
                await desk.receive(request, body, file)
                status, answer = await _while_there(request, desk.look(file))
        except RefusedError as refused:
            return await _turn_away(request, refused.status, str(refused), RETRY_AFTER, limits)
        return Response(answer, status, media_type="application/json")

    if model.ledger is not None:

        @app.post("/api/log", openapi_extra=describe_log(limits), summary="Log the predictions of these variants")
        async def log(request: Request) -> Response:
            return await ask(request, explain=False, log=True)

    async def ask(request: Request, *, explain: bool, log: bool = False) -> Response:
        if not model.is_ready:
            return await _turn_away(request, 503, "the model is loading; try again", model.retry_after, limits)
        if admission.is_full:
            return await _turn_away(request, 429, CROWDED, model.retry_after, limits)
        with admission.body() as body:
            try:
                job = await read_job(request, limits, body, explain=explain, needs_image=model.reads_image)
                job = dataclasses.replace(job, log=log)
                with admission.place() as has_place:  # only now: a half-sent question is nobody's hindrance
                    if not has_place:
                        return _error(429, CROWDED, model.retry_after)
                    status, answer = await _while_there(request, model.ask(job))
            except RefusedError as refused:
                if body.gave_way:  # what is still to come of it comes too slowly
                    return _error(refused.status, str(refused), model.retry_after)
                return await _turn_away(request, refused.status, str(refused), model.retry_after, limits)
            except ModelGoneError:
                return _error(503, "the model process ended and is being restarted; try again", model.retry_after)
            except ModelTimeoutError:
                return _error(504, f"no answer within {limits.seconds:g} s; ask for fewer variants")
            return Response(answer, status, media_type="application/json")

    for path, (name, media_type) in PAGE.items():
        content = files("engage_cli").joinpath("page", name).read_bytes()
        app.add_api_route(path, _serve(content, media_type), methods=["GET", "HEAD"], include_in_schema=False)

    @app.exception_handler(HTTPException)
    async def say_why(request: Request, error: HTTPException) -> JSONResponse:
        sentence = {404: "there is no such page", 405: "method not allowed"}.get(error.status_code, str(error.detail))
        return JSONResponse({"error": sentence}, error.status_code, headers=error.headers)

    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return Guard(app, host=host, token=token)


def _serve(content: bytes, media_type: str) -> Any:
    async def send() -> Response:
        return Response(content, media_type=media_type)

    return send


def _describe(app: FastAPI) -> Schema:
    found = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    found.setdefault("components", {})["schemas"] = answer_schemas()
    for path in found["paths"].values():
        for route in path.values():
            route["responses"].get("200", {}).pop("links", None)
    return found


async def _while_there(request: Request, asking: Coroutine[Any, Any, tuple[int, bytes]]) -> tuple[int, bytes]:
    """Ask as long as the client waits: the place in line of one that went away is the next one's."""
    asked = asyncio.create_task(asking)
    gone = asyncio.ensure_future(request.receive())  # the body was read: what comes now is that the client went away
    try:
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise RefusedError(400, CLIENT_GONE)
        return asked.result()
    finally:
        asked.cancel()
        gone.cancel()


async def _turn_away(request: Request, status: int, sentence: str, retry_after: int, limits: Limits) -> Response:
    """Refuse a request whose body may not be read yet: a client that is still sending hears the answer only then."""
    if status != TOO_SLOW:
        # RuntimeError: its stream was read already.
        with contextlib.suppress(asyncio.TimeoutError, ClientDisconnect, RuntimeError):
            await asyncio.wait_for(_drop_body(request, 2 * limits.request_bytes), DROP_SECONDS)
    return _error(status, sentence, retry_after)


async def _drop_body(request: Request, most: int) -> None:
    dropped = 0
    async for chunk in request.stream():
        dropped += len(chunk)
        if dropped > most:
            return


def _error(status: int, sentence: str, retry_after: int = 1) -> JSONResponse:
    headers = {"Retry-After": str(retry_after)} if status in (429, 503) else {}
    if status == TOO_SLOW:
        headers["Connection"] = "close"  # what is still to come of the body is not waited for
    return JSONResponse({"error": sentence}, status, headers=headers)
