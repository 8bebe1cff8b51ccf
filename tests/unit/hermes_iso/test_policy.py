"""Tests of hermes_iso.policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.policy import Layer, ToolPolicy

TOOLS = ("terminal", "process", "read_file", "memory", "todo")
NAMES = st.sampled_from(TOOLS)
SETS = st.frozensets(NAMES)
PLATFORMS = st.sampled_from(["cli", "x", ""])
LAYERS = st.builds(
    Layer,
    st.sampled_from(["gateway", "agent", "session", "subagent"]),
    st.none() | SETS,
    SETS,
    st.none() | SETS,
    st.dictionaries(st.sampled_from(["cli", "x"]), SETS),
    SETS,
)
POLICIES = st.builds(ToolPolicy, st.lists(LAYERS, max_size=4).map(tuple))


def one(**changes):
    """Return a policy of one layer."""
    return ToolPolicy((Layer("agent", **changes),))


def test_policy_grants_everything_when_nothing_is_said():
    """Neither no layer nor an empty one takes anything away; what is offered stays in order, each name once."""
    assert ToolPolicy().grant(["b", "a", "b"]) == ("b", "a")
    assert one().grant(["b", "a", "b"]) == ("b", "a")


@pytest.mark.parametrize(
    ("layer", "granted"),
    [
        ({"allow": frozenset()}, ()),
        ({"profile": frozenset()}, ()),
        ({"profile": frozenset({"memory"})}, ("memory",)),
        ({"profile": frozenset({"memory"}), "also_allow": frozenset({"todo"})}, ("memory", "todo")),
        ({"also_allow": frozenset({"todo"})}, TOOLS),
        ({"allow": frozenset({"todo", "terminal"})}, ("terminal", "todo")),
        ({"profile": frozenset({"memory"}), "allow": frozenset({"todo"})}, ()),
        ({"profile": frozenset({"memory"}), "also_allow": frozenset({"todo"}), "allow": frozenset({"todo"})}, ("todo",)),
        ({"also_allow": frozenset({"todo"}), "deny": frozenset({"todo"})}, TOOLS[:-1]),
    ],
)
def test_layer_is_profile_also_allow_allow_deny_in_this_order(layer, granted):
    """A profile begins, also_allow adds to it, allow says what may stay, deny takes away in the end."""
    assert one(**layer).grant(TOOLS) == granted


def test_platforms_list_narrows_its_own_messages_alone():
    """A list can't give what `allow` does not hold, and where a platform has none the others' do not count."""
    policy = one(allow=frozenset({"todo", "memory"}), by_platform={"telegram": frozenset({"memory", "terminal"})})
    assert policy.grant(TOOLS, "telegram") == ("memory",)
    assert policy.grant(TOOLS, "discord") == policy.grant(TOOLS) == ("memory", "todo")
    assert policy.platforms == ("telegram",)


def test_refusal_names_the_deciding_layer_and_its_place():
    """A deny is named before a list that just does not hold the tool; without a place, the step in words."""
    policy = ToolPolicy(
        (
            Layer("gateway", by_platform={"cli": frozenset()}, places={"on cli": "platform_toolsets.cli F:1"}),
            Layer("agent", allow=frozenset({"todo", "memory"}), places={"allow": "agents.a.tools F:2"}),
            Layer("session", deny=frozenset({"todo", "terminal"}), places={"deny todo": "S"}),
        )
    )
    assert policy.refusal("memory") == ""
    assert policy.refusal("memory", "cli") == "gateway: platform_toolsets.cli F:1"
    assert policy.refusal("process") == "agent: agents.a.tools F:2"
    assert policy.refusal("terminal", "cli") == "session: a deny"
    assert policy.refusal("todo") == "session: S"


@given(POLICIES, PLATFORMS)
def test_deny_beats_every_allow_in_any_nesting(policy, platform):
    """Whatever other layers allow, and wherever it stands: a name that one layer denies is never granted."""
    granted = policy.grant(TOOLS, platform)
    assert not any(set(granted) & layer.deny for layer in policy.layers)
    assert [name for name in TOOLS if name in granted] == list(granted)


@given(POLICIES, LAYERS, PLATFORMS, st.integers(0, 4))
def test_adding_a_layer_anywhere_never_grants(policy, layer, platform, place):
    """One more layer, above or below, can only take away; `narrowed` adds it below."""
    layers = policy.layers
    wider = set(policy.grant(TOOLS, platform))
    assert set(policy.narrowed(layer).grant(TOOLS, platform)) <= wider
    assert set(ToolPolicy((*layers[:place], layer, *layers[place:])).grant(TOOLS, platform)) <= wider


@given(POLICIES, LAYERS, SETS, PLATFORMS)
def test_adding_a_deny_never_grants(policy, layer, further, platform):
    """A layer that denies more, beside any others, grants no more."""
    more = Layer(layer.name, layer.profile, layer.also_allow, layer.allow, layer.by_platform, layer.deny | further)
    assert set(policy.narrowed(more).grant(TOOLS, platform)) <= set(policy.narrowed(layer).grant(TOOLS, platform)) - further


@given(POLICIES, st.permutations(range(4)), PLATFORMS)
def test_order_of_layers_does_not_matter(policy, order, platform):
    """Each layer is a filter of its own, so none is stronger for where it stands."""
    shuffled = ToolPolicy(tuple(policy.layers[each] for each in order if each < len(policy.layers)))
    assert shuffled.grant(TOOLS, platform) == policy.grant(TOOLS, platform)


@given(POLICIES, PLATFORMS)
def test_grant_without_a_platform_holds_every_other(policy, platform):
    """What the agent's sandbox is shaped by is no less than what any platform grants."""
    assert set(policy.grant(TOOLS, platform)) <= set(policy.grant(TOOLS))


@given(POLICIES, PLATFORMS)
def test_refusal_and_grant_say_the_same(policy, platform):
    """What is explained is what is done: a reason is given exactly for what is not granted."""
    assert {name for name in TOOLS if not policy.refusal(name, platform)} == set(policy.grant(TOOLS, platform))
