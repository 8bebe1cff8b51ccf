"""What the machine permits is judged from what it says, and every refusal comes with its fix."""

from pathlib import Path

import pytest

from hermes_iso_sandbox import UnsupportedSandboxError
from hermes_iso_sandbox.capability import (
    Capabilities,
    Check,
    bwrap_check,
    cgroup_check,
    landlock_check,
    proc_check,
    require,
    seccomp_check,
    uid_check,
)
from hermes_iso_sandbox.cgroups import Found, Place
from hermes_iso_sandbox.identity import HOST_UIDS


@pytest.mark.parametrize(
    ("said", "ok"), [("bubblewrap 0.8.0", True), ("bubblewrap 0.11.0", True), ("bubblewrap 0.4.1", False), ("?", False)]
)
def test_bwrap_check_judges_the_version(said: str, ok: bool) -> None:
    """Versions compare as numbers, and an unreadable one is not good enough."""
    check = bwrap_check(said, "/usr/bin/bwrap")
    assert check.ok is ok
    assert bool(check.fix) is not ok


def test_require_raises_with_every_fix() -> None:
    """A machine that can't isolate is told all that is missing at once."""
    missing = Capabilities(
        (Check("a", True, "fine"), Check("b", False, "gone", "do this"), Check("c", False, "old", "do that"))
    )
    with pytest.raises(UnsupportedSandboxError, match=r"b: gone\. do this c: old\. do that"):
        require(missing)


def test_seccomp_check_reads_what_the_kernel_offers(tmp_path: Path) -> None:
    """A kernel without filters is refused with the fix; one with them is named with its actions."""
    assert not seccomp_check(tmp_path).ok
    assert seccomp_check(tmp_path).fix
    (tmp_path / "proc/sys/kernel/seccomp").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/seccomp/actions_avail").write_text("kill_process errno allow\n", encoding="ascii")
    assert seccomp_check(tmp_path).ok


@pytest.mark.parametrize(
    ("abi", "found"),
    [
        (None, "not in this kernel: files rest on mounts and ownership alone"),
        (7, "ABI 7"),
        (5, "ABI 5"),
        (4, "ABI 4, which does not know ioctls of devices (not judged)"),
    ],
)
def test_landlock_check_says_what_is_missing_and_never_refuses(abi: int | None, found: str) -> None:
    """A kernel with less of it, or none, runs sandboxes all the same, and the words say what that means."""
    assert landlock_check(abi) == Check("landlock", True, found)


def test_landlock_check_names_what_an_old_kernel_refuses() -> None:
    """With the first ABI no file can be moved to another directory, which a person would look for elsewhere."""
    assert "moves between directories" in landlock_check(1).found


def test_uid_check_names_who_else_has_the_agents_uids(tmp_path: Path) -> None:
    """A range that overlaps by one uid is told with its owner; others, and lines that are none, are not."""
    (tmp_path / "etc").mkdir()
    assert uid_check(tmp_path, HOST_UIDS, as_root=True).ok
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n# nothing\n+::::::\n", encoding="ascii")
    (tmp_path / "etc/subuid").write_text("ada:1934465:65536\nbob:100000:65536\n", encoding="ascii")
    found = uid_check(tmp_path, HOST_UIDS, as_root=True)
    assert (found.ok, found.needed, "ada" in found.found, "bob" in found.found) == (False, False, True, False)
    (tmp_path / "etc/subuid").write_text("ada:1934464:65536\n", encoding="ascii")
    assert uid_check(tmp_path, HOST_UIDS, as_root=True).ok
    (tmp_path / "etc/passwd").write_text("eve:x:2000007:1::/:/bin/sh\n", encoding="ascii")
    assert "eve" in uid_check(tmp_path, HOST_UIDS, as_root=True).fix
    assert uid_check(tmp_path, HOST_UIDS, as_root=False).ok
    assert uid_check(tmp_path, range(3_000_000, 3_010_000), as_root=True).ok


def test_cgroup_check_tells_what_is_missing_and_never_keeps_a_sandbox_from_starting() -> None:
    """Without cgroups agents run, less bounded; the check says which controllers there are and how to get the others."""
    some = Found((Place(1, Path("/x"), frozenset({"memory"})),), {"pids": "no reason", "cpu": "no reason"})
    found = cgroup_check(some)
    assert (found.ok, found.found) == (False, "memory (v1) can be used; no reason")
    assert "Delegate=yes" in found.fix
    assert Capabilities((found,)).ok
    require(Capabilities((found,)))
    assert cgroup_check(Found((Place(2, Path("/x"), frozenset({"memory", "pids", "cpu"})),))).fix == ""


def test_proc_check_sees_whether_proc_is_there(tmp_path: Path) -> None:
    """Where /proc is not mounted, that is told, and not what could not be read there."""
    assert not proc_check(tmp_path).ok
    assert "mount -t proc" in proc_check(tmp_path).fix
    assert proc_check(Path("/")).ok
