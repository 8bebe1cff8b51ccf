"""`route explain`."""

from __future__ import annotations

import io
import json
import sys

import pytest

from hermes_iso.cli.main import main
from hermes_iso.cli.route import make_inbound
from hermes_iso.errors import UsageError


@pytest.fixture
def home(tmp_path):
    """Make a home whose routes give one group to coder."""
    where = tmp_path / "home"
    main(["init", "--home", str(where), "--agents", "coder"])
    config = where / "config.yaml"
    rule = 'routes:\n  - match: {platform: telegram, chat_id: "-100", thread_id: "7"}\n    agent: coder\n'
    config.write_text(config.read_text(encoding="utf-8") + rule, encoding="utf-8")
    return where


def explain(home, capsys, *options):
    """Run `route explain --json` and return its exit code and answer."""
    capsys.readouterr()
    code = main(["route", "explain", "--json", *options, "--home", str(home)])
    return code, json.loads(capsys.readouterr().out)


def test_explain_takes_values_that_begin_with_a_dash(home, capsys):
    """Telegram's groups have negative ids."""
    options = ("--platform", "telegram", "--chat-type", "group", "--chat-id", "-100", "--thread-id", "7")
    code, answer = explain(home, capsys, *options)
    assert code == 0
    assert (answer["agent"], answer["session_key"]) == ("coder", "agent:coder:telegram:group:-100:7")
    assert f"{home / 'config.yaml'}:" in answer["rule"]
    assert answer["rejected"] == []


def test_explain_says_why_rules_lost(home, capsys):
    """The default takes it, and the rule that does not is named with its reason."""
    code, answer = explain(home, capsys, "--platform", "telegram", "--chat-id", "-200")
    assert code == 0
    assert (answer["agent"], answer["tier"]) == ("main", "default")
    assert "-200" in answer["rejected"][0]["reason"]


def test_explain_is_no_error_when_the_message_would_be_rejected(home, capsys):
    """A rejection is an answer like another: exit 0."""
    config = home / "config.yaml"
    text = config.read_text(encoding="utf-8").replace("unmatched: default", "unmatched: reject")
    config.write_text(text, encoding="utf-8")
    code, answer = explain(home, capsys, "--platform", "signal", "--chat-id", "1")
    assert (code, answer["agent"], answer["tier"]) == (0, None, "rejected")
    assert main(["route", "explain", "--platform", "signal", "--home", str(home)]) == 0
    assert capsys.readouterr().out.startswith("rejected: ")


def test_explain_prints_text_for_people(home, capsys):
    """Without --json the same facts come as lines."""
    capsys.readouterr()
    assert main(["route", "explain", "--platform", "telegram", "--chat-id", "1", "--home", str(home)]) == 0
    out = capsys.readouterr().out
    assert "agent:       main" in out
    assert "not:         " in out
    assert "the message has no thread_id; wanted is '7'" in explain_text(home, capsys, "--chat-id", "-100")


def explain_text(home, capsys, *options):
    """Run `route explain` for a message of Telegram and return what people read."""
    capsys.readouterr()
    assert main(["route", "explain", "--platform", "telegram", *options, "--home", str(home)]) == 0
    return capsys.readouterr().out


