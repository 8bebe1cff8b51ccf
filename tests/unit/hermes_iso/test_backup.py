"""A home in one file: what is kept, what is refused, and that nothing is followed or overwritten."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import apsw
import pytest

from hermes_iso.backup import back_up, bring_back
from hermes_iso.errors import UsageError


def make_home(home: Path) -> Path:
    """Make a home with a database of the gateway's and files of an agent's."""
    (home / "hermes-iso").mkdir(parents=True)
    (home / "workspace").mkdir(mode=0o700)
    (home / "config.yaml").write_text("model: builtin/offline\n")
    (home / "workspace" / "run.sh").write_text("echo hi")
    (home / "workspace" / "run.sh").chmod(0o755)
    (home / "workspace" / "link").symlink_to("/etc/hostname")
    os.mkfifo(home / "workspace" / "fifo")
    (home / "hermes-iso" / "lock").write_text("1")
    return home


def test_backup_of_an_open_database_is_as_it_was_at_one_moment(tmp_path: Path) -> None:
    """What was committed is there, what was not is not, and the log beside the database is not needed."""
    home, archive, back = make_home(tmp_path / "home"), tmp_path / "b.tgz", tmp_path / "back"
    database = apsw.Connection(str(home / "hermes-iso" / "gateway.db"))
    for statement in ("PRAGMA journal_mode=WAL", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)", "BEGIN"):
        database.execute(statement).fetchall()
    database.execute("INSERT INTO t VALUES (2)").fetchall()
    saved = back_up(home, archive)
    database.execute("COMMIT")
    assert (saved.databases, oct(archive.stat().st_mode & 0o777)) == (1, "0o600")
    assert bring_back(archive, back) == saved.files
    assert apsw.Connection(str(back / "hermes-iso" / "gateway.db")).execute("SELECT x FROM t").fetchall() == [(1,)]
    assert sorted(path.name for path in (back / "hermes-iso").iterdir()) == ["gateway.db"]


def test_backup_keeps_links_as_links_and_permissions(tmp_path: Path) -> None:
    """A symlink comes back as one and its target is not in the file; a FIFO is left out."""
    home, archive, back = make_home(tmp_path / "home"), tmp_path / "b.tgz", tmp_path / "back"
    back_up(home, archive)
    bring_back(archive, back)
    assert os.readlink(back / "workspace" / "link") == "/etc/hostname"
    assert not (back / "workspace" / "fifo").exists()
    assert (back / "workspace" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (back / "workspace").stat().st_mode & 0o777 == 0o700


def test_backup_and_restore_overwrite_nothing(tmp_path: Path) -> None:
    """A file that is there and a home that is not empty are refused in one sentence."""
    home, archive = make_home(tmp_path / "home"), tmp_path / "b.tgz"
    back_up(home, archive)
    with pytest.raises(UsageError, match="exists already"):
        back_up(home, archive)
    with pytest.raises(UsageError, match="overwrites nothing"):
        bring_back(archive, home)
    with pytest.raises(UsageError, match="is no home"):
        back_up(tmp_path / "workspace", tmp_path / "c.tgz")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_restore_of_a_file_that_is_no_backup_leaves_nothing(tmp_path: Path) -> None:
    """Rubbish, and an archive that leads out of the home, are refused, and no home is made."""
    rubbish, evil, back = tmp_path / "r.tgz", tmp_path / "e.tgz", tmp_path / "back"
    rubbish.write_bytes(b"no archive")
    with tarfile.open(evil, "w:gz") as tar:
        for name in ("home/config.yaml", "home/../../outside"):
            tar.addfile(tarfile.TarInfo(name))
    for archive in (rubbish, evil, tmp_path / "missing.tgz"):
        with pytest.raises(UsageError, match="can't be restored"):
            bring_back(archive, back)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.tgz", "r.tgz"]
