"""NoChats: what a gateway has whose config names no account of a chat platform: every chat is out of reach."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType

from hermes_iso.adapter import Answering, DeliveryNotes
from hermes_iso.errors import DeliveryError
from hermes_iso.messages import ChatRef


class NoChats:
    """Reaches no chat."""

    def answering(
        self,
        chat: ChatRef,
        *,
        reply_to: str | None,  # noqa: ARG002  # the form of Chats
        notes: DeliveryNotes,  # noqa: ARG002
    ) -> AbstractAsyncContextManager[Answering]:
        """Return an answer that can't be opened."""
        return _Nowhere(chat)


class _Nowhere:
    """An answer to a chat that is out of reach."""

    def __init__(self, chat: ChatRef) -> None:
        self._chat = chat

    async def __aenter__(self) -> Answering:
        """Raise DeliveryError."""
        raise DeliveryError(f"No account of {self._chat.platform} is configured here: the answer has nowhere to go.")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""


NO_CHATS = NoChats()
