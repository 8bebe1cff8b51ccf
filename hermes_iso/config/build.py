"""From the map of a home's agents to the Config: sources, profiles, agents, routes and API, in that order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hermes_iso.config.api_server import ApiReader
from hermes_iso.config.between import read_between
from hermes_iso.config.chat_accounts import ChatAccounts
from hermes_iso.config.chat_platforms import read_chats
from hermes_iso.config.egress import read_egress, with_egress
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.making import make_agents, with_chats
from hermes_iso.config.people import command_rules
from hermes_iso.config.platforms import unserved_platforms
from hermes_iso.config.resolve import AgentMaker
from hermes_iso.config.sandboxes import build_profiles
from hermes_iso.config.schema import MAIN, Config
from hermes_iso.config.secrets import check_hidden, told_by_environment
from hermes_iso.config.serving import decide_serving
from hermes_iso.config.source import Names, Source, read_source, referred_names
from hermes_iso.config.ties import warn_of_ties
from hermes_iso.config.yaml_text import Document


def build_config(home_map: HomeMap, environ: Mapping[str, str], broken: Mapping[str, str]) -> Config:
    """Return the Config; problems are noted in the map, and the value only counts when there are none.

    broken: agents that are not served because their own files are wrong, with the reason.

    Raises UsageError when the record of an agent's former owners can't be read.
    """
    root_home = Path(os.path.realpath(home_map.root))
    problems, document = home_map.problems, home_map.document
    root = read_source(MAIN, root_home, document=document, problems=problems)
    home_map.find(_multiplexed_by_environment(root, environ))
    default = home_map.default_agent()
    serving = decide_serving(home_map, home_map.served(default), broken)
    served, not_served = list(serving.agents), serving.others
    sources = _sources(home_map, root, served)
    between = read_between(home_map)
    profiles = build_profiles(
        sources,
        root,
        home_map.homes,
        spelled=home_map.spelled,
        referred=_referred(document, root, sources),
        shared=between.shared,
        problems=problems,
    )
    maker = AgentMaker(sources.get(MAIN, root), home_map.ours.subagent, problems, serving.hermes)
    agents = make_agents(maker, sources, profiles, home_map, environ=environ, contacts=between.contacts)
    egress = read_egress(home_map)
    names = Names((root.env.values, environ))
    chats = read_chats(root, sources, names=names, problems=problems)
    check_hidden(sources.values(), profiles.values(), document, problems)
    home_map.check_rules()
    rules = home_map.rules
    bindings = tuple(found.rule for found in rules.bindings)
    warn_of_ties(bindings, problems)
    return Config(
        home=root_home,
        agents=with_chats(with_egress(agents, egress), chats.accounts),
        resolve=egress.resolve,
        default_agent=default,
        routes=tuple(found.rule for found in rules.routes),
        bindings=bindings,
        unmatched=home_map.ours.gateway.unmatched,
        dm_scope=home_map.ours.gateway.dm_scope,
        api=ApiReader(document, root, names, {*served, *not_served}, problems).settings(),
        not_served=not_served,
        unasked=home_map.unasked({*served, *not_served}),
        unserved_platforms=_unserved(home_map, names, chats),
        chat_accounts=tuple(chats.accounts),
        access=chats.access,
        agent_access=chats.agent_access,
        group_sessions_per_user=home_map.ours.group_sessions_per_user,
        thread_sessions_per_user=home_map.ours.thread_sessions_per_user,
        command_rules=command_rules(document, problems=problems),
        hook_timeout=home_map.ours.gateway.hook_timeout,
        host_uids=home_map.ours.gateway.host_uids,
        inbox=home_map.ours.gateway.inbox.settings(),
        max_concurrent=home_map.ours.max_concurrent_sessions,
        reload_on_change=home_map.ours.gateway.reload_on_change,
        warnings=tuple(problems.warnings),
    )


def _unserved(home_map: HomeMap, names: Names, chats: ChatAccounts) -> tuple[str, ...]:
    """Return the platforms that are wanted and have no adapter here."""
    named = {found.rule.platform for found in home_map.rules.all}
    document, problems = home_map.document, home_map.problems
    served = chats.platforms | {account.chat_platform for account in chats.accounts}
    return unserved_platforms(document, names.merged(), named=named, served=served, problems=problems)


def _multiplexed_by_environment(root: Source, environ: Mapping[str, str]) -> bool | None:
    """Return what GATEWAY_MULTIPLEX_PROFILES says, which counts before the config, or None when it says nothing."""
    word = (Names((root.env.values, environ)).get("GATEWAY_MULTIPLEX_PROFILES") or "").lower()
    return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}.get(word)


def _referred(document: Document, root: Source, sources: Mapping[str, Source]) -> frozenset[str]:
    """Return every name that a model's key is looked up by, which no sandbox may hold."""
    named = frozenset[str]().union(*(referred_names(each.document.data) for each in (root, *sources.values())))
    named |= referred_names({"model": [document.get("agents"), document.get("subagent")]})
    return named | told_by_environment(sources.values())


def _sources(home_map: HomeMap, root: Source, served: list[str]) -> dict[str, Source]:
    """Return the sources of the served agents, each with its overlay."""
    sources: dict[str, Source] = {}
    for name in served:
        home = home_map.homes[name]
        source = root if name == MAIN else read_source(name, home, document=None, problems=home_map.problems)
        overlay = home_map.overlays.get(name)
        sources[name] = replace(source, overlay=overlay[0], overlay_at=overlay[1]) if overlay else source
        if name != MAIN and "api_server" in (source.document.get("platforms") or ()):
            home_map.problems.warn(f"{source.document.file}: a profile has no api_server of its own; use the root home's")
    return sources
