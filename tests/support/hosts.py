"""What a door answers by itself, for tests: a model host, hosts with secrets, and a journal that keeps what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from hermes_iso.agents import Agent, ModelSettings
from hermes_iso.broker.budgets import Budget
from hermes_iso.broker.egress.rules import EgressRules
from hermes_iso.broker.model_host.answering import Answers
from hermes_iso.broker.model_host.host import ModelHost
from hermes_iso.broker.model_host.menu import Menu, Offer
from hermes_iso.broker.upstream import Sender
from hermes_iso.policy import ToolPolicy
from hermes_iso.profiles import Profile
from tests.support.doors import Opened, opened


class Log:
    """A turn's journal that keeps what is added to it."""

    turn_id = "turn-1"

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []

    async def add_last(self, kind: str, **data: Any) -> None:
        self.entries.append((kind, data))

    @property
    def last(self) -> dict[str, Any]:
        """The data of the newest entry."""
        return self.entries[-1][1]


def make_agent(model: ModelSettings, **changes: Any) -> Agent:
    """Return an agent whose programs may use the model host."""
    values: dict[str, Any] = {
        "models": (),
        "policy": ToolPolicy(),
        "persona": "",
        "profile": Profile("coder", Path("/nowhere")),
    }
    return Agent("coder", "coder", model, **(values | changes))


def make_host(
    sender: Sender, agent: Agent, log: Log, budgets: Sequence[Budget] = (), *, seconds: float = 30.0, menu: Offer | None = None
) -> ModelHost:
    """Return the model host of one turn."""
    menu = menu or Menu.of(agent, agent.policy, "console")
    answers = Answers(menu, budgets or (Budget(max_iterations=90),), log)
    return ModelHost(sender, menu=menu, answers=answers, deadline=trio.current_time() + seconds)


@asynccontextmanager
async def hosted(
    sender: Sender, agent: Agent, log: Log, budgets: Sequence[Budget] = (), *, connections: int = 32, **more: Any
) -> AsyncIterator[tuple[Opened, httpx.AsyncClient]]:
    """Serve a door with a model host; yields it, and a client that uses it as its proxy, as programs inside do."""
    host = make_host(sender, agent, log, budgets, **more)
    async with (
        opened(EgressRules(), local=host.serve, virtual=host.hosts | {"model.local"}, connections=connections) as door,
        httpx.AsyncClient(proxy=door.url, base_url="http://model.local/v1", trust_env=False, timeout=30) as client,
    ):
        yield door, client


def question(text: str, **more: Any) -> dict[str, Any]:
    """Return the body of a chat completion."""
    return {"model": "test", "messages": [{"role": "user", "content": text}], **more}
