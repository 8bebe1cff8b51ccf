"""Tests of hermes_iso.routing."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.config.schema import Config
from hermes_iso.errors import RouteRejectedError
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.routing import Router
from hermes_iso.rules import RouteRule
from tests.support.homes import load

IDS = st.text("ab:@!+ \0#", max_size=5)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Config:
    """Return a config with the agents main and coder."""
    return load(tmp_path_factory.mktemp("routing") / "home", "agents: {coder: {}}\nmodel: builtin/offline\n")


def inbound(platform="telegram", chat_id="1", **more):
    user = {key: more.pop(key) for key in ("user_id", "user_id_alt", "agent", "namespace") if key in more}
    return Inbound(ChatRef(platform, chat_id, **more), "hello", "m1", **user)


def router(base, *routes, **changes):
    return Router(dataclasses.replace(base, routes=routes, **changes))


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (inbound(), "agent:main:telegram:dm:1"),
        (inbound(thread_id="7"), "agent:main:telegram:dm:1:7"),
        (inbound(user_id="u"), "agent:main:telegram:dm:1"),
        (inbound(chat_id="", user_id="u"), "agent:main:telegram:dm:u"),
        (inbound(chat_id="", user_id="u", user_id_alt="alt"), "agent:main:telegram:dm:alt"),
        (inbound(chat_id="", user_id="u", thread_id="7"), "agent:main:telegram:dm:u:7"),
        (inbound(chat_id="", thread_id="7"), "agent:main:telegram:dm:7"),
        (inbound(chat_id=""), "agent:main:telegram:dm"),
        (inbound(chat_type="group", chat_id="-100"), "agent:main:telegram:group:-100"),
        (inbound(chat_type="group", chat_id="-100", user_id="u"), "agent:main:telegram:group:-100:u"),
        (inbound(chat_type="group", chat_id="-100", user_id="u", thread_id="7"), "agent:main:telegram:group:-100:7"),
        (inbound(chat_type="channel", chat_id="", user_id="u"), "agent:main:telegram:channel:u"),
        (inbound("whatsapp", "60123:47@s.whatsapp.net"), "agent:main:whatsapp:dm:60123"),
        (inbound("whatsapp", "9@g.us", chat_type="group", user_id="+60123@lid"), "agent:main:whatsapp:group:9@g.us:60123"),
        (inbound("Telegram", agent="coder"), "agent:coder:telegram:dm:1"),
    ],
)
def test_session_key_is_the_text_that_hermes_makes(base, message, key):
    """Session keys are byte for byte those of Hermes."""
    assert router(base).route(message).session_key == key


def test_members_of_a_group_share_a_session_when_the_config_says_so(base):
    """`group_sessions_per_user: false` drops the user from key and identity."""
    shared = router(base, group_sessions_per_user=False)
    one, other = (shared.route(inbound(chat_type="group", user_id=user)) for user in ("a", "b"))
    assert one.session == other.session
    assert one.session_key == "agent:main:telegram:group:1"


def test_members_of_a_thread_are_kept_apart_when_the_config_says_so(base):
    """`thread_sessions_per_user: true` adds the user in threads."""
    apart = router(base, thread_sessions_per_user=True)
    assert apart.route(inbound(chat_type="group", thread_id="7", user_id="a")).session_key == "agent:main:telegram:group:1:7:a"


@given(*[st.tuples(st.sampled_from(["telegram", "whatsapp"]), st.sampled_from(["dm", "group"]), IDS, IDS, IDS)] * 2)
def test_different_chats_never_share_a_session(base, one, other):
    """Whatever characters ids hold, two different chats or threads have different sessions, even where their texts agree."""
    sessions = [
        router(base).route(inbound(platform, chat, chat_type=kind, thread_id=thread or None, user_id=user)).session
        for platform, kind, chat, thread, user in (one, other)
    ]
    if one[:4] != other[:4]:
        assert sessions[0] != sessions[1]


def test_chats_whose_texts_agree_are_different_sessions(base):
    """Chat a with thread b and chat a:b have one text and two identities."""
    one, other = router(base).route(inbound(chat_id="a", thread_id="b")), router(base).route(inbound(chat_id="a:b"))
    assert one.session_key == other.session_key
    assert one.session != other.session


def test_sessions_of_different_keys_are_different(base):
    """The namespace of an API key is part of the identity."""
    one, other = (router(base).route(inbound("api_server", "x", namespace=name)).session for name in ("a", "b"))
    assert one != other


def test_first_matching_route_wins(base):
    """Routes are tried in the order of the file."""
    first, second = RouteRule("coder", "telegram", "1", where="f:1"), RouteRule("main", "telegram", where="f:2")
    assert router(base, first, second).route(inbound()).agent == "coder"
    assert router(base, second, first).route(inbound()).agent == "main"


def test_route_by_chat_takes_messages_of_its_threads_parents(base):
    """`chat_id` also matches the parent chat."""
    rule = RouteRule("coder", chat_id="parent", where="f:1")
    assert router(base, rule).route(inbound(chat_id="child", parent_chat_id="parent")).agent == "coder"


def test_route_needs_every_key_it_names(base):
    """All keys of a match must hold."""
    rule = RouteRule("coder", "telegram", "1", "7", where="f:1")
    assert router(base, rule).route(inbound(thread_id="7")).agent == "coder"
    assert router(base, rule).route(inbound(thread_id="8")).agent == "main"
    assert router(base, rule).route(inbound()).agent == "main"


def test_a_named_agent_wins_over_every_route(base):
    """What the caller names is taken before any rule."""
    assert router(base, RouteRule("coder", "telegram", where="f:1")).route(inbound(agent="main")).agent == "main"


@pytest.mark.parametrize("name", ["nobody", "Main", "../main", ""])
def test_an_agent_that_is_not_served_is_rejected(base, name):
    """A name that is no served agent is refused with the names that are."""
    with pytest.raises(RouteRejectedError, match="served are: main, coder"):
        router(base).route(inbound(agent=name))


def test_an_agent_that_another_gateway_holds_is_rejected_with_the_reason(base):
    """The refusal says why, and how to change it."""
    away = router(base, agents={"main": base.agents["main"]}, not_served={"coder": "stop it with X"})
    with pytest.raises(RouteRejectedError, match="coder is not served: stop it with X"):
        away.route(inbound(agent="coder"))


def test_a_message_without_a_route_is_rejected_when_unmatched_says_so(base):
    """`unmatched: reject` refuses with one sentence that names the chat."""
    strict = router(base, unmatched="reject")
    with pytest.raises(RouteRejectedError, match="no route takes a message of telegram, chat '1'"):
        strict.route(inbound())
    assert strict.explain(inbound()).as_json() == {
        "agent": None,
        "session_key": None,
        "rule": "no route takes a message of telegram, chat '1', and gateway.unmatched is reject",
        "tier": "rejected",
        "rejected": [],
    }


def test_the_reply_goes_to_the_chat_of_the_message(base):
    """`reply_to` is the inbound's own chat."""
    message = inbound(thread_id="7")
    assert router(base).route(message).reply_to is message.chat


