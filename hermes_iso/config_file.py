"""ConfigFile: a home's config.yaml, to be changed by a program: read once, written as a whole or not at all."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.config.problems import ProblemList
from hermes_iso.config.yaml_text import Document, parse_document
from hermes_iso.errors import UsageError
from hermes_iso.profile_files import UnreadableError, read_bounded

PATIENCE = 10.0
"""Seconds to wait for another command that changes the same config; none takes that long."""
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config.yaml as it was read. `path`: where it is found; `target`: the file itself, where a symlink leads to it.

    content: None when there is no file yet.
    """

    path: Path
    target: Path
    content: bytes | None

    @property
    def text(self) -> str:
        """What it says, without a byte order mark. Raises UsageError when it is not UTF-8."""
        try:
            return (self.content or b"").removeprefix(codecs.BOM_UTF8).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is not UTF-8: save it as UTF-8.") from error

    def document(self) -> Document:
        """Return what it means, with the lines; without what is wrong, which `load_config` tells."""
        return parse_document(self.text, str(self.path), problems=ProblemList())

    def replace(self, text: str) -> None:
        """Put a new text in its place, with the mode and owner that it had; a reader finds the old one or the new one, whole.

        Raises UsageError when somebody changed the file meanwhile, or it can't be written; then it is as it was.
        """
        self.put(self.encoded(text))

    def encoded(self, text: str) -> bytes:
        """Return a text as the file's content, with the byte order mark that it had."""
        mark = codecs.BOM_UTF8 if (self.content or b"").startswith(codecs.BOM_UTF8) else b""
        return mark + text.encode("utf-8")

    def put(self, content: bytes) -> None:
        """Put a new content in its place; see `replace`."""
        beside = self.target.with_name(f".{self.target.name}.{secrets.token_hex(6)}")
        try:
            self._write(beside, content)
            if _read(self.path) != self.content:
                raise UsageError(f"{self.path} was changed by somebody else meanwhile: nothing was written, try again.")
            os.replace(beside, self.target)
            _sync(self.target.parent)
        except OSError as error:
            raise UsageError(f"{self.path} can't be written ({error.strerror}): nothing was changed.") from error
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()

    def _write(self, beside: Path, content: bytes) -> None:
        """Write the new file with the old one's mode and owner; a first one is its home's owner's alone."""
        like = os.stat(self.target if self.content is not None else self.target.parent)
        mode = like.st_mode & 0o7777 if self.content is not None else 0o600
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)


def read_config_file(home: Path) -> ConfigFile:
    """Read a home's config.yaml to see what it says. Raises UsageError when it can't be read."""
    path = home / "config.yaml"
    return ConfigFile(path, Path(os.path.realpath(path)), _read(path))


@contextmanager
def open_config(home: Path, *, patience: float = PATIENCE) -> Iterator[ConfigFile]:
    """Read a home's config.yaml to change it, one command at a time: a second one waits, `patience` seconds at most.

    Raises UsageError, also when the file can't be read.
    """
    try:
        directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{home} can't be used as a home ({error.strerror}): make one with hermes-iso init.") from error
    try:
        _lock(directory, home, patience)
        _remove_stale(Path(os.path.realpath(home / "config.yaml")))
        yield read_config_file(home)
    finally:
        os.close(directory)


def _remove_stale(target: Path) -> None:
    """Remove what commands that were killed while they wrote left beside a file; who holds the lock is the only writer."""
    with suppress(OSError):
        for name in os.listdir(target.parent):
            if re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{12}}", name):
                target.with_name(name).unlink()


def _lock(directory: int, home: Path, patience: float) -> None:
    """Take the lock on changing a home's config. Raises UsageError when somebody else has it for too long."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise UsageError(f"Another command is changing {home / 'config.yaml'}: try again when it is done.") from None
            time.sleep(_PAUSE)
        else:
            return


def _read(path: Path) -> bytes | None:
    try:
        return read_bounded(path)
    except UnreadableError as error:
        raise UsageError(f"{path} {error}.") from error


def _sync(directory: Path) -> None:
    """Have the disk keep a directory's names."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
