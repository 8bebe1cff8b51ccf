"""The webhook adapter: one bridge to a platform that has no adapter here; messages and answers are signed with its secret.

A bridge posts each message with a timestamp and an HMAC-SHA256 over both. What is not signed, or signed too long ago, learns
nothing; a request that comes again byte by byte is refused, and a message that comes again under its id is the same message.
Answers are posted to a URL from the account's list, signed in the same way, or wait until the bridge asks for them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio

from hermes_iso.adapter import Answering, Call, CallAnswer, ChatAccount, DeliveryNotes, Doorway, Intake, OutboundFile
from hermes_iso.errors import AttachmentError, DeliveryError, InboxFullError
from hermes_iso.messages import Attachment, ChatRef, Inbound, Outbound, Progress

WINDOW_SECONDS = 300
"""Seconds by which a timestamp may be off."""
SEEN = 10_000
"""Signatures that are remembered, and answers that can be fetched once more."""
SHELF_CHARS = 128 << 20
"""Characters of the answers that wait or can be fetched once more, their files included; the oldest go first."""
FETCH_SECONDS = 600.0
"""Seconds that an answer waits to be fetched."""
POLL_SECONDS = 25.0
"""Most seconds that a request for an answer is held open."""
POST_SECONDS = 15.0
TEXT_CHARS = 200_000
ID_CHARS = 256
STAMP, SIGNATURE = "x-webhook-timestamp", "x-webhook-signature-v2"
_ID = re.compile(r"[\w.:@=+/-]{1,128}\Z", re.ASCII)
_CHAT_KEYS = ("id", "type", "thread_id", "parent_id", "guild_id", "team_id")


def sign(secret: str, timestamp: str, content: bytes) -> str:
    """Return the signature of a content at a Unix time, in hexadecimal digits."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + content, hashlib.sha256).hexdigest()


class MalformedError(ValueError):
    """A message of a bridge is not as it should be; the text says which field."""


@dataclass(slots=True)
class _Shelf:
    """Answers that wait to be fetched, and those that were."""

    ready: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    sizes: dict[str, int] = field(default_factory=dict)
    fetched: dict[str, trio.Event] = field(default_factory=dict)
    news: trio.Event = field(default_factory=trio.Event)

    def put(self, message_id: str, answer: dict[str, Any]) -> trio.Event:
        """Lay an answer down; the event is set once it was fetched, or had to go for others: then it is not there any more."""
        self.ready[message_id] = answer
        self.ready.move_to_end(message_id)
        self.sizes[message_id] = _size(answer)
        while len(self.ready) > SEEN or (len(self.ready) > 1 and sum(self.sizes.values()) > SHELF_CHARS):
            oldest, _ = self.ready.popitem(last=False)
            del self.sizes[oldest]
            if (given_up := self.fetched.pop(oldest, None)) is not None:
                given_up.set()
        fetched = self.fetched[message_id] = trio.Event()
        self.news.set()
        self.news = trio.Event()
        return fetched

    async def take(self, message_id: str, wait: float) -> dict[str, Any] | None:
        """Return an answer, None when there is none after so many seconds."""
        with trio.move_on_after(wait):
            while message_id not in self.ready:
                await self.news.wait()
        if (fetched := self.fetched.pop(message_id, None)) is not None:
            fetched.set()
        return self.ready.get(message_id)


