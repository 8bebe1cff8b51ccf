"""Cgroups: which controllers this process may use, and one group per sandbox that bounds memory, processes and CPU.

A gateway makes one directory of its own, `hermes-iso-pool-…`, in every hierarchy that it uses, and below it one per sandbox.
The zygote joins once, through descriptors that are opened here, before it forks anything: everything in the sandbox
descends from it, and a join per turn would cost an RCU grace period each time.

The gateway's directory is locked (flock) for as long as it lives, and the kernel lets go of the lock with the process: so what
a dead gateway left behind can be told from what a living one uses, also across pid namespaces.

In cgroup v2 no group with controllers enabled for its children may hold processes itself, so the gateway moves into a leaf,
`hermes-iso-gateway`, of the group that was delegated to it; it does so only when it is alone there.
Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from hermes_iso_sandbox.confinement import Limits
from hermes_iso_sandbox.errors import SandboxError, UnsupportedSandboxError

CONTROLLERS = ("memory", "pids", "cpu")
PREFIX = "hermes-iso-pool-"
LEAF = "hermes-iso-gateway"
PERIOD = 100_000
"""Microseconds over which CPU time is shared out."""
HEADROOM = 32
"""Processes that a group may have beyond its limit, for the zygote's own forks: rlimits hold the agent to the limit."""
REMOVE_TRIES, REMOVE_PAUSE = 100, 0.01


