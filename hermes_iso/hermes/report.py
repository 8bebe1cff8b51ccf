"""The report of `adopt --check`, as JSON for scripts and as text for people: both say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from hermes_iso.config.known import ADAPTED
from hermes_iso.config.schema import MAIN
from hermes_iso.errors import UsageError
from hermes_iso.hermes.moving import opened
from hermes_iso.hermes.plan import Plan
from hermes_iso.hermes.state_files import DIRECTORY, MOVED
from hermes_iso.hermes.survey import AgentSurvey

DIFFERENCES = (
    "Turns run in a sandbox: /hermes, /workspace and /home/agent, and no network but for the hosts that egress allows.",
    "Inside, HERMES_HOME is /hermes and HOME is /home/agent; the operator's own HOME, with its keys, is never there.",
    "Keys of model providers stay outside; config.yaml inside is a copy without keys, and changes to it there are dropped.",
    "Each agent has a kanban board of its own inside; the one that Hermes shares between profiles stays outside.",
    "Caches that Hermes' programs on the host believe (models, skills) are not shared with the agent; inside they begin empty.",
)


def as_data(plan: Plan, surveys: Sequence[AgentSurvey], gitconfig: bytes, live: Sequence[str]) -> dict[str, Any]:
    """Return the report as plain data."""
    return {
        "home": str(plan.home),
        "engine": {
            "python": plan.view.engine.path,
            "version": plan.view.engine.version or None,
            "problem": plan.view.engine.trouble or None,
        },
        "problems": [str(problem) for problem in plan.problems],
        "live": list(live),
        "config": config_lines(plan),
        "routes": [_route(rule) for rule in plan.view.rules.all],
        "agents": [_agent(each) for each in surveys],
        "egress": egress_block(surveys),
        "readable": readable_block(surveys),
        "gitconfig": gitconfig.decode("utf-8") or None,
        "differences": list(DIFFERENCES),
        "warnings": warnings(plan),
    }


def config_lines(plan: Plan) -> list[str]:
    """Return what would be written into config.yaml, one key each."""
    return [f"{'.'.join(map(str, path))}: {value}" for path, value in plan.lines.keys] if plan.lines else []


def warnings(plan: Plan) -> list[str]:
    """Return what an operator should know before agents are kept apart, one sentence each."""
    main = next((each for each in plan.candidates if each.agent == MAIN), None)
    others = len(plan.candidates) > 1
    if main is None or not others:
        return []
    found = [
        f"{main.home / name} may hold data of other profiles: Hermes' gateway kept {what} of all of them there."
        for name, what in (
            ("state.db", "messages"),
            ("logs", "logs"),
            ("backups", "copies"),
            ("state-snapshots", "copies"),
            ("sessions", "transcripts"),
        )
        if (main.home / name).exists()
    ]
    shown = [name for name in ("state.db", "sessions") if (main.home / name).exists()]
    if shown:
        names = " and ".join(shown)
        found.append(f"Agent main can read its {names}: move away what is not its own, or write agents.main.engine: native.")
    return found


def egress_block(surveys: Sequence[AgentSurvey]) -> str:
    """Return the `egress:` of every agent that needs hosts, as YAML to paste; '' where none does."""
    agents = {each.candidate.agent: {"egress": {"allow": [use.rule for use in each.hosts]}} for each in surveys if each.hosts}
    return _yaml({"agents": agents}) if agents else ""


def readable_block(surveys: Sequence[AgentSurvey]) -> str:
    """Return the `sandbox:` lines that bring directories which are not inside, as YAML to paste; '' where there are none."""
    agents = {}
    for each in surveys:
        if each.readable:
            more = {"path": list(each.path)} if each.path else {}
            agents[each.candidate.agent] = {"sandbox": {"readable": list(each.readable), **more}}
    return _yaml({"agents": agents}) if agents else ""


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1 << 20)


def _route(found: Any) -> dict[str, Any]:
    rule = found.rule
    return {"agent": rule.agent, "match": rule.match, "where": rule.where, "enabled": rule.enabled, "rule": str(rule)}


def _agent(each: AgentSurvey) -> dict[str, Any]:
    candidate = each.candidate
    return {
        "id": candidate.agent,
        "home": str(candidate.home),
        "decision": candidate.decision,
        "reasons": list(candidate.reasons),
        "state_files": _state(each),
        "models": [asdict(model) for model in each.models],
        "toolsets": each.toolsets,
        "disabled_toolsets": list(each.disabled),
        "platforms": [{"name": name, "served": served} for name, served in each.platforms.items()],
        "cron": [asdict(job) for job in each.jobs],
        "hosts": [{"host": use.host, "port": use.port, "why": use.why} for use in each.hosts],
        "paths": [
            {"path": use.name, "where": use.where, "problem": use.problem, "readable": use.readable or None}
            for use in each.paths
        ],
    }


def _state(each: AgentSurvey) -> list[str]:
    """Return the state files that are there and would move."""
    try:
        with opened(each.candidate.home) as places:
            return [file.name for file in MOVED if places.at(file.name, inside=False) and not places.is_linked(file.name)]
    except (OSError, UsageError):
        return []


def as_text(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report as lines."""
    engine = data["engine"]
    yield f"Home {data['home']}"
    yield f"Engine: hermes-agent {engine['version']} of {engine['python']}" if engine["version"] else "Engine: none"
    for sentence in (engine["problem"], *data["problems"], *data["live"]):
        if sentence:
            yield f"  ! {sentence}"
    for agent in data["agents"]:
        yield ""
        yield from _agent_lines(agent)
    yield ""
    yield "Routes" + ("" if data["routes"] else ": none")
    yield from (f"  {_route_line(rule)}" for rule in data["routes"])
    for title, key in (
        ("Would be written into config.yaml", "config"),
        ("What differs", "differences"),
        ("Mind", "warnings"),
    ):
        if data[key]:
            yield ""
            yield title
            yield from (f"  {sentence}" for sentence in data[key])
    for title, key in (
        ("Hosts that the profiles imply; paste into config.yaml what they shall reach:", "egress"),
        ("Directories that are not inside; paste into config.yaml what shall be readable there:", "readable"),
        ("From your .gitconfig, without keys, helpers and addresses, each agent's HOME would get:", "gitconfig"),
    ):
        if data[key]:
            yield ""
            yield title
            yield from (f"  {line}" for line in data[key].splitlines())


