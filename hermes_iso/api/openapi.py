"""The OpenAPI document of the API: what each path takes and answers, for programs that read such."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]

_TEXT, _FLAG, _OBJECT = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
_NUMBER, _COUNT = {"type": "number"}, {"type": "integer"}
_HEADERS = {
    "X-Hermes-Session-Id": "the session, kept by the gateway",
    "X-Hermes-Session-Key": "what background processes belong to, without a session",
    "X-Hermes-Chat-Id": "the chat that routes match",
    "X-Hermes-Thread-Id": "its thread",
    "X-Hermes-User-Id": "the user that routes match",
    "Idempotency-Key": "a repeated request with it is the same request",
}
_STATUSES = ("completed", "failed", "in_progress", "cancelled", "queued", "incomplete")
_FAILURES = {
    "400": "malformed; `param` names the field or header",
    "401": "no key, or a wrong one",
    "403": "the key does not open that agent, or the Host or Origin is not allowed",
    "404": "there is no such agent or object for this key",
    "408": "the body did not arrive in time",
    "409": "the Idempotency-Key belongs to another request, or the turn was stopped",
    "413": "the body is too large",
    "415": "the body is not declared as JSON",
    "422": "the model's provider refuses the request, or the turn's budget is spent",
    "429": "too many wait; see Retry-After",
    "500": "the agent's process or the gateway failed",
    "502": "the model's provider failed",
    "503": "the gateway is about to stop, or can't run the turn",
    "504": "the turn took too long",
}


def _nullable(schema: JsonObject) -> JsonObject:
    return {**schema, "type": [schema["type"], "null"]}


def _record(properties: Mapping[str, JsonObject], *required: str) -> JsonObject:
    """Return the schema of an object."""
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


_PART = _record({"type": {"enum": ["text", "input_text", "output_text"]}, "text": _TEXT}, "type", "text")
_CHAT_PART = _record({"type": {"const": "text"}, "text": _TEXT}, "type", "text")
_ROLE = {"enum": ["system", "developer", "user", "assistant"]}
_ITEM = _record(
    {"type": {"const": "message"}, "role": _ROLE, "content": {"anyOf": [_TEXT, {"type": "array", "items": _PART}]}},
    "role",
    "content",
)
_MESSAGE = _record(
    {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": _CHAT_PART}, {"type": "null"}]},
        "tool_calls": {"type": ["array", "null"], "items": _OBJECT},
        "tool_call_id": _nullable(_TEXT),
    },
    "role",
)
_ITEMS_REQUEST = _record(
    {
        "input": {"anyOf": [_TEXT, {"type": "array", "items": _ITEM, "minItems": 1}]},
        "instructions": _nullable(_TEXT),
        "model": _nullable(_TEXT),
        "previous_response_id": _nullable(_TEXT),
        "metadata": {"type": ["object", "null"], "additionalProperties": {"type": "string", "maxLength": 512}},
        "store": _nullable(_FLAG),
        "stream": _nullable(_FLAG),
        "background": _nullable(_FLAG),
    },
    "input",
)
_CHAT_REQUEST = _record(
    {
        "model": _nullable(_TEXT),
        "messages": {"type": "array", "items": _MESSAGE, "minItems": 1},
        "stream": _nullable(_FLAG),
        "stream_options": {"type": ["object", "null"], "properties": {"include_usage": _FLAG}},
        "n": {"enum": [1, None]},
    },
    "messages",
)
_SCHEMAS: Mapping[str, JsonObject] = {
    "Error": _record(
        {
            "error": _record(
                {"message": _TEXT, "type": _TEXT, "code": _TEXT, "param": _nullable(_TEXT)}, "message", "type", "code", "param"
            )
        },
        "error",
    ),
    "ChatRequest": _CHAT_REQUEST,
    "ChatCompletion": _record(
        {
            "id": _TEXT,
            "object": {"const": "chat.completion"},
            "created": _COUNT,
            "model": _TEXT,
            "choices": {"type": "array", "items": _OBJECT},
            "usage": _OBJECT,
        },
        "id",
        "object",
        "created",
        "model",
        "choices",
    ),
    "ItemsRequest": _ITEMS_REQUEST,
    "Response": _record(
        {
            "id": _TEXT,
            "object": {"const": "response"},
            "created_at": _COUNT,
            "status": {"enum": list(_STATUSES)},
            "model": _TEXT,
            "output": {"type": "array", "items": _OBJECT},
            "error": _nullable(_OBJECT),
            "usage": _nullable(_OBJECT),
            "previous_response_id": _nullable(_TEXT),
        },
        "id",
        "object",
        "created_at",
        "status",
        "model",
        "output",
    ),
    "Deleted": _record({"id": _TEXT, "object": _TEXT, "deleted": {"const": True}}, "id", "deleted"),
    "RunTaken": _record({"run_id": _TEXT, "status": _TEXT}, "run_id", "status"),
    "Run": _record(
        {
            "run_id": _TEXT,
            "status": {"enum": ["queued", "running", "completed", "failed", "cancelled"]},
            "output": _nullable(_TEXT),
            "error": _nullable(_OBJECT),
            "usage": _nullable(_OBJECT),
            "created_at": _COUNT,
        },
        "run_id",
        "status",
        "output",
        "error",
        "usage",
    ),
    "Models": _record({"object": {"const": "list"}, "data": {"type": "array", "items": _OBJECT}}, "object", "data"),
    "Health": _record({"status": {"enum": ["ok", "draining"]}}, "status"),
}


def _answer(schema: str, *, streams: bool = False) -> JsonObject:
    """Return a response that holds a schema; `streams` where it may also be server-sent events."""
    content: JsonObject = {"application/json": {"schema": _ref(schema)}}
    if streams:
        content["text/event-stream"] = {"schema": _TEXT}
    return {"description": schema, "content": content}


def _operation(summary: str, answers: Mapping[str, JsonObject], *, body: str = "", headers: bool = False) -> JsonObject:
    """Return one method of a path."""
    failures = {
        status: {"description": text, "content": {"application/json": {"schema": _ref("Error")}}}
        for status, text in _FAILURES.items()
    }
    found: JsonObject = {"summary": summary, "responses": {**failures, **answers}}
    if body:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    if headers:
        found["parameters"] = [
            {
                "name": name,
                "in": "header",
                "description": text,
                "schema": {"type": "string", "maxLength": 256, "pattern": "^[ -~]*$"},
            }
            for name, text in _HEADERS.items()
        ]
    return found


_EVENTS = {"description": "server-sent events", "content": {"text/event-stream": {"schema": _TEXT}}}
_PATHS: Mapping[str, Mapping[str, JsonObject]] = {
    "/v1/chat/completions": {
        "post": _operation("One turn", {"200": _answer("ChatCompletion", streams=True)}, body="ChatRequest", headers=True)
    },
    "/v1/responses": {
        "post": _operation(
            "One turn that is kept", {"200": _answer("Response", streams=True)}, body="ItemsRequest", headers=True
        )
    },
    "/v1/responses/{id}": {
        "get": _operation("How a response stands", {"200": _answer("Response")}),
        "delete": _operation("Forget a response", {"200": _answer("Deleted")}),
    },
    "/v1/runs": {
        "post": _operation(
            "One turn that nobody waits for on the line", {"202": _answer("RunTaken")}, body="ItemsRequest", headers=True
        )
    },
    "/v1/runs/{id}": {"get": _operation("How a run stands", {"200": _answer("Run")})},
    "/v1/runs/{id}/events": {"get": _operation("What a run shows", {"200": _EVENTS})},
    "/v1/runs/{id}/stop": {"post": _operation("Stop a run", {"200": _answer("Run")})},
    "/v1/models": {"get": _operation("The agents that the key opens", {"200": _answer("Models")})},
    "/health": {"get": _operation("Whether turns are taken", {"200": _answer("Health"), "503": _answer("Health")})},
    "/v1/health": {"get": _operation("Whether turns are taken", {"200": _answer("Health"), "503": _answer("Health")})},
    "/health/detailed": {"get": _operation("How the gateway fares", {"200": _answer("Health")})},
    "/openapi.json": {
        "get": _operation(
            "This document", {"200": {"description": "OpenAPI", "content": {"application/json": {"schema": _OBJECT}}}}
        )
    },
}


def openapi_document(version: str) -> JsonObject:
    """Return the document; each path is in it with and without its agent."""
    paths: JsonObject = {}
    for prefix in ("", "/p/{agent}"):
        for path, methods in _PATHS.items():
            names = [part[1:-1] for part in f"{prefix}{path}".split("/") if part.startswith("{")]
            given = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
            paths[prefix + path] = {**methods, **({"parameters": given} if given else {})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "hermes-iso", "version": version},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": dict(_SCHEMAS), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
