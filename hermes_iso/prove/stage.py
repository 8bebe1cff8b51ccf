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
from hermes_iso.prove.far_host import REBOUND, TRUSTED_HOST, FarHost, FarHosts, open_far_hosts
from hermes_iso.prove.weakened import WeakenedPool
from hermes_iso_sandbox.confinement import Limits

PREFIX = "hermes-iso-prove-"
TURN_TIMEOUT = 30.0
"""Seconds that a probe's turn may take."""
SHORT_TIMEOUT = 3.0
"""Seconds for the agent whose turns are meant to run out of time."""
LIMITED, READER, HASTY, NEIGHBOUR = "limited", "reader", "hasty", "neighbour"
"""Agents without DENIED_TOOLS; without any tool that starts programs or writes; with SHORT_TIMEOUT; with a door alone."""
DENIED_TOOLS = frozenset({"terminal", "process", "execute_code", "write_file"})
NARROW_PLATFORM = "discord"
"""Where the attacking agents are granted READING_TOOLS alone, which narrows their turns."""
READING_TOOLS = frozenset({"read_file", "search_files", "memory"})
LIMITS = Limits(memory=256 << 20, disk=64 << 20, inodes=5000, tmp_bytes=16 << 20)
"""Small ones, so that little has to be taken to be over them."""
_NARROW = Layer("agent", by_platform={NARROW_PLATFORM: READING_TOOLS})
_POLICIES = {LIMITED: Layer("agent", deny=DENIED_TOOLS), READER: Layer("agent", allow=READING_TOOLS)}
CREDENTIAL_HOST = "secret.example"
"""The host of the first agent's secret; it leads to the far host, which has no certificate and does not speak TLS."""
CREDENTIAL_VARIABLE = "PROVE_CREDENTIAL"
"""What holds the placeholder of that secret inside."""
TRUSTED_VARIABLE = "PROVE_TRUSTED"
"""What holds the placeholder of its second secret, for TRUSTED_HOST."""
MODEL_HOST, PROVIDER_HOST, MODEL = "model.local", "provider.example", "harmful"
"""Where a program finds its model; where it would without a model host; and a model whose provider means harm."""
ALLOWED, DENIED, REFUSED = "allowed.probe.example", "denied.probe.example", "refused.example"
"""Names that lead to the far host: the first agent may reach one, is denied one, and has no rule for the last."""
CANARY_NAME = "HERMES_ISO_PROVE_CANARY"
"""A variable that the command puts into the gateway's own environment."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A home that runs.

    place: the directory that holds everything and that no sandbox shows; outside: one in it beside the home.
    agents: those whose turns attack; the first one alone has a door, a model host and two secrets.
    secret: the canary in every file that no agent may read, and in the gateway's environment. It is the model's key, and the
    secret's value, too.
    layers: those switched off.
    """

    place: Path
    agents: tuple[str, ...]
    secret: str
    gateway: Gateway
    hosts: FarHosts
    layers: frozenset[str]

    @property
    def far_host(self) -> FarHost:
        """The host that everything leads to but the second secret."""
        return self.hosts.far

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
        async with open_far_hosts(place) as hosts:
            config = _attackable(_write_home(place, agents, secret, _config_text(agents, hosts, secret, layers), layers))
            first = config.agents[agents[0]].profile.confinement()
            pool = WeakenedPool(layers, place=place, env=stolen_environment(secret), first=first) if layers else None
            async with open_gateway(config, pool, admin=False, outside=hosts.outside) as gateway:
                yield Stage(place, agents, secret, gateway, hosts, layers)


def stolen_environment(secret: str) -> tuple[tuple[str, str], ...]:
    """Return what a sandbox without a generated environment would inherit."""
    hooks = ("PYTHONPATH", "BASH_ENV", "GIT_EXEC_PATH", "NODE_OPTIONS", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS")
    return ((CANARY_NAME, secret), ("HOME", f"/{secret}"), *((name, f"/{secret}") for name in hooks))


def _write_home(place: Path, agents: tuple[str, ...], secret: str, config: str, layers: frozenset[str]) -> Config:
    """Write a home whose every file of the operator's holds the canary; without `credential` the agents' own, too."""
    home = place / "home"
    (place / "outside").mkdir()
    (place / "outside" / "secret").write_text(secret, encoding="utf-8")
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(config, encoding="utf-8")
    for name in ("auth.json", ".env", "gateway.pid", "active_profile"):
        (home / name).write_text(f"# {secret}\n", encoding="utf-8")
    for agent in (*agents, NEIGHBOUR):
        _write_profile(home / "profiles" / agent, agent, secret)
        if "credential" in layers:
            with (home / "profiles" / agent / ".env").open("a", encoding="utf-8") as file:
                file.write(f"{CREDENTIAL_VARIABLE}={secret}\n{TRUSTED_VARIABLE}={secret}\n")
    return load_config(home, {CANARY_NAME: secret})


def _config_text(agents: tuple[str, ...], hosts: FarHosts, secret: str, layers: frozenset[str]) -> str:
    """Return the config: equal agents, of which the first has what `_door` says; others lack tools, time or all but a door.

    Without a guard, of the door or of credentials, every agent may go everywhere. Without that of the door, what leads to the
    loopback by itself is led to the far host unchecked.
    """
    served: dict[str, dict[str, Any]] = {agent: {} for agent in (*agents, *_POLICIES, HASTY, NEIGHBOUR)}
    served[NEIGHBOUR] = {"egress": {"allow": [f"{ALLOWED}:80"]}}
    served[agents[0]] = _door(hosts.far.port)
    if layers & {"egress", "credential"}:
        served |= {agent: {"egress": {"allow": ["*:*"]}} for agent in (*agents, NEIGHBOUR)}
    names = [ALLOWED, DENIED, REFUSED, CREDENTIAL_HOST, PROVIDER_HOST]
    if "egress" in layers:
        names += ["localhost", *REBOUND]
    here = f"127.0.0.1:{hosts.far.port}"
    provider = {"name": "far", "base_url": f"http://{here}/v1", "api_key": secret}
    egress = {"resolve": dict.fromkeys(names, here) | {TRUSTED_HOST: f"127.0.0.1:{hosts.trusted.port}"}}
    return yaml.safe_dump({"model": "builtin/offline", "agents": served, "egress": egress, "custom_providers": [provider]})


def _door(port: int) -> dict[str, Any]:
    """Return what the first agent has: a door, a model host with a harmful model, and a secret."""
    allow = [f"{ALLOWED}:80", "*.probe.example:80", *(f"{name}:{port}" for name in ("localhost", *REBOUND))]
    told = {"value_from": {"env": CANARY_NAME}}
    return {
        "egress": {"allow": allow, "deny": [DENIED]},
        "models": [f"far/{MODEL}"],
        "secrets": {CREDENTIAL_VARIABLE: {"host": CREDENTIAL_HOST} | told, TRUSTED_VARIABLE: {"host": TRUSTED_HOST} | told},
    }


def _write_profile(profile: Path, agent: str, secret: str) -> None:
    """Write one agent's profile: a value that it may have, one that is held back, and the operator's own directories."""
    for name in ("hooks", "plugins", "pairing", "backups"):
        (profile / name).mkdir(parents=True)
        (profile / name / "file").write_text(f"# of the operator: {name}\n", encoding="utf-8")
    text = f"OWN_VALUE=own-value-of-{agent}\nOPENAI_API_KEY={secret}\nSLACK_BOT_TOKEN={secret}\n"
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
