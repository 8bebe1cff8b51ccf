"""The stage: a throw-away home with agents, canaries where no agent may look, and a real gateway on it."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml

from hermes_iso.agents import Agent
from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso.gateway import Gateway, open_gateway
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso.prove.far_host import FarHost, open_far_host
from hermes_iso.prove.weakened import WeakenedPool
from hermes_iso_sandbox.confinement import Limits

PREFIX = "hermes-iso-prove-"
TURN_TIMEOUT = 30.0
"""Seconds that a probe's turn may take."""
SHORT_TIMEOUT = 3.0
"""Seconds for the agent whose turns are meant to run out of time."""
LIMITED, READER, HASTY = "limited", "reader", "hasty"
"""An agent without DENIED_TOOLS; one without any tool that starts programs or writes; and one with SHORT_TIMEOUT."""
DENIED_TOOLS = frozenset({"terminal", "process", "execute_code", "write_file"})
NARROW_PLATFORM = "discord"
"""Where the attacking agents are granted READING_TOOLS alone, which narrows their turns."""
READING_TOOLS = frozenset({"read_file", "search_files", "memory"})
LIMITS = Limits(memory=256 << 20, disk=64 << 20, inodes=5000, tmp_bytes=16 << 20)
"""Small ones, so that little has to be taken to be over them."""
_NARROW = Layer("agent", by_platform={NARROW_PLATFORM: READING_TOOLS})
_POLICIES = {LIMITED: Layer("agent", deny=DENIED_TOOLS), READER: Layer("agent", allow=READING_TOOLS)}
ALLOWED, DENIED, REFUSED = "allowed.probe.example", "denied.probe.example", "refused.example"
"""Names that lead to the far host: the first agent may reach one, is denied one, and has no rule for the last."""
CANARY_NAME = "HERMES_ISO_PROVE_CANARY"
"""A variable that the command puts into the gateway's own environment."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A home that runs.

    place: the directory that holds everything and that no sandbox shows; outside: one in it beside the home.
    agents: those whose turns attack; the first one alone has a door, and it leads to `far_host`.
    secret: the canary in every file that no agent may read, and in the gateway's environment.
    layers: those switched off.
    """

    place: Path
    agents: tuple[str, ...]
    secret: str
    gateway: Gateway
    far_host: FarHost
    layers: frozenset[str]

    @property
    def home(self) -> Path:
        """The home."""
        return self.place / "home"

    @property
    def outside(self) -> Path:
        """A directory of the host's that belongs to nobody's home."""
        return self.place / "outside"

    def profile(self, agent: str) -> Path:
        """Return an agent's profile on the host."""
        return self.home / "profiles" / agent

    def workspace(self, agent: str) -> Path:
        """Return where a turn of an agent has its workspace on the host."""
        return self.profile(self.agents[0] if "tenant" in self.layers else agent) / "workspace"


@contextmanager
def throw_away_place() -> Iterator[Path]:
    """Make a directory that is removed on leaving, whatever agents left in it."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as directory:
        yield Path(directory).resolve()


@asynccontextmanager
async def open_stage(secret: str, *, count: int = 2, layers: frozenset[str] = frozenset()) -> AsyncIterator[Stage]:
    """Open a stage with `count` attacking agents and these layers switched off.

    Raises UnsupportedSandboxError, UsageError. On leaving, no process and no file of it is left.
    """
    agents = tuple(f"agent{number}" for number in range(1, count + 1))
    with throw_away_place() as place:
        async with open_far_host() as far_host:
            text = _config_text(agents, far_host.port, guarded="egress" not in layers)
            config = _attackable(_write_home(place, agents, secret, text))
            first = config.agents[agents[0]].profile.confinement()
            pool = WeakenedPool(layers, place=place, env=stolen_environment(secret), first=first) if layers else None
            async with open_gateway(config, pool, admin=False) as gateway:
                yield Stage(place, agents, secret, gateway, far_host, layers)


def stolen_environment(secret: str) -> tuple[tuple[str, str], ...]:
    """Return what a sandbox without a generated environment would inherit."""
    hooks = ("PYTHONPATH", "BASH_ENV", "GIT_EXEC_PATH", "NODE_OPTIONS", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS")
    return ((CANARY_NAME, secret), ("HOME", f"/{secret}"), *((name, f"/{secret}") for name in hooks))


def _write_home(place: Path, agents: tuple[str, ...], secret: str, config: str) -> Config:
    """Write a home whose every file of the operator's holds the canary."""
    home = place / "home"
    (place / "outside").mkdir()
    (place / "outside" / "secret").write_text(secret, encoding="utf-8")
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(config, encoding="utf-8")
    for name in ("auth.json", ".env", "gateway.pid", "active_profile"):
        (home / name).write_text(f"# {secret}\n", encoding="utf-8")
    for agent in agents:
        _write_profile(home / "profiles" / agent, agent, secret)
    return load_config(home, {})


def _config_text(agents: tuple[str, ...], port: int, *, guarded: bool) -> str:
    """Return the config: equal agents, of which the first has a door; two that lack tools, and one with little time.

    guarded: else every agent may go everywhere, and what leads to the loopback by itself is led to the far host unchecked.
    """
    allow = [f"{ALLOWED}:80", "*.probe.example:80", f"localhost:{port}"]
    egress = {agents[0]: {"allow": allow, "deny": [DENIED]}} if guarded else {agent: {"allow": ["*:*"]} for agent in agents}
    names = (ALLOWED, DENIED, REFUSED) if guarded else (ALLOWED, DENIED, REFUSED, "localhost")
    served = {agent: {"egress": egress[agent]} if agent in egress else {} for agent in (*agents, *_POLICIES, HASTY)}
    resolve = dict.fromkeys(names, f"127.0.0.1:{port}")
    return yaml.safe_dump({"model": "builtin/offline", "agents": served, "egress": {"resolve": resolve}})


def _write_profile(profile: Path, agent: str, secret: str) -> None:
    """Write one agent's profile: a value that it may have, one that is held back, and the operator's own directories."""
    for name in ("hooks", "plugins", "pairing", "backups"):
        (profile / name).mkdir(parents=True)
        (profile / name / "file").write_text(f"# of the operator: {name}\n", encoding="utf-8")
    text = f"OWN_VALUE=own-value-of-{agent}\nOPENAI_API_KEY={secret}\nTELEGRAM_BOT_TOKEN={secret}\n"
    (profile / ".env").write_text(text, encoding="utf-8")
    (profile / "config.yaml").write_text(f"terminal: {{cwd: '.'}}\n# {secret}\n", encoding="utf-8")
    (profile / "SOUL.md").write_text(f"You are {agent}.\n", encoding="utf-8")
    for name in ("auth.json", "pairing/secret", "backups/secret"):
        (profile / name).write_text(secret, encoding="utf-8")


def _attackable(config: Config) -> Config:
    """Return the config with agents whose engine runs a turn's text as code, which no file can ask for."""

    def changed(agent: Agent) -> Agent:
        timeout = SHORT_TIMEOUT if agent.id == HASTY else TURN_TIMEOUT
        policy = ToolPolicy((_POLICIES.get(agent.id, _NARROW),))
        profile = replace(agent.profile, limits=LIMITS)
        return replace(agent, engine=cast("Any", "probe"), turn_timeout=timeout, policy=policy, profile=profile)

    return replace(config, agents={name: changed(agent) for name, agent in config.agents.items()})


def new_secret() -> str:
    """Return a canary that is nowhere else on this machine."""
    return f"canary-{secrets.token_hex(12)}"
