"""ServedChats: the adapters of all chat accounts, each supervised by itself, and the way back to each chat.

An adapter that raises is started again, later each time, and no other notices. What adapters take goes through an entrance that
knows who may talk to whom; answers find their adapter by platform and account. A reload starts, ends and replaces accounts.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import structlog
import trio

from hermes_iso.adapter import Answering, ChatAccount, ChatAdapter, DeliveryNotes, Intake
from hermes_iso.chat_adapters import find_adapters
from hermes_iso.config.schema import Config
from hermes_iso.doorways import Doorways
from hermes_iso.errors import AdapterError, AttachmentError, DeliveryError, DrainingError
from hermes_iso.incoming_files import with_files
from hermes_iso.messages import Attachment, ChatRef, Inbound
from hermes_iso.profiles import Profile

FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds until an adapter that ended is started again: at first, and at most."""
BEGIN_SECONDS = 10.0
"""Seconds for adapters to be imported and their doorways to be opened, before the gateway says that it serves."""
STEADY_SECONDS = 60.0
"""Seconds after which an adapter that served is taken for a sound one again."""


@dataclass(slots=True)
class _Seat:
    """One account that is served. `why`: what it waits for, or ''; `begun`: set once its doorway is open, or can't be."""

    account: ChatAccount
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    adapter: ChatAdapter | None = None
    why: str = ""
    failed: bool = False
    restarts: int = 0
    begun: trio.Event = field(default_factory=trio.Event)

    def status(self) -> dict[str, Any]:
        """Return what is told of it."""
        told = dict(self.adapter.status()) if self.adapter is not None else {}
        if self.why:
            told |= {"state": "failed" if self.failed else "backing_off", "last_error": self.why}
        return {
            "platform": self.account.platform,
            "account": self.account.account_id,
            "agent": self.account.agent,
            "state": "connecting",
            **told,
            "restarts": self.restarts,
        }


