"""Tests of hermes_iso.policy."""

from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.policy import ToolPolicy

NAMES = st.sampled_from(["terminal", "process", "read_file", "memory", "todo"])
SETS = st.frozensets(NAMES)


def test_policy_grants_everything_when_nothing_is_said():
    """An empty policy leaves all that is offered, in order, each name once."""
    assert ToolPolicy().grant(["b", "a", "b"]) == ("b", "a")


def test_policy_grants_nothing_when_the_allow_list_is_empty():
    """An empty allow list is not the same as none."""
    assert ToolPolicy(allow=frozenset()).grant(["terminal"]) == ()


def test_policy_takes_a_platforms_list_in_place_of_the_general_one():
    """A platform with a list of its own is judged by that one, every other by `allow`."""
    policy = ToolPolicy(allow=frozenset({"todo"}), by_platform={"telegram": frozenset({"memory"})})
    assert policy.grant(["todo", "memory"], "telegram") == ("memory",)
    assert policy.grant(["todo", "memory"], "discord") == ("todo",)


@given(
    st.lists(NAMES),
    st.none() | SETS,
    SETS,
    st.dictionaries(st.sampled_from(["cli", "x"]), SETS),
    st.sampled_from(["cli", "x", ""]),
)
def test_deny_beats_every_allow_and_nothing_is_invented(offered, allow, deny, by_platform, platform):
    """Whatever the allows say: a grant holds no denied name and only offered ones, in the order offered."""
    granted = ToolPolicy(allow, deny, by_platform).grant(offered, platform)
    assert not set(granted) & deny
    assert [name for name in dict.fromkeys(offered) if name in granted] == list(granted)


@given(st.lists(NAMES), SETS, SETS, SETS)
def test_policy_grants_no_more_when_more_is_denied(offered, allow, deny, further):
    """Denying more never grants more."""
    narrow = ToolPolicy(allow, deny | further).grant(offered)
    assert set(narrow) <= set(ToolPolicy(allow, deny).grant(offered))


@given(st.lists(NAMES), st.none() | SETS, SETS, st.dictionaries(st.sampled_from(["cli", "x"]), SETS))
def test_widest_is_all_that_some_platform_is_granted(offered, allow, deny, by_platform):
    """Nothing that a platform may call is missing, nothing that none may call is in it, and the order is that offered."""
    policy = ToolPolicy(allow, deny, by_platform)
    widest = policy.widest(offered)
    assert set(widest) == {name for platform in ("cli", "x", "other") for name in policy.grant(offered, platform)}
    assert [name for name in dict.fromkeys(offered) if name in widest] == list(widest)
