"""A pool that runs shows what the host mounted after it began, and says nothing of it to sandboxes that were there before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateways import ROOT, environment

SCRIPT = """
import os, sys
from pathlib import Path
from hermes_iso_sandbox import keeper
root = os.geteuid() == 0
uid, gid = os.geteuid(), os.getegid()
if keeper.libc.unshare(0x00020000 | (0 if root else keeper.CLONE_NEWUSER)):  # mounts of this process alone
    sys.exit(77)
if not root:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
keeper.mount("none", "/", None, keeper.MS_PRIVATE_RECURSIVE)

from tests.support.pools import named, output_of, run_pool, simple_confinement

top = Path(sys.argv[1])

async def scenario(pool):
    before, late, later = (simple_confinement(top / name) for name in ("before", "late", "later"))
    assert await output_of(pool, before, "touch mine; echo ready") == "ready\\n"
    tree = pool._tree
    first = tree._stands.current.keeper
    (top / "late" / "made").mkdir()  # no mount: the keeper sees it
    assert await output_of(pool, late, "true") == ""
    assert tree._stands.current.keeper is first
    keeper.mount("tmpfs", str(top / "later"), "tmpfs", 0, "mode=755")
    (top / "later" / "on-the-mount").touch()
    assert await output_of(pool, later, "ls") == "on-the-mount\\n"
    assert (tree._stands.current.keeper is first) == root
    assert await output_of(pool, before, "ls") == "mine\\n"
    assert not first.dead.is_set()  # what stands on it goes on
    await pool.retire(before.home)
    await pool.retire(late.home)
    assert first.dead.is_set() == (not root)
    assert await output_of(pool, later, "ls") == "on-the-mount\\n"
    assert await output_of(pool, before, "ls") == "mine\\n"

run_pool(scenario)
print("held")
"""


def test_directory_on_a_later_mount_is_shown(tmp_path: Path) -> None:
    """An ordinary user's pool starts a second keeper for it, and the first ends with its last sandbox; root's needs none."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this machine lets no ordinary user make a mount namespace")
    assert (done.returncode, done.stdout) == (0, "held\n"), done.stderr
