"""ChatMessages: what a turn sends to chats beside its answer: to the one that it was asked in, and where its agent may write.

A message is in the inbox's ledger when the turn hears that it was sent; it goes out from there, once, also when the gateway
ends before. A turn that is run again sends the same ones, which are there already.
"""

from __future__ import annotations

from typing import Any, Protocol

from hermes_iso.destinations import Destinations, UnknownChatError
from hermes_iso.errors import DrainingError, InboxFullError, TurnError
from hermes_iso.messages import ChatRef, Inbound, Outbound
from hermes_iso.sessions import Turn

JsonObject = dict[str, Any]
ORIGIN = "origin"


class Post(Protocol):
    """Takes for good what goes to a chat; `inbox.Inbox` does."""

    async def post(self, inbound: Inbound, outbound: Outbound) -> bool:
        """Take it; whether it was taken before. Raises InboxFullError, DrainingError."""


class ChatMessages:
    """The chats that one turn may write to."""

    def __init__(self, post: Post, destinations: Destinations, turn: Turn) -> None:
        self._post = post
        self._destinations = destinations
        self._turn = turn

    async def targets(self) -> list[JsonObject]:
        """Return the chats that it can write to by a name."""
        words = await self._destinations.known(self._turn.route.agent)
        here = [(ORIGIN, "the chat that this turn was asked in")] if self._origin() is not None else []
        return [{"target": word, "name": about} for word, about in (*here, *words)]

    async def send(self, target: str, text: str, number: int) -> JsonObject:
        """Send a message, the turn's so many-th. Raises TurnError (refused, busy)."""
        agent = self._turn.route.agent
        try:
            chat = self._origin() if target.lower() == ORIGIN else None
            chat = chat or await self._destinations.one(agent, target)
        except UnknownChatError as error:
            raise TurnError("refused", f"The message was not sent: {error}.") from error
        name = f"{self._turn.turn_id}-{number}"
        place = ChatRef("outgoing", agent, account_id=agent)
        outbound = Outbound(chat, text, self._turn.turn_id, agent, self._turn.session_id)
        try:
            await self._post.post(Inbound(place, "", name, agent=agent), outbound)
        except (InboxFullError, DrainingError) as error:
            raise TurnError("busy", f"The message was not sent: {error}") from error
        where = ":".join(filter(None, (chat.platform, chat.chat_id, chat.thread_id)))
        return {"success": True, "target": where, "message_id": name, "note": "It is on its way; nothing else is to be done."}

    def _origin(self) -> ChatRef | None:
        """Return the chat that the turn was asked in, None where that is none that can be written to by itself."""
        chat = self._turn.route.reply_to
        return chat if self._destinations.writes_to(self._turn.route.agent, chat) else None
