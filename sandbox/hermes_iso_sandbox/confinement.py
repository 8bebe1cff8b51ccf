"""Confinement: what the processes of one profile may touch. Frozen data without behaviour; the pool is keyed by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bind:
    """A host directory or file that appears inside at the absolute path `target`. `source` is absolute and resolved."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class DataFile:
    """A generated file inside: its bytes exist in the sandbox alone and nothing written to it comes back."""

    target: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds: bytes, counts and seconds, as kernel rlimits and tmpfs sizes.

    processes counts all that run in the sandbox at a time, over its turns and background processes; the rest is per process.
    """

    address_space: int = 2 << 30
    processes: int = 320
    open_files: int = 512
    file_size: int = 1 << 30
    cpu_seconds: int = 600
    tmp_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Confinement:
    """All that a sandbox shows to its guest. Two equal values may share a sandbox; a changed one never does.

    home: the profile on the host; without `binds` it appears writable at /home/agent.
    binds, files, symlinks: the composed view; a symlink is (path inside, what it points to).
    env: what every process inside starts with. No secret belongs here: a sandbox's first process shows it in /proc.
    env_file: path inside of a KEY=VALUE file that a turn reads for its tools (the agent's own .env).
    cwd: where a turn starts.
    uid: the host uid that a root gateway has to run this sandbox as, for homes whose file system can't map owners; the
    directories belong to it already. None: one of the pool's own, through id-mapped mounts. An ordinary user's counts always.
    python: the interpreter on the host that the guest runs on; None is the one that runs the gateway.
    """

    home: Path
    name: str = "agent"
    binds: tuple[Bind, ...] = ()
    files: tuple[DataFile, ...] = ()
    symlinks: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    env_file: str | None = None
    cwd: str = "/workspace"
    uid: int | None = None
    python: str | None = None
    limits: Limits = Limits()
    background_timeout: float = 3600.0
