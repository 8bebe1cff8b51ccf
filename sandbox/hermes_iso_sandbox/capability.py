"""What this machine permits, found by trying it: for `doctor`, and for refusing with the fix instead of running weaker."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hermes_iso_sandbox import bwrap, launch
from hermes_iso_sandbox.cgroups import CONTROLLERS, Found, find
from hermes_iso_sandbox.enforcement import FIX
from hermes_iso_sandbox.errors import SandboxError, UnsupportedSandboxError
from hermes_iso_sandbox.fixes import INSTALL_BWRAP, identity_fix, namespace_fix
from hermes_iso_sandbox.identity import HOST_UIDS, try_mapping

OLDEST_BWRAP = (0, 8)
MACHINES = ("x86_64", "aarch64")
TRY_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing and, when not `ok`, what to do. Without one that is not `needed`, sandboxes can be had."""

    name: str
    ok: bool
    found: str
    fix: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Capabilities:
    """All checks; the machine can run sandboxes when every one that is needed is ok."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True when sandboxes can be had."""
        return all(check.ok or not check.needed for check in self.checks)


def probe(
    home: Path = Path("/tmp"),  # noqa: S108  # only its file system counts
    *,
    uids: range = HOST_UIDS,
    root: Path = Path("/"),
) -> Capabilities:
    """Try what a sandbox of a profile on `home`'s file system needs. `root` is where /proc is read from.

    uids: the host uids that a root gateway gives to sandboxes.
    """
    checks = [_system(), proc_check(root)]
    if all(check.ok for check in checks):
        checks += [seccomp_check(root), landlock_check(landlock_abi()), _bwrap()]
    if all(check.ok for check in checks):
        checks.append(_namespaces(root))
    if all(check.ok for check in checks):
        checks.append(_identity(home, root, uids))
    checks += [uid_check(root, uids, as_root=os.geteuid() == 0), cgroup_check(find(root))]
    return Capabilities(tuple(checks))


def require(capabilities: Capabilities) -> None:
    """Raise UnsupportedSandboxError, with every fix, unless sandboxes can be had."""
    missing = [check for check in capabilities.checks if check.needed and not check.ok]
    if missing:
        raise UnsupportedSandboxError(
            "This machine can't isolate agents, so nothing was started. "
            + " ".join(f"{check.name}: {check.found}. {check.fix}" for check in missing)
        )


def _system() -> Check:
    """Check that the kernel is Linux, on a machine whose system calls the filter knows."""
    found = f"{platform.system()} {platform.release()} {platform.machine()}"
    if platform.system() != "Linux":
        return Check("system", False, found, "Only Linux has the namespaces that a sandbox is made of.")
    known = platform.machine() in MACHINES
    return Check("system", known, found, "" if known else f"The system call filter knows {' and '.join(MACHINES)} only.")


def proc_check(root: Path) -> Check:
    """Check that /proc is there: what the kernel permits is read from it, and a sandbox's own comes from it."""
    if (root / "proc/self/status").exists():
        return Check("proc", True, "mounted")
    return Check("proc", False, "/proc is not mounted", "Mount it: sudo mount -t proc proc /proc")


def seccomp_check(root: Path) -> Check:
    """Check that the kernel takes system call filters."""
    try:
        actions = (root / "proc/sys/kernel/seccomp/actions_avail").read_text(encoding="ascii").split()
    except OSError:
        return Check("seccomp", False, "not in this kernel", "Use a kernel with CONFIG_SECCOMP_FILTER; distributions' have it.")
    return Check("seccomp", "errno" in actions, f"filters with {', '.join(actions)}")


def landlock_abi() -> int | None:
    """Return the kernel's landlock ABI; None where it has none, or where it can't be used."""
    create_ruleset, version = 444, 1
    abi = ctypes.CDLL(None).syscall(create_ruleset, None, ctypes.c_size_t(0), version)
    return abi if abi > 0 else None


def landlock_check(abi: int | None) -> Check:
    """Say what landlock adds. Its absence is no reason to refuse: it is a second layer on what the mounts decide."""
    if abi is None:
        return Check("landlock", True, "not in this kernel: files rest on mounts and ownership alone")
    lacks = [what for since, what in _LANDLOCK_SINCE if abi < since]
    return Check("landlock", True, f"ABI {abi}" + (f", which does not know {', '.join(lacks)}" if lacks else ""))


