"""Start bwrap and hold its processes: the outer one, which is ours to reap, and the sandbox's pid 1, whose death is the proof.

bwrap is started from this thread, never from a helper thread: `--die-with-parent` follows the thread that forked, and a pool of
threads would end sandboxes at random. Its environment is empty, because pid 1 of a sandbox shows the launcher's in /proc, and
its arguments travel through a descriptor, because argv is public on both sides.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from typing import IO

import anyio

from hermes_iso_sandbox.bwrap import CODE_TARGET, Plan, System, plan
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError, UnsupportedSandboxError
from hermes_iso_sandbox.identity import identify
from hermes_iso_sandbox.last_words import last_words

ERROR_BYTES = 1 << 14
INFO_TIMEOUT = 20.0


def find_bwrap() -> str:
    """Return bwrap's path. Raise UnsupportedSandboxError with the fix when it is not installed."""
    path = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
    if path is None:
        raise UnsupportedSandboxError("bubblewrap is not installed. On Debian or Ubuntu: sudo apt-get install bubblewrap")
    return path


@dataclass(slots=True)
class Launched:
    """A started sandbox: bwrap, its stderr, the control socket's host end, and a pidfd of its pid 1 once that is known."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    errors: IO[bytes]
    info_fd: int
    plan: Plan
    init_pidfd: int | None = None
    last_words: str = ""
    ended: bool = False
    ending: anyio.Lock = field(default_factory=anyio.Lock)

    async def find_init(self) -> None:
        """Learn the sandbox's pid 1 from bwrap. Raise SandboxError with bwrap's own words when it gave up instead.

        Shielded: until its parent tells it to go on, pid 1 waits for ever, and nothing but its number could end it then.
        """
        text = b""
        with open(self.info_fd, "rb") as info, anyio.CancelScope(shield=True), anyio.move_on_after(INFO_TIMEOUT):
            self.info_fd = -1
            while True:
                await anyio.wait_readable(info)
                piece = os.read(info.fileno(), 1 << 12)
                if not piece:
                    break
                text += piece
        if text:
            with contextlib.suppress(ProcessLookupError):
                self.init_pidfd = os.pidfd_open(json.loads(text)["child-pid"])
        if self.init_pidfd is None:
            await self.end()
            raise SandboxError(f"The sandbox did not start: {self.last_words}")

    async def end(self) -> None:
        """Kill the whole sandbox and return when nothing of it lives. Shielded: cancelling does not leave it half dead."""
        with anyio.CancelScope(shield=True):
            async with self.ending:
                if not self.ended:
                    await self._end()
                    self.ended = True

    async def _end(self) -> None:
        """Kill, wait, reap, and take in the last words."""
        pidfds = [os.pidfd_open(self.process.pid)]  # a zombie until process.wait(), so the number is still its own
        if self.init_pidfd is not None:
            pidfds.append(self.init_pidfd)
        for fd in pidfds:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        for fd in pidfds:
            await anyio.wait_readable(fd)
            os.close(fd)
        self.process.wait()
        self._keep_last_words()
        if self.info_fd >= 0:
            os.close(self.info_fd)

    def _keep_last_words(self) -> None:
        """Keep the beginning of what bwrap and the zygote said on stderr, on one line."""
        with self.errors:
            os.set_blocking(self.errors.fileno(), False)
            self.last_words = last_words(self.errors.read(ERROR_BYTES) or b"")


def start(confinement: Confinement, system: System, code: bytes, uid: int) -> Launched:
    """Start the sandbox of a confinement. Blocks for about a millisecond, and raises UnsupportedSandboxError without bwrap."""
    ours, theirs = socket.socketpair()
    info_read, info_write = os.pipe()
    # bwrap holds the reading end too: else, with the gateway gone, telling its pid would fail and leave that process waiting.
    fds: list[int] = [theirs.fileno(), info_read, info_write]
    memory: list[int] = []
    try:
        identity = identify(confinement, system, uid)
        steps = plan(identity.confinement, identity.system, theirs.fileno())
        arguments = ["--info-fd", str(info_write), *steps.arguments]
        for target, content in ((CODE_TARGET, code), *steps.files):
            memory.append(memory_file(content))
            arguments += ["--perms", "0644", "--ro-bind-data", str(memory[-1]), target]
        arguments += ["--remount-ro", "/dev", "--remount-ro", "/"]
        memory.append(memory_file(b"".join(word.encode() + b"\0" for word in arguments)))
        argv = [find_bwrap(), "--args", str(memory[-1]), "--", *steps.command]
        if identity.prefix:
            memory.append(memory_file(identity.order))
            argv = [*identity.prefix, str(memory[-1]), *argv]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            pass_fds=[*fds, *memory],
            cwd="/",
        )
    except BaseException:
        ours.close()
        os.close(info_read)
        raise
    finally:
        theirs.close()
        for fd in (info_write, *memory):
            os.close(fd)
    assert process.stderr is not None
    return Launched(process=process, control=ours, errors=process.stderr, info_fd=info_read, plan=steps)


def memory_file(content: bytes) -> int:
    """Return a descriptor of a memory file at its beginning."""
    fd = os.memfd_create("hermes-iso")
    with open(os.dup(fd), "wb") as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
