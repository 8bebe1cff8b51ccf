"""Rules: deny by default, a deny beats every allow, and what can't be seen is not let through by a rule about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.broker.egress.presets import PRESETS
from hermes_iso.broker.egress.rules import EgressRules, clear_path, parse_rule

HOSTS = ["a.org", "b.org", "x.a.org", "y.x.a.org", "pypi.org", "xa.org"]
TEXTS = ["a.org", "b.org", "*.a.org", "*", "*:443", "*:*", "a.org:443", "a.org:*", "x.a.org:80", "*.x.a.org:8080", "pypi"]
METHODS, PATHS = ["GET", "POST"], ["/", "/v1/a", "/v1/..%2fb", "/v2"]


def rule(text, *, deny=False, **limits):
    """Return a rule."""
    return parse_rule(text, deny=deny, **limits)


LIMITS = [{}, {"methods": ["GET"]}, {"paths": ["/v1/*"]}, {"methods": ["POST", "GET"], "paths": ["/*", "/v2"]}]


def some_rules(deny):
    """Return a strategy for a few rules, some of them about some requests alone."""
    rules = [parse_rule(text, deny=deny, **limits) for text in TEXTS for limits in LIMITS]
    return st.lists(st.sampled_from(rules), max_size=4).map(tuple)


requests = st.tuples(
    st.sampled_from(HOSTS),
    st.sampled_from([80, 443, 8080]),
    st.none() | st.tuples(st.sampled_from(METHODS), st.sampled_from(PATHS)),
)


def ask(rules, request):
    """Return whether a request is allowed."""
    host, port, plain = request
    return rules.decide(host, port, *(plain or ())).allowed


@given(some_rules(False), some_rules(True), some_rules(True), requests)
def test_adding_a_deny_never_allows(allow, deny, more, request):
    """More denies allow a part of what was allowed."""
    assert ask(EgressRules(allow, deny), request) or not ask(EgressRules(allow, deny + more), request)


@given(some_rules(False), some_rules(True), requests, st.randoms(use_true_random=False))
def test_order_does_not_matter(allow, deny, request, random):
    """Neither the order of allows nor that of denies changes what is allowed."""
    before = ask(EgressRules(allow, deny), request)
    allow, deny = list(allow), list(deny)
    random.shuffle(allow)
    random.shuffle(deny)
    assert ask(EgressRules(tuple(allow), tuple(deny)), request) == before


@given(some_rules(False), some_rules(True), st.sampled_from(HOSTS), st.sampled_from([80, 443, 8080]))
def test_deny_of_a_host_beats_the_widest_allow(allow, deny, host, port):
    """Whatever else is written, the host that is denied is not reached, by tunnel or by any request."""
    rules = EgressRules((rule("*:*"), *allow), (*deny, rule(f"{host}:{port}", deny=True)))
    assert not ask(rules, (host, port, None))
    assert not any(ask(rules, (host, port, (method, path))) for method in METHODS for path in PATHS)


@given(some_rules(False), some_rules(True), requests)
def test_tunnel_allows_no_more_than_its_requests(allow, deny, request):
    """Where a tunnel is opened, every request to that host and port would be allowed: it hides which one it is."""
    host, port, _ = request
    rules = EgressRules(allow, deny)
    if ask(rules, (host, port, None)):
        assert all(ask(rules, (host, port, (method, path))) for method in METHODS for path in PATHS)


def test_nothing_is_allowed_by_default():
    """Without an allow there is no way."""
    assert not EgressRules().decide("pypi.org", 443).allowed
    assert not EgressRules((), (rule("a.org", deny=True),)).decide("b.org", 443).allowed


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("a.org", [("a.org", 80), ("a.org", 443)], [("a.org", 8080), ("x.a.org", 443), ("xa.org", 443)]),
        ("A.ORG.:8080", [("a.org", 8080)], [("a.org", 80), ("a.org", 443)]),
        ("a.org:*", [("a.org", 1), ("a.org", 65535)], [("x.a.org", 443)]),
        ("*.a.org:443", [("x.a.org", 443), ("y.x.a.org", 443)], [("a.org", 443), ("xa.org", 443), ("x.a.org", 80)]),
        ("*.a.org", [("x.a.org", 80), ("x.a.org", 443)], [("x.a.org", 22)]),
        ("*", [("a.org", 443), ("b.org", 80)], [("b.org", 22)]),
        ("*:22", [("a.org", 22)], [("a.org", 443)]),
        ("Bücher.example", [("xn--bcher-kva.example", 443)], []),
        ("intranet:8080", [("intranet", 8080)], [("intranet.org", 8080)]),
        ("pypi", [("pypi.org", 443), ("files.pythonhosted.org", 443)], [("pypi.org", 80), ("x.pypi.org", 443)]),
        ("debian", [("deb.debian.org", 80), ("security.debian.org", 443)], [("debian.org", 80)]),
    ],
)
def test_form_of_a_rule_means_these_hosts(text, yes, no):
    """What each form allows, and what is near it and is not."""
    rules = EgressRules((rule(text),))
    assert [each for each in yes if not rules.decide(*each).allowed] == []
    assert [each for each in no if rules.decide(*each).allowed] == []


def test_deny_without_a_port_is_for_every_port():
    """Nobody who denies a host means two ports of it."""
    rules = EgressRules((rule("*:*"),), (rule("a.org", deny=True), rule("*.b.org", deny=True)))
    assert not rules.decide("a.org", 8080).allowed
    assert not rules.decide("x.b.org", 22).allowed
    assert rules.decide("b.org", 22).allowed


def test_limited_allow_opens_no_tunnel():
    """Methods and paths are seen in plain requests; a tunnel hides them, and the verdict says so."""
    rules = EgressRules((rule("a.org", methods=["get"], paths=["/v1/*", "/status"]),))
    assert rules.decide("a.org", 80, "GET", "/v1/x?q=/other").allowed
    assert rules.decide("a.org", 80, "GET", "/status").allowed
    for method, path in (("POST", "/v1/x"), ("GET", "/v1"), ("GET", "/v2?/v1/x"), ("GET", "/status/"), ("HEAD", "/v1/x")):
        assert not rules.decide("a.org", 80, method, path).allowed, path
    refused = rules.decide("a.org", 443)
    assert not refused.allowed
    assert refused.told.endswith("allows GET /v1/* /status alone, in plain HTTP; a tunnel hides what is asked")


TWO_READINGS = [
    *(
        "/v1/../admin",
        "/v1/..%2fadmin",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/..;x/admin",
        "/v1/..\\admin",
        "/v1/%5cadmin",
    ),
    *("/v1//admin", "/v1/./x", "/v1/%252e%252e/x", "/v1/x%00", "/v1/..", "/v1/%0a"),
]


@pytest.mark.parametrize("path", TWO_READINGS)
def test_path_that_can_be_read_in_two_ways_is_never_allowed_by_path(path):
    """An allow by path does not take it, and a deny by any path does."""
    assert clear_path(path) is None
    assert not EgressRules((rule("a.org", paths=["/v1/*"]),)).decide("a.org", 80, "GET", path).allowed
    assert not EgressRules((rule("a.org"),), (rule("a.org", deny=True, paths=["/z"]),)).decide("a.org", 80, "GET", path).allowed
    assert EgressRules((rule("a.org"),)).decide("a.org", 80, "GET", path).allowed


def test_deny_by_path_is_not_evaded_by_another_spelling():
    """What is percent-encoded is compared as what it stands for."""
    rules = EgressRules((rule("a.org"),), (rule("a.org", deny=True, paths=["/admin*"]),))
    assert not rules.decide("a.org", 80, "GET", "/%61dmin/x").allowed
    assert rules.decide("a.org", 80, "GET", "/public").allowed
    assert not rules.decide("a.org", 443).allowed


@pytest.mark.parametrize(
    "text", ["", "a b", "http://a.org", "a.org:", "a.org:x", "a.org:0", "a*.org", "*a.org", "**", "*.*", "*."]
)
def test_wrong_rule_is_a_sentence(text):
    """A rule that is none raises ValueError with what is wrong."""
    with pytest.raises(ValueError, match=r"is no|in the middle|address of the web"):
        parse_rule(text)


@pytest.mark.parametrize("text", ["pipy", "localhost", "example"])
def test_word_that_is_no_preset_is_not_taken_for_a_host(text):
    """A misspelt preset would otherwise be a host that nobody ever reaches."""
    with pytest.raises(ValueError, match="is neither a preset"):
        parse_rule(text)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_rules(name):
    """Every host of a preset is a host with a port, and one that this preset allows."""
    rules = EgressRules((rule(name),))
    for text in PRESETS[name]:
        host, _, port = text.partition(":")
        assert rules.decide(host, int(port)).allowed
