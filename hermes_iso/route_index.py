"""RouteIndex: the first of many rules that matches a message, in a time that does not grow with their number.

Most rules differ only in values: ten thousand chats, each with its agent, ask for the same keys. So rules are grouped by the
keys they name, and within a group the values lead to the rule by one look into a dictionary. What is left to walk is the
groups, of which a config has a handful however many rules it has; and not all of them, because they are ordered by their
first rule and everything behind a match that comes earlier can be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from hermes_iso.rules import Facts, RouteRule


@dataclass(slots=True)
class _Group:
    """The rules that name the same keys. `places` has, for the values of these keys, where those rules stand, in order."""

    keys: tuple[str, ...]
    first: int
    places: dict[tuple[str, ...], list[int]] = field(default_factory=dict)

    def matching(self, facts: Facts) -> Iterator[list[int]]:
        """Yield the places of the rules that match; a chat and its parent may lead to different ones."""
        for values in product(*[facts[key] for key in self.keys]):
            found = self.places.get(values)
            if found is not None:
                yield found


class RouteIndex:
    """Finds rules by a message. `rules` stand in the order in which they count; those that are off are never found."""

    def __init__(self, rules: Sequence[RouteRule]) -> None:
        groups: dict[tuple[str, ...], _Group] = {}
        for place, rule in enumerate(rules):
            if rule.enabled:
                group = groups.setdefault(rule.keys, _Group(rule.keys, place))
                group.places.setdefault(rule.values, []).append(place)
        self._groups = tuple(groups.values())

    def first(self, facts: Facts) -> int | None:
        """Return the place of the first rule that matches, or None."""
        best: int | None = None
        for group in self._groups:
            if best is not None and best < group.first:
                break
            for places in group.matching(facts):
                if best is None or places[0] < best:
                    best = places[0]
        return best

    def matching(self, facts: Facts) -> list[int]:
        """Return the places of all rules that match, in order."""
        found = (place for group in self._groups for places in group.matching(facts) for place in places)
        return sorted(set(found))
