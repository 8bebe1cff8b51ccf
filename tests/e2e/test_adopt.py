"""A home that Hermes' own programs made and work on: before adopting it, after, and after giving it back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import trio

from tests.servers.model_server import serve_model_server
from tests.support.gateways import hermes_iso
from tests.support.hermes_package import HERMES_PYTHON, needs_hermes

pytestmark = [pytest.mark.slow, needs_hermes]

MODEL = "model: {{default: test-model, provider: custom, base_url: {url}, api_key: key}}   # the model\n"
ENGINE = f"# mine\nengines: {{hermes: {{python: {HERMES_PYTHON}}}}}\n"
BEGIN = """
from hermes_state import SessionDB
database = SessionDB()
database.create_session("s1", "cli")
database.append_message("s1", "user", "hello there")
"""


def made(home: Path, url: str = "http://127.0.0.1:9/v1") -> Path:
    """Write a home with a profile, as a person would."""
    (home / "profiles/coder").mkdir(parents=True)
    (home / "config.yaml").write_text(ENGINE + MODEL.format(url=url))
    (home / "profiles/coder/config.yaml").write_text(MODEL.format(url=url))
    (home / "profiles/coder/.no-bundled-skills").touch()
    return home


def run(home: Path, program: str, *words: str, profile: str = "") -> str:
    """Run a program of Hermes' environment on a home and return what it says."""
    where = home / "profiles" / profile if profile else home
    environ = {"PATH": os.environ["PATH"], "HOME": str(home.parent), "HERMES_HOME": str(where), "LANG": "C.UTF-8"}
    argv = [str(HERMES_PYTHON.with_name(program)), *words]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=100, env=environ, cwd=home.parent)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def adopt(home: Path, *words: str) -> None:
    """Adopt a home, or give it back."""
    ran = hermes_iso("adopt", "--yes", *words, "--home", str(home))
    assert ran.returncode == 0, ran.stderr


def test_hermes_own_command_reads_and_writes_an_adopted_home(tmp_path):
    """What it wrote before is found through the symlink, and what it writes there is in its place after undo."""
    home = made(tmp_path / "operator/.hermes")
    config = (home / "config.yaml").read_bytes()
    run(home, "python", "-c", BEGIN, profile="coder")
    adopt(home)
    database = home / "profiles/coder/state.db"
    assert database.is_symlink()
    run(home, "hermes", "-p", "coder", "sessions", "rename", "s1", "renamed meanwhile")
    assert database.is_symlink()
    adopt(home, "--undo")
    assert not database.is_symlink()
    assert not (home / "profiles/coder/.agent").exists()
    assert (home / "config.yaml").read_bytes() == config
    assert "renamed meanwhile" in run(home, "hermes", "-p", "coder", "sessions", "list")


def steps(home: Path) -> None:
    """Talk to an agent by Hermes' own command in each of the three states of a home, and change a setting."""
    assert "echo: first" in run(home, "hermes", "-p", "coder", "chat", "-Q", "-q", "first")
    adopt(home)
    assert "echo: second" in run(home, "hermes", "-p", "coder", "chat", "-Q", "-q", "second")
    run(home, "hermes", "config", "set", "display.skin", "mono")
    assert (home / "profiles/coder/state.db").is_symlink()
    assert "engine: hermes" in (home / "config.yaml").read_text()
    adopt(home, "--undo")
    assert "echo: third" in run(home, "hermes", "-p", "coder", "chat", "-Q", "-q", "third")
    listed = run(home, "hermes", "-p", "coder", "sessions", "list")
    assert all(word in listed for word in ("first", "second", "third"))
    config = (home / "config.yaml").read_text()
    assert "skin: mono" in config
    assert "engine: hermes" not in config


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_conversation_goes_on_through_adoption_and_undo(tmp_path):
    """Three chats by Hermes' own command, before, between and after; its edit of config.yaml stays."""
    async with serve_model_server() as server:
        home = made(tmp_path / "operator/.hermes", server.base_url)
        await trio.to_thread.run_sync(steps, home)
