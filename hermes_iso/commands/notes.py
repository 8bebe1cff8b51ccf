"""Commands on what an agent keeps: memory, skills, its home chat, its scheduled jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from hermes_iso.agent_files import Note, read_notes, read_skills
from hermes_iso.commands.access import sender_ids
from hermes_iso.commands.command import Call, Command, Reply
from hermes_iso.cron.folder import JobsFileError, read_records
from hermes_iso.cron.tool import shown as shown_job
from hermes_iso.outcomes import shown

SHOWN_CHARS = 4_000
"""Characters of a note that are shown."""
LISTED = 100


async def _memory(call: Call) -> Reply:
    """Show what the agent has noted."""
    notes = await trio.to_thread.run_sync(read_notes, call.agent.profile)
    return "\n\n".join(_shown_note(note) for note in notes)


def _shown_note(note: Note) -> str:
    """Return a note for a chat."""
    if note.problem:
        return f"{note.name}: can't be shown, it {note.problem}."
    text = note.text.strip()
    if len(text) > SHOWN_CHARS:
        text = f"{text[:SHOWN_CHARS]}\n[{len(text) - SHOWN_CHARS} characters more]"
    return f"{note.name}:\n{text}" if text else f"{note.name}: nothing is noted."


async def _skills(call: Call) -> Reply:
    """List the agent's skills."""
    skills = await trio.to_thread.run_sync(read_skills, call.agent.profile)
    if not skills:
        return f"Agent {call.agent.id} has no skills."
    lines = [f"- {shown(name)[:80]}{': ' + shown(about)[:120] if about else ''}" for name, about in skills[:LISTED]]
    more = [f"and {len(skills) - LISTED} more"] if len(skills) > LISTED else []
    return "\n".join([f"Skills of agent {call.agent.id}:", *lines, *more])


async def _sethome(call: Call) -> Reply:
    """Make this chat the agent's home on its platform."""
    chat = call.route.reply_to
    await call.desk.book.set_home(chat, ", ".join(sender_ids(call.inbound)))
    return f"This chat is the home of agent {call.agent.id} on {chat.platform} now."


async def _cron(call: Call) -> Reply:
    """List the agent's jobs."""
    agent = call.agent
    try:
        records = await trio.to_thread.run_sync(read_records, agent.profile)
    except JobsFileError as error:
        return f"The jobs of agent {agent.id} can't be shown: cron/jobs.json {error}."
    jobs = [shown_job(each) for each in records if isinstance(each, dict)]
    if not jobs:
        return f"Agent {agent.id} has no scheduled jobs."
    lines = [_job_line(job) for job in jobs[:LISTED]]
    more = [f"and {len(jobs) - LISTED} more"] if len(jobs) > LISTED else []
    return "\n".join([f"Scheduled jobs of agent {agent.id} (time zone {agent.profile.timezone}):", *lines, *more])


def _job_line(job: Mapping[str, Any]) -> str:
    """Return a job for a chat."""
    words = [f"- {job['job_id']} {shown(job['name'] or '')}: {shown(job['schedule'] or '?')}"]
    words.append(f"next {job['next_run_at']}" if job["enabled"] and job["next_run_at"] else str(job["state"] or "off"))
    words += [f"last {job['last_run_at']} {job['last_status']}"] if job["last_run_at"] else []
    return shown(", ".join(words))[:300]


COMMANDS = (
    Command("memory", _memory, "Show what the agent has noted."),
    Command("skills", _skills, "List the agent's skills."),
    Command("sethome", _sethome, "Make this chat the agent's home on this platform.", aliases=("set-home",), admin=True),
    Command("cron", _cron, "Show the agent's scheduled jobs."),
)
