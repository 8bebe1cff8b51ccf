"""Absolute paths and commands in a Hermes profile that will not be there inside a sandbox, and the line that brings them.

A path of the profile itself holds inside, and so do /usr and its like. Of the rest, what is there on the host can be shown by
`sandbox.readable`, unless it lies where nothing may be shown from. What names a file outright is told in any case; of paths in
free text, as in skills, only those that are there, since the others are examples.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_iso.config.places import Places, target_complaint
from hermes_iso.config.schema import MAIN
from hermes_iso.config.source import Source
from hermes_iso.hermes.reading import folders_below, read_below
from hermes_iso.hermes.view import HomeView
from hermes_iso.profiles import AGENT_DIRECTORIES, OPERATOR_DIRECTORIES, SYSTEM_PATH, is_within

_INSIDE = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/dev",
    "/proc",
    "/hermes",
    "/workspace",
    "/home/agent",
    "/shared",
)
"""What is inside in any case, or means something else there."""
_IN_TEXT = re.compile(r"(?<![\w.:/~$}*-])(/(?:[\w.@+-]+/)+[\w.@+-]+)")
_SKILL_BYTES = 64 << 10
_MOST_SKILLS = 300
_ROOTS_OUT = frozenset(
    {"model", "providers", "custom_providers", "agents", "egress", "routes", "bindings", "engines", "platforms"}
)
"""Roots of a config.yaml whose paths are not about files of turns."""


@dataclass(frozen=True, slots=True)
class PathUse:
    """A path or command that something names and that is not inside.

    where: what names it. readable: the directory to show, '' where that can't help. path: the directory to put on the PATH.
    problem: what is the matter, as one sentence.
    """

    name: str
    where: str
    problem: str
    readable: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class PathSurvey:
    """Judges the paths of one agent. spelled: its home as written; shown: further directories that it is given already."""

    agent: str
    home: Path
    spelled: Path
    places: Places
    shown: tuple[str, ...]
    operator_path: str

    def all(self, data: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]]) -> list[PathUse]:
        """Return everything that will not be there, each once, in the order config, MCP, cron, skills."""
        found: dict[tuple[str, str], PathUse] = {}
        for each in (*self._config(data), *self._mcp(data), *self._cron(jobs), *self._skills()):
            found.setdefault((each.name, each.readable), each)
        return list(found.values())

    def _config(self, data: Mapping[str, Any]) -> Iterator[PathUse]:
        for root, value in data.items():
            if root in _ROOTS_OUT or root == "mcp_servers":
                continue
            for at, text in _texts(value, root):
                if at != "terminal.cwd":
                    yield from self._text(text, f"config.yaml {at}")

    def _mcp(self, data: Mapping[str, Any]) -> Iterator[PathUse]:
        servers = data.get("mcp_servers")
        for name, server in (servers if isinstance(servers, dict) else {}).items():
            if not isinstance(server, dict) or server.get("enabled") is False:
                continue
            where = f"MCP server {name}"
            command = server.get("command")
            if isinstance(command, str) and command.strip():
                yield from self._command(command.strip(), where)
            if isinstance(server.get("cwd"), str):
                yield from self._path(server["cwd"], where)
            for _, text in _texts([server.get("args"), server.get("env")], ""):
                yield from self._text(text, where)

    def _cron(self, jobs: Iterable[Mapping[str, Any]]) -> Iterator[PathUse]:
        for job in jobs:
            where = f"cron job {job.get('name') or job.get('id')}"
            script, workdir = job.get("script"), job.get("workdir")
            if isinstance(script, str) and script.strip():
                first = _first_word(script)
                place = first if first.startswith(("/", "~")) else str(self.home / "scripts" / first)
                yield from self._path(place, where)
            if isinstance(workdir, str) and workdir.startswith(("/", "~")):
                yield from self._path(workdir, where)
            if isinstance(job.get("prompt"), str):
                yield from self._text(job["prompt"], where)

    def _skills(self) -> Iterator[PathUse]:
        budget = _MOST_SKILLS
        for category in folders_below(self.home, ("skills",)):
            for parts in ((category,), *((category, name) for name in folders_below(self.home, ("skills", category)))):
                text = read_below(self.home, ("skills", *parts, "SKILL.md"), _SKILL_BYTES) if budget else None
                if text is not None:
                    budget -= 1
                    yield from self._text(text, f"skill {parts[-1]}")

    def _text(self, text: str, where: str) -> Iterator[PathUse]:
        for found in dict.fromkeys(_IN_TEXT.findall(text)):
            if os.path.exists(found):
                yield from self._path(found, where)

    def _command(self, command: str, where: str) -> Iterator[PathUse]:
        if "/" in command:
            yield from self._path(command, where)
            return
        if shutil.which(command, path=":".join(SYSTEM_PATH)):
            return
        found = shutil.which(command, path=self.operator_path)
        if found is None:
            yield PathUse(command, where, f"there is no program {command} on this machine's PATH")
            return
        for use in self._path(os.path.realpath(found), where):
            yield PathUse(command, where, f"{command} is {found}, which is not inside", use.readable, os.path.dirname(found))

    def _path(self, text: str, where: str) -> Iterator[PathUse]:
        """Yield what is wrong with a path that something names, nothing when it is inside."""
        if not text.startswith(("/", "~/")):
            return
        if text.startswith("~/"):
            text = str(self.home / "home" / text[2:])
        spelled = os.path.normpath(text)
        if is_within(spelled, *_INSIDE, *self.shown) or self._is_own(spelled):
            return
        if not os.path.exists(spelled):
            yield PathUse(spelled, where, "does not exist on this machine")
            return
        real = os.path.realpath(spelled)
        place = spelled if os.path.isdir(real) else os.path.dirname(spelled)
        complaint = self.places.complaint(os.path.realpath(place), self.agent) or target_complaint(place)
        if complaint:
            yield PathUse(spelled, where, f"is not inside, and can't be: {complaint}")
        else:
            yield PathUse(spelled, where, "is not inside", place)

    def _is_own(self, spelled: str) -> bool:
        """Say whether a path lies in what the profile itself has inside."""
        for home in (str(self.home), str(self.spelled)):
            if is_within(spelled, home):
                first = spelled[len(home) :].lstrip("/").partition("/")[0]
                return first in ("", "SOUL.md", "config.yaml", ".env", *AGENT_DIRECTORIES, *OPERATOR_DIRECTORIES)
        return False


def path_survey(view: HomeView, source: Source, environ: Mapping[str, str]) -> PathSurvey:
    """Return what judges the paths of one agent."""
    homes = {name: str(home) for name, home in view.homes.items()}
    workspaces = {name: os.path.realpath(home / "workspace") for name, home in view.homes.items()}
    overlay = view.document.get("agents", source.id, "sandbox")
    given = overlay if isinstance(overlay, dict) else {}
    shown = [text for key in ("readable", "writable") for text in given.get(key) or () if isinstance(text, str)]
    cwd = source.keys.terminal.cwd
    shown += [cwd] if cwd and os.path.isabs(cwd) else []
    spelled = view.home if source.id == MAIN else view.home / "profiles" / source.id
    places = Places(str(view.homes[MAIN]), homes, workspaces)
    return PathSurvey(source.id, source.home, spelled, places, tuple(shown), environ.get("PATH", ""))


def _first_word(text: str) -> str:
    """Return the first word of a command line."""
    try:
        return next(iter(shlex.split(text)), "")
    except ValueError:
        return text.split(maxsplit=1)[0]


def _texts(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Yield (key path, text) of every text in a value; the config was read with a bound on all of it."""
    pending: list[tuple[str, Any]] = [(at, value)]
    while pending:
        where, item = pending.pop(0)
        if isinstance(item, dict):
            pending += [(f"{where}.{key}" if where else str(key), below) for key, below in item.items()]
        elif isinstance(item, list):
            pending += [(where, below) for below in item]
        elif isinstance(item, str):
            yield where, item
