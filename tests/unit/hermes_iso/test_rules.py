"""Tests of hermes_iso.rules and hermes_iso.route_index: which rule takes a message, against the sentences that define it."""

import dataclasses
import functools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.route_index import RouteIndex
from hermes_iso.rules import KEYS, RouteRule, facts_of, in_order

VALUES = {key: st.none() | st.sampled_from(["a", "b"]) for key in KEYS} | {
    "platform": st.none() | st.sampled_from(["telegram", "slack"]),
    "chat_type": st.none() | st.sampled_from(["dm", "group"]),
}
RULES = st.fixed_dictionaries(VALUES).filter(lambda values: any(values.values()))
MESSAGES = st.fixed_dictionaries(
    {key: st.sampled_from([None, "a", "b"]) for key in KEYS if key not in ("peer", "platform", "chat_type", "chat_id")}
    | {
        "platform": st.sampled_from(["telegram", "slack", "Telegram"]),
        "chat_type": st.sampled_from(["dm", "group"]),
        "chat_id": st.sampled_from(["", "a", "b"]),
    }
)


def make_rule(values, number=0, **more):
    return RouteRule("agent", **{"where": f"f:{number}", **values, **more})


def make_inbound(values):
    user = values.get("user_id")
    return Inbound(ChatRef(**{key: value for key, value in values.items() if key != "user_id"}), "hi", "m", user_id=user)


def takes(rule, message):
    """Say whether a rule takes a message, by the definition of each key."""
    for key in KEYS:
        wanted = getattr(rule, key)
        if wanted is None:
            continue
        found = message.get(key)
        if key == "platform":
            good = wanted == message["platform"].lower()
        elif key == "chat_id":
            good = wanted in (message["chat_id"], message["parent_chat_id"])
        elif key == "peer":
            good = message["chat_type"] == "dm" and wanted == message["user_id"]
        else:
            good = wanted == found
        if not good:
            return False
    return rule.enabled


LEVELS = (
    lambda rule: rule.thread_id,
    lambda rule: rule.chat_id,
    lambda rule: rule.peer or rule.user_id,
    lambda rule: rule.parent_chat_id,
    lambda rule: rule.guild_id and rule.chat_type,
    lambda rule: rule.guild_id or rule.team_id,
    lambda rule: rule.chat_type,
    lambda rule: rule.account_id,
    lambda rule: rule.platform,
)


def reference(routes, bindings, message):
    """Return the rule that wins: the first route, else the binding that no other one beats, else the earliest of equals."""
    for rule in routes:
        if takes(rule, message):
            return rule

    def compare(one, other):
        for level in LEVELS:
            if bool(level(one)) != bool(level(other)):
                return -1 if level(one) else 1
        return bindings.index(one) - bindings.index(other)

    matching = [rule for rule in bindings if takes(rule, message)]
    return min(matching, key=functools.cmp_to_key(compare), default=None)


def rules_of(entries, start):
    return [make_rule(values, start + number, enabled=on) for number, (values, on) in enumerate(entries)]


ENTRIES = st.lists(st.tuples(RULES, st.sampled_from([True, True, True, False])), max_size=8)


@pytest.mark.slow
@given(ENTRIES, ENTRIES, st.lists(MESSAGES, min_size=1, max_size=4))
def test_index_finds_the_rule_that_the_definition_names(routes, bindings, messages):
    """The index and a walk over all rules, written down from the definition, name the same winner."""
    routes, bindings = rules_of(routes, 0), rules_of(bindings, 100)
    ordered = in_order(routes, bindings)
    index = RouteIndex(ordered)
    for message in messages:
        found = index.first(facts_of(make_inbound(message)))
        assert (None if found is None else ordered[found]) is reference(routes, bindings, message)


@pytest.mark.slow
@given(ENTRIES, ENTRIES, MESSAGES)
def test_index_finds_every_rule_that_matches_and_no_reason_against_it(routes, bindings, message):
    """What matches has no reason to lose, what does not has one."""
    ordered = in_order(rules_of(routes, 0), rules_of(bindings, 100))
    facts = facts_of(make_inbound(message))
    matching = RouteIndex(ordered).matching(facts)
    assert matching == [place for place, rule in enumerate(ordered) if takes(rule, message)]
    assert matching == [place for place, rule in enumerate(ordered) if not rule.mismatch(facts)]


