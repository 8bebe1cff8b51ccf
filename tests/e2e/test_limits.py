"""Limits that stand in a config, as users meet them: kept and told over HTTP, or refused with the fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hermes_iso_sandbox.cgroups import find
from tests.support.gateways import KEY, hermes_iso, running_gateway

pytestmark = pytest.mark.long

UNBOUNDED = [name for name in ("memory", "cpu") if name in find().missing]


def write_home(home: Path, limits: str) -> Path:
    """Write a home whose agent coder has these limits."""
    home.mkdir()
    (home / "config.yaml").write_text(
        f"model: builtin/offline\nagents: {{coder: {{sandbox: {{{limits}}}}}}}\n"
        f"platforms: {{api_server: {{enabled: true, extra: {{port: 0, key: {KEY}}}}}}}\n"
    )
    return home


def test_disk_limit_ends_the_turn_and_exec_makes_room(tmp_path: Path) -> None:
    """The client gets kind and sentence at once and for the next turn; what the sentence says helps; others go on."""
    home = write_home(tmp_path / "home", "disk: 8M")
    with running_gateway("--home", str(home)) as gateway:
        response = gateway.ask("RUN head -c 6M /dev/zero > a; head -c 6M /dev/zero > b; sleep 60", agent="coder")
        error = response.json()["error"]
        assert (response.status_code, error["code"], response.headers["x-should-retry"]) == (500, "limit", "false")
        assert error["message"].startswith("The turn was stopped: the agent's directories hold more than its disk limit of 8M")
        error = gateway.ask("hello", agent="coder").json()["error"]
        assert error["message"].startswith("No turn was begun: ")
        assert "hermes-iso exec --agent coder -- rm" in error["message"]
        assert "main" in gateway.answer("hello", agent="main")
        done = hermes_iso("exec", "--home", str(home), "--agent", "coder", "--", "rm", "/workspace/a", "/workspace/b")
        assert (done.returncode, done.stderr) == (0, "")
        assert "coder" in gateway.answer("hello", agent="coder")


@pytest.mark.skipif("memory" in UNBOUNDED, reason="no cgroup bounds memory here")
def test_memory_limit_is_told_to_the_client(tmp_path: Path) -> None:
    """Many small processes together reach the limit; the answer names it."""
    home = write_home(tmp_path / "home", "memory: 64M")
    hogs = "for i in 1 2 3 4 5 6 7 8; do head -c 20000000 /dev/zero | tail -c 20000000 | sleep 60 & done; wait"
    with running_gateway("--home", str(home)) as gateway:
        error = gateway.ask(f"RUN {hogs}", agent="coder").json()["error"]
        assert (error["code"], "memory limit of 64M" in error["message"]) == ("limit", True)
        assert "coder" in gateway.answer("hello", agent="coder")


def test_written_limit_that_can_t_be_kept_refuses_and_a_default_is_told(tmp_path: Path) -> None:
    """What this machine can't keep is exit 3 with the fix where it is written, and a word in the ready line where it is not."""
    written = write_home(tmp_path / "written", "memory: 256M, cpu: 0.5")
    default = write_home(tmp_path / "default", "disk: 1G")
    with running_gateway("--home", str(default)) as gateway:
        assert gateway.ready.endswith(f" unbounded={','.join(UNBOUNDED)}\n" if UNBOUNDED else " agents=main,coder\n")
    assert hermes_iso("config", "check", "--home", str(written)).returncode == 0
    report = json.loads(hermes_iso("doctor", "--json", "--home", str(written)).stdout)
    assert list(report["not_bounded"]) == UNBOUNDED
    for command in (["run"], ["chat", "-q", "hello"], ["exec", "--agent", "coder", "--", "true"]):
        if not UNBOUNDED and command == ["run"]:
            continue
        done = hermes_iso(command[0], "--home", str(written), *command[1:])
        assert done.returncode == (3 if UNBOUNDED else 0), done.stderr
        if UNBOUNDED:
            assert "Agent coder has a limit of memory" in done.stderr
            assert "Delegate=yes" in done.stderr
