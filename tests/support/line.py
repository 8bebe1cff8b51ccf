"""A gateway whose guests are scripts: everything of the line is real but the sandboxes and the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from hermes_iso.adapter import Chats
from hermes_iso.agents import Agent, ModelSettings
from hermes_iso.asks import Asks
from hermes_iso.background import Background
from hermes_iso.broker.calls import ModelAnswer, ModelCall, OnText
from hermes_iso.broker.more import MoreBrokers
from hermes_iso.config.schema import ApiKey, ApiSettings, Config
from hermes_iso.errors import ModelError
from hermes_iso.gateway import Gateway
from hermes_iso.hooks.hooks import Hooks
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress, Receipt, Usage
from hermes_iso.no_chats import NO_CHATS
from hermes_iso.policy import ToolPolicy
from hermes_iso.profiles import Profile
from hermes_iso.records import open_records
from hermes_iso.reload import Controls
from hermes_iso.services import Services
from hermes_iso.turns import TurnRunner
from hermes_iso_sandbox import GuestDiedError, wire

KEY = "test-key-0123456789"
CODER_KEY = "coder-key-0123456789"


class Guest:
    """The guest's end of a lease: what a script hears and says."""

    def __init__(self, says: trio.MemorySendChannel[Any], hears: trio.MemoryReceiveChannel[Any]) -> None:
        self._says = says
        self._hears = hears

    async def say(self, message: Any) -> None:
        """Send a message to the host; an exception is raised there."""
        await self._says.send(message)

    async def hear(self) -> Any:
        """Wait for the host's next message."""
        return await self._hears.receive()

    async def ask(self, call_id: int, method: str, **params: Any) -> wire.BrokerAnswer:
        """Make a broker call and return its answer, without its chunks."""
        await self.say(wire.BrokerCall(call_id, method, params))
        while not isinstance(answer := await self.hear(), wire.BrokerAnswer):
            pass
        return answer


Script = Callable[[Guest], Awaitable[None]]


class FakeLease:
    """The host's end."""

    def __init__(self, sends: trio.MemorySendChannel[Any], receives: trio.MemoryReceiveChannel[Any], processes: Any) -> None:
        self.processes = processes
        self._sends = sends
        self._receives = receives

    async def send(self, message: wire.HostMessage) -> None:
        wire.encode(message)
        try:
            await self._sends.send(message)
        except trio.BrokenResourceError:
            raise GuestDiedError("The agent's process ended before it answered (status 0).", 0) from None

    async def receive(self) -> Any:
        try:
            message = await self._receives.receive()
        except trio.EndOfChannel:
            raise GuestDiedError("The agent's process was killed before it answered (status 137).", 137) from None
        if isinstance(message, Exception):
            raise message
        return message


class NoProcesses:
    """A session without background processes."""

    def list(self) -> list[Any]:
        return []


class FakePool:
    """Leases scripts instead of processes; counts them."""

    def __init__(self, script: Script, processes: Any = None) -> None:
        self.script = script
        self.living = 0
        self.most_living = 0
        self.sessions: list[str] = []
        self.commands: list[tuple[Any, ...]] = []
        self.warmed: list[str] = []
        self.grounded: list[tuple[str | None, str]] = []
        self.retired: list[Path] = []
        self._processes = processes or NoProcesses()

    @asynccontextmanager
    async def lease(self, confinement: Any, *, session: str) -> AsyncIterator[FakeLease]:
        self.sessions.append(session)
        to_guest, guest_hears = trio.open_memory_channel[Any](16)
        guest_says, from_guest = trio.open_memory_channel[Any](16)
        self.living += 1
        self.most_living = max(self.most_living, self.living)

        async def live() -> None:
            async with guest_says, guest_hears:
                await self.script(Guest(guest_says, guest_hears))

        try:
            async with Background() as nursery:
                nursery.start_soon(live)
                yield FakeLease(to_guest, from_guest, self._processes)
        finally:
            self.living -= 1

    async def ground(self, confinement: Any) -> None:
        self.grounded.append((confinement.python, confinement.engine))

    async def warm(self, confinement: Any) -> None:
        self.warmed.append(confinement.name)

    async def retire(self, home: Path) -> None:
        self.retired.append(home)

    async def run_command(self, confinement: Any, argv: Any, *, stdio: Any, env: Any = None, timeout: Any = None) -> int:
        self.commands.append((tuple(argv), timeout))
        if argv[0] == "sleep":
            await trio.sleep_forever()
        return 7

    def statistics(self) -> dict[str, int]:
        return {"sandboxes": 1, "leases": self.living, "processes": 0}


