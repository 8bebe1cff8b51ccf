"""`import`."""

import yaml

from hermes_iso.cli.main import main


def test_import_prints_yaml_and_says_what_is_missing(tmp_path, capsys):
    """Stdout is YAML with comments, stderr the sentences; nothing is written."""
    file = tmp_path / "openclaw.json"
    file.write_text("{agents: {list: [{id: 'a', workspace: '~/a'}]}, bindings: [{agentId: 'a', match: {channel: 'irc'}}]}")
    assert main(["import", "openclaw", str(file)]) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)["bindings"] == [{"agent": "a", "match": {"platform": "irc"}}]
    assert "# not carried over: agents.a.workspace: its files are not copied\n" in out
    assert "not carried over: agents.a.workspace: its files are not copied\n" in err
    assert list(tmp_path.iterdir()) == [file]


def test_import_of_what_is_not_there_or_wrong_is_exit_2(tmp_path, capsys):
    """One sentence, or a line for each mistake."""
    assert main(["import", "routes", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
    file = tmp_path / "r.yaml"
    file.write_text("routes: [{match: {}, agent: x}]\n")
    assert main(["import", "routes", str(file)]) == 2
    assert f"{file}:1: routes[0].match: matches everything" in capsys.readouterr().err
