"""The demo's home: what a killed demo left behind goes away, and nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil

import pytest

from hermes_iso.cli.demo import PREFIX, remove_stale_homes


def stale_home(directory, name, lock=True):
    """Make what a demo leaves behind when it is killed."""
    home = directory / f"{PREFIX}{name}"
    (home / "hermes-iso").mkdir(parents=True)
    if lock:
        (home / "hermes-iso/lock").write_text("1\n", encoding="utf-8")
    return home


def test_a_home_that_nobody_holds_is_removed(tmp_path):
    """Also one whose demo died before it took the lock; what is new without a lock may be a demo that starts."""
    stale, old, new = (stale_home(tmp_path, name, lock=name == "stale") for name in ("stale", "old", "new"))
    os.utime(old, (0, 0))
    remove_stale_homes(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name]
    assert not stale.exists()


def test_a_home_whose_lock_is_held_stays(tmp_path):
    """A demo that runs keeps its home."""
    home = stale_home(tmp_path, "running")
    with open(home / "hermes-iso/lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_stale_homes(tmp_path)
    assert (home / "hermes-iso/lock").exists()


def test_no_symlink_is_followed(tmp_path):
    """A name that leads elsewhere, or a lock that does, removes nothing."""
    away = tmp_path / "away"
    target = stale_home(away, "target")
    where = tmp_path / "where"
    tricky = stale_home(where, "tricky", lock=False)
    (tricky / "hermes-iso/lock").symlink_to(target / "hermes-iso/lock")
    (where / f"{PREFIX}link").symlink_to(target)
    (where / f"{PREFIX}file").write_text("", encoding="utf-8")
    remove_stale_homes(where)
    assert (target / "hermes-iso/lock").exists()
    assert len(list(where.iterdir())) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
def test_another_users_home_stays(tmp_path):
    """The owner is checked: anybody may make such a name in the temporary directory."""
    home = stale_home(tmp_path, "theirs")
    shutil.chown(home, 65534)
    remove_stale_homes(tmp_path)
    assert home.exists()
