"""Machines that can't isolate agents, and homes that can't hold a gateway: `doctor` and `run` say what and the fix, and refuse.

Each machine is made for one process: by mounts in a namespace of its own, by a namespace's limit, or by a system call filter.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gateways import PATHS, ROOT, environment, hermes_iso

pytestmark = pytest.mark.long

PYTHON = (sys.executable, "-m", "hermes_iso")
NO_USERNS = ("unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"', "sh")
DENIED = (sys.executable, str(ROOT / "tests" / "support" / "deny_namespaces.py"))
OLD_BWRAP = "#!/bin/sh\necho bubblewrap 0.4.1\n"


def after_mounts(script: str) -> tuple[str, ...]:
    """Return argv under which a command finds what a script mounted; an ordinary user mounts as root of a user namespace."""
    if os.geteuid() == 0:
        return ("unshare", "-m", "sh", "-ec", f'{script}; exec "$@"', "sh")
    back = f"exec unshare -U --map-user={os.geteuid()} --map-group={os.getegid()}"
    return ("unshare", "-Urm", "sh", "-ec", f'{script}; {back} "$@"', "sh")


@dataclass(frozen=True)
class Home:
    """A home on a bad machine: where it is, and what runs before the command."""

    path: Path
    tmp: Path

    def runs(self, *machine: str, env: dict[str, str] | None = None) -> list[subprocess.CompletedProcess[str]]:
        """Run `doctor` and `run` on the machine, each to its end."""
        ran = []
        for command in ("doctor", "run"):
            argv = [*machine, *PYTHON, command, "--home", str(self.path)]
            ran.append(subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**environment(), **(env or {})}))
        return ran


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home that is in order."""
    assert hermes_iso("init", "--home", str(tmp_path / "home"), "--agents", "a").returncode == 0
    return Home(tmp_path / "home", tmp_path)


def assert_refused(ran: list[subprocess.CompletedProcess[str]], *said: str, code: int = 3) -> None:
    """Check that both commands said these words and no traceback, that nothing was served, and the exit codes."""
    doctor, run = ran
    assert (doctor.returncode, run.returncode) == (3, code), doctor.stdout + doctor.stderr + run.stderr
    assert "ready" not in run.stdout
    refusals = [line for line in run.stderr.splitlines() if line.startswith("hermes-iso: ")]
    assert len(refusals) == 1, run.stderr
    for shown in (doctor.stdout, refusals[0]):
        assert [word for word in said if word not in shown] == [], shown
    for shown in (doctor.stdout + doctor.stderr, run.stdout + run.stderr):
        assert "Traceback" not in shown
        assert "--privileged" not in shown


def test_no_user_namespaces_are_refused_with_the_switch(home: Home) -> None:
    """Where no user namespace may be made, the sysctl that allows them is named."""
    assert_refused(home.runs(*NO_USERNS), "namespaces", "sysctl -w user.max_user_namespaces=")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter of this test is for x86-64")
def test_namespaces_that_a_filter_denies_are_refused_with_the_flags_that_are_enough(home: Home) -> None:
    """Under a container's usual filter the flags are told, and --privileged is not among them."""
    assert_refused(home.runs(*DENIED), "namespaces", "--security-opt seccomp=unconfined")


def test_masked_proc_is_refused_with_the_flags_that_are_enough(home: Home) -> None:
    """Where parts of /proc are covered, the kernel gives no fresh one; that is told as such."""
    mask = "mount -t tmpfs none /proc/acpi 2>/dev/null || mount --bind /dev/null /proc/kallsyms"
    assert_refused(home.runs(*after_mounts(mask)), "/proc are masked", "systempaths=unconfined")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user can't take /proc away")
def test_missing_proc_is_refused_as_such(home: Home) -> None:
    """Without /proc nothing else can be known, and that alone is told."""
    assert_refused(home.runs(*after_mounts("umount -l /proc")), "/proc is not mounted", "mount -t proc proc /proc")


def test_missing_bwrap_is_refused_with_how_to_install_it(home: Home) -> None:
    """A bwrap that can't be executed is none."""
    path = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
    assert_refused(home.runs(*after_mounts(f"mount --bind /dev/null {path}")), "not installed", "apt-get install bubblewrap")


def test_old_bwrap_is_refused_with_the_version_that_is_needed(home: Home) -> None:
    """An old version is named beside the one that will do."""
    old = home.tmp / "bwrap"
    old.write_text(OLD_BWRAP)
    old.chmod(0o755)
    path = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
    assert_refused(home.runs(*after_mounts(f"mount --bind {old} {path}")), "0.4.1", "0.8 or newer")


def test_kernel_without_filters_is_refused(home: Home) -> None:
    """Without seccomp nothing runs, also not without the filter."""
    hide = "mount -t tmpfs none /proc/sys/kernel/seccomp"
    assert_refused(home.runs(*after_mounts(hide)), "seccomp", "CONFIG_SECCOMP_FILTER")


def test_root_of_a_rootless_container_is_told_to_be_an_ordinary_user(home: Home) -> None:
    """Root that is not the machine's root can't map owners; the fix is not about file systems."""
    if os.geteuid() != 0:
        assert subprocess.run(["unshare", "-Ur", "true"]).returncode == 0
    assert_refused(home.runs("unshare", "-Ur"), "identity", "rootless container", "ordinary user")


def test_read_only_home_is_refused(home: Home) -> None:
    """A home on a read-only file system is named, with both ways out."""
    path = home.path
    read_only = f"mount --bind {path} {path}; mount -o remount,bind,ro {path}"
    assert_refused(home.runs(*after_mounts(read_only)), "read-only file system", "Mount it writable", code=2)


def test_full_disk_is_refused(home: Home) -> None:
    """A home without room for the gateway's records is refused before anything is written."""
    full = (
        f"mkdir {home.tmp}/kept; cp -r {home.path}/. {home.tmp}/kept; mount -t tmpfs -o size=512k,mode=755 none {home.path}; "
        f"cp -r {home.tmp}/kept/. {home.path}; rm -r {home.tmp}/kept; dd if=/dev/zero of={home.path}/x 2>/dev/null || :"
    )
    assert_refused(home.runs(*after_mounts(full)), "the disk that holds", "Make room", code=2)


def test_symlink_in_the_gateways_place_is_refused(home: Home) -> None:
    """What a symlink at the lock's name leads to is neither made nor changed."""
    (home.path / "hermes-iso").mkdir(mode=0o700)
    (home.path / "hermes-iso/lock").symlink_to(home.tmp / "victim")
    assert_refused(home.runs(), "hermes-iso/lock is a symlink", "Remove it", code=2)
    assert not (home.tmp / "victim").exists()


@pytest.mark.parametrize("fault", ["raise RuntimeError('broken on purpose')", "import no_such_module", "def broken(:"])
def test_engine_that_breaks_at_import_is_told_by_its_error(home: Home, fault: str) -> None:
    """A guest that can't start is found by trying one, and told by the last line of its traceback alone."""
    tree = home.tmp / "tree"
    for path in PATHS.split(os.pathsep):
        package = next(each for each in Path(path).iterdir() if each.name.startswith("hermes_iso") and each.is_dir())
        shutil.copytree(package, tree / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tree / "hermes_iso_sandbox/guest/engines/native.py").open("a") as engine:
        engine.write(f"\n{fault}\n")
    kind = {"r": "RuntimeError", "i": "ModuleNotFoundError", "d": "SyntaxError"}[fault[0]]
    assert_refused(home.runs(env={"PYTHONPATH": str(tree)}), kind, "install hermes-iso anew")
