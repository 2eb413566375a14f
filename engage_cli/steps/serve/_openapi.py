"""The OpenAPI description of the routes: what is sent, what comes back, and every way in which it may not."""

from __future__ import annotations

import json
from importlib.resources import files

from engage_cli.steps.serve._limits import Limits

Schema = dict[str, object]  # a JSON schema, or a part of an OpenAPI description
WANTED = "required, unless /api/run says that the run reads no image: then titles alone are variants"
OPENAPI = "/api/openapi.json"
ABOUT = """What `engage predict --json` prints, from a run that stays loaded. Every error is `{"error": "a sentence"}`."""
ERRORS = {
    400: "the body is not multipart/form-data, or is cut off",
    401: "the token is missing or wrong",
    403: "the request comes from a page of another site, or under a name that the server does not have",
    408: "the body took too long to arrive",
    413: "more than the server takes",
    415: "the body is not multipart/form-data",
    422: "a field or an image cannot be used; the sentence says which, and why",
    429: "too many requests at once; Retry-After says when to try again",
    503: "the model is loading; Retry-After says when to try again",
    504: "the answer took too long",
}


def answer_schemas() -> Schema:
    """Return the components: `Answer` and its parts are those of `engage predict --json-schema`."""
    text = files("engage_cli").joinpath("schemas/predict.json").read_text(encoding="utf-8")
    schema = json.loads(text.replace("#/$defs/", "#/components/schemas/"))
    parts = schema.pop("$defs")
    schema.pop("$schema")
    return {
        **parts,
        "Answer": {**schema, "description": "what engage predict --json prints"},
        "Error": {
            "type": "object",
            "required": ["error"],
            "additionalProperties": False,
            "properties": {"error": {"type": "string", "minLength": 1}},
        },
    }


def describe_ask(limits: Limits, *, explain: bool) -> Schema:
    """Return the request body and the answers of a route that asks the model."""
    text = {"type": "string", "maxLength": limits.text_bytes // 4}
    file = {"type": "string", "contentMediaType": "application/octet-stream", "description": "JPEG, PNG, WebP or GIF"}
    fields: Schema = {
        "images": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1 if explain else limits.images,
            "items": file,
            "description": WANTED,
        },
        "titles": {"type": "array", "maxItems": 1 if explain else limits.titles, "items": text},
        "tags": text,
        "description": text,
        "posted_at": {**text, "description": "when it will be published, as 2026-11-24T18:30 (UTC)"},
        "with": {**text, "description": "a JSON object: values of further columns that the run was trained on"},
    }
    form = {"type": "object", "additionalProperties": False, "properties": fields}
    return {
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form, "encoding": {"images": {"contentType": "image/*"}}}},
        },
        "responses": {**_answers("#/components/schemas/Answer"), **_errors(*ERRORS)},
    }


def describe_log(limits: Limits) -> Schema:
    """Return the request body of the route that logs, which is that of a question, and its answers."""
    count = {"type": "integer", "minimum": 0}
    said = {"type": "object", "required": ["variants", "new"], "properties": {"variants": count, "new": count}}
    answers = {"200": {"description": "how many are new", "content": {"application/json": {"schema": said}}}}
    return {**describe_ask(limits, explain=False), "responses": {**answers, **_errors(*ERRORS)}}


def describe_frames() -> Schema:
    """Return the request body of the route that takes a video, which is the video itself, and its answers."""
    number = {"type": "number", "minimum": 0}
    texts = {"name": {"type": "string"}, "jpeg": {"type": "string", "contentEncoding": "base64"}}
    frame = {
        "type": "object",
        "required": ["name", "seconds", "quality", "face", "jpeg"],
        "properties": {**texts, "seconds": number, "quality": number, "face": {"type": ["number", "null"]}},
    }
    notes = {"type": "array", "items": {"type": "string"}}
    properties = {"seconds": number, "notes": notes, "frames": {"type": "array", "items": frame}}
    said = {"type": "object", "required": list(properties), "properties": properties}
    return {
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}},
        "responses": {
            "200": {"description": "frames, the best first", "content": {"application/json": {"schema": said}}},
            **_errors(400, 401, 403, 408, 413, 422, 429),
        },
    }


def describe_about() -> Schema:
    return {
        "responses": {
            "200": {"description": "the run", "content": {"application/json": {"schema": {"type": "object"}}}},
            **_errors(401, 403),
        }
    }


def _answers(reference: str) -> Schema:
    return {"200": {"description": "the answer", "content": {"application/json": {"schema": {"$ref": reference}}}}}


def _errors(*statuses: int) -> Schema:
    schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": ERRORS[status], "content": schema} for status in statuses}
