"""Count what an agent's directories take up, in a confined process of the agent's own sandbox, bounded in every direction.

The tree belongs to somebody hostile, who may change it meanwhile. So nothing is ever opened by a path of more than one name,
no symlink is followed, no other file system entered, and the count ends early once it is over its bounds, at a depth that
no honest tree has, or when its time is up. A directory that its owner may not read is made readable for its owner: else
taking away that permission would hide what is in it. A file with several names counts once.

What has no name any more still takes up space while a process holds it open; `add_held_open` counts that, from /proc.
What remains: nameless files that are mapped but no longer open, on their way through a socket, or held by a process that made
itself undumpable, whose /proc entries the kernel then closes to everybody in the sandbox. They go with that process.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence

MOST_DEPTH = 200
BLOCK = 512


class Enough(Exception):  # noqa: N818  # not an error: the count is over
    """There is no more to find out: "bound" when a bound is passed, "depth" or "time" when the rest can't be counted."""


class Usage:
    """A running count: the bytes and inodes of what was met so far, the `roots` themselves and all below them."""

    def __init__(self, *, roots: Sequence[str], most_bytes: int, most_inodes: int, seconds: float) -> None:
        self.bytes = 0
        self.inodes = 0
        self._roots = roots
        self._most_bytes = most_bytes
        self._most_inodes = most_inodes
        self._deadline = time.monotonic() + seconds
        self._seen: set[tuple[int, int]] = set()

    def add_held_open(self) -> None:
        """Add what a process of this sandbox holds open on the roots' file systems and no directory names any more.

        To be called while /proc still shows the whole sandbox.
        """
        devices = {os.stat(root).st_dev for root in self._roots if os.path.isdir(root)}
        with contextlib.suppress(Enough):
            for process in filter(str.isdigit, os.listdir("/proc")):
                for found in _open_files(f"/proc/{process}/fd"):
                    if not found.st_nlink and stat.S_ISREG(found.st_mode) and found.st_dev in devices:
                        self._add(found)

    def add_trees(self) -> str:
        """Add the roots and everything below them; return "all", or why the count ended before that: see Enough."""
        try:
            self._check()
            for root in self._roots:
                self._add_tree(root)
        except Enough as enough:
            return str(enough)
        return "all"

    def report(self, output: int) -> None:
        """Count and write the result to a descriptor, as JSON."""
        counted = self.add_trees()
        os.write(output, json.dumps({"counted": counted, "bytes": self.bytes, "inodes": self.inodes}).encode())

    def _add_tree(self, root: str) -> None:
        """Add one tree, with one open directory for each level of it; a file by itself is a tree, too."""
        top = os.stat(root)
        if not stat.S_ISDIR(top.st_mode):
            self._add(top)
            return
        levels = [_Level(root)]
        try:
            self._add(top)
            while levels:
                entry = next(levels[-1].entries, None)
                if entry is None:
                    levels.pop().close()
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev == top.st_dev and self._add(found):
                        levels.append(_Level(entry.name, levels[-1].fd))
                except PermissionError as error:
                    if found.st_uid == os.getuid():  # somebody closes what was just opened up: then it is not known
                        raise Enough("time") from error
                except OSError:
                    continue  # it went away, or became something else, just now
                if len(levels) > MOST_DEPTH:
                    raise Enough("depth")
        finally:
            for level in levels:
                level.close()

    def _add(self, found: os.stat_result) -> bool:
        """Add a file or directory, unless it was added under another name; return whether it is a directory."""
        directory = stat.S_ISDIR(found.st_mode)
        named_once = directory or found.st_nlink == 1
        key = found.st_dev, found.st_ino
        if named_once or key not in self._seen:
            self.bytes += found.st_blocks * BLOCK
            self.inodes += 1
        if not named_once:
            self._seen.add(key)
        self._check()
        return directory

    def _check(self) -> None:
        """Raise Enough when there is nothing more to find out."""
        if self.bytes > self._most_bytes or self.inodes > self._most_inodes:
            raise Enough("bound")
        if time.monotonic() > self._deadline:
            raise Enough("time")


class _Level:
    """An open directory and what is left to read of it."""

    def __init__(self, name: str, parent: int | None = None) -> None:
        """Open the directory `name` in an open one, or by its path. Raises OSError."""
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            found = os.fstat(place)
            if found.st_mode & 0o500 != 0o500:
                with contextlib.suppress(PermissionError):  # not this agent's own: it can't hide anything there
                    os.chmod(f"/proc/self/fd/{place}", stat.S_IMODE(found.st_mode) | 0o500)
            self.fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
        finally:
            os.close(place)
        self.entries = os.scandir(self.fd)

    def close(self) -> None:
        """Let go of the directory."""
        self.entries.close()
        os.close(self.fd)


def _open_files(directory: str) -> Iterator[os.stat_result]:
    """Yield what the descriptors of a process stand for, while it lives."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):
                yield os.stat(f"{directory}/{name}")
