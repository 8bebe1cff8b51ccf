"""TelegramClient: one bot's requests, on trio: python-telegram-bot's Bot over httpx, paused as a whole when Telegram says so.

Only the Bot class is used: of its code, `initialize` and `shutdown` alone need asyncio, and neither is called. A 429 is caught
below the library, which would warn of its own change of types. No error that leaves this module has the token in it.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import httpx
import trio
from telegram import Bot
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, TelegramError, TimedOut
from telegram.request import HTTPXRequest

from hermes_iso.adapter import ChatAccount
from hermes_iso.errors import AdapterError, AttachmentError, DeliveryError

POLL_SECONDS = 25
"""How long Telegram holds a request for updates open when there are none."""
REQUEST_SECONDS = 20.0
"""Seconds that any other request may take, from its first byte to its last."""
PATIENCE = 5.0
"""Seconds that a request waits for the end of a pause; a longer one is left to whoever asked."""
FAILED_AFTER = 300.0
"""Seconds until a token is tried again that Telegram does not know."""
UPDATES = ("message", "edited_message", "channel_post", "edited_channel_post", "callback_query")
_API = "https://api.telegram.org"
Result = TypeVar("Result")


class LimitedError(TelegramError):
    """Telegram wants no request of this bot for `after` seconds."""

    def __init__(self, after: float) -> None:
        super().__init__(f"Telegram wants a pause of {after:.0f} s")
        self.after = after


class _Requests(HTTPXRequest):
    """httpx, with a 429 told apart."""

    async def do_request(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        """Do one request. Raises TelegramError."""
        status, content = await super().do_request(*args, **options)
        if status == 429:
            raise LimitedError(_retry_after(content))
        return status, content


def _retry_after(content: bytes) -> float:
    """Return the seconds that a 429 asks for, within reason."""
    try:
        found = float(json.loads(content)["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 5.0
    return min(max(found, 0.1), 3600.0)


class _Bot(Bot):
    """A bot that hands over updates as they came, so that one malformed update spoils no other."""

    async def raw_updates(self, offset: int | None) -> Any:
        """Return the next updates as JSON; `offset` lets Telegram forget those before it."""
        data = {"timeout": POLL_SECONDS, "offset": offset, "allowed_updates": list(UPDATES), "limit": 100}
        return await self._post("getUpdates", data, read_timeout=POLL_SECONDS + 10)


class TelegramClient:
    """One bot, as its adapter uses it. What it raises is AdapterError, or what `delivery_error` makes of Telegram's own."""

    def __init__(self, account: ChatAccount) -> None:
        settings = account.settings
        base = settings.get("base_url") or f"{_API}/bot"
        base = base if base.endswith("/bot") else f"{base}/bot"
        files = settings.get("base_file_url") or f"{base.removesuffix('/bot')}/file/bot"
        proxy = settings.get("proxy_url") or None
        self._token = account.token
        self._limited_until = 0.0
        tls = ssl.create_default_context() if f"{base}{files}{proxy or ''}".count("https:") else False
        own: dict[str, Any] = {"trust_env": False, "verify": tls}  # one context for all: to make one takes a while
        options: dict[str, Any] = {"httpx_kwargs": own, "proxy": proxy, "pool_timeout": 10.0}
        self._requests = (
            _Requests(connection_pool_size=2, **options),
            _Requests(connection_pool_size=32, read_timeout=15.0, **options),
        )
        self._download_options: dict[str, Any] = {**own, "proxy": proxy, "timeout": 15.0}
        self.bot = _Bot(account.token, base, files, request=self._requests[1], get_updates_request=self._requests[0])

    async def aclose(self) -> None:
        """Close the connections; a later request opens them again."""
        for request in self._requests:
            await request.shutdown()

    @property
    def limited_for(self) -> float:
        """Seconds of the pause that is left."""
        return max(0.0, self._limited_until - trio.current_time())

    async def ask(
        self, work: Callable[[], Awaitable[Result]], *, patience: float = PATIENCE, seconds: float = REQUEST_SECONDS
    ) -> Result:
        """Do a request once the pause is over, which Telegram may have asked for after any request of this bot.

        A pause longer than `patience` raises LimitedError. A request is not cancelled half way, because what came of it would
        be unknown; it takes `seconds` at most. Raises TelegramError.
        """
        for request in self._requests:
            await request.initialize()
        while True:
            if self.limited_for > patience:
                raise LimitedError(self.limited_for)
            await trio.sleep(self.limited_for)
            try:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds):
                    return await work()
                raise TimedOut  # the deadline ended the scope
            except LimitedError as error:
                self._limited_until = max(self._limited_until, trio.current_time() + error.after)

    async def updates(self, offset: int | None) -> Sequence[Any]:
        """Wait for updates. Raises AdapterError. Cancelling takes nothing away: Telegram keeps what was not confirmed."""
        for request in self._requests:
            await request.initialize()
        try:
            await trio.sleep(self.limited_for)
            found = await self.bot.raw_updates(offset)
        except TelegramError as error:
            raise self.adapter_error(error) from None
        if not isinstance(found, list):
            raise AdapterError("Telegram answered with something other than a list of updates.")
        return found

    async def download(self, reference: str, limit: int) -> bytes:
        """Return a file by its id. Raises AttachmentError."""
        try:
            file = await self.ask(lambda: self.bot.get_file(reference))
            if (file.file_size or 0) > limit or not file.file_path:
                raise AttachmentError(_too_large(limit))
            async with (
                httpx.AsyncClient(**self._download_options) as client,
                client.stream("GET", file.file_path) as response,
            ):
                content = await _content(response, limit)
        except httpx.StreamError:
            raise AttachmentError(_too_large(limit)) from None
        except BadRequest as error:
            raise AttachmentError(
                _too_large(limit) if "too big" in str(error).lower() else "Telegram does not know it"
            ) from None
        except (TelegramError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise AttachmentError(f"it could not be fetched from Telegram ({type(error).__name__})") from None
        if response.status_code != 200:
            raise AttachmentError("it is not on Telegram's servers any more")
        return content

    def adapter_error(self, error: TelegramError) -> AdapterError:
        """Return why the bot can't be served now, in words that hold no secret."""
        if isinstance(error, LimitedError):
            self._limited_until = max(self._limited_until, trio.current_time() + error.after)
            return AdapterError(f"{error}.", after=error.after)
        if isinstance(error, InvalidToken):
            text = "Telegram does not know this bot's token (401): have @BotFather make a new one, and reload."
            return AdapterError(text, after=FAILED_AFTER, failed=True)
        if isinstance(error, Conflict):
            return AdapterError(
                "Another program takes this bot's updates (409): stop it, or give each a bot of its own.", after=5.0
            )
        return AdapterError(f"Telegram can't be reached or does not serve this bot now: {self.clean(error)}.")

    def delivery_error(self, error: TelegramError) -> DeliveryError:
        """Return what became of an answer that Telegram did not take, and whether another try can help.

        A request that broke off may have arrived; it is tried again all the same, because a lost answer is worse than one
        that stands there twice. Edits can't do that harm, so that only the first message of an answer can.
        """
        if isinstance(error, LimitedError):
            return DeliveryError(f"{error}.", again=True, after=error.after)
        if isinstance(error, InvalidToken):
            return DeliveryError("Telegram does not know this bot's token.", again=True, after=FAILED_AFTER)
        if isinstance(error, BadRequest | Forbidden | ChatMigrated):
            return DeliveryError(f"Telegram refuses the answer: {self.clean(error)}.")
        if isinstance(error, NetworkError):
            return DeliveryError(f"Telegram can't be reached: {self.clean(error)}.", again=True, after=2.0)
        return DeliveryError(f"Telegram did not take the answer: {self.clean(error)}.")

    def clean(self, error: TelegramError) -> str:
        """Return what Telegram says of an error, short and without the token."""
        return " ".join(str(error).replace(self._token, "TOKEN").split())[:200].rstrip(".") or type(error).__name__


async def _content(response: httpx.Response, limit: int) -> bytes:
    """Return what a response holds. Raises httpx.StreamError when it is too long.

    httpx reads through a chain of generators, which only a read on a closed connection brings to their end.
    """
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > limit:
            await response.aclose()
    return bytes(content)


def _too_large(limit: int) -> str:
    return f"it is larger than the {limit >> 20} MiB that are taken"
