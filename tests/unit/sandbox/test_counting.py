"""Counting: what a count says is judged by the limits, and free space tells when to count anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hermes_iso_sandbox import Bind, Confinement, Limits
from hermes_iso_sandbox.counting import Counted, Space, judge, read_answer, size_text, writable

LIMITS = Limits(disk=8 << 20, inodes=100)


@pytest.mark.parametrize(
    ("counted", "limit", "said"),
    [
        (Counted(8 << 20, 100, "all"), None, ""),
        (Counted((8 << 20) + 1, 5, "bound"), "disk", "more than its disk limit of 8M"),
        (Counted(5, 101, "bound"), "inodes", "more than its limit of 100 inodes"),
        (Counted(5, 5, "depth"), "inodes", "nest too deeply"),
        (Counted(5, 5, "time"), "inodes", "could not be counted within"),
    ],
)
def test_judge_compares_with_the_limits(counted: Counted, limit: str | None, said: str) -> None:
    """At a limit is within it; what can't be counted is over it; every sentence says how room is made."""
    error = judge(counted, LIMITS, "coder")
    assert (error and error.limit) == limit
    if error:
        assert said in str(error)
        assert "hermes-iso exec --agent coder -- rm" in str(error)


def test_judge_has_nothing_against_what_has_no_limit() -> None:
    """None is not bounded."""
    assert judge(Counted(1 << 50, 1 << 40, "all"), Limits(disk=None, inodes=None), "coder") is None


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"[1]", b"\xff", b'{"bytes": "x", "inodes": 1, "counted": "all"}', b'{"bytes": 1']
)
def test_what_is_no_answer_is_none(answer: bytes) -> None:
    """A counting process that was killed, or says nonsense, has counted nothing."""
    assert read_answer(answer) is None


def test_answer_is_read() -> None:
    """Bytes, inodes and how the count ended."""
    assert read_answer(b'{"counted": "all", "bytes": 4096, "inodes": 2}') == Counted(4096, 2, "all")


def test_writable_are_the_binds_that_can_be_written() -> None:
    """A confinement without binds shows its home."""
    binds = (Bind("/a", "/x", writable=True), Bind("/b", "/y"))
    assert [bind.target for bind in writable(Confinement(Path("/h"), binds=binds))] == ["/x"]
    assert [bind.source for bind in writable(Confinement(Path("/h")))] == ["/h"]


def test_space_has_changed_by_a_sixteenth_of_a_limit(tmp_path: Path) -> None:
    """Many new files are noticed, few are not, and a mark starts anew; a directory that is gone breaks nothing."""
    inodes = Space(Confinement(tmp_path, limits=Limits(disk=None, inodes=160)))
    tiny = Space(Confinement(tmp_path, limits=Limits(disk=1 << 62, inodes=1 << 60)))
    assert not tiny.has_changed()
    for number in range(2000):
        (tmp_path / str(number)).touch()
    assert inodes.has_changed() or not os.statvfs(tmp_path).f_files
    assert not tiny.has_changed()
    assert not Space(Confinement(tmp_path / "gone")).has_changed()


@pytest.mark.parametrize(
    ("size", "text"), [(512 << 20, "512M"), (2 << 30, "2G"), (1536 << 20, "1536M"), (4096, "4K"), (5, "5")]
)
def test_size_is_written_as_a_config_has_it(size: int, text: str) -> None:
    """The largest unit that needs no fraction."""
    assert size_text(size) == text
