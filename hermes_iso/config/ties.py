"""Find rules of which neither is more specific though both could match one message: then only their order decides.

Compared are rules with the same specificity, and of these all whose keys agree wherever both name one. No pair is looked at:
the rules of each set of keys are put into a table by what they share with another set, and looked up there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from hermes_iso.config.problems import ProblemList
from hermes_iso.rules import RouteRule

TOLD = 20
"""Most ties that are told one by one."""


def warn_of_ties(rules: Sequence[RouteRule], problems: ProblemList) -> None:
    """Warn of each rule that ties with an earlier one. `rules` stand in the order that then decides."""
    found = ties(rules)
    for first, later in islice(found, TOLD):
        problems.warn(f"{later} is as specific as {first}; where both match, the latter counts because it comes first")
    more = sum(1 for _ in found)
    if more:
        problems.warn(f"{more} more rules are as specific as an earlier one that could match the same message")


def ties(rules: Sequence[RouteRule]) -> Iterator[tuple[RouteRule, RouteRule]]:
    """Yield each rule that ties, after the first one that it ties with. Rules that are off take no part."""
    groups: dict[tuple[bool, ...], dict[tuple[str, ...], list[int]]] = {}
    asked = [_asked(rule) for rule in rules]
    for place, rule in enumerate(rules):
        if rule.enabled:
            groups.setdefault(rule.specificity, {}).setdefault(tuple(asked[place]), []).append(place)
    firsts: dict[int, int] = {}
    for shapes in groups.values():
        for keys, places in shapes.items():
            for other_keys, others in shapes.items():
                shared = [key for key in keys if key in other_keys]
                table: dict[tuple[str, ...], int] = {}
                for other in others:
                    table.setdefault(tuple(asked[other][key] for key in shared), other)
                for place in places:
                    other = table.get(tuple(asked[place][key] for key in shared), place)
                    if other < place:
                        firsts[place] = min(other, firsts.get(place, other))
    return ((rules[first], rules[later]) for later, first in sorted(firsts.items()))


def _asked(rule: RouteRule) -> dict[str, str]:
    """Return what a rule asks of a message, a peer written as what it is: the user of a direct message."""
    asked = rule.match
    if "peer" in asked:
        asked = {"chat_type": "dm", "user_id": asked["peer"], **asked}
        del asked["peer"]
    return dict(sorted(asked.items()))
