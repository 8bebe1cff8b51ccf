"""Schedule: when a job runs, as Hermes writes it: once at a time, every so many minutes, or by a cron expression.

A cron expression means the agent's own clock on the wall. So it is counted in the agent's time zone, with its changes to and
from summer time, and never with an offset that was right on the day on which a time was written down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

from cronsim import CronSim, CronSimError

ONCE_GRACE = 120.0
"""Seconds that a job that runs once may be late; also the least for the others."""
MOST_GRACE = 7200.0
"""Seconds that any job may be late."""
MOST_MINUTES = 10 * 366 * 24 * 60
EXPRESSION_CHARS = 120
_SPAN = re.compile(r"(\d{1,9})\s*(m|min|mins|minute|minutes|h|hr|hrs|hour|hours|d|day|days)")
_FIELDS = re.compile(r"[\d*\-,/A-Za-z#]+")
_MINUTES = {"m": 1, "h": 60, "d": 1440}
HOW = "write 30m or 2h (once, from now on), every 2h, five cron fields such as 0 9 * * *, or a time such as 2027-01-31T09:00"


class ScheduleError(ValueError):
    """A text is no schedule; says what it is and what to write."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job runs. Of `run_at`, `minutes` and `expr` the one counts that belongs to `kind`."""

    kind: Literal["once", "interval", "cron"]
    run_at: datetime | None = None
    minutes: int = 0
    expr: str = ""

    def next_after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """Return when it runs next after a moment; None when never."""
        if self.kind == "once":
            return self.run_at if self.run_at is not None and self.run_at > moment else None
        if self.kind == "interval":
            return moment + timedelta(minutes=self.minutes)
        try:
            return next(CronSim(self.expr, moment.astimezone(zone)), None)
        except (CronSimError, OverflowError):
            return None

    def next_of_row(self, due: datetime, now: datetime, zone: tzinfo) -> datetime | None:
        """Return the first time after now in the row that `due` belongs to."""
        if self.kind == "interval":
            passed = max(0, int((now - due) / timedelta(minutes=self.minutes)))
            return due + timedelta(minutes=self.minutes) * (passed + 1)
        return self.next_after(max(due, now), zone)

    def grace(self, due: datetime, zone: tzinfo) -> float:
        """Return how many seconds a run may be late: half of what lies between two of them, within bounds."""
        following = None if self.kind == "once" else self.next_after(due, zone)
        if following is None:
            return ONCE_GRACE
        return max(ONCE_GRACE, min((following - due).total_seconds() / 2, MOST_GRACE))

    def on_the_wall(self, moment: datetime, zone: tzinfo) -> datetime:
        """Return a written moment as the agent's clock means it.

        Who counts with the offset of the day before a change of the clocks writes down a time that is an hour off. The hands of
        the clock are right in it where they match the expression, so they are what counts.
        """
        if self.kind != "cron":
            return moment
        meant = moment.replace(tzinfo=zone)
        if meant.utcoffset() == moment.utcoffset() or self._matches(moment.astimezone(zone), zone):
            return moment
        return meant if self._matches(meant, zone) else moment

    def _matches(self, moment: datetime, zone: tzinfo) -> bool:
        """Say whether the expression names this moment."""
        before = (moment.astimezone(UTC) - timedelta(seconds=1)).astimezone(zone)
        following = self.next_after(before, zone)
        return following is not None and following.astimezone(UTC) == moment.astimezone(UTC).replace(second=0, microsecond=0)

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in a job."""
        if self.kind == "once" and self.run_at is not None:
            shown = f"once at {self.run_at:%Y-%m-%d %H:%M}"
            return {"kind": "once", "run_at": self.run_at.isoformat(), "display": shown}
        if self.kind == "interval":
            return {"kind": "interval", "minutes": self.minutes, "display": f"every {self.minutes}m"}
        return {"kind": "cron", "expr": self.expr, "display": self.expr}


def parse_schedule(text: str, now: datetime, zone: tzinfo) -> Schedule:
    """Return the schedule that a person's or a model's words mean. Raises ScheduleError."""
    words = text.strip()
    if words.lower().startswith("every "):
        return Schedule("interval", minutes=_minutes(words[6:]))
    if len(words.split()) == 5:
        return Schedule("cron", expr=checked_expression(words))
    if re.match(r"\d{4}-\d{2}-\d{2}", words):
        moment = parse_time(words, zone)
        if moment is None:
            raise ScheduleError(f"{text[:60]!r} is no time: {HOW}.")
        return Schedule("once", run_at=moment)
    return Schedule("once", run_at=now + timedelta(minutes=_minutes(words)))


def schedule_of(data: Any, zone: tzinfo) -> Schedule:
    """Return the schedule that stands in a job. Raises ScheduleError."""
    if not isinstance(data, Mapping):
        raise ScheduleError("has no schedule")
    kind, minutes = data.get("kind"), data.get("minutes")
    if kind == "cron" and isinstance(data.get("expr"), str):
        return Schedule("cron", expr=checked_expression(data["expr"]))
    if kind == "interval" and isinstance(minutes, int) and not isinstance(minutes, bool) and 0 < minutes <= MOST_MINUTES:
        return Schedule("interval", minutes=minutes)
    moment = parse_time(data.get("run_at"), zone)
    if kind == "once" and moment is not None:
        return Schedule("once", run_at=moment)
    raise ScheduleError("has a schedule that is none of once, interval and cron")


def parse_time(value: Any, zone: tzinfo) -> datetime | None:
    """Return the moment that a text names, in the zone where it names none; None where it is no time."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
        return aware if aware.astimezone(UTC).year < 9000 else None
    except (ValueError, OverflowError):
        return None


def checked_expression(text: str) -> str:
    """Return a cron expression of five fields as it stands. Raises ScheduleError."""
    fields = text.split()
    if len(text) <= EXPRESSION_CHARS and len(fields) == 5 and all(_FIELDS.fullmatch(each) for each in fields):
        try:
            CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError:
            pass
        else:
            return text
    raise ScheduleError(f"{text[:60]!r} is no cron expression: {HOW}.")


def _minutes(text: str) -> int:
    """Return the minutes of a span such as 30m, 2h, 1d. Raises ScheduleError."""
    found = _SPAN.fullmatch(text.strip().lower())
    minutes = int(found[1]) * _MINUTES[found[2][0]] if found else 0
    if not 0 < minutes <= MOST_MINUTES:
        raise ScheduleError(f"{text[:60]!r} is no schedule: {HOW}.")
    return minutes