_LANDLOCK_SINCE = (
    (2, "moves between directories (refused inside; programs copy instead)"),
    (3, "truncating (not judged)"),
    (5, "ioctls of devices (not judged)"),
)


def _bwrap() -> Check:
    """Check that bubblewrap is there and new enough."""
    try:
        path = launch.find_bwrap()
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=TRY_TIMEOUT, check=True, env={})
    except UnsupportedSandboxError:
        return Check("bubblewrap", False, "not installed", f"Install it: {INSTALL_BWRAP}")
    except (OSError, subprocess.SubprocessError) as error:
        return Check("bubblewrap", False, f"can't be run: {error}", f"Reinstall it: {INSTALL_BWRAP}")
    return bwrap_check(answer.stdout.strip(), path)


def bwrap_check(said: str, path: str) -> Check:
    """Judge what `bwrap --version` said."""
    found = re.search(r"(\d+)\.(\d+)", said)
    new_enough = found is not None and (int(found[1]), int(found[2])) >= OLDEST_BWRAP
    fix = f"Version {OLDEST_BWRAP[0]}.{OLDEST_BWRAP[1]} or newer is needed: {INSTALL_BWRAP}"
    return Check("bubblewrap", new_enough, f"{said} at {path}", "" if new_enough else fix)


def _namespaces(root: Path) -> Check:
    """Check that this user can make every namespace of a sandbox, by making them with bwrap."""
    argv = [
        launch.find_bwrap(),
        *bwrap.namespaces("doctor"),
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--",
        "/bin/true",
    ]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=TRY_TIMEOUT, check=False, env={}, cwd="/")
    except (OSError, subprocess.SubprocessError) as error:
        return Check("namespaces", False, f"bwrap can't be run: {error}", f"Reinstall it: {INSTALL_BWRAP}")
    if answer.returncode == 0:
        who = "root" if os.geteuid() == 0 else "an ordinary user"
        return Check("namespaces", True, f"user, pid, mount, net, ipc, uts and cgroup namespaces, as {who}")
    said = " ".join(answer.stderr.split())[:300]
    return Check("namespaces", False, f"refused: {said}", namespace_fix(root, said, bwrap=os.path.realpath(argv[0])))


def _identity(home: Path, root: Path, uids: range) -> Check:
    """Check that agents never are host uid 0: tried with an id-mapped mount of the home itself."""
    if os.geteuid() != 0:
        return Check("identity", True, f"agents run as this user (uid {os.geteuid()}), without any privilege")
    try:
        try_mapping(str(home.resolve()))
    except (OSError, SandboxError) as error:
        return Check("identity", False, f"{home}: {getattr(error, 'strerror', None) or error}", identity_fix(root))
    found = f"each agent runs as a uid of its own in {uids.start}-{uids.stop - 1}, through id-mapped mounts"
    return Check("identity", True, found)


def uid_check(root: Path, uids: range, *, as_root: bool) -> Check:
    """Tell whether anybody else has the host uids that agents get under a root gateway. Source: passwd(5), subuid(5)."""
    wanted = f"{uids.start}-{uids.stop - 1}"
    if not as_root:
        return Check("uid range", True, "not needed: agents run as this user", needed=False)
    users = [(name, int(uid), 1) for name, _, uid, *_ in _entries(root / "etc/passwd", 3)]
    users += [(name, int(start), int(count)) for name, start, count, *_ in _entries(root / "etc/subuid", 3)]
    taken = sorted({name for name, start, count in users if start < uids.stop and start + count > uids.start})
    if not taken:
        return Check("uid range", True, f"{wanted} is free for agents", needed=False)
    names = " and ".join(taken)
    fix = f"Set gateway.host_uids to a range that is free: {names} could signal and read agents' processes."
    return Check("uid range", False, f"{wanted}, which agents use, also belongs to {names}", fix, needed=False)


def _entries(file: Path, least: int) -> list[list[str]]:
    """Return the words of each line of a file like /etc/passwd that has numbers where it should."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = [line.split(":") for line in lines]
    return [words for words in found if len(words) >= least and words[2].isdecimal()]


def cgroup_check(found: Found) -> Check:
    """Tell which cgroup controllers can be used; agents run without, less bounded."""
    usable = [f"{name} (v{found.version(name)})" for name in CONTROLLERS if name not in found.missing]
    said = [f"{', '.join(usable)} can be used" if usable else "", *sorted({*found.missing.values()})]
    return Check("cgroups", not found.missing, "; ".join(filter(None, said)), f"{FIX}." if found.missing else "", needed=False)
