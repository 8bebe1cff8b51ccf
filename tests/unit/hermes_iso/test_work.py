"""Tests of hermes_iso.work."""

from pathlib import Path
from typing import Any

import pytest
import trio

from hermes_iso.journal import Journal
from hermes_iso.messages import ChatRef, Inbound, Progress
from hermes_iso.routing import Route, SessionId
from hermes_iso.sessions import Turn
from hermes_iso.work import Work
from tests.support.engines import ENGINE, make_engine
from tests.support.homes import load


async def nobody(_progress: Progress) -> None:
    """Show nothing."""


def work(where: Path, engine: str, tools: str) -> Work:
    """Return the work of a turn of an agent on an engine, with a `tools:` of its config."""
    make_engine(where / "home")
    config = load(where / "home", f"{ENGINE}agents: {{main: {{engine: {engine}, tools: {tools}}}}}\nmodel: builtin/offline\n")
    chat = ChatRef("console", "c")
    route = Route("main", SessionId("main", "", "console", "dm", "c", "", ""), "agent:main:console:dm:c", chat)
    log = Journal(trio.open_memory_channel[Any](1)[0]).turn("t", "main", "key")
    return Work.granted(Turn("t", route, Inbound(chat, "x", "1"), "s", "p"), config.agents["main"], relay=nobody, log=log)


@pytest.mark.parametrize(
    ("engine", "tools", "goes_out"),
    [
        ("native", "[terminal]", True),
        ("native", "[memory, todo]", False),
        ("hermes", "[terminal]", True),
        ("hermes", "[read_file]", True),
        ("hermes", "[web_search, memory]", True),
        ("hermes", "[memory, todo, delegate_task, skill_view, clarify]", False),
        ("hermes", "[session_search]", False),
        ("hermes", "{deny: [todo]}", True),
    ],
)
def test_turn_goes_out_only_where_a_granted_tool_could(tmp_path: Path, engine: str, tools: str, goes_out: bool) -> None:
    """Programs and tools that ask hosts could, also those of plugins and MCP servers; notes and skills could not."""
    assert work(tmp_path, engine, tools).may_go_out is goes_out
