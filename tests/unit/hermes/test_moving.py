"""State files go to `.agent/` and back: nothing is lost at any step, and nothing odd is ever moved."""

from __future__ import annotations

import os
import sqlite3

import pytest

from hermes_iso.errors import UsageError
from hermes_iso.hermes import moving


@pytest.fixture
def home(tmp_path):
    """Make a home with a database that has a journal with content in it."""
    where = tmp_path / "home"
    where.mkdir()
    (where / "state.db").write_bytes(b"database")
    (where / "state.db-wal").write_bytes(b"journal")
    (where / "processes.json").write_text("[]")
    return where


def complaints(home):
    with moving.opened(home) as places:
        return moving.move_complaints(places)


def move(home):
    moving.make_inner(home)
    with moving.opened(home) as places:
        moving.move(places)


def restore(home, owners=None):
    with moving.opened(home) as places:
        moving.restore(places, owners or {})
        moving.remove_inner(places)


def test_files_move_with_their_journals_and_leave_symlinks(home):
    """A database's journals lie beside the real file, where SQLite looks for them; they have no symlink."""
    move(home)
    assert os.readlink(home / "state.db") == ".agent/state.db"
    assert (home / ".agent/state.db").read_bytes() == b"database"
    assert (home / ".agent/state.db-wal").read_bytes() == b"journal"
    assert not os.path.lexists(home / "state.db-wal")
    assert (home / "processes.json").read_text() == "[]"
    assert os.readlink(home / "projects.db") == ".agent/projects.db"


def test_restore_leaves_what_was_there_before(home):
    """The same names with the same bytes, times and modes, and nothing else."""
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in home.iterdir()}
    move(home)
    move(home)
    restore(home)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in home.iterdir()} == before


def test_sqlite_works_through_the_symlink_and_its_work_comes_back(tmp_path):
    """Rows written before, through the symlink and inside are all there after the way back."""
    database = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (v)")
    database.execute("INSERT INTO t VALUES ('before')")
    copies = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    database.close()
    for name, content in copies.items():  # as a program that was killed leaves them
        (tmp_path / name).write_bytes(content)
    move(tmp_path)
    for path, word in ((tmp_path / "state.db", "outside"), (tmp_path / ".agent/state.db", "inside")):
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("INSERT INTO t VALUES (?)", (word,))
        database.close()
    assert not (tmp_path / "state.db-wal").exists()
    restore(tmp_path)
    assert not (tmp_path / "state.db").is_symlink()
    database = sqlite3.connect(tmp_path / "state.db")
    assert [word for (word,) in database.execute("SELECT v FROM t")] == ["before", "outside", "inside"]
    database.close()


def test_what_began_inside_goes_to_where_hermes_expects_it(home):
    """A state file that the agent made after the adoption is the home's after the way back."""
    move(home)
    (home / ".agent/projects.db").write_bytes(b"new")
    restore(home)
    assert (home / "projects.db").read_bytes() == b"new"
    assert not (home / ".agent").exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda home: (home / "state.db").unlink() or (home / "state.db").symlink_to("/etc/passwd"), "is a symlink"),
        (lambda home: os.link(home / "state.db", home / "other"), "more than one name"),
        (lambda home: os.link(home / "state.db-wal", home / "other"), "more than one name"),
        (lambda home: (home / "memory_store.db").mkdir(), "no regular file"),
        (lambda home: os.mkfifo(home / "projects.db"), "no regular file"),
        (lambda home: (home / ".agent").mkdir() or (home / ".agent/state.db").write_text("x"), "two files"),
        (lambda home: (home / ".agent").mkdir() or (home / ".agent/state.db-wal").write_text("x"), "in the way"),
        (lambda home: (home / ".agent").symlink_to("/tmp"), "no symlink"),
    ],
)
def test_odd_files_are_refused_before_anything_changes(home, make, said):
    """A link, a directory, a pipe or a second file in its place: a sentence, and no change."""
    make(home)
    before = sorted(os.listdir(home))
    try:
        found = complaints(home)
    except UsageError as error:
        found = [str(error)]
    assert len(found) == 1
    assert said in found[0]
    assert sorted(os.listdir(home)) == before


@pytest.mark.parametrize("kind", ["symlink", "directory", "hard link"])
def test_what_an_agent_puts_in_the_place_of_its_state_is_not_given_back(home, tmp_path, kind):
    """The way back refuses what is no regular file with one name."""
    move(home)
    place = home / ".agent/processes.json"
    place.unlink()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    match kind:
        case "symlink":
            place.symlink_to(secret)
        case "directory":
            place.mkdir()
        case _:
            os.link(secret, place)
    with moving.opened(home) as places:
        (said,) = moving.restore_complaints(places)
    assert str(place) in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change owners")
def test_owners_and_modes_come_back(home):
    """What root gives to the profile's owner goes back to whom it was, also after the agent has changed the mode."""
    os.chown(home, 1234, 55)
    os.chown(home / "state.db", 77, 88)
    (home / "state.db").chmod(0o640)
    with moving.opened(home) as places:
        owners = moving.owners(places)
    move(home)
    inside = (home / ".agent/state.db").stat()
    assert (inside.st_uid, inside.st_gid) == (1234, 55)
    (home / ".agent/state.db").chmod(0o666)
    restore(home, owners)
    status = (home / "state.db").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (77, 88, 0o640)


class Killed(BaseException):
    """What stands for SIGKILL."""


CALLS = ("link", "rename", "symlink", "unlink", "fsync", "rmdir")


def interrupted(monkeypatch, number, what):
    """Call something that dies at its so many-th step; say whether it did."""
    left = [number]
    with monkeypatch.context() as patched:
        for name in CALLS:
            real = getattr(os, name)

            def step(*words, real=real, **more):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return real(*words, **more)

            patched.setattr(os, name, step)
        try:
            what()
        except Killed:
            return True
    return False


def seen(home):
    """Return the bytes that Hermes finds by each name in a home: a database with its journal, wherever that lies."""
    real = os.path.realpath(home / "state.db")
    with open(real, "rb") as database, open(f"{real}-wal", "rb") as journal:
        return database.read(), journal.read(), (home / "processes.json").read_text()


def test_whoever_looks_after_any_step_finds_everything_and_both_ways_can_be_completed(home, monkeypatch):
    """Killed at each step in turn, there and back: the whole state is found by its names, and trying again completes it."""
    whole = (b"database", b"journal", "[]")
    before = sorted(os.listdir(home))
    for way in (move, restore):
        number = 0
        while interrupted(monkeypatch, number, lambda way=way: way(home)):
            number += 1
            assert seen(home) == whole
            if way is move:
                assert complaints(home) == []
                (restore if number % 2 else move)(home)
                restore(home)
                assert sorted(os.listdir(home)) == before
            else:
                (restore if number % 2 else move)(home)
                move(home)
            assert seen(home) == whole
        assert number > 10
    assert sorted(os.listdir(home)) == before
