"""The admin socket: the command line's way to a gateway that runs."""

import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from hermes_iso.admin import AdminClient, find_gateway, serve_admin
from hermes_iso.admin_socket import connect_admin
from hermes_iso.background import Background
from hermes_iso.errors import RouteRejectedError, UsageError
from hermes_iso.messages import Progress
from tests.support.line import FakePool, Guest, Script, echo, open_line


@asynccontextmanager
async def serving(home: Path, script: Script = echo) -> AsyncIterator[tuple[AdminClient, FakePool]]:
    """Serve a gateway of scripts on its socket."""
    async with open_line(home, script) as (gateway, pool), Background() as nursery:
        await nursery.start(serve_admin, gateway, home / "hermes-iso")
        client = await find_gateway(home)
        assert client is not None
        yield client, pool


async def ignore(progress: Progress) -> None:
    """Show nothing."""


async def raw(home: Path, data: bytes) -> bytes:
    """Send bytes to the socket and return all that comes back."""
    stream = await connect_admin(home / "hermes-iso")
    assert stream is not None
    async with stream:
        await stream.send_all(data)
        answer = b""
        while chunk := await stream.receive_some(1 << 16):
            answer += chunk
        return answer


async def test_chat_gives_progress_and_answer(tmp_path: Path) -> None:
    """A message of the console comes back whole, with what the turn showed before."""
    shown: list[Progress] = []

    async def relay(progress: Progress) -> None:
        shown.append(progress)

    async with serving(tmp_path / "home") as (client, _):
        outbound = await client.chat("héllo", agent="coder", session="cli", relay=relay)
    assert (outbound.text, outbound.agent, outbound.chat.platform, outbound.chat.chat_id) == (
        "héllo",
        "coder",
        "console",
        "cli",
    )
    assert [each.text for each in shown] == ["hé", "llo"]


async def test_chat_with_an_unknown_agent_raises_as_the_gateway_does(tmp_path: Path) -> None:
    """Errors come back as what they were."""
    async with serving(tmp_path / "home") as (client, _):
        with pytest.raises(RouteRejectedError, match="ghost"):
            await client.chat("x", agent="ghost", session="cli", relay=ignore)


async def test_client_that_hangs_up_cancels_its_turn(tmp_path: Path) -> None:
    """A cancelled client leaves no turn behind."""
    scope = trio.CancelScope()

    async def script(guest: Guest) -> None:
        await guest.hear()
        scope.cancel()
        await trio.sleep_forever()

    async with serving(tmp_path / "home", script) as (client, pool):
        with scope:
            await client.chat("x", agent=None, session="cli", relay=ignore)
        with trio.fail_after(5):
            while pool.living:
                await trio.testing.wait_all_tasks_blocked(0.005)
        assert pool.most_living == 1


async def test_exec_passes_descriptors_and_status(tmp_path: Path) -> None:
    """Argv and timeout arrive, the status comes back, and no descriptor stays open here."""
    async with serving(tmp_path / "home") as (client, pool):
        assert await client.exec_command("main", ["true", "-x"], stdio=(0, 1, 2), timeout=2.5) == 7
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await client.exec_command("main", ["true"], stdio=(0, 1, 2))
        assert len(os.listdir("/proc/self/fd")) <= before
        assert pool.commands[0] == (("true", "-x"), 2.5)
        with pytest.raises(UsageError, match="ghost"):
            await client.exec_command("ghost", ["true"], stdio=(0, 1, 2))


@pytest.mark.parametrize(
    ("request_line", "words"),
    [
        (b"\n", "JSON object"),
        (b"[1]\n", "JSON object"),
        (b'{"op": "reboot"}\n', "must be chat, exec, status, reload, drain"),
        (b'{"op": ["status"]}\n', "must be chat"),
        (b'{"op": "chat", "text": 1, "session": "s"}\n', "needs text"),
        (b'{"op": "chat", "text": "x"}\n', "needs session"),
        (b'{"op": "exec", "agent": "main", "argv": []}\n', "argv"),
        (b'{"op": "exec", "agent": "main", "argv": ["a\\u0000"]}\n', "argv"),
        (b'{"op": "exec", "agent": "main", "argv": ["a"], "timeout": -1}\n', "timeout"),
        (b'{"op": "exec", "agent": "main", "argv": ["a"]}\n', "three descriptors"),
        (b"x" * ((1 << 20) + 1), "one line"),
    ],
)
async def test_bad_request_is_one_error_line(tmp_path: Path, request_line: bytes, words: str) -> None:
    """Whatever is wrong is told in one line, and the next client is served."""
    home = tmp_path / "home"
    async with serving(home) as (client, _):
        try:
            answer = await raw(home, request_line)
        except trio.BrokenResourceError:
            answer = b""  # the server answered and closed while the rest of an oversized line was on its way
        assert words.encode() in answer or len(request_line) > 1 << 20
        assert answer.count(b"\n") <= 1
        assert (await client.chat("x", agent=None, session="s", relay=ignore)).text == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can connect as somebody else")
async def test_other_user_is_refused_though_the_path_is_open() -> None:
    """Who asks is told by the kernel: file modes are not the only guard."""
    script = (
        "import contextlib, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "with contextlib.suppress(BrokenPipeError):  # the refusal may come before the request is sent\n"
        '    s.send(b\'{"op": "chat", "text": "x", "session": "s"}\\n\')\n'
        "print(s.recv(1000).decode())"
    )
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        async with serving(home) as (_, pool):
            for path in (Path(place), home, home / "hermes-iso"):
                path.chmod(0o755)
            sock = home / "hermes-iso" / "admin.sock"
            sock.chmod(0o666)
            argv = ["/usr/bin/python3", "-I", "-c", script, str(sock)]
            done = await trio.run_process(argv, user=65534, group=65534, extra_groups=[], capture_stdout=True, cwd="/")
        assert b"own user" in done.stdout
        assert pool.most_living == 0


async def test_socket_is_its_owners_and_its_path_may_be_long(tmp_path: Path) -> None:
    """0600, also where the path has more than the 108 bytes of an address."""
    home = tmp_path / ("long" * 30)
    async with serving(home):
        assert (home / "hermes-iso" / "admin.sock").stat().st_mode & 0o777 == 0o600


async def test_home_without_a_gateway_has_none(tmp_path: Path) -> None:
    """Neither an empty home nor a stale socket is a gateway."""
    assert await find_gateway(tmp_path) is None
    (tmp_path / "hermes-iso").mkdir()
    assert await find_gateway(tmp_path) is None
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "hermes-iso" / "admin.sock"))
    assert await find_gateway(tmp_path) is None


async def test_gateway_that_stops_meanwhile_is_said_so(tmp_path: Path) -> None:
    """A client whose gateway is gone gets a sentence."""
    home = tmp_path / "home"
    async with serving(home) as (client, _):
        pass
    with pytest.raises(UsageError, match="stopped"):
        await client.chat("x", agent=None, session="s", relay=ignore)
