"""What a turn of hermes-agent begins with, by a state.db that is played here."""

from typing import Any

import pytest

from hermes_iso_sandbox.guest.engines.hermes import history

Message = dict[str, Any]


class Database:
    """Plays what is used of Hermes' SessionDB, for one session."""

    def __init__(self, *texts: str) -> None:
        self.messages = [{"id": n, "role": "user" if n % 2 == 0 else "assistant", "content": t} for n, t in enumerate(texts)]
        self.meta: dict[str, str] = {}
        self.reopened = False
        self.titles: list[str] = []

    def get_compression_tip(self, session_id: str) -> str | None:
        return None

    def get_session(self, session_id: str) -> dict[str, Any] | None:
        return {"ended_at": 1.0} if self.messages else None

    def reopen_session(self, session_id: str) -> None:
        self.reopened = True

    def get_meta(self, key: str) -> str | None:
        return self.meta.get(key)

    def set_meta(self, key: str, value: str) -> None:
        self.meta[key] = value

    def get_messages(self, session_id: str) -> list[Message]:
        return self.messages

    def get_messages_as_conversation(self, session_id: str, *, repair_alternation: bool) -> list[Message]:
        return [{"role": each["role"], "content": each["content"]} for each in self.messages]

    def archive_and_compact(self, session_id: str, messages: list[Message]) -> None:
        self.messages = [{"id": n, **each} for n, each in enumerate(messages)]

    def set_session_title(self, session_id: str, title: str) -> None:
        if title == "taken":
            raise ValueError(title)
        self.titles.append(title)

    def rewind_to_message(self, session_id: str, number: int) -> None:
        self.messages = [each for each in self.messages if each["id"] < number]


def told(*texts: str) -> list[Message]:
    """Return the gateway's copy of a conversation."""
    return [{"role": "user" if n % 2 == 0 else "assistant", "content": text} for n, text in enumerate(texts)]


def test_a_session_that_hermes_does_not_know_begins_with_the_copy() -> None:
    """Its first turns were another engine's."""
    assert history.begin(Database(), "s", told("a", "b")) == ("s", told("a", "b"))


@pytest.mark.parametrize(
    ("copy", "left"),
    [
        (("one", "1", "two", "2"), ("one", "1", "two", "2", "by hand", "3")),
        (("one", "1"), ("one", "1")),
        ((), ()),
        (("unknown", "x"), ("one", "1", "two", "2", "by hand", "3")),
    ],
)
def test_what_was_taken_back_in_the_copy_is_taken_back(copy: tuple[str, ...], left: tuple[str, ...]) -> None:
    """And no more than that: what was said through Hermes itself stays, and so does all where the copy can't be placed."""
    database = Database("one", "1", "two", "2", "by hand", "3")
    history.finish(database, "s", "two", "")
    assert history.begin(database, "s", told(*copy)) == ("s", told(*left))
    assert database.reopened


def test_a_new_summary_takes_the_place_of_the_conversation_once() -> None:
    """What was kept stays behind it; later turns go on from there, and add to it."""
    database, copy = Database("one", "1", "two", "2"), told("[title]", "summary of one", "two", "2")
    history.finish(database, "s", "two", "")
    assert history.begin(database, "s", copy, summed_up=True)[1] == copy
    database.messages += [{"id": 4, "role": "user", "content": "three"}, {"id": 5, "role": "assistant", "content": "3"}]
    history.finish(database, "s", "three", "")
    copy = [*copy, *told("three", "3, cut")]
    assert history.begin(database, "s", copy, summed_up=True)[1] == [*copy[:4], *told("three", "3")]


def test_a_title_is_given_once_and_one_that_is_taken_never() -> None:
    """So a title that people gave the session through Hermes meanwhile stays."""
    database = Database("one", "1")
    for title in ("", "mine", "mine", "taken", "other"):
        history.finish(database, "s", "one", title)
    assert database.titles == ["mine", "other"]
