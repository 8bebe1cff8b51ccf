"""The admin socket: the command line's way to the gateway that already runs on a home.

One connection, one request: a line of JSON, for `exec` with stdin, stdout and stderr beside it as descriptors. Answers are
lines too: {"progress": …} as a turn runs, then {"outbound": …}, {"exit": N}, {"done": …} for what `admin_operations` does, or
{"error": {"kind", "message"}}. Who hangs up cancels. Only the gateway's own user and root may ask: the kernel says who asks.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog
import trio

from hermes_iso.admin_operations import OPERATIONS, Controlled
from hermes_iso.admin_socket import (
    AdminProtocolError,
    Lines,
    bind_admin,
    connect_admin,
    peer_pid,
    peer_uid,
    receive_request,
    send_request,
)
from hermes_iso.background import Background
from hermes_iso.errors import (
    ConfigError,
    DrainingError,
    GatewayGoneError,
    HermesIsoError,
    Problem,
    RouteRejectedError,
    UsageError,
)
from hermes_iso.history import clean_text
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress, Receipt, Usage
from hermes_iso_sandbox.errors import GuestTimeoutError, SandboxError, UnsupportedSandboxError

REQUEST_TIMEOUT = 10.0
"""Seconds for a client to send its request."""
Send = Callable[[dict[str, Any]], Awaitable[None]]

_KINDS: tuple[tuple[str, type[Exception]], ...] = (
    ("route_rejected", RouteRejectedError),
    ("draining", DrainingError),
    ("usage", UsageError),
    ("timeout", GuestTimeoutError),
    ("unsupported", UnsupportedSandboxError),
    ("sandbox", SandboxError),
    ("protocol", AdminProtocolError),
    ("config", ConfigError),
    ("error", HermesIsoError),
)
"""How an exception is called in an error line, the narrower before the wider."""


class AdminLine(Controlled, Protocol):
    """What the socket asks of the gateway."""

    async def handle(
        self, inbound: Inbound, deliver: Callable[[Outbound], Awaitable[Receipt]], relay: Callable[[Progress], Awaitable[None]]
    ) -> Receipt:
        """Take one message through the line."""

    async def exec_command(
        self, agent: str, argv: Sequence[str], *, stdio: tuple[int, int, int], timeout: float | None = None
    ) -> int:
        """Run a command in an agent's sandbox."""


async def serve_admin(
    gateway: AdminLine, directory: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve the socket in `directory` for ever. Raises UsageError when it can't be bound."""
    try:
        listener = trio.SocketListener(bind_admin(directory))
    except OSError as error:
        raise UsageError(f"The admin socket in {directory} can't be made ({error.strerror}): check the file system.") from error
    async with listener:
        task_status.started()
        await trio.serve_listeners(partial(_serve_client, gateway), [listener])


async def _serve_client(gateway: AdminLine, stream: trio.SocketStream) -> None:
    """Serve one connection; whatever goes wrong with it stays with it."""
    fds: list[int] = []
    sending = trio.Lock()

    async def send(line: dict[str, Any]) -> None:
        async with sending:
            await stream.send_all(json.dumps(line).encode() + b"\n")

    try:
        async with stream:
            try:
                await _answer(gateway, stream, fds, send)
            except (HermesIsoError, SandboxError, AdminProtocolError) as error:
                await send({"error": _error_line(error)})
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                raise
            except Exception:  # noqa: BLE001  # one request must not end the gateway
                structlog.get_logger().exception("admin_request_crashed")
                await send({"error": {"kind": "error", "message": "Something went wrong in the gateway; its log says what."}})
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
        return
    finally:
        for fd in fds:
            os.close(fd)


async def _answer(gateway: AdminLine, stream: trio.SocketStream, fds: list[int], send: Send) -> None:
    """Read a request and do it, unless the client hangs up before it is done. Raises what becomes an error line."""
    if peer_uid(stream) not in (0, os.geteuid()):
        raise UsageError("Only the gateway's own user may use its admin socket.")
    request = None
    with trio.move_on_after(REQUEST_TIMEOUT):
        request = await receive_request(stream, fds)
    if request is None:
        raise AdminProtocolError(f"No request came within {REQUEST_TIMEOUT:g} s.")
    operation = request.get("op")
    async with Background() as nursery:
        nursery.start_soon(_cancel_at_hang_up, stream, nursery.cancel_scope)
        if operation == "chat":
            await _chat(gateway, request, send)
        elif operation == "exec":
            await _exec(gateway, request, fds, send)
        elif isinstance(operation, str) and operation in OPERATIONS:
            await send({"done": await OPERATIONS[operation](gateway)})
        else:
            raise AdminProtocolError(f"The op of a request must be chat, exec, {', '.join(OPERATIONS)}.")


async def _cancel_at_hang_up(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancel once the client is gone; what it sends after its request counts for nothing."""
    try:
        while await stream.receive_some(1 << 12):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


async def _chat(gateway: AdminLine, request: dict[str, Any], send: Send) -> None:
    """Take a message of the console through the line."""
    agent = request.get("agent")
    chat = ChatRef("console", _text(request, "session"))
    inbound = Inbound(
        chat=chat,
        text=_text(request, "text"),
        platform_id=secrets.token_hex(8),
        agent=None if agent is None else _text(request, "agent"),
        answerable=request.get("answerable") is not False,
    )

    async def deliver(outbound: Outbound) -> Receipt:
        await send({"outbound": asdict(outbound)})
        return Receipt(outbound, inbound.platform_id)

    async def relay(progress: Progress) -> None:
        await send({"progress": asdict(progress)})

    await gateway.handle(inbound, deliver, relay)


async def _exec(gateway: AdminLine, request: dict[str, Any], fds: list[int], send: Send) -> None:
    """Run a command on the client's own descriptors."""
    argv, timeout = request.get("argv"), request.get("timeout")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) and "\0" not in word for word in argv):
        raise AdminProtocolError("The argv of an exec must be a list of texts, with at least the program.")
    good = timeout is None or (isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0 < timeout < math.inf)
    if not good:
        raise AdminProtocolError("The timeout of an exec must be a number of seconds above 0, or null.")
    if len(fds) != 3:
        raise AdminProtocolError("An exec needs three descriptors: stdin, stdout and stderr.")
    status = await gateway.exec_command(_text(request, "agent"), argv, stdio=(fds[0], fds[1], fds[2]), timeout=timeout)
    await send({"exit": status})