def _route_line(rule: Mapping[str, Any]) -> str:
    platform = rule["match"].get("platform")
    late = f"  (platform {platform} is not served yet)" if platform and platform not in ADAPTED else ""
    return f"{rule['rule']}{'' if rule['enabled'] else '  (off)'}{late}"


_WORDS = {"adopt": "will be adopted", "adopted": "is adopted", "native": "stays native", "refused": "will NOT be adopted"}


def _agent_lines(agent: Mapping[str, Any]) -> Iterator[str]:
    yield f"Agent {agent['id']} ({agent['home']}) {_WORDS[agent['decision']]}"
    yield from (f"  ! {reason}" for reason in agent["reasons"])
    if agent["state_files"]:
        yield f"  moves to {DIRECTORY}/, with symlinks left: {', '.join(agent['state_files'])}"
    yield from (f"  {_model_line(model)}" for model in agent["models"])
    for platform, names in agent["toolsets"].items():
        yield f"  tools on {platform}: {', '.join(map(str, names)) if isinstance(names, list) else names}"
    if agent["disabled_toolsets"]:
        yield f"  never used: {', '.join(agent['disabled_toolsets'])}"
    for platform in agent["platforms"]:
        yield f"  platform {platform['name']}: {'served' if platform['served'] else 'not served yet'}"
    for job in agent["cron"]:
        state = "" if job["served"] else ": not served yet"
        yield f"  cron job {job['name'] or job['id']} ({job['schedule']}{'' if job['enabled'] else ', off'}){state}"
    yield from (f"  host {use['host']}:{use['port']}: {use['why']}" for use in agent["hosts"])
    for use in agent["paths"]:
        line = f"; agents.{agent['id']}.sandbox.readable: [{use['readable']}]" if use["readable"] else ""
        yield f"  path {use['path']} ({use['where']}): {use['problem']}{line}"


def _model_line(model: Mapping[str, Any]) -> str:
    name = "/".join(filter(None, (model["provider"], model["name"]))) or "none"
    if model["refused"]:
        return f"{model['role']}: {name}: REFUSED: {model['refused']}"
    key = {
        "found": "key found",
        "missing": f"key missing: {model['where']}",
        "login": "Hermes' own login",
        "none": "needs no key",
        "unknown": "whether it has a key is not known",
    }[model["key"]]
    return f"{model['role']}: {name}{' at ' + model['base_url'] if model['base_url'] else ''} ({key})"