def test_explain_says_which_rule_won_and_why_the_others_lost(base):
    """The explanation has the JSON of `route explain`, rules with their place in the file."""
    rules = (
        RouteRule("coder", "discord", where="f:1"),
        RouteRule("coder", "telegram", "1", enabled=False, where="f:2"),
        RouteRule("coder", "telegram", "1", where="f:3"),
        RouteRule("main", "telegram", where="f:4"),
    )
    assert router(base, *rules).explain(inbound()).as_json() == {
        "agent": "coder",
        "session_key": "agent:coder:telegram:dm:1",
        "rule": "f:3: platform=telegram, chat_id=1 -> coder",
        "tier": "chat_id",
        "rejected": [
            {"rule": "f:1: platform=discord -> coder", "reason": "platform is 'telegram', not 'discord'"},
            {"rule": "f:2: platform=telegram, chat_id=1 -> coder", "reason": "it is off (enabled: false)"},
            {
                "rule": "f:4: platform=telegram -> main",
                "reason": "an earlier rule matches: f:3: platform=telegram, chat_id=1 -> coder",
            },
        ],
    }


@pytest.mark.parametrize(
    ("rule", "tier"),
    [
        (RouteRule("coder", "telegram", "1", "7"), "thread_id"),
        (RouteRule("coder", "telegram", "1"), "chat_id"),
        (RouteRule("coder", "telegram"), "platform"),
    ],
)
def test_tier_is_the_most_specific_key_of_the_rule(base, rule, tier):
    """The tier names the key that decided."""
    assert router(base, rule).explain(inbound(thread_id="7")).tier == tier


def test_tier_is_default_when_no_rule_matches(base):
    """Without a rule the default agent takes the message, and the explanation says so."""
    found = router(base, default_agent="coder").explain(inbound())
    assert (found.route.agent, found.tier, found.rule) == ("coder", "default", "default_agent: coder")
