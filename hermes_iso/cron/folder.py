"""The files of an agent's jobs: `cron/jobs.json` read and written, and what its runs came to in `cron/output`.

The directory is the agent's: it may put anything there at any moment. So every step is opened beneath the one before it and
follows no symlink, only regular files are read and not more than a bound of them, a file is replaced as a whole or not at all,
and the lock that Hermes' own programs hold while they write is tried and never waited for.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from hermes_iso.history import clean_text
from hermes_iso.profiles import Profile
from hermes_iso.strict_json import JsonError, read_object

FILE_BYTES = 4 << 20
"""Largest jobs.json that is read."""
MOST_JOBS = 500
OUTPUTS_KEPT = 50
"""Outputs that are kept of each job."""
MOST_ENTRIES = 2_000
"""Entries of a directory that are looked at."""
LOCK_TRIES, LOCK_PAUSE = 5, 0.02
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
Records = list[Any]
Change = Callable[[Records], Records]
Stamp = tuple[int, int, int, int]
"""What tells a version of a file from the next one."""


class JobsFileError(Exception):
    """The jobs of an agent can't be read or written; says why, to be put behind the file's name."""


def stamp_of(profile: Profile) -> Stamp | None:
    """Return which version of the jobs' file there is, None where there is none."""
    try:
        with _folder(profile) as folder:
            found = os.stat("jobs.json", dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def read_records(profile: Profile) -> Records:
    """Return the records of an agent's jobs as they stand there. Raises JobsFileError."""
    try:
        with _folder(profile) as folder:
            return _read(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JobsFileError(_why(error)) from error


def change_records(profile: Profile, change: Change) -> None:
    """Put other records in the place of an agent's jobs. Raises JobsFileError; then nothing has changed."""
    try:
        with _folder(profile) as folder, _locked(folder):
            try:
                before = _read(folder)
            except FileNotFoundError:
                before = []
            after = change(before)
            now = datetime.now().astimezone().isoformat()
            content = json.dumps({"jobs": after, "updated_at": now}, indent=2, ensure_ascii=False)
            if len(content) > FILE_BYTES // 2:
                raise JobsFileError("has no room for more jobs; remove some")
            _replace(folder, "jobs.json", clean_text(content).encode())
    except OSError as error:
        raise JobsFileError(_why(error)) from error


def keep_output(profile: Profile, job: str, name: str, text: str) -> None:
    """Keep what a run of a job came to as `cron/output/JOB/NAME.md`, and only the latest of them. Raises JobsFileError."""
    try:
        with _folder(profile) as folder, _below(folder, "output") as outputs, _below(outputs, job) as own:
            _replace(own, f"{name}.md", clean_text(text).encode())
            for old in _names(own)[:-OUTPUTS_KEPT]:
                with suppress(OSError):
                    os.unlink(old, dir_fd=own)
    except OSError as error:
        raise JobsFileError(_why(error)) from error


def latest_output(profile: Profile, job: str, limit: int) -> str:
    """Return the beginning of a job's latest output, '' where there is none."""
    try:
        with _folder(profile) as folder, _opened(folder, "output") as outputs, _opened(outputs, job) as own:
            names = _names(own)
            return _content(own, names[-1], limit)[0].decode("utf-8", "replace") if names else ""
    except OSError:
        return ""


def _read(folder: int) -> Records:
    """Return the records in a directory. Raises OSError, JobsFileError."""
    content, longer = _content(folder, "jobs.json", FILE_BYTES)
    if longer:
        raise JobsFileError(f"is longer than {FILE_BYTES >> 20} MiB; remove jobs")
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        jobs = read_object(b'{"jobs":' + content + b"}" if content.startswith(b"[") else content or b"{}").get("jobs", [])
    except JsonError as error:
        raise JobsFileError(f"{error}; correct it") from None
    if not isinstance(jobs, list):
        raise JobsFileError("has no list of jobs; correct it")
    if len(jobs) > MOST_JOBS:
        raise JobsFileError(f"has more than {MOST_JOBS} jobs; remove some")
    return jobs


def _content(folder: int, name: str, limit: int) -> tuple[bytes, bool]:
    """Return the beginning of a regular file, and whether there is more. Raises OSError."""
    fd = os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = file.read(limit + 1)
    return content[:limit], len(content) > limit


def _names(folder: int) -> list[str]:
    """Return the names of the outputs in a directory, sorted."""
    with os.scandir(folder) as entries:
        seen = [entry.name for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
    return sorted(name for name in seen if name.endswith(".md"))


def _replace(folder: int, name: str, content: bytes) -> None:
    """Write a file under another name and put it in the place of the one there is. Raises OSError."""
    fresh = f".{secrets.token_hex(8)}.tmp"
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as writer:
            _give(file, folder)
            writer.write(content)
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=folder)
        raise


def _give(made: int, folder: int) -> None:
    """Let what was made belong to whom the directory belongs that it is in."""
    owner, own = os.fstat(folder), os.fstat(made)
    if (own.st_uid, own.st_gid) != (owner.st_uid, owner.st_gid):
        os.fchown(made, owner.st_uid, owner.st_gid)


@contextmanager
def _folder(profile: Profile) -> Iterator[int]:
    """Open an agent's directory of jobs, where it lay when the config was read. Raises OSError."""
    place = Path(profile.directories.get("cron", profile.home / "cron"))
    fd = os.open(place, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened(folder: int, name: str) -> Iterator[int]:
    """Open a directory in another one. Raises OSError when it is none, or a symlink."""
    fd = os.open(name, _DIRECTORY, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _below(folder: int, name: str) -> Iterator[int]:
    """Open a directory in another one, made where it is missing. Raises OSError."""
    made = False
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
        made = True
    with _opened(folder, name) as fd:
        if made:
            _give(fd, folder)
        yield fd


@contextmanager
def _locked(folder: int) -> Iterator[None]:
    """Hold the lock that Hermes' own programs hold while they write; without it where it is not to be had soon."""
    try:
        fd = os.open(".jobs.lock", os.O_RDWR | os.O_CREAT | _FILE, 0o600, dir_fd=folder)
    except OSError:
        yield
        return
    try:
        _give(fd, folder)
        for _ in range(LOCK_TRIES):
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(LOCK_PAUSE)
        yield
    finally:
        os.close(fd)


def _why(error: OSError) -> str:
    """Return what is told of an error."""
    return "leads elsewhere; put a regular file there" if error.errno == errno.ELOOP else f"can't be used ({error.strerror})"
