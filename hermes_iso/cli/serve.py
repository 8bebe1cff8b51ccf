"""`run`: the gateway in the foreground, from the checks to the drain."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Annotated

import trio
from cyclopts import App, Parameter

from hermes_iso.cli.demo import demo_config, what_to_try
from hermes_iso.cli.foreground import serve_until_signal
from hermes_iso.cli.inside import load_again, prepare, raise_descriptor_limit, require_sandbox
from hermes_iso.cli.options import HomeOption, read_config, say, warnings_of
from hermes_iso.config.schema import Config
from hermes_iso.errors import UsageError


def add_commands(app: App) -> None:
    """Add `run`."""
    app.command(run)


def run(
    *,
    demo: Annotated[bool, Parameter(negative=(), help="Serve a throw-away home with agents main and coder.")] = False,
    port: Annotated[int | None, Parameter(help="Serve the HTTP API here, instead of at the config's port.")] = None,
    home: HomeOption = None,
) -> int:
    """Run the gateway in the foreground. SIGINT or SIGTERM lets running turns end and exits 0; a second one does not wait.

    SIGHUP reads the home again.
    """
    if demo and home is not None:
        raise UsageError("--demo makes a home of its own: leave out --home, or leave out --demo.")
    if port is not None and not 0 <= port <= 65535:
        raise UsageError(f"--port must be a number from 0 to 65535, and {port} is not.")
    with demo_config() if demo else nullcontext(read_config(home)) as found:
        config = with_port(found, port)
        unbounded = prepare(config, level=logging.INFO)
        load = partial(load_again, config.home, {} if demo else dict(os.environ), port)
        raise_descriptor_limit()
        require_sandbox()
        for warning in warnings_of(config):
            say(f"warning: {warning}")

        def announce(url: str) -> None:
            print(ready_line(config, url, show_key=demo, unbounded=[*unbounded]), flush=True)
            if demo:
                print(what_to_try(config, url), flush=True)

        trio.run(serve_until_signal, config, load, announce)
    return 0


def with_port(config: Config, port: int | None) -> Config:
    """Return the config with the API on another port. Raises UsageError when it serves no adapter at all."""
    if config.api is None and config.chat_accounts and port is None:
        return config
    if config.api is None:
        raise UsageError(
            f"Nothing would be served: no adapter is enabled in {config.home / 'config.yaml'}. Add there "
            "`platforms: {api_server: {enabled: true}}` and a line API_SERVER_KEY=... of at least 16 characters to "
            f"{config.home / '.env'}."
        )
    return config if port is None else replace(config, api=replace(config.api, port=port))


def ready_line(config: Config, url: str, *, show_key: bool, unbounded: Sequence[str] = ()) -> str:
    """Return the one line that says what is served; scripts read it. Without an API there is no URL."""
    parts = [f"ready url={url}", f"agents={','.join(config.agents)}"]
    if show_key and config.api is not None:
        parts.append(f"key={config.api.keys[0].key}")
    if chats := ",".join(f"{each.platform}:{each.account_id}" for each in config.chat_accounts):
        parts.append(f"chats={chats}")
    if names := ",".join(unbounded):
        parts.append(f"unbounded={names}")
    if config.not_served:
        reasons = [f"{agent}:{reason.replace(',', ';')}" for agent, reason in config.not_served.items()]
        parts.append(f"notserved={','.join(reasons)}")
    return " ".join(parts)
