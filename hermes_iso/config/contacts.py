"""From `agents.<id>.messages` to each agent's Contacts: what is named exists; a word of only one side is a warning."""

from __future__ import annotations

from collections.abc import Mapping

from hermes_iso.agents import Contacts
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.known import PLATFORMS, normal_name
from hermes_iso.config.problems import numbered
from hermes_iso.config.yaml_text import KeyPath


def read_contacts(home_map: HomeMap) -> dict[str, Contacts]:
    """Return the contacts of every agent that has some; what is wrong is noted in the map."""
    found: dict[str, Contacts] = {}
    for agent, (overlay, at) in home_map.overlays.items():
        where = (*at, "messages")
        to = _names(home_map, agent, overlay.messages.to, (*where, "to"))
        senders = _names(home_map, agent, overlay.messages.senders, (*where, "from"))
        found[agent] = Contacts(to, senders, _chats(home_map, overlay.messages.chats, (*at, "messages", "chats")))
    for agent, contacts in found.items():
        for other in contacts.to:
            if agent not in found.get(other, Contacts()).senders:
                _warn(home_map, agent, "to", f"{agent} may not write to {other} yet: add messages: {{from: [{agent}]}}", other)
        for other in contacts.senders:
            if agent not in found.get(other, Contacts()).to:
                _warn(home_map, agent, "from", f"{other} may not write to {agent} yet: add messages: {{to: [{agent}]}}", other)
    return found


def _chats(home_map: HomeMap, written: Mapping[str, str], at: KeyPath) -> dict[str, str]:
    """Return the chats of a mapping, by their names."""
    for name, chat in written.items():
        platform, _, rest = chat.strip().partition(":")
        if platform.lower() not in PLATFORMS or not rest:
            message = f"{chat[:80]!r} is no chat; write PLATFORM:CHAT or PLATFORM:CHAT:THREAD"
            home_map.document.complain(home_map.problems, (*at, name), message=message)
        if not name.strip() or ":" in name or "," in name:
            home_map.document.complain(home_map.problems, (*at, name), message="is no name for a chat; leave out : and ,")
    return {name.strip(): chat.strip() for name, chat in written.items()}


def _names(home_map: HomeMap, agent: str, written: list[str], at: KeyPath) -> tuple[str, ...]:
    """Return the agents of a list, each once."""
    names: list[str] = []
    for index, text in numbered(written):
        name = normal_name(text)
        if name == agent:
            home_map.document.complain(home_map.problems, (*at, index), message="is the agent itself; remove it")
        elif home_map.must_exist(text, (*at, index)):
            names.append(name)
    return tuple(dict.fromkeys(names))


def _warn(home_map: HomeMap, agent: str, key: str, sentence: str, other: str) -> None:
    """Warn of a permission that only one side gives."""
    _, at = home_map.overlays[agent]
    line = home_map.document.line((*at, "messages", key))
    home_map.problems.warn(f"{home_map.document.file}:{line}: agents.{agent}.messages.{key}: {sentence} to agents.{other}")
