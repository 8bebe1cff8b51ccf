"""The hosts that a Hermes profile implies: web search, MCP servers, and where its workspace's git repositories come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hermes_iso.config.source import Names
from hermes_iso.hermes.reading import folders_below, read_below

_BACKENDS: Mapping[str, tuple[str, ...]] = {
    "tavily": ("https://api.tavily.com",),
    "exa": ("https://api.exa.ai",),
    "parallel": ("https://api.parallel.ai",),
    "firecrawl": ("https://api.firecrawl.dev",),
    "brave-free": ("https://api.search.brave.com",),
    "ddgs": ("https://duckduckgo.com", "https://html.duckduckgo.com", "https://links.duckduckgo.com"),
    "xai": ("https://api.x.ai",),
    "searxng": (),
}
"""Hermes' backends of web search to their addresses; some can be moved by a name in `.env`."""
_MOVED = {"firecrawl": "FIRECRAWL_API_URL", "searxng": "SEARXNG_URL"}
_BY_KEY = (
    ("TAVILY_API_KEY", "tavily"),
    ("EXA_API_KEY", "exa"),
    ("PARALLEL_API_KEY", "parallel"),
    ("FIRECRAWL_API_KEY", "firecrawl"),
    ("FIRECRAWL_API_URL", "firecrawl"),
    ("SEARXNG_URL", "searxng"),
    ("BRAVE_SEARCH_API_KEY", "brave-free"),
)
"""The key that makes Hermes choose a backend when none is configured, the first that is there."""
_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418, "wss": 443, "ws": 80}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_GIT_CONFIG = 64 << 10
_MOST_REPOSITORIES = 50


@dataclass(frozen=True, slots=True)
class HostUse:
    """A host and port that something in a profile needs, and what that is."""

    host: str
    port: int
    why: str

    @property
    def rule(self) -> str:
        """The line for `egress.allow`."""
        return f"{self.host}:{self.port}"


def hosts_of(data: Mapping[str, Any], names: Names, workspaces: Sequence[Path]) -> list[HostUse]:
    """Return the hosts of one profile, each once, in the order web, MCP, git. `data` is its config.yaml."""
    found: dict[str, HostUse] = {}
    for each in (*_web(data, names), *_mcp(data, names), *(use for place in workspaces for use in _git(place))):
        found.setdefault(each.rule, each)
    return list(found.values())


def _web(data: Mapping[str, Any], names: Names) -> Iterator[HostUse]:
    web = data.get("web")
    written = web if isinstance(web, dict) else {}
    chosen = {str(written.get(key) or "").strip().lower() for key in ("backend", "search_backend", "extract_backend")} - {""}
    if not written.get("backend"):
        chosen |= {next((backend for key, backend in _BY_KEY if names.get(key)), "")} - {""}
    for backend in sorted(chosen):
        moved = names.get(_MOVED[backend]) if backend in _MOVED else None
        for url in (moved,) if moved else _BACKENDS.get(backend, ()):
            yield from _use(url, f"web search by {backend}")


def _mcp(data: Mapping[str, Any], names: Names) -> Iterator[HostUse]:
    servers = data.get("mcp_servers")
    for name, server in (servers if isinstance(servers, dict) else {}).items():
        if isinstance(server, dict) and isinstance(server.get("url"), str) and server.get("enabled") is not False:
            yield from _use(names.expand(server["url"])[0], f"MCP server {name}")


def _git(workspace: Path) -> Iterator[HostUse]:
    """Yield where the repositories in a directory, and one level below, are fetched from."""
    places = [(), *((name,) for name in folders_below(workspace, ()))]
    for parts in places[:_MOST_REPOSITORIES]:
        text = read_below(workspace, (*parts, ".git", "config"), _GIT_CONFIG) or ""
        for url in re.findall(r"^\s*(?:push)?url\s*=\s*(\S+)\s*$", text, re.MULTILINE):
            short = re.match(r"(?:[^@/:\s]+@)?([^/:@\s]+):(?!//)", url)
            yield from _use(f"ssh://{short[1]}" if short else url, f"git in {workspace.joinpath(*parts)}")


def _use(url: str, why: str) -> Iterator[HostUse]:
    """Yield the host of an address; nothing for what is none, and no more of the address than that."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return
    if parts.scheme in _PORTS and parts.hostname and _HOST.match(parts.hostname):
        yield HostUse(parts.hostname, port, why)
