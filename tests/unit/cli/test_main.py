"""The command line as a whole: parsing, homes, exit codes, and that no traceback reaches anybody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hermes_iso import __version__
from hermes_iso.cli.main import build_app, main
from hermes_iso.cli.options import find_home
from hermes_iso.errors import UsageError


@pytest.fixture
def home(tmp_path):
    """Make a home with `init`, with the agents main and coder."""
    where = tmp_path / "home"
    assert main(["init", "--home", str(where), "--agents", "coder"]) == 0
    return where


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["fly"], 'Unknown command "fly". See: hermes-iso --help'),
        (["agent", "fly"], "fly"),
        (["adopt"], "adopt"),
        (["agent", "show"], "NAME"),
        (["agent", "show", "a", "b"], "b"),
        (["agent", "list", "--fast"], "--fast"),
        (["agent", "list", "--hom"], "Did you mean --home? See: hermes-iso --help"),
        (["exec", "--", "ls"], "--agent"),
        (["exec", "--agent", "main"], "ARGV"),
        (["exec", "--agent", "main", "--timeout", "soon", "--", "ls"], "soon"),
        (["run", "--port", "99999"], "99999"),
        (["run", "--demo", "--home", "x"], "--home"),
        (["--home"], "--home"),
        (["agent", "list", "--home", ""], "--home"),
        (["route", "explain"], "--platform"),
        (["route", "explain", "--platform", "a", "--platform", "b"], "--platform"),
        (["bench", "turns", "--n", "0"], "--n"),
        (["home", "chown"], "NAME"),
        (["chat", "-q"], "-q"),
        (["chat", "-q", " "], "-q"),
        (["chat", "--session", ""], "--session"),
        (["exec", "--agent", "main", "--timeout", "0", "--", "ls"], "--timeout"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(argv, said, home, monkeypatch, capsys):
    """A command that can't be understood says so in a line that names what is wrong."""
    monkeypatch.setenv("HERMES_ISO_HOME", str(home))
    capsys.readouterr()
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("hermes-iso: ")
    assert said in err


@pytest.mark.parametrize(
    "argv", [["--help"], ["--home", "x", "--help"], [], ["agent"], ["agent", "show", "--help"], ["exec", "-h"]]
)
def test_help_is_everywhere(argv, capsys):
    """Help goes to stdout and is no error."""
    assert main(argv) == 0
    assert "Usage: hermes-iso" in capsys.readouterr().out


def test_every_command_has_help_text(capsys):
    """Each command says in its help what it does."""
    app = build_app()
    for words in (
        ["run"],
        ["init"],
        ["chat"],
        ["exec"],
        ["doctor"],
        ["agent", "list"],
        ["route", "explain"],
        ["config", "check"],
    ):
        assert main([*words, "--help"]) == 0
        text = capsys.readouterr().out
        assert "--home" in text
        assert len(text.splitlines()[2].split()) > 3, words
    assert app.version == __version__


def test_version_is_printed(capsys):
    """`--version` prints the version alone."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("spelling", [["--home", "{}"], ["--home={}"]])
def test_home_may_stand_before_the_command(spelling, home, capsys):
    """`--home` counts before the command as it does behind it."""
    capsys.readouterr()
    given = [part.format(home) for part in spelling]
    assert main([*given, "config", "check"]) == 0
    before = capsys.readouterr()
    assert main(["config", "check", *given]) == 0
    assert capsys.readouterr() == before
    assert str(home) in before.out


def test_home_given_twice_is_refused(home, capsys):
    """Two homes can't both be meant."""
    assert main(["--home", "/elsewhere", "config", "check", "--home", str(home)]) == 2
    assert "--home" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "environ", "expected"),
    [
        ("/a", {"HERMES_ISO_HOME": "/b", "HERMES_HOME": "/c"}, "/a"),
        (None, {"HERMES_ISO_HOME": "/b", "HERMES_HOME": "/c"}, "/b"),
        (None, {"HERMES_ISO_HOME": "", "HERMES_HOME": "/c"}, "/c"),
    ],
)
def test_home_is_the_first_that_is_named(option, environ, expected):
    """The option beats our variable, which beats Hermes' own."""
    assert str(find_home(option, environ)) == expected


def test_home_is_hermes_own_when_nothing_names_one(monkeypatch):
    """Without a word it is ~/.hermes, and an empty option is refused."""
    monkeypatch.setenv("HOME", "/somewhere")
    assert str(find_home(None, {})) == "/somewhere/.hermes"
    with pytest.raises(UsageError):
        find_home("", {})


def test_missing_home_says_how_to_make_one(tmp_path, capsys):
    """A home that is not there is exit 2 and names `init`."""
    assert main(["agent", "list", "--home", str(tmp_path / "none")]) == 2
    assert "hermes-iso init" in capsys.readouterr().err


def test_module_is_the_same_command():
    """`python -m hermes_iso` runs the same program."""
    ran = subprocess.run([sys.executable, "-m", "hermes_iso", "--version"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, f"{__version__}\n")


def test_closed_output_is_no_traceback(home):
    """A reader that goes away ends the command quietly."""
    script = f"{sys.executable} -m hermes_iso agent show main --home {home} | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode in {0, 141}
    assert ran.stderr == ""
