"""The hermes-agent package in the engine's own environment: where it is, and whether it is the version that is known here."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

VERSION = "0.19"
"""The releases of hermes-agent whose homes and engine are known here."""
_PATIENCE = 30.0
"""Seconds for an interpreter to start and say one word, also on a busy machine."""
_ASK = "import importlib.metadata as m; print(m.version('hermes-agent'))"


@dataclass(frozen=True, slots=True)
class Package:
    """What was found: the interpreter, the version that is installed there ('' for none), and what is wrong with that."""

    python: Path
    version: str = ""
    problem: str = ""


def find_package(python: Path) -> Package:
    """Ask an engine's interpreter for its hermes-agent. The interpreter is the operator's; nothing of a profile is read."""
    make = "make it with `make hermes`, or name another in engines.hermes.python"
    if not python.exists():
        return Package(python, problem=f"There is no interpreter {python} for engine hermes: {make}.")
    try:
        ran = subprocess.run(
            [python, "-I", "-c", _ASK], capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Package(python, problem=f"{python} can't be run ({type(error).__name__}): {make}.")
    version = ran.stdout.strip()
    if ran.returncode != 0 or not re.fullmatch(r"[0-9][\w.+-]{0,40}", version):
        return Package(python, problem=f"{python} has no package hermes-agent: {make}.")
    if not version.startswith(f"{VERSION}."):
        return Package(python, version, f"{python} has hermes-agent {version}, and {VERSION}.x is what is known here: {make}.")
    return Package(python, version)
