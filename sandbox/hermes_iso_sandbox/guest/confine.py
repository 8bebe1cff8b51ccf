"""Confine the zygote, once, as far as it can go and still fork turns, and each process that it forks the rest of the way.

`confine` runs before any of the agent's code or data is touched, as pid 1 of a new pid namespace, with every capability in the
sandbox's own user namespace and none outside of it. The order matters: mounts need the capabilities that the last step gives
up, and a fresh /proc can be mounted only while an unmasked one is still visible.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass, field

from hermes_iso_sandbox.guest import bounds, kernel, landlock, seccomp

UID = 1000
"""Who everything in a sandbox is, as seen there."""
ZYGOTE_CAPABILITIES = (kernel.CAP_SYS_ADMIN, kernel.CAP_NET_ADMIN, kernel.CAP_SYS_CHROOT)
"""To make and enter namespaces, to mount, to bring up the loopback, in the sandbox's own user namespace."""
USER_LIMITS = {"user_namespaces": 0, "inotify_instances": 16, "inotify_watches": 16384}
"""What a whole sandbox may have of what is counted against the gateway's own user too; the host has 128 instances for them."""
FIXED_LIMITS = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_MEMLOCK, 0),
    (resource.RLIMIT_MSGQUEUE, 0),
    (resource.RLIMIT_SIGPENDING, 1024),
)
"""Per process, or per user of the sandbox. Timers count as pending signals."""
_TMPFS = kernel.MS_NOSUID | kernel.MS_NODEV
_LOCKED = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _TMPFS | kernel.MS_NOEXEC
_MASKED = ("acpi", "asound", "kallsyms", "kcore", "keys", "kmsg", "kpagecount", "kpageflags", "latency_stats",
           "sched_debug", "scsi", "slabinfo", "timer_list", "timer_stats", "vmallocinfo")  # fmt: skip
_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")


@dataclass(frozen=True)
class Settings:
    """What the host tells a zygote once. Sizes in bytes, times in seconds.

    staged: (path inside where bwrap put it, its place below a file system that is mounted afresh for each turn).
    symlinks: the same for symbolic links: (path, what it points to).
    own_env: what turns and commands, and no process before them, have in their environment.
    writable: the paths below which landlock lets a turn write. execute: whether it may start programs.
    door: whether it has a way out. keep_stderr: whether a turn is given a stderr that the host reads.
    engine: the engine that a turn process makes ready while it waits, by `engine_settings`; empty: none.
    without: layers that are switched off; see `confinement.LAYERS`.
    """

    limits: dict[str, int]
    cwd: str
    own_env: dict[str, str] = field(default_factory=dict)
    staged: list[list[str]] = field(default_factory=list)
    symlinks: list[list[str]] = field(default_factory=list)
    writable: list[str] = field(default_factory=list)
    execute: bool = True
    door: bool = False
    keep_stderr: bool = False
    engine: str = ""
    engine_settings: str = ""
    without: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Shared:
    """The namespaces of a session that has background processes: descriptors of its network and mount namespace."""

    net: int
    mnt: int


