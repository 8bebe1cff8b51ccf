"""The record of former owners: kept whole, private, and read with suspicion."""

from __future__ import annotations

import os
import stat

import pytest

from hermes_iso.errors import UsageError
from hermes_iso.owners import Former, OwnersRecord, choose_uid, fixed_uid, read_record, record_path, write_record
from hermes_iso_sandbox.identity import HOST_UIDS, fixed, passing

FIXED_UIDS = fixed(HOST_UIDS)
RECORD = OwnersRecord(FIXED_UIDS.start + 7, {"workspace": {12: Former(0, 5, "."), 13: Former(9, 9, "odd\udcff name")}})


@pytest.fixture
def home(tmp_path):
    """Make a root home with the gateway's directory of agent a."""
    record_path(tmp_path, "a").parent.mkdir(parents=True)
    return tmp_path


def test_record_comes_back_as_it_was_written_and_is_private(home):
    """Also with a name that is no UTF-8; nothing else is left beside it."""
    assert read_record(home, "a") is None
    write_record(home, "a", RECORD)
    assert read_record(home, "a") == RECORD
    path = record_path(home, "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["owners.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"uid": 1, "former": {"w": [[1, 2]]}}', '{"uid": "x", "former": {}}'])
def test_damaged_record_is_told_and_not_taken_for_none(home, text):
    """Without it the sandbox would run as somebody else than who owns the files."""
    record_path(home, "a").write_text(text)
    with pytest.raises(UsageError, match="is damaged"):
        read_record(home, "a")


def test_record_that_is_a_symlink_is_refused(home, tmp_path):
    """It decides under which uid a sandbox runs."""
    (tmp_path / "elsewhere").write_text("{}")
    record_path(home, "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="can't be read"):
        read_record(home, "a")


def test_fixed_uid_counts_for_root_alone(home):
    """An ordinary user's agents are that user, whatever a record says."""
    write_record(home, "a", RECORD)
    assert fixed_uid(home, "a") == (RECORD.uid if os.geteuid() == 0 else None)
    assert fixed_uid(home, "b") is None


def test_fixed_uids_are_no_uids_of_the_pool():
    """A pool gives its uids to whoever comes; one that owns files must not be among them."""
    assert sorted((*passing(HOST_UIDS), *FIXED_UIDS)) == list(HOST_UIDS)


@pytest.mark.skipif(os.geteuid() != 0, reason="records count for root alone")
def test_two_agents_never_get_the_same_uid(home):
    """Also where chance would give one agent the uid of another."""
    first = choose_uid(home, "a", HOST_UIDS)
    assert choose_uid(home, "a", HOST_UIDS) == first
    assert choose_uid(home / "x", "a", HOST_UIDS) != first
    record_path(home, "b").parent.mkdir()
    write_record(home, "b", OwnersRecord(first, {}))
    assert choose_uid(home, "a", HOST_UIDS) == (first + 1 if first + 1 in FIXED_UIDS else FIXED_UIDS.start)
