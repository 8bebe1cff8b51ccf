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
