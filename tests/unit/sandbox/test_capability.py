"""What the machine permits is judged from what it says, and every refusal comes with its fix."""

from pathlib import Path

import pytest

from hermes_iso_sandbox import UnsupportedSandboxError
from hermes_iso_sandbox.capability import Capabilities, Check, bwrap_check, proc_check, require, seccomp_check


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


def test_proc_check_sees_whether_proc_is_there(tmp_path: Path) -> None:
    """Where /proc is not mounted, that is told, and not what could not be read there."""
    assert not proc_check(tmp_path).ok
    assert "mount -t proc" in proc_check(tmp_path).fix
    assert proc_check(Path("/")).ok
