"""BrokerMethods: the broker methods of a turn beside the model and its processes, by the names that a guest calls."""

from __future__ import annotations

from collections.abc import Mapping

from hermes_iso.broker.searches import SearchBroker, Searches
from hermes_iso.guest_calls import Method
from hermes_iso.work import Work


class BrokerMethods:
    """Makes them for each turn. `searches`: the sessions that may be searched."""

    def __init__(self, searches: Searches) -> None:
        self._searches = searches

    def __call__(self, work: Work) -> Mapping[str, Method]:
        """Return a turn's methods; each knows whose turn it is, whatever its parameters say."""
        return {"session_search": SearchBroker(self._searches, work).answer}
