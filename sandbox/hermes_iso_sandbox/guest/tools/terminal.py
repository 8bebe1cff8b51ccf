"""The tools terminal and process: shell commands of a turn, and the background processes of its session.

A command runs in a shell of its own. What outlasts it within the turn is the working directory: after the command the shell
writes where it is to a pipe that the command itself does not see, and the next command starts there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

from hermes_iso_sandbox.guest.tools.subprocesses import Finished, run, small_pipe
from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError
from hermes_iso_sandbox.wire import WireError

DEFAULT_TIMEOUT, MAX_TIMEOUT = 180, 600
OUTPUT_CHARS = 50_000
LOG_LINES = 200
WAIT_CHARS = 2_000
POLL_CHARS = 1_000
HOST_BYTES = 30_000
"""Longest text that goes to the host in a call that is not the model's."""
SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh")
_FOLLOW = 'eval "shift\n$1" {fd}>&-; HERMES_STATUS=$?; pwd -P >&{fd}; exit $HERMES_STATUS'
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def _terminal(bench: Bench, given: JsonObject) -> JsonObject:
    """Run a shell command, here or in the background."""
    workdir = bench.path(given["workdir"]) if given.get("workdir") else bench.cwd
    if not os.path.isdir(workdir):
        raise ToolError(f"There is no directory {workdir} to run the command in.", output="", exit_code=-1)
    if given.get("background"):
        return _start(bench, given["command"], workdir)
    timeout = given.get("timeout", DEFAULT_TIMEOUT)
    if not 1 <= timeout <= MAX_TIMEOUT:
        hint = "use background=true for what takes longer"
        raise ToolError(f"The timeout must be 1 to {MAX_TIMEOUT} seconds, not {timeout}; {hint}.", output="", exit_code=-1)
    before, bench.cwd = bench.cwd, workdir
    try:
        finished, left_at = _shell(bench, given["command"], timeout)
    except (OSError, ValueError) as error:
        raise ToolError(f"The command could not be started: {error}", output="", exit_code=-1) from error
    finally:
        bench.cwd = before
    if left_at and not given.get("workdir"):
        bench.cwd = left_at
    output = plain(finished.output.text(OUTPUT_CHARS)).strip()
    if not finished.timed_out:
        return {"output": output, "exit_code": finished.status, "error": None}
    raise ToolError(f"The command ran out of its {timeout} seconds and was ended.", output=output, exit_code=124)


def _shell(bench: Bench, command: str, timeout: float) -> tuple[Finished, str]:
    """Run a command in a shell; return how it ended and the directory in which it left the shell, "" when unknown."""
    shell = next(path for path in SHELLS if os.path.exists(path))
    read, write = small_pipe()
    try:
        argv = [shell, "-c", _FOLLOW.format(fd=write), os.path.basename(shell), command]
        finished = run(bench, argv, env=os.environ, timeout=timeout, pass_fds=(write,))
        try:
            path = os.read(read, 1 << 14).decode("utf-8", "surrogateescape").removesuffix("\n")
        except BlockingIOError:
            path = ""
        return finished, path if os.path.isabs(path) and os.path.isdir(path) else ""
    finally:
        os.close(read)
        os.close(write)


def plain(text: str) -> str:
    """Return a text without a terminal's colours and cursor movements."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def _start(bench: Bench, command: str, workdir: str) -> JsonObject:
    """Start a background process of the session, which outlasts the turn."""
    _check_size("command", command)
    answer = _host(bench, {"action": "start", "command": command, "cwd": workdir})
    return {"output": "Background process started", "session_id": answer["session_id"], "exit_code": 0, "error": None}


def _check_size(name: str, text: str) -> None:
    """Refuse what the host would not take, with a word on what to do instead."""
    if len(text.encode("utf-8", "replace")) > HOST_BYTES:
        raise ToolError(f"The {name} is longer than {HOST_BYTES} bytes: write it to a file and use that.")


def _process(bench: Bench, given: JsonObject) -> JsonObject:
    """Do one action on the session's background processes."""
    action = given["action"]
    if action == "list":
        entries = _host(bench, {"action": "list"})["processes"]
        return {"processes": [_entry(entry) for entry in entries]}
    if not given.get("session_id"):
        raise ToolError(f"process needs the argument session_id for {action}; it is missing.")
    return _ACTIONS[action](bench, given)


def _ask(bench: Bench, action: str, given: JsonObject, **more: Any) -> JsonObject:
    """Ask the host for an action on the process that the call names."""
    return _host(bench, {"action": action, "session_id": given["session_id"], **more})


