"""Search: the query is data, and nobody finds what another person, chat, agent or key said."""

import json
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_iso.messages import ChatRef, Inbound, Usage
from hermes_iso.routing import Router
from hermes_iso.session_rows import ChatKey, add_messages, begin_session, charge_session
from hermes_iso.session_search import around, ends, find, quoted, session_in_scope, sessions_in_scope, snippet
from hermes_iso.sessions import chat_key
from tests.support.line import make_config
from tests.support.session_database import opened

MINE = ChatKey("mine", "me", "")


def say(connection: apsw.Connection, key: ChatKey, *texts: str, name: str = "s") -> int:
    """Begin a session of a chat in which these texts were said; returns its row."""
    row = begin_session(connection, key, name)
    add_messages(connection, row.id, 1, "t", [json.dumps({"role": "user", "content": text}) for text in texts])
    assert charge_session(connection, row.id, name, Usage(), turns=1)
    return row.id


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("two words", '("two" AND "words")'),
        ('a "quoted phrase" b', '("a" AND "quoted phrase" AND "b")'),
        ("one OR two three", '("one") OR ("two" AND "three")'),
        ("OR OR one OR", '("one")'),
        ("deploy*", '("deploy*"*)'),
        ('"begin"*', '("begin"*)'),
        ("a* bc* x_yz*", '("a*" AND "bc*" AND "x_yz*")'),
        ("abc* abd* abe* abf* abg*", '("abc*"* AND "abd*"* AND "abe*"* AND "abf*"* AND "abg*")'),
        ("NEAR(a b) NOT text:c", '("NEAR(a" AND "b)" AND "NOT" AND "text:c")'),
        ('never "closed', '("never" AND "closed")'),
        ("-- ; ' ()", ""),
        ("", ""),
    ],
)
def test_query_becomes_phrases(query: str, match: str) -> None:
    """Words and quoted phrases are all that a query can hold; nothing in it is an operator but OR and a star at the end."""
    assert quoted(query) == match


