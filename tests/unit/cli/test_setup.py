"""`init`, `config check` and `doctor`."""

from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess

from hermes_iso.cli.main import main
from hermes_iso_sandbox.cgroups import find
from hermes_iso_sandbox.enforcement import not_bounded


def test_init_makes_a_home_that_passes_its_own_check(tmp_path, capsys):
    """What `init` writes is right, private, and tells the next step."""
    home = tmp_path / "a home"
    assert main(["init", "--home", str(home), "--agents", "Coder, research"]) == 0
    out = capsys.readouterr().out
    assert "with agents main, coder, research." in out
    [command] = re.findall(r"then type: (.*)", out)
    assert command.endswith(f" run --home '{home}'")
    help_of_it = subprocess.run([*shlex.split(command), "--help"], cwd="/", capture_output=True, text=True, check=False)
    assert (help_of_it.returncode, "--demo" in help_of_it.stdout) == (0, True)
    assert main(["config", "check", "--home", str(home)]) == 0
    assert "serves main, coder, research" in capsys.readouterr().out
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600


def test_init_never_overwrites(tmp_path, capsys):
    """A second `init` is refused, names the file, and changes nothing."""
    home = tmp_path / "home"
    main(["init", "--home", str(home)])
    before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    capsys.readouterr()
    assert main(["init", "--home", str(home)]) == 2
    assert str(home) in capsys.readouterr().err
    assert {file: file.read_bytes() for file in home.rglob("*") if file.is_file()} == before


def test_init_leaves_another_profile_alone(tmp_path, capsys):
    """A directory that is a profile of Hermes' already is not made into another agent."""
    home = tmp_path / "home"
    (home / "profiles/a").mkdir(parents=True)
    (home / "profiles/a/config.yaml").write_text("mine", encoding="utf-8")
    assert main(["init", "--home", str(home), "--agents", "A"]) == 2
    assert "profiles/a/config.yaml is there already" in capsys.readouterr().err
    assert [path.name for path in sorted(home.rglob("*"))] == ["profiles", "a", "config.yaml"]


def test_config_check_prints_every_problem_with_its_line(tmp_path, capsys):
    """All errors come at once, on stdout, one per line."""
    (tmp_path / "config.yaml").write_text("default_agent: nobody\nmodle: x\n", encoding="utf-8")
    assert main(["config", "check", "--home", str(tmp_path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{tmp_path / 'config.yaml'}:1: ") for line in lines)
    assert any(line.startswith(f"{tmp_path / 'config.yaml'}:2: ") for line in lines)


def test_other_commands_print_config_errors_on_stderr(tmp_path, capsys):
    """A broken config never mixes with a result."""
    (tmp_path / "config.yaml").write_text("modle: x\n", encoding="utf-8")
    assert main(["agent", "list", "--json", "--home", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{tmp_path / 'config.yaml'}:1: ")


def test_doctor_reports_a_broken_config_and_the_machine(tmp_path, capsys):
    """A broken config does not keep `doctor` from looking at the machine, and does not decide its exit code."""
    (tmp_path / "config.yaml").write_text("modle: x\n", encoding="utf-8")
    code = main(["doctor", "--json", "--home", str(tmp_path)])
    report = json.loads(capsys.readouterr().out)
    assert code == (0 if report["ok"] else 3)
    assert report["config"]["ok"] is False
    assert len(report["config"]["problems"]) == 1
    assert report["checks"][0]["name"] == "system"
    assert report["not_bounded"] == not_bounded(find())
    assert {"cgroups", "landlock", "identity"} <= {check["name"] for check in report["checks"]}


def test_doctor_names_what_is_held_back_and_never_a_value(tmp_path, capsys):
    """Names of variables are shown, their values nowhere."""
    home = tmp_path / "home"
    main(["init", "--home", str(home), "--agents", "coder"])
    (home / "profiles/coder/.env").write_text("OPENAI_API_KEY=sk-canary\nCRM=crm-canary\n", encoding="utf-8")
    for argv in (["doctor"], ["doctor", "--json"], ["agent", "show", "coder"], ["agent", "show", "coder", "--json"]):
        capsys.readouterr()
        main([*argv, "--home", str(home)])
        out = "".join(capsys.readouterr())
        assert "OPENAI_API_KEY" in out
        assert "CRM" in out
        assert "canary" not in out


def test_doctor_works_without_a_home(tmp_path, capsys):
    """Before anything is set up, the machine can be looked at already."""
    main(["doctor", "--home", str(tmp_path / "none")])
    shown = capsys.readouterr().out
    assert "BROKEN" in shown
    assert ("memory: not bounded" in shown) == ("memory" in not_bounded(find()))
