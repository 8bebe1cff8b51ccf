"""What to change on a machine, judged from recorded values of such machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hermes_iso_sandbox.fixes import apparmor_command, identity_fix, namespace_fix
from hermes_iso_sandbox.last_words import last_words

APPARMOR = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
REFUSED = "bwrap: setting up uid map: Permission denied"
MASKED = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"
PROFILE = """\
abi <abi/4.0>,
include <tunables/global>
profile bwrap /usr/local/bin/bwrap flags=(unconfined) {
  userns,
}
"""


def recorded(root: Path, **files: str) -> Path:
    """Write files of a machine's /proc, `__` in their names for `/`."""
    for name, text in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return root


@pytest.mark.parametrize(
    ("switch", "value", "fix"),
    [
        ("proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces"),
        (APPARMOR, "1", "apparmor_parser"),
    ],
)
def test_namespace_fix_names_the_switch_that_is_off(tmp_path, switch, value, fix):
    """Each kernel switch that forbids user namespaces has its own fix (values as recorded on such systems)."""
    recorded(tmp_path, **{switch.replace("/", "__"): f"{value}\n"})
    assert fix in namespace_fix(tmp_path, REFUSED)


def test_namespace_fix_is_for_bwrap_alone_where_apparmor_restricts(tmp_path):
    """As on Ubuntu 24.04: the switch itself stays on, and the profile is for the bwrap that was found."""
    fix = namespace_fix(recorded(tmp_path, **{APPARMOR.replace("/", "__"): "1\n"}), REFUSED, bwrap="/usr/local/bin/bwrap")
    assert apparmor_command("/usr/local/bin/bwrap") in fix
    assert "sysctl" not in fix


def test_apparmor_command_writes_the_whole_profile():
    """What the printed command feeds to AppArmor is a profile file as it stands in AppArmor's own documentation."""
    write, _, install = apparmor_command("/usr/local/bin/bwrap").partition(" | ")
    assert subprocess.run(["sh", "-c", write], capture_output=True, text=True, check=True).stdout == PROFILE
    assert install == "sudo tee /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap"


def test_namespace_fix_tells_a_masked_proc_from_a_filter(tmp_path):
    """Without a switch to blame it is a container; what is needed is named by flags, and --privileged is never proposed."""
    masked, refused = namespace_fix(tmp_path, MASKED), namespace_fix(tmp_path, REFUSED)
    assert "/proc are masked" in masked
    assert "filter of a container" in refused
    for fix in (masked, refused):
        assert "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=" in fix
        assert "unmask=ALL" in fix
        assert "--privileged" not in fix


@pytest.mark.parametrize(
    ("uid_map", "capabilities", "fix"),
    [
        ("         0       1000          1\n", "000001ffffffffff", "rootless container"),
        ("         0          0 4294967295\n", "00000000a80425fb", "CAP_SYS_ADMIN"),
        ("         0          0 4294967295\n", "000001ffffffffff", "ext4"),
    ],
)
def test_identity_fix_tells_whose_root_it_is(tmp_path, uid_map, capabilities, fix):
    """Root of a rootless container, root in docker's default container, and the machine's own root (values as recorded)."""
    status = f"Name:\tpython\nCapPrm:\t{capabilities}\nCapEff:\t{capabilities}\n"
    assert fix in identity_fix(recorded(tmp_path, proc__self__uid_map=uid_map, proc__self__status=status))


def test_last_words_of_a_traceback_are_its_error():
    """Nobody is shown a traceback, and everything else is told in full, on one line."""
    assert last_words(b'Traceback (most recent call last):\n  File "x", line 1\nValueError: why\n') == "ValueError: why"
    assert last_words(b"bwrap: this\nbwrap: that\n") == "bwrap: this bwrap: that"
    assert last_words(b"") == "it ended without a word"
