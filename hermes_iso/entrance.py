"""Entrance: what adapters hand messages to: who sends one is let in or not, before anything of it is kept.

A stranger's message is not stored, and costs no turn: at most it is answered with a pairing code. So is a message that holds
nothing an agent could read, with a sentence. What goes on names its agent from here on: that choice is made once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import structlog
import trio

from hermes_iso.adapter import Intake
from hermes_iso.admission import Admission, rules_for
from hermes_iso.chats import ServedChats
from hermes_iso.config.schema import Config
from hermes_iso.errors import DeliveryError, RouteRejectedError
from hermes_iso.messages import Attachment, Inbound, Outbound

UNREADABLE = frozenset({"voice", "video_note", "sticker"})
"""Kinds of attachments that are files and that no agent can do anything with."""
REPLIES = 50
"""Sentences of its own that are on their way at a time; further ones are left out."""
REPLY_TIMEOUT = 60.0
"""Seconds for one of them."""
_WHAT = {"voice": "a voice message", "video_note": "a video message", "sticker": "a sticker"}


class Routing(Protocol):
    """What the entrance asks of the gateway."""

    @property
    def config(self) -> Config:
        """The config that is served now."""

    async def select_agent(self, inbound: Inbound, among: Collection[str]) -> str:
        """Return the agent that takes a message, where hooks may choose `among` these. Raises RouteRejectedError."""


@dataclass(frozen=True, slots=True)
class _NoNotes:
    """The notes of an answer that is in no ledger."""

    sent: Sequence[str] = ()

    async def note(self, platform_id: str) -> None:
        """Keep nothing."""


@dataclass(slots=True)
class Entrance:
    """An Intake before the inbox; `chats` and `nursery` carry its own sentences."""

    inner: Intake
    routing: Routing
    admission: Admission
    nursery: trio.Nursery
    chats: ServedChats
    _replying: int = 0
    _turned_away: int = 0
    _log: structlog.typing.FilteringBoundLogger = field(default_factory=structlog.get_logger)

    @property
    def turned_away(self) -> int:
        """How many messages of strangers were not taken."""
        return self._turned_away

    async def accept(self, inbound: Inbound) -> None:
        """Take a message for good, unless its sender may not talk to its agent. Raises what the inbox raises."""
        config = self.routing.config
        try:
            agent: str | None = await self.routing.select_agent(inbound, config.agents)
        except RouteRejectedError:
            agent = None
        if not self.admission.admits(inbound, agent, config):
            self._turned_away += 1
            await self._turn_away(inbound, agent, config)
            return
        readable, sentence = _readable(inbound)
        if sentence:
            self._reply(inbound, sentence)
            return
        await self.inner.accept(readable if agent is None else replace(readable, agent=agent))

    async def _turn_away(self, inbound: Inbound, agent: str | None, config: Config) -> None:
        """Offer a stranger a code, where the config wants that; in a group nothing is said."""
        user = inbound.user_id
        if inbound.chat.chat_type != "dm" or agent is None or not user or not rules_for(config, inbound, agent).pairs:
            return
        platform = inbound.chat.platform
        code = await self.admission.offer(agent, platform, user)
        if code is not None:
            self._log.info("pairing_code_offered", platform=platform, account=inbound.chat.account_id, agent=agent)
            self._reply(
                inbound,
                f"I don't know you yet. Your pairing code is {code}; it holds for an hour. Tell it to an admin of this agent,"
                f" who lets you in with: /pairing approve {platform} {code}",
            )

    def _reply(self, inbound: Inbound, sentence: str) -> None:
        """Say something to a chat beside everything else; it is in no ledger, and what fails is only logged."""
        if self._replying < REPLIES:
            self._replying += 1
            self.nursery.start_soon(partial(self._say, inbound, sentence))

    async def _say(self, inbound: Inbound, sentence: str) -> None:
        outbound = Outbound(inbound.chat, sentence, turn_id="", agent="", session_id="")
        try:
            with trio.move_on_after(REPLY_TIMEOUT):
                async with self.chats.answering(inbound.chat, reply_to=inbound.platform_id, notes=_NoNotes()) as answer:
                    await answer.finish(outbound, ())
        except DeliveryError as error:
            self._log.warning("reply_not_delivered", platform=inbound.chat.platform, error=str(error))
        except Exception:  # noqa: BLE001  # a sentence of its own must not end the gateway
            self._log.exception("reply_crashed", platform=inbound.chat.platform)
        finally:
            self._replying -= 1


def _readable(inbound: Inbound) -> tuple[Inbound, str]:
    """Return a message without the attachments that can't be read, or a sentence where nothing is left of it."""
    odd = [each for each in inbound.attachments if each.kind in UNREADABLE or not each.reference]
    if not odd:
        return inbound, ""
    rest = tuple(each for each in inbound.attachments if each not in odd)
    what = _named(odd[0])
    if not inbound.text.strip() and not rest:
        return inbound, f"I can't take in {what} here: please write it as text, or send a file or a picture."
    text = f"{inbound.text}\n\n[With this came {what}, which can't be read here.]"
    return replace(inbound, text=text.strip(), attachments=rest), ""


def _named(attachment: Attachment) -> str:
    """Return what a thing is called in a sentence."""
    word = attachment.kind.replace("_", " ")[:40]
    return _WHAT.get(attachment.kind, f"{'an' if word[:1] in 'aeiou' else 'a'} {word}")
