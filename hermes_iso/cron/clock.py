"""Clock: looks at the jobs of every served agent, begins the runs that are due, and brings what they come to where it goes.

A run is a message of the inbox like one of a chat, known by its job and by when it was due. So it is begun once whatever dies,
and waits behind the messages of people. The jobs' file is read again where it has changed, and only there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog
import trio

from hermes_iso.adapter import OutboundFile
from hermes_iso.agents import Agent
from hermes_iso.cron import folder, runs
from hermes_iso.cron.job import Job, read_job, targets_of
from hermes_iso.cron.schedule import ScheduleError
from hermes_iso.destinations import Destinations, origin_of
from hermes_iso.errors import DrainingError, InboxFullError
from hermes_iso.generation import Generation
from hermes_iso.inbox.front import Front
from hermes_iso.inbox.values import About, Row
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress

LOOK_EVERY = 2.0
"""Seconds from one look at the jobs' files to the next."""


class Line(Protocol):
    """The gateway, as its clock sees it."""

    front: Front

    @property
    def generation(self) -> Generation:
        """What is served now."""


@dataclass(slots=True)
class _Plan:
    """An agent's jobs as one version of their file has them: which run is next, and when."""

    stamp: folder.Stamp | None
    zone: str
    due: list[tuple[datetime, Job]] = field(default_factory=list)


