"""Agents that write to each other, with real sandboxes, the built-in model and the command line."""

import json
from pathlib import Path

from hermes_iso.cli.main import main
from hermes_iso.config.load import load_config
from hermes_iso.gateway import open_gateway
from tests.support.homes import make_home
from tests.support.line import Chat

CONFIG = """\
model: builtin/offline
agents:
  a: {messages: {to: [b]}}
  b: {messages: {from: [a]}}
"""


def result(text: str) -> dict[str, object]:
    """Return the tool's result in an answer of the built-in model."""
    value = json.loads(text.removeprefix("RESULT:"))
    assert isinstance(value, dict)
    return value


async def test_one_agent_asks_another_and_gets_its_answer(tmp_path: Path) -> None:
    """The tool works from a real turn process; b answers under its own name, and can't write back."""
    home = make_home(tmp_path / "home", CONFIG)
    async with open_gateway(load_config(home, {}), admin=False) as gateway:
        chat = Chat(gateway)
        asked = 'TOOL send_message {"target": "agent:b", "message": "how are you?"}'
        found = result((await chat.say(asked, agent="a")).text)
        assert (found["success"], found["target"]) == (True, "agent:b")
        assert str(found["answer"]).startswith("agent=b ")
        assert str(found["answer"]).endswith("[Message from agent a]\nhow are you?")
        listed = result((await chat.say('TOOL send_message {"action": "list"}', agent="a")).text)
        assert listed["targets"] == [{"target": "agent:b", "name": "b"}]
        refused = result((await chat.say('TOOL send_message {"target": "agent:main", "message": "x"}', agent="a")).text)
        assert "its messages.to does not name main" in str(refused["error"])
        offered = (await chat.say('TOOL send_message {"target": "agent:a", "message": "x"}', agent="b")).text
        assert "The tool send_message is not offered to agent b" in offered


def test_explain_and_doctor_name_hooks(tmp_path: Path, capsys: object) -> None:
    """Who reads where a message goes learns that a hook may differ, and who looks for hooks finds them."""
    files = {"hooks/x/HOOK.yaml": "events: [select_agent]\n", "hooks/x/handler.py": ""}
    home = str(make_home(tmp_path / "home", CONFIG, files))
    assert main(["route", "explain", "--platform", "telegram", "--home", home]) == 0
    shown = capsys.readouterr().out  # type: ignore[attr-defined]
    assert "x (hooks/x) may name another agent" in shown
    main(["doctor", "--json", "--home", home])
    report = json.loads(capsys.readouterr().out)  # type: ignore[attr-defined]
    assert {"hook": "x (hooks/x)", "events": ["select_agent"]} in report["config"]["hooks"]
