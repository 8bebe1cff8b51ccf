"""MoreBrokers: what answers a turn's guest beside its model, its processes and its subagents, by the methods that it calls."""

from __future__ import annotations

from collections.abc import Mapping

from hermes_iso.broker.searches import SearchBroker, Searches
from hermes_iso.work import Work


class MoreBrokers:
    """Makes them for each turn. `searches`: the sessions that may be searched."""

    def __init__(self, searches: Searches) -> None:
        self._searches = searches

    def __call__(self, work: Work) -> Mapping[str, SearchBroker]:
        """Return a turn's brokers; each knows whose turn it is, whatever its parameters say."""
        return {"session_search": SearchBroker(self._searches, work)}
