"""Hooks: what the line asks the operator's hooks, and what it tells them. Nothing that a hook does is raised here.

Asked: `select_agent` and `pre_tool_call`. Who asks waits. A hook that fails has no opinion on an agent, so that the declared
route stands; on a tool call it counts as a refusal, because a guard that can't be asked must not be a guard that is not there.
Told: everything else. What is told waits in a bounded queue, so that no turn waits for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import structlog
import trio

from hermes_iso.errors import RouteRejectedError
from hermes_iso.hooks.context import SHOWN_CHARS, about_chat, about_inbound, about_turn
from hermes_iso.hooks.helper import AsksHooks, HookFailedError
from hermes_iso.hooks.hook import COMMAND, MOMENTS, PRE_TOOL_CALL, SELECT_AGENT, Hook, takes
from hermes_iso.messages import Inbound
from hermes_iso.outcomes import Outcome
from hermes_iso.routing import Route, Router
from hermes_iso.sessions import Turn

JsonObject = dict[str, Any]

TIMEOUT = 2.0
"""Seconds that a hook may take, where the config says nothing."""
QUEUE = 256
"""What may wait to be told; a further one is left out."""
MESSAGE_CHARS = 500
"""Characters of a hook's message that a model is told."""


class Hooks:
    """The hooks of one gateway; without any, every method returns at once.

    helper: who runs them, asked by their number in `hooks`. What is told arrives while `serve_notes` runs.
    """

    def __init__(self, hooks: Sequence[Hook] = (), helper: AsksHooks | None = None, *, timeout: float = TIMEOUT) -> None:
        self._hooks = hooks
        self._helper = helper
        self._timeout = timeout
        self._counts = {"hooks": len(hooks), "answered": 0, "failed": 0, "left_out": 0}
        self._notes, self._told = trio.open_memory_channel[tuple[tuple[str, ...], JsonObject]](QUEUE)
        self._finished = trio.Event()
        self._log = structlog.get_logger()

    def statistics(self) -> JsonObject:
        """Return counts: hooks, answers, failures, and what was left out because too much waited."""
        return dict(self._counts)

    def wants(self, *events: str) -> bool:
        """Return whether a hook is called for one of these events."""
        return any(takes(hook.events, event) for hook in self._hooks for event in events)

    async def route(self, inbound: Inbound, router: Router, *, among: Collection[str]) -> Route:
        """Return where a message goes: by its routes, unless a hook names another agent `among` these.

        What the caller decided, and what no route takes, is not asked about. Raises RouteRejectedError.
        """
        if inbound.agent is not None or not self.wants(SELECT_AGENT):
            return router.route(inbound)
        declared = router.explain(inbound, most=0)
        route = declared.route
        if route is None:
            raise RouteRejectedError(declared.rule)
        about = {"agent_id": route.agent, "session_key": route.session_key, "rule": declared.rule, "tier": declared.tier}
        agent = await self.select_agent(inbound, about, among)
        return router.route(replace(inbound, agent=agent)) if agent else route

    async def select_agent(self, inbound: Inbound, declared: JsonObject, agents: Collection[str]) -> str | None:
        """Return the agent that the first hook with an opinion names, of `agents`; None lets the declared route stand.

        declared: what the hooks are told of the route: agent_id, session_key, rule and tier.
        """
        context = {**about_inbound(inbound), **declared, "agents": list(agents)}
        for number, hook in self._taking(SELECT_AGENT):
            found = await self._ask(number, SELECT_AGENT, context)
            if isinstance(found, HookFailedError) or found is None:
                continue
            if isinstance(found, str) and found in agents:
                return found
            self._complain(hook, SELECT_AGENT, f"named {str(found)[:80]!r}, and that is no agent that may take this message")
        return None

    async def refusal(self, context: JsonObject) -> str | None:
        """Return why a tool call is refused, in words for the model, or None when no hook minds."""
        for number, hook in self._taking(PRE_TOOL_CALL):
            found = await self._ask(number, PRE_TOOL_CALL, context)
            if isinstance(found, HookFailedError):
                return f"the operator's hook {hook.name} could not be asked whether it may be done"
            words = _refused(found)
            if words is not None:
                return words or f"the operator's hook {hook.name} refuses it"
        return None

    async def gateway_started(self, agents: Sequence[str], *, platforms: Sequence[str]) -> None:
        """Tell that the gateway takes messages."""
        await self.tell("gateway_started", {"agents": list(agents), "platforms": list(platforms)})

    async def around(self, turn: Turn, run: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Run a turn, and tell of its beginning and its end, however it ends."""
        if not self._hooks:
            return await run()
        about = about_turn(turn)
        if not turn.history and turn.inbound.history is None:
            await self.tell("session_started", about)
        await self.tell("agent_started", about)
        outcome = Outcome("", error="cancelled", interrupted=True)
        try:
            outcome = await run()
        finally:
            end = {"completed": outcome.error is None, "interrupted": outcome.interrupted, "error": outcome.error or ""}
            self._note_moment("agent_ended", {**about, "response": outcome.text[:SHOWN_CHARS], **end})
        return outcome

    async def session_reset(
        self, inbound: Inbound, route: Route, *, old_session_id: str, new_session_id: str, reason: str
    ) -> None:
        """Tell that a chat's session ended and another one began there; `reason` is a word such as new_session."""
        ids = {"session_id": old_session_id, "old_session_id": old_session_id, "new_session_id": new_session_id}
        await self.tell("session_reset", {**about_chat(inbound, route), **ids, "reason": reason})

    async def command(self, name: str, inbound: Inbound, route: Route, *, arguments: str) -> None:
        """Tell that a slash command was taken; `name` is without the slash."""
        if self.wants(f"{COMMAND}{name}"):
            self._note((f"{COMMAND}{name}",), {**about_chat(inbound, route), "command": name, "args": arguments[:SHOWN_CHARS]})
            await trio.lowlevel.checkpoint()

    async def tell(self, moment: str, context: JsonObject) -> None:
        """Tell what happened at a moment of MOMENTS, to every hook that is called for one of its events."""
        if self._note_moment(moment, context):
            await trio.lowlevel.checkpoint()

    async def serve_notes(self) -> None:
        """Tell the hooks what waits, one after the other, until `finish`."""
        async for events, context in self._told:
            for event in events:
                for number, _ in self._taking(event):
                    await self._ask(number, event, context)
        self._finished.set()

    async def finish(self) -> None:
        """Take in nothing more, and wait until what waits was told."""
        self._notes.close()
        await self._finished.wait()

    def _note_moment(self, moment: str, context: JsonObject) -> bool:
        """Put a moment into the queue if a hook is called for one of its events; return whether that is so."""
        events = tuple(event for event in MOMENTS[moment] if self.wants(event))
        if events:
            self._note(events, context)
        return bool(events)

    def _note(self, events: tuple[str, ...], context: JsonObject) -> None:
        """Put something into the queue, unless that is full."""
        try:
            self._notes.send_nowait((events, context))
        except (trio.WouldBlock, trio.ClosedResourceError):
            self._counts["left_out"] += 1

    def _taking(self, event: str) -> Iterator[tuple[int, Hook]]:
        """Yield the hooks that are called for an event, with their numbers, in order."""
        return ((number, hook) for number, hook in enumerate(self._hooks) if takes(hook.events, event))

    async def _ask(self, number: int, event: str, context: JsonObject) -> Any:
        """Return a hook's value, or the HookFailedError that there is instead of one."""
        assert self._helper is not None
        try:
            found = await self._helper.ask(number, event, context, timeout=self._timeout)
        except HookFailedError as error:
            self._complain(self._hooks[number], event, str(error))
            return error
        self._counts["answered"] += 1
        return found

    def _complain(self, hook: Hook, event: str, reason: str) -> None:
        """Put into the log what was wrong with a hook's answer."""
        self._counts["failed"] += 1
        self._log.warning("hook_failed", hook=str(hook), event_name=event, reason=reason)


def _refused(found: Any) -> str | None:
    """Return a hook's own words when its answer refuses a tool call, '' where it has none, None when it lets it pass.

    An answer that can't be understood refuses.
    """
    if found is None:
        return None
    if not isinstance(found, dict):
        return ""
    action = found.get("action", found.get("decision"))
    if action in ("allow", "continue"):
        return None
    if action == "approve":
        return "it needs somebody's approval, and this version can't ask for that"
    message = found.get("message", found.get("reason"))
    return message[:MESSAGE_CHARS] if isinstance(message, str) else ""