@given(st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_query_is_an_error(query: str) -> None:
    """Whatever is asked for, FTS5 takes it."""
    connection = opened()
    say(connection, MINE, "hello world")
    find(connection, MINE, query, limit=3)


@given(st.text(alphabet='abc"*()^:-+{} ORNEAT', max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_query_of_operators_is_an_error(query: str) -> None:
    """The characters that mean something to FTS5 mean nothing here."""
    connection = opened()
    say(connection, MINE, "a b c")
    find(connection, MINE, query, limit=3)


def test_words_are_found_whatever_their_case_and_accents() -> None:
    """Words, phrases and beginnings; all of them have to occur in one message."""
    connection = opened()
    say(connection, MINE, "The Café opens at nine", "pineapple juice")
    for query in ("cafe", "CAFÉ nine", '"opens at"', "pine*", "nothing OR juice"):
        assert [hit.session.session_id for hit in find(connection, MINE, query, limit=3)] == ["s"], query
    for query in ("cafe juice", '"at opens"', "pine", "nothing"):
        assert find(connection, MINE, query, limit=3) == [], query


def test_order_is_by_what_was_found_or_by_age() -> None:
    """Most found first, then what was used last; or as asked."""
    connection = opened()
    say(connection, MINE, "tea", "tea", "tea", name="old")
    say(connection, MINE, "tea", name="middle")
    say(connection, MINE, "tea", "tea", name="new")

    def names(sort: str = "", limit: int = 3) -> list[str]:
        return [hit.session.session_id for hit in find(connection, MINE, "tea", limit=limit, sort=sort)]

    assert names() == ["old", "new", "middle"]
    assert names("newest") == ["new", "middle", "old"]
    assert names("oldest", 2) == ["old", "middle"]


def test_parts_of_a_session_are_shown_with_bounds() -> None:
    """The window around a message marks it; beginning and end share no message; long texts are cut and say so."""
    connection = opened()
    row = say(connection, MINE, *(f"m{number}" for number in range(1, 11)), "x" * 5_000)
    shown = around(connection, row, 5, 2)
    assert [(each["id"], each.get("anchor")) for each in shown] == [(3, None), (4, None), (5, True), (6, None), (7, None)]
    first, last = ends(connection, row, 3, 20)
    assert [each["id"] for each in (*first, *last)] == list(range(1, 12))
    assert "characters more" in last[-1]["content"]
    assert len(last[-1]["content"]) < 1_100
    assert around(connection, row, 99, 2) == []


def test_snippet_marks_the_first_word() -> None:
    """A long text is cut around what was found."""
    text = "a " * 300 + "the Pineapple is here " + "b " * 300
    cut = snippet(text, '"pineapple" OR zebra')
    assert ">>>Pineapple<<<" in cut
    assert cut.startswith("…")
    assert cut.endswith("…")
    assert len(cut) < 300
    assert snippet("short", "zebra") == "short"


PARTS = ("a", "b", "a:b", "", "ö")
inbounds = st.builds(
    lambda platform, chat, chat_type, thread, user, agent, namespace, session: Inbound(
        ChatRef(platform, chat, chat_type, thread or None),
        "x",
        "1",
        user_id=user or None,
        agent=agent,
        namespace=namespace,
        session_id=session or None,
    ),
    st.sampled_from(("telegram", "api_server")),
    st.sampled_from(("a", "b", "a:b")),
    st.sampled_from(("dm", "group")),
    st.sampled_from(PARTS),
    st.sampled_from(PARTS),
    st.sampled_from(("main", "coder")),
    st.sampled_from(("", "dev", "a")),
    st.sampled_from(PARTS),
)


def may_see(reader: Inbound, writer: Inbound) -> bool:
    """Say by the plain words of the rule whether one may see what the other said in a session of the gateway's."""
    chat, other = reader.chat, writer.chat
    place = (chat.platform, chat.chat_type, chat.chat_id, chat.thread_id) == (
        other.platform,
        other.chat_type,
        other.chat_id,
        other.thread_id,
    )
    if reader.agent != writer.agent or reader.namespace != writer.namespace or not place:
        return False
    if chat.chat_type == "dm":
        return reader.user_id == writer.user_id or reader.session_id == writer.session_id
    return reader.user_id == writer.user_id or bool(chat.thread_id)


@given(st.lists(inbounds, min_size=2, max_size=6))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_finds_what_they_may_not_see(tmp_path: Path, people: list[Inbound]) -> None:
    """Search, list and reading by id reach the same agent, key, chat and person; the caller's own session besides."""
    router = Router(make_config(tmp_path / "home"))
    databases = {"main": opened(), "coder": opened()}
    for number, each in enumerate(people):
        route = router.route(each)
        say(databases[route.agent], chat_key(each, route), f"secret word{number}", name=f"s{number}")
    for reader in people:
        route = router.route(reader)
        connection, key = databases[route.agent], chat_key(reader, route)
        allowed = {number for number, writer in enumerate(people) if may_see(reader, writer)}
        found = {int(hit.session.session_id[1:]) for hit in find(connection, key, "secret", limit=100)}
        listed = {int(row.session_id[1:]) for row in sessions_in_scope(connection, key, limit=100, used_only=False)}
        named = {n for n in range(len(people)) if session_in_scope(connection, key, f"s{n}") is not None}
        assert found <= allowed
        assert listed <= allowed
        assert named <= allowed
        assert people.index(reader) in listed


def test_empty_scope_is_shared_with_nobody() -> None:
    """Chats of before scopes were kept see their own sessions alone."""
    connection = opened()
    say(connection, ChatKey("one", "", ""), "secret")
    assert find(connection, ChatKey("two", "", ""), "secret", limit=3) == []
    assert len(find(connection, replace(MINE, identity="one"), "secret", limit=3)) == 1
