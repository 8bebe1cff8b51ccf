"""The operator's token files: locked as Hermes locks them while a login may be renewed, and written back where it was.

A login's token that was used to get the next one is worth nothing any more. So whoever renews it must be alone, and what
came of it must be on disk before anybody else looks: Hermes' own command line shares these files.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from hermes_iso.hermes.resolved import ResolverFaultError

LOCK_TIMEOUT = 15.0
"""Seconds to wait for another process that holds the token files; Hermes waits as long."""
_RETRY = 0.05
_TOKEN_NAMES = frozenset({"access_token", "refresh_token", "agent_key", "id_token"})
_LONGEST = 1 << 20


@asynccontextmanager
async def locked(files: Mapping[str, Path]) -> AsyncIterator[None]:
    """Hold the locks of the files that exist while the body runs, the profile's first. Raises ResolverFaultError."""
    with ExitStack() as stack:
        for path in files.values():
            if path.is_file():
                await _lock(path.with_suffix(".lock"), path, stack)
        yield


async def _lock(lock: Path, beside: Path, stack: ExitStack) -> None:
    """Take one lock; its file belongs to whoever the token file belongs to, else their Hermes could not open it."""
    owner = beside.stat()
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise ResolverFaultError(f"{lock} can't be opened ({error.strerror})") from error
    stack.callback(os.close, descriptor)
    found = os.fstat(descriptor)
    if found.st_uid != owner.st_uid and os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    with trio.move_on_after(LOCK_TIMEOUT):
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            await trio.sleep(_RETRY)
    raise ResolverFaultError(f"another process has held {lock} for {LOCK_TIMEOUT:g} seconds: try again")


def write_back(files: Mapping[str, Path], before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Path, ...]:
    """Write the files in which a login got new tokens, and return them; all others stay as they are. Raises ResolverFaultError.

    before, after: their contents by the names that `files` has. Nothing is written that takes tokens away: what a failed
    renewal makes of them is for Hermes' own commands to say.
    """
    written = []
    for name, path in files.items():
        new = after.get(name, "")
        if name in before and len(new) <= _LONGEST and _tokens(new) - _tokens(before[name]):
            try:
                _replace(Path(os.path.realpath(path)), new.encode())
            except OSError as error:
                raise ResolverFaultError(f"the renewed login can't be written to {path} ({error.strerror})") from error
            written.append(path)
    return tuple(written)


def _replace(path: Path, content: bytes) -> None:
    """Put other contents in place of a file's at once, under its mode and owner."""
    status = path.stat()
    beside = path.with_name(f"{path.name}.tmp.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def login_hosts(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the addresses of login services that token files themselves name."""
    return tuple(
        value
        for text in texts.values()
        for name, value in _pairs(_parsed(text))
        if name == "portal_base_url" and isinstance(value, str)
    )


def _tokens(text: str) -> set[str]:
    """Return the tokens in a file's contents."""
    return {value for name, value in _pairs(_parsed(text)) if name in _TOKEN_NAMES and isinstance(value, str) and value}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of nested JSON with its value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item.items()
            pending += item.values()
        elif isinstance(item, list):
            pending += item
