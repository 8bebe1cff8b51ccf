"""The tools terminal and process."""

import os
import time

import pytest

from hermes_iso_sandbox.guest.link import CallError, Interrupted


def test_terminal_returns_output_of_both_streams_and_status(use):
    """Stdout and stderr come together, with the exit code and no error."""
    assert use("terminal", command="echo out; echo err >&2; exit 3") == {"output": "out\nerr", "exit_code": 3, "error": None}


def test_terminal_shows_a_signal_as_a_shell_does(use):
    """A command that a signal ends has 128 plus its number."""
    assert use("terminal", command="kill -9 $$")["exit_code"] == 137


def test_terminal_gives_no_input_and_no_descriptor(use):
    """Stdin is empty, and a command sees no descriptor of the engine."""
    assert use("terminal", command="cat; ls /proc/self/fd")["output"].split() == ["0", "1", "2", "3"]


@pytest.mark.slow
def test_terminal_ends_a_command_that_runs_out_of_time(use):
    """The whole group is ended, what was printed is kept, and the code is 124."""
    started = time.monotonic()
    result = use("terminal", command="echo before; sleep 60 & sleep 60", timeout=1)
    assert time.monotonic() - started < 10
    assert (result["output"], result["exit_code"]) == ("before", 124)
    assert "1 seconds" in result["error"]


def test_terminal_returns_although_a_daemon_holds_the_pipe(use):
    """A process left behind with the output open does not keep the call."""
    started = time.monotonic()
    result = use("terminal", command="sleep 5 & echo $!")
    assert time.monotonic() - started < 4
    assert result["exit_code"] == 0
    os.kill(int(result["output"]), 9)


def test_terminal_cuts_long_output_in_the_middle(use):
    """The beginning and the end of a long output are shown, with a note between them."""
    output = use("terminal", command="echo first; yes 12345678 | head -c 5000000; echo last")["output"]
    assert output.startswith("first")
    assert output.endswith("last")
    assert "left out here" in output
    assert len(output) < 51_000


def test_terminal_replaces_what_is_not_utf8_and_drops_colours(use):
    """Output is always text."""
    assert use("terminal", command=r"printf 'a\377b \033[31mred\033[0m'")["output"] == "a\ufffdb red"


def test_terminal_keeps_cwd_but_not_that_of_workdir(use, workspace):
    """`cd` lasts; a workdir is for one command."""
    (workspace / "a").mkdir()
    use("terminal", command="pwd", workdir="a")
    assert use("terminal", command="pwd")["output"] == str(workspace)
    use("terminal", command="cd a && false")
    assert use("terminal", command="pwd")["output"] == str(workspace / "a")


def test_terminal_says_when_the_directory_is_missing(use):
    """A working directory that is not there is an error in words."""
    assert use("terminal", command="pwd", workdir="/nowhere")["error"].startswith("There is no directory /nowhere")


def test_terminal_reports_a_syntax_error_of_the_command(use):
    """Broken shell code is the shell's own message and status."""
    result = use("terminal", command="if then")
    assert result["exit_code"] == 2
    assert "syntax error" in result["output"].lower()


@pytest.mark.parametrize("timeout", [0, 601])
def test_terminal_refuses_timeouts_out_of_range(use, timeout):
    """Seconds below 1 and above 600 are an error that says what to do."""
    assert "background=true" in use("terminal", command="true", timeout=timeout)["error"]


@pytest.mark.parametrize("command", ["echo \0", "x" * 200_000])
def test_terminal_says_when_a_command_can_not_be_started(use, command):
    """What no process can be given is an error, not a crash."""
    assert "could not be started" in use("terminal", command=command)["error"]


def test_terminal_understands_numbers_and_truths_as_text(use):
    """A model that writes a number as text is understood; strange arguments are named."""
    result = use("terminal", command="echo ok", timeout="5", background="false", pty=True)
    assert (result["output"], result["ignored_arguments"]) == ("ok", ["pty"])


def test_terminal_interrupt_ends_the_group(use, link, workspace):
    """An interrupt kills the command and what it started, and is raised on."""
    link.interrupt()
    with pytest.raises(Interrupted):
        use("terminal", command="echo $$ > pid; sleep 60")
    pid = (workspace / "pid").read_text().strip() if (workspace / "pid").exists() else ""
    assert not pid or not os.path.exists(f"/proc/{pid}")


def test_terminal_background_asks_the_host(use, link, workspace):
    """A background process is the host's: its id comes back at once."""
    link.script = [{"session_id": "proc_1", "command": "serve", "cwd": str(workspace), "started_at": 1.0}]
    result = use("terminal", command="serve", background=True)
    assert result == {"output": "Background process started", "session_id": "proc_1", "exit_code": 0, "error": None}
    assert link.calls == [("process", {"action": "start", "command": "serve", "cwd": str(workspace)})]


def entry(**more):
    """Return what the host says of a process."""
    known = {"session_id": "proc_1", "command": "serve", "cwd": "/w", "started_at": 0.0, "uptime_seconds": 2.7}
    return {**known, "status": "running", "exit_code": None, "output_preview": "tail", "output": "one\ntwo\nthree\n", **more}


def test_process_list_shows_each_process(use, link):
    """Entries have Hermes' names; the exit code only once there is one."""
    link.script = [{"processes": [entry(), entry(status="exited", exit_code=1)]}]
    first, second = use("process", action="list")["processes"]
    assert (first["uptime_seconds"], first["status"], first["output_preview"]) == (2, "running", "tail")
    assert "exit_code" not in first
    assert second["exit_code"] == 1


def test_process_log_pages_through_lines(use, link):
    """Without an offset the last lines are shown, with one those from there on."""
    link.script = [entry(), entry()]
    assert use("process", action="log", session_id="proc_1", limit=2)["output"] == "two\nthree"
    result = use("process", action="log", session_id="proc_1", offset=1, limit=1)
    assert (result["output"], result["total_lines"], result["showing"]) == ("two", 3, "1 lines")


def test_process_poll_wait_kill_and_submit_have_hermes_shapes(use, link):
    """Each action answers with the status that Hermes names."""
    ended = entry(status="exited", exit_code=143)
    link.script = [
        entry(),
        {**ended, "timed_out": False},
        {**entry(), "timed_out": True},
        entry(),
        ended,
        ended,
        {"written": 3},
    ]
    assert use("process", action="poll", session_id="p")["output_preview"] == "one\ntwo\nthree\n"
    assert use("process", action="wait", session_id="p")["status"] == "exited"
    clamped = use("process", action="wait", session_id="p", timeout=9999)
    assert (clamped["status"], "timeout_note" in clamped) == ("timeout", True)
    assert link.calls[-1][1]["timeout"] == 180
    assert use("process", action="kill", session_id="p") == {"status": "killed", "session_id": "proc_1", "exit_code": 143}
    assert use("process", action="kill", session_id="p")["status"] == "already_exited"
    assert use("process", action="submit", session_id="p", data="hi") == {"status": "ok", "bytes_written": 3}
    assert link.calls[-1][1]["data"] == "hi\n"


def test_process_errors_are_told(use, link):
    """An unknown id and a missing one are errors in words."""
    link.script = [CallError("not_found", "This session has no process 'x'.")]
    assert use("process", action="poll", session_id="x")["error"] == "This session has no process 'x'."
    assert "session_id" in use("process", action="poll")["error"]
    assert "must be one of" in use("process", action="dance")["error"]
