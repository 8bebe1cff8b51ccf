"""Usage: counting a tree that belongs to somebody hostile."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hermes_iso_sandbox.guest.usage import MOST_DEPTH, Usage


def usage(*roots: Path, most_bytes: int = 1 << 40, most_inodes: int = 1 << 40, seconds: float = 60) -> Usage:
    """Return a count that has not begun."""
    return Usage(roots=[str(root) for root in roots], most_bytes=most_bytes, most_inodes=most_inodes, seconds=seconds)


def test_count_is_of_blocks_and_inodes_of_everything_below(tmp_path: Path) -> None:
    """Directories, files and symlinks count once each, a file with two names as well; a hole takes up nothing."""
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/file").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "d/file", tmp_path / "d/e/again")
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 1 << 30)
    (tmp_path / "out").symlink_to("/")
    count = usage(tmp_path)
    assert count.add_trees() == "all"
    assert count.inodes == 6
    assert 100_000 <= count.bytes < 200_000


def test_count_follows_no_symlink_and_survives_what_it_can_t_open(tmp_path: Path) -> None:
    """Sockets, pipes and links to directories are entries and nothing more."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below/many").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to(tmp_path / "below")
    os.mkfifo(tmp_path / "root/pipe")
    count = usage(tmp_path / "root")
    assert (count.add_trees(), count.inodes) == ("all", 3)


@pytest.mark.parametrize("bound", [{"most_inodes": 10}, {"most_bytes": 20_000}])
def test_count_ends_early_once_it_is_over_a_bound(tmp_path: Path, bound: dict[str, int]) -> None:
    """A tree of any size costs no more than the limit."""
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"x" * 4096)
    count = usage(tmp_path, **bound)
    assert count.add_trees() == "bound"
    assert count.inodes < 20


def test_count_ends_when_its_time_is_up(tmp_path: Path) -> None:
    """The rest is unknown, and the answer says so."""
    assert usage(tmp_path, seconds=-1).add_trees() == "time"


def test_count_ends_at_a_depth_that_no_honest_tree_has(tmp_path: Path) -> None:
    """Levels cost open directories; one below the bound still counts."""
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(MOST_DEPTH - 1):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    count = usage(tmp_path)
    assert (count.add_trees(), count.inodes) == ("all", MOST_DEPTH)
    os.mkdir("d", dir_fd=place)
    os.close(place)
    assert usage(tmp_path).add_trees() == "depth"
    before = len(os.listdir("/proc/self/fd"))
    usage(tmp_path).add_trees()
    assert len(os.listdir("/proc/self/fd")) == before


def test_count_makes_a_hidden_directory_readable_for_its_owner(tmp_path: Path) -> None:
    """Taking one's own permission away hides nothing."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").touch()
    (tmp_path / "d").chmod(0)
    count = usage(tmp_path)
    assert (count.add_trees(), count.inodes) == ("all", 3)


def test_count_adds_what_is_held_open_without_a_name(tmp_path: Path) -> None:
    """A deleted file takes up space while a process has it open; one with a name is for the tree to count."""
    with (tmp_path / "gone").open("wb") as gone, (tmp_path / "named").open("wb") as named:
        gone.write(b"x" * 100_000)
        gone.flush()
        named.write(b"x" * 5_000_000)
        named.flush()
        os.unlink(tmp_path / "gone")
        again = os.dup(gone.fileno())
        count = usage(tmp_path)
        count.add_held_open()
        os.close(again)
    assert count.inodes >= 1
    assert count.bytes >= 100_000


def test_report_is_json_for_the_host() -> None:
    """The three facts, on a descriptor."""
    fd = os.memfd_create("answer")
    usage(Path("/nonexistent-root"), seconds=-1).report(fd)
    assert json.loads(os.pread(fd, 4096, 0)) == {"counted": "time", "bytes": 0, "inodes": 0}
    os.close(fd)


def test_count_of_a_file_by_itself_is_that_file(tmp_path: Path) -> None:
    """A root may be one file, where no more than that is shown."""
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    count = usage(tmp_path / "file")
    assert (count.add_trees(), count.inodes) == ("all", 1)
    assert count.bytes >= 10_000
