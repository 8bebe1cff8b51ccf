"""with_files: put what came with a message where its agent finds it, and say so in the message's text.

The agent may have put anything in the way, also a symlink: so each step is opened beneath the one before it, following none,
and a file is only ever made new. Its name is made here: of the sender's nothing stays but letters, digits and what stands
between them. A file is stored as it is, and never unpacked. How much may lie there is bounded.
"""

from __future__ import annotations

import os
import re
import secrets
import time
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import structlog
import trio

from hermes_iso.errors import AttachmentError
from hermes_iso.messages import Attachment, Inbound
from hermes_iso.profiles import Profile

FILE_BYTES = 20 << 20
"""Largest file that is taken."""
INBOX_BYTES, INBOX_FILES = 512 << 20, 500
"""What an agent's inbox may hold, in bytes and files."""
FETCH_TIMEOUT = 120.0
"""Seconds for a file to come."""
MOST_FILES = 20
"""Files of one message that are taken."""
INSIDE = "/hermes/cache/inbox"
"""Where an agent finds its files."""
_OTHER = re.compile(r"[^\w.\- ]+")
_NAME_BYTES = 100
Fetch: TypeAlias = Callable[[Attachment, int], Awaitable[bytes]]


async def with_files(inbound: Inbound, profile: Profile, fetch: Fetch) -> Inbound:
    """Return a message that says where its files are, for those that could be had, and why not for the others.

    fetch: returns an attachment's contents, given the most bytes that are taken. Raises AttachmentError.
    """
    if not inbound.attachments:
        return inbound
    lines = [await _taken(each, profile, fetch) for each in inbound.attachments[:MOST_FILES]]
    if len(inbound.attachments) > MOST_FILES:
        lines.append(f"[{len(inbound.attachments) - MOST_FILES} more files were not taken: {MOST_FILES} are taken at a time]")
    text = "\n".join(filter(None, (inbound.text, *lines)))
    return replace(inbound, text=text, attachments=())


async def _taken(attachment: Attachment, profile: Profile, fetch: Fetch) -> str:
    """Take one file; returns the line that tells the agent of it."""
    name = safe_name(attachment.name, attachment.kind)
    try:
        if (attachment.size or 0) > FILE_BYTES:
            raise AttachmentError(f"it is larger than the {FILE_BYTES >> 20} MiB that are taken")
        with trio.move_on_after(FETCH_TIMEOUT) as scope:
            content = await fetch(attachment, FILE_BYTES)
        if scope.cancelled_caught:
            raise AttachmentError("it took too long to come")
        stored = await trio.to_thread.run_sync(_store, profile, name, content)
    except AttachmentError as error:
        return f"[{attachment.kind} {name} was not taken: {error}]"
    except OSError as error:
        structlog.get_logger().warning("file_not_stored", agent=profile.id, error=error.strerror)
        return f"[{attachment.kind} {name} was not taken: it could not be stored]"
    return f"[{attachment.kind} {INSIDE}/{stored} ({len(content)} bytes)]"


def safe_name(name: str, kind: str) -> str:
    """Return a name for a file, in which nothing can be a path, hide, or turn round what stands beside it."""
    plain = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    plain = "".join(character for character in plain if unicodedata.category(character)[0] not in "CM")
    plain = _OTHER.sub("_", plain).strip(" ._-")
    stem, dot, suffix = plain.rpartition(".")
    if dot and 0 < len(suffix) <= 10 and suffix.isascii():
        return f"{_short(stem, _NAME_BYTES - 12)}.{suffix}"
    return _short(plain, _NAME_BYTES) or re.sub(r"\W", "_", kind)[:20] or "file"


def _short(text: str, limit: int) -> str:
    """Cut a text to so many bytes."""
    return text.encode()[:limit].decode(errors="ignore")


def _store(profile: Profile, name: str, content: bytes) -> str:
    """Write a file into the agent's inbox; returns its name there. Raises OSError, AttachmentError."""
    profile.ensure_directories()
    cache = os.open(Path(profile.directories.get("cache", profile.home / "cache")), _DIRECTORY & ~os.O_NOFOLLOW)
    try:
        inbox = _below(cache, "inbox")
    finally:
        os.close(cache)
    try:
        _check_room(inbox, len(content))
        stored = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}-{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(stored, flags, 0o600, dir_fd=inbox)
        with os.fdopen(file, "wb") as writer:
            _give(file, inbox)
            writer.write(content)
        return stored
    finally:
        os.close(inbox)


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _below(folder: int, name: str) -> int:
    """Open a directory in another one, made where it is missing. Raises OSError when it is none, or a symlink."""
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return os.open(name, _DIRECTORY, dir_fd=folder)
    made = os.open(name, _DIRECTORY, dir_fd=folder)
    _give(made, folder)
    return made


def _give(made: int, folder: int) -> None:
    """Let what was made belong to whom the directory belongs that it is in."""
    owner, own = os.fstat(folder), os.fstat(made)
    if (own.st_uid, own.st_gid) != (owner.st_uid, owner.st_gid):
        os.fchown(made, owner.st_uid, owner.st_gid)


def _check_room(inbox: int, size: int) -> None:
    """Raise AttachmentError when the inbox holds as much as it may."""
    count = used = 0
    with os.scandir(inbox) as entries:
        for entry in entries:
            count += 1
            used += entry.stat(follow_symlinks=False).st_size
            if count >= INBOX_FILES or used + size > INBOX_BYTES:
                raise AttachmentError(f"{INSIDE} is full: remove files there that are not needed any more")
