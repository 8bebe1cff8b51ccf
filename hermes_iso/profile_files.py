"""Read an operator's files with bounds, and make the two files that a sandbox gets instead of the real ones."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import yaml

from hermes_iso.envfile import render_env

FILE_LIMIT = 1 << 20
"""Largest .env or other file that is read, in bytes."""
CONFIG_LIMIT = 16 << 20
"""Largest config.yaml that is read, in bytes: room for a hundred thousand routes."""
TEXT_LIMIT = 64 << 10
"""Largest SOUL.md that counts, in bytes; what is beyond is cut."""
CONFIG_VERSION = 33
"""The `_config_version` of the generated config.yaml: Hermes' current one, so that it does not migrate the file."""

_SHOWN_ROOTS = frozenset(
    re.findall(
        r"\S+",
        "agent approvals browser checkpoints clarify code_execution command_allowlist compression context"
        " context_file_max_chars curator delegation display file_read_max_chars goals hooks hooks_auto_accept kanban"
        " known_plugin_toolsets logging lsp"
        " max_turns mcp mcp_discovery_timeout mcp_servers memory moa personalities platform_hints platform_toolsets plugins"
        " prompt_caching sessions skills smart_model_routing terminal timezone tool_loop_guardrails tool_output"
        " tools toolsets tts stt voice web",
    )
)
_SECRET_KEY = re.compile(
    r"key|token|secret|passw|credential|auth|cookie|private|webhook|headers?$|^env$|env_passthrough",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(r"\$\{[^}]+\}|://[^/\s]*@")
_REFERENCE = re.compile(r"(?:[A-Za-z]{1,20} )?\$\{[A-Za-z_][A-Za-z0-9_]{0,127}\}")
"""The name of a variable, which inside leads to the agent's own `.env` alone; before it may stand a word such as Bearer."""
_REFERRING = frozenset({"mcp_servers"})
_MAX_DEPTH = 32
YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader in C where PyYAML has it."""


class UnreadableError(Exception):
    """A file can't be used; the text says why and what to do, and never repeats the file's contents."""


def read_bounded(path: Path, limit: int = FILE_LIMIT) -> bytes | None:
    """Return the bytes of a regular file, or None when there is none. Raises UnreadableError for anything else.

    It never waits: a FIFO or a device in the file's place is refused before it is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if path.is_symlink():
            raise UnreadableError("is a symlink that leads nowhere; correct it or remove it") from None
        return None
    except OSError as error:
        raise UnreadableError(f"can't be read ({error.strerror}); correct the path or its permissions") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise UnreadableError(f"is {kind}; put a regular file there or move it away")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UnreadableError(f"is longer than {limit >> 10} KiB; make it shorter")
    return content


def read_persona(path: Path) -> tuple[str, str]:
    """Return (the text of a SOUL.md or "", a warning or ""): cut at 64 KiB, bad UTF-8 replaced, blank counts as none."""
    try:
        content = read_bounded(path)
    except UnreadableError as error:
        return "", f"{path} {error}"
    content = content or b""
    warning = ""
    if len(content) > TEXT_LIMIT:
        warning = f"{path} is longer than {TEXT_LIMIT >> 10} KiB; the rest is not used"
        content = content[:TEXT_LIMIT]
    text = content.decode("utf-8", "replace")
    if "\ufffd" in text and not warning:
        warning = f"{path} is not UTF-8 throughout; the bad bytes are replaced"
    return text.strip(), warning


def env_inside(values: Mapping[str, str], held: Container[str]) -> bytes:
    """Return the `.env` that the agent gets: the file's values without the names held back."""
    return render_env({name: value for name, value in values.items() if name not in held}).encode("utf-8")


def config_inside(content: bytes) -> bytes:
    """Return the config.yaml that the agent gets: an allow list of Hermes' settings, and nothing that may be a secret.

    The real file was read strictly when the gateway started. Here it may have changed since and be broken: then the agent
    gets the version line alone.
    """
    try:
        data: Any = yaml.load(_shown_roots(content), Loader=YAML_LOADER)  # noqa: S506  a safe one
        shown = {name: _shown(value, 1, name in _REFERRING) for name, value in data.items() if name in _SHOWN_ROOTS}
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError):
        shown = {}
    shown = {"_config_version": CONFIG_VERSION, **shown}
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).encode("utf-8")


def _shown_roots(content: bytes) -> bytes | str:
    """Return a config.yaml without the roots that are not shown: a hundred thousand routes are not to be read for each agent.

    One with anchors comes back whole, because a root that is shown may refer to another. Raises ValueError when it nests too
    deeply, yaml.YAMLError.
    """
    kept: list[yaml.Event] = []
    depth, is_key, shown, anchored = 0, True, True, False
    for event in yaml.parse(content, Loader=YAML_LOADER):
        starts, ends = isinstance(event, yaml.CollectionStartEvent), isinstance(event, yaml.CollectionEndEvent)
        anchored = anchored or getattr(event, "anchor", None) is not None
        if depth == 1:
            shown = ends or (shown if not is_key else isinstance(event, yaml.ScalarEvent) and event.value in _SHOWN_ROOTS)
            is_key = not is_key
        depth += starts - ends
        if depth > _MAX_DEPTH:
            raise ValueError("nests too deeply")
        if shown:
            kept.append(event)
    return content if anchored else yaml.emit(kept, Dumper=yaml.SafeDumper)


def nests_deeper(text: str | bytes, limit: int) -> bool:
    """Say whether YAML nests deeper than `limit`, without building anything; what is no YAML at all does not.

    The C composer calls itself for every level and ends the process on a few ten thousand brackets, so this comes first.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=YAML_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > limit:
                return True
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return False


def _shown(value: Any, depth: int, refers: bool) -> Any:
    """Return `value` without the mapping keys and texts that may hold a secret. refers: the names of variables may stay."""
    if depth > _MAX_DEPTH:  # an alias that holds itself
        return None
    if isinstance(value, dict):
        return {
            name: _shown(item, depth + 1, refers)
            for name, item in value.items()
            if isinstance(name, str) and (not _SECRET_KEY.search(name) or (refers and _is_harmless(name, item)))
        }
    if isinstance(value, list):
        return [_shown(item, depth + 1, refers) for item in value]
    if isinstance(value, str) and _SECRET_TEXT.search(value) and not (refers and _REFERENCE.fullmatch(value)):
        return ""
    return value


def _is_harmless(name: str, value: Any) -> bool:
    """Say whether what stands under a name of secrets may be shown: a reference, or a section with names of its own."""
    if isinstance(value, dict):
        return name in ("env", "headers")
    return isinstance(value, str) and bool(_REFERENCE.fullmatch(value))
