"""Owners are changed by descriptor, in the agent's own tree alone, and come back exactly."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hermes_iso.chown import MOST_DEEP, former_owners, give, restore, walk
from hermes_iso.errors import UsageError
from hermes_iso.owners import OwnersRecord
from hermes_iso_sandbox.identity import HOST_UIDS, fixed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
UID = fixed(HOST_UIDS).start


def owners(top: Path) -> dict[str, tuple[int, int]]:
    """Return who owns what in a tree, symlinks themselves included."""
    found = {}
    for place in (top, *top.rglob("*")):
        status = place.lstat()
        found[str(place.relative_to(top))] = (status.st_uid, status.st_gid)
    return found


@pytest.fixture
def tree(tmp_path):
    """Make a directory of an agent with files of three owners, and symlinks that lead out of it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("not the agent's")
    top = tmp_path / "workspace"
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/f").write_text("f")
    os.chown(top / "a/b/f", 1234, 55)
    (top / "g").write_text("g")
    os.chown(top / "g", 0, 77)
    (top / "to-file").symlink_to(tmp_path / "outside/file")
    (top / "to-directory").symlink_to(tmp_path / "outside")
    os.mkfifo(top / "fifo")
    return top


def given(top: Path) -> OwnersRecord:
    """Give a tree away; return the record."""
    record = former_owners({"workspace": str(top)}, OwnersRecord(UID, {}))
    assert give({"workspace": str(top)}, record) == len(owners(top))
    return record


def test_everything_changes_its_owner_and_all_comes_back(tree):
    """Files, directories, FIFOs and the symlinks themselves; what a symlink leads to is not touched."""
    before, outside = owners(tree), owners(tree.parent / "outside")
    record = given(tree)
    assert set(owners(tree).values()) == {(UID, UID)}
    assert restore({"workspace": str(tree)}, record) == len(before)
    assert owners(tree) == before
    assert owners(tree.parent / "outside") == outside


def test_what_the_agent_made_and_renamed_comes_back_to_the_right_owner(tree):
    """A renamed file has its former owner again; a new one goes to the owner of the directory as a whole."""
    os.chown(tree, 42, 43)
    record = given(tree)
    (tree / "a/b/f").rename(tree / "renamed")
    (tree / "new").write_text("n")
    os.chown(tree / "new", UID, UID)
    restore({"workspace": str(tree)}, record)
    assert owners(tree)["renamed"] == (1234, 55)
    assert owners(tree)["new"] == (42, 43)


def test_second_try_keeps_what_the_first_one_wrote_down(tree):
    """After an interruption in the middle, the record still has everybody's former owner."""
    before = owners(tree)
    first = former_owners({"workspace": str(tree)}, OwnersRecord(UID, {}))
    os.chown(tree / "g", UID, UID)
    again = former_owners({"workspace": str(tree)}, first)
    assert again == first
    give({"workspace": str(tree)}, again)
    restore({"workspace": str(tree)}, again)
    assert owners(tree) == before


def test_file_with_a_second_name_is_refused_before_anything_changes(tree):
    """The other name may lie outside of the tree."""
    os.link(tree.parent / "outside/file", tree / "a/link")
    before = owners(tree)
    with pytest.raises(UsageError, match=r"more than one name.*a/link"):
        former_owners({"workspace": str(tree)}, OwnersRecord(UID, {}))
    assert owners(tree) == before


def test_second_name_that_was_made_after_the_record_is_not_given_away(tree):
    """What was checked then is checked again when the owner is changed."""
    record = former_owners({"workspace": str(tree)}, OwnersRecord(UID, {}))
    os.link(tree / "g", tree.parent / "outside/g")
    give({"workspace": str(tree)}, record)
    assert owners(tree)["g"] == (0, 77)


def test_undo_leaves_alone_what_is_not_the_agents(tree):
    """A foreign file that was linked into the tree meanwhile is nobody's to give back."""
    record = given(tree)
    os.chown(tree.parent / "outside/file", 66, 66)
    os.link(tree.parent / "outside/file", tree / "planted")
    restore({"workspace": str(tree)}, record)
    assert owners(tree)["planted"] == (66, 66)


def test_top_that_became_a_symlink_is_refused(tree):
    """The path was resolved when the config was read, so a symlink on it was put there since."""
    tree.rename(tree.with_name("aside"))
    tree.symlink_to(tree.parent / "outside")
    with pytest.raises(OSError, match="Not a directory"):
        list(walk(str(tree)))


def test_tree_without_end_is_refused(tmp_path):
    """Each level costs a descriptor, and an agent can make as many as it likes."""
    place = tmp_path
    for _ in range(MOST_DEEP + 2):
        place = place / "d"
    place.mkdir(parents=True)
    with pytest.raises(UsageError, match="nests deeper"):
        list(walk(str(tmp_path)))


def test_mount_in_the_tree_is_refused(tmp_path):
    """What is mounted in an agent's directory is not the agent's."""
    (tmp_path / "m").mkdir()
    script = f'mount -t tmpfs none {tmp_path}/m; exec "$@"'
    code = "import sys; sys.path[:0] = sys.argv[2:]; from hermes_iso.chown import walk; list(walk(sys.argv[1]))"
    argv = ["unshare", "-m", "sh", "-ec", script, "sh", os.sys.executable, "-c", code, str(tmp_path), *os.sys.path]
    ran = subprocess.run(argv, capture_output=True, text=True)
    assert "lies on another file system" in ran.stderr
