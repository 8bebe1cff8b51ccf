"""The admin socket itself: where it lies, how it is bound and reached, who connected, and the lines that cross it."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import trio

NAME = "admin.sock"
LINE_LIMIT = 1 << 20
"""Longest line either way, in bytes."""
MAX_FDS = 3


class AdminProtocolError(Exception):
    """The other side broke the rules of the lines; the text is one sentence."""


@contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """Give a short path of the socket: an address holds 108 bytes at most, and a home's path may be longer."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


def bind_admin(directory: Path) -> trio.socket.SocketType:
    """Bind and listen, 0600, in place of what an earlier gateway left: whoever calls this holds the home's lock."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reachable(directory) as path:
            with suppress(FileNotFoundError):
                os.unlink(path)
            sock.bind(path)
            os.chmod(path, 0o600)
        sock.listen(16)
    except BaseException:
        sock.close()
        raise
    return trio.socket.from_stdlib_socket(sock)


async def connect_admin(directory: Path) -> trio.SocketStream | None:
    """Connect to the gateway of a home; None when there is none. Raises OSError when it may not be reached."""
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reachable(directory) as path:
            await sock.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def peer_uid(stream: trio.SocketStream) -> int:
    """Return the uid of the process that connected, as the kernel knows it."""
    return _peer(stream)[1]


def peer_pid(stream: trio.SocketStream) -> int:
    """Return the pid of the process at the other end, as the kernel knows it; 0 when it is of another pid namespace."""
    return _peer(stream)[0]


def _peer(stream: trio.SocketStream) -> tuple[int, int, int]:
    """Return pid, uid and gid of the other end. Source: unix(7)."""
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", credentials)
    return pid, uid, gid


async def receive_request(stream: trio.SocketStream, fds: list[int]) -> dict[str, Any]:
    """Read the one line of a request; descriptors that come with it are added to `fds`, for the caller to close.

    Raises AdminProtocolError.
    """
    data = bytearray()
    while b"\n" not in data:
        size = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
        chunk, ancillary, flags, _ = await stream.socket.recvmsg(1 << 16, size, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                fds.extend(numbers)
        if flags & socket.MSG_CTRUNC or len(fds) > MAX_FDS:
            raise AdminProtocolError(f"A request carries at most {MAX_FDS} descriptors.")
        data += chunk
        if not chunk or len(data) > LINE_LIMIT:
            raise AdminProtocolError(f"A request is one line of JSON of at most {LINE_LIMIT} bytes.")
    return _decoded(bytes(data).partition(b"\n")[0])


async def send_request(stream: trio.SocketStream, request: dict[str, Any], fds: tuple[int, ...]) -> None:
    """Send a request, its descriptors with the first byte."""
    line = json.dumps(request).encode() + b"\n"
    sent = 0
    if fds:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        sent = await stream.socket.sendmsg([line], [rights])
    await stream.send_all(line[sent:])


class Lines:
    """Reads lines of JSON objects from a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = bytearray()

    async def receive(self) -> dict[str, Any] | None:
        """Return the next object, or None at the end. Raises AdminProtocolError, trio.BrokenResourceError."""
        while b"\n" not in self._data:
            chunk = await self._stream.receive_some(1 << 16)
            if not chunk:
                return None
            self._data += chunk
            if len(self._data) > 4 * LINE_LIMIT:
                raise AdminProtocolError("The gateway sent a line that is too long.")
        line, _, rest = bytes(self._data).partition(b"\n")
        self._data = bytearray(rest)
        return _decoded(line)


def _decoded(line: bytes) -> dict[str, Any]:
    """Return the object in a line."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise AdminProtocolError("A line must be a JSON object.") from None
    if not isinstance(value, dict):
        raise AdminProtocolError("A line must be a JSON object.")
    return value
