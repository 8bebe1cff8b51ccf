"""Copies of trees that an agent wrote: nothing of the host gets into them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hermes_iso import copying
from hermes_iso.copying import copy_file, copy_tree
from hermes_iso.errors import UsageError


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Make a tree to copy and an empty directory."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep/er").mkdir(parents=True)
    target.mkdir()
    (source / "deep/er/SKILL.md").write_text("text")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    return source, target


def test_files_arrive_private_and_scripts_stay_scripts(trees):
    """Content and the right to execute are kept; nobody else may read."""
    copy_tree(*trees)
    assert (trees[1] / "deep/er/SKILL.md").read_text() == "text"
    modes = {name: (trees[1] / name).stat().st_mode & 0o777 for name in ("deep", "deep/er/SKILL.md", "run.sh")}
    assert modes == {"deep": 0o700, "deep/er/SKILL.md": 0o600, "run.sh": 0o700}


def test_symlinks_are_copied_as_they_are_and_lead_nowhere_on_the_way(trees, tmp_path):
    """Neither a file nor a directory behind a symlink is read; what is no file is left out."""
    (tmp_path / "secret").write_text("secret")
    (trees[0] / "link").symlink_to(tmp_path / "secret")
    (trees[0] / "directory").symlink_to(tmp_path)
    os.mkfifo(trees[0] / "fifo")
    copy_tree(*trees)
    assert os.readlink(trees[1] / "link") == str(tmp_path / "secret")
    assert os.readlink(trees[1] / "directory") == str(tmp_path)
    assert not (trees[1] / "fifo").exists()
    assert not copy_file(trees[0] / "link", trees[1] / "link")
    assert not copy_file(trees[0] / "none", trees[1] / "none")


def test_file_that_is_swapped_for_a_symlink_while_it_is_copied_is_left_out(trees, tmp_path, monkeypatch):
    """Between the look at a name and its opening an agent may replace it: then it is not followed."""
    (tmp_path / "secret").write_text("secret")
    look = os.stat

    def swapping(path, *args, **options):
        found = look(path, *args, **options)
        if path == "run.sh" and (trees[0] / "run.sh").is_file():
            (trees[0] / "run.sh").unlink()
            (trees[0] / "run.sh").symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(copying.os, "stat", swapping)
    copy_tree(*trees)
    monkeypatch.undo()
    assert os.path.islink(trees[0] / "run.sh")
    assert not os.path.lexists(trees[1] / "run.sh")


@pytest.mark.parametrize(
    ("bound", "value", "told"),
    [("MOST_ENTRIES", 2, "more than 2 files"), ("MOST_DEEP", 0, "deeper than 0"), ("MOST_BYTES", 3, "more than 0 MiB")],
)
def test_too_much_is_refused(trees, monkeypatch, bound, value, told):
    """Number, depth and size are bounded."""
    monkeypatch.setattr(copying, bound, value)
    with pytest.raises(UsageError, match=told):
        copy_tree(*trees)