class FakeModels:
    """A model that says one word, or fails."""

    def __init__(self, failure: ModelError | None = None) -> None:
        self.failure = failure
        self.calls: list[ModelCall] = []

    async def complete(self, call: ModelCall, on_text: OnText) -> ModelAnswer:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure
        await on_text("word")
        return ModelAnswer({"role": "assistant", "content": "word"}, "stop", Usage(3, 2, 1))


async def echo(guest: Guest) -> None:
    """Answer in two pieces with the text that was asked."""
    request = await guest.hear()
    half = len(request.text) // 2
    await guest.say(wire.TextDelta(request.text[:half]))
    await guest.say(wire.TextDelta(request.text[half:]))
    await guest.say(wire.TurnDone(request.text, [{"role": "assistant", "content": request.text}]))


async def thinking(guest: Guest) -> None:
    """Ask the model with history and text, and answer what it says, as an engine without tools does."""
    request = await guest.hear()
    messages = [*request.history, {"role": "user", "content": request.text}]
    answer = await guest.ask(1, "model", messages=messages)
    if not answer.ok:
        await guest.say(wire.TurnFailed(answer.data["kind"], answer.data["message"]))
        return
    text = answer.data["message"]["content"]
    await guest.say(wire.TurnDone(text, [{"role": "assistant", "content": text}]))


def make_agent(home: Path, name: str = "main", **changes: Any) -> Agent:
    """Return an agent whose home lies below `home`."""
    where = home if name == "main" else home / "profiles" / name
    return Agent(
        **{
            "id": name,
            "ns": name,
            "model": ModelSettings("builtin", "offline", "", "offline"),
            "persona": "You are a test.",
            "policy": ToolPolicy(),
            "profile": Profile(id=name, home=where),
            **changes,
        }
    )


def make_config(home: Path, **changes: Any) -> Config:
    """Return a config with agents main and coder, and an API with a key for all and one for coder."""
    home.mkdir(exist_ok=True)
    agents = changes.pop("agents", None) or {name: make_agent(home, name) for name in ("main", "coder")}
    keys = (ApiKey("default", KEY), ApiKey("dev", CODER_KEY, frozenset({"coder"})))
    return Config(**{"home": home, "agents": agents, "api": ApiSettings(port=0, keys=keys), **changes})


@asynccontextmanager
async def open_line(
    home: Path,
    script: Script = echo,
    *,
    models: Any = None,
    pool: Any = None,
    config: Config | None = None,
    grace: float = 5.0,
    hooks: Hooks | None = None,
    controls: Controls | None = None,
    chats: Chats = NO_CHATS,
) -> AsyncIterator[tuple[Gateway, FakePool]]:
    """Open a gateway on real records with a fake pool; gives both. chats: where its inbox, which is then served, answers."""
    config = config or make_config(home)
    pool = pool or FakePool(script)
    async with open_records(config) as records, Background() as background:
        hooks = hooks or Hooks()
        asks = Asks(records.sessions)
        more = MoreBrokers(records.sessions, asks)
        runner = TurnRunner(pool, models or FakeModels(), hooks=hooks, more=more, interrupt_grace=grace)
        gateway = Gateway(config, Services(records, pool, runner, background, asks, hooks, chats=chats), controls)
        await gateway.front.inbox.load()
        if chats is not NO_CHATS:  # whose look at old rows is a deadline that a clock which jumps would jump to
            background.start_soon(gateway.front.serve)
        yield gateway, pool


class Chat:
    """Asks a gateway and keeps what came back."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.shown: list[Progress] = []
        self.delivered: list[Outbound] = []

    async def relay(self, progress: Progress) -> None:
        self.shown.append(progress)

    async def deliver(self, outbound: Outbound) -> Receipt:
        self.delivered.append(outbound)
        return Receipt(outbound, str(len(self.delivered)))

    async def say(self, text: str, chat: str = "c", **more: Any) -> Outbound:
        """Send a message and return what was delivered for it."""
        ref = ChatRef(more.pop("platform", "console"), chat, more.pop("chat_type", "dm"))
        inbound = Inbound(ref, text, "1", **more)
        receipt = await self.gateway.handle(inbound, self.deliver, self.relay)
        return receipt.outbound
