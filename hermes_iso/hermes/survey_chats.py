"""The chat platforms and the cron jobs of a Hermes profile, and whether they are served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_iso.config.chat_platforms import PLATFORMS_SERVED
from hermes_iso.config.known import ADAPTED, PLATFORM_SECRETS, PLATFORMS
from hermes_iso.config.shapes import as_switch
from hermes_iso.hermes.reading import read_below

_JOBS = 4 << 20
"""Bytes of a cron/jobs.json that are read."""


@dataclass(frozen=True, slots=True)
class JobUse:
    """A cron job of Hermes. served: whether it runs here; a script outside of any turn does not."""

    id: str
    name: str
    schedule: str
    deliver: str
    enabled: bool
    served: bool


def platforms_of(data: Mapping[str, Any], env: Mapping[str, str], *, root: bool) -> dict[str, bool]:
    """Return the chat platforms that a home turns on, and whether they are served: of a profile's own, those with accounts."""
    found = {platform for platform, name in PLATFORM_SECRETS.items() if env.get(name, "").strip()}
    section = data.get("platforms")
    for name, settings in (section if isinstance(section, dict) else {}).items():
        if isinstance(settings, dict) and as_switch(settings.get("enabled", False)) is True and name.lower() in PLATFORMS:
            found.add(name.lower())
    served = ADAPTED if root else PLATFORMS_SERVED
    return {name: name in served for name in sorted(found)}


def read_jobs(home: Path) -> list[dict[str, Any]]:
    """Return the jobs of Hermes' cron, which the agent may have written."""
    try:
        data = json.loads((read_below(home, ("cron", "jobs.json"), _JOBS) or "[]").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return []
    jobs = data.get("jobs") if isinstance(data, dict) else data
    return [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []


def job_of(job: Mapping[str, Any]) -> JobUse:
    """Return what is told of a job."""

    def text(key: str) -> str:
        return str(job.get(key) or "")[:200]

    served = not job.get("script") and not job.get("no_agent")
    return JobUse(text("id"), text("name"), text("schedule_display"), text("deliver"), job.get("enabled") is not False, served)
