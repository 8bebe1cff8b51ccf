"""Which processes have files open: a database must not be moved under a program that works on it."""

from __future__ import annotations

import os
from collections.abc import Collection


def processes_with(files: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
    """Return (pid, program) of each process, as far as this user may see it, that has one of these (device, inode) open."""
    pids = (entry for entry in os.listdir("/proc") if entry.isdecimal() and int(entry) != os.getpid())
    return [(int(pid), _program(pid)) for pid in pids if _has_one(pid, files)]


def _has_one(pid: str, files: Collection[tuple[int, int]]) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            return any((status.st_dev, status.st_ino) in files for entry in entries if (status := _status(entry)) is not None)
    except OSError:
        return False


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:
        return None


def _program(pid: str) -> str:
    """Return what a process is called, for people."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return "".join(filter(str.isprintable, file.read(64)))
    except OSError:
        return "a process"
