"""Confinement: what the processes of one profile may touch. Frozen data without behaviour; the pool is keyed by it.

A confinement never changes. What one turn may do less than its sandbox allows is a second value, `Narrowing`: it travels with
the turn's request and is defined beside that, in `wire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LAYERS = frozenset({"seccomp", "landlock", "capabilities", "proc", "pid", "init", "net", "ipc", "tmp", "system", "descriptors"})
"""What `Confinement.without` may name, each one layer of a turn:

seccomp: the system call filter. landlock: its rules. capabilities: giving them up, no_new_privs, no further user namespace.
proc: a /proc of its own with masks (off: the host's). pid: a pid namespace per turn.
init: hiding a command's first process from it, and a process group of its own for each turn and command.
net, ipc: a namespace of that kind per turn (off: the host's).
tmp: a fresh /tmp and /dev/shm (off: the host's). system: the read-only root. descriptors: closing all others.
"""


@dataclass(frozen=True, slots=True)
class Bind:
    """A host directory or file that appears inside at the absolute path `target`. `source` is absolute and resolved.

    inode: of a bound file, so that another file in its place is another confinement: a bind keeps the file that it found.
    """

    source: str
    target: str
    writable: bool = False
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class DataFile:
    """A generated file inside: its bytes exist in the sandbox alone and nothing written to it comes back."""

    target: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one sandbox and of each process in it: bytes, counts, cores and seconds.

    Over all that runs in the sandbox, turns and background processes together: memory, processes, cpu (cores), and disk and
    inodes of its writable directories. Memory and cpu need cgroups; None means not bounded. `enforcement` tells what holds.
    Of each process or file: address_space, open_files, file_size, cpu_seconds. Of each turn's /tmp: tmp_bytes.
    required: names of limits (as in a config: memory, pids, cpu, disk, inodes) without which no sandbox may start.
    """

    memory: int | None = 512 << 20
    processes: int = 128
    cpu: float | None = 1.0
    disk: int | None = 2 << 30
    inodes: int | None = 200_000
    address_space: int = 2 << 30
    open_files: int = 512
    file_size: int = 1 << 30
    cpu_seconds: int = 600
    tmp_bytes: int = 256 << 20
    required: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Confinement:
    """All that a sandbox shows to its guest. Two equal values may share a sandbox; a changed one never does.

    home: the profile on the host; without `binds` it appears writable at /home/agent.
    binds, files, symlinks: the composed view; a symlink is (path inside, what it points to).
    env: what every process inside starts with, over a PATH, HOME and LANG.
    env_file: path inside of a generated KEY=VALUE file (the agent's own .env) that turns and commands have in their environment
    as well; it is read once, when the sandbox is made.
    cwd: where a turn starts; empty is /workspace where `binds` compose a view, else /home/agent.
    uid: the host uid that a root gateway has to run this sandbox as, for homes whose file system can't map owners; the
    directories belong to it already. None: one of the pool's own, through id-mapped mounts. An ordinary user's counts always.
    python: the interpreter on the host that the guest runs on; None is the one that runs the gateway.
    engine: what is warmed up beside the guest, from the virtual environment that `python` belongs to; empty: nothing.
    engine_settings: what a waiting turn process makes its engine ready by, as that engine has it; no secret.
    execute: whether a turn, command or background process may start programs; without it every execve is refused.
    door: whether turns, commands and background processes have a way out: a listener of their own that the host serves.
    keep_stderr: whether the end of what a turn process writes to its stderr is kept, for the error when it dies.
    without: layers switched off; for the self-test of `hermes-iso prove` alone, no config can set it. See LAYERS.
    """

    home: Path
    name: str = "agent"
    binds: tuple[Bind, ...] = ()
    files: tuple[DataFile, ...] = ()
    symlinks: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    env_file: str | None = None
    cwd: str = ""
    uid: int | None = None
    python: str | None = None
    engine: str = ""
    engine_settings: str = ""
    limits: Limits = Limits()
    background_timeout: float = 3600.0
    execute: bool = True
    door: bool = False
    keep_stderr: bool = False
    without: frozenset[str] = frozenset()

    @property
    def writable(self) -> tuple[str, ...]:
        """The paths inside below which the guest may write, beside the file systems that every turn mounts for itself."""
        return tuple(bind.target for bind in self.binds if bind.writable) if self.binds else ("/home/agent",)
