"""Whether Hermes' own gateway runs on a home, which then can't be served here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from hermes_iso.config.schema import MAIN
from hermes_iso.profile_files import UnreadableError, read_bounded


def live_gateway(home: Path, profile: str) -> str:
    """Return why a home can't be served because Hermes' own gateway runs on it, or ''. `profile` is its name in Hermes."""
    try:
        content = read_bounded(home / "gateway.pid", 64 << 10)
        record = json.loads(content or b"null")
    except (UnreadableError, ValueError, RecursionError):
        return ""
    pid = record.get("pid") if isinstance(record, dict) else record
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return ""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read(64 << 10).decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    if not is_hermes_gateway(command):
        return ""
    which = "" if profile == MAIN else f" -p {profile}"
    return f"a Hermes gateway (pid {pid}) runs on {home}; stop it with: hermes{which} gateway stop"


def is_hermes_gateway(command: list[str]) -> bool:
    """Say whether a command line is `hermes … gateway …`, also as the script or module that a Python runs."""
    program, *arguments = command
    if re.fullmatch(r"python[0-9.]*", os.path.basename(program)):
        while arguments and arguments[0].startswith("-") and arguments[0] not in ("-c", "-m"):
            del arguments[: 2 if arguments[0] in ("-X", "-W") else 1]
        if arguments and arguments[0] == "-m":
            del arguments[0]
        program, *arguments = arguments or [""]
    parts = program.split("/")
    hermes = parts[-1] == "hermes" or "hermes_cli" in parts or program.split(".")[0] == "hermes_cli"
    return hermes and "gateway" in arguments
