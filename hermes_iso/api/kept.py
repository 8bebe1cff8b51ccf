"""KeptMessages: requests that are messages of the inbox: on disk before they are answered, and there for who comes back.

A request with an `Idempotency-Key` is the one that came before it with that key for that agent; the same key with another
request is refused. What belongs to one key and agent does not exist for any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import trio

from hermes_iso.api.answers import ANSWER_TIMEOUT, Answer, wait_until_gone
from hermes_iso.api.auth import Caller, hermes_header
from hermes_iso.api.choice import Directory
from hermes_iso.api.errors import MAY_TRY_AGAIN, ApiError, Receive, Scope
from hermes_iso.background import Background
from hermes_iso.errors import DiskFullError, DrainingError, InboxFullError
from hermes_iso.inbox.values import About, Row
from hermes_iso.messages import Inbound, Outbound, Progress

KEY_HEADER = "Idempotency-Key"
STOP_TIMEOUT = 10.0
"""Seconds to wait for the end of a turn that is stopped."""
_CHAT_HEADERS = ("X-Hermes-Session-Id", "X-Hermes-Chat-Id", "X-Hermes-Thread-Id", "X-Hermes-User-Id", "X-Hermes-Session-Key")


class KeptMessages:
    """The API's messages on the inbox of one gateway."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def take(self, scope: Scope, inbound: Inbound, kind: str, content: bytes, request: Mapping[str, Any]) -> Row:
        """Take a request for good, and return its row or that of the same one before.

        content: the body as it came. request: what its answer repeats. Raises ApiError: 409 for a key that another request
        has, 429 or 503 when nothing more is taken.
        """
        key = hermes_header(scope["headers"], KEY_HEADER)
        if key is not None:
            identity = json.dumps([inbound.namespace, inbound.agent, key])
            inbound = replace(inbound, platform_id=f"key-{hashlib.sha256(identity.encode('utf-8', 'replace')).hexdigest()}")
        digest = _digest(scope, kind, content)
        try:
            taken = await self._directory.inbox.take(inbound, digest=digest, about=About(kind, request))
        except DrainingError as error:
            raise ApiError(503, str(error), code="draining", retry_after=5.0) from error
        except DiskFullError as error:
            raise ApiError(503, str(error), code="storage", retry_after=error.after) from error
        except InboxFullError as error:
            raise ApiError(429, str(error), code="busy", retry_after=error.after) from error
        if taken.digest != digest:
            text = f"This {KEY_HEADER} belongs to another request: use a new one, or send that request again as it was."
            raise ApiError(409, text, code="idempotency_conflict", param=KEY_HEADER)
        row = await self._directory.inbox.find(taken.turn_id)
        if row is None:
            raise ApiError(404, f"What this {KEY_HEADER} asked for was deleted.", code="not_found", param=KEY_HEADER)
        if taken.repeated and row.outbound is not None and row.outbound.error in MAY_TRY_AGAIN:
            await self._directory.inbox.forget(row)  # nothing had been done for it, and its sender was asked to try again
            return await self.take(scope, inbound, kind, content, request)
        return row

    async def find(self, caller: Caller, path_agent: str | None, turn_id: str, kind: str) -> Row | None:
        """Return a message of this caller; to anyone else it does not exist."""
        row = await self._directory.inbox.find(turn_id)
        if row is None or row.about.kind != kind or row.owner != caller.name or not caller.may_use(row.inbound.agent or ""):
            return None
        return row if path_agent in (None, row.inbound.agent) else None

    async def again(self, row: Row) -> Row:
        """Return a message as it is now."""
        return await self._directory.inbox.find(row.turn_id) or row

    async def follow(self, row: Row) -> AsyncGenerator[Progress | Outbound, None]:
        """Give what a message's turn shows, and its end last; a gateway that stops before that says so as a failure."""
        live = self._directory.inbox.events(row.turn_id)
        if live is not None:
            async with aclosing(live.follow()) as events:
                async for event in events:
                    yield event
                    if isinstance(event, Outbound):
                        return
        found = await self._directory.inbox.find(row.turn_id)
        if found is not None and found.outbound is not None:
            yield found.outbound
            return
        text = "The gateway stopped before this was answered: it goes on when it is back; ask for it then."
        yield Outbound(row.inbound.chat, text, row.turn_id, row.agent, row.inbound.session_id or "", error="draining")

    async def answer(self, row: Row, answer: Answer, receive: Receive, *, stays: bool) -> None:
        """Write the answer to a message. stays: its turn goes on although the client hangs up.

        One that does not take its answer is left ANSWER_TIMEOUT after the turn.
        """
        written, gone = trio.Event(), trio.Event()
        async with Background() as nursery:

            async def write() -> None:
                await answer.write()
                written.set()

            async def watch() -> None:
                await wait_until_gone(receive)
                gone.set()
                nursery.cancel_scope.cancel()

            nursery.start_soon(write)
            nursery.start_soon(watch)
            async with aclosing(self.follow(row)) as events:
                async for event in events:
                    if isinstance(event, Outbound):
                        nursery.cancel_scope.deadline = trio.current_time() + ANSWER_TIMEOUT
                        await answer.deliver(event)
                    else:
                        await answer.relay(event)
            await written.wait()
        if gone.is_set() and not stays:
            await self._directory.stop(row.turn_id)

    async def stop(self, turn_id: str) -> None:
        """Stop a message's turn, and wait a while for its end."""
        live = self._directory.inbox.events(turn_id)
        if live is not None:
            await self._directory.stop(turn_id)
            with trio.move_on_after(STOP_TIMEOUT):
                await live.wait_end()

    async def delete(self, row: Row) -> None:
        """Forget a message, whose turn is stopped first."""
        await self.stop(row.turn_id)
        await self._directory.inbox.forget(row)


def has_key(scope: Scope) -> bool:
    """Say whether a request may be repeated. Raises ApiError(400) for a malformed key."""
    return hermes_header(scope["headers"], KEY_HEADER) is not None


def _digest(scope: Scope, kind: str, content: bytes) -> str:
    """Return what tells a request from another one with the same key."""
    headers = [hermes_header(scope["headers"], name) for name in _CHAT_HEADERS]
    found = hashlib.sha256(json.dumps([kind, headers]).encode())
    found.update(content)
    return found.hexdigest()
