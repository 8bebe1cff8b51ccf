"""A job as it is read from its agent's file: when it is due, and how little of the record is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hermes_iso.cron.job import Job, read_job, targets_of
from hermes_iso.cron.schedule import ScheduleError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ZONE = ZoneInfo("UTC")


def job(**changes: Any) -> Job:
    """Return a job that runs every ten minutes, with changes."""
    record = {
        "id": "a1b2c3d4e5f6",
        "name": "n",
        "prompt": "p",
        "schedule": {"kind": "interval", "minutes": 10},
        "enabled": True,
    }
    return read_job({**record, **changes}, ZONE)


def once(seconds: float, **changes: Any) -> Job:
    """Return a job that runs once, so many seconds from now."""
    return job(schedule={"kind": "once", "run_at": (NOW + timedelta(seconds=seconds)).isoformat()}, **changes)


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (job(next_run_at="2026-11-21T12:00:05+00:00"), 5),
        (job(next_run_at="2026-11-21T11:58:00+00:00"), -120),  # late, and within grace
        (job(next_run_at="2026-11-21T11:47:00+00:00"), 420),  # too late: the next of its row
        (job(last_run_at="2026-11-21T11:55:00+00:00"), 300),
        (job(next_run_at="2026-11-21T11:59:00+00:00", enabled=False), None),
        (job(next_run_at="2026-11-21T11:59:00+00:00", state="paused"), None),
        (job(next_run_at="2026-11-21T11:59:00+00:00", repeat={"times": 3, "completed": 3}), None),
        (job(next_run_at="2026-11-21T11:59:00+00:00", repeat={"times": 3, "completed": 2}), -60),
        (job(next_run_at="2026-11-21T11:59:00+00:00", repeat={"times": None, "completed": 9}), -60),
        (once(30), 30),
        (once(-100), -100),
        (once(-121), None),
        (once(-30, last_run_at="2026-11-21T11:59:40+00:00"), None),
        (once(-9000, next_run_at="2026-11-21T12:00:00+00:00"), 0),  # told to run now
    ],
)
def test_due_follows_the_grace_rules(found: Job, seconds: float | None) -> None:
    """A job is due when it says so, is caught up with while it is not too late, and else waits for its next time."""
    due = found.due(NOW, ZONE)
    assert (None if due is None else (due - NOW).total_seconds()) == seconds


def test_a_run_that_was_begun_is_not_begun_again_though_the_file_says_so() -> None:
    """A file that was not written, or was put back, does not make a run happen twice."""
    planned = NOW - timedelta(seconds=30)
    again = job(next_run_at=planned.isoformat())
    assert again.due(NOW, ZONE, fired=planned) == planned + timedelta(minutes=10)
    assert once(-30).due(NOW, ZONE, fired=planned) is None


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (None, "no id"),
        ("x", "no id"),
        ({"id": "../../etc/passwd"}, "no id"),
        ({"id": "a" * 65}, "no id"),
        ({"id": 5}, "no id"),
        ({"id": "a", "schedule": "x"}, "no schedule"),
        ({"id": "a", "schedule": {"kind": "interval", "minutes": 5}, "prompt": "x" * 40_000}, "prompt of more"),
    ],
)
def test_a_record_that_is_no_job_says_why(record: Any, sentence: str) -> None:
    """A hostile record is refused with the reason, and nothing else happens."""
    with pytest.raises(ScheduleError, match=sentence):
        read_job(record, ZONE)


@pytest.mark.parametrize(
    ("deliver", "targets"),
    [
        (None, ()),
        ("local", ()),
        ("origin", ("origin",)),
        ("telegram:-100:7, origin,telegram:-100:7", ("telegram:-100:7", "origin")),
        (["discord:1", "local", "all"], ("discord:1", "all")),
        ({"a": 1}, ()),
        (",".join(str(n) for n in range(99)), tuple(str(n) for n in range(16))),
    ],
)
def test_targets_are_a_short_list_without_repeats(deliver: Any, targets: tuple[str, ...]) -> None:
    """Every form of Hermes' deliver is a list of words, each once, and bounded."""
    assert targets_of({"deliver": deliver}) == targets
