"""What of an operator's `.gitconfig` an agent may have: who commits and how things look, and nothing that opens a door.

The agent's own HOME is not the operator's, so git inside knows no name. The rest of the file may hold tokens (in addresses and
headers), run programs (helpers, hooks, aliases with `!`) or lead to other files; so an allow list of sections is copied, and of
these only lines whose key and value are harmless.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_iso.chown import opened_directory
from hermes_iso.hermes.config_lines import digest
from hermes_iso.profile_files import UnreadableError, read_bounded

FILE = ".gitconfig"
HOME = "home"
"""The agent's HOME in its profile."""
_SECTIONS = frozenset(
    re.findall(r"\S+", "user init pull push fetch rebase merge diff color alias branch commit tag status log core")
)
_KEYS_OUT = re.compile(
    r"signingkey|sshcommand|askpass|hookspath|excludesfile|attributesfile|fsmonitor|gpgsign|worktree|template|editor|pager|tool"
    r"|external|textconv|driver|recursesubmodules",
    re.IGNORECASE,
)
_VALUES_OUT = re.compile(r"^\s*\"?\s*!|://[^/\s]*@|\\$")
_FRESH = f"{FILE}.hermes-iso"


def offered(real_home: Path) -> bytes:
    """Return what of an operator's .gitconfig is offered to agents, b"" for nothing."""
    try:
        text = (read_bounded(real_home / FILE) or b"").decode("utf-8")
    except (UnreadableError, UnicodeDecodeError):
        return b""
    kept: list[str] = []
    section, allowed = "", False
    for line in text.splitlines():
        heading = re.match(r"\s*\[\s*([\w.-]+)\s*(\"[^\"]*\")?\s*\]\s*([#;].*)?$", line)
        if heading:
            section, allowed = line.strip(), heading[1].lower() in _SECTIONS and not heading[2]
            continue
        setting = re.match(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*(.*)$", line)
        if not allowed or not setting or _KEYS_OUT.search(setting[1]) or _VALUES_OUT.search(setting[2]):
            continue
        if section:
            kept.append(section)
            section = ""
        kept.append(f"\t{setting[1]} = {setting[2]}")
    return "".join(f"{line}\n" for line in kept).encode("utf-8")


def is_wanted(home: Path) -> bool:
    """Say whether an agent's HOME has no .gitconfig and could get one."""
    try:
        with opened_directory(str(home)) as top, _home_of(top) as place:
            return place is None or not _exists(place, FILE)
    except OSError:
        return False


def put(home: Path, content: bytes) -> None:
    """Put a .gitconfig into an agent's HOME, made where it is missing, unless one is there. Raises OSError."""
    with opened_directory(str(home)) as top:
        owner = os.stat(".", dir_fd=top)
        with suppress(FileExistsError):
            os.mkdir(HOME, 0o700, dir_fd=top)
            if os.geteuid() == 0:
                os.chown(HOME, owner.st_uid, owner.st_gid, dir_fd=top, follow_symlinks=False)
        with _home_of(top) as place:
            if place is None or _exists(place, FILE):
                return
            _remove(place, _FRESH)
            descriptor = os.open(
                _FRESH, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=place
            )
            with os.fdopen(descriptor, "wb") as file:
                if os.geteuid() == 0:
                    owner = os.stat(".", dir_fd=place)
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.rename(_FRESH, FILE, src_dir_fd=place, dst_dir_fd=place)


def take_back(home: Path, written: str, *, made: bool) -> bool:
    """Remove the .gitconfig that was put there, if it is still the same, and the HOME that was made for it, if it is empty.

    written: its SHA-256. Returns False when the agent has changed it: then it stays.
    """
    with opened_directory(str(home)) as top:
        with _home_of(top) as place:
            if place is None:
                return True
            _remove(place, _FRESH)
            if _exists(place, FILE):
                if _digest(place) != written:
                    return False
                _remove(place, FILE)
        if made:
            with suppress(OSError):
                os.rmdir(HOME, dir_fd=top)
    return True


@contextmanager
def _home_of(top: int) -> Iterator[int | None]:
    """Open an agent's HOME, None where it is missing. Raises OSError where it is no directory, or a symlink to one."""
    try:
        place = os.open(HOME, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    except FileNotFoundError:
        yield None
        return
    try:
        yield place
    finally:
        os.close(place)


def _digest(place: int) -> str:
    """Return the SHA-256 of the .gitconfig, '' of anything that is no regular file."""
    fd = os.open(FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    with os.fdopen(fd, "rb") as file:
        return digest(file.read(1 << 20)) if stat.S_ISREG(os.fstat(fd).st_mode) else ""


def _exists(place: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _remove(place: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=place)
