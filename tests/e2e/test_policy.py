"""A grant as the kernel's word: what a hostile guest can still do, through the whole line and in real sandboxes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hermes_iso.config.load import load_config
from hermes_iso.gateway import Gateway, open_gateway
from hermes_iso_sandbox.guest import landlock
from tests.support.gateways import hermes_iso, write_hermes_home
from tests.support.homes import make_home
from tests.support.line import Chat

ATTACK = """
import json, os, subprocess
def tried(action):
    try:
        action()
        return True
    except OSError:
        return False
def call(action):
    try:
        link.call('process', {'action': action, 'command': 'true'})
        return True
    except Exception as error:
        return getattr(error, 'kind', repr(error))
answer = json.dumps({
    'program': tried(lambda: subprocess.run(['/bin/true'], check=True)),
    'background': call('start'),
    **{place: tried(lambda: open(f'{place}/f', 'w').close()) for place in
       ('/workspace', '/hermes/skills', '/home/agent', '/hermes/memories', '/tmp')},
})
"""
ALL = dict.fromkeys(("program", "background", "/workspace", "/hermes/skills", "/home/agent", "/hermes/memories", "/tmp"), True)
NO_PROGRAM = {"program": False, "background": "not_granted"}
READ_ONLY = {**NO_PROGRAM, **dict.fromkeys(("/workspace", "/hermes/skills", "/home/agent"), False)}


@asynccontextmanager
async def hostile_gateway(home: Path, config: str) -> AsyncIterator[Gateway]:
    """Open a gateway whose agent runs what it is asked in its turn process itself."""
    loaded = load_config(make_home(home, f"model: builtin/offline\n{config}"), {})
    agents = {name: dataclasses.replace(agent, engine="probe") for name, agent in loaded.agents.items()}
    async with open_gateway(dataclasses.replace(loaded, agents=agents)) as gateway:
        yield gateway


async def attack(gateway: Gateway, platform: str) -> dict[str, object]:
    """Return what a turn of a platform could do."""
    result: dict[str, object] = await say(gateway, platform, ATTACK)
    return result


async def say(gateway: Gateway, platform: str, code: str) -> Any:
    """Return what code in a turn process answers."""
    outbound = await Chat(gateway).say(code, platform=platform)
    assert outbound.error is None, outbound.text
    return json.loads(outbound.text)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", ALL),
        ("agent: {disabled_toolsets: [terminal]}\n", {**ALL, "background": "not_granted"}),
        ("agent: {disabled_toolsets: [terminal, code_execution]}\n", {**ALL, **NO_PROGRAM}),
        ("agent: {disabled_toolsets: [terminal, code_execution, file]}\n", {**ALL, **READ_ONLY}),
        ("agents: {main: {tools: [todo, web]}}\n", {**ALL, **READ_ONLY}),
    ],
)
async def test_guest_can_do_what_its_agents_grant_needs_and_no_more(tmp_path, config, expected):
    """Code in the turn process itself starts no program, writes no file and asks for no process that no granted tool needs."""
    async with hostile_gateway(tmp_path / "home", config) as gateway:
        assert await attack(gateway, "api_server") == expected


@pytest.mark.skipif(not landlock.find_abi(), reason="this kernel has no landlock")
async def test_platform_narrows_its_own_turns_alone(tmp_path):
    """One agent, one sandbox: turns of a platform with a smaller list can do less, those of the others are as before."""
    config = "platform_toolsets: {telegram: [memory], discord: [file]}\n"
    async with hostile_gateway(tmp_path / "home", config) as gateway:
        expected = {"telegram": {**ALL, **READ_ONLY}, "discord": {**ALL, **NO_PROGRAM}, "api_server": ALL}
        for platform in ("telegram", "api_server", "discord", "telegram", "api_server"):
            assert await attack(gateway, platform) == expected[platform], platform
        assert gateway.statistics()["pool"]["sandboxes"] == 1


@pytest.mark.skipif(not landlock.find_abi(), reason="this kernel has no landlock")
async def test_subagent_can_do_what_its_own_grant_needs_and_no_more(tmp_path):
    """Hostile code in a subagent's process is kept to the toolsets that were asked for it, its parent's process is not."""
    asking = f"""
import json
attack = {ATTACK!r}
tasks = [{{'goal': attack, 'toolsets': names}} for names in (['todo'], ['file'], ['terminal'])]
found = link.call('delegate', {{'tasks': tasks}})['results']
exec(attack)
answer = json.dumps([*(json.loads(each['summary']) for each in found), json.loads(answer)])
"""
    async with hostile_gateway(tmp_path / "home", "") as gateway:
        todo, file, terminal, parent = await say(gateway, "api_server", asking)
        assert [todo, file] == [{**ALL, **READ_ONLY}, {**ALL, **NO_PROGRAM}]
        assert terminal == parent == ALL
        pool = gateway.statistics()["pool"]
        assert (pool["sandboxes"], pool["leases"]) == (1, 0)


async def test_background_process_of_a_subagent_ends_with_it(tmp_path):
    """It runs while the subagent does, in a session that nobody else has."""
    start = "link.call('process', {'action': 'start', 'command': 'sleep 7777'})"
    child = f"{start}; answer = str(len(link.call('process', {{'action': 'list'}})['processes']))"
    asking = f"""
import json
{start}
found = link.call('delegate', {{'goal': {child!r}}})['results'][0]['summary']
answer = json.dumps([found, len(link.call('process', {{'action': 'list'}})['processes'])])
"""
    async with hostile_gateway(tmp_path / "home", "") as gateway:
        assert await say(gateway, "api_server", asking) == ["1", 1]
        assert gateway.statistics()["pool"]["processes"] == 1


@pytest.mark.parametrize("config", ["agents: {main: {tools: []}}\n", "agent: {disabled_toolsets: ['*']}\n"])
async def test_nothing_runs_where_nothing_is_granted(tmp_path, config):
    """The turn is refused before it begins."""
    async with hostile_gateway(tmp_path / "home", config) as gateway:
        with pytest.raises(AssertionError, match="is granted no tool on api_server"):
            await attack(gateway, "api_server")
        assert gateway.statistics()["turns"] == 0


def test_exec_is_refused_with_the_reason_where_no_program_starts(tmp_path):
    """It is exactly the agent's sandbox: exit 126 and one sentence that names the agent and why."""
    home = write_hermes_home(tmp_path / "home", "http://127.0.0.1:9/v1")
    config = home / "config.yaml"
    config.write_text(config.read_text() + "agent: {disabled_toolsets: [terminal, code_execution]}\n")
    done = hermes_iso("exec", "--home", str(home), "--agent", "main", "--", "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr == "'sh': no program may be started here: agent main is granted no tool that runs one\n"
