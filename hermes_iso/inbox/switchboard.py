"""Switchboard: what is decided about a message before anything of it has happened: its lane, and whether it goes at once.

A lane is the session that the routes give a message to, so that messages of one chat go in the order they came, and members
of a group that have sessions of their own do not wait for each other. A hook may send a message elsewhere later: that changes
its agent, not its place in the order.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from hermes_iso.commands.busy import presses
from hermes_iso.commands.words import parse
from hermes_iso.errors import RouteRejectedError
from hermes_iso.generation import Generation
from hermes_iso.inbox.settings import InboxSettings
from hermes_iso.messages import Inbound
from hermes_iso.sessions import chat_key

Urgent = Callable[[Inbound], bool]
"""Says whether a message is for the turn that runs in its chat, and so must not wait for it."""


def nothing_urgent(inbound: Inbound) -> bool:  # noqa: ARG001  # the form of Urgent
    """Let every message wait that is no command."""
    return False


class Switchboard:
    """Decides, and bounds the inbox, by the generation that is served when it is asked."""

    def __init__(
        self,
        generation: Callable[[], Generation],
        urgent: Urgent = nothing_urgent,
        runs_in: Callable[[str], bool] = lambda lane: False,  # noqa: ARG005  # its form
    ) -> None:
        """Go by these. runs_in: whether a turn runs in a lane."""
        self._generation = generation
        self._urgent = urgent
        self._runs_in = runs_in

    @property
    def settings(self) -> InboxSettings:
        """What the inbox may hold."""
        return self._generation().config.inbox

    def lane(self, inbound: Inbound) -> str:
        """Return the lane of a message."""
        if inbound.history is not None:  # its caller keeps the history, so there is nothing to keep in order
            return f"alone {inbound.turn_id}"
        try:
            return chat_key(inbound, self._generation().router.route(inbound)).identity
        except RouteRejectedError:
            chat = inbound.chat
            return json.dumps([chat.platform, chat.account_id, chat.chat_id, chat.thread_id])

    def at_once(self, inbound: Inbound) -> bool:
        """Say whether a message goes at once: a command, or what is said to the turn that runs or ends it."""
        if inbound.clock:  # nobody typed it, so it waits for its turn whatever it says
            return False
        return is_command(inbound.text) or self._urgent(inbound) or self._presses(inbound)

    def _presses(self, inbound: Inbound) -> bool:
        """Say whether a message does more to the turn that runs than wait for it."""
        generation = self._generation()
        try:
            agent = generation.config.agents[generation.router.route(inbound).agent]
        except RouteRejectedError:
            return False
        return presses(inbound, agent) and self._runs_in(self.lane(inbound))


def is_command(text: str) -> bool:
    """Say whether a message is one for the gateway."""
    return parse(text) is not None
