"""RouteIndex: the first of many rules that matches a message, in a time that does not grow with their number.

Most rules differ only in values: ten thousand chats, each with its agent, ask for the same keys. So rules are grouped by the
keys they name, and within a group the values lead to the rule by one look into a dictionary. What is left to walk is the
groups, of which a config has a handful however many rules it has; and not all of them, because they are ordered by their
first rule and everything behind a match that comes earlier can be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from hermes_iso.rules import Facts, RouteRule


class _Group:
    """The rules that name the same keys. `places` has, for the values of these keys, where those rules stand, in order.

    first: where the first of them stands. pick: takes the values out of a set of facts. sets: how many sets differ in these
    keys; a chat and its parent may lead to different rules.
    """

    __slots__ = ("first", "pick", "places", "sets")

    def __init__(self, keys: tuple[str, ...], first: int) -> None:
        self.first = first
        self.pick: Callable[[Mapping[str, str | None]], Any] = itemgetter(*keys)
        self.sets = 2 if "chat_id" in keys else 1
        self.places: dict[Any, list[int]] = {}


class RouteIndex:
    """Finds rules by a message. `rules` stand in the order in which they count; those that are off are never found."""

    def __init__(self, rules: Sequence[RouteRule]) -> None:
        groups: dict[tuple[str, ...], _Group] = {}
        for place, rule in enumerate(rules):
            if rule.enabled:
                match = rule.match
                keys = tuple(match)
                group = groups.get(keys) or groups.setdefault(keys, _Group(keys, place))
                group.places.setdefault(group.pick(match), []).append(place)
        self._groups = tuple(groups.values())

    def first(self, facts: Facts) -> int | None:
        """Return the place of the first rule that matches, or None."""
        best: int | None = None
        for group in self._groups:
            if best is not None and best < group.first:
                break
            for each in facts[: group.sets]:
                places = group.places.get(group.pick(each))
                if places is not None and (best is None or places[0] < best):
                    best = places[0]
        return best

    def matching(self, facts: Facts) -> list[int]:
        """Return the places of all rules that match, in order."""
        found = (group.places.get(group.pick(each), ()) for group in self._groups for each in facts[: group.sets])
        return sorted({place for places in found for place in places})
