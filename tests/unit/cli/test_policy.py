"""`policy explain`."""

from __future__ import annotations

import json

import pytest

from hermes_iso.cli.main import main
from hermes_iso.config.load import load_config
from hermes_iso.explaining import explain
from hermes_iso.tools import KNOWN_TOOLS, TOOLS
from hermes_iso_sandbox.capability import landlock_abi
from tests.support.homes import make_home

OFFERED = set(TOOLS) - {"send_message"}
"""What is offered to agents that have nobody to write to."""
CONFIG = """\
model: builtin/offline
agents: {coder: {}, reader: {}}
platform_toolsets:
  telegram: [file, terminal]
  discord: [memory]
agent:
  disabled_toolsets:
    - code_execution
    - web
"""
READER = "agent:\n  disabled_toolsets: [terminal, code_execution,\n    file]\n"


@pytest.fixture
def home(tmp_path):
    """Make a home with the agents main, coder and reader."""
    return make_home(tmp_path / "home", CONFIG, {"profiles/reader/config.yaml": READER})


def told(home, capsys, *words):
    """Return what the command prints as JSON."""
    assert main(["policy", "explain", *words, "--json", "--home", str(home)]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_tool_is_accounted_for(home, capsys):
    """What is granted is offered and not denied; what is neither is not offered or denied; nothing is left out."""
    answer = told(home, capsys, "coder")
    assert list(answer) == ["agent", "granted", "denied", "not_offered", "kernel"]
    granted, denied, not_offered = set(answer["granted"]), set(answer["denied"]), set(answer["not_offered"])
    assert granted == OFFERED - {"execute_code"}
    assert denied == {"execute_code", "web_search", "web_extract"}
    assert not_offered == KNOWN_TOOLS - OFFERED
    assert granted | denied | not_offered == KNOWN_TOOLS


def test_a_deny_is_named_with_its_file_and_line(home, capsys):
    """The layer is the key and the line of the very item, in the file that it came from."""
    denied = told(home, capsys, "coder")["denied"]
    assert denied["execute_code"] == f"gateway: agent.disabled_toolsets {home / 'config.yaml'}:8"
    assert denied["web_search"] == f"gateway: agent.disabled_toolsets {home / 'config.yaml'}:9"
    denied = told(home, capsys, "reader")["denied"]
    assert denied["patch"] == f"agent: agent.disabled_toolsets {home / 'profiles/reader/config.yaml'}:3"


def test_kernel_tells_what_the_sandbox_allows(home, capsys):
    """An agent with a terminal may start programs and write; one that may only remember can do neither."""
    whole = {"execute": True, "workspace": "rw", "skills": "rw", "seccomp": "base+turn", "soul": "ro", "door": False}
    none = {"execute": False, "workspace": "ro", "skills": "ro", "seccomp": "base+turn+no-exec", "soul": "ro", "door": False}
    for agent, expected in (("coder", whole), ("reader", none)):
        kernel = told(home, capsys, agent)["kernel"]
        assert {key: kernel[key] for key in expected} == expected
        assert kernel.keys() == {*expected, "landlock", "narrowed_by_platform"}
        assert kernel["landlock"] == landlock_abi()


def test_platform_with_a_smaller_list_is_told_with_its_line(home, capsys):
    """What is left there of the tools and of the sandbox, and nothing of platforms that have all."""
    narrowed = told(home, capsys, "coder")["kernel"]["narrowed_by_platform"]
    assert narrowed.keys() == {"telegram", "discord"}
    assert narrowed["discord"]["granted"] == ["memory"]
    assert narrowed["discord"]["layer"] == f"gateway: platform_toolsets.discord {home / 'config.yaml'}:5"
    assert [narrowed["discord"][key] for key in ("execute", "workspace", "skills")] == [False, "ro", "ro"]
    assert [narrowed["telegram"][key] for key in ("execute", "workspace", "skills")] == [True, "rw", "rw"]


@pytest.mark.parametrize(
    ("agent", "tool", "sentence"),
    [
        (
            "coder",
            "memory",
            "memory is granted to agent coder; not on telegram (gateway: platform_toolsets.telegram HOME/config.yaml:4",
        ),
        (
            "coder",
            "execute_code",
            "execute_code is denied to agent coder by layer gateway: agent.disabled_toolsets HOME/config.yaml:8.",
        ),
        (
            "coder",
            "vision_analyze",
            "vision_analyze is not offered: agent coder is not denied it, but its engine, native,",
        ),
    ],
)
def test_one_tool_is_one_sentence(home, capsys, agent, tool, sentence):
    """For people that sentence alone; as JSON the same keys, with that tool alone in the lists."""
    assert main(["policy", "explain", agent, tool, "--home", str(home)]) == 0
    assert capsys.readouterr().out.replace(str(home), "HOME").startswith(sentence)
    answer = told(home, capsys, agent, tool)
    assert answer["sentence"].replace(str(home), "HOME").startswith(sentence)
    assert {*answer["granted"], *answer["denied"], *answer["not_offered"]} == {tool}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["codr"], "did you mean 'coder'? There are: main, coder, reader"),
        (["zzz"], "There are: main, coder, reader"),
        (["coder", "terminl"], "did you mean 'terminal'?"),
        (["coder", "zzz"], "possible: "),
        (["coder", "file"], "is a toolset: name one of its tools (read_file, write_file, patch, search_files)"),
    ],
)
def test_unknown_names_are_usage_errors_that_help(home, capsys, words, hint):
    """Exit 2 and one sentence with the nearest name, or with those that there are."""
    assert main(["policy", "explain", *words, "--home", str(home)]) == 2
    assert hint in capsys.readouterr().err


def test_table_tells_the_same_to_people(home, capsys):
    """Each tool with its state and what denies it, then the kernel, then the platforms."""
    assert main(["policy", "explain", "coder", "--home", str(home)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(row.split()[:2] == ["terminal", "granted"] for row in rows)
    assert any(row.split()[:3] == ["execute_code", "denied", "gateway:"] for row in rows)
    assert any(row.split() == ["workspace:", "rw"] for row in rows)
    assert any(row.startswith("on discord:") for row in rows)


def test_kernel_without_landlock_says_which_turns_fail(home):
    """A platform whose turns must not write is told apart from one whose turns just start no program."""
    config = load_config(home, {})
    narrowed = explain(config.agents["coder"], None)["kernel"]["narrowed_by_platform"]
    assert {platform for platform, left in narrowed.items() if "refused" in left} == {"discord"}


def test_explaining_changes_nothing(home, capsys):
    """Looking at a policy makes no directory."""
    before = sorted(home.rglob("*"))
    told(home, capsys, "coder")
    assert sorted(home.rglob("*")) == before
