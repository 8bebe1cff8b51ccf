"""What `doctor` finds: the machine's permissions, the config's state, and what is bounded."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hermes_iso.cli.bounds import describe_limits, limit_rows
from hermes_iso.cli.machine import home_checks, machine_checks, trial_check
from hermes_iso.cli.options import hooks_of, print_table, warnings_of
from hermes_iso.config.load import load_config
from hermes_iso.errors import ConfigError
from hermes_iso_sandbox.capability import Capabilities
from hermes_iso_sandbox.confinement import Limits
from hermes_iso_sandbox.identity import HOST_UIDS


def examine(home: Path) -> dict[str, Any]:
    """Return what `doctor --json` prints. A broken config is part of the report and does not keep the rest from it."""
    config, uids = _examine_config(home)
    checks = machine_checks(home, config["agents"], uids)
    if Capabilities(tuple(checks)).ok:
        checks.append(trial_check())
    isolated = Capabilities(tuple(checks)).ok
    checks += home_checks(home, config["agents"])
    return {
        "ok": Capabilities(tuple(checks)).ok,
        "isolation": "namespace" if isolated else None,
        "checks": [asdict(check) for check in checks],
        "config": config,
        **describe_limits(Limits()),
    }


def _examine_config(home: Path) -> tuple[dict[str, Any], range]:
    """Return what is told of the config, and the host uids of its sandboxes."""
    uids = HOST_UIDS
    found: dict[str, Any] = {
        "home": str(home),
        "ok": True,
        "problems": [],
        "warnings": [],
        "agents": {},
        "hooks": [],
        "chats": [],
    }
    try:
        config = load_config(home, os.environ)
        found["warnings"] = warnings_of(config)
        found["hooks"] = [{"hook": str(hook), "events": sorted(hook.events)} for hook in hooks_of(config)]
        found["chats"] = [f"{each.platform}:{each.account_id}" for each in config.chat_accounts]
        uids = config.host_uids
        for agent in config.agents.values():
            visible, held = agent.profile.env_visible, agent.profile.env_held
            found["agents"][agent.id] = {"env_visible": list(visible), "env_held": list(held)}
    except ConfigError as error:
        found["ok"] = False
        found["problems"] = [str(problem) for problem in error.problems]
    return found, uids


def print_report(report: dict[str, Any]) -> None:
    """Print what `examine` returned, for a person."""
    rows: list[tuple[str, ...]] = [
        (
            check["name"],
            "ok" if check["ok"] else "MISSING" if check["needed"] else "absent",
            " ".join(filter(None, (check["found"], check["fix"]))),
        )
        for check in report["checks"]
    ]
    config = report["config"]
    agents = ", ".join(config["agents"]) or "no agent"
    rows.append(("config", "ok" if config["ok"] else "BROKEN", f"{config['home']} serves {agents}"))
    rows += [("config", "problem", problem) for problem in config["problems"]]
    rows += [("config", "warning", warning) for warning in config["warnings"]]
    for agent, names in config["agents"].items():
        rows += [(f".env of {agent}", what, ", ".join(names[f"env_{what}"]) or "-") for what in ("visible", "held")]
    rows += [("chat account", "found", each) for each in config["chats"]]
    rows += [
        ("hook", "found", f"{each['hook']}: {', '.join(each['events']) or 'names its events'}") for each in config["hooks"]
    ]
    rows += [("limit", *row) for row in limit_rows(report)]
    print_table(rows)
    for what, how in report["not_bounded"].items():
        print(f"{what}: {how}")
    print(
        "A gateway can run here." if report["ok"] else "No gateway can run here: `run` refuses until the fixes above are made."
    )
