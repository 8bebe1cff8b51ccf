"""MoreBrokers: what answers a turn's guest beside its model, its processes and its subagents, by the methods that it calls."""

from __future__ import annotations

from collections.abc import Mapping

from hermes_iso.broker.asking import AskBroker, People
from hermes_iso.broker.searches import SearchBroker, Searches
from hermes_iso.cron.tool import CronBroker
from hermes_iso.work import Broker, Work


class MoreBrokers:
    """Makes them for each turn. searches: the sessions that may be searched. people: takes questions to them."""

    def __init__(self, searches: Searches, people: People) -> None:
        self._searches = searches
        self._people = people

    def __call__(self, work: Work) -> Mapping[str, Broker]:
        """Return a turn's brokers; each knows whose turn it is, whatever its parameters say."""
        return {
            "session_search": SearchBroker(self._searches, work),
            "ask": AskBroker(self._people, work),
            "cronjob": CronBroker(work),
        }
