"""Config: what a home says, as frozen values; made by `load_config` and read by everybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hermes_iso.adapter import ChatAccount
from hermes_iso.agents import Agent
from hermes_iso.broker.egress.dialing import Endpoint
from hermes_iso.hooks.hook import Hook
from hermes_iso.inbox.settings import InboxSettings
from hermes_iso.rules import RouteRule
from hermes_iso.slots import PLACES
from hermes_iso_sandbox.identity import HOST_UIDS

MAIN = "main"
"""The agent that lives in the root home."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the HTTP API. `agents` None opens every served agent."""

    name: str
    key: str = field(repr=False)
    agents: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The HTTP API: where it listens, who may use it, and which Host and Origin headers it accepts besides its own."""

    host: str = "127.0.0.1"
    port: int = 8642
    keys: tuple[ApiKey, ...] = ()
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    strict_model: bool = False


@dataclass(frozen=True, slots=True)
class CommandRules:
    """Who may use which slash commands on one platform, in direct chats or in groups, as Hermes has it.

    admins: user ids that may use them all; without any there is no rule, and everybody may.
    allowed: the commands that the others may use, by name.
    """

    admins: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may talk to agents through a chat account without having been paired; ids are the platform's, `*` is everybody.

    users: who may, everywhere. group_users: who may in groups alone. group_chats: groups and channels where everybody may.
    roles: who has one of them in the server where the message was written.
    pairs: whether a stranger's direct message is answered with a pairing code; otherwise it is not answered at all.
    """

    users: frozenset[str] = frozenset()
    group_users: frozenset[str] = frozenset()
    group_chats: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    pairs: bool = True

    @property
    def says_something(self) -> bool:
        """Whether there is a list at all."""
        return bool(self.users or self.group_users or self.group_chats or self.roles)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a home's files say.

    home: the root home, resolved.
    agents: the served ones in order, `main` first where it is served.
    not_served: agents that were asked for and can't be served now, each with the reason and what to do.
    unasked: agents that the home has and nobody asked to serve, each with the reason.
    routes: the first that matches wins. bindings: what `bindings` and Hermes' formats say, in this order; the most specific
        that matches wins where no route does.
    dm_scope: which direct chats of an agent share a session.
    unserved_platforms: platforms that are enabled or that a rule names, and that have no adapter here.
    command_rules: by platform and scope, which is dm or group; one that has no entry has no rule.
    warnings: one sentence each, for `config check`, `doctor` and the log.
    hooks: those in the home's files, by name. hook_timeout: seconds that one may take.
    host_uids: those of the host that a root gateway gives to sandboxes.
    reload_on_change: whether a gateway watches the home's files.
    resolve: names that agents' doors find at an address of the operator's choice.
    chat_accounts: the accounts of chat platforms that are turned on, the home's own first.
    access: who may talk through each, by platform and account. agent_access: what an agent's own profile says of that, by
        platform and agent; it counts first.
    inbox: what the inbox may hold. max_concurrent: how many turns may run at a time.
    """

    home: Path
    agents: Mapping[str, Agent]
    default_agent: str = MAIN
    routes: tuple[RouteRule, ...] = ()
    bindings: tuple[RouteRule, ...] = ()
    unmatched: Literal["default", "reject"] = "default"
    dm_scope: Literal["per-chat", "per-peer", "main"] = "per-chat"
    api: ApiSettings | None = None
    not_served: Mapping[str, str] = field(default_factory=dict)
    unasked: Mapping[str, str] = field(default_factory=dict)
    unserved_platforms: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    group_sessions_per_user: bool = True
    thread_sessions_per_user: bool = False
    command_rules: Mapping[tuple[str, str], CommandRules] = field(default_factory=dict)
    hooks: tuple[Hook, ...] = ()
    hook_timeout: float = 2.0
    host_uids: range = HOST_UIDS
    reload_on_change: bool = False
    resolve: Mapping[str, Endpoint] = field(default_factory=dict)
    chat_accounts: tuple[ChatAccount, ...] = ()
    access: Mapping[tuple[str, str], AccessRules] = field(default_factory=dict)
    agent_access: Mapping[tuple[str, str], AccessRules] = field(default_factory=dict)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    max_concurrent: int = PLACES
