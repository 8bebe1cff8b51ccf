"""`status`, `reload` and `drain`: what they say to a person, and where no gateway runs."""

from __future__ import annotations

import json
import time

import pytest

from hermes_iso.cli.control import gateway_text, print_change
from hermes_iso.cli.main import main

CHANGE = {
    "generation": 7,
    "agents": {"added": ["a", "b"], "changed": [], "removed": ["c"]},
    "routes": {"added": 2, "removed": 1},
    "needs_restart": ["port: 1 until a restart, then 2"],
    "not_served": {"d": "a Hermes gateway runs on it"},
    "warnings": ["look at this"],
}


def test_change_is_told_with_what_waits_and_what_is_not_served(capsys):
    """One line for what changed, one for each thing that is otherwise than somebody may think; warnings go to stderr."""
    print_change(CHANGE)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "generation 7: added a, b; removed c; routes: 2 added, 1 removed",
        "needs a restart: port: 1 until a restart, then 2",
        "not served: d: a Hermes gateway runs on it",
    ]
    assert err == "warning: look at this\n"


@pytest.mark.parametrize(
    ("problems", "age", "told"),
    [
        ([], 0, "serves generation 3"),
        (["F:1: k: wrong"], 5, "serves generation 3; a reload (files) was refused 5 s ago: F:1: k: wrong"),
        (["a", "b"], 3700, "serves generation 3; a reload (files) was refused 1 h 1 min ago: a; b"),
        (["a"], 90061, "serves generation 3; a reload (files) was refused 1 d 1 h ago: a"),
    ],
)
def test_refused_reload_is_told_with_its_age(problems, age, told):
    """`doctor` and `status` say what the files say that nobody serves."""
    last = {"at": time.time() - age, "why": "files", "problems": problems}
    found = {"pid": 5, "generation": 3, "reload_on_change": False, "last_reload": last}
    assert gateway_text(found) == f"gateway: pid 5 {told}"
    assert gateway_text({**found, "last_reload": None, "reload_on_change": True}).endswith("generation 3, files are watched")


@pytest.mark.parametrize("command", ["status", "reload", "drain"])
def test_home_without_a_gateway_is_exit_2(tmp_path, capsys, command):
    """Nothing is printed but one sentence, with --json too."""
    assert main([command, "--json", "--home", str(tmp_path)]) == 2
    assert capsys.readouterr() == (
        "",
        f"hermes-iso: No gateway runs on {tmp_path}: start one with hermes-iso run, or name another --home.\n",
    )


def test_doctor_says_that_no_gateway_runs(tmp_path, capsys):
    """Also where there is no home at all."""
    main(["doctor", "--json", "--home", str(tmp_path / "none")])
    assert json.loads(capsys.readouterr().out)["gateway"] is None
