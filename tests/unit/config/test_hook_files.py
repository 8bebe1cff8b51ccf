"""Tests of hermes_iso.config.hook_files: Hermes' own layout, and what is wrong with a HOOK.yaml."""

import pytest

from hermes_iso.hooks.hook import Hook
from tests.support.homes import load, mistakes

MODEL = "model: builtin/offline\n"
HANDLER = {"hooks/x/handler.py": "def handle(event_type, context): pass\n"}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def hook_files(**manifests):
    """Return the files of hooks: directory to HOOK.yaml, each with a handler."""
    files = {f"hooks/{name}/HOOK.yaml": text for name, text in manifests.items()}
    return {**files, **{f"hooks/{name}/handler.py": "def handle(event_type, context): pass\n" for name in manifests}}


def test_hooks_are_found_by_name(home):
    """Their order is that of their names, not of their directories; a name that is missing is the directory's."""
    files = hook_files(
        a="name: zoo\nevents: [select_agent]\n",
        z="name: ant\ndescription: x\nevents: ['agent:end', 'command:*', 'command:new']\n",
        m="events: [pre_tool_call]\n",
    )
    assert load(home, MODEL, files).hooks == (
        Hook("ant", frozenset({"agent:end", "command:*", "command:new"}), "z"),
        Hook("m", frozenset({"pre_tool_call"}), "m"),
        Hook("zoo", frozenset({"select_agent"}), "a"),
    )


def test_a_directory_without_both_files_is_no_hook(home):
    """As in Hermes: half a hook, a file or nothing at all is passed over."""
    files = {"hooks/half/HOOK.yaml": "events: [select_agent]\n", "hooks/other/handler.py": "", "hooks/note.txt": "x"}
    config = load(home, MODEL, files)
    assert (config.hooks, config.warnings) == ((), ())
    assert load(home.parent / "none", MODEL).hooks == ()


def test_hooks_of_a_profile_are_not_called(home):
    """Only the root home's hooks count."""
    assert load(home, MODEL + "agents: {a: {}}\n", {f"profiles/a/{name}": text for name, text in HANDLER.items()}).hooks == ()


@pytest.mark.parametrize(
    ("manifest", "line"),
    [
        ("name: x\n", "1: events: must be a list with at least one event; write it as [select_agent]"),
        ("events: []\n", "1: events: must be a list with at least one event; write it as [select_agent]"),
        (
            "name: x\nevents: select_agent\n",
            "2: events: must be a list with at least one event, found text; write it as [select_agent]",
        ),
        ("events: [select_agent, 5]\n", "1: events[1]: must be the name of an event, found a number; correct it"),
        ("name: [x]\nevents: [select_agent]\n", "1: name: must be text, found a list; correct or remove it"),
        ("name: ''\nevents: [select_agent]\n", "1: name: must be text, found text; correct or remove it"),
        ("events: [a\n", "2: file: "),
        ("- x\n", "1: (top level): must be a mapping of keys to values, found a list"),
    ],
)
def test_a_mistake_in_a_manifest_has_its_line(home, manifest, line):
    """A guard that can't be read must not be a guard that is silently not there."""
    found = mistakes(home, MODEL, {**HANDLER, "hooks/x/HOOK.yaml": manifest})
    assert len(found) == 1
    assert found[0].startswith(f"HOME/hooks/x/HOOK.yaml:{line}")


def test_an_event_that_is_not_called_is_a_warning(home):
    """Hermes has more events than are called here; the hook counts for the others."""
    config = load(home, MODEL, hook_files(x="events: [pre_llm_call, selct_agent, select_agent]\n"))
    assert config.hooks == (Hook("x", frozenset({"select_agent"}), "x"),)
    where = f"{home}/hooks/x/HOOK.yaml:1: events"
    assert config.warnings[0].startswith(f"{where}[0]: hooks are not called for 'pre_llm_call' in this version")
    assert (
        config.warnings[1]
        == f"{where}[1]: hooks are not called for 'selct_agent' in this version; did you mean 'select_agent'?"
    )


def test_a_symlink_is_no_hook(home, tmp_path):
    """What a symlink leads to may be a place that an agent can write: a file is refused, a directory passed over."""
    load(tmp_path / "other", MODEL, hook_files(x="events: [select_agent]\n"))
    home.mkdir()
    (home / "hooks").symlink_to(tmp_path / "other" / "hooks")
    config = load(home, MODEL)
    assert config.hooks == ()
    assert config.warnings == (f"{home}/hooks is a symlink, so no hook in it is used; put the directory itself there",)
    (home / "hooks").unlink()
    (home / "hooks").mkdir()
    (home / "hooks" / "x").symlink_to(tmp_path / "other" / "hooks" / "x")
    config = load(home)
    assert config.hooks == ()
    assert "hooks/x is a symlink" in config.warnings[0]
    (home / "hooks" / "y").mkdir()
    (home / "hooks" / "y" / "HOOK.yaml").write_text("events: [select_agent]\n")
    (home / "hooks" / "y" / "handler.py").symlink_to(tmp_path / "other" / "hooks" / "x" / "handler.py")
    assert mistakes(home) == [
        "HOME/hooks/y/handler.py:1: file: is a symlink, and a hook may not be one; put the file itself there"
    ]


@pytest.mark.parametrize(
    ("value", "rest"),
    [("0", "must be more than 0.0, found 0"), ("61", "must be at most 60.0, found 61"), ("x", "must be a number, found text")],
)
def test_hook_timeout_is_bounded(home, value, rest):
    """A hook may take some time, and not for ever."""
    assert mistakes(home, MODEL + f"gateway: {{hook_timeout: {value}}}\n")[0].startswith(
        f"HOME/config.yaml:2: gateway.hook_timeout: {rest}"
    )
    assert load(home, MODEL + "gateway: {hook_timeout: 0.5}\n").hook_timeout == 0.5
