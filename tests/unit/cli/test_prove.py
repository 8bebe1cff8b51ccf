"""`prove`: its options and exit codes, without starting a sandbox."""

from __future__ import annotations

import json

import pytest

from hermes_iso.cli import prove as command
from hermes_iso.cli.main import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--level", "process"], "not available in this version"),
        (["--only", "kernal"], "did you mean kernel"),
        (["--agents", "1"], "from 2 to 16"),
        (["--agents", "many"], "many"),
        (["--self-tests"], "self-tests"),
    ],
)
def test_wrong_use_is_exit_2_with_one_sentence(capsys, words, told):
    """An option, level, number or probe that does not exist is told before anything starts."""
    assert main(["prove", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_list_names_probes_and_runs_none(capsys):
    """A line per chosen probe; with --json one document."""
    assert main(["prove", "--list", "--only", "env"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["E01", "env"]
    assert main(["prove", "--list", "--only", "E01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["probes"][0]["id"] == "E01"


def test_machine_without_sandboxes_is_exit_3(capsys, monkeypatch, tmp_path):
    """Where no sandbox can be had nothing is attacked, and the fix is told."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert main(["prove", "--home", str(tmp_path)]) == 3
    assert "bubblewrap" in capsys.readouterr().err


def test_only_namespace_isolation_can_be_attacked():
    """The other levels come with the version that builds them."""
    assert command.LEVELS == ("namespace",)
