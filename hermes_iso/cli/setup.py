"""`init`, `config check` and `doctor`: a new home, whether it is in order, and what this machine permits."""

from __future__ import annotations

import shlex
from typing import Annotated

import trio
from cyclopts import App, Parameter

from hermes_iso.cli.control import gateway_state, gateway_text
from hermes_iso.cli.demo import own_command
from hermes_iso.cli.diagnosis import examine, print_report
from hermes_iso.cli.exits import UNSUPPORTED, USAGE
from hermes_iso.cli.options import HomeOption, JsonOption, find_home, print_json, read_config, say, warnings_of
from hermes_iso.config.template import write_home
from hermes_iso.errors import ConfigError


def add_commands(app: App) -> None:
    """Add `init`, the group `config`, and `doctor`."""
    app.command(init)
    group = App(name="config", help="Look at the configuration.")
    group.command(check)
    app.command(group)
    app.command(doctor)


def init(
    *,
    agents: Annotated[str, Parameter(help="Names of agents beside main, with commas between them.")] = "",
    home: HomeOption = None,
) -> int:
    """Write a commented config and the agents' homes; nothing that exists is overwritten."""
    where = find_home(home)
    names = [name.strip() for name in agents.split(",") if name.strip()]
    served = ", ".join(write_home(where, names, demo=False))
    option = f"--home {shlex.quote(str(where))}"
    print(f"Made {where} with agents {served}.")
    print(f"Its API key is API_SERVER_KEY in {where / '.env'}; the model is the built-in offline one until you set another.")
    print(f"Look at {where / 'config.yaml'}, then type: {own_command()} run {option}")
    return 0


def check(*, home: HomeOption = None) -> int:
    """Print every error as FILE:LINE: KEY: what is wrong, what to do. Exit 0 when there is none, else 2."""
    try:
        config = read_config(home, without_broken=False)
    except ConfigError as error:
        print(error)
        return USAGE
    for warning in warnings_of(config):
        say(f"warning: {warning}")
    print(f"ok: {config.home} serves {', '.join(config.agents) or 'no agent'}")
    return 0


def doctor(*, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Say what this machine permits, what is bounded and what is not. Exit 0 when a gateway can run here, else 3."""
    where = find_home(home)
    report = {**examine(where), "gateway": trio.run(gateway_state, where)}
    if as_json:
        print_json(report)
    else:
        print_report(report)
        print(gateway_text(report["gateway"]))
    return 0 if report["ok"] else UNSUPPORTED