@pytest.mark.slow
@given(st.lists(RULES, min_size=1, max_size=8), MESSAGES, st.randoms(use_true_random=False))
def test_a_more_specific_binding_wins_whatever_the_order_of_the_file(entries, message, shuffle):
    """Among bindings of different specificity, shuffling the file changes nothing."""
    rules = list({rule.specificity: rule for rule in rules_of([(values, True) for values in entries], 0)}.values())
    shuffled = list(rules)
    shuffle.shuffle(shuffled)
    winners = []
    for bindings in (rules, shuffled):
        ordered = in_order((), bindings)
        place = RouteIndex(ordered).first(facts_of(make_inbound(message)))
        winners.append(None if place is None else ordered[place])
    assert winners[0] is winners[1]


def test_hermes_numbers_order_rules_as_specificity_does():
    """Guild 2, chat 4, thread 8 in Hermes: the same order here."""
    keys = {"guild_id": 2, "chat_id": 4, "thread_id": 8}
    scored = []
    for bits in range(8):
        named = {key: "x" for place, key in enumerate(keys) if bits >> place & 1}
        scored.append((sum(keys[key] for key in named), make_rule({"platform": "discord", **named})))
    by_hermes = sorted(scored, key=lambda pair: pair[0], reverse=True)
    assert in_order((), [rule for _, rule in random.Random(1).sample(scored, 8)]) == tuple(rule for _, rule in by_hermes)


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"platform": "x", "chat_id": "1"}, {"platform": "x", "peer": "1", "guild_id": "1", "chat_type": "dm"}),
        ({"platform": "x", "peer": "1"}, {"platform": "x", "guild_id": "1", "chat_type": "dm"}),
        ({"platform": "x", "guild_id": "1", "chat_type": "dm"}, {"platform": "x", "guild_id": "1", "account_id": "1"}),
        ({"platform": "x", "guild_id": "1"}, {"platform": "x", "chat_type": "dm"}),
        ({"platform": "x", "team_id": "1"}, {"platform": "x", "chat_type": "dm"}),
        ({"platform": "x", "chat_type": "dm"}, {"platform": "x", "account_id": "1"}),
        ({"platform": "x", "account_id": "1"}, {"platform": "x"}),
        ({"thread_id": "1"}, {"platform": "x", "guild_id": "1", "chat_id": "1"}),
        ({"platform": "x", "user_id": "1"}, {"platform": "x", "parent_chat_id": "1"}),
        ({"platform": "x", "parent_chat_id": "1"}, {"platform": "x", "guild_id": "1", "chat_type": "dm"}),
    ],
)
def test_tiers_are_in_the_promised_order(more, less):
    """Each tier comes before the next."""
    assert make_rule(more).specificity > make_rule(less).specificity


def test_every_field_of_a_rule_that_can_match_is_a_key():
    """A key that is added to the rule is compared, shown and found, or this fails."""
    fields = {field.name for field in dataclasses.fields(RouteRule)} - {"agent", "enabled", "where"}
    assert fields == set(KEYS)
    rule = make_rule(dict.fromkeys(KEYS, "v"))
    assert all(f"{key}=v" in str(rule) for key in KEYS)


@pytest.mark.parametrize(
    ("rule", "message", "reason"),
    [
        ({"platform": "slack"}, {}, "platform is 'telegram', not 'slack'"),
        ({"thread_id": "7"}, {}, "the message has no thread_id; wanted is '7'"),
        ({"chat_id": "9"}, {"parent_chat_id": "p"}, "chat_id is 'c', not '9'"),
        ({"peer": "u"}, {"chat_type": "group", "user_id": "u"}, "the message is no direct message; wanted is peer 'u'"),
        ({"peer": "u"}, {}, "the message has no peer; wanted is 'u'"),
        ({"peer": "u"}, {"user_id": "v"}, "peer is 'v', not 'u'"),
    ],
)
def test_a_mismatch_is_told_in_one_clause(rule, message, reason):
    """The first key that differs is named, with what was found and what was wanted."""
    facts = facts_of(make_inbound({"platform": "telegram", "chat_id": "c", **message}))
    assert make_rule(rule).mismatch(facts) == reason
