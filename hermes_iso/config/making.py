"""Make the agents that are served, each with its model, its secrets and the owner of its files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from hermes_iso.adapter import ChatAccount
from hermes_iso.agents import Agent, Contacts
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.resolve import AgentMaker
from hermes_iso.config.secrets import read_secrets
from hermes_iso.config.source import Names, Source
from hermes_iso.owners import fixed_uid
from hermes_iso.profiles import Profile
from hermes_iso_sandbox.identity import fixed


def make_agents(
    maker: AgentMaker,
    sources: Mapping[str, Source],
    profiles: Mapping[str, Profile],
    home_map: HomeMap,
    *,
    environ: Mapping[str, str],
    contacts: Mapping[str, Contacts],
) -> dict[str, Agent]:
    """Return the agents that are served, each with its secrets and the owner of its files."""
    agents, root, root_home = {}, maker.root, Path(os.path.realpath(home_map.root))
    for name, source in sources.items():
        found = Names((source.env.values, root.env.values, environ))
        secrets = read_secrets(source, root, names=found, problems=maker.problems)
        profile = replace(profiles[name], fixed_uid=_fixed_uid(home_map, root_home, name), secrets=secrets)
        agents[name] = maker.make(source, profile, found, contacts=contacts.get(name))
    return agents


def with_chats(agents: Mapping[str, Agent], accounts: Iterable[ChatAccount]) -> dict[str, Agent]:
    """Return the agents, each with what it knows of whether there are chats that it could write to."""
    owners = {account.agent for account in accounts}

    def told(agent: Agent) -> Agent:
        writes = bool(owners & {None, agent.id})
        return replace(agent, contacts=replace(agent.contacts, writes=writes))

    return {name: told(agent) for name, agent in agents.items()}


def _fixed_uid(home_map: HomeMap, root_home: Path, agent: str) -> int | None:
    """Return the uid that `home chown` gave an agent's files; one outside of the configured range is noted."""
    uid, uids = fixed_uid(root_home, agent), fixed(home_map.ours.gateway.host_uids)
    if uid is not None and uid not in uids:
        message = (
            f"does not hold uid {uid} in its upper half, which the files of agent {agent} belong to; take a range that does,"
            f" or give them back before it is changed: hermes-iso home chown {agent} --undo"
        )
        home_map.document.complain(home_map.problems, ("gateway", "host_uids"), message=message)
    return uid
