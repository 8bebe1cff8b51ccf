"""The files of an agent's jobs, with whatever the agent has put in their place."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hermes_iso.cron import folder
from hermes_iso.profiles import Profile


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Return a profile with an empty directory of jobs."""
    (tmp_path / "cron").mkdir()
    return Profile("a", tmp_path)


def write(profile: Profile, content: bytes) -> None:
    """Write the jobs' file."""
    (profile.home / "cron" / "jobs.json").write_bytes(content)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (b'{"jobs": [{"id": "a"}], "updated_at": "x"}', [{"id": "a"}]),
        (b'[{"id": "a"}]', [{"id": "a"}]),
        (b'\xef\xbb\xbf{"jobs": []}', []),
        (b"", []),
    ],
)
def test_records_are_read_in_every_form_that_hermes_has(profile: Profile, content: bytes, records: list[Any]) -> None:
    """An object, a bare list, a byte order mark and an empty file are all taken."""
    write(profile, content)
    assert folder.read_records(profile) == records


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[" * 100_000, "deep"),
        (b"{", "not JSON"),
        (b'{"jobs": 5}', "no list"),
        (b'{"jobs": [' + b"1," * 600 + b"1]}", "more than 500"),
        (b'{"jobs": ["' + b"x" * (4 << 20) + b'"]}', "longer than"),
        (b'{"jobs": [], "jobs": []}', "twice"),
        (b'{"jobs": [NaN]}', "NaN"),
    ],
)
def test_a_hostile_file_is_refused_with_a_sentence(profile: Profile, content: bytes, sentence: str) -> None:
    """Depth, size, repeated keys and what is no JSON are refused before they cost anything."""
    write(profile, content)
    with pytest.raises(folder.JobsFileError, match=sentence):
        folder.read_records(profile)


def test_what_stands_in_the_files_place_is_not_followed(profile: Profile, tmp_path: Path) -> None:
    """A symlink, a FIFO and a directory are refused at once, and what a link leads to stays as it is."""
    secret, place = tmp_path / "secret.json", profile.home / "cron" / "jobs.json"
    secret.write_text('{"jobs": [{"id": "secret"}]}')
    place.symlink_to(secret)
    with pytest.raises(folder.JobsFileError):
        folder.read_records(profile)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(folder.JobsFileError):
        folder.read_records(profile)
    place.unlink()
    place.mkdir()
    with pytest.raises(folder.JobsFileError):
        folder.read_records(profile)
    assert "secret" in secret.read_text()


def test_a_directory_of_jobs_that_leads_elsewhere_is_not_used(tmp_path: Path) -> None:
    """Where the directory is a symlink, nothing is read and nothing written."""
    (tmp_path / "other").mkdir()
    (tmp_path / "cron").symlink_to(tmp_path / "other")
    profile = Profile("a", tmp_path)
    with pytest.raises(folder.JobsFileError):
        folder.change_records(profile, lambda _: [])
    with pytest.raises(folder.JobsFileError):
        folder.keep_output(profile, "job", "x", "text")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_lock_that_an_agent_holds_keeps_nobody_waiting(profile: Profile) -> None:
    """Records are changed although somebody holds the lock and never lets go."""
    with (profile.home / "cron" / ".jobs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.change_records(profile, lambda records: [*records, {"id": "new"}])
    written = json.loads((profile.home / "cron" / "jobs.json").read_text())
    assert written["jobs"] == [{"id": "new"}]


def test_a_change_replaces_the_file_and_its_version(profile: Profile) -> None:
    """What has changed is another version of the file, and nothing is left beside it."""
    assert folder.stamp_of(profile) is None
    folder.change_records(profile, lambda _: [{"id": "a"}])
    first = folder.stamp_of(profile)
    folder.change_records(profile, lambda records: [*records, {"id": "b"}])
    assert None is not first != folder.stamp_of(profile)
    assert {path.name for path in (profile.home / "cron").iterdir()} == {"jobs.json", ".jobs.lock"}


def test_outputs_are_kept_and_only_the_latest(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run's output is a file of its own below its job, and old ones go."""
    monkeypatch.setattr(folder, "OUTPUTS_KEPT", 2)
    for day in (1, 2, 3):
        folder.keep_output(profile, "job", f"2026-01-0{day}", f"text {day}")
    kept = sorted(path.name for path in (profile.home / "cron" / "output" / "job").iterdir())
    assert kept == ["2026-01-02.md", "2026-01-03.md"]
    assert folder.latest_output(profile, "job", 100) == "text 3"


def test_an_output_that_an_agent_has_put_a_link_for_is_not_written_through(profile: Profile, tmp_path: Path) -> None:
    """A symlink in an output's place is replaced, and what it leads to keeps its content."""
    target = tmp_path / "target"
    target.write_text("untouched")
    own = profile.home / "cron" / "output" / "job"
    own.mkdir(parents=True)
    (own / "x.md").symlink_to(target)
    folder.keep_output(profile, "job", "x", "text")
    assert (target.read_text(), (own / "x.md").read_text()) == ("untouched", "text")