def _text(request: dict[str, Any], name: str) -> str:
    """Return a text of a request."""
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise AdminProtocolError(f"The request needs {name} as text.")
    return clean_text(value)


class AdminClient:
    """Asks the gateway that runs on a home; see `find_gateway`. Each call is one connection."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def chat(
        self,
        text: str,
        *,
        agent: str | None,
        session: str,
        relay: Callable[[Progress], Awaitable[None]],
        answerable: bool = True,
    ) -> Outbound:
        """Send a message of the console and return its answer. Cancelling ends the turn.

        Raises what Gateway.handle raises, UsageError when the gateway is gone.
        """
        request = {"op": "chat", "agent": agent, "text": text, "session": session, "answerable": answerable}
        answer = await self._ask(request, (), relay)
        value = answer["outbound"]
        chat, usage = ChatRef(**value.pop("chat")), Usage(**value.pop("usage"))
        return Outbound(chat=chat, usage=usage, **value)

    async def exec_command(
        self, agent: str, argv: Sequence[str], *, stdio: tuple[int, int, int], timeout: float | None = None
    ) -> int:
        """Run a command in an agent's sandbox. Cancelling kills it. Raises what Gateway.exec_command raises."""
        answer = await self._ask({"op": "exec", "agent": agent, "argv": list(argv), "timeout": timeout}, stdio, _no_progress)
        status: int = answer["exit"]
        return status

    async def operate(self, operation: str) -> dict[str, Any]:
        """Have one of `admin_operations` done and return its answer. Raises what that raises, UsageError."""
        answer = await self._ask({"op": operation}, (), _no_progress)
        done: dict[str, Any] = answer["done"]
        return done

    async def drain(self, timeout: float) -> dict[str, Any]:
        """Have the gateway drain and end; return what ran then, once its process has ended.

        Raises UsageError, GatewayGoneError when it has not ended after `timeout` seconds.
        """
        async with self._connected() as stream:
            pid = peer_pid(stream)
            with open(os.pidfd_open(pid), "rb", buffering=0) if pid else nullcontext() as process:
                answer = await self.operate("drain")
                with trio.move_on_after(timeout):
                    if process is not None:
                        await trio.lowlevel.wait_readable(process)
                    return answer
        raise GatewayGoneError(f"The gateway has not ended within {timeout:g} s: its log says what it waits for.")

    async def _ask(
        self, request: dict[str, Any], fds: tuple[int, ...], relay: Callable[[Progress], Awaitable[None]]
    ) -> dict[str, Any]:
        """Send a request and return the line that ends its answer."""
        async with self._connected() as stream:
            try:
                await send_request(stream, request, fds)
                lines = Lines(stream)
                while (line := await lines.receive()) is not None:
                    if "progress" in line:
                        await relay(Progress(**line["progress"]))
                    elif "error" in line:
                        raise _error_of(line["error"])
                    else:
                        return line
            except (trio.BrokenResourceError, AdminProtocolError) as error:
                raise GatewayGoneError(f"The gateway's answer broke off: {error}") from error
        raise GatewayGoneError("The gateway stopped before it answered.")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[trio.SocketStream]:
        """Connect for as long as the body takes. Raises UsageError when the gateway is gone."""
        stream = await connect_admin(self._directory)
        if stream is None:
            raise UsageError("The gateway has stopped meanwhile: start it again, or ask without it.")
        async with stream:
            yield stream


async def find_gateway(home: Path) -> AdminClient | None:
    """Return a client for the gateway that runs on a home, or None. Raises UsageError when it may not be asked."""
    directory = home / "hermes-iso"
    try:
        stream = await connect_admin(directory) if directory.is_dir() else None
    except OSError as error:
        raise UsageError(f"The gateway's socket in {directory} can't be used: {error.strerror}.") from error
    if stream is None:
        return None
    await stream.aclose()
    return AdminClient(directory)


async def _no_progress(progress: Progress) -> None:
    raise AdminProtocolError(f"Only a chat has progress, found {progress.kind}.")


def _error_line(error: Exception) -> dict[str, Any]:
    """Return the error line that stands for an exception."""
    kind = next(kind for kind, cls in _KINDS if isinstance(error, cls))
    problems = [asdict(problem) for problem in error.problems] if isinstance(error, ConfigError) else None
    return {"kind": kind, "message": str(error), **({"problems": problems} if problems else {})}


def _error_of(value: dict[str, Any]) -> Exception:
    """Return the exception that an error line stands for."""
    kind, message = value.get("kind"), str(value.get("message"))
    cls = next((cls for name, cls in _KINDS if name == kind), HermesIsoError)
    if cls is ConfigError:
        return ConfigError([Problem(**problem) for problem in value["problems"]])
    return cls(message)