def confine(settings: Settings, found: Kernel, shared: Shared | None) -> None:
    """Put this process into its own namespaces and give up everything that it will not need."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # an init is not, and what is not owns no file of its own in /proc
    bounds.die_first()
    off = settings.without
    ipc = 0 if "ipc" in off else kernel.CLONE_NEWIPC
    if shared is None:
        kernel.unshare(kernel.CLONE_NEWNS | ipc | (0 if "net" in off else kernel.CLONE_NEWNET))
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        if "tmp" not in off:
            _mount_scratch(settings)
        if "net" not in off:
            kernel.loopback_up()
    else:
        kernel.setns(shared.net, kernel.CLONE_NEWNET)
        kernel.setns(shared.mnt, kernel.CLONE_NEWNS)
        kernel.unshare(kernel.CLONE_NEWNS | ipc)
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    if "proc" not in off:
        _mount_proc(found)
    _set_limits(settings.limits)
    if "capabilities" not in off:
        kernel.set_capabilities()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # giving them up has taken it away
    if "landlock" not in off:
        landlock.restrict(settings.writable, found.landlock)
    if "seccomp" not in off:
        seccomp.install_turn(execute=settings.execute)


def _mount_scratch(settings: Settings) -> None:
    """Mount fresh sized file systems where programs leave things, and put back what belongs below them."""
    size = settings.limits["tmp_bytes"]
    for target, mode, share in (("/tmp", "1777", 1), ("/dev/shm", "1777", 2), ("/run", "0755", 16)):
        kernel.mount("tmpfs", target, "tmpfs", _TMPFS, f"mode={mode},size={size // share},nr_inodes=65536")
    for source, target in settings.staged:
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
        kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)
    for path, points_to in settings.symlinks:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(points_to, path)


@dataclass(frozen=True)
class Kernel:
    """What this kernel has, found once by the zygote: entries of /proc to cover or lock, and landlock's ABI."""

    masked_directories: tuple[str, ...]
    masked_files: tuple[str, ...]
    read_only: tuple[str, ...]
    landlock: int


def look_at_kernel() -> Kernel:
    """Return what there is to confine. An entry of /proc is there for every process or for none."""
    masked = [path for name in _MASKED if os.path.exists(path := f"/proc/{name}")]
    return Kernel(
        masked_directories=tuple(path for path in masked if os.path.isdir(path)),
        masked_files=tuple(path for path in masked if not os.path.isdir(path)),
        read_only=tuple(path for name in _READ_ONLY if os.path.exists(path := f"/proc/{name}")),
        landlock=landlock.find_abi(),
    )


def _mount_proc(found: Kernel) -> None:
    """Mount a /proc that shows this pid namespace alone, cover what tells of the host, and lock what could change it."""
    kernel.mount("proc", "/proc", "proc", _TMPFS | kernel.MS_NOEXEC)
    for path in found.masked_directories:
        kernel.mount("tmpfs", path, "tmpfs", _TMPFS | kernel.MS_RDONLY, "size=4k,nr_inodes=1")
    for path in found.masked_files:
        kernel.mount("/dev/null", path, flags=kernel.MS_BIND)
    for path in found.read_only:
        kernel.mount(path, path, flags=kernel.MS_BIND | kernel.MS_REC)
        kernel.mount("none", path, flags=_LOCKED)


def _set_limits(limits: dict[str, int]) -> None:
    """Set the kernel's per-process limits, hard and soft alike."""
    for name, key in (
        (resource.RLIMIT_AS, "address_space"),
        (resource.RLIMIT_NPROC, "processes"),
        (resource.RLIMIT_NOFILE, "open_files"),
        (resource.RLIMIT_FSIZE, "file_size"),
        (resource.RLIMIT_CPU, "cpu_seconds"),
    ):
        _, hard = resource.getrlimit(name)
        value = limits[key] if hard == resource.RLIM_INFINITY else min(limits[key], hard)
        resource.setrlimit(name, (value, value))


def harden(off: Sequence[str]) -> None:
    """Give up for good what neither the zygote nor any turn needs, but for these layers: what it forks inherits it."""
    if "capabilities" not in off:
        kernel.keep_capabilities(*ZYGOTE_CAPABILITIES)
    for name, most in FIXED_LIMITS:
        resource.setrlimit(name, (most, most))
    if "seccomp" not in off:
        seccomp.install_base()


def bound_user_namespace() -> None:
    """Bound what the kernel counts per user, also for the user who made the namespace: an agent could take all that they have.

    Nobody in this sandbox makes another user namespace. Called once by the zygote, which from then on has a mount namespace of
    its own: the /proc of its holder can't be written to.
    """
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", _TMPFS | kernel.MS_NOEXEC)
    for name, most in USER_LIMITS.items():
        with open(f"/proc/sys/user/max_{name}", "w", encoding="ascii") as file:
            file.write(str(most))