def _host(bench: Bench, params: JsonObject) -> JsonObject:
    """Ask the host, which keeps the background processes. Raises ToolError for what no frame can carry."""
    try:
        return bench.link.call("process", params)
    except WireError as error:
        raise ToolError(f"That is too much for one call: {error}.") from None


def _entry(entry: JsonObject) -> JsonObject:
    """Return a process as a list shows it."""
    started = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(entry["started_at"]))
    shown = {
        "session_id": entry["session_id"],
        "command": entry["command"][:200],
        "cwd": entry["cwd"],
        "started_at": started,
        "uptime_seconds": int(entry["uptime_seconds"]),
        "status": entry["status"],
        "output_preview": plain(entry["output_preview"]),
    }
    return shown if entry["exit_code"] is None else {**shown, "exit_code": entry["exit_code"]}


def _poll(bench: Bench, given: JsonObject) -> JsonObject:
    """Say how a process does, with the end of its output."""
    answer = _ask(bench, "poll", given)
    result = {name: answer[name] for name in ("session_id", "command", "status")}
    result["uptime_seconds"] = int(answer["uptime_seconds"])
    result["output_preview"] = plain(answer["output"])[-POLL_CHARS:]
    return result if answer["exit_code"] is None else {**result, "exit_code": answer["exit_code"]}


def _log(bench: Bench, given: JsonObject) -> JsonObject:
    """Show lines of a process's output: the last ones, or those from `offset` on."""
    answer = _ask(bench, "log", given)
    lines = plain(answer["output"]).splitlines()
    offset, limit = given.get("offset", 0), given.get("limit", LOG_LINES)
    if offset < 0 or limit < 1:
        raise ToolError(f"The offset must be 0 or more and the limit 1 or more; found {offset} and {limit}.")
    selected = lines[offset : offset + limit] if offset else lines[-limit:]
    output = "\n".join(selected)
    if len(output) > OUTPUT_CHARS:
        output = f"[output cut: {len(output) - OUTPUT_CHARS} characters left out here]\n{output[-OUTPUT_CHARS:]}"
    result = {name: answer[name] for name in ("session_id", "command", "status")}
    return {**result, "output": output, "total_lines": len(lines), "showing": f"{len(selected)} lines"}


def _wait(bench: Bench, given: JsonObject) -> JsonObject:
    """Wait until a process has ended, for a while."""
    asked = given.get("timeout", DEFAULT_TIMEOUT)
    timeout = min(max(asked, 1), DEFAULT_TIMEOUT)
    answer = _ask(bench, "wait", given, timeout=timeout)
    result: JsonObject = {
        "status": "timeout" if answer["timed_out"] else "exited",
        "command": answer["command"],
        "output": plain(answer["output"])[-WAIT_CHARS:],
    }
    if not answer["timed_out"]:
        result["exit_code"] = answer["exit_code"]
    if asked > DEFAULT_TIMEOUT:
        result["timeout_note"] = f"A wait takes at most {DEFAULT_TIMEOUT} seconds; {asked} were asked for."
    return result


def _kill(bench: Bench, given: JsonObject) -> JsonObject:
    """End a process."""
    before = _ask(bench, "log", given)
    if before["status"] == "exited":
        output = plain(before["output"])[-WAIT_CHARS:]
        return {"status": "already_exited", "command": before["command"], "exit_code": before["exit_code"], "output": output}
    answer = _ask(bench, "kill", given)
    return {"status": "killed", "session_id": answer["session_id"], "exit_code": answer["exit_code"]}


def _write(bench: Bench, given: JsonObject) -> JsonObject:
    """Write to a process's stdin; `submit` ends the line too."""
    data = str(given.get("data", "")) + ("\n" if given["action"] == "submit" else "")
    _check_size("data", data)
    return {"status": "ok", "bytes_written": _ask(bench, "write", given, data=data)["written"]}


_ACTIONS: dict[str, Callable[[Bench, JsonObject], JsonObject]] = {
    "poll": _poll,
    "log": _log,
    "wait": _wait,
    "kill": _kill,
    "write": _write,
    "submit": _write,
}

TOOLS = (
    Tool(
        "terminal",
        _terminal,
        {
            "command": Argument("string", required=True),
            "background": Argument("boolean"),
            "timeout": Argument("integer"),
            "workdir": Argument("string"),
        },
        preview="command",
    ),
    Tool(
        "process",
        _process,
        {
            "action": Argument("string", required=True, choices=("list", *_ACTIONS)),
            "session_id": Argument("string"),
            "data": Argument("string"),
            "timeout": Argument("integer"),
            "offset": Argument("integer"),
            "limit": Argument("integer"),
        },
        preview="action",
    ),
)
