"""Tests of guest.engines.hooks: hooks of files and packages are loaded and run as Hermes does, and none ends the others."""

import json
import sys

import pytest

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines.hooks import take_turn
from hermes_iso_sandbox.guest.link import LinkClosed


class Host:
    """The host's end: asks questions and keeps the answers."""

    def __init__(self, *questions):
        self.questions = list(questions)
        self.answers = []

    def call(self, method, params):
        assert method == "hook"
        self.answers.append(json.loads(json.dumps(params)))
        if not self.questions:
            raise LinkClosed
        hook, event, context = self.questions.pop(0)
        return {"hook": hook, "event": event, "context": context}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run hooks with these sources on these questions, and return what was answered."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def run(sources, *questions, entries=()):
        hooks = []
        for number, source in enumerate(sources):
            file = tmp_path / f"handler{number}.py"
            file.write_text(source)
            hooks.append({"name": f"n{number}", "file": str(file), "entry": "", "packages": ""})
        hooks += [{"name": "e", "file": "", "entry": entry, "packages": str(tmp_path)} for entry in entries]
        host = Host(*questions)
        request = wire.TurnRequest("", "", "", "", json.dumps(hooks), [], "", "", [], 1, "hooks")
        with pytest.raises(LinkClosed):
            take_turn(request, host)
        return host.answers

    return run


def test_hooks_are_called_with_event_and_context(run):
    """Plain and asynchronous functions alike; what they keep in their module lasts, also what belongs to the loop."""
    plain = "seen = []\ndef handle(event, context):\n    seen.append(event)\n    return [seen, context['x']]\n"
    waits = (
        "import asyncio\nlock = asyncio.Lock()\nasync def handle(event, context):\n    async with lock:\n        return event\n"
    )
    answers = run([plain, waits], (0, "a", {"x": 1}), (1, "b", {}), (0, "c", {"x": 2}), (1, "d", {}))
    assert answers[0] == {"loaded": [{"events": [], "said": ""}, {"events": [], "said": ""}]}
    assert [answer["value"] for answer in answers[1:]] == [[["a"], 1], "b", [["a", "c"], 2], "d"]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def handle(e, c):\n    raise ValueError('boom')\n", "ValueError: boom"),
        ("async def handle(e, c):\n    raise ValueError('boom')\n", "ValueError: boom"),
        ("import sys\ndef handle(e, c):\n    sys.exit(3)\n", "SystemExit: 3"),
        ("def handle(e, c):\n    return object()\n", "TypeError: Object of type object is not JSON serializable"),
        ("def handle(e, c):\n    return float('nan')\n", "ValueError: Out of range float values are not JSON compliant"),
        ("def handle(e, c):\n    return 'x' * 70000\n", "ValueError: an answer of more than 64 KiB"),
        ("def handle(e):\n    pass\n", "TypeError: handle() takes 1 positional argument but 2 were given"),
        ("x = 1\n", "TypeError: handler.py has no function handle(event_type, context)"),
        ("handle = 5\n", "TypeError: handler.py has no function handle(event_type, context)"),
        ("raise RuntimeError('at import')\n", "RuntimeError: at import"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def handle(:\n", "SyntaxError: "),
    ],
)
def test_failing_hook_is_an_error_and_others_go_on(run, source, error):
    """What a hook raises, returns or lacks is told in one line."""
    answers = run([source, "def handle(e, c):\n    return 'fine'\n"], (0, "a", {}), (1, "a", {}))
    assert answers[1]["error"].startswith(error)
    assert answers[2]["value"] == "fine"


def test_installed_hook_names_its_events(run, tmp_path):
    """An entry point may name a function or an attribute of something; its `events` are told when it is loaded."""
    package = "class Box:\n    @staticmethod\n    def run(event, context):\n        return 'boxed'\n"
    package += "def route(event, context):\n    return 'coder'\nroute.events = ['select_agent', 'agent:end']\n"
    (tmp_path / "a_package.py").write_text(package)
    answers = run([], (0, "select_agent", {}), (1, "x", {}), entries=["a_package:route", "a_package:Box.run", "a_package:nope"])
    loaded = answers[0]["loaded"]
    assert [each.get("events") for each in loaded] == [["agent:end", "select_agent"], [], None]
    assert "nope" in loaded[2]["error"]
    assert [answer["value"] for answer in answers[1:]] == ["coder", "boxed"]


def test_what_a_hook_prints_is_told_and_cut(run):
    """Both streams, at load and at each call, and no more than a log can take."""
    source = "import sys\nprint('loading')\ndef handle(e, c):\n    print('out')\n    print('x' * 9000, file=sys.stderr)\n"
    answers = run([source], (0, "a", {}))
    assert answers[0]["loaded"][0]["said"] == "loading\n"
    assert answers[1]["said"].startswith("out\nxxx")
    assert len(answers[1]["said"]) == 2000
