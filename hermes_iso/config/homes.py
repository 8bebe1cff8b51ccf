"""Which agents a home has, where each one's profile lies, and which are served."""

from __future__ import annotations

import os
import shlex
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hermes_iso.config.agent_shapes import AgentShape
from hermes_iso.config.known import REMOVED, RESERVED_NAMES, name_complaint, normal_name
from hermes_iso.config.places import Places
from hermes_iso.config.problems import ProblemList, key_text, numbered, suggestion
from hermes_iso.config.root_shapes import EVERYBODY, OurKeys
from hermes_iso.config.routes import FoundRules
from hermes_iso.config.schema import MAIN
from hermes_iso.config.yaml_text import Document, KeyPath


@dataclass(slots=True)
class HomeMap:
    """The agents of one root home. `spelled` is where each lives as written, `homes` the same with symlinks resolved."""

    root: Path
    document: Document
    ours: OurKeys
    rules: FoundRules
    problems: ProblemList
    overlays: dict[str, tuple[AgentShape, KeyPath]] = field(default_factory=dict)
    spelled: dict[str, Path] = field(default_factory=dict)
    multiplexed: bool = False

    @property
    def homes(self) -> dict[str, Path]:
        """Each agent's home, resolved."""
        return {agent: Path(os.path.realpath(path)) for agent, path in self.spelled.items()}

    def find(self, multiplexed: bool | None = None) -> None:
        """Collect the agents: the root home, the profiles on disk, and those that only `agents:` names.

        `multiplexed` is what the environment says about serving every profile; it counts before the config.
        """
        above = (multiplexed, self.ours.multiplex_profiles, self.ours.gateway.multiplex_profiles)
        self.multiplexed = next((word for word in above if word is not None), False)
        self._read_overlays()
        self.spelled[MAIN] = self.root
        for name in self._on_disk():
            self.spelled[name] = self.root / "profiles" / name
        for name, (overlay, at) in self.overlays.items():
            if name == MAIN:
                if overlay.home_dir is not None:
                    self._complain((*at, "home_dir"), "agent main lives in the root home itself; remove this key")
            elif overlay.home_dir is None:
                self.spelled[name] = self.root / "profiles" / name
            else:
                self.spelled[name] = Path(os.path.normpath(self.root / overlay.home_dir))
        self._check_home_dirs()

    def _check_home_dirs(self) -> None:
        """Look at each `home_dir` that is no directory, unless it may not be a home anyhow, which is noted later."""
        homes = self.homes
        places = Places(str(homes[MAIN]), {name: str(home) for name, home in homes.items()})
        for where in sorted({place for home in self.spelled.values() for place in (home, home.parent)}):
            if where.is_symlink() and not where.is_dir():
                self.problems.add(str(where), 1, key="home", message="is a symlink that leads to no directory; correct it")
        for name, (overlay, at) in self.overlays.items():
            where = self.spelled[name]
            if overlay.home_dir is None or name == MAIN or os.path.isdir(where):
                continue
            if not places.home_complaint(str(homes[name]), name):
                self._check_home_to_make(where, (*at, "home_dir"))

    def _check_home_to_make(self, where: Path, at: KeyPath) -> None:
        """Warn of a `home_dir` that is still to be made; note one that can't be, because something else is in the way."""
        there = next(place for place in (where, *where.parents) if os.path.lexists(place))
        if os.path.isdir(there):
            line = f"{self.document.file}:{self.document.line(at)}: {key_text(at)}"
            self.problems.warn(f"{line}: {where} does not exist yet; `run` makes it")
        else:
            self._complain(at, f"{there} is not a directory; name another")

    def _read_overlays(self) -> None:
        for written, overlay in self.ours.agents.items():
            name, at = normal_name(written), ("agents", written)
            complaint = name_complaint(name)
            if complaint:
                self._complain(at, complaint)
            elif name in self.overlays:
                self._complain(at, f"is the same agent as {self.overlays[name][1][-1]!r}; keep one")
            else:
                self.overlays[name] = (overlay, at)

    def _on_disk(self) -> list[str]:
        profiles = self.root / "profiles"
        try:
            entries = sorted(entry.name for entry in os.scandir(profiles) if _is_profile(Path(entry.path)))
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems.add(str(profiles), 1, key="profiles", message=f"can't be read ({error.strerror}); correct it")
            return []
        if MAIN in entries:
            message = "is the name of the root home's own agent; rename this profile"
            self.problems.add(str(profiles / MAIN), 1, key=MAIN, message=message)
        odd = [name for name in entries if name_complaint(name) and not name.startswith(".")]
        for name in odd:
            why = "a reserved name" if name in RESERVED_NAMES else "not a profile's name"
            self.problems.warn(f"{profiles / name} is ignored: {name!r} is {why}")
        return [name for name in entries if name != MAIN and not name_complaint(name)]

    def default_agent(self) -> str:
        """Return who gets what no route takes; two words that differ are noted."""
        marked = [(name, at) for name, (overlay, at) in self.overlays.items() if overlay.default]
        written = self.ours.default_agent
        chosen = normal_name(written) if written is not None else None
        for name, at in marked:
            if chosen is None:
                chosen = name
            elif name != chosen:
                self._complain((*at, "default"), f"makes {name} the default agent, but {chosen} is it already; keep one")
        if written is not None and not self.must_exist(written, ("default_agent",)):
            return MAIN
        return chosen or MAIN

    def served(self, default: str) -> list[str]:
        """Return the agents to serve, main first, then by name."""
        named = {MAIN, default, *self.overlays}
        named |= {found.rule.agent for found in self.rules.all}
        asked = self.ours.gateway.serve
        if asked is not None:
            if EVERYBODY not in asked:
                for index, written in numbered(asked):
                    self.must_exist(written, ("gateway", "serve", index))
                chosen = {normal_name(written) for written in asked}
                self._check_served(chosen, default)
                return self._ordered(chosen)
            return self._ordered(self.spelled)
        if self.multiplexed:
            return self._ordered(self.spelled)
        return self._ordered(named)

    def unasked(self, asked: Container[str]) -> dict[str, str]:
        """Return the agents that are there and not asked for, with what would have to name them."""
        wanted = "gateway.serve leaves it out"
        if self.ours.gateway.serve is None:
            wanted = "neither agents, a route, default_agent nor gateway.serve names it"
        return {name: wanted for name in self._ordered(self.spelled) if name not in asked}

    def _check_served(self, chosen: set[str], default: str) -> None:
        at: KeyPath = ("gateway", "serve")
        if default not in chosen:
            self._complain(at, f"leaves out {default}, the default agent; add it, or set default_agent to another")
        for found in self.rules.all:
            name = found.rule.agent
            if found.rule.enabled and name in self.spelled and name not in chosen:
                self._complain(found.at, f"agent {name} is not in gateway.serve; add it there")

    def _ordered(self, names: Iterable[str]) -> list[str]:
        return sorted(set(names) & set(self.spelled), key=lambda name: (name != MAIN, name))

    def must_exist(self, written: str, at: KeyPath) -> bool:
        """Say whether an agent exists; note it where it is named when not."""
        name = normal_name(written)
        if name in self.spelled:
            return True
        if name in ("default", "root"):
            hint = "; the root home's agent is called 'main'"
        else:
            hint = suggestion(name, self.spelled) or self._how_to_make(name)
        self._complain(at, f"there is no agent {written[:80]!r}{hint}")
        return False

    def _how_to_make(self, name: str) -> str:
        if name_complaint(name):
            return f"; there are: {', '.join(self.spelled)}"
        return f"; make it: mkdir -p {shlex.quote(str(self.root / 'profiles' / name))}, or add it to agents:"

    def check_rules(self) -> None:
        """Note each rule whose agent does not exist."""
        for found in self.rules.all:
            self.must_exist(found.written, found.at)

    def _complain(self, at: KeyPath, message: str) -> None:
        self.document.complain(self.problems, at, message=message)


def _is_profile(place: Path) -> bool:
    """Say whether a place below `profiles` is an agent's home, and not one that a removed agent left."""
    return place.is_dir() and not os.path.lexists(place / REMOVED)
