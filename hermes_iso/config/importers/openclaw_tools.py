"""Translate OpenClaw's tool rules, so that what was denied there stays denied and nothing is allowed that was not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

_TOOLS: Mapping[str, tuple[str, ...]] = {
    "exec": ("terminal",),
    "bash": ("terminal",),
    "process": ("process",),
    "code_execution": ("execute_code",),
    "read": ("read_file",),
    "write": ("write_file",),
    "edit": ("patch",),
    "apply_patch": ("patch",),
    "web_search": ("web_search",),
    "web_fetch": ("web_extract",),
    "x_search": ("x_search",),
    "browser": ("browser",),
    "memory_search": ("memory",),
    "memory_get": ("memory",),
    "sessions_list": ("session_search",),
    "sessions_history": ("session_search",),
    "sessions_send": ("send_message",),
    "message": ("send_message",),
    "sessions_spawn": ("delegate_task",),
    "subagents": ("delegate_task",),
    "cron": ("cronjob",),
    "image": ("vision_analyze",),
    "image_generate": ("image_generate",),
    "tts": ("text_to_speech",),
    "group:fs": ("read_file", "write_file", "patch"),
    "group:runtime": ("terminal", "process", "execute_code"),
    "group:web": ("web_search", "web_extract"),
    "group:memory": ("memory",),
    "group:sessions": ("session_search", "send_message", "delegate_task"),
    "group:messaging": ("send_message",),
    "group:automation": ("cronjob",),
    "group:ui": ("browser",),
}
"""OpenClaw's names and groups, as tools and toolsets of Hermes'."""
_DENIED_TOO: Mapping[str, tuple[str, ...]] = {
    "terminal": ("execute_code",),
    "read_file": ("search_files",),
}
"""What does here what a denied tool did there: who may not start programs may not start them from Python either."""
_PROFILES = ("minimal", "coding", "messaging", "full")

Note = Callable[[str], None]


def translate_tools(rules: Iterable[Any], note: Note) -> dict[str, Any]:
    """Return the value of `agents.<id>.tools` for OpenClaw's `tools` sections, outermost first; {} when all is allowed.

    A later section's profile counts before an earlier one's. Every allow list counts, so that only what is in all of them
    is left; denies add up. note: is told what has no counterpart.
    """
    found: dict[str, Any] = {}
    allowed: list[list[str]] = []
    denied: list[str] = []
    for rule in rules:
        if not isinstance(rule, dict):
            continue
        if rule.get("profile") is not None:
            found["profile"] = _profile(rule["profile"], note)
        if rule.get("alsoAllow"):
            found["also_allow"] = _translated(rule["alsoAllow"], note)
        if rule.get("allow") is not None and "*" not in _names(rule["allow"]):
            allowed.append(_translated(rule["allow"], note))
        denied += _translated(rule.get("deny"), note)
        for key in sorted(rule.keys() - {"profile", "alsoAllow", "allow", "deny"}):
            note(f"tools.{key} has no counterpart here")
        if "*" in _names(rule.get("deny")):
            allowed.append([])
    if allowed:
        found["allow"] = [name for name in allowed[0] if all(name in other for other in allowed[1:])]
    denied += [more for name in denied for more in _DENIED_TOO.get(name, ())]
    if denied:
        found["deny"] = list(dict.fromkeys(denied))
    return found


def _profile(name: Any, note: Note) -> str:
    """Return the tool profile of the same name; the smallest where there is none."""
    if name in _PROFILES:
        return str(name)
    note(f"tools.profile {str(name)[:40]!r}: there is no such profile here, so it became 'minimal'")
    return "minimal"


def _names(value: Any) -> list[str]:
    return [each.strip().lower() for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _translated(value: Any, note: Note) -> list[str]:
    """Return the names that OpenClaw's names and patterns stand for, each once."""
    found: list[str] = []
    for pattern in _names(value):
        if pattern == "*":
            continue
        matching = [name for name in _TOOLS if _is_meant(name, pattern)]
        if not matching:
            note(f"tool {pattern[:40]!r}: has no counterpart here")
        found += [tool for name in matching for tool in _TOOLS[name]]
    return list(dict.fromkeys(found))


def _is_meant(name: str, pattern: str) -> bool:
    """Say whether a pattern means a tool; a group is only meant by its own name."""
    return name == pattern or (not name.startswith("group:") and fnmatchcase(name, pattern))
