"""HomeView: a home's root config and its agents as they are written, also where single profiles are broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.config.engines import HermesInterpreter, find_hermes
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.root_keys import read_root_keys
from hermes_iso.config.routes import FoundRules, read_rules
from hermes_iso.config.schema import MAIN
from hermes_iso.config.source import Source, read_source
from hermes_iso.config.yaml_text import Document, read_document


@dataclass(frozen=True, slots=True)
class HomeView:
    """What the root's config.yaml says, and who lives where.

    homes: each agent that has a home, main first, with where it lies, resolved. engine: the interpreter that has hermes-agent,
    or what is wrong with it. problems: mistakes of the root's config.
    """

    home: Path
    document: Document
    rules: FoundRules
    homes: Mapping[str, Path]
    engine: HermesInterpreter
    problems: ProblemList

    @staticmethod
    def of(home: Path) -> HomeView:
        """Read a home; changes nothing."""
        problems = ProblemList()
        document = read_document(home / "config.yaml", problems)
        ours, rules = read_root_keys(document, problems), read_rules(document, problems)
        found = HomeMap(home, document, ours, rules, problems)
        found.find()
        homes = {name: place for name, place in found.homes.items() if place.is_dir()}
        ordered = {name: homes[name] for name in sorted(homes, key=lambda name: (name != MAIN, name))}
        return HomeView(home, document, rules, ordered, find_hermes(found), problems)

    def sources(self, agent: str) -> tuple[Source, Source]:
        """Return what an agent and the root are made of; what is wrong with it is told by a plan, and is left out here."""
        problems = ProblemList()
        root = read_source(MAIN, self.home, document=self.document, problems=problems)
        if agent == MAIN:
            return root, root
        return read_source(agent, self.homes[agent], document=None, problems=problems), root
