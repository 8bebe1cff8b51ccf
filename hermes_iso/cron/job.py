"""Job: one scheduled job of an agent, checked. Its record is the agent's own file, so nothing in it is believed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from hermes_iso.cron.schedule import Schedule, ScheduleError, parse_time, schedule_of
from hermes_iso.history import clean_text

Record = dict[str, Any]
PROMPT_CHARS = 32_000
MOST_TARGETS = 16
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Job:
    """A job. planned: when it says itself that it runs next. left: how often it may still run; None is for ever.

    record: all of it as it stands in the file, what is not known here too.
    """

    id: str
    name: str
    prompt: str
    schedule: Schedule
    enabled: bool
    planned: datetime | None
    last_run: datetime | None
    created: datetime | None
    left: int | None
    deliver: tuple[str, ...]
    record: Record = field(repr=False)

    def due(self, now: datetime, zone: tzinfo, fired: datetime | None = None) -> datetime | None:
        """Return when it is to run next, or was to and is not too late for; None when it does not run any more.

        fired: its last run that this gateway began: it is not begun again, whatever the file says.
        """
        if not self.enabled or self.left == 0:
            return None
        due = self.planned
        if due is None:
            if self.schedule.kind == "once":
                due = None if self.last_run is not None else self.schedule.run_at
            else:
                due = self.schedule.next_after(self.last_run or self.created or now, zone)
        if due is not None and fired is not None and due <= fired:
            due = None if self.schedule.kind == "once" else self.schedule.next_of_row(fired, now, zone)
        if due is None or (now - due).total_seconds() <= self.schedule.grace(due, zone):
            return due
        return None if self.schedule.kind == "once" else self.schedule.next_of_row(due, now, zone)


def is_job_id(value: Any) -> bool:
    """Say whether something can be a job's id: it is a part of file names."""
    return isinstance(value, str) and _ID.match(value) is not None


def read_job(record: Any, zone: tzinfo) -> Job:
    """Return the job of a record. Raises ScheduleError, which says what is wrong, to be put behind its name."""
    if not isinstance(record, dict) or not is_job_id(record.get("id")):
        raise ScheduleError("has no id of letters, digits, _ and -")
    schedule = schedule_of(record.get("schedule"), zone)
    planned = parse_time(record.get("next_run_at"), zone)
    prompt = _text(record, "prompt")
    if len(prompt) > PROMPT_CHARS:
        raise ScheduleError(f"has a prompt of more than {PROMPT_CHARS} characters")
    return Job(
        id=record["id"],
        name=_text(record, "name")[:200] or prompt[:50] or record["id"],
        prompt=prompt,
        schedule=schedule,
        enabled=record.get("enabled") is not False and record.get("state") not in ("paused", "completed"),
        planned=None if planned is None else schedule.on_the_wall(planned, zone),
        last_run=parse_time(record.get("last_run_at"), zone),
        created=parse_time(record.get("created_at"), zone),
        left=_left(record),
        deliver=targets_of(record),
        record=record,
    )


def targets_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where a job's answer goes, each place once: `local` is nowhere but its output."""
    deliver = record.get("deliver")
    parts = deliver if isinstance(deliver, list) else [deliver]
    words = [word.strip()[:300] for part in parts if isinstance(part, str) for word in part[:4_000].split(",")]
    return tuple(dict.fromkeys(clean_text(word) for word in words if word and word.lower() != "local"))[:MOST_TARGETS]


def texts_of(record: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Return the texts under some names of a record, each a text or a list of them."""
    values = [each for name in names for each in _as_list(record.get(name))]
    return tuple(dict.fromkeys(clean_text(each.strip()[:200]) for each in values if isinstance(each, str) and each.strip()))[
        :50
    ]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _left(record: Mapping[str, Any]) -> int | None:
    """Return how often a job may still run."""
    repeat = record.get("repeat")
    times, completed = (repeat.get("times"), repeat.get("completed")) if isinstance(repeat, dict) else (repeat, 0)
    wanted = count_of(times)
    return max(0, wanted - count_of(completed)) if wanted else None


def count_of(value: Any) -> int:
    """Return a whole number of a record, 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _text(record: Mapping[str, Any], name: str) -> str:
    """Return a text of a record, '' where there is none."""
    value = record.get(name)
    return clean_text(value).strip() if isinstance(value, str) else ""
