"""find_adapters: the adapters of chat platforms that are installed beside the gateway, its own and other people's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

GROUP = "hermes_iso.adapters"
"""The entry point group: a platform's name, and what makes a ChatAdapter of a ChatAccount."""
_NO_CHATS = frozenset({"console", "api_server"})


def find_adapters() -> Mapping[str, EntryPoint]:
    """Return the installed adapters by platform, none of them imported yet."""
    return {found.name: found for found in entry_points(group=GROUP) if found.name not in _NO_CHATS}
