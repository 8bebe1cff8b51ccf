"""RowLedger: one message's steps on disk, and the platform's messages that carry its answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hermes_iso.history import Message
from hermes_iso.inbox import rows
from hermes_iso.inbox.inbox import Inbox
from hermes_iso.inbox.values import Row, State
from hermes_iso.messages import Outbound

MOST_TOOLS = 64
"""Names of tools that are kept of one turn; what its process says that it calls is its own word."""


class RowLedger:
    """The ledger of one row; its DeliveryNotes too."""

    def __init__(self, inbox: Inbox, row: Row) -> None:
        self.row = row
        self.instead = ""
        self.tools = list(row.tools)
        self._inbox = inbox
        self._sent = list(row.sent)
        self._messages: tuple[Message, ...] = ()

    @property
    def sent(self) -> Sequence[str]:
        """Ids of the platform's messages that carry the answer, first one first."""
        return tuple(self._sent)

    async def note(self, platform_id: str) -> None:
        """Keep the id of the answer's next message."""
        self._sent.append(platform_id)
        await self._inbox.commit(partial(rows.set_sent, row_id=self.row.id, sent=self._sent))

    async def routed(self, agent: str) -> None:
        """Keep who takes the message."""
        await self._inbox.commit(partial(rows.set_routed, row_id=self.row.id, agent=agent))

    async def running(self) -> None:
        """Keep that its turn begins."""
        await self._inbox.commit(partial(rows.set_running, row_id=self.row.id))

    async def tools_called(self, names: Sequence[str]) -> None:
        """Keep which tools its turn calls; one that is known already costs nothing."""
        fresh = [name for name in dict.fromkeys(names) if name not in self.tools]
        if fresh and len(self.tools) < MOST_TOOLS:
            self.tools += fresh
            await self._inbox.commit(partial(rows.set_tools, row_id=self.row.id, names=self.tools))

    def ended(self, messages: Sequence[Message]) -> None:
        """Take what its turn adds to its history, to be kept with its answer where it may be asked for."""
        if self.row.about.asked_for:
            self._messages = tuple(messages)

    async def answered(self, outbound: Outbound) -> None:
        """Keep the answer, which is to be delivered."""
        step = partial(rows.set_answered, row_id=self.row.id, outbound=outbound, messages=self._messages)
        await self._inbox.commit(step)

    async def done(self, state: State, platform_id: str = "") -> None:
        """Keep the end, and the id of the answer's last message. Of a chat's message that was answered no word stays."""
        if platform_id and platform_id not in self._sent:
            self._sent.append(platform_id)
        emptied = not self.row.about.asked_for and state != "parked"
        await self._inbox.commit(partial(rows.set_done, row_id=self.row.id, state=state, sent=self._sent, emptied=emptied))
