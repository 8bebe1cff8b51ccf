"""From an agent's source to its Profile: own directories, working directory, further directories, held names."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hermes_iso.config.places import Places, inside_path, target_complaint
from hermes_iso.config.problems import ProblemList, key_text, numbered
from hermes_iso.config.shown import Shown, binds_of, check_homes, check_shown
from hermes_iso.config.source import Source
from hermes_iso.config.yaml_text import Document, KeyPath
from hermes_iso.held_names import HeldNames
from hermes_iso.profiles import AGENT_DIRECTORIES, HERMES, HOME, WORKSPACE, Profile, is_within, locate_directories

_HERE = ("", ".", "auto", "cwd", WORKSPACE)
"""What Hermes takes for "no particular directory" in terminal.cwd, and the default as it is called inside."""
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*\Z")


@dataclass(slots=True)
class ProfileBuilder:
    """Makes the Profile of one agent; what is wrong with it is noted.

    shared: the directories that it has in common with other agents. shown: after `build`, every directory that the agent gets
    and that is right by itself, for comparing with all others.
    """

    source: Source
    root: Source
    places: Places
    problems: ProblemList
    shared: Sequence[Shown] = ()
    _directories: dict[str, str] = field(init=False)
    shown: list[Shown] = field(default_factory=list)
    _further: list[Shown] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._directories = locate_directories(self.source.home)

    def build(self, spelled: Path, referred: frozenset[str]) -> Profile:
        """Return the profile. `spelled` is its home as the config's user would write it; `referred` see HeldNames."""
        source, sandbox = self.source, self.source.overlay.sandbox
        self._check_directories()
        spellings = tuple(dict.fromkeys((str(spelled), str(source.home))))
        cwd = self._cwd(spellings)
        at = (*source.overlay_at, "sandbox")
        for key, texts, writable in (("writable", sandbox.writable, True), ("readable", sandbox.readable, False)):
            for index, text in numbered(texts):
                self._show(text, (*at, key, index), spellings, writable=writable, document=self.root.document)
        self._further += self.shared
        self.shown += self._further
        own = frozenset(source.overlay.secrets)
        return Profile(
            id=source.id,
            home=source.home,
            cwd=cwd,
            spellings=spellings,
            directories=self._directories,
            binds=binds_of(self._further),
            path=tuple(filter(None, (self._path_entry(text, i) for i, text in numbered(sandbox.path)))),
            held=HeldNames(referred | own, self._handed_back(HeldNames(referred | own)) - own),
            timezone=self._timezone(),
            limits=sandbox.limits(),
            background_timeout=sandbox.background_timeout,
            soul_writable=source.overlay.allow_soul_edit,
        )

    def _check_directories(self) -> None:
        for name, real in self._directories.items():
            own = str(self.source.home / name)
            complaint = self.places.complaint(real, self.source.id) if real != own else ""
            if os.path.islink(own) and not os.path.isdir(own):
                self.problems.add(own, 1, key=name, message="is a symlink that leads to no directory; correct it or remove it")
            elif complaint:
                self.problems.add(own, 1, key=name, message=f"is a symlink, and {complaint}")
            else:
                self.shown.append(Shown(self.source.id, own, 1, name, own, real, AGENT_DIRECTORIES[name]))

    def _cwd(self, spellings: tuple[str, ...]) -> str:
        text = (self.source.keys.terminal.cwd or "").strip()
        document = self.source.document
        if text in _HERE:
            if document.get("terminal", "cwd") is None and document.texts.get(("terminal", "cwd")) == "~":
                message = 'is nothing, because YAML reads a bare ~ so; write it in quotes: "~"'
                document.complain(self.problems, ("terminal", "cwd"), message=message)
            return WORKSPACE
        return self._show(text, ("terminal", "cwd"), spellings, writable=True, document=document) or WORKSPACE

    def _show(self, text: str, at: KeyPath, spellings: tuple[str, ...], *, writable: bool, document: Document) -> str | None:
        """Note that a directory is to be shown, unless it is visible anyhow; return its path inside, or None if wrong."""
        spelled = self._on_host(text)
        real = os.path.realpath(spelled)
        target = _target(spelled, spellings)
        visible = inside_path(real, self._directories)
        complaint = "" if visible else self._forbidden(text, spelled, real, target)
        complaint = complaint or self._missing(text, spelled, real)
        if complaint:
            document.complain(self.problems, at, message=complaint)
            return None
        if visible:
            if not writable:
                where = f"{document.file}:{document.line(at)}: {key_text(at)}"
                self.problems.warn(f"{where}: {text} lies in the agent's own directories, so the agent can write it as well")
            return visible
        given = (document.file, document.line(at), key_text(at))
        self._further.append(Shown(self.source.id, *given, spelled, real, target, writable))
        return target

    def _forbidden(self, text: str, spelled: str, real: str, target: str) -> str:
        """Say why a directory that is not visible anyhow may not be shown, whether it exists or not, or ''."""
        if inside_path(spelled, self._directories):
            return f"{text} leads out of the agent's own directories; name the target"
        complaint = self.places.complaint(real, self.source.id)
        return complaint or ("" if is_within(target, HERMES) else target_complaint(target))

    def _missing(self, text: str, spelled: str, real: str) -> str:
        """Say why there is no such directory, or ''; the agent's own ones are made when it first takes a turn."""
        if os.path.isdir(real) or (real in self._directories.values() and not os.path.lexists(real)):
            return ""
        if os.path.lexists(real):
            what = "a file" if os.path.isfile(real) else "not a directory"
            return f"{text} is {what}, and only a directory can be shown; name the directory that holds it"
        return f"{text} does not exist; make it: mkdir -p {shlex.quote(spelled)}"

    def _on_host(self, text: str) -> str:
        """Return the absolute, normalised host path of what a config calls by `text`."""
        if text == "~" or text.startswith("~/"):
            return os.path.normpath(os.path.join(self._directories["home"], text[2:]))
        return os.path.normpath(os.path.join(self._directories["workspace"], text))

    def _path_entry(self, text: str, index: int) -> str | None:
        entry = HOME + text[1:] if text == "~" or text.startswith("~/") else text
        if entry.startswith("/") and ":" not in entry:
            return entry
        at = (*self.source.overlay_at, "sandbox", "path", index)
        self.root.document.complain(self.problems, at, message=f"{text!r} must be one absolute path, or begin with ~/")
        return None

    def _handed_back(self, held: HeldNames) -> frozenset[str]:
        """Return the names of `sandbox.env`; one that `held` would keep outside is a warning."""
        names: set[str] = set()
        for index, name in numbered(self.source.overlay.sandbox.env):
            if name.isascii() and name.isidentifier():
                names.add(name)
                if name not in held:
                    continue
                self.problems.warn(f"agent {self.source.id}: sandbox.env lets {name} into its sandbox")
            else:
                at = (*self.source.overlay_at, "sandbox", "env", index)
                self.root.document.complain(
                    self.problems, at, message=f"{name[:60]!r} is not a name; use letters, digits and _"
                )
        return frozenset(names)

    def _timezone(self) -> str:
        zone = (self.source.keys.timezone or self.root.keys.timezone or "").strip()
        if not zone:
            return "UTC"
        if not _ZONE.match(zone):
            self.source.document.complain(self.problems, ("timezone",), message="must be a zone such as Europe/Berlin")
            return "UTC"
        return zone


