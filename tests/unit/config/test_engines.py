"""The interpreter of hermes-agent: who is served with it, and what is said where it can't be used."""

from pathlib import Path

import pytest

from hermes_iso.engines import CONFIG, HERMES_TOOLS
from hermes_iso.profiles import SOUL
from tests.support.homes import load

CONFIGURED = """
engines: {hermes: {python: PYTHON}}
agents: {main: {}, coder: {engine: hermes, personality: You code.}}
model: builtin/offline
"""


def interpreter(where: Path, *lines: str) -> Path:
    """Write a program that answers as an interpreter does that was asked for its versions; without lines it fails."""
    path = where / "python"
    path.write_text("#!/bin/sh\n" + ("".join(f"echo '{line}'\n" for line in lines) or "exit 3\n"))
    path.chmod(0o755)
    return path


def test_an_agent_whose_interpreter_fits_is_served(tmp_path: Path) -> None:
    """Its sandbox has the interpreter, Hermes' tools, its persona and its own names at the top of /hermes."""
    config = load(tmp_path / "home", CONFIGURED.replace("PYTHON", str(interpreter(tmp_path, "3.13", "0.19.0"))))
    coder = config.agents["coder"]
    assert coder.offered == tuple(HERMES_TOOLS)
    assert coder.has_door
    confinement = coder.confinement()
    files = {file.target: file.content.decode() for file in confinement.files}
    assert (confinement.engine, confinement.python) == ("hermes", str(tmp_path / "python"))
    assert files[SOUL] == "You code."
    assert "_config_version: 33" in files[CONFIG]
    assert ("/hermes/state.db", ".agent/state.db") in confinement.symlinks
    assert config.agents["main"].confinement().engine == ""


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (None, "there is none at"),
        (("3.13", ""), "which is not installed"),
        (("3.13", "0.20.1"), "has 0.20.1"),
        (("3.14", "0.19.2"), "needs a Python below 3.14"),
        ((), "which does not run"),
    ],
)
def test_an_agent_without_its_engine_is_not_served(tmp_path: Path, lines: tuple[str, ...] | None, reason: str) -> None:
    """The reason says what was found and what to do; the other agents are served."""
    path = tmp_path / "nowhere" if lines is None else interpreter(tmp_path, *lines)
    config = load(tmp_path / "home", CONFIGURED.replace("PYTHON", str(path)))
    assert list(config.agents) == ["main"]
    assert reason in config.not_served["coder"]
    assert "make hermes" in config.not_served["coder"]