class Clock:
    """The clock of one gateway."""

    def __init__(self, line: Line, destinations: Destinations) -> None:
        self._line = line
        self._destinations = destinations
        self._plans: dict[str, _Plan] = {}
        self._fired: dict[tuple[str, str], datetime] = {}
        self._under_way: set[tuple[str, str]] = set()
        self._log = structlog.get_logger()

    async def serve(self) -> None:
        """Begin runs as they come due. Never returns."""
        while True:
            agents = self._line.generation.config.agents
            for gone in self._plans.keys() - agents.keys():
                del self._plans[gone]
            for agent in agents.values():
                try:
                    await self._look(agent)
                except Exception:  # noqa: BLE001  # the jobs of one agent must not stop those of the others
                    self._log.exception("cron_look_failed", agent=agent.id)
            await trio.sleep(self._pause())

    def next_run(self, agent: str) -> datetime | None:
        """Return when an agent's next job runs, as far as that is known."""
        plan = self._plans.get(agent)
        return min((due for due, _ in plan.due), default=None) if plan else None

    def _pause(self) -> float:
        """Return the seconds until there is something to do."""
        now = datetime.now(UTC)
        soonest = min((due for plan in self._plans.values() for due, job in plan.due), default=None)
        return LOOK_EVERY if soonest is None else min(LOOK_EVERY, max(0.1, (soonest - now).total_seconds()))

    async def _look(self, agent: Agent) -> None:
        """Look at an agent's jobs, and begin the runs that are due."""
        await trio.to_thread.run_sync(self._plan, agent)
        now = datetime.now(UTC)
        for due, job in [each for each in self._plans[agent.id].due if each[0] <= now]:
            if (agent.id, job.id) not in self._under_way:
                await self._begin(agent, job, due)

    def _plan(self, agent: Agent) -> None:
        """Read an agent's jobs, where they are other ones than before. Runs in a thread."""
        stamp, plan, zone = folder.stamp_of(agent.profile), self._plans.get(agent.id), agent.profile.timezone
        if plan is not None and plan.stamp == stamp and plan.zone == zone:
            return
        self._plans[agent.id] = plan = _Plan(stamp, zone)
        try:
            records = folder.read_records(agent.profile)
        except folder.JobsFileError as error:
            self._log.warning("cron_jobs_unreadable", agent=agent.id, reason=f"cron/jobs.json {error}")
            return
        now, rule = datetime.now(UTC), ZoneInfo(zone)
        for record in records:
            try:
                job = read_job(record, rule)
            except ScheduleError as error:
                self._log.warning("cron_job_unusable", agent=agent.id, reason=str(error))
                continue
            due = job.due(now, rule, self._fired.get((agent.id, job.id)))
            if due is not None:
                plan.due.append((due, job))
                if due != job.planned:
                    self._write(agent, partial(runs.planned, job=job, due=due, zone=rule))

    async def _begin(self, agent: Agent, job: Job, due: datetime) -> None:
        """Begin a run: it is in the inbox first, then in the record."""
        key, zone, now = (agent.id, job.id), ZoneInfo(agent.profile.timezone), datetime.now(UTC)
        run = runs.run_of(agent.id, job, due)
        why = runs.refusal(job)
        if not why:
            inbound = await trio.to_thread.run_sync(runs.message_of, run, job, agent)
            try:
                taken = await self._line.front.inbox.take(inbound, about=About("cron", run.as_json()))
            except (InboxFullError, DrainingError) as error:
                self._log.warning("cron_run_put_off", agent=agent.id, job=job.id, reason=str(error))
                return
            if not taken.repeated:
                self._under_way.add(key)
                self._log.info("cron_run_begun", agent=agent.id, job=job.id, due=run.due, turn_id=taken.turn_id)
        self._fired[key] = due
        await self._change(agent, partial(runs.begun, job=job, due=due, now=now, zone=zone))
        if why:
            self._log.warning("cron_run_refused", agent=agent.id, job=job.id, reason=why)
            await self._change(agent, partial(runs.ended, job=job.id, at=now.astimezone(zone), error=why, delivery_error=""))
        self._plans[agent.id].stamp = (0, 0, 0, 0)  # the file, changed or not, is planned anew

    @asynccontextmanager
    async def answering(self, row: Row) -> AsyncIterator[_Ending]:
        """Open the answer to a run."""
        run = runs.run_from(dict(row.about.request))
        self._under_way.add((run.agent, run.job))
        try:
            yield _Ending(self, run)
        finally:
            self._under_way.discard((run.agent, run.job))

    async def finish(self, run: runs.Run, outbound: Outbound) -> None:
        """Keep what a run came to, and send it where its job says."""
        agent = self._line.generation.config.agents.get(run.agent)
        if agent is None:
            return
        zone, problems = ZoneInfo(agent.profile.timezone), list[str]()
        text = outbound.text if outbound.error is None else f"The scheduled job {run.name} failed: {outbound.text}"
        try:
            await trio.to_thread.run_sync(folder.keep_output, agent.profile, run.job, run.output, text)
        except folder.JobsFileError as error:
            self._log.warning("cron_output_not_kept", agent=run.agent, job=run.job, reason=f"cron/output {error}")
        if outbound.error is not None or not runs.silent(text):
            problems = await self._send(run, text, outbound)
        failure = "" if outbound.error is None else outbound.text[:2_000]
        at, told = datetime.now(zone), "; ".join(problems)
        await self._change(agent, partial(runs.ended, job=run.job, at=at, error=failure, delivery_error=told))
        self._log.info(
            "cron_run_ended", agent=run.agent, job=run.job, due=run.due, turn_id=outbound.turn_id, error=outbound.error
        )

    async def _send(self, run: runs.Run, text: str, outbound: Outbound) -> list[str]:
        """Hand a run's answer to the chats that it goes to; returns what is wrong with the others. It is sent once."""
        words, origin = targets_of(run.record), origin_of(run.record)
        chats, problems = await self._destinations.found(run.agent, words, origin)
        for number, chat in enumerate(chats):
            message = Inbound(
                ChatRef("outgoing", run.job, "job", account_id=run.agent), "", f"{run.id}#{number}", agent=run.agent
            )
            sent = Outbound(chat, text, outbound.turn_id, run.agent, outbound.session_id)
            try:
                await self._line.front.inbox.post(message, sent)
            except InboxFullError as error:
                problems.append(str(error))
        return problems

    async def _change(self, agent: Agent, change: folder.Change) -> None:
        await trio.to_thread.run_sync(self._write, agent, change)

    def _write(self, agent: Agent, change: folder.Change) -> None:
        """Change an agent's records; what can't be written is only logged. Runs in a thread."""
        try:
            folder.change_records(agent.profile, change)
        except folder.JobsFileError as error:
            self._log.warning("cron_jobs_not_written", agent=agent.id, reason=f"cron/jobs.json {error}")


@dataclass(frozen=True, slots=True)
class _Ending:
    """The answer to a run, on its way."""

    clock: Clock
    run: runs.Run

    async def show(self, progress: Progress) -> None:
        """Show nothing: nobody looks."""

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:  # noqa: ARG002  # they go with it
        """Keep and send it."""
        await self.clock.finish(self.run, outbound)
        return self.run.id
