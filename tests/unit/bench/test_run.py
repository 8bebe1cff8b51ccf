"""How the comparison with Hermes keeps its figures, and what its scripted model makes of a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.vs_hermes.leaks import PROBES, find, ordered
from bench.vs_hermes.model import scripted, told
from bench.vs_hermes.probes.kit import HELD, LEAK, NOT_RUN, control, judged, probe
from bench.vs_hermes.run import Book
from tests.servers.model_dialects import decide, read_conversation

RUN = {"scale": "quick", "engine": "hermes", "hermes_agent": "0.19.0", "hermes_iso": "0.1.0", "date": "2026-01-01"}


class FakeSide:
    """Where a probe may look for paths."""

    name = "fake"
    home = Path("/nowhere/.hermes")


async def test_book_goes_on_where_a_run_was_cut_short(tmp_path):
    """A figure that is there is not found again; a run of another version starts anew."""
    found: list[str] = []

    async def keep(book: Book, name: str) -> None:
        async def figure() -> str:
            found.append(name)
            return name

        book.begin(60)
        await book.keep(("part", name), figure)

    path = tmp_path / "figures.json"
    await keep(Book(path, RUN, resume=False), "one")
    again = Book(path, RUN | {"date": "2026-01-02"}, resume=True)
    await keep(again, "one")
    await keep(again, "two")
    assert found == ["one", "two"]
    assert json.loads(path.read_text())["part"] == {"one": "one", "two": "two"}
    assert Book(path, RUN | {"hermes_agent": "0.20.0"}, resume=True).wants(("part", "one"))
    assert Book(path, RUN, resume=False).wants(("part", "one"))


async def test_book_begins_nothing_when_the_time_is_over(tmp_path):
    """What is too late stays unmeasured."""
    book = Book(tmp_path / "figures.json", RUN, resume=False)
    book.begin(-1)
    await book.keep(("part", "late"), lambda: pytest.fail("begun all the same"))
    assert book.wants(("part", "late"))


def test_probes_are_many_and_have_names_of_their_own():
    """There are at least 25 also in the quick form, and one that may end a gateway comes last."""
    names = [each.name for each in PROBES]
    assert len(set(names)) == len(names)
    assert len(ordered(quick=True)) >= 25
    assert [each.name for each in ordered(quick=False) if each.ends] == [ordered(quick=False)[-1].name]


@pytest.mark.parametrize(("seen", "verdict"), [("secret", LEAK), ("nothing", HELD), ("", NOT_RUN)])
async def test_verdict_is_what_was_seen(seen, verdict):
    """A leak is one that was seen; where the control does not hold, nothing can be said."""

    @probe("a probe")
    async def example(side: Any):
        control(seen, f"nothing in {side.home}")
        return judged(seen == "secret", seen)

    found = await find(example, FakeSide())  # type: ignore[arg-type]
    assert found.verdict == verdict
    assert "/nowhere" not in found.evidence


@pytest.mark.parametrize(
    ("text", "call", "answer", "seconds"),
    [
        ("hello", None, "echo: hello", 0.0),
        ("AFTER 0.2 hello", None, "echo: hello", 0.2),
        ("RUN echo 'a b'", {"name": "terminal", "arguments": '{"command": "echo \'a b\'"}'}, "", 0.0),
        ("AFTER 1 RUN true", {"name": "terminal", "arguments": '{"command": "true"}'}, "", 1.0),
        ('TOOL process {"action": "list"}', {"name": "process", "arguments": '{"action": "list"}'}, "", 0.0),
    ],
)
def test_model_does_what_the_message_says(text, call, answer, seconds):
    """A message is a script: to wait, to call a tool, or to echo."""
    talk = read_conversation({"messages": [{"role": "user", "content": text}]}, {}, anthropic=False)
    assert scripted(talk) == seconds
    assert decide(talk) == (call, answer)


def test_model_tells_what_was_said():
    """A conversation shows whose it is by what people said in it."""
    said = [("user", "one"), ("assistant", "two"), ("user", "TELL")]
    body = {"messages": [{"role": role, "content": content} for role, content in said]}
    assert told(body) == 'TOLD: ["one", "TELL"]'
