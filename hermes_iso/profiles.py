"""Profile: one home in Hermes' own layout, and the Confinement it maps to.

No directory that holds a file of the operator is ever bound writable, so `/hermes` inside is composed: each of the agent's own
directories is bound by itself, and the operator's files appear as generated copies. A cover over a name in a writable bind
would not do: the next rename on the host uncovers it.

Nor may a mount point ever be created inside a directory that the agent can write: who makes it would follow the agent's
symlinks with the host still in reach. So no bind's target lies inside a writable one, which `load_config` guarantees for the
paths that a config names. It guarantees as well that no agent can write where a bind's source is found, so that what was
checked then is what is bound now; `confinement` looks once more, for what an operator may have moved meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hermes_iso.credentials import Secret
from hermes_iso.envfile import EnvFile, parse_env
from hermes_iso.errors import ConfigError, Problem
from hermes_iso.held_names import HeldNames
from hermes_iso.profile_files import (
    CONFIG_LIMIT,
    FILE_LIMIT,
    TEXT_LIMIT,
    UnreadableError,
    config_inside,
    env_inside,
    read_bounded,
)
from hermes_iso_sandbox.confinement import Bind, Confinement, DataFile, Limits

HERMES = "/hermes"
WORKSPACE = "/workspace"
HOME = "/home/agent"
SHARED = "/shared"
"""Where directories that agents share appear inside, each under its name."""
SOUL = f"{HERMES}/SOUL.md"
AGENT_DIRECTORIES: Mapping[str, str] = {
    **{
        name: f"{HERMES}/{name}"
        for name in (
            "memories",
            "sessions",
            "skills",
            "plans",
            "cron",
            "cache",
            "sandboxes",
            "skins",
            ".agent",
        )
    },
    "workspace": WORKSPACE,
    "home": HOME,
}
"""The agent's own directories: name in the profile to path inside. All are writable and made where missing."""
OPERATOR_DIRECTORIES = ("hooks", "plugins")
"""The operator's directories that an agent may read, where they exist; one that a symlink stands for is not shown."""
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_NO_SYMLINK_BELOW = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/usr",
    "/etc",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    HERMES,
    WORKSPACE,
    HOME,
)


@dataclass(slots=True)
class _Generated:
    """The last generated config.yaml and what it was made from: parsing YAML for every turn would cost milliseconds."""

    source: bytes | None = None
    result: bytes = b""


