"""When a job runs: what its words mean, and what the clocks' changes make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hermes_iso.cron.schedule import Schedule, ScheduleError, parse_schedule, parse_time, schedule_of

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "kind", "display"),
    [
        ("30m", "once", "once at 2026-03-27 12:30"),
        ("2h", "once", "once at 2026-03-27 14:00"),
        ("every 30m", "interval", "every 30m"),
        ("Every 2 hours", "interval", "every 120m"),
        ("every 1d", "interval", "every 1440m"),
        ("0 9 * * *", "cron", "0 9 * * *"),
        ("*/5 8-17 * * MON-FRI", "cron", "*/5 8-17 * * MON-FRI"),
        ("2026-06-01T09:00:00", "once", "once at 2026-06-01 09:00"),
        ("2026-06-01", "once", "once at 2026-06-01 00:00"),
    ],
)
def test_schedule_words_mean_what_hermes_means(text: str, kind: str, display: str) -> None:
    """Every form of Hermes' schedules is read, and shown in its form."""
    schedule = parse_schedule(text, NOW, BERLIN)
    assert (schedule.kind, schedule.as_json()["display"]) == (kind, display)
    assert schedule_of(schedule.as_json(), BERLIN) == schedule


@pytest.mark.parametrize(
    "text",
    ["", "soon", "0m", "every", "every -5m", "61 * * * *", "* * * *", "* * * * * *", "@daily", "2026-13-01", "9" * 400 + "m"],
)
def test_schedule_words_that_mean_nothing_are_refused_with_what_to_write(text: str) -> None:
    """A text that is no schedule is refused in a sentence that says how one is written."""
    with pytest.raises(ScheduleError, match="write 30m or 2h"):
        parse_schedule(text, NOW, BERLIN)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "0 9 * * *",
        [],
        {},
        {"kind": "cron", "expr": 9},
        {"kind": "interval", "minutes": True},
        {"kind": "interval", "minutes": 0},
        {"kind": "interval", "minutes": 10**12},
        {"kind": "once", "run_at": "9999-12-31T23:59:59-14:00"},
        {"kind": "x"},
    ],
)
def test_schedule_of_a_hostile_record_is_refused(data: object) -> None:
    """What is no schedule in a job's record is refused, whatever it is made of."""
    with pytest.raises(ScheduleError):
        schedule_of(data, BERLIN)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=BERLIN), datetime(2026, 3, 29, 7, tzinfo=UTC)),  # summer time begins that night
        (datetime(2026, 3, 29, 12, tzinfo=BERLIN), datetime(2026, 3, 30, 7, tzinfo=UTC)),
        (datetime(2026, 10, 24, 12, tzinfo=BERLIN), datetime(2026, 10, 25, 8, tzinfo=UTC)),  # and ends
        (datetime(2026, 10, 25, 12, tzinfo=BERLIN), datetime(2026, 10, 26, 8, tzinfo=UTC)),
    ],
)
def test_nine_in_the_morning_is_nine_on_the_wall_on_days_when_the_clocks_change(after: datetime, expected: datetime) -> None:
    """A job of 09:00 runs at 09:00 of its agent's clock, on the days of a change as well."""
    found = Schedule("cron", expr="0 9 * * *").next_after(after, BERLIN)
    assert found is not None
    assert found.astimezone(UTC) == expected
    assert (found.hour, found.minute) == (9, 0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-03-29T09:00:00+01:00", "2026-03-29T09:00:00+02:00"),
        ("2026-10-25T09:00:00+02:00", "2026-10-25T09:00:00+01:00"),
        ("2026-10-25T09:00:00+01:00", "2026-10-25T09:00:00+01:00"),
        ("2026-10-25T08:00:00+00:00", "2026-10-25T09:00:00+01:00"),
        ("2026-10-25T10:13:20+00:00", "2026-10-25T10:13:20+00:00"),
    ],
)
def test_a_time_written_with_the_offset_of_yesterday_is_put_right(written: str, meant: str) -> None:
    """A planned time whose hands match the expression and whose offset is not that day's means the hands; others stay."""
    moment = Schedule("cron", expr="0 9 * * *").on_the_wall(datetime.fromisoformat(written), BERLIN)
    assert moment.astimezone(UTC) == datetime.fromisoformat(meant).astimezone(UTC)


@pytest.mark.parametrize(
    ("schedule", "grace"),
    [
        (Schedule("once", run_at=NOW), 120),
        (Schedule("interval", minutes=1), 120),
        (Schedule("interval", minutes=60), 1800),
        (Schedule("interval", minutes=10_000), 7200),
        (Schedule("cron", expr="0 9 * * *"), 7200),
        (Schedule("cron", expr="*/10 * * * *"), 300),
    ],
)
def test_grace_is_half_of_the_time_between_two_runs_within_bounds(schedule: Schedule, grace: float) -> None:
    """A run may be late by half its period, at least two minutes and at most two hours."""
    assert schedule.grace(NOW, BERLIN) == grace


def test_an_interval_keeps_its_step_when_runs_were_missed() -> None:
    """The next run of an interval is a whole number of periods after the one that was due."""
    due = NOW - timedelta(minutes=25)
    assert Schedule("interval", minutes=10).next_of_row(due, NOW, BERLIN) == NOW + timedelta(minutes=5)


def test_an_expression_that_never_comes_has_no_next_run() -> None:
    """The thirtieth of February never comes, and that is no failure."""
    assert Schedule("cron", expr="0 0 30 2 *").next_after(NOW, BERLIN) is None


@pytest.mark.parametrize("value", [None, 5, "", "x" * 100, "2026-02-30T10:00", [], "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_is_none(value: object) -> None:
    """What is no moment in a record is taken for none."""
    assert parse_time(value, BERLIN) is None
