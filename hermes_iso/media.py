"""Files that go out with an answer: its `MEDIA:` lines, as Hermes writes them, opened where only the agent's own work lies.

The path is a guest's word, and the gateway may read more than the guest may. So a path counts only below the agent's workspace
and cache, as it is called inside, and is then followed from that directory on, name by name, each opened in the directory
before it and none through a symlink: what the agent moves meanwhile is not found, and nothing else is.
"""

from __future__ import annotations

import mimetypes
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
import trio

from hermes_iso.adapter import OutboundFile
from hermes_iso.agents import Agent
from hermes_iso.messages import Outbound
from hermes_iso.profiles import HERMES, WORKSPACE, Profile, is_within

FILE_BYTES = 50 << 20
"""Largest file that goes out, and the most that all files of an answer come to: what the largest platforms take."""
MOST_FILES = 10
MOST_MARKS = 100
"""Marks of an answer that are looked at, whether they name a file or not: to find where a path ends takes a while."""
PATH_CHARS = 4_096
_MARK = re.compile(r"MEDIA:[ \t]*", re.IGNORECASE)
_EXAMPLES = re.compile(r"^```.*?^```|^>.*?$|(?<!`)`[^`\n]+`", re.MULTILINE | re.DOTALL)
_IN_JSON = re.compile(r'[:,{\[][ \t]*"[^"\n]*\Z')
_WORD = re.compile(r"\S+")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")
_AFTER = "`\"',.;:)}]"
_DIRECTIVES = ("[[audio_as_voice]]", "[[as_document]]")


@dataclass(frozen=True, slots=True)
class Media:
    """An answer's text without the marks of the files that go out with it, and why others do not."""

    text: str
    files: tuple[OutboundFile, ...] = ()
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Mark:
    """One `MEDIA:` of a text, from `start` to `end`."""

    start: int
    end: int
    path: str


class RefusedError(Exception):
    """A file does not go out; the text says why, without a word of what is on the host."""


async def with_files(agent: Agent | None, outbound: Outbound) -> tuple[Outbound, tuple[OutboundFile, ...]]:
    """Return an answer as it goes to a chat, and its files. agent: whose it is, None when it is not served any more."""
    if agent is None or outbound.error is not None:
        return outbound, ()
    media = await media_of(agent.profile, outbound.text)
    for complaint in media.complaints:
        structlog.get_logger().warning("file_not_sent", turn_id=outbound.turn_id, agent=outbound.agent, reason=complaint)
    return replace(outbound, text=media.text), media.files


async def media_of(profile: Profile, text: str) -> Media:
    """Read the files that a text names. A mark whose file can't go out stays in the text, for people to see."""
    if "media:" not in text.lower() and not any(each in text for each in _DIRECTIVES):
        return Media(text)
    return await trio.to_thread.run_sync(_read_all, profile, text)


def _read_all(profile: Profile, text: str) -> Media:
    """Do it, in a thread."""
    files: dict[str, OutboundFile] = {}
    complaints, gone, left = [], [], FILE_BYTES
    for mark in _marks(text):
        try:
            if mark.path not in files:
                if len(files) >= MOST_FILES:
                    raise RefusedError(f"an answer has {MOST_FILES} files at most")
                files[mark.path] = _read(profile, mark.path, left)
                left -= len(files[mark.path].content)
            gone.append(mark)
        except RefusedError as error:
            complaints.append(f"{mark.path[:200]!r}: {error}")
    for mark in reversed(gone):
        text = text[: mark.start] + text[mark.end :]
    for directive in _DIRECTIVES:
        text = text.replace(directive, "")
    return Media(re.sub(r"\n{3,}", "\n\n", text).strip(), tuple(files.values()), tuple(complaints))


def _marks(text: str) -> Iterator[_Mark]:
    """Yield the marks of a text, but for those that are examples: in code, in a quotation, in the text of some JSON."""
    examples = _EXAMPLES.finditer(text)
    example = next(examples, None)
    marks = 0
    for found in _MARK.finditer(text):
        start = found.start()
        while example is not None and example.end() <= start:
            example = next(examples, None)
        if example is not None and example.start() <= start:
            continue
        marks += 1
        if marks > MOST_MARKS:
            return
        line = text[max(text.rfind("\n", 0, start) + 1, start - PATH_CHARS) : start]
        path, end = _path_at(text, found.end())
        if path and not _IN_JSON.search(line):
            quoted = start > 0 and text[start - 1] in "`\"'" and text[end : end + 1] == text[start - 1]
            yield _Mark(start - quoted, end + quoted, path)


def _path_at(text: str, start: int) -> tuple[str, int]:
    """Return the path that begins at a place, and where it ends; an empty one where there is none.

    In quotes it is what they hold. Else it goes up to a word that ends like a file, so that it may have spaces, or is one word.
    """
    line = text[start : start + PATH_CHARS].partition("\n")[0]
    quote = line[:1]
    if quote and quote in "`\"'":
        path, closed, _ = line[1:].partition(quote)
        return (path.strip(), start + len(path) + 2) if closed else ("", start)
    if not line.startswith(("/", "~/")):
        return "", start
    first = 0
    for word in _WORD.finditer(line):
        end = word.start() + len(word[0].rstrip(_AFTER))
        first = first or end
        if _EXTENSION.search(line, max(end - 6, 0), end):
            return line[:end], start + end
    return line[:first], start + first


def _read(profile: Profile, path: str, room: int) -> OutboundFile:
    """Read one file. Raises RefusedError."""
    root, names = _place(profile, path)
    try:
        content = _read_below(root, names, room)
    except OSError as error:
        raise RefusedError(f"can't be opened as a file of the agent's own ({error.strerror})") from None
    name = "".join(filter(str.isprintable, names[-1]))[:200] or "file"
    return OutboundFile(name, mimetypes.guess_type(name)[0] or "application/octet-stream", content)


def _place(profile: Profile, path: str) -> tuple[Path, list[str]]:
    """Return the directory on the host below which a path inside lies, and the names from there on. Raises RefusedError."""
    inside = posixpath.normpath(path)
    for spelling in profile.spellings:
        if is_within(inside, spelling):
            inside = HERMES + inside[len(spelling) :]
    for place, root in _places(profile):
        if is_within(inside, place) and inside != place:
            return root, inside[len(place) + 1 :].split("/")
    raise RefusedError("does not lie in the agent's workspace or cache")


def _places(profile: Profile) -> Iterator[tuple[str, Path]]:
    """Yield the places inside from which files may go out, with where each lies on the host."""
    state = Path(profile.directories.get(".agent", profile.home / ".agent"))
    yield WORKSPACE, profile.workspace
    yield f"{HERMES}/workspace", profile.workspace
    yield f"{HERMES}/cache", Path(profile.directories.get("cache", profile.home / "cache"))
    for name in ("image_cache", "audio_cache"):
        yield f"{HERMES}/{name}", state / name
    for bind in profile.binds:
        if bind.target == profile.cwd:
            yield bind.target, Path(bind.source)


def _read_below(root: Path, names: list[str], room: int) -> bytes:
    """Return the bytes of a regular file below a directory, following no symlink. Raises OSError, RefusedError."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        file = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(file, "rb") as opened:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("is no regular file")
        content = opened.read(room + 1) if status.st_size <= room else b""
    if status.st_size > room or len(content) > room:
        raise RefusedError(f"is too large: the files of an answer may have {FILE_BYTES >> 20} MiB")
    return content
