"""backup and restore: a whole home in one file, taken while its gateway runs.

Each of the gateway's databases is copied by SQLite itself, so that it is as it was at one moment whoever writes to it. Every
other file is taken as it stands, an agent's own databases too: what an agent wrote is never opened as a database here. No
symlink is followed, whatever is moved meanwhile; sockets, FIFOs and the lock are left out. The archive is a tar.gz and appears
under its name when it is whole.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import stat
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from hermes_iso.errors import UsageError
from hermes_iso.home_lock import DIRECTORY, LOCK

TOP = "home"
"""What everything in an archive lies below."""
_BESIDE = ("-wal", "-shm", "-journal")
_LEFT_OUT = frozenset({LOCK, "admin.sock"})


@dataclass(frozen=True, slots=True)
class Saved:
    """What an archive holds: files, databases among them, and how many bytes it is long."""

    files: int
    databases: int
    size: int


def back_up(home: Path, archive: Path) -> Saved:
    """Write a home into an archive that does not exist yet. Raises UsageError."""
    if not (home / "config.yaml").is_file():
        raise UsageError(f"{home} is no home: it has no config.yaml. Name another --home.")
    if os.path.lexists(archive):
        raise UsageError(f"{archive} exists already: name another file.")
    fresh = archive.with_name(f".{archive.name}.{secrets.token_hex(8)}.tmp")
    files = databases = 0
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as tar:
                for path, folders, names, folder in os.fwalk(home, follow_symlinks=False):
                    place = os.path.join(TOP, os.path.relpath(path, home)).removesuffix("/.")
                    found = _add_folder(tar, folder, place, [*folders, *names], fresh)
                    files, databases = files + found[0], databases + found[1]
            os.fsync(stream.fileno())
        os.link(fresh, archive)
    except FileExistsError:
        raise UsageError(f"{archive} exists already: name another file.") from None
    except apsw.Error as error:
        raise UsageError(f"A database of {home} can't be copied ({error}): try again.") from error
    except OSError as error:
        raise UsageError(f"{archive} can't be written ({error.strerror}): choose another place.") from error
    finally:
        with suppress(OSError):
            fresh.unlink()
    return Saved(files, databases, archive.stat().st_size)


def bring_back(archive: Path, home: Path) -> int:
    """Unpack an archive into a home that is not there, or is empty; returns how many files. Raises UsageError."""
    if os.path.lexists(home) and (not home.is_dir() or any(home.iterdir())):
        raise UsageError(f"{home} is not empty, and restore overwrites nothing: move it away, or name another --home.")
    parent = home.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=parent))
    except OSError as error:
        raise UsageError(f"{parent} can't be written ({error.strerror}): name another --home.") from error
    try:
        count = _unpack(archive, place)
        with suppress(FileNotFoundError):
            home.rmdir()
        os.rename(place / TOP, home)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UsageError(f"{archive} can't be restored ({error}): is it a file that backup wrote?") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return count


def _unpack(archive: Path, place: Path) -> int:
    """Unpack an archive; nothing of it may lead out of the place. Raises OSError, tarfile.TarError."""
    with tarfile.open(archive, mode="r:gz") as tar:
        members = tar.getmembers()
        if not any(member.name == f"{TOP}/config.yaml" for member in members):
            raise tarfile.TarError("it holds no home")
        for member in members:
            if member.name != TOP and not member.name.startswith(f"{TOP}/"):
                raise tarfile.TarError(f"{member.name[:80]!r} lies outside of the home")
        tar.extractall(place, filter=_kept, numeric_owner=True)  # noqa: S202  see _kept
        return sum(member.isfile() for member in members)


def _kept(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """Let a member be restored with its permissions; a symlink is restored as such, and nothing is written through one."""
    if member.issym():
        return member
    return tarfile.tar_filter(member, place).replace(mode=member.mode & 0o777)


def _add_folder(tar: tarfile.TarFile, folder: int, place: str, names: list[str], but: Path) -> tuple[int, int]:
    """Add what lies in a directory, and itself; returns how many files, and how many of them are databases."""
    files = databases = 0
    tar.addfile(_info(os.fstat(folder), place, tarfile.DIRTYPE))
    for name in sorted(names):
        own = place.removeprefix(TOP).lstrip("/")
        if (own == DIRECTORY and name in _LEFT_OUT) or name == but.name:
            continue
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                info = _info(found, f"{place}/{name}", tarfile.SYMTYPE)
                info.linkname = os.readlink(name, dir_fd=folder)
                tar.addfile(info)
            elif stat.S_ISREG(found.st_mode):
                ours = own == DIRECTORY or own.startswith(f"{DIRECTORY}/")
                if ours and name.endswith(_BESIDE):
                    continue
                files += 1
                if ours and name.endswith(".db"):
                    databases += 1
                    _add_database(tar, folder, name, _info(found, f"{place}/{name}", tarfile.REGTYPE))
                else:
                    _add_file(tar, folder, name, f"{place}/{name}")
    return files, databases


def _info(found: os.stat_result, name: str, kind: bytes) -> tarfile.TarInfo:
    """Return what an archive says of a file."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, stat.S_IMODE(found.st_mode), int(found.st_mtime)
    info.uid, info.gid = found.st_uid, found.st_gid
    return info


def _add_file(tar: tarfile.TarFile, folder: int, name: str, at: str) -> None:
    """Add a file as it stands, as long as it was when it was opened."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode):
            info = _info(found, at, tarfile.REGTYPE)
            info.size = found.st_size
            tar.addfile(info, _Exactly(file, info.size))


class _Exactly(io.RawIOBase):
    """Reads a file that may grow or shrink meanwhile: exactly so many bytes, zeros where there are no more."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        self._left -= wanted
        return self._file.read(wanted).ljust(wanted, b"\0")


def _add_database(tar: tarfile.TarFile, folder: int, name: str, info: tarfile.TarInfo) -> None:
    """Add a database of the gateway's own as it is at one moment."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        source = apsw.Connection(f"/proc/self/fd/{folder}/{name}", flags=apsw.SQLITE_OPEN_READWRITE)
        target = apsw.Connection(str(copy))
        try:
            source.set_busy_timeout(10_000)
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(10_000)
        finally:
            target.close()
            source.close()
        with copy.open("rb") as file:
            info.size = copy.stat().st_size
            tar.addfile(info, file)
