"""What this machine permits, found by trying it: for `doctor`, and for refusing with the fix instead of running weaker."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hermes_iso_sandbox import bwrap, launch
from hermes_iso_sandbox.errors import UnsupportedSandboxError
from hermes_iso_sandbox.fixes import INSTALL_BWRAP, identity_fix, namespace_fix
from hermes_iso_sandbox.identity import HOST_UIDS, LAUNCHER, STAGE

OLDEST_BWRAP = (0, 8)
MACHINES = ("x86_64", "aarch64")
TRY_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a sandbox needs: what was found and, when not `ok`, what to do."""

    name: str
    ok: bool
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """All checks; the machine can run sandboxes when every one is ok."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True when sandboxes can be had."""
        return all(check.ok for check in self.checks)


def probe(home: Path = Path("/tmp"), *, root: Path = Path("/")) -> Capabilities:  # noqa: S108  # only its file system counts
    """Try what a sandbox of a profile on `home`'s file system needs. `root` is where /proc is read from."""
    checks = [_system(), proc_check(root)]
    if all(check.ok for check in checks):
        checks += [seccomp_check(root), _bwrap()]
    if all(check.ok for check in checks):
        checks.append(_namespaces(root))
    if all(check.ok for check in checks):
        checks.append(_identity(home, root))
    return Capabilities(tuple(checks))


def require(capabilities: Capabilities) -> None:
    """Raise UnsupportedSandboxError, with every fix, unless sandboxes can be had."""
    missing = [check for check in capabilities.checks if not check.ok]
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


def _identity(home: Path, root: Path) -> Check:
    """Check that agents never are host uid 0: tried with a whole sandbox on the home's own file system."""
    if os.geteuid() != 0:
        return Check("identity", True, f"agents run as this user (uid {os.geteuid()}), without any privilege")
    found = f"each agent runs as a uid of its own in {HOST_UIDS.start}-{HOST_UIDS.stop - 1}, through id-mapped mounts"
    order = launch.memory_file(json.dumps({"uid": HOST_UIDS.start, "stage": STAGE, "mounts": [
        {"source": str(home.resolve()), "target": f"{STAGE}/0", "mapped": True}]}).encode())  # fmt: skip
    try:
        argv = [*LAUNCHER, str(order), "/bin/true"]
        answer = subprocess.run(
            argv, capture_output=True, text=True, timeout=TRY_TIMEOUT, check=False, env={}, pass_fds=[order], cwd="/"
        )
    finally:
        os.close(order)
    if answer.returncode == 0:
        return Check("identity", True, found)
    return Check("identity", False, " ".join(answer.stderr.split())[:300], identity_fix(root))
