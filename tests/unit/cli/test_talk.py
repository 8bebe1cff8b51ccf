"""`chat` and `exec`: how they reach a gateway, here or behind the admin socket."""

from __future__ import annotations

import os

import pytest
import trio

from hermes_iso.admin import find_gateway, serve_admin
from hermes_iso.cli.exits import exit_code
from hermes_iso.cli.main import main
from hermes_iso.cli.reach import RemoteGateway
from hermes_iso.cli.talk import load_console
from hermes_iso.errors import RouteRejectedError
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress, Receipt
from hermes_iso_adapters.console import ConsoleAdapter
from hermes_iso_sandbox.errors import GuestTimeoutError


class FakeGateway:
    """Answers with who was asked; runs no command, and says how it was asked to."""

    def __init__(self):
        self.inbounds = []
        self.cancelled = trio.Event()

    async def handle(self, inbound, deliver, relay):
        self.inbounds.append(inbound)
        if inbound.agent == "nobody":
            raise RouteRejectedError("There is no agent 'nobody'.")
        if inbound.text == "wait":
            await relay(Progress("text", "started"))
            try:
                await trio.sleep_forever()
            finally:
                self.cancelled.set()
        await relay(Progress("text", "an"))
        return await deliver(Outbound(inbound.chat, f"answer to {inbound.text}", "t", "main", "s"))

    async def exec_command(self, agent, argv, *, stdio, timeout=None):
        if timeout is not None:
            raise GuestTimeoutError("It ran too long.")
        os.write(stdio[1], f"{agent}: {' '.join(argv)}".encode())
        return 137


@pytest.fixture
async def remote(tmp_path, nursery):
    """Serve a fake gateway on a home's admin socket and reach it as `chat` and `exec` do."""
    directory = tmp_path / "hermes-iso"
    directory.mkdir(mode=0o700)
    gateway = FakeGateway()
    await nursery.start(serve_admin, gateway, directory)
    client = await find_gateway(tmp_path)
    assert client is not None
    return gateway, RemoteGateway(client)


async def test_remote_chat_goes_through_the_running_gateway(remote):
    """The message, its agent and its session arrive; progress and the answer come back."""
    gateway, line = remote
    shown, delivered = [], []

    async def relay(progress):
        shown.append(progress.text)

    async def deliver(outbound):
        delivered.append(outbound.text)
        return Receipt(outbound, "r")

    inbound = Inbound(ChatRef("console", "cli"), "hello", "id", agent="coder")
    await line.handle(inbound, deliver, relay)
    (arrived,) = gateway.inbounds
    assert (arrived.text, arrived.agent, arrived.chat) == ("hello", "coder", inbound.chat)
    assert (shown, delivered) == (["an"], ["answer to hello"])


async def test_remote_turn_ends_when_its_asker_is_cancelled(remote):
    """Ctrl-C here ends the turn there."""
    gateway, line = remote
    with trio.CancelScope() as scope:

        async def relay(progress):
            scope.cancel()
            await trio.lowlevel.checkpoint()

        await line.handle(Inbound(ChatRef("console", "cli"), "wait", "id"), None, relay)
    with trio.fail_after(5):
        await gateway.cancelled.wait()


async def test_remote_refusal_has_the_exit_code_of_a_local_one(remote):
    """An error keeps its kind on the way through the socket."""
    _, line = remote
    with pytest.raises(RouteRejectedError) as caught:
        await line.handle(Inbound(ChatRef("console", "cli"), "hello", "id", agent="nobody"), None, None)
    assert exit_code(caught.value) == 2


async def test_remote_exec_passes_descriptors_and_status(remote):
    """The command writes to this process's own descriptor and its status comes back; its time limit is 124."""
    _, line = remote
    reader, writer = os.pipe()
    try:
        assert await line.exec_command("coder", ["ls", "-l"], stdio=(0, writer, writer)) == 137
        assert os.read(reader, 100) == b"coder: ls -l"
        with pytest.raises(GuestTimeoutError) as caught:
            await line.exec_command("coder", ["ls"], stdio=(0, writer, writer), timeout=1)
        assert exit_code(caught.value) == 124
    finally:
        os.close(reader)
        os.close(writer)


def test_console_is_found_as_an_entry_point():
    """The console comes from the group that any adapter may join."""
    assert load_console() is ConsoleAdapter


@pytest.mark.sandbox
@pytest.mark.slow
def test_exec_and_chat_run_without_a_gateway(tmp_path, capfd):
    """With no gateway on the home, both open one here, and the status and the answer are the agent's own."""
    home = str(tmp_path / "home")
    assert main(["init", "--home", home, "--agents", "coder"]) == 0
    capfd.readouterr()
    assert main(["exec", "--home", home, "--agent", "coder", "--", "sh", "-c", "pwd; echo no >&2; exit 7"]) == 7
    assert tuple(capfd.readouterr()) == ("/workspace\n", "no\n")
    assert main(["exec", "--home", home, "--agent", "coder", "--timeout", "0.2", "--", "sleep", "60"]) == 124
    assert main(["exec", "--home", home, "--agent", "nobody", "--", "true"]) == 2
    capfd.readouterr()
    assert main(["chat", "--home", home, "--agent", "coder", "-q", "RUN echo from-$HERMES_ISO_AGENT"]) == 0
    out, err = capfd.readouterr()
    assert "from-coder" in out
    assert err == ""
    assert main(["chat", "--home", home, "--agent", "nobody", "-q", "hello"]) == 2
    assert capfd.readouterr().err.startswith("hermes-iso: ")
