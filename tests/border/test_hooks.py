"""Hooks in their sandbox: they decide, they reach nothing else, and what they break is mended."""

import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from hermes_iso.config.load import load_config
from hermes_iso.gateway import Gateway, open_gateway
from tests.support.homes import make_home
from tests.support.line import Chat

CONFIG = """\
model: builtin/offline
agents: {coder: {}}
gateway: {hook_timeout: 2}
"""
HANDLER = """
import json, os, socket, subprocess


def attempt(what):
    try:
        return what()
    except Exception as error:
        return f"refused: {type(error).__name__}"


def look(context):
    host = json.loads(open("/hooks/guard/facts.json").read())
    return {
        "home": attempt(lambda: os.listdir(host["home"])),
        "env_file": attempt(lambda: open(host["home"] + "/profiles/coder/.env").read()),
        "root": sorted(os.listdir("/")),
        "environ": sorted(os.environ),
        "own_hook": attempt(lambda: open("/hooks/guard/handler.py", "a").close()),
        "network": attempt(lambda: socket.create_connection(("127.0.0.1", host["port"]), 2)),
        "program": attempt(lambda: subprocess.run(["/bin/true"]).returncode),
        "uid": os.getuid(),
    }


def handle(event, context):
    text = context.get("text", "")
    if event == "select_agent":
        if text == "hang":
            while True:
                pass
        if text == "die":
            os._exit(1)
        if text == "raise":
            raise ValueError("boom")
        return "coder" if "coder" in text else None
    if event == "pre_tool_call":
        if "secret" in json.dumps(context["args"]):
            return {"action": "block", "message": "no secrets"}
        if "hang" in json.dumps(context["args"]):
            while True:
                pass
        return None
    with open(os.path.expanduser("~/report.jsonl"), "a") as file:
        file.write(json.dumps({"event": event, "context": context, "look": look(context)}) + "\\n")
"""
MANIFEST = "name: guard\nevents: [select_agent, pre_tool_call, 'agent:end']\n"


def with_gateway(home: Path, scenario: Callable[[Gateway, Chat], Awaitable[None]]) -> None:
    """Run a scenario on a gateway of a home with real sandboxes."""

    async def main() -> None:
        with trio.fail_after(90):
            async with open_gateway(load_config(home, {}), admin=False) as gateway:
                await scenario(gateway, Chat(gateway))

    trio.run(main)


def hook_home(where: Path, **facts: Any) -> Path:
    """Write a home with a hook and an agent that has a secret."""
    files = {
        "hooks/guard/HOOK.yaml": MANIFEST,
        "hooks/guard/handler.py": HANDLER,
        "hooks/guard/facts.json": json.dumps({"home": str(where), **facts}),
        "profiles/coder/.env": "SECRET=secret-of-coder\n",
    }
    return make_home(where, CONFIG, files)


def test_hooks_choose_refuse_and_are_replaced_when_they_break(tmp_path: Path) -> None:
    """A hang, a death and an error leave the declared route and cost two seconds at most; the next question is answered."""

    async def scenario(gateway: Gateway, chat: Chat) -> None:
        assert (await chat.say("to coder")).agent == "coder"
        for text in ("hang", "die", "raise", "plain"):
            with trio.fail_after(10):
                assert (await chat.say(text)).agent == "main", text
            assert (await chat.say("to coder again")).agent == "coder", text
        assert gateway.statistics()["hooks"]["failed"] == 3
        assert "no secrets" in (await chat.say("RUN echo secret", agent="coder")).text
        assert "could not be asked" in (await chat.say("RUN echo hang", agent="coder")).text
        assert "fine" in (await chat.say("RUN echo fine", agent="coder")).text

    with_gateway(hook_home(tmp_path / "home"), scenario)


def test_hook_reaches_no_agent_no_network_and_no_program(tmp_path: Path) -> None:
    """It sees the hooks, read-only, and one directory of its own; nothing of the gateway's environment arrives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        home = hook_home(tmp_path / "home", port=listener.getsockname()[1])

        async def scenario(gateway: Gateway, chat: Chat) -> None:
            await chat.say("hello")

        with_gateway(home, scenario)
    report = json.loads((home / "hermes-iso" / "hooks" / "report.jsonl").read_text())
    assert (report["event"], report["context"]["agent_id"]) == ("agent:end", "main")
    look = report["look"]
    assert look["home"] == "refused: FileNotFoundError"
    assert look["env_file"] == "refused: FileNotFoundError"
    assert look["own_hook"] in ("refused: OSError", "refused: PermissionError")
    assert look["network"] in ("refused: ConnectionRefusedError", "refused: OSError")
    assert look["program"] == "refused: PermissionError"
    assert look["uid"] == 1000
    assert not {"hermes", "workspace", "shared"} & set(look["root"])
    assert set(look["environ"]) <= {"HOME", "USER", "LANG", "PATH", "TZ", "HERMES_SESSION_ID", "HERMES_ISO_AGENT",
                                    "HERMES_ISO_SESSION_KEY", "HERMES_ISO_TURN_ID", "LC_CTYPE", "PWD"}  # fmt: skip


def test_hook_of_an_installed_package_is_found_and_comes_first(tmp_path: Path, monkeypatch: Any) -> None:
    """Its package is not imported by the gateway; it names its events, and counts before the home's hooks."""
    site = tmp_path / "site"
    source = "def choose(event, context):\n    return 'main' if 'both' in context['text'] else None\n"
    files = {
        "a_package_with_a_hook.py": source + "choose.events = ['select_agent']\n",
        "a_package-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: a-package\nVersion: 1.0\n",
        "a_package-1.0.dist-info/entry_points.txt": "[hermes_iso.hooks]\nzz = a_package_with_a_hook:choose\n",
    }
    make_home(site, files=files)
    monkeypatch.syspath_prepend(str(site))

    async def scenario(gateway: Gateway, chat: Chat) -> None:
        assert (await chat.say("both and coder")).agent == "main"
        assert (await chat.say("coder")).agent == "coder"
        assert gateway.statistics()["hooks"]["hooks"] == 2

    with_gateway(hook_home(tmp_path / "home"), scenario)
    assert "a_package_with_a_hook" not in sys.modules