def test_explain_answers_each_line_of_stdin(home, capsys, monkeypatch):
    """One answer per line, in order; a bad line is answered too, and makes the exit code 2."""
    given = [
        '{"platform": "telegram", "chat_id": -100, "thread-id": "7"}',
        "nonsense",
        "[]",
        '{"platform": "x", "chat": "1"}',
        "",
        '{"platform": "Telegram"}',
        '{"platform": "telegram", "chat_id": "1", "chat-id": "2"}',
        '{"platform": "telegram", "platform": "signal"}',
        '{"platform": "telegram", "chat_id": "\\ud800"}',
        '{"platform": "telegrm"}',
    ]
    lines = "\n".join(given).encode()
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["route", "explain", "--stdin", "--home", str(home)]) == 2
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer.get("agent", answer.get("error")) for answer in answers][:5:4] == ["coder", "main"]
    assert ["error" in answer for answer in answers] == [False, True, True, True, False, True, True, True, True]
    assert answers[6]["error"] == "The key 'platform' is here twice; keep one."
    assert answers[8]["error"] == "Unknown platform 'telegrm'; did you mean 'telegram'?"
    assert err.count("\n") == 7


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--platform", "telegrm"), "did you mean 'telegram'?"),
        (("--stdin", "--platform", "telegram"), "leave out --platform"),
        (("--stdin", "--chat-id", "-1"), "leave out --chat-id"),
        ((), "--platform NAME, or --stdin"),
    ],
)
def test_explain_refuses_what_it_can_not_answer(home, capsys, options, sentence):
    """A wrong command is exit 2 and one sentence on stderr."""
    capsys.readouterr()
    assert main(["route", "explain", *options, "--home", str(home)]) == 2
    out, err = capsys.readouterr()
    assert (out, sentence in err) == ("", True)


@pytest.mark.parametrize(
    "given", [{}, {"platform": ""}, {"platform": 1.5}, {"platform": "x", "chat_id": True}, {"platform": "x", "y": "1"}]
)
def test_inbound_needs_text_and_known_keys(given):
    """What can't be a message is refused with a sentence."""
    with pytest.raises(UsageError):
        make_inbound(given)


@pytest.mark.slow
def test_explain_of_many_rules_tells_all_for_one_message_and_few_for_each_line(tmp_path, capsys, monkeypatch):
    """A line's answer stays small, whatever the number of rules; a single message's is whole."""
    where = tmp_path / "home"
    main(["init", "--home", str(where), "--agents", "coder"])
    rules = "".join(f"  - {{agent: coder, telegram: c{number}}}\n" for number in range(3_000))
    with (where / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("bindings:\n" + rules)
    options = ("--platform", "telegram", "--chat-id", "c2999")
    code, answer = explain(where, capsys, *options)
    assert (code, answer["agent"], len(answer["rejected"]), "rejected_left_out" in answer) == (0, "coder", 2_999, False)
    line = b'{"platform": "telegram", "chat_id": "c2999"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line * 2)))
    assert main(["route", "explain", "--stdin", "--home", str(where)]) == 0
    answers = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [(each["agent"], len(each["rejected"]), each["rejected_left_out"]) for each in answers] == [
        ("coder", 100, 2_899)
    ] * 2


@pytest.mark.parametrize(
    ("option", "rule", "tier"),
    [
        (("--account-id", "-a"), "account_id: -a", "account_id"),
        (("--guild-id", "-g"), "guild_id: -g", "guild_id"),
        (("--team-id", "-t"), "team_id: -t", "team_id"),
        (("--chat-type", "channel"), "chat_type: channel", "chat_type"),
        (("--parent-chat-id", "-p"), "parent_chat_id: -p", "parent_chat_id"),
        (("--parent-chat-id", "-p"), "chat_id: -p", "chat_id"),
        (("--user-id", "-u"), "user_id: -u", "user_id"),
        (("--user-id", "-u", "--user-id-alt", "-v"), "peer: -u", "peer"),
    ],
)
def test_explain_knows_every_key_of_a_match(tmp_path, capsys, option, rule, tier):
    """Each option is what the key of that name compares with."""
    where = tmp_path / "home"
    main(["init", "--home", str(where), "--agents", "coder"])
    with (where / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(f"bindings:\n  - {{agent: coder, match: {{platform: slack, {rule}}}}}\n")
    for options, agent in ((option, "coder"), ((), "main")):
        code, answer = explain(where, capsys, "--platform", "SLACK", *options)
        assert (code, answer["agent"], answer["tier"]) == (0, agent, tier if options else "default")
