"""From an agent's source to its Profile: own directories, working directory, further directories, held names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hermes_iso.config.places import Places, inside_path, overlapping, target_complaint
from hermes_iso.config.problems import ProblemList, key_text
from hermes_iso.config.source import Source
from hermes_iso.config.yaml_text import Document, KeyPath
from hermes_iso.held_names import HeldNames
from hermes_iso.profiles import HERMES, HOME, WORKSPACE, Profile, is_within, locate_directories
from hermes_iso_sandbox.confinement import Bind

_HERE = ("", ".", "auto", "cwd")
"""What Hermes takes for "no particular directory" in terminal.cwd."""
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*\Z")


@dataclass(frozen=True, slots=True)
class _Shown:
    """A directory that a config asks to show: where it was asked for, where it lies, where it appears."""

    document: Document
    at: KeyPath
    real: str
    target: str
    writable: bool


@dataclass(slots=True)
class ProfileBuilder:
    """Makes the Profile of one agent; what is wrong with it is noted."""

    source: Source
    root: Source
    places: Places
    problems: ProblemList
    _directories: dict[str, str] = field(init=False)
    _shown: list[_Shown] = field(default_factory=list)

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
            for index, text in enumerate(texts):
                self._show(text, (*at, key, index), spellings, writable=writable, document=self.root.document)
        return Profile(
            id=source.id,
            home=source.home,
            cwd=cwd,
            spellings=spellings,
            directories=self._directories,
            binds=self._binds(),
            path=tuple(filter(None, (self._path_entry(text, i) for i, text in enumerate(sandbox.path)))),
            held=HeldNames(referred, self._handed_back()),
            timezone=self._timezone(),
            background_timeout=sandbox.background_timeout,
        )

    def _check_directories(self) -> None:
        for name, real in self._directories.items():
            own = str(self.source.home / name)
            if real == own:
                continue
            complaint = self.places.complaint(real, self.source.id)
            if complaint:
                self.problems.add(own, 1, key=name, message=f"is a symlink, and {complaint}")

    def _cwd(self, spellings: tuple[str, ...]) -> str:
        text = (self.source.keys.terminal.cwd or "").strip()
        if text in _HERE:
            return WORKSPACE
        document = self.source.document
        return self._show(text, ("terminal", "cwd"), spellings, writable=True, document=document) or WORKSPACE

    def _show(self, text: str, at: KeyPath, spellings: tuple[str, ...], *, writable: bool, document: Document) -> str | None:
        """Note that a directory is to be shown, unless it is visible anyhow; return its path inside, or None if wrong."""
        spelled = self._on_host(text)
        real = os.path.realpath(spelled)
        if not os.path.isdir(real):
            what = "is not a directory" if os.path.exists(real) else "does not exist"
            document.complain(self.problems, at, message=f"{text} {what}; make it: mkdir -p {spelled}")
            return None
        own = inside_path(spelled, self._directories)
        visible = inside_path(real, self._directories)
        if own and not visible:
            document.complain(self.problems, at, message=f"{text} leads out of the agent's own directories; name the target")
            return None
        if visible:
            return visible
        target = _target(spelled, spellings)
        complaint = self.places.complaint(real, self.source.id)
        complaint = complaint or ("" if is_within(target, HERMES) else target_complaint(target))
        if complaint:
            document.complain(self.problems, at, message=complaint)
            return None
        self._shown.append(_Shown(document, at, real, target, writable))
        return target

    def _on_host(self, text: str) -> str:
        """Return the absolute, normalised host path of what a config calls by `text`."""
        if text == "~" or text.startswith("~/"):
            return os.path.normpath(os.path.join(self._directories["home"], text[2:]))
        return os.path.normpath(os.path.join(self._directories["workspace"], text))

    def _binds(self) -> tuple[Bind, ...]:
        """Return the binds of what is shown: parents first, nothing twice, no mount point in a writable directory."""
        kept: list[_Shown] = []
        for shown in sorted(self._shown, key=lambda each: (each.target, not each.writable)):
            above = next((each for each in reversed(kept) if is_within(shown.target, each.target)), None)
            if above is None or (shown.writable and not above.writable and shown.target != above.target):
                kept.append(shown)
            elif above.writable and not shown.writable:
                place = key_text(above.at)
                message = f"{shown.target} is or lies in {above.target}, which {place} makes writable; keep one of them"
                shown.document.complain(self.problems, shown.at, message=message)
        return tuple(Bind(each.real, each.target, each.writable) for each in kept)

    def _path_entry(self, text: str, index: int) -> str | None:
        entry = HOME + text[1:] if text == "~" or text.startswith("~/") else text
        if entry.startswith("/") and ":" not in entry:
            return entry
        at = (*self.source.overlay_at, "sandbox", "path", index)
        self.root.document.complain(self.problems, at, message=f"{text!r} must be one absolute path, or begin with ~/")
        return None

    def _handed_back(self) -> frozenset[str]:
        names: set[str] = set()
        for index, name in enumerate(self.source.overlay.sandbox.env):
            if name.isascii() and name.isidentifier():
                names.add(name)
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
    problems: ProblemList,
) -> dict[str, Profile]:
    """Return the profiles of the served agents. `homes` has every agent of the home, served or not, resolved."""
    workspaces = {agent: os.path.realpath(home / "workspace") for agent, home in homes.items()}
    places = Places(str(root.home), {agent: str(home) for agent, home in homes.items()}, workspaces)
    profiles: dict[str, Profile] = {}
    for agent, source in sources.items():
        complaint = places.home_complaint(str(source.home), agent) if agent != root.id else ""
        if complaint:
            at = (*source.overlay_at, "home_dir") if source.overlay.home_dir else source.overlay_at
            root.document.complain(problems, at, message=complaint)
        profiles[agent] = ProfileBuilder(source, root, places, problems).build(spelled[agent], referred)
    if not problems.problems:
        for agent, other, path in overlapping(_writable(profiles)):
            message = f"agent {other} may write to {path} as well; give each agent a directory of its own"
            sources[agent].document.complain(problems, ("terminal", "cwd"), message=message)
    return profiles


def _writable(profiles: Mapping[str, Profile]) -> Iterator[tuple[str, str]]:
    """Yield (agent, host directory) for every directory that an agent may write."""
    for agent, profile in profiles.items():
        yield from ((agent, path) for path in profile.directories.values())
        yield from ((agent, bind.source) for bind in profile.binds if bind.writable)
