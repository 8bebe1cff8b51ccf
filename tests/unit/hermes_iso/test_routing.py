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


def test_chats_with_two_accounts_are_different_sessions_of_one_text(base):
    """A person has one id for all bots of a platform, so the id of a direct chat says nothing of the bot."""
    router = Router(base)
    one, two = (router.route(Inbound(ChatRef("telegram", "7", account_id=name), "hi", "1")) for name in ("sales", "help"))
    assert one.session_key == two.session_key
    assert one.session != two.session


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


def test_peers_and_all_direct_chats_can_share_a_session(base):
    """`dm_scope` puts direct chats of one user, or of everybody, together; groups never."""
    one, other = inbound(chat_id="1", user_id="u"), inbound(chat_id="2", thread_id="7", user_id="u")
    stranger, group = inbound(chat_id="3", user_id="v"), inbound(chat_id="1", chat_type="group", user_id="u")
    peers, everybody = router(base, dm_scope="per-peer"), router(base, dm_scope="main")
    assert peers.route(one).session_key == "agent:main:dm:u"
    assert peers.route(one).session == peers.route(other).session != peers.route(stranger).session
    assert everybody.route(one).session_key == "agent:main:main"
    assert everybody.route(one).session == everybody.route(stranger).session
    assert everybody.route(inbound(agent="coder")).session_key == "agent:coder:main"
    for scoped in (peers, everybody):
        assert scoped.route(group) == router(base).route(group)


def test_a_direct_message_without_a_user_keeps_its_chat(base):
    """Who nobody knows shares a session with nobody."""
    peers = router(base, dm_scope="per-peer")
    assert peers.route(inbound(chat_id="1")) == router(base).route(inbound(chat_id="1"))


def test_users_of_two_platforms_whose_ids_agree_are_two_peers(base):
    """An id names a person on its platform only: the text agrees, the session does not."""
    peers = router(base, dm_scope="per-peer")
    one, other = (peers.route(inbound(platform, user_id="42")) for platform in ("telegram", "discord"))
    assert one.session_key == other.session_key
    assert one.session != other.session


SCOPES = ("per-chat", "per-peer")


@given(st.sampled_from(SCOPES), *[st.tuples(st.sampled_from(["telegram", "whatsapp"]), IDS, IDS, IDS, IDS)] * 2)
def test_different_people_never_share_a_direct_session_unless_all_do(base, scope, one, other):
    """Whatever ids hold: two messages of one session come from one chat, or with `per-peer` from one user of one platform."""
    found = [
        router(base, dm_scope=scope).route(inbound(platform, chat, thread_id=thread, user_id=user, namespace=namespace)).session
        for platform, chat, thread, user, namespace in (one, other)
    ]
    if found[0] == found[1]:
        same_chat = one[:3] == other[:3]
        same_peer = (one[0], one[3]) == (other[0], other[3]) and one[3] != ""
        assert one[4] == other[4]
        assert same_chat or (scope == "per-peer" and same_peer)


@given(IDS, IDS, st.sampled_from(["dm", "group", "dm per peer", "dm of all"]))
def test_a_scope_never_meets_a_chat_of_another_type(base, chat, user, chat_type):
    """Not even a platform whose chat type were called like a scope could reach into it."""
    apart = router(base, group_sessions_per_user=False)
    scoped = [router(base, dm_scope=scope).route(inbound(chat_id=chat, user_id=user)) for scope in ("per-peer", "main")]
    other = apart.route(inbound(chat_id=chat or "x", user_id=user, chat_type=chat_type))
    assert chat_type == "dm" or other.session not in [each.session for each in scoped]


def test_a_rule_may_take_a_message_by_its_user(base):
    """A peer is the user of a direct message; a user is one anywhere."""
    rules = (RouteRule("coder", peer="u", where="f:1"),)
    assert router(base, bindings=rules).route(inbound(user_id="u")).agent == "coder"
    assert router(base, bindings=rules).route(inbound(user_id="u", chat_type="group")).agent == "main"
    assert router(base, RouteRule("coder", user_id="u")).route(inbound(user_id="u", chat_type="group")).agent == "coder"


