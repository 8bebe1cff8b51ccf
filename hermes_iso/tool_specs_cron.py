"""The tool that keeps an agent's scheduled jobs, as a model is told of it."""

from __future__ import annotations

from hermes_iso.tool_spec import ToolSpec, array, flag, number, struct, text

CRONJOB = ToolSpec(
    "cronjob",
    "Keep scheduled jobs. create: a job that takes a turn of its own at its time; it knows nothing of this conversation, so its"
    " prompt must say everything. list: all jobs with their ids. update, pause, resume, run (as soon as possible), remove: one"
    " job; list first and never guess an id. What a job answers is delivered by itself; nobody is there to be asked.",
    struct(
        {
            "action": text("What to do.", enum=["create", "list", "update", "pause", "resume", "run", "remove"]),
            "job_id": text("The job, by its id or its name. Needed by all actions but create and list."),
            "prompt": text("What the job is to do. Needed by create, unless there are skills."),
            "schedule": text(
                "When: 30m or 2h (once, from now on), every 2h, five cron fields such as 0 9 * * * (in your time zone), or a"
                " time such as 2027-01-31T09:00 (once). Needed by create."
            ),
            "name": text("What it is called."),
            "repeat": number("How often it runs; without it once for a time, else for ever.", minimum=1),
            "deliver": text(
                "Where its answers go, with commas between: origin (this chat, the default), local (kept and not sent), a platform"
                " (your home chat there), PLATFORM:CHAT or PLATFORM:CHAT:THREAD, a name that send_message lists, or all (every"
                " home)."
            ),
            "skills": array("Skills that it reads first.", text("A skill's name.")),
            "enabled_toolsets": array("Only these tools or sets of tools.", text("A name.")),
            "context_from": array("Jobs whose latest output it is given.", text("A job's id.")),
            "model": struct({"model": text("Another model for it."), "provider": text("Its provider.")}),
            "reason": text("pause: why."),
            "include_disabled": flag("list: also those that are paused or done."),
        },
        "action",
    ),
)