@dataclass(frozen=True, slots=True)
class Place:
    """A group in one hierarchy below which this process may make groups; `controllers` are those that work there."""

    version: int
    base: Path
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What can be used, and for each controller that can't why not, as the middle of a sentence."""

    places: tuple[Place, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    def version(self, controller: str) -> int | None:
        """Return which cgroup version bounds this, None when none does."""
        return next((place.version for place in self.places if controller in place.controllers), None)


def find(root: Path = Path("/")) -> Found:
    """Look up, by trying, which controllers this process may use. `root` is where /proc and the mounts are found."""
    try:
        mounts = list(_mounts(root))
        own = _own_groups(root)
    except OSError as error:
        return Found(missing=dict.fromkeys(CONTROLLERS, f"/proc tells of no cgroup ({error.strerror})"))
    places: dict[Path, Place] = {}
    missing: dict[str, str] = {}
    for controller in CONTROLLERS:
        place = _place(controller, mounts, own)
        why = "no cgroup file system is mounted" if place is None else _complaint(place, controller)
        if place is None or why:
            missing[controller] = why
        else:
            before = places.get(place.base, place)
            places[place.base] = Place(place.version, place.base, before.controllers | {controller})
    return Found(tuple(places.values()), missing)


@dataclass(frozen=True, slots=True)
class _Mount:
    version: int
    top: str
    where: Path
    controllers: frozenset[str]


def _mounts(root: Path) -> Iterator[_Mount]:
    """Yield the cgroup mounts. Source: proc(5), /proc/pid/mountinfo."""
    for line in (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        (top, where), (kind, _, options) = before.split()[3:5], after.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            yield _Mount(2 if kind == "cgroup2" else 1, top, root / where.lstrip("/"), frozenset(options.split(",")))


def _own_groups(root: Path) -> dict[str, str]:
    """Return this process's group for each v1 controller, and for v2 under the empty name."""
    groups = {}
    for line in (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
        _, names, path = line.split(":", 2)
        groups.update(dict.fromkeys(names.split(","), path))
    return groups


def _place(controller: str, mounts: list[_Mount], own: Mapping[str, str]) -> Place | None:
    """Return where groups with this controller would be made; the kernel has each controller in one hierarchy alone."""
    one = next((mount for mount in mounts if mount.version == 1 and controller in mount.controllers), None)
    mount = one or next((mount for mount in mounts if mount.version == 2), None)
    if mount is None:
        return None
    below = os.path.relpath(own.get(controller if one else "", mount.top), mount.top)
    base = mount.where if below.startswith("..") else mount.where / below
    base = base.parent if mount.version == 2 and base.name == LEAF else base
    return Place(mount.version, base if base.is_dir() else mount.where, frozenset({controller}))


def _complaint(place: Place, controller: str) -> str:
    """Say why groups with this controller can't be made, or ''."""
    if place.version == 2:
        if controller not in _read(place.base / "cgroup.controllers").split():
            return f"cgroup v2 does not hand the {controller} controller to this process's group"
        if not os.access(place.base / "cgroup.subtree_control", os.W_OK):
            return "the cgroup v2 group of this process is not delegated to it"
        if set(_read(place.base / "cgroup.procs").split()) - {str(os.getpid())}:
            return "the cgroup v2 group of this process holds other processes as well"
    elif controller == "cpu" and not (place.base / "cpu.cfs_quota_us").exists():
        return "this kernel's cpu controller knows no quota"
    attempt = place.base / f"hermes-iso-try-{secrets.token_hex(6)}"
    try:
        attempt.mkdir()
        attempt.rmdir()
    except OSError as error:
        return f"no cgroup v{place.version} group can be made ({error.strerror})"
    return ""


def _read(path: Path) -> str:
    """Return a file of the cgroup file system, '' when it can't be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


class Cgroup:
    """The group of one sandbox, in every hierarchy in use."""

    def __init__(self, directories: Mapping[Path, Place]) -> None:
        self._directories = directories

    @contextlib.contextmanager
    def opened(self) -> Iterator[list[int]]:
        """Open its cgroup.procs: whoever writes "0" to each of these descriptors joins. Raises OSError."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(path / "cgroup.procs", "wb", buffering=0)) for path in self._directories]
            yield [file.fileno() for file in files]

    def process_limits(self, limits: Limits) -> dict[str, int]:
        """Return the limits that each process of this group keeps by itself."""
        return process_limits(limits, memory_bounded=any("memory" in each.controllers for each in self._directories.values()))

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here because memory ran out."""
        for path, place in self._directories.items():
            if "memory" in place.controllers:
                text = _read(path / ("memory.events" if place.version == 2 else "memory.oom_control"))
                return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))
        return 0

    def remove(self) -> bool:
        """Remove it; False while a process of it is not wholly gone yet."""
        for path in self._directories:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True


class Cgroups:
    """The groups of all sandboxes of one gateway. Empty where none can be used."""

    def __init__(self, found: Found) -> None:
        """Make and lock this gateway's directories and sweep those of dead ones. Raises UnsupportedSandboxError."""
        self._tops: dict[Path, Place] = {}
        self._locks: list[int] = []
        self._leaving: list[Cgroup] = []
        self._made = 0
        try:
            for place in found.places:
                if place.version == 2:
                    _enable_below(place)
                sweep(place.base)
                top, lock = _locked_directory(place.base)
                self._locks.append(lock)
                self._tops[top] = place
                if place.version == 2:
                    _enable(top, place.controllers)
        except OSError as error:
            self._let_go()
            raise UnsupportedSandboxError(
                f"The cgroups that bound agents can't be made: {error}. Start the gateway anew, or see docs/how-to/limits.md."
            ) from error

    def make(self, limits: Limits) -> Cgroup:
        """Make the group of one sandbox with its limits set. Raises SandboxError."""
        self._made += 1
        group = Cgroup({top / str(self._made): place for top, place in self._tops.items()})
        try:
            for top, place in self._tops.items():
                path = top / str(self._made)
                path.mkdir()
                for name, value in settings(place, limits).items():
                    if (path / name).exists() or name not in _OPTIONAL:
                        (path / name).write_text(value, encoding="ascii")
        except OSError as error:
            group.remove()
            raise SandboxError(f"The cgroup of a sandbox can't be made: {error}.") from error
        return group

    def remove(self, group: Cgroup) -> None:
        """Remove the group of a sandbox that is dead, now or, while the kernel still holds it, at a later call."""
        self._leaving = [each for each in (*self._leaving, group) if not each.remove()]

    async def aclose(self) -> None:
        """Remove everything, waiting for a moment where the kernel still holds it; what is left, the next gateway sweeps."""
        for _ in range(REMOVE_TRIES):
            self._leaving = [each for each in self._leaving if not each.remove()]
            if not self._leaving:
                break
            await anyio.sleep(REMOVE_PAUSE)
        self._let_go()

    def _let_go(self) -> None:
        """Remove the own directories and give up their locks."""
        for top in self._tops:
            with contextlib.suppress(OSError):
                top.rmdir()
        for lock in self._locks:
            os.close(lock)
        self._tops, self._locks = {}, []


_OPTIONAL = ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.kmem.tcp.limit_in_bytes")
"""Files that a kernel without swap accounting, or without a count of its own of TCP buffers, does not have."""


def settings(place: Place, limits: Limits) -> dict[str, str]:
    """Return what to write into a sandbox's group, file by file, in order. Swap counts as memory.

    Version 1 counts TCP buffers apart from all other memory, so an agent can have as much of them again.
    """
    pids = str(limits.processes + HEADROOM)
    memory = "" if limits.memory is None else str(limits.memory)
    quota = "" if limits.cpu is None else str(round(limits.cpu * PERIOD))
    if place.version == 2:
        wanted = {
            "memory": {"memory.max": memory, "memory.swap.max": memory and "0"},
            "pids": {"pids.max": pids},
            "cpu": {"cpu.max": quota and f"{quota} {PERIOD}"},
        }
    else:
        wanted = {
            "memory": {
                "memory.limit_in_bytes": memory,
                "memory.memsw.limit_in_bytes": memory,
                "memory.kmem.tcp.limit_in_bytes": memory,
            },
            "pids": {"pids.max": pids},
            "cpu": {"cpu.cfs_period_us": quota and str(PERIOD), "cpu.cfs_quota_us": quota},
        }
    files = (item for controller in CONTROLLERS if controller in place.controllers for item in wanted[controller].items())
    return {name: value for name, value in files if value}


def process_limits(limits: Limits, *, memory_bounded: bool) -> dict[str, int]:
    """Return the limits that each process, file or turn keeps by itself: tighter where no group bounds all memory together."""
    memory = limits.address_space if memory_bounded or limits.memory is None else limits.memory
    return {
        "address_space": min(limits.address_space, memory),
        "processes": limits.processes,
        "open_files": limits.open_files,
        "file_size": min(limits.file_size, limits.file_size if limits.disk is None else limits.disk),
        "cpu_seconds": limits.cpu_seconds,
        "tmp_bytes": limits.tmp_bytes,
    }


def sweep(base: Path) -> None:
    """Remove what gateways that are dead left below `base`. One that lives holds its lock, and a group in use can't go."""
    for top in base.glob(f"{PREFIX}*"):
        try:
            lock = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in (*(each for each in top.iterdir() if each.is_dir()), top):
                path.rmdir()
        except OSError:
            continue
        finally:
            os.close(lock)


def _locked_directory(base: Path) -> tuple[Path, int]:
    """Make a directory and lock it; once more when another gateway swept it before the lock was had. Raises OSError."""
    while True:
        top = base / f"{PREFIX}{secrets.token_hex(6)}"
        top.mkdir()
        try:
            lock = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.stat(top).st_ino == os.fstat(lock).st_ino:
                return top, lock
        except FileNotFoundError:
            pass
        os.close(lock)


def _enable_below(place: Place) -> None:
    """Move this process into a leaf, unless it is there, and hand the controllers to the group's children."""
    leaf = place.base / LEAF
    if _read(place.base / "cgroup.procs").split():
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text("0", encoding="ascii")
    _enable(place.base, place.controllers)


def _enable(group: Path, controllers: frozenset[str]) -> None:
    words = " ".join(f"+{name}" for name in CONTROLLERS if name in controllers)
    (group / "cgroup.subtree_control").write_text(words, encoding="ascii")