class ServedChats:
    """The chat accounts of one gateway. `serve` runs them; before and after it there is no way to any chat."""

    def __init__(self, config: Config, makers: Mapping[str, EntryPoint] | None = None) -> None:
        self._config = config
        self._intake: Intake | None = None
        self._commands: Sequence[tuple[str, str]] = ()
        self._makers = find_adapters() if makers is None else makers
        self._seats: dict[tuple[str, str], _Seat] = {}
        self._nursery: trio.Nursery | None = None
        self._doorways: Doorways | None = None
        self._log = structlog.get_logger()

    async def serve(
        self,
        intake: Intake,
        commands: Sequence[tuple[str, str]] = (),
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve every account until cancelled. started() comes when their doorways are open: no platform is waited for.

        commands: the slash commands and what each does, for platforms that show people a list; in the setting `commands`.
        """
        self._intake, self._commands = intake, commands
        async with trio.open_nursery() as nursery:
            self._nursery, self._doorways = nursery, Doorways(nursery)
            self.use(self._config)
            with trio.move_on_after(BEGIN_SECONDS):
                for seat in list(self._seats.values()):
                    await seat.begun.wait()
            task_status.started()
            await trio.sleep_forever()

    def use(self, config: Config) -> None:
        """Go by another config from now on: accounts come, go, and begin anew where something about them has changed."""
        self._config = config
        wanted = {(account.chat_platform, account.account_id): account for account in config.chat_accounts}
        for key in [key for key, seat in self._seats.items() if wanted.get(key) != seat.account]:
            self._seats.pop(key).scope.cancel()
        for key, account in wanted.items():
            if key not in self._seats and self._nursery is not None:
                seat = self._seats[key] = _Seat(account)
                self._nursery.start_soon(self._supervise, seat)

    async def _supervise(self, seat: _Seat) -> None:
        """Serve one account, again and again."""
        pause = FIRST_PAUSE
        with seat.scope:
            while True:
                began = trio.current_time()
                after = await self._serve_once(seat)
                seat.begun.set()
                steady = trio.current_time() - began > STEADY_SECONDS
                pause = FIRST_PAUSE if steady else pause
                await trio.sleep(max(after, pause * random.uniform(0.7, 1.3)))  # noqa: S311  # spreads restarts, no secret
                pause = min(2 * pause, LAST_PAUSE)
                seat.why, seat.restarts = "", seat.restarts + 1

    async def _serve_once(self, seat: _Seat) -> float:
        """Serve one account until its adapter ends; returns the least seconds to wait."""
        account = seat.account
        log = self._log.bind(platform=account.platform, account=account.account_id)
        assert self._doorways is not None
        assert self._intake is not None
        try:
            if seat.adapter is None:
                seat.adapter = await self._made(account)
            async with self._doorways.opened(seat.adapter.doorway, seat.adapter.receive):
                seat.begun.set()
                await seat.adapter.serve_adapter(self._intake)
            seat.why, seat.failed = "Its adapter ended.", False
        except AdapterError as error:
            seat.why, seat.failed = str(error), error.failed
            log.warning("chat_account_waits", reason=seat.why)
            return error.after
        except DrainingError:
            seat.why, seat.failed = "The gateway is about to stop.", False
        except Exception as error:  # noqa: BLE001  # one account must not end the others
            seat.why, seat.failed = f"Its adapter failed ({type(error).__name__}); the log says more.", False
            trace = "".join(traceback.format_exception(error)).replace(account.token or "\0", "TOKEN")
            log.error("chat_account_crashed", trace=trace[-8000:])
        return 0.0

    async def _made(self, account: ChatAccount) -> ChatAdapter:
        """Return the adapter of an account. Raises AdapterError when there is none, or it can't be imported."""
        maker = self._makers.get(account.platform)
        if maker is None:
            raise AdapterError(f"No adapter for {account.platform} is installed.", after=LAST_PAUSE, failed=True)
        try:
            make = await trio.to_thread.run_sync(maker.load)
        except ImportError as error:
            text = (
                f"The adapter for {account.platform} can't be imported ({error}): pip install 'hermes-iso[{account.platform}]'."
            )
            raise AdapterError(text, after=LAST_PAUSE, failed=True) from error
        settings = {**account.settings, "commands": self._commands}
        adapter: ChatAdapter = make(replace(account, settings=settings))
        return adapter

    def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AbstractAsyncContextManager[Answering]:
        """Open an answer to a chat, as its adapter does; entering raises DeliveryError when its account is not served."""
        return self._answering(chat, reply_to, notes)

    @asynccontextmanager
    async def _answering(self, chat: ChatRef, reply_to: str | None, notes: DeliveryNotes) -> AsyncIterator[Answering]:
        async with self._adapter_of(chat).answering(chat, reply_to=reply_to, notes=notes) as answering:
            yield answering

    def _adapter_of(self, chat: ChatRef) -> ChatAdapter:
        """Return the adapter of a chat's account. Raises DeliveryError."""
        account = (chat.account_id or "").partition("/")[0]  # what is behind it, a bridge says
        seat = self._seats.get((chat.platform, account))
        if seat is None:
            raise DeliveryError(f"No account {chat.account_id!r} of {chat.platform} is served now.")
        if seat.adapter is None:
            raise DeliveryError(f"Account {chat.account_id!r} of {chat.platform} is not ready yet.", again=True, after=2.0)
        return seat.adapter

    async def fetch(self, chat: ChatRef, attachment: Attachment, limit: int) -> bytes:
        """Return a file that came with a message of a chat. Raises AttachmentError."""
        try:
            return await self._adapter_of(chat).fetch(attachment, limit=limit)
        except DeliveryError as error:
            raise AttachmentError(str(error)) from None

    async def with_files(self, inbound: Inbound, profile: Profile) -> Inbound:
        """Return a message whose files are in its agent's inbox, and told of in its text."""
        return await with_files(inbound, profile, partial(self.fetch, inbound.chat))

    def status(self) -> list[dict[str, Any]]:
        """Return what is told of every account: whose it is, its state, counts, and what went wrong last."""
        return [seat.status() for seat in self._seats.values()]
