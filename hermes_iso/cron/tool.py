"""CronBroker: the broker method `cronjob` of one turn: what an agent does with its jobs when it asks for it by its tool.

The jobs stay the agent's file: this writes there what Hermes' own tool would, with a schedule that was checked and an origin
that is the turn's own chat, and the clock reads it like anything else that the agent wrote.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import trio

from hermes_iso.cron.folder import JobsFileError, Records, change_records, read_records
from hermes_iso.cron.job import PROMPT_CHARS, Record, count_of
from hermes_iso.cron.schedule import ONCE_GRACE, ScheduleError, parse_schedule, parse_time, schedule_of
from hermes_iso.errors import TurnError
from hermes_iso.history import clean_text
from hermes_iso.work import Work

JsonObject = dict[str, Any]
TOOL = "cronjob"
PER_TURN = 50
"""Uses of the tool in one turn."""
NO_ORIGIN = frozenset({"api_server", "console", "cron", "agent"})
"""Platforms whose chats nothing can be delivered to later."""
_LISTS = ("skills", "enabled_toolsets", "context_from")


class CronBroker:
    """Keeps the jobs of one turn's agent."""

    def __init__(self, work: Work) -> None:
        self._turn = work.turn
        self._profile = work.agent.profile
        self._zone = ZoneInfo(work.agent.profile.timezone)
        self._granted = any(tool.name == TOOL for tool in work.tools)
        self._left = PER_TURN

    async def answer(self, params: JsonObject) -> JsonObject:
        """Do what the arguments ask. Raises TurnError (not_granted, bad_params, not_found, too_many)."""
        if not self._granted:
            raise TurnError("not_granted", f"The tool {TOOL} is not granted to this turn.")
        if not self._left:
            raise TurnError("too_many", f"A turn may use {TOOL} {PER_TURN} times.")
        self._left -= 1
        try:
            return await trio.to_thread.run_sync(self._do, params)
        except (ScheduleError, JobsFileError) as error:
            text = f"cron/jobs.json {error}." if isinstance(error, JobsFileError) else str(error)
            raise TurnError("bad_params", text) from error

    def _do(self, params: JsonObject) -> JsonObject:
        """Do it. Runs in a thread, because files are read and written."""
        action = params.get("action")
        if action == "list":
            return self._list(everything=params.get("include_disabled") is True)
        if action == "create":
            return self._create(params)
        changes: Mapping[Any, Callable[[Record], Record | None]] = {
            "update": lambda record: self._updated(record, params),
            "pause": lambda record: self._paused(record, _text(params, "reason")),
            "resume": self._resumed,
            "run": self._soon,
            "remove": lambda _: None,
        }
        if action not in changes:
            raise TurnError("bad_params", "The action must be create, list, update, pause, resume, run or remove.")
        return self._change(_text(params, "job_id"), str(action), changes[action])

    def _list(self, *, everything: bool) -> JsonObject:
        """Return the jobs."""
        records = [each for each in read_records(self._profile) if isinstance(each, dict)]
        jobs = [shown(each) for each in records if everything or each.get("enabled") is not False]
        return {"success": True, "count": len(jobs), "jobs": jobs}

    def _create(self, params: JsonObject) -> JsonObject:
        """Add a job."""
        now = datetime.now(UTC)
        if not _text(params, "schedule"):
            raise TurnError("bad_params", "create needs a schedule.")
        if not _text(params, "prompt") and not params.get("skills"):
            raise TurnError("bad_params", "create needs a prompt or a skill.")
        blank = {"id": secrets.token_hex(6), "enabled": True, "state": "scheduled", "created_at": self._written(now)}
        chat = self._turn.route.reply_to
        origin = None
        if chat.platform not in NO_ORIGIN:
            names = ("platform", "chat_id", "chat_type", "thread_id", "account_id")
            origin = {name: getattr(chat, name) for name in names}
        blank |= {"deliver": "origin" if origin else "local", "origin": origin, "repeat": {"times": None, "completed": 0}}
        record = self._updated({**blank, "last_run_at": None, "last_status": None}, params)
        if parse_time(record["next_run_at"], self._zone) is None:
            raise ScheduleError("That never comes, or is in the past; give a time that is still to come.")
        change_records(self._profile, lambda records: [*records, record])
        return {"success": True, "job_id": record["id"], "job": shown(record)}

    def _change(self, wanted: str, action: str, change: Callable[[Record], Record | None]) -> JsonObject:
        """Change the one job that is meant."""
        if not wanted:
            raise TurnError("bad_params", f"{action} needs a job_id: list shows them.")
        found: list[Record] = []

        def apply(records: Records) -> Records:
            found[:] = _meant(records, wanted)
            if len(found) != 1:
                some = f"{len(found)} jobs are called {wanted[:80]!r}: name one by its id" if found else ""
                raise TurnError("not_found", some or f"There is no job {wanted[:80]!r}: list shows them.")
            (before,) = found
            after = change(before)
            found[:] = [after or before]
            return [after if each is before else each for each in records if each is not before or after is not None]

        change_records(self._profile, apply)
        return {"success": True, "job_id": found[0]["id"], "action": action, "job": shown(found[0])}

    def _updated(self, record: Record, params: JsonObject) -> Record:
        """Return a record with what the parameters say."""
        after, now = dict(record), datetime.now(UTC)
        prompt = _text(params, "prompt")
        if len(prompt) > PROMPT_CHARS:
            raise TurnError("bad_params", f"The prompt has more than {PROMPT_CHARS} characters: write less.")
        if prompt:
            after["prompt"] = prompt
        after |= {name: text for name in ("deliver",) if (text := _text(params, name))}
        after["name"] = _text(params, "name")[:200] or record.get("name") or prompt[:50] or after["id"]
        after |= {name: _texts(params, name) for name in _LISTS if isinstance(params.get(name), list)}
        if isinstance(model := params.get("model"), dict):
            after |= {"model": _text(model, "model") or None, "provider": _text(model, "provider") or None}
        if repeat := count_of(params.get("repeat")):
            after["repeat"] = {"times": repeat, "completed": 0}
        if _text(params, "schedule"):
            schedule = parse_schedule(_text(params, "schedule"), now, self._zone)
            after |= {"schedule": schedule.as_json(), "schedule_display": schedule.as_json()["display"]}
            after |= {"next_run_at": self._written(schedule.next_after(now, self._zone)), "last_run_at": None}
            if schedule.kind == "once" and after["next_run_at"] is None and schedule.run_at is not None:
                late = (now - schedule.run_at).total_seconds()
                after["next_run_at"] = self._written(schedule.run_at) if late <= ONCE_GRACE else None
            if schedule.kind == "once" and not count_of(params.get("repeat")):
                after["repeat"] = {"times": 1, "completed": 0}
        return after

    def _paused(self, record: Record, reason: str) -> Record:
        """Return a record that does not run."""
        paused = {"paused_at": self._written(datetime.now(UTC)), "paused_reason": reason[:500] or None}
        return {**record, "enabled": False, "state": "paused", **paused}

    def _resumed(self, record: Record) -> Record:
        """Return a record that runs again, from now on."""
        schedule = schedule_of(record.get("schedule"), self._zone)
        due = schedule.next_after(datetime.now(UTC), self._zone)
        if due is None:
            raise ScheduleError("That job was to run once and its time has passed: update it with another schedule.")
        running = {"enabled": True, "state": "scheduled", "paused_at": None, "paused_reason": None}
        return {**record, **running, "next_run_at": self._written(due)}

    def _soon(self, record: Record) -> Record:
        """Return a record that runs as soon as the clock sees it."""
        now = self._written(datetime.now(UTC))
        return {**record, "enabled": True, "state": "scheduled", "paused_at": None, "paused_reason": None, "next_run_at": now}

    def _written(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(self._zone).isoformat()


def shown(record: Mapping[str, Any]) -> JsonObject:
    """Return what is told of a job: short, whatever its record holds."""
    prompt = str(record.get("prompt") or "")
    repeat = record.get("repeat")
    times, done = (repeat.get("times"), repeat.get("completed")) if isinstance(repeat, dict) else (repeat, 0)
    names = (
        "next_run_at",
        "last_run_at",
        "last_status",
        "last_error",
        "last_delivery_error",
        "deliver",
        "state",
        "paused_reason",
    )
    return {
        "job_id": _short(record.get("id")),
        "name": _short(record.get("name")),
        "prompt_preview": prompt if len(prompt) <= 100 else f"{prompt[:100]}...",
        "schedule": _short(record.get("schedule_display")),
        "repeat": f"{count_of(done)}/{times}" if count_of(times) else "forever",
        "enabled": record.get("enabled") is not False,
        **{name: _short(record.get(name)) for name in names},
    }


def _short(value: Any) -> str | None:
    """Return a value as a short text."""
    return None if value is None else clean_text(str(value))[:300]


def _meant(records: Records, wanted: str) -> list[Record]:
    """Return the jobs of an id, else of a name."""
    jobs = [each for each in records if isinstance(each, dict)]
    named = [each for each in jobs if str(each.get("name")).casefold() == wanted.casefold()]
    return [each for each in jobs if each.get("id") == wanted] or named


def _text(params: Mapping[str, Any], name: str) -> str:
    """Return a text of the parameters, '' where there is none. Raises TurnError."""
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise TurnError("bad_params", f"{TOOL} takes {name} as text.")
    return clean_text(value or "").strip()


def _texts(params: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of texts of the parameters. Raises TurnError."""
    return [_text({name: each}, name)[:200] for each in params[name][:50]]
