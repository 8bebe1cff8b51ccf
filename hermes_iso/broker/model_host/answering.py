"""Answers a question that was checked: by the built-in model, or by asking providers and passing on what they say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
import trio

from hermes_iso.broker.budgets import Budget, Charge
from hermes_iso.broker.model_host.menu import Offer
from hermes_iso.broker.model_host.offline import complete_offline
from hermes_iso.broker.model_host.passing import CutError, LeakError, pass_on
from hermes_iso.broker.model_host.replies import Reply
from hermes_iso.broker.model_host.upstream import Errand
from hermes_iso.errors import ModelError
from hermes_iso.journal import TurnLog


class Answers:
    """Gives the answers of one turn. budgets: what each call is charged to, the turn's own first."""

    def __init__(self, menu: Offer, budgets: Sequence[Budget], log: TurnLog) -> None:
        self._menu = menu
        self._budgets = tuple(budgets)
        self._log = log

    async def give(self, reply: Reply, errand: Errand) -> None:
        """Answer a question. Raises ModelError, NoWayError; each is in the journal then."""
        began, question = trio.current_time(), errand.question
        facts: dict[str, Any] = {"path": errand.endpoint.path, "model": question.settings.model}
        if question.removed:
            facts["tools_removed"] = list(question.removed)
        end = "cut"
        try:
            await self._answer_in_time(reply, errand, facts)
            end = "ended"
        except LeakError as error:
            end = "leak"
            structlog.get_logger().warning("model_answer_cut", turn_id=self._log.turn_id, reason=str(error))
            raise
        except ModelError as error:
            end = error.kind
            raise
        finally:
            await self._log.add_last("model_hosted", **facts, seconds=round(trio.current_time() - began, 4), end=end)

    async def _answer_in_time(self, reply: Reply, errand: Errand, facts: dict[str, Any]) -> None:
        """Answer before the deadline; add who did, and what it cost, to `facts`. Raises ModelError, NoWayError."""
        with trio.move_on_at(errand.deadline):
            async with self._charged(len(errand.question.raw)) as charges:
                facts["model"] = await self._answer(reply, errand, charges)
                usage = charges[0].usage
                facts |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
            return
        if reply.started:
            raise CutError("The turn's time was over before the answer was.")
        raise ModelError("timeout", "The turn's time was over before its model could answer: try again.")

    async def _answer(self, reply: Reply, errand: Errand, charges: Sequence[Charge]) -> str:
        """Answer; return the name of the model that did. Raises ModelError, NoWayError."""
        question = errand.question
        if question.settings.api_mode == "offline":
            body, streamed, usage = await complete_offline(question, self._menu.about, errand.deadline)
            for charge in charges:
                charge.received(len(body))
                charge.usage = usage
            await (reply.events(body) if streamed else reply.json(200, body))
            return question.settings.model
        answering = await errand.run(self._menu.candidates(question.settings))
        try:
            await pass_on(reply, answering, charges)
        finally:
            answering.body.close()
        return answering.settings.model

    @asynccontextmanager
    async def _charged(self, sent: int) -> AsyncIterator[list[Charge]]:
        """Charge a call to every budget. Raises ModelError("budget")."""
        async with AsyncExitStack() as stack:
            for above in self._budgets[1:]:
                if not above.steps_left:
                    raise ModelError("budget", "The turn that delegated this has no model calls left: end with what there is.")
            yield [await stack.enter_async_context(budget.passing(sent)) for budget in self._budgets]
