"""What a profile brings beside skills and memory: its plugins, its shell hooks and its MCP servers."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from hermes_iso_sandbox.guest.engines.hermes.state import HOME

MCP_TIMEOUT = 10.0
"""Seconds that a turn waits for its MCP servers, where the profile says nothing; one that is late is left out."""


def load_plugins(config: dict[str, Any]) -> None:
    """Load the plugins and shell hooks that the profile has switched on. One that fails is left out, and the log says why."""
    plugins = config.get("plugins") or {}
    if plugins.get("disabled"):  # what the template has loaded may be among them
        import_module("hermes_cli.plugins").discover_plugins(force=True)
    elif plugins.get("enabled"):
        _load_further(frozenset(map(str, plugins["enabled"])))
    if config.get("hooks"):
        import_module("agent.shell_hooks").register_from_config(config, accept_hooks=True)


def _load_further(enabled: frozenset[str]) -> None:
    """Load what is switched on beside what the template has: the profile's own plugins, and Hermes' that are off by default.

    Looking through all that Hermes brings would take each process half a second.
    """
    manager: Any = import_module("hermes_cli.plugins").get_plugin_manager()
    own = manager._scan_directory(Path(HOME) / "plugins", source="user") if os.path.isdir(f"{HOME}/plugins") else []
    off = [plugin.manifest for plugin in manager._plugins.values() if not plugin.enabled]
    found = {manifest.key or manifest.name: manifest for manifest in (*off, *own)}
    for key, manifest in found.items():
        if enabled & {key, manifest.name} and manifest.kind not in ("exclusive", "model-provider"):
            manager._load_plugin(manifest)


def start_servers(config: dict[str, Any]) -> bool:
    """Start the profile's MCP servers and wait for their tools; say whether there are any. One that hangs is left out."""
    if not config.get("mcp_servers"):
        return False
    startup = import_module("hermes_cli.mcp_startup")
    startup.start_background_mcp_discovery(logger=logging.getLogger(__name__), thread_name="mcp")
    said = (import_module("hermes_cli.config").read_raw_config() or {}).get("mcp_discovery_timeout")
    startup.wait_for_mcp_discovery(float(said) if isinstance(said, int | float) else MCP_TIMEOUT)
    return True
