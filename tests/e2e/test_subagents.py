"""Subagents as a user has them: the native engine, real sandboxes, and a provider that sees who asks it what."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from hermes_iso.config.load import load_config
from hermes_iso.gateway import Gateway, open_gateway
from hermes_iso.messages import Outbound, Progress
from tests.servers.model_server import ModelServer, serve_model_server
from tests.support.homes import make_home
from tests.support.line import Chat
from tests.support.pools import living


async def say(gateway: Gateway, text: str, shown: list[Progress]) -> Outbound:
    """Send a message and return what was delivered; what is shown before it is added to `shown`."""
    chat = Chat(gateway)
    chat.shown = shown
    return await chat.say(text, platform="api_server")


def write_home(tmp_path: Path, server: ModelServer) -> Path:
    """Write a home whose agent and subagents have models of their own, with a key each."""
    return make_home(
        tmp_path / "home",
        f"""\
        model: {{default: large, provider: custom, base_url: {server.base_url}, api_key: "${{LARGE_TOKEN}}"}}
        subagent: {{model: {{default: small, provider: custom, base_url: {server.base_url}, api_key: "${{SMALL_TOKEN}}"}}}}
        """,
        {".env": "LARGE_TOKEN=key-of-large\nSMALL_TOKEN=key-of-small\nOWN=own\n"},
    )


async def test_each_has_its_own_model_prompt_and_tools_and_the_parent_gets_summaries(tmp_path: Path) -> None:
    """The provider is asked with either's key; what the parent was told never reaches a subagent; no key is in a sandbox."""
    goal = "CALL terminal " + json.dumps({"command": "env; pwd; touch made"})
    tasks = [{"goal": goal, "toolsets": ["terminal"]}, {"goal": "CALL todo {}", "toolsets": ["todo", "memory"]}]
    shown: list[Progress] = []
    async with serve_model_server() as server, open_gateway(load_config(write_home(tmp_path, server), {})) as gateway:
        outbound = await say(gateway, "CALL delegate_task " + json.dumps({"tasks": tasks}), shown)
        assert outbound.error is None, outbound.text
        told = json.loads(outbound.text.removeprefix("RESULT: "))
        assert [each["status"] for each in told["results"]] == ["completed", "completed"]
        assert "/workspace" in told["results"][0]["summary"]
        assert "OWN=own" in told["results"][0]["summary"]
        assert "key-of" not in outbound.text
        assert (tmp_path / "home/workspace/made").exists()
        assert outbound.usage.calls == len(server.requests) == 6
        asked = {"large": [], "small": []}
        for request in server.requests:
            assert request.headers["authorization"] == f"Bearer key-of-{request.body['model']}"
            asked[request.body["model"]].append(request.body)
        assert [len(bodies) for bodies in asked.values()] == [2, 4]
        offered = {tuple(sorted(tool["function"]["name"] for tool in body["tools"])) for body in asked["small"]}
        assert offered == {("process", "terminal"), ("todo",)}
        for body in asked["small"]:
            assert "You are a subagent" in body["messages"][0]["content"]
            assert "delegate_task" not in json.dumps(body)
        names = [(each.name, each.text.split(":")[0]) for each in shown if each.kind == "tool_called"]
        assert names[0][0] == "delegate_task"
        assert {("terminal", "subagent 1"), ("todo", "subagent 2")} == set(names[1:])


async def test_cancelling_a_turn_ends_what_its_subagents_do(tmp_path: Path) -> None:
    """At once, with every process of theirs: a client that hangs up leaves nothing behind."""
    goal = "CALL terminal " + json.dumps({"command": "sleep 76543"})
    answers: list[Outbound] = []
    async with serve_model_server() as server, open_gateway(load_config(write_home(tmp_path, server), {})) as gateway:

        async def ask() -> None:
            answers.append(await say(gateway, "CALL delegate_task " + json.dumps({"tasks": [{"goal": goal}] * 2}), []))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with trio.fail_after(20):
                while len(living("sleep 76543")) < 2:  # what starts is no task of ours
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
        assert living("sleep 76543") == []
        assert gateway.statistics()["turns"] == gateway.statistics()["pool"]["leases"] == 0
    assert answers == []
