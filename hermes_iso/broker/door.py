"""ModelDoor: one turn's way to its model; the gateway decides everything but the messages."""

from __future__ import annotations

from typing import Any, Protocol

import trio

from hermes_iso.agents import Agent
from hermes_iso.broker.budgets import Budget, check_messages
from hermes_iso.broker.calls import ModelAnswer, ModelCall, OfferedTool, OfflineFacts, OnText
from hermes_iso.errors import ModelError
from hermes_iso.hooks.tool_hooks import Hooks, ToolHooks
from hermes_iso.journal import TurnLog
from hermes_iso.messages import Usage

__all__ = ["Hooks", "ModelDoor", "Models", "ToolHooks"]


class Models(Protocol):
    """Asks models; `hermes_iso.broker.models.ModelBroker` is one."""

    async def complete(self, call: ModelCall, on_text: OnText) -> ModelAnswer:
        """Return the model's answer. Raises ModelError."""


class SubagentModels:
    """A subagent's way to models: every call is charged to the turn above it as well, which keeps what it needs to end."""

    def __init__(self, models: Models, budgets: tuple[Budget, ...]) -> None:
        self._models = models
        self._budget = budgets[0]
        self.budgets = budgets

    async def complete(self, call: ModelCall, on_text: OnText) -> ModelAnswer:
        """Return the model's answer. Raises ModelError."""
        if not self._budget.steps_left:
            raise ModelError("budget", "The turn that delegated this has no model calls left: end with what there is.")
        return await self._budget.complete(call, on_text, self._models.complete)


class ModelDoor:
    """Answers the broker method `model` for one turn, whose end is that of `scope`: it moves when the turn waits for a person.

    failure: why the latest call failed; None when it did not. hooks: who may refuse what a model's answer calls for.
    budgets: what a call is charged to, the turn's own first, then those of the turns that delegated it.
    """

    def __init__(
        self,
        models: Models,
        *,
        agent: Agent,
        tools: tuple[OfferedTool, ...],
        scope: trio.CancelScope,
        log: TurnLog,
        hooks: ToolHooks,
    ) -> None:
        self.failure: ModelError | None = None
        self._models = models
        self._agent = agent
        self._tools = tools
        self._scope = scope
        self._log = log
        self.hooks = hooks
        self._budget = Budget(max_iterations=agent.max_iterations)
        above = models.budgets if isinstance(models, SubagentModels) else ()
        self.budgets: tuple[Budget, ...] = (self._budget, *above)

    @property
    def usage(self) -> Usage:
        """What the turn's model calls cost so far, those of its subagents included."""
        return self._budget.usage

    @property
    def steps_left(self) -> int:
        """How many model calls are left to the turn beside those that it needs to end."""
        return self._budget.steps_left

    def note(self, failure: ModelError | None) -> None:
        """Take why the latest call failed that went another way than through `answer`; None when it did not."""
        self.failure = failure

    def for_subagents(self) -> Models:
        """Return the way to models of those to whom this turn delegates."""
        return SubagentModels(self._models, self.budgets)

    async def answer(self, params: dict[str, Any], on_text: OnText) -> dict[str, Any]:
        """Ask the agent's model with the guest's messages. Raises ModelError."""
        began = trio.current_time()
        try:
            answer = await self._budget.complete(self._call(params), on_text, self._models.complete)
        except ModelError as error:
            self.failure = error
            await self._log.add("model_failed", seconds=round(trio.current_time() - began, 4), error=error.kind)
            raise
        self.failure = None
        await self._log.add(
            "model_called",
            model=answer.model,
            seconds=round(trio.current_time() - began, 4),
            prompt_tokens=answer.usage.prompt_tokens,
            completion_tokens=answer.usage.completion_tokens,
            finish_reason=answer.finish_reason,
        )
        return {"message": await self.hooks.without_refused(answer.message), "finish_reason": answer.finish_reason}

    def _call(self, params: dict[str, Any]) -> ModelCall:
        """Return the call: settings and tools are the gateway's."""
        agent = self._agent
        return ModelCall(
            settings=agent.model,
            fallbacks=agent.fallbacks,
            messages=check_messages(params.get("messages")),
            tools=self._tools,
            deadline=self._scope.deadline,
            about=OfflineFacts(agent.id, agent.engine, "namespace"),
        )
