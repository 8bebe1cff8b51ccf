"""The other side of the comparison: a warm process that takes every turn in a loop, with the same engines and no isolation.

It is what a gateway without sandboxes could be at best: nothing is started for a turn, and nothing is cleared away after it.
So it is unsound by intention, and it serves this benchmark alone.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from anyio.abc import UNIXSocketStream

from hermes_iso_sandbox import Lease
from hermes_iso_sandbox.system import guest_code
from hermes_iso_sandbox.zygote import Forked

_SERVE = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from hermes_iso_sandbox.guest.link import Link
from hermes_iso_sandbox.guest.turn import ENGINES
link = Link(socket.socket(fileno=int(sys.argv[2])))
while True:
    request = link.receive()
    link.send(ENGINES[request.engine](request, link))
"""


class WarmWorker:
    """The warm process. Its turns go one after the other over one stream; see `open_worker`."""

    def __init__(self, stream: UNIXSocketStream) -> None:
        self._stream = stream

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Give the next turn: a fresh reader and its counts, on the stream that stays."""
        yield Lease(Forked(0), self._stream, cast("Any", None))


@asynccontextmanager
async def open_worker(directory: Path, env: dict[str, str]) -> AsyncIterator[WarmWorker]:
    """Start the warm process in a directory; on leaving it is dead."""
    code = directory / "guest.zip"
    code.write_bytes(guest_code())
    ours, theirs = socket.socketpair()
    with theirs:
        argv = [sys.executable, "-I", "-S", "-B", "-c", _SERVE, str(code), str(theirs.fileno())]
        fds = [theirs.fileno()]
        process = subprocess.Popen(argv, pass_fds=fds, env=env, cwd=directory, stdin=subprocess.DEVNULL)
    try:
        async with await UNIXSocketStream.from_socket(ours) as stream:
            try:
                yield WarmWorker(stream)
            finally:
                process.kill()  # before the stream closes, of which it would complain
    finally:
        process.kill()
        process.wait()
