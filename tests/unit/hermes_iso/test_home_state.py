"""Homes that can't hold a gateway's records, and symlinks at every name that it opens in one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hermes_iso.cli.main import main
from hermes_iso.errors import UsageError
from hermes_iso.home_lock import hold_home
from hermes_iso.home_state import check_home, home_complaints
from hermes_iso.store import open_database

OWN = [
    "hermes-iso",
    *(f"hermes-iso/{name}" for name in ("lock", "admin.sock", "agents", "agents/a")),
    *(f"hermes-iso/{name}{end}" for name in ("gateway.db", "agents/a/sessions.db") for end in ("", "-wal", "-shm", "-journal")),
]
OPERATORS = ["config.yaml", ".env", "profiles", "profiles/a", "profiles/a/.env", "profiles/a/workspace", "profiles/a/.agent"]


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Make a home with agents main and a, on which a gateway has run."""
    where = tmp_path / "home"
    assert main(["init", "--home", str(where), "--agents", "a"]) == 0
    (where / "hermes-iso/agents/a").mkdir(mode=0o700, parents=True)
    (where / "profiles/a/workspace").mkdir()
    capsys.readouterr()
    return where


def plant(home: Path, name: str, leads_to: Path) -> None:
    """Put a symlink at a name in the home, in place of what is there."""
    place = home / name
    if place.is_dir():
        place.rename(home.parent / "aside")
    place.unlink(missing_ok=True)
    place.symlink_to(leads_to)


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("name", OWN)
def test_symlink_at_a_name_of_the_gateway_is_refused(home, tmp_path, name, exists):
    """Each is named with the fix, and what it leads to stays as it was."""
    victim = tmp_path / "victim"
    if exists:
        victim.mkdir()
    assert home_complaints(home, ["main", "a"]) == []
    plant(home, name, victim)
    assert home_complaints(home, ["main", "a"]) == [(f"{home / name} is a symlink", "Remove it.")]
    with pytest.raises(UsageError, match="is a symlink"):
        check_home(home, ["main", "a"])
    assert victim.exists() == exists


@pytest.mark.parametrize("name", ["hermes-iso", "hermes-iso/lock"])
def test_lock_follows_no_symlink_by_itself(home, tmp_path, name):
    """One that was planted after the check is refused as well, in a sentence that says what it is."""
    plant(home, name, tmp_path / "victim")
    with pytest.raises(UsageError, match=f"{name} is a symlink: remove it"), hold_home(home):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
async def test_database_follows_no_symlink_by_itself(tmp_path, end):
    """SQLite would make what the symlink leads to."""
    (tmp_path / f"x.db{end}").symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match=f"x.db{end} is a symlink"):
        async with open_database(tmp_path / "x.db", ["create table t (x)"]):
            pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("name", OPERATORS)
def test_symlink_of_an_operator_that_leads_nowhere_is_a_config_error(home, tmp_path, name, capsys):
    """It never counts as a file that is not there: the gateway would run on defaults, or make directories elsewhere."""
    plant(home, name, tmp_path / "nowhere")
    assert main(["config", "check", "--home", str(home)]) == 2
    assert f"{home / name}:1: " in (said := capsys.readouterr().out)
    assert "is a symlink that leads" in said
    assert not (tmp_path / "nowhere").exists()


def test_config_that_an_operator_keeps_elsewhere_is_followed(home, tmp_path, capsys):
    """A symlink to a good file is an operator's own way to keep it."""
    (home / "config.yaml").rename(tmp_path / "kept.yaml")
    (home / "config.yaml").symlink_to(tmp_path / "kept.yaml")
    assert main(["config", "check", "--home", str(home)]) == 0
    assert "serves main, a" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_home_that_may_not_be_written_is_refused(home):
    """Another's home is told as such, not as a read-only disk."""
    home.chmod(0o500)
    try:
        assert home_complaints(home, []) == [
            (f"{home} is not writable", "Correct its owner and permissions, or choose another --home.")
        ]
    finally:
        home.chmod(0o700)