@dataclass(frozen=True, slots=True)
class Profile:
    """One agent's home and all that the config says about its sandbox.

    home: the profile on the host, resolved; spellings: its absolute paths as notes may name it.
    cwd: where a turn starts, as a path inside.
    directories: where each of the agent's own directories really lies, as checked when the config was read; see
        `locate_directories`. One that leads elsewhere now is refused.
    binds: the config's further directories, at their own absolute paths.
    path: further PATH entries, before the system's.
    held: which names of `.env` stay on the trusted side.
    secrets: credentials that are put into requests outside of the sandbox; inside are their placeholders.
    soul_writable: whether turns may write SOUL.md; the file itself is bound then, which nothing inside can replace.
    fixed_uid: see `owners.fixed_uid`.
    """

    id: str
    home: Path
    cwd: str = WORKSPACE
    spellings: tuple[str, ...] = ()
    directories: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    path: tuple[str, ...] = ()
    held: HeldNames = field(default_factory=HeldNames)
    secrets: tuple[Secret, ...] = ()
    timezone: str = "UTC"
    limits: Limits = field(default_factory=Limits)
    background_timeout: float = 3600.0
    soul_writable: bool = False
    fixed_uid: int | None = None
    _generated: _Generated = field(default_factory=_Generated, repr=False, compare=False)

    @property
    def workspace(self) -> Path:
        """The agent's workspace on the host."""
        return Path(self.directories.get("workspace", self.home / "workspace"))

    @property
    def workplaces(self) -> tuple[str, ...]:
        """The paths inside that only the agent's tools write: all but memory and what the engine keeps for it."""
        own = (WORKSPACE, HOME, f"{HERMES}/skills", *((SOUL,) if self.soul_writable else ()))
        return (*own, *(bind.target for bind in self.binds if bind.writable))

    @property
    def env_visible(self) -> tuple[str, ...]:
        """The names in `.env` that reach the agent's turns, sorted, as the file stands now."""
        return tuple(sorted(name for name in self.read_env().values if name not in self.held))

    @property
    def env_held(self) -> tuple[str, ...]:
        """The names in `.env` that stay on the trusted side, sorted, as the file stands now."""
        return tuple(sorted(name for name in self.read_env().values if name in self.held))

    def read_env(self) -> EnvFile:
        """Read the profile's `.env` as it stands now. Raises ConfigError when it can't be read."""
        return parse_env((self._read(".env") or b"").decode("utf-8", "replace"))

    def ensure_directories(self) -> None:
        """Make the home and the agent's own directories where they are missing, 0700, following no symlink.

        Raises ConfigError when something else is in the way, or a symlink leads elsewhere than when the config was read.
        """
        try:
            for place in (*reversed(self.home.parents), self.home):
                place.mkdir(mode=0o700, exist_ok=True)
            home = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._refusal("", f"can't be used as a home ({error.strerror}); correct the path") from error
        try:
            for name in AGENT_DIRECTORIES:
                self._ensure_directory(home, name)
        finally:
            os.close(home)

    def _ensure_directory(self, home: int, name: str) -> None:
        try:
            mode = os.stat(name, dir_fd=home, follow_symlinks=False).st_mode
        except FileNotFoundError:
            try:
                os.mkdir(name, 0o700, dir_fd=home)
            except OSError as error:
                raise self._refusal(name, f"can't be made ({error.strerror}); correct the permissions") from error
            return
        if stat.S_ISLNK(mode):
            real = os.path.realpath(self.home / name)
            if real != self.directories.get(name) or not os.path.isdir(real):
                raise self._refusal(name, f"leads to {real}, which was not checked; restart, or remove the symlink")
        elif not stat.S_ISDIR(mode):
            raise self._refusal(name, "is not a directory, but the agent needs one there; move it away")

    def confinement(self) -> Confinement:
        """Return what a turn of this agent may touch, from the files as they stand now; makes missing directories.

        Raises ConfigError when a file or directory of the profile can't be used, or a bind's source is not what it was
        when the config was read.
        """
        self.ensure_directories()
        binds = (*self._own_binds(), *self.binds)
        self._check_unmoved(binds)
        binds += self._soul_bind()
        values = self.read_env().values
        return Confinement(
            home=self.home,
            name=self.id,
            binds=binds,
            files=self._files(values),
            symlinks=self._symlinks(),
            env=(
                ("HOME", HOME),
                ("USER", "agent"),
                ("LANG", "C.UTF-8"),
                ("PATH", ":".join((*self.path, *SYSTEM_PATH))),
                ("TERM", "dumb"),
                ("TZ", self.timezone),
                ("HERMES_HOME", HERMES),
                ("HERMES_ISO_AGENT", self.id),
                *((secret.name, secret.placeholder) for secret in self.secrets),
            ),
            env_file=f"{HERMES}/.env",
            cwd=self.cwd,
            limits=self.limits,
            uid=self.fixed_uid,
            background_timeout=self.background_timeout,
        )

    def _own_binds(self) -> tuple[Bind, ...]:
        own = [
            Bind(self.directories.get(name, str(self.home / name)), target, writable=True)
            for name, target in AGENT_DIRECTORIES.items()
        ]
        own += [
            Bind(str(self.home / name), f"{HERMES}/{name}")
            for name in OPERATOR_DIRECTORIES
            if os.path.isdir(self.home / name) and not os.path.islink(self.home / name)
        ]
        return tuple(own)

    def _soul_bind(self) -> tuple[Bind, ...]:
        """Return the bind of a SOUL.md that turns may write, made empty where it is missing; it may be no symlink."""
        if not self.soul_writable:
            return ()
        path = self.home / "SOUL.md"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._refusal("SOUL.md", f"can't be written ({error.strerror}); put a regular file there") from error
        try:
            status = os.fstat(file)
        finally:
            os.close(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise self._refusal("SOUL.md", "must be a regular file with one name to be written by the agent; replace it")
        if self.fixed_uid not in (None, status.st_uid):
            message = (
                f"belongs to uid {status.st_uid}, and the agent's files to {self.fixed_uid}: chown {self.fixed_uid} {path}"
            )
            raise self._refusal("SOUL.md", message)
        return (Bind(str(path), SOUL, writable=True, inode=status.st_ino),)

    def _check_unmoved(self, binds: tuple[Bind, ...]) -> None:
        """Refuse a source that no longer lies where it did: each place on its way must be a directory and no symlink.

        That says as much as comparing real paths, but looks only once at what the sources have in common.
        """
        good = {"/"}
        for bind in binds:
            place = bind.source
            while place not in good:
                found = _other_than_directory(place)
                if found:
                    message = f"is not what was checked: {place} {found} now; put the directory back, or restart the gateway"
                    raise ConfigError([Problem(bind.source, 1, bind.target, message)])
                good.add(place)
                place = os.path.dirname(place)

    def _files(self, values: Mapping[str, str]) -> tuple[DataFile, ...]:
        config = self._read("config.yaml", CONFIG_LIMIT) or b""
        if config != self._generated.source:
            self._generated.source, self._generated.result = config, config_inside(config)
        files = [
            DataFile(f"{HERMES}/.env", env_inside(values, self.held)),
            DataFile(f"{HERMES}/config.yaml", self._generated.result),
        ]
        soul = None if self.soul_writable else self._read("SOUL.md")
        if soul is not None:
            files.append(DataFile(SOUL, soul[:TEXT_LIMIT]))
        return tuple(files)

    def _symlinks(self) -> tuple[tuple[str, str], ...]:
        links = [(f"{HERMES}/workspace", WORKSPACE), (f"{HERMES}/home", HOME)]
        links += [(path, HERMES) for path in self.spellings if not is_within(path, *_NO_SYMLINK_BELOW)]
        return tuple(links)

    def _read(self, name: str, limit: int = FILE_LIMIT) -> bytes | None:
        try:
            return read_bounded(self.home / name, limit)
        except UnreadableError as error:
            raise self._refusal(name, str(error)) from error

    def _refusal(self, name: str, message: str) -> ConfigError:
        return ConfigError([Problem(str(self.home / name), 1, name or "home", message)])


def locate_directories(home: Path) -> dict[str, str]:
    """Return where each of the agent's own directories really lies: an operator may have put a symlink in its place."""
    return {name: os.path.realpath(home / name) for name in AGENT_DIRECTORIES}


def _other_than_directory(path: str) -> str:
    """Say what is at a path instead of a directory, or ''; a symlink to one is something else."""
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        return f"can't be found ({error.strerror})"
    return "" if stat.S_ISDIR(mode) else "is a symlink" if stat.S_ISLNK(mode) else "is no directory"


def is_within(path: str, *places: str) -> bool:
    """Say whether an absolute, normalised path is one of `places` or lies below one."""
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)
