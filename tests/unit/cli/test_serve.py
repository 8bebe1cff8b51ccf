"""`run`: what it refuses, the ready line, the demo, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hermes_iso.cli.demo import demo_config
from hermes_iso.cli.main import main
from hermes_iso.cli.serve import ready_line, with_port
from hermes_iso.config.load import load_config

URL = "http://127.0.0.1:8642"


def test_run_refuses_when_nothing_would_be_served(tmp_path, capsys):
    """A home without an enabled adapter is exit 2, and the sentence says how to enable one."""
    (tmp_path / "config.yaml").write_text("model: builtin/offline\n", encoding="utf-8")
    assert main(["run", "--home", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "api_server" in err
    assert "API_SERVER_KEY" in err


def test_demo_home_is_private_and_goes_away():
    """The demo's home is nobody else's and does not outlive the demo."""
    with demo_config() as config:
        assert list(config.agents) == ["main", "coder"]
        assert config.home.stat().st_mode & 0o777 == 0o700
        home = config.home
    assert not home.exists()


def test_ready_line_names_what_is_served():
    """Scripts read the address and the agents; the key is shown by the demo alone."""
    with demo_config() as config:
        assert ready_line(config, URL, show_key=False) == f"ready url={URL} agents=main,coder"
        key = config.api.keys[0].key
        assert len(key) >= 16
        assert ready_line(config, URL, show_key=True) == f"ready url={URL} agents=main,coder key={key}"
        line = ready_line(config, URL, show_key=False, unbounded=["memory", "cpu"])
        assert line == f"ready url={URL} agents=main,coder unbounded=memory,cpu"
        missing = replace(config, not_served={"old": "another gateway runs, stop it", "new": "broken"})
        line = ready_line(missing, URL, show_key=False)
        assert line.endswith(" notserved=old:another gateway runs; stop it,new:broken")


def test_port_replaces_the_config_s():
    """`--port` counts for this run alone."""
    with demo_config() as config:
        assert with_port(config, None).api.port == 8642
        assert with_port(config, 0).api.port == 0
        assert load_config(config.home, {}).api.port == 8642


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_demo_serves_until_a_signal_and_leaves_nothing(ending, tmp_path):
    """The first line is the ready line; what it offers works; a signal drains, exits 0 and removes the home."""
    scratch, log = tmp_path / "scratch", tmp_path / "log"
    scratch.mkdir()
    environ = {**os.environ, "TMPDIR": str(scratch)}
    command = [sys.executable, "-m", "hermes_iso", "run", "--demo", "--port", "0"]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environ) as gateway,
    ):
        try:
            line = gateway.stdout.readline()
            found = re.fullmatch(r"ready url=(http://127\.0\.0\.1:\d+) agents=main,coder key=(\S+)(?: unbounded=\S+)?\n", line)
            assert found, line + log.read_text()
            url, key = found.groups()
            (home,) = scratch.glob("hermes-iso-demo-*")
            find_key = ["sh", str(Path(__file__).parents[3] / "tools" / "demo-key.sh")]
            assert subprocess.run(find_key, capture_output=True, text=True, env=environ).stdout.strip() == key
            headers = {"Authorization": f"Bearer {key}"}
            models = httpx.get(f"{url}/v1/models", headers=headers).json()["data"]
            assert [model["id"] for model in models] == ["main", "coder"]
            asked = [sys.executable, "-m", "hermes_iso", "--home", str(home), "chat", "--agent", "coder", "-q", "RUN pwd"]
            answer = subprocess.run(asked, capture_output=True, text=True)
            assert (answer.returncode, answer.stderr) == (0, "")
            assert "/workspace" in answer.stdout
        finally:
            gateway.send_signal(ending)
        rest = gateway.stdout.read()
        assert gateway.wait(timeout=60) == 0, log.read_text()
    assert f"OPENAI_API_KEY={key}" in rest
    assert list(scratch.iterdir()) == []
