"""The watch over a home's files: which edits count, and when they are due."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from hermes_iso.file_watch import Edits, look
from tests.support.line import make_config


@pytest.mark.parametrize(
    ("looks", "due"),
    [
        ("aaaa", "----"),
        ("abbb", "--b-"),
        ("abcdd", "----d"),
        ("abab", "----"),
        ("abbaa", "--b-a"),
        ("abbbccc", "--b--c-"),
    ],
)
def test_edit_is_due_once_it_stands_still_and_then_no_more(looks: str, due: str) -> None:
    """The first look is known; another one counts when it is seen twice in a row, and only once."""
    edits = Edits()
    found = ["-" if not edits.are_due({"file": (ord(each),)}) else each for each in looks]
    assert "".join(found) == due


def test_what_is_forgotten_is_known_anew() -> None:
    """After a time without a watch, the files count as they are then."""
    edits = Edits()
    edits.are_due({"file": (1,)})
    edits.forget()
    assert [edits.are_due({"file": (2,)}) for _ in range(3)] == [False, False, False]
    assert [edits.are_due({"file": (3,)}) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("name", ["config.yaml", "SOUL.md", ".env", "profiles/coder/SOUL.md", "profiles/new/config.yaml"])
def test_every_file_that_a_config_is_made_from_is_looked_at(tmp_path: Path, name: str) -> None:
    """The root's and the profiles', also of a profile that was not there before: made, written and removed."""
    config = make_config(tmp_path / "home")
    file = tmp_path / "home" / name
    looks = [look(config)]
    file.parent.mkdir(parents=True, exist_ok=True)
    for text in ("x", "xy"):
        file.write_text(text)
        looks.append(look(config))
    file.unlink()
    looks.append(look(config))
    assert all(one != other for one, other in pairwise(looks))


def test_what_an_agent_writes_is_not_looked_at(tmp_path: Path) -> None:
    """Else any agent could have the gateway reload all day."""
    config = make_config(tmp_path / "home")
    before = look(config)
    (tmp_path / "home/memories").mkdir()
    (tmp_path / "home/memories/config.yaml").write_text("x")
    assert look(config) == before


def test_look_sees_through_a_symlink(tmp_path: Path) -> None:
    """A config that lives elsewhere changes where it lives."""
    (tmp_path / "real").write_text("a: 1\n")
    config = make_config(tmp_path / "home")
    (tmp_path / "home/config.yaml").symlink_to(tmp_path / "real")
    before = look(config)
    (tmp_path / "real").write_text("a: 23\n")
    assert look(config) != before
