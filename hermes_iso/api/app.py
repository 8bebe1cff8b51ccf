"""The ASGI application: its routes, and what surrounds every request: source, key, errors, the rest of an unread body."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from hermes_iso import __version__
from hermes_iso.api.auth import Caller, Gate, values
from hermes_iso.api.chat import ChatCompletions
from hermes_iso.api.choice import ApiLine, Directory
from hermes_iso.api.errors import ApiError, ClientGoneError, Receive, Scope, Send, raw_headers, send_error
from hermes_iso.api.openapi import openapi_document
from hermes_iso.api.responses import Responses
from hermes_iso.api.runs import Runs
from hermes_iso.config.schema import ApiSettings

REST_TIMEOUT = 2.0
"""Seconds to take in what a client still sends after its answer; closing at once would lose the answer on its way."""
OPEN_PATHS = frozenset({"/health", "/v1/health"})
"""Paths that need no key; also below /p/{agent}."""
_EXPOSED = "X-Hermes-Session-Id, X-Hermes-Agent, X-Hermes-Turn-Id, Retry-After"


def build_app(line: ApiLine) -> Application:
    """Return the application that serves a gateway's agents, each request by the settings of its moment."""
    directory = Directory(line)
    views, responses, runs = Views(directory), Responses(directory), Runs(directory)
    routes: list[Route] = []
    for path, endpoint, method in (
        ("/v1/chat/completions", ChatCompletions(directory), "POST"),
        ("/v1/responses", Raw(responses.create), "POST"),
        ("/v1/responses/{id}", Raw(responses.one), "GET DELETE"),
        ("/v1/runs", Raw(runs.create), "POST"),
        ("/v1/runs/{id}", Raw(runs.one), "GET"),
        ("/v1/runs/{id}/events", Raw(runs.events), "GET"),
        ("/v1/runs/{id}/stop", Raw(runs.stop), "POST"),
        ("/v1/models", views.models, "GET"),
        ("/openapi.json", views.document, "GET"),
        ("/health", views.health, "GET"),
        ("/v1/health", views.health, "GET"),
        ("/health/detailed", views.detailed, "GET"),
    ):
        routes += [Route(prefix + path, endpoint, methods=method.split()) for prefix in ("", "/p/{agent}")]
    return Application(Router(routes, redirect_slashes=False), lambda: Gate(line.config.api or ApiSettings()))


class Raw:
    """An endpoint that is an ASGI application of its own; the router takes a plain function for something else."""

    def __init__(self, serve: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._serve(scope, receive, send)


class Views:
    """The endpoints that only tell something."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._started = int(time.time())
        self._document = openapi_document(__version__)

    async def models(self, request: Request) -> Response:
        """List the agents that the key opens, as models."""
        caller: Caller = request.state.caller
        agent = self._directory.agent_of_path(caller, request.path_params.get("agent"))
        found = self._directory.agents(caller) if agent is None else [agent]
        data = [{"id": each, "object": "model", "created": self._started, "owned_by": "hermes-iso"} for each in found]
        return JSONResponse({"object": "list", "data": data})

    async def document(self, request: Request) -> Response:  # noqa: ARG002  # the form of an endpoint
        """Describe the API, for programs."""
        return JSONResponse(self._document)

    async def health(self, request: Request) -> Response:  # noqa: ARG002  # the form of an endpoint
        """Say whether new turns are taken."""
        draining = self._directory.statistics()["draining"]
        return JSONResponse({"status": "draining" if draining else "ok"}, 503 if draining else 200)

    async def detailed(self, request: Request) -> Response:
        """Tell the caller's agents; counts of the whole gateway only to a key that opens all of it."""
        caller: Caller = request.state.caller
        agent = self._directory.agent_of_path(caller, request.path_params.get("agent"))
        found = dict(self._directory.statistics())
        status = "draining" if found.pop("draining") else "ok"
        agents = self._directory.agents(caller) if agent is None else [agent]
        return JSONResponse({"status": status, "agents": agents, **(found if caller.agents is None else {})})


class Application:
    """Surrounds the routes. Order: Host and Origin, then the key, then the path, then whatever the endpoint checks."""

    def __init__(self, inner: Router, gate: Callable[[], Gate]) -> None:
        self._inner = inner
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._serve(scope, ClientSide(scope, receive, send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, exchange: ClientSide) -> None:
        """Serve one request; every failure becomes a response, while none has begun."""
        try:
            try:
                gate = self._gate()
                origin = gate.check_source(scope["headers"])
                exchange.allow_origin(origin)
                if origin is not None and _is_preflight(scope):
                    await exchange.send_preflight()
                    return
                if not _is_open(scope["path"]):
                    scope.setdefault("state", {})["caller"] = gate.caller(scope["headers"])
                scope["app"] = self  # tells the router to raise what it finds wrong
                await self._inner(scope, exchange.receive, exchange.send)
            except HTTPException as error:
                await send_error(exchange.send, _route_error(scope, error))
            except ApiError as error:
                await send_error(exchange.send, error)
        except ClientGoneError:
            return
        except Exception:  # noqa: BLE001  # one request must not end the others
            structlog.get_logger().exception("request_crashed", path=scope["path"])
            if not exchange.started:
                text = "Something went wrong in the gateway; its log says what."
                await send_error(exchange.send, ApiError(500, text, code="internal"))


class ClientSide:
    """One request's receive and send, with what is added to every response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = False
        self._receive = receive
        self._send = send
        self._headers: Mapping[str, str] = {}
        lengths = values(scope["headers"], b"content-length")
        self._unread = bool(values(scope["headers"], b"transfer-encoding")) or any(each != "0" for each in lengths)

    def allow_origin(self, origin: str | None) -> None:
        """Let pages of an allowed origin read the response."""
        if origin is not None:
            self._headers = {
                "access-control-allow-origin": origin,
                "access-control-expose-headers": _EXPOSED,
                "vary": "Origin",
            }

    async def send_preflight(self) -> None:
        """Answer a browser that asks what it may send."""
        allowed = {
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "*, Authorization, Content-Type",
            "access-control-max-age": "600",
        }
        await self.send({"type": "http.response.start", "status": 204, "headers": raw_headers(allowed)})
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive(self) -> Any:
        """Receive, noting the end of the body."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Any) -> None:
        """Send; before a response ends, take in what the client has not sent yet."""
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*message["headers"], *raw_headers(self._headers)]}
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._take_rest()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _take_rest(self) -> None:
        """Read the rest of the body for a while, and forget it."""
        with trio.move_on_after(REST_TIMEOUT):
            while self._unread:
                await self.receive()


def _route_error(scope: Scope, error: HTTPException) -> ApiError:
    """Return what the router found wrong."""
    path = scope["path"][:200]
    if error.status_code == 405:
        text = f"{scope['method']} does not go with {path}."
        return ApiError(405, text, code="method_not_allowed", headers=error.headers)
    return ApiError(404, f"There is no {path} in this version.", code="not_found")


def _is_open(path: str) -> bool:
    """Say whether a path needs no key."""
    parts = path.split("/", 3)
    return path in OPEN_PATHS or (len(parts) == 4 and parts[1] == "p" and f"/{parts[3]}" in OPEN_PATHS)


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and bool(values(scope["headers"], b"access-control-request-method"))
