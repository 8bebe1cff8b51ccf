"""Run the helper that asks Hermes: confined, short-lived, with a door that leads to login services and nowhere else.

It sees the system, the engine's packages and its own code, read-only, and gets copies of the operator's files on stdin: there
is nothing of any agent's work in it, and nothing that it writes outlives it. Its door checks what the door of a turn checks.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
import trio

from hermes_iso.broker.egress.dialing import Dialer, Endpoint
from hermes_iso.broker.egress.door import Door
from hermes_iso.broker.egress.rules import EgressRules, parse_rule
from hermes_iso.broker.egress.serving import serve_door
from hermes_iso.hermes.resolved import ANSWER_BYTES, ResolverFaultError
from hermes_iso_sandbox.bwrap import plan_alone
from hermes_iso_sandbox.launch import find_bwrap
from hermes_iso_sandbox.system import find_system

TIMEOUT = 60.0
"""Seconds for the helper to answer, logins that it has to renew included."""
LOGIN_HOSTS = (
    "auth.openai.com:443", "auth.x.ai:443", "accounts.x.ai:443", "portal.nousresearch.com:443", "chat.qwen.ai:443",
    "api.minimax.io:443", "api.minimaxi.com:443", "console.anthropic.com:443", "platform.claude.com:443", "api.github.com:443",
)  # fmt: skip
"""Where Hermes renews the logins of its providers."""
_HELPER = "/opt/hermes-iso/hermes_iso/hermes/helper"
_IMPORT = "import sys; sys.path.insert(0, '/opt/hermes-iso'); from hermes_iso.hermes.helper.resolve import main"
_START = f"{_IMPORT}; main(int(sys.argv[1]))"
_PREFIXES = "import os, sys; print(sys.prefix); print(sys.base_prefix); print(os.path.realpath(sys.executable))"


async def ask_hermes(
    python: Path, question: Mapping[str, Any], *, logins: Sequence[str] = (), resolve: Mapping[str, Endpoint] | None = None
) -> bytes:
    """Return the helper's answer. logins: further login services. Raises ResolverFaultError; cancelling ends the helper.

    resolve: names that its door finds at an address of the operator's choice.
    """
    arguments = await trio.to_thread.run_sync(_arguments, python)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            command = [*arguments, str(theirs.fileno())]
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={},
            )
        try:
            with trio.fail_after(TIMEOUT):
                answer = await _exchange(process, json.dumps(question).encode(), ours, _rules(logins), resolve or {})
                status = await process.wait()
        except trio.TooSlowError:
            raise ResolverFaultError(f"Hermes' own resolver did not answer within {TIMEOUT:g} seconds") from None
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
    if status or not answer:
        raise ResolverFaultError(
            f"Hermes' own resolver ended with status {status}: `{python} -m hermes_cli.main doctor` may say more"
        )
    return answer


async def _exchange(
    process: trio.Process, question: bytes, channel: socket.socket, rules: EgressRules, resolve: Mapping[str, Endpoint]
) -> bytes:
    """Tell the helper the question, serve its door, and return what it says. Raises ResolverFaultError."""
    assert process.stdin is not None
    assert process.stdout is not None
    answer = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve_door, channel, rules, resolve)
        nursery.start_soon(_tell, process.stdin, question)
        while len(answer) <= ANSWER_BYTES and (piece := await process.stdout.receive_some()):
            answer += piece
        nursery.cancel_scope.cancel()
    if len(answer) > ANSWER_BYTES:
        raise ResolverFaultError("Hermes' own resolver said more than an answer can hold")
    return bytes(answer)


async def _tell(stdin: trio.abc.SendStream, question: bytes) -> None:
    """Send the question, to whoever still listens."""
    try:
        async with stdin:
            await stdin.send_all(question)
    except trio.BrokenResourceError:
        return


async def _serve_door(channel: socket.socket, rules: EgressRules, resolve: Mapping[str, Endpoint]) -> None:
    """Take the helper's listener and serve it."""
    channel.setblocking(False)
    await trio.lowlevel.wait_readable(channel)
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        return
    listener = socket.socket(fileno=descriptors[0])
    listener.setblocking(False)
    log = structlog.get_logger()

    def record(event: Mapping[str, Any]) -> None:
        log.info("hermes_login", **{name: event[name] for name in ("host", "port", "verdict") if name in event})

    door = Door(agent="", turn="", rules=rules, record=record, dialer=Dialer(resolve))
    await serve_door(trio.SocketListener(trio.socket.from_stdlib_socket(listener)), door)


def _rules(logins: Sequence[str]) -> EgressRules:
    """Return the rules of the helper's door."""
    hosts = list(LOGIN_HOSTS)
    for url in logins:
        parts = urlsplit(url)
        if parts.hostname:
            hosts.append(f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}")
    found = []
    for host in hosts:
        try:
            found.append(parse_rule(host, deny=False))
        except ValueError:
            continue  # an address literal, which no door lets through
    return EgressRules(tuple(found))


def _arguments(python: Path) -> list[str]:
    """Return the helper's command but for the door's descriptor. Raises ResolverFaultError."""
    helper = str(Path(__file__).with_name("helper"))
    shown = _prefixes(str(python))
    bwrap = [find_bwrap(), *plan_alone(find_system(None), name="resolver", shown=shown, bound={_HELPER: helper})]
    limit = shutil.which("prlimit", path="/usr/bin:/bin")
    bounds = [limit, "--as=2147483648", "--fsize=16777216", "--"] if limit else []
    return [*bounds, *bwrap, str(python), "-I", "-B", "-c", _START]


@cache
def _prefixes(python: str) -> tuple[str, ...]:
    """Return the directories that an interpreter needs beside the system's. Raises ResolverFaultError."""
    try:
        ran = subprocess.run([python, "-I", "-c", _PREFIXES], capture_output=True, text=True, timeout=30, check=True, env={})
    except (OSError, subprocess.SubprocessError):
        raise ResolverFaultError(
            f"there is no interpreter {python} for engine hermes: make it with `make hermes`, or name another in"
            " engines.hermes.python"
        ) from None
    prefix, base, executable = ran.stdout.splitlines()[:3]
    places = (prefix, os.path.realpath(prefix), base, os.path.realpath(base), os.path.dirname(os.path.dirname(executable)))
    return tuple(dict.fromkeys(place for place in places if not Path(place).is_relative_to("/usr")))
