"""A shared directory shows itself to those who share it, and nothing else of either to anybody."""

import json
from pathlib import Path

from hermes_iso.config.load import load_config
from hermes_iso.gateway import open_gateway
from tests.support.homes import make_home
from tests.support.line import Chat
from tests.support.unsound import UnsoundPool

CONFIG = """\
model: builtin/offline
agents:
  a: {{shared_paths: [{{name: data, path: {data}, mode: rw, with: [b]}}]}}
  b: {{shared_paths: [{{name: data, path: {data}, mode: rw, with: [a]}}]}}
  c: {{}}
  d: {{shared_paths: [{{name: notes, path: {notes}, mode: rw, with: [e]}}]}}
  e: {{shared_paths: [{{name: notes, path: {notes}, mode: ro, with: [d]}}]}}
platform_toolsets: {{cli: [terminal]}}
"""


def write_home(where: Path) -> Path:
    """Write a home whose agents share directories beside it."""
    make_home(where.parent / "data", files={"from-operator": "hello\n"})
    make_home(where.parent / "notes")
    return make_home(where, CONFIG.format(data=where.parent / "data", notes=where.parent / "notes"))


async def run(chat: Chat, agent: str, command: str) -> str:
    """Return what a command of an agent's prints."""
    text = (await chat.say(f"RUN {command}", agent=agent)).text
    output = json.loads(text.removeprefix("RESULT:"))["output"]
    assert isinstance(output, str)
    return output


async def test_third_agent_does_not_see_a_shared_directory(tmp_path: Path) -> None:
    """Neither inside nor at its place on the host; the same probe sees it without isolation."""
    home = write_home(tmp_path / "home")
    probe = f"ls /shared; cat {tmp_path}/data/from-operator"
    async with open_gateway(load_config(home, {}), pool=UnsoundPool(), admin=False) as gateway:
        assert "hello" in await run(Chat(gateway), "c", probe), "the probe can't see this leak at all"
    async with open_gateway(load_config(home, {}), admin=False) as gateway:
        chat = Chat(gateway)
        for agent in ("c", "d", "main"):
            assert "hello" not in await run(chat, agent, probe)
            assert "data" not in await run(chat, agent, "ls /shared 2>/dev/null; grep data /proc/self/mountinfo")
        assert await run(chat, "a", "cat /shared/data/from-operator") == "hello"


async def test_agents_share_files_and_symlinks_lead_into_the_readers_own_view(tmp_path: Path) -> None:
    """Each reads and changes what the other wrote; a planted link shows the reader's own file, or none."""
    home = write_home(tmp_path / "home")
    async with open_gateway(load_config(home, {}), admin=False) as gateway:
        chat = Chat(gateway)
        for agent in ("a", "b"):
            await run(chat, agent, f"echo secret-of-{agent} > /workspace/secret")
        await run(chat, "a", "mkdir -m 700 /shared/data/in; umask 077; echo from-a > /shared/data/in/file")
        await run(chat, "a", "ln -s /workspace/secret /shared/data/link; ln -s ../../workspace/secret /shared/data/relative")
        await run(chat, "a", f"ln -s {home}/profiles/a/workspace/secret /shared/data/host")
        await run(chat, "a", "ln -s /proc/self/root/workspace/secret /shared/data/proc")
        seen = await run(chat, "b", "cd /shared/data; cat in/file link relative proc host 2>&1; echo from-b >> in/file")
        assert "from-a" in seen
        assert "secret-of-a" not in seen
        assert seen.count("secret-of-b") == 3
        assert await run(chat, "a", "cat /shared/data/in/file") == "from-a\nfrom-b"
        flags = await run(chat, "b", "grep ' /shared/data ' /proc/self/mountinfo")
        assert {"nosuid", "nodev", "rw"} <= set(flags.split()[5].split(","))
    owner = (tmp_path / "data").stat().st_uid
    assert {path.lstat().st_uid for path in (tmp_path / "data").rglob("*")} == {owner}


async def test_each_side_keeps_to_its_mode(tmp_path: Path) -> None:
    """Who shares for reading can't write, whatever the other may."""
    home = write_home(tmp_path / "home")
    async with open_gateway(load_config(home, {}), admin=False) as gateway:
        chat = Chat(gateway)
        await run(chat, "d", "echo of-d > /shared/notes/file")
        seen = await run(
            chat, "e", "cat /shared/notes/file; echo of-e >> /shared/notes/file; rm -f /shared/notes/file; ls /shared"
        )
        assert seen.startswith("of-d")
        assert "Read-only file system" in seen
    assert (tmp_path / "notes" / "file").read_text() == "of-d\n"
