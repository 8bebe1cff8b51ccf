"""The interpreter that runs hermes-agent: found, asked for its versions once, or why its agents can't be served."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.config.homes import HomeMap

WANTED = "0.19"
"""The version of hermes-agent whose inside the engine knows."""
DEFAULT = ".venv-hermes/bin/python"
"""Where its interpreter is looked for, beside the gateway's own environment."""
ASK_TIMEOUT = 20.0
_ASK = """
import sys
from importlib.metadata import PackageNotFoundError, version
print("%d.%d" % sys.version_info[:2])
try:
    print(version("hermes-agent"))
except PackageNotFoundError:
    print("")
"""


@dataclass(frozen=True, slots=True)
class HermesInterpreter:
    """Where hermes-agent is run, or why it can't be. path: as written, absolute; its links are not followed.

    version: of the hermes-agent that is there, '' where none is.
    """

    path: str
    trouble: str = ""
    version: str = ""


def find_hermes(home_map: HomeMap) -> HermesInterpreter:
    """Return the interpreter that the config names, or the one that `make hermes` makes."""
    written = home_map.ours.engines.hermes.python
    path = Path(os.path.normpath(home_map.root / written if written else Path(sys.prefix).parent / DEFAULT))
    return HermesInterpreter(str(path), *_asked(path, "make it with `make hermes`, or name one in engines.hermes.python"))


def _asked(path: Path, remedy: str) -> tuple[str, str]:
    """Return why an interpreter can't be used, or '', and the version of its hermes-agent, or ''."""
    if not os.access(path, os.X_OK) or not path.is_file():
        return f"engine hermes needs an environment with hermes-agent {WANTED}, and there is none at {path}: {remedy}", ""
    try:
        answer = subprocess.run(
            [str(path), "-I", "-c", _ASK], capture_output=True, text=True, timeout=ASK_TIMEOUT, check=True, env={}
        )
        python, version = answer.stdout.split("\n")[:2]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"engine hermes can't use {path}, which does not run ({type(error).__name__}): {remedy}", ""
    if not version:
        return f"engine hermes needs hermes-agent {WANTED}, which is not installed for {path}: {remedy}", ""
    if not version.startswith(f"{WANTED}."):
        return f"engine hermes needs hermes-agent {WANTED}, and {path} has {version}: {remedy}", version
    if tuple(map(int, python.split("."))) >= (3, 14):
        return f"hermes-agent {WANTED} needs a Python below 3.14, and {path} is {python}: {remedy}", version
    return "", version
