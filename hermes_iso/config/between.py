"""What agents have to do with each other: the directories that they share and the messages that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hermes_iso.agents import Contacts
from hermes_iso.config.contacts import read_contacts
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.shared import read_shared
from hermes_iso.config.shown import Shown


@dataclass(frozen=True, slots=True)
class Between:
    """By agent, served or not: its shared directories and its contacts."""

    shared: Mapping[str, Sequence[Shown]]
    contacts: Mapping[str, Contacts]


def read_between(home_map: HomeMap) -> Between:
    """Return what the agents' overlays say of each other; what is wrong is noted in the map."""
    return Between(read_shared(home_map), read_contacts(home_map))
