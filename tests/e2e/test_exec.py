"""`hermes-iso exec` as a user meets it: streams, statuses, and the operator's files on its streams."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateways import environment, hermes_iso, running_gateway, write_hermes_home


@pytest.fixture(params=["with a running gateway", "without one"], scope="module")
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a home that is served, or not."""
    home = write_hermes_home(tmp_path_factory.mktemp("exec") / "home", "http://127.0.0.1:9/v1")
    if request.param == "without one":
        yield home
        return
    with running_gateway("--home", str(home)):
        yield home


def exec_argv(home: Path, *command: str) -> list[str]:
    """Return the command line of an exec."""
    return [sys.executable, "-m", "hermes_iso", "exec", "--home", str(home), "--agent", "alice", "--", *command]


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("no-such-program", 127)])
def test_status_is_the_commands(home: Path, script: str, status: int) -> None:
    """The exit status passes through, 128 and the number for a signal."""
    assert hermes_iso("exec", "--home", str(home), "--agent", "alice", "--", "sh", "-c", script).returncode == status


def test_timeout_is_124(home: Path) -> None:
    """A command over its time is ended."""
    done = hermes_iso("exec", "--home", str(home), "--agent", "alice", "--timeout", "0.5", "--", "sleep", "60")
    assert done.returncode == 124


def test_megabytes_pass_through_unchanged(home: Path) -> None:
    """Binary data goes in and comes out as it was."""
    data = bytes(range(256)) * 80_000
    done = subprocess.run(exec_argv(home, "cat"), input=data, capture_output=True, env=environment(), timeout=60)
    assert (done.returncode, done.stdout) == (0, data)


def test_files_on_the_streams_can_not_be_opened_anew_inside(home: Path, tmp_path: Path) -> None:
    """The content of a file goes in and out, the file itself does not: nothing inside can write to it by its descriptor."""
    given, taken = tmp_path / "given", tmp_path / "taken"
    given.write_text("the operator's words\n")
    taken.write_text("what was there before\n")
    script = "cat; for n in 0 1 2; do (echo overwritten > /proc/self/fd/$n) 2>/dev/null; done; cat < /proc/self/fd/1; true"
    with given.open() as stdin, taken.open("a") as stdout:
        argv = exec_argv(home, "timeout", "2", "sh", "-c", script)
        subprocess.run(argv, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=environment(), timeout=60)
    assert given.read_text() == "the operator's words\n"
    assert taken.read_text().startswith("what was there before\nthe operator's words\n")


def test_environment_is_a_turns(home: Path) -> None:
    """What a turn has, a command has too: names, directory, the agent's own .env, and nothing of the operator's."""
    done = hermes_iso("exec", "--home", str(home), "--agent", "alice", "--", "env")
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    names = {
        "HERMES_SESSION_ID",
        "HERMES_ISO_AGENT",
        "HERMES_ISO_SESSION_KEY",
        "HERMES_ISO_TURN_ID",
        "USER",
        "LANG",
        "TERM",
        "TZ",
    }
    assert names <= found.keys()
    assert (found["PWD"], found["CRM_PASSWORD"], found["HERMES_HOME"]) == ("/workspace", "password-of-alice", "/hermes")
    assert "OPERATOR_CANARY" not in found


def test_commands_at_once_all_succeed(home: Path) -> None:
    """Four at a time, with a gateway or without one, each give their own output and status."""
    argv = [exec_argv(home, "sh", "-c", f"sleep 0.3; echo done-{number}; exit {number}") for number in range(4)]
    running = [subprocess.Popen(each, stdout=subprocess.PIPE, env=environment(), text=True) for each in argv]
    for number, process in enumerate(running):
        out, _ = process.communicate(timeout=60)
        assert (out, process.returncode) == (f"done-{number}\n", number)


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", ">/dev/full"])
def test_closed_and_full_streams_are_no_fault_of_the_program(home: Path, closed: str) -> None:
    """Whatever stream the caller closed, there is no traceback and no unexpected exit status."""
    argv = " ".join([*exec_argv(home, "true"), closed])
    listing = " ".join([sys.executable, "-m", "hermes_iso", "agent", "list", "--home", str(home), closed])
    for line in (argv, listing):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment(), timeout=60)
        assert done.returncode in {0, 1}, (line, done)
        assert "unexpected" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_empty_program_name_is_told(home: Path) -> None:
    """It is 126 with a sentence."""
    done = hermes_iso("exec", "--home", str(home), "--agent", "alice", "--", "")
    assert done.returncode == 126
    assert "empty" in done.stderr
