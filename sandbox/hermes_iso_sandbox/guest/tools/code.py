"""The tool execute_code: a Python script in a fresh process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from hermes_iso_sandbox.guest.tools.subprocesses import run
from hermes_iso_sandbox.guest.tools.terminal import plain
from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError

TIMEOUT = 300
OUTPUT_CHARS = 50_000


def _execute_code(bench: Bench, given: JsonObject) -> JsonObject:
    """Run a script with the working directory importable, as for a person who runs one there."""
    if not given["code"].strip():
        raise ToolError("There is no code to run: the argument code is empty.")
    path = os.pathsep.join(filter(None, (bench.cwd, os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    script = f"/tmp/hermes-code-{os.urandom(8).hex()}.py"
    with open(os.open(script, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(given["code"].encode("utf-8", "replace"))
    try:
        finished = run(bench, [sys.executable or "python3", "-u", script], env=env, timeout=TIMEOUT)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(script)
    result: JsonObject = {
        "status": "timeout" if finished.timed_out else "error" if finished.status else "success",
        "output": plain(finished.output.text(OUTPUT_CHARS)),
        "tool_calls_made": 0,
        "duration_seconds": round(finished.seconds, 2),
    }
    if finished.timed_out:
        result["error"] = f"The script ran out of its {TIMEOUT} seconds and was ended."
    elif finished.status:
        result["error"] = f"The script ended with status {finished.status}; its output says why."
    return result


TOOLS = (Tool("execute_code", _execute_code, {"code": Argument("string", required=True)}, preview="code"),)
