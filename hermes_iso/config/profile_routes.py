"""Read who gets which messages in Hermes' forms: `profile_routes`, as a list or nested, and a platform's `topic_profiles`.

They count whether or not `multiplex_profiles` is set, and less is forgiven than in Hermes: an entry that it would skip or
read otherwise than it looks is a mistake here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hermes_iso.config.known import PLATFORMS, normal_name
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.route_match import FoundRule, RuleMaker, as_text
from hermes_iso.config.route_shapes import ProfileRouteShape
from hermes_iso.config.schema import MAIN
from hermes_iso.config.validation import validated_entry
from hermes_iso.config.yaml_text import Document, KeyPath, kind_of

ROOT_PROFILE = "default"
"""What Hermes calls the profile that is the root home; here it is agent main."""
_PLACES: tuple[KeyPath, ...] = (("profile_routes",), ("gateway", "profile_routes"))
_LEVELS = ("platform", "chat_id", "thread_id")
_MATCHED = ("platform", "guild_id", "chat_id", "thread_id")


def read_profile_routes(document: Document, problems: ProblemList) -> list[FoundRule]:
    """Return the rules in Hermes' forms, in file order; what is wrong is noted."""
    reader = _Reader(document, problems)
    found = [*reader.profile_routes(), *reader.topic_profiles()]
    return sorted(found, key=lambda each: document.line(each.at))


class _Reader:
    """Reads Hermes' forms of one document."""

    def __init__(self, document: Document, problems: ProblemList) -> None:
        self._document = document
        self._problems = problems
        self._maker = RuleMaker(document, problems)

    def profile_routes(self) -> Iterator[FoundRule]:
        """Yield the rules of `profile_routes`: of the one at top level, else of the one below `gateway`."""
        written = [at for at in _PLACES if self._document.get(*at) is not None]
        if len(written) > 1 and self._document.get(*written[1]):
            where = f"{self._document.file}:{self._document.line(written[1])}"
            self._problems.warn(f"{where}: gateway.profile_routes does not count, because profile_routes at top level does")
        for at in written[:1]:
            routes = self._document.get(*at)
            if isinstance(routes, list):
                yield from self._listed(routes, at)
            elif isinstance(routes, dict):
                yield from self._nested(routes, at, {})
            else:
                self._maker.complain(at, f"must be a list of routes, found {kind_of(routes)}; correct it")

    def topic_profiles(self) -> Iterator[FoundRule]:
        """Yield the rules of every platform's `topic_profiles`, wherever that platform's settings stand."""
        for platform in self._document.data:
            yield from self._topics(platform, (platform,))
        platforms = self._document.get("platforms")
        for platform in platforms if isinstance(platforms, dict) else ():
            yield from self._topics(platform, ("platforms", platform))
            yield from self._topics(platform, ("platforms", platform, "extra"))

    def _topics(self, platform: str, section: KeyPath) -> Iterator[FoundRule]:
        at = (*section, "topic_profiles")
        topics = self._document.get(*at)
        if topics is None or platform.lower() not in PLATFORMS:
            return
        if not isinstance(topics, dict):
            self._maker.complain(at, f"must be a mapping of chat:thread to profile, found {kind_of(topics)}; correct it")
            return
        for topic, profile in topics.items():
            yield from self._topic(platform, topic, profile, (*at, topic))

    def _listed(self, routes: list[Any], at: KeyPath) -> Iterator[FoundRule]:
        for index, entry in enumerate(routes):
            below = (*at, index)
            if entry is not None and not isinstance(entry, dict):
                self._maker.complain(below, f"must be a mapping, found {kind_of(entry)}; correct it")
                continue
            texts = {
                key: value if key == "enabled" else as_text(self._document, (*below, key), value)
                for key, value in (entry or {}).items()
            }
            route = validated_entry(ProfileRouteShape, self._document, below=below, data=texts, problems=self._problems)
            if route is None:
                continue
            values = {key: getattr(route, key) for key in _MATCHED}
            yield self._rule(values, route.profile, below, (*below, "profile"), enabled=route.enabled)

    def _nested(self, level: dict[str, Any], at: KeyPath, above: dict[str, str]) -> Iterator[FoundRule]:
        """Yield the rules of platform: chat: thread: profile; a profile may stand at each of the levels."""
        for key, value in level.items():
            here, level_name = (*at, key), _LEVELS[len(above)]
            if not self._maker.checked(level_name, key, here):
                continue
            values = {**above, level_name: key}
            if isinstance(value, dict) and len(values) < len(_LEVELS):
                yield from self._nested(value, here, values)
            else:
                yield from self._leaf(values, value, here)

    def _topic(self, platform: str, topic: str, profile: Any, at: KeyPath) -> Iterator[FoundRule]:
        chat, colon, thread = topic.rpartition(":")
        if colon and chat and thread:
            yield from self._leaf({"platform": platform, "chat_id": chat, "thread_id": thread}, profile, at)
        else:
            self._maker.complain(at, 'must be a chat and its thread with a colon between, such as "-100123:7"')

    def _leaf(self, values: dict[str, str], profile: Any, at: KeyPath) -> Iterator[FoundRule]:
        """Yield the rule of a profile that stands behind a key."""
        name = as_text(self._document, at, profile)
        if isinstance(name, str) and name:
            yield self._rule(values, name, at, at)
        else:
            self._maker.complain(at, f"must be the name of a profile, found {kind_of(profile)}; correct it")

    def _rule(
        self, values: dict[str, Any], profile: str, at: KeyPath, profile_at: KeyPath, *, enabled: bool = True
    ) -> FoundRule:
        agent = MAIN if normal_name(profile) == ROOT_PROFILE else profile
        return self._maker.make(values, agent, at=at, below=at, agent_at=profile_at, enabled=enabled)
