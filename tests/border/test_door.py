"""A sandbox's door: a listener inside that only the host serves, one for each turn, command and background process."""

import errno
import os
import socket
import sys
from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import Confinement, ProtocolError, SandboxPool, wire
from tests.support.pools import output_of, probe_request, run_pool, simple_confinement

CONNECT = """
import os, socket
sock = socket.socket()
sock.settimeout(10)
number = sock.connect_ex(("127.0.0.1", {port}))
answer = "refused" if number == {refused} else sock.recv(100).decode() or "closed"
"""
PORT_OF_THE_ENVIRONMENT = 'int(os.environ["http_proxy"].rpartition(":")[2])'
ASK = f"P=/opt/python/bin/python3.{sys.version_info.minor}; [ -x $P ] || P=python3; $P -I ask.py"


async def answer_all(listener: socket.socket, answer: bytes) -> None:
    """Tell whoever connects the same thing."""
    with listener:
        while True:
            await anyio.wait_readable(listener)
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)


async def turn_answer(
    pool: SandboxPool, confinement: Confinement, source: str, *, served: bytes | None, session: str = "s"
) -> str:
    """Take a turn that runs `source`, with its door served or closed; return what it leaves in `answer`."""
    async with pool.lease(confinement, session=session) as lease, anyio.create_task_group() as tasks:
        if confinement.door:
            listener = await lease.take_door()
            assert listener is not None
            if served is None:
                listener.close()
            else:
                tasks.start_soon(answer_all, listener, served)
        await lease.send(probe_request(source))
        done = await lease.receive()
        tasks.cancel_scope.cancel()
    assert isinstance(done, wire.TurnDone), done
    return done.text


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_turn_reaches_the_host_through_its_door_and_only_there(tmp_path: Path, backend: str) -> None:
    """What connects to the door gets what the host serves; without a door, or with a closed one, the port is refused."""
    source = CONNECT.format(port=3128, refused=errno.ECONNREFUSED)

    async def scenario(pool: SandboxPool) -> None:
        with_door = simple_confinement(tmp_path / "a", door=True)
        assert await turn_answer(pool, with_door, source, served=b"for a") == "for a"
        assert await turn_answer(pool, with_door, source, served=None) == "refused"
        assert await turn_answer(pool, simple_confinement(tmp_path / "b"), source, served=None) == "refused"
        assert await turn_answer(pool, with_door, source.replace("3128", "3129"), served=b"x") == "refused"

    run_pool(scenario, backend)


def test_turns_at_once_have_doors_of_their_own(tmp_path: Path) -> None:
    """Each of several turns, of one agent and of two, hears what was said to it alone."""
    source = CONNECT.format(port=3128, refused=errno.ECONNREFUSED)
    heard: dict[bytes, str] = {}

    async def scenario(pool: SandboxPool) -> None:
        async def take(name: str, number: int) -> None:
            word = f"{name}{number}".encode()
            confinement = simple_confinement(tmp_path / name, door=True)
            heard[word] = await turn_answer(pool, confinement, source, served=word, session=str(number))

        async with anyio.create_task_group() as tasks:
            for name in ("a", "b"):
                for number in range(3):
                    tasks.start_soon(take, name, number)

    run_pool(scenario)
    assert heard == {word: word.decode() for word in heard}
    assert len(heard) == 6


def test_descriptor_that_an_agent_sends_is_no_door(tmp_path: Path) -> None:
    """Only what came before the agent's code is taken: what it hands over itself is dropped, and its messages are read."""
    source = (
        "import socket, array\nown = socket.socket(); own.bind(('127.0.0.1', 0)); own.listen()\n"
        "raw = socket.socket(fileno=3)\nsocket.send_fds(raw, [b'd'], [own.fileno()])\nraw.detach()\nanswer = 'sent'\n"
    )

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", door=True)
        async with pool.lease(confinement, session="s") as lease:
            first = await lease.take_door()
            assert first is not None
            first.close()
            before = {os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}
            await lease.send(probe_request(source))
            with pytest.raises(ProtocolError):
                await lease.receive()
            assert {os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()} <= before

    run_pool(scenario)


def test_commands_and_background_processes_have_doors_that_end_with_them(tmp_path: Path) -> None:
    """A command finds its door by the environment; a background process keeps its own beside its session's turns."""
    served: list[str] = []
    ended = 0

    async def serve(confinement: Confinement, listener: socket.socket) -> None:
        nonlocal ended
        served.append(confinement.name)
        try:
            await answer_all(listener, f"door {len(served)}\n".encode())
        finally:
            ended += 1

    async def main() -> None:
        async with SandboxPool(serve_door=serve) as pool:
            confinement = simple_confinement(tmp_path / "a", door=True)
            script = CONNECT.format(port=PORT_OF_THE_ENVIRONMENT, refused=errno.ECONNREFUSED) + "print(answer, end='')"
            (tmp_path / "a/ask.py").write_text(script)
            assert await output_of(pool, confinement, ASK) == "door 1\n"
            assert ended == 1
            async with pool.lease(confinement, session="s") as lease:
                process = await lease.processes.start(f"{ASK}; read line; {ASK}; sleep 60", cwd=None, env={})
            source = CONNECT.format(port=3128, refused=errno.ECONNREFUSED)
            assert await turn_answer(pool, confinement, source, served=b"the turn's") == "the turn's"
            await process.write(b"on\n")
            with anyio.fail_after(20):
                while process.output.count(b"door 2") < 2:
                    await anyio.sleep(0.01)
            await process.kill()
            with anyio.fail_after(5):
                while ended < 2:
                    await anyio.sleep(0.01)
            assert served == ["agent", "agent"]

    anyio.run(main, backend="trio")
