"""What a run of a job asks its agent, as a message, and what becomes of its record when it begins and when it has ended.

The record is written when a run begins, so that a job whose run ends the gateway is not begun again and again; and once more
with what came of it. All of it is pure.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from hermes_iso.agents import Agent
from hermes_iso.cron.folder import Records, latest_output
from hermes_iso.cron.job import Job, Record, count_of, is_job_id, texts_of
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.tools import tools_named

PLATFORM = "cron"
"""The platform of such messages; the chat is the job."""
NEVER = frozenset({"cronjob", "clarify"})
"""Tools that no run of a job has: it makes no jobs, and there is nobody to ask."""
CONTEXT_CHARS = 8_000
"""Characters of another job's output that a run is given."""
MOST_CONTEXTS = 5
SILENT = "[SILENT]"
"""An answer that begins or ends with it goes nowhere."""
INSTRUCTIONS = (
    "This is a scheduled job; no person is there, so ask nothing and do what can be done. Your answer is delivered by itself to"
    f" where the job says. If there is nothing new to tell, answer {SILENT} and nothing else."
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: of which job of which agent, and for when it was due. record: the job as it was when the run began."""

    agent: str
    job: str
    name: str
    due: str
    record: Record

    @property
    def id(self) -> str:
        """What tells it from every other run, of that agent, so that it begins once."""
        return f"{self.job}@{self.due}"

    @property
    def output(self) -> str:
        """What its output is called: when it was due, in UTC."""
        return datetime.fromisoformat(self.due).astimezone(UTC).strftime("%Y-%m-%d_%H-%M-%S")

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        kept = {name: self.record.get(name) for name in ("deliver", "origin")}
        return {"agent": self.agent, "job": self.job, "name": self.name, "due": self.due, "record": kept}


def run_of(agent: str, job: Job, due: datetime) -> Run:
    """Return the run of a job."""
    return Run(agent, job.id, job.name, due.astimezone(UTC).isoformat(timespec="seconds"), job.record)


def message_of(run: Run, job: Job, agent: Agent) -> Inbound:
    """Return what a run asks its agent. It begins a session of its own."""
    record = job.record
    model = record.get("model")
    name, provider = (model.get("model"), model.get("provider")) if isinstance(model, dict) else (model, record.get("provider"))
    words = [word[:200] for word in (provider, name) if isinstance(word, str) and word.strip()]
    asked = frozenset[str]().union(*(_tools_of(each) for each in texts_of(record, "enabled_toolsets")))
    denied = NEVER | (frozenset(agent.tools) - asked if asked else frozenset())
    return Inbound(
        chat=ChatRef(PLATFORM, run.job, "job", account_id=run.agent),
        text=_text(job, agent),
        platform_id=run.id,
        agent=run.agent,
        instructions=INSTRUCTIONS,
        session_id=f"cron_{run.job}_{run.output}",
        turn_id=secrets.token_hex(12),
        answerable=False,
        clock=True,
        model="/".join(words) if isinstance(name, str) and name.strip() else "",
        denied_tools=tuple(sorted(denied)),
    )


def _tools_of(name: str) -> frozenset[str]:
    """Return the tools of a set or of a tool's own name; a name that means nothing grants nothing."""
    return frozenset(tools_named(name) or {name})


def _text(job: Job, agent: Agent) -> str:
    """Return the prompt, with what the job wants to be known before it."""
    others = [each for each in texts_of(job.record, "context_from") if is_job_id(each)][:MOST_CONTEXTS]
    outputs = [(other, latest_output(agent.profile, other, CONTEXT_CHARS)) for other in others]
    before = [f"[Output of job {other}]\n{text}" for other, text in outputs if text]
    if skills := texts_of(job.record, "skill", "skills"):
        before.append(f"[First read these skills with skill_view: {', '.join(skills)}]")
    return "\n\n".join([*before, job.prompt])


def refusal(job: Job) -> str:
    """Return why a job can't run here at all, or ''."""
    if job.record.get("script") or job.record.get("no_agent") is True:
        return "It has a script, and scripts of jobs are not run here: let the prompt say what to run."
    if not job.prompt and not texts_of(job.record, "skill", "skills"):
        return "It has neither a prompt nor a skill."
    return ""


def begun(records: Records, job: Job, due: datetime, now: datetime, zone: tzinfo) -> Records:
    """Return the records when a run of a job has begun: it is counted, and planned anew."""

    def change(record: Record) -> Record | None:
        repeat = record.get("repeat")
        times = repeat.get("times") if isinstance(repeat, dict) else None
        done = repeat.get("completed") if isinstance(repeat, dict) else 0
        counted = {"times": times, "completed": count_of(done) + 1}
        following = None if job.left == 1 else job.schedule.next_of_row(due, now, zone)
        over = {"enabled": False, "state": "completed"} if following is None else {"state": "scheduled"}
        return {**record, "repeat": counted, "next_run_at": _written(following, zone), **over}

    return _changed(records, job.id, change)


def ended(records: Records, job: str, *, at: datetime, error: str, delivery_error: str) -> Records:
    """Return the records when a run has ended; a job that has run as often as it should is not there any more."""

    def change(record: Record) -> Record | None:
        if record.get("state") == "completed" and record.get("next_run_at") is None and not error:
            return None
        told = {"last_run_at": at.isoformat(), "last_status": "error" if error else "ok"}
        return {**record, **told, "last_error": error or None, "last_delivery_error": delivery_error or None}

    return _changed(records, job, change)


def planned(records: Records, job: Job, due: datetime, zone: tzinfo) -> Records:
    """Return the records with when a job runs next, where its own word was none or has passed."""
    return _changed(records, job.id, lambda record: {**record, "next_run_at": _written(due, zone)})


def silent(text: str) -> bool:
    """Say whether an answer is one that goes nowhere."""
    words = text.strip().upper()
    return not words or words.startswith(SILENT) or words.endswith(SILENT)


def run_from(data: dict[str, Any]) -> Run:
    """Return the run that `as_json` made plain data of."""
    return Run(**data)


def _written(moment: datetime | None, zone: tzinfo) -> str | None:
    return None if moment is None else moment.astimezone(zone).isoformat()


def _changed(records: Records, job: str, change: Any) -> Records:
    """Return the records, one of them changed, or taken away where None comes back."""
    found = [change(each) if isinstance(each, dict) and each.get("id") == job else each for each in records]
    return [each for each in found if each is not None]