def test_explain_tells_why_a_rule_that_matches_lost(base):
    """Routes come before bindings, the more specific before the others, and equal ones in order."""
    route = RouteRule("coder", "telegram", thread_id="7", where="r:1")
    bindings = (
        RouteRule("main", "telegram", where="b:1"),
        RouteRule("main", "telegram", "1", where="b:2"),
        RouteRule("coder", "telegram", "1", where="b:3"),
    )
    found = router(base, route, bindings=bindings)
    threaded = found.explain(inbound(thread_id="7"))
    assert (threaded.rule, threaded.tier) == ("r:1: platform=telegram, thread_id=7 -> coder", "thread_id")
    assert {reason.partition(":")[0] for _, reason in threaded.lost} == {"routes come before bindings"}
    plain = found.explain(inbound())
    assert (plain.rule, plain.tier) == ("b:2: platform=telegram, chat_id=1 -> main", "chat_id")
    assert plain.lost == (
        (str(route), "the message has no thread_id; wanted is '7'"),
        (str(bindings[2]), f"a rule that is as specific comes earlier: {bindings[1]}"),
        (str(bindings[0]), f"a more specific rule matches: {bindings[1]}"),
    )


def test_explain_of_few_tells_what_matches_first_and_how_many_are_left_out(base):
    """A bound keeps the rules that could have won."""
    rules = [RouteRule("main", "telegram", str(number), where=f"f:{number}") for number in range(50)]
    rules += [RouteRule("coder", "telegram", where="f:50"), RouteRule("coder", chat_type="dm", where="f:51")]
    found = router(base, *rules).explain(inbound(chat_id="x"), 3)
    assert (found.rule, found.left_out) == (str(rules[50]), 48)
    assert [rule for rule, _ in found.lost] == [str(rules[0]), str(rules[1]), str(rules[51])]
    assert found.as_json()["rejected_left_out"] == 48
    assert len(router(base, *rules).explain(inbound(chat_id="x")).lost) == 51


def test_a_rule_to_an_agent_that_is_not_served_rejects(base):
    """It is not passed on to the next rule or the default: that would be somebody else's agent."""
    away = router(
        base, RouteRule("coder", "telegram"), agents={"main": base.agents["main"]}, not_served={"coder": "it is held"}
    )
    with pytest.raises(RouteRejectedError, match="coder is not served: it is held"):
        away.route(inbound())
    assert away.explain(inbound()).tier == "rejected"


NAMED = st.fixed_dictionaries(
    {}, optional={"platform": st.sampled_from(["telegram", "irc"]), "chat_id": IDS.filter(bool), "user_id": IDS.filter(bool)}
)
ENTRIES = st.lists(st.tuples(st.sampled_from(["main", "coder", "gone"]), NAMED.filter(bool)), max_size=6)


@pytest.mark.slow
@given(ENTRIES, ENTRIES, IDS, IDS, st.sampled_from(["default", "reject"]), st.integers(0, 12))
def test_explain_names_the_winner_that_route_takes(base, routes, bindings, chat, user, unmatched, most):
    """The explanation and the decision never differ, and every other rule is accounted for."""
    rules = [
        [RouteRule(agent, **keys, where=f"f:{place}") for place, (agent, keys) in enumerate(part)]
        for part in (routes, bindings)
    ]
    found = router(base, *rules[0], bindings=tuple(rules[1]), unmatched=unmatched)
    message = inbound(chat_id=chat, user_id=user)
    explained, bounded = found.explain(message), found.explain(message, most)
    assert (explained.route, explained.rule, explained.tier) == (bounded.route, bounded.rule, bounded.tier)
    if explained.route is None:
        with pytest.raises(RouteRejectedError) as refused:
            found.route(message)
        assert str(refused.value) == explained.rule
    else:
        assert found.route(message) == explained.route
    won = found.decide(message).place is not None
    assert len(explained.lost) + won == len(rules[0]) + len(rules[1])
    assert len(bounded.lost) == min(most, len(explained.lost))
    assert len(bounded.lost) + bounded.left_out == len(explained.lost)
    assert all(reason for _, reason in explained.lost)