def _target(spelled: str, homes: tuple[str, ...]) -> str:
    """Return where a host directory appears inside: at its own path, or below /hermes when it lies in the profile."""
    for home in homes:
        if is_within(spelled, home):
            return HERMES + spelled[len(home) :]
    return spelled


def build_profiles(
    sources: Mapping[str, Source],
    root: Source,
    homes: Mapping[str, Path],
    *,
    spelled: Mapping[str, Path],
    referred: frozenset[str],
    shared: Mapping[str, Sequence[Shown]],
    problems: ProblemList,
) -> dict[str, Profile]:
    """Return the profiles of the served agents. `homes` has every agent of the home, served or not, resolved."""
    workspaces = {agent: os.path.realpath(home / "workspace") for agent, home in homes.items()}
    places = Places(str(root.home), {agent: str(home) for agent, home in homes.items()}, workspaces)
    profiles: dict[str, Profile] = {}
    shown: list[Shown] = []
    locations = [] if root.id in sources else [_home(root, root.document, spelled[root.id])]
    for agent, source in sources.items():
        builder = ProfileBuilder(source, root, places, problems, shared.get(agent, ()))
        profiles[agent] = builder.build(spelled[agent], referred)
        complaint = places.home_complaint(str(source.home), agent) if agent != root.id else ""
        if complaint:
            at = (*source.overlay_at, "home_dir") if source.overlay.home_dir else source.overlay_at
            root.document.complain(problems, at, message=complaint)
        else:
            shown += builder.shown
            locations.append(_home(source, root.document, spelled[agent]))
    misplaced = check_homes(locations, shown, problems)
    check_shown([each for each in shown if each.agent not in misplaced], problems)
    return profiles


def _home(source: Source, document: Document, spelled: Path) -> Shown:
    """Return an agent's home with the line that says where it is; nothing shows it as a whole."""
    at: KeyPath = (*source.overlay_at, "home_dir")
    given = (document.file, document.line(at), key_text(at)) if source.overlay.home_dir else (str(spelled), 1, "home")
    return Shown(source.id, *given, str(spelled), str(source.home), HERMES, writable=False)
