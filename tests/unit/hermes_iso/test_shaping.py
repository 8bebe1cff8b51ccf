"""What a grant leaves of a sandbox, and what a turn has to give up of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso.profiles import AGENT_DIRECTORIES, Profile
from hermes_iso.shaping import Needs, narrowing, needs_of, shaped
from hermes_iso.tools import TOOLS
from hermes_iso_sandbox import Bind, Narrowing
from tests.support.line import make_agent

EXECUTING = {"terminal", "process", "execute_code"}
GRANTS = st.frozensets(st.sampled_from(sorted(TOOLS)))
EVERYTHING, NOTHING = Needs(execute=True, write=True), Needs(execute=False, write=False)
WORK = ("/workspace", "/home/agent")


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_says_what_it_needs(name):
    """Three tools start programs; these and two more write; memory writes what the engine keeps."""
    assert needs_of([name]) == Needs(execute=name in EXECUTING, write=name in EXECUTING | {"write_file", "patch"})


def test_nothing_and_what_no_engine_offers_need_nothing():
    """An empty grant is the narrowest, and a tool that is not there adds nothing."""
    assert needs_of([]) == needs_of(["web_search", "delegate_task"]) == NOTHING


def test_shaped_binds_workplaces_read_only_and_leaves_the_rest(tmp_path):
    """Without writing tools workspace, home, skills and the config's own directories are read-only; memory is not."""
    further = (Bind(str(tmp_path), "/srv/data", writable=True), Bind(str(tmp_path), "/srv/shown"))
    profile = Profile("a", tmp_path / "a", binds=further)
    confinement = shaped(profile.confinement(), NOTHING, profile.workplaces)
    shown = {bind.target: bind.writable for bind in confinement.binds}
    read_only = {"/workspace", "/home/agent", "/hermes/skills", "/srv/data", "/srv/shown"}
    assert {target for target, writable in shown.items() if not writable} == read_only
    assert shown.keys() == {*AGENT_DIRECTORIES.values(), "/srv/data", "/srv/shown"}
    assert confinement.execute is False


def test_shaped_by_everything_changes_nothing(tmp_path):
    """An agent that may do all has the sandbox that its profile describes."""
    profile = Profile("a", tmp_path / "a")
    assert shaped(profile.confinement(), EVERYTHING, profile.workplaces) == profile.confinement()


@pytest.mark.parametrize(
    ("agent", "turn", "expected"),
    [
        (EVERYTHING, EVERYTHING, Narrowing()),
        (EVERYTHING, NOTHING, Narrowing(execute=False, read_only=list(WORK))),
        (EVERYTHING, Needs(execute=False, write=True), Narrowing(execute=False)),
        (NOTHING, NOTHING, Narrowing()),
        (Needs(execute=False, write=True), NOTHING, Narrowing(read_only=list(WORK))),
    ],
)
def test_narrowing_is_what_the_sandbox_allows_and_the_turn_does_not_need(agent, turn, expected):
    """Nothing is taken away twice: what the sandbox refuses anyhow needs no narrowing, and so no landlock."""
    assert narrowing(agent, turn, WORK) == expected


@given(st.none() | GRANTS, GRANTS, st.dictionaries(st.sampled_from(["telegram", "cli"]), GRANTS))
def test_no_platform_needs_more_than_the_sandbox_allows(allow, deny, by_platform):
    """Whatever the policy: on every platform, sandbox and narrowing together allow what the grant needs, and no more."""
    agent = make_agent(Path("/srv/home"), policy=ToolPolicy((Layer("agent", allow=allow, deny=deny, by_platform=by_platform),)))
    for platform in ("", "telegram", "cli", "discord"):
        granted = agent.policy.grant(TOOLS, platform)
        narrowed, needed = agent.narrowing(granted), needs_of(granted)
        assert (agent.needs.execute and narrowed.execute) == needed.execute
        assert (agent.needs.write and not narrowed.read_only) == needed.write
