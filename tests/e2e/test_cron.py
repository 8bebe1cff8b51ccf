"""Scheduled jobs and messages to chats, from the file and the tool to what arrives on the platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.servers.telegram_server import TelegramServer, telegram_thread
from tests.support.gateways import KEY, running_gateway

TOKEN = "111:AAAA-first"
pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def write_home(home: Path, server: TelegramServer) -> None:
    """Write a home with one agent, one bot and a few jobs."""
    home.mkdir()
    (home / "cron").mkdir()
    (home / "config.yaml").write_text(
        f"""\
model: builtin/offline
platforms:
  api_server: {{enabled: true, extra: {{host: 127.0.0.1, port: 0, key: {KEY}}}}}
  telegram: {{token: "{TOKEN}", base_url: "{server.base_url}", allow_from: ["1001"]}}
agents: {{main: {{messages: {{chats: {{team: "telegram:-100200:7"}}}}}}}}
bindings: [{{agent: other, telegram: "-100999"}}]
"""
    )
    (home / "profiles" / "other").mkdir(parents=True)


def record(job_id: str, prompt: str, deliver: Any, seconds: float, **more: Any) -> dict[str, Any]:
    """Return a job that runs once, so many seconds from now."""
    at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    schedule = {"kind": "once", "run_at": at, "display": "once"}
    return {"id": job_id, "name": job_id, "prompt": prompt, "schedule": schedule, "deliver": deliver, "enabled": True, **more}


async def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until something is there."""
    with trio.fail_after(seconds):
        while not (found := what()):
            await trio.sleep(0.1)
    return found


async def test_jobs_run_as_turns_and_their_answers_go_where_they_may(tmp_path: Path) -> None:
    """Each runs once in its agent's sandbox; a chat of another agent gets nothing; output and record say what happened."""
    home = tmp_path / "home"
    with telegram_thread() as server:
        server.call(server.world.bot, TOKEN)
        for chat, kind in ((1001, "private"), (-100200, "supergroup"), (-100999, "supergroup")):
            server.call(server.world.chat, chat, kind, is_forum=kind != "private")
        write_home(home, server)
        jobs = home / "cron" / "jobs.json"
        twice = "telegram:1001,team,telegram:1001,telegram:-100999,nowhere:5"
        jobs.write_text(json.dumps([record("first", "RUN echo I am $HERMES_ISO_AGENT", twice, 1), {"id": "../bad"}, 5]))
        with running_gateway("--home", str(home)) as gateway:
            await until(lambda: server.call(server.world.texts, 1001) and server.call(server.world.texts, -100200))
            output = await until(lambda: list((home / "cron" / "output" / "first").glob("*.md")))
            assert "I am main" in output[0].read_text()
            await until(
                lambda: not [job for job in json.loads(jobs.read_text())["jobs"] if job == 5 or "first" in str(job)][1:]
            )

            call = {"action": "create", "schedule": "every 1h", "prompt": "/new is no command here", "deliver": "telegram"}
            made = json.loads(gateway.answer(f"TOOL cronjob {json.dumps(call)}").removeprefix("RESULT:"))
            assert (made["success"], made["job"]["schedule"]) == (True, "every 60m")
            server.call(server.world.say, TOKEN, 1001, "/sethome")
            await until(lambda: [each for each in server.call(server.world.texts, 1001) if "home of agent" in each])
            gateway.answer(f"TOOL cronjob {json.dumps({'action': 'run', 'job_id': made['job_id']})}")
            await until(lambda: [each for each in server.call(server.world.texts, 1001) if "/new is no command here" in each])

            sent = {"target": "origin", "message": "by the tool"}
            server.call(server.world.say, TOKEN, 1001, f"TOOL send_message {json.dumps(sent)}")
            await until(lambda: [each for each in server.call(server.world.texts, 1001) if each == "by the tool"])
            refused = gateway.answer(f"TOOL send_message {json.dumps({'target': 'telegram:-100999', 'message': 'x'})}")
            assert "is no chat of agent main" in refused
        texts = server.call(server.world.texts, 1001)
        assert sum("I am main" in each for each in texts) == 1
        assert server.call(server.world.texts, -100999) == []