class WebhookAdapter:
    """One bridge."""

    name = "webhook"

    def __init__(self, account: ChatAccount) -> None:
        self.account = account
        self._intake: Intake | None = None
        self._shelf = _Shelf()
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._counts = {"accepted": 0, "refused": 0, "answered": 0}

    async def serve_adapter(self, intake: Intake, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take what comes to the doorway, for ever."""
        self._intake = intake
        task_status.started()
        await trio.sleep_forever()

    @property
    def doorway(self) -> Doorway:
        """Where the bridge calls."""
        settings = self.account.settings
        return Doorway(settings["host"], settings["port"], f"/webhooks/{self.account.account_id}")

    async def receive(self, call: Call) -> CallAnswer:
        """Take a message, or hand over an answer, for whoever knows the secret."""
        content = call.body if call.method == "POST" else call.path.encode()
        signature = call.headers.get(SIGNATURE, "")
        if not self._is_signed(call.headers.get(STAMP, ""), signature, content):
            self._counts["refused"] += 1
            return CallAnswer(401)
        if call.method == "GET" and call.path.startswith("/answers/"):
            return await self._hand_over(call)
        if call.method != "POST" or call.path:
            return CallAnswer(404)
        if signature in self._seen:
            self._counts["refused"] += 1
            return CallAnswer(409)
        return await self._take(call, signature)

    def _is_signed(self, stamp: str, signature: str, content: bytes) -> bool:
        """Say whether a content was signed with the secret, and lately."""
        if not (stamp.isascii() and stamp.isdecimal()) or abs(time.time() - int(stamp[:16])) > WINDOW_SECONDS:
            return False
        return hmac.compare_digest(sign(self.account.token, stamp, content).encode(), signature.encode("utf-8", "replace"))

    async def _take(self, call: Call, signature: str) -> CallAnswer:
        """Take a message for good."""
        if self._intake is None:
            return CallAnswer(503, headers={"retry-after": "5"})
        try:
            inbound = self._inbound(call.body)
            await self._intake.accept(inbound)
        except MalformedError as error:
            return CallAnswer(400, {"error": str(error)})
        except InboxFullError as error:
            return CallAnswer(429, {"error": str(error)}, {"retry-after": str(int(error.after) + 1)})
        self._seen[signature] = time.time()
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        self._counts["accepted"] += 1
        return CallAnswer(202, {"status": "accepted", "id": inbound.platform_id.partition(" ")[0]})

    def _inbound(self, body: bytes) -> Inbound:
        """Return a bridge's message. Raises MalformedError."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            raise MalformedError("The body is no JSON.") from None
        if not isinstance(data, dict):
            raise MalformedError("The body is no JSON object.")
        if "in_reply_to" in data:
            raise MalformedError("in_reply_to: this is an answer of the gateway's own, signed with the same secret.")
        chat = data.get("chat")
        if not isinstance(chat, dict):
            raise MalformedError("chat: must be an object with an id.")
        message_id = _text(data, "id")
        if message_id is None or not _ID.match(message_id):
            raise MalformedError("id: must be up to 128 letters, digits and any of . : @ = + / _ -")
        text = data.get("text")
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT_CHARS:
            raise MalformedError(f"text: must be a text of at most {TEXT_CHARS} characters.")
        where = self._chat(chat, _text(data, "account_id"))
        url = self._callback(_text(data, "callback_url", most=1000))
        return Inbound(
            where,
            _clean(text),
            f"{message_id} {url}",
            user_id=_text(data, "user_id"),
            agent=self.account.agent,
        )

    def _chat(self, chat: Mapping[str, Any], account: str | None) -> ChatRef:
        """Return where a message comes from. The platform is the account's: a bridge can't claim to be another one."""
        found = {key: _text(chat, key) for key in _CHAT_KEYS}
        if found["id"] is None:
            raise MalformedError("chat.id: is missing.")
        own = self.account.account_id
        return ChatRef(
            platform=self.account.chat_platform,
            chat_id=found["id"],
            chat_type=found["type"] or "dm",
            thread_id=found["thread_id"],
            parent_chat_id=found["parent_id"],
            guild_id=found["guild_id"],
            team_id=found["team_id"],
            account_id=own if account is None else f"{own}/{account}",
        )

    def _callback(self, url: str | None) -> str:
        """Return where the answer goes, '' where it waits to be fetched. Raises MalformedError where it may not go."""
        if url is None:
            return ""
        if not any(_is_below(url, allowed) for allowed in self.account.settings["callback_urls"]):
            raise MalformedError("callback_url: is not in the account's callback_urls.")
        return url

    async def _hand_over(self, call: Call) -> CallAnswer:
        """Hand an answer to the bridge that asks for it."""
        wait = call.query.get("wait", "0")
        seconds = min(float(wait), POLL_SECONDS) if wait.isascii() and wait.isdecimal() else 0.0
        answer = await self._shelf.take(call.path.removeprefix("/answers/"), seconds)
        return CallAnswer(202, {"status": "pending"}) if answer is None else CallAnswer(200, answer)

    def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AbstractAsyncContextManager[Answering]:
        """Open an answer to a message of the bridge's."""
        return self._answering(chat, reply_to or "", notes)

    @asynccontextmanager
    async def _answering(self, chat: ChatRef, reply_to: str, notes: DeliveryNotes) -> AsyncIterator[Answering]:  # noqa: ARG002
        message_id, _, url = reply_to.partition(" ")
        yield _Answer(self, chat, message_id, url)

    async def deliver(self, message_id: str, url: str, answer: dict[str, Any]) -> None:
        """Bring an answer to the bridge. Raises DeliveryError."""
        if url:
            await self._post(url, json.dumps(answer).encode())
        else:
            fetched = self._shelf.put(message_id, answer)
            with trio.move_on_after(FETCH_SECONDS) as scope:
                await fetched.wait()
            if scope.cancelled_caught or message_id not in self._shelf.ready:
                raise DeliveryError("The bridge did not fetch the answer.")
        self._counts["answered"] += 1

    async def ask(self, message_id: str, url: str, question: dict[str, Any]) -> None:
        """Bring a question to the bridge, or lay it where its answer will lie. Raises DeliveryError."""
        if url:
            await self._post(url, json.dumps(question).encode())
        else:
            self._shelf.put(message_id, question)

    async def _post(self, url: str, content: bytes) -> None:
        """Post an answer, signed. Raises DeliveryError: a bridge that can't take it now is asked again."""
        if not any(_is_below(url, allowed) for allowed in self.account.settings["callback_urls"]):
            raise DeliveryError("The callback URL is not allowed any more.")
        stamp = str(int(time.time()))
        signature = sign(self.account.token, stamp, content)
        headers = {"content-type": "application/json", STAMP: stamp, SIGNATURE: signature}
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=POST_SECONDS) as client:
                response = await client.post(url, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise DeliveryError(f"The bridge can't be reached ({type(error).__name__}).", again=True) from None
        if response.status_code >= 500 or response.status_code in (408, 425, 429):
            wait = response.headers.get("retry-after", "")
            after = min(float(wait), 3600.0) if wait.isdecimal() else None
            raise DeliveryError(f"The bridge answered {response.status_code}.", again=True, after=after)
        if not response.is_success:
            raise DeliveryError(f"The bridge refuses the answer ({response.status_code}).")

    async def fetch(self, attachment: Attachment, *, limit: int) -> bytes:
        """Return nothing: a bridge sends no files."""
        raise AttachmentError(f"a bridge sends no files ({attachment.kind}, {limit} bytes)")

    def status(self) -> Mapping[str, Any]:
        """Return what is told of the bridge."""
        return {"state": "connecting" if self._intake is None else "connected", "last_error": "", **self._counts}


@dataclass(frozen=True, slots=True)
class _Answer:
    """One answer to a bridge."""

    adapter: WebhookAdapter
    chat: ChatRef
    message_id: str
    url: str

    async def show(self, progress: Progress) -> None:
        """Bring a question, for which the turn waits; all else a bridge gets with the answer. Raises DeliveryError."""
        if progress.kind == "question":
            told = {"in_reply_to": self.message_id, "chat": {"id": self.chat.chat_id}, "question": progress.text}
            await self.adapter.ask(self.message_id, self.url, told)

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:
        """Bring the whole answer; its id is the turn's, by which a bridge knows one that comes again."""
        chat = self.chat
        told: dict[str, Any] = {
            "id": outbound.turn_id,
            "in_reply_to": self.message_id,
            "chat": {"id": chat.chat_id, "type": chat.chat_type, "thread_id": chat.thread_id},
            "agent": outbound.agent,
            "text": outbound.text,
            "error": outbound.error,
            "files": [
                {"name": each.name, "media_type": each.media_type, "content": base64.b64encode(each.content).decode()}
                for each in files
            ],
        }
        await self.adapter.deliver(self.message_id, self.url, told)
        return outbound.turn_id


def _text(data: Mapping[str, Any], key: str, *, most: int = ID_CHARS) -> str | None:
    """Return an id, None where there is none. Raises MalformedError."""
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise MalformedError(f"{key}: must be a text of 1 to {most} characters without control characters.")
    return value


def _size(answer: Mapping[str, Any]) -> int:
    """Return about how many characters an answer keeps in memory."""
    return len(answer.get("text") or "") + sum(len(each["content"]) for each in answer.get("files") or ())


def _clean(text: str) -> str:
    """Return a text that can be stored: without NUL and without halves of characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")


def _is_below(url: str, allowed: str) -> bool:
    """Say whether a URL is an allowed one or lies below it, on the same host and port."""
    try:
        wanted, limit = urlsplit(url), urlsplit(allowed)
        same = (wanted.scheme, wanted.netloc) == (limit.scheme, limit.netloc)
    except ValueError:
        return False
    if not same or "\\" in url or "/.." in wanted.path or "%2e" in wanted.path.lower() or wanted.fragment:
        return False
    base = limit.path.rstrip("/")
    return wanted.path == limit.path or wanted.path.startswith(f"{base}/")
