"""Every format in which a config says who gets which messages, as the rules that it becomes."""

# ruff: noqa: E501  a mistake and its line stand side by side

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.config.problems import ProblemList
from hermes_iso.config.routes import read_rules
from hermes_iso.config.ties import TOLD, ties
from hermes_iso.config.yaml_text import parse_document
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.routing import Router
from hermes_iso.rules import RouteRule
from tests.support.homes import load, mistakes

HEAD = "model: builtin/offline\nagents: {coder: {}, fam: {}}\n"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def rules(home, config):
    """Return a config's rules without their places: (routes, bindings)."""
    found = load(home, HEAD + config + "\n")
    return tuple([(rule.agent, rule.match) for rule in part] for part in (found.routes, found.bindings))


ALL_KEYS = {
    "platform": "telegram",
    "account_id": "a",
    "guild_id": "g",
    "team_id": "t",
    "chat_type": "group",
    "chat_id": "-100123",
    "parent_chat_id": "0123",
    "thread_id": "1e5",
    "user_id": "0x1F",
}


@pytest.mark.parametrize(
    ("config", "routes", "bindings"),
    [
        (
            "routes: [{match: {platform: TeleGram, account_id: a, guild_id: g, team_id: t, chat_type: Group, chat_id: -100123, parent_chat_id: 0123, thread_id: 1e5, user_id: 0x1F}, agent: CODER}]",
            [("coder", ALL_KEYS)],
            [],
        ),
        ("bindings: [{agent: coder, telegram: -100}]", [], [("coder", {"platform": "telegram", "chat_id": "-100"})]),
        ('bindings: [{agent: fam, WhatsApp: "*"}]', [], [("fam", {"platform": "whatsapp"})]),
        (
            "bindings: [{agent: coder, match: {platform: slack, team_id: T1}}, {agent: fam, match: {platform: slack, peer: 0o7_0}}]",
            [],
            [("coder", {"platform": "slack", "team_id": "T1"}), ("fam", {"platform": "slack", "peer": "0o7_0"})],
        ),
        (
            "profile_routes: [{name: x, platform: Discord, guild_id: 1, chat_id: 2, thread_id: 3, profile: coder}]",
            [],
            [("coder", {"platform": "discord", "guild_id": "1", "chat_id": "2", "thread_id": "3"})],
        ),
        (
            "gateway: {profile_routes: [{platform: discord, profile: default}]}",
            [],
            [("main", {"platform": "discord"})],
        ),
        (
            "gateway: {profile_routes: {telegram: {-100: {6: coder, '7': fam}, 0200: fam}, slack: coder}}",
            [],
            [
                ("coder", {"platform": "telegram", "chat_id": "-100", "thread_id": "6"}),
                ("fam", {"platform": "telegram", "chat_id": "-100", "thread_id": "7"}),
                ("fam", {"platform": "telegram", "chat_id": "0200"}),
                ("coder", {"platform": "slack"}),
            ],
        ),
        (
            'telegram: {topic_profiles: {"-100:6": coder}}\nmatrix: {topic_profiles: {"!r:server.org:9": fam}}',
            [],
            [
                ("coder", {"platform": "telegram", "chat_id": "-100", "thread_id": "6"}),
                ("fam", {"platform": "matrix", "chat_id": "!r:server.org", "thread_id": "9"}),
            ],
        ),
        (
            "telegram: {topic_profiles: {-100:6: coder}}\nprofile_routes: [{platform: slack, profile: fam}]\nbindings: [{agent: main, irc: x}]",
            [],
            [
                ("main", {"platform": "irc", "chat_id": "x"}),
                ("coder", {"platform": "telegram", "chat_id": "-100", "thread_id": "6"}),
                ("fam", {"platform": "slack"}),
            ],
        ),
        (
            'platforms: {telegram: {topic_profiles: {-100:2: coder}}, Slack: {extra: {topic_profiles: {"3:4": fam}}}}',
            [],
            [
                ("coder", {"platform": "telegram", "chat_id": "-100", "thread_id": "2"}),
                ("fam", {"platform": "slack", "chat_id": "3", "thread_id": "4"}),
            ],
        ),
        ("profile_routes: []\ntelegram:\nbindings:\nroutes:\ngateway: {profile_routes: {}}", [], []),
    ],
)
def test_a_format_becomes_rules(home, config, routes, bindings):
    """Ids are the text in the file, platforms in lower case, agents by their id, and bindings come before Hermes' forms."""
    found = rules(home, config)
    assert [(agent, sorted(keys.items())) for agent, keys in found[0]] == [
        (agent, sorted(keys.items())) for agent, keys in routes
    ]
    assert [(agent, sorted(keys.items())) for agent, keys in found[1]] == [
        (agent, sorted(keys.items())) for agent, keys in bindings
    ]


def test_every_rule_knows_its_line(home):
    """A rule is named by file and line, in every format."""
    config = load(
        home,
        """\
        agents: {coder: {}}
        model: builtin/offline
        routes:
          - agent: coder
            match: {platform: telegram}
        bindings:
          - agent: coder
            telegram: "1"
        gateway:
          profile_routes:
            telegram:
              "2":
                "3": coder
        telegram:
          topic_profiles:
            "4:5": coder
        """,
    )
    assert [rule.where.rpartition(":")[2] for rule in (*config.routes, *config.bindings)] == ["4", "7", "13", "16"]
    assert str(config.bindings[0]) == f"{home}/config.yaml:7: platform=telegram, chat_id=1 -> coder"


@pytest.mark.parametrize(
    "entry",
    [
        "routes: [{match: {platform: slack}, agent: coder, enabled: 'false'}]",
        "bindings: [{agent: coder, slack: '*', enabled: 'off'}]",
        "profile_routes: [{platform: slack, profile: coder, enabled: 'no'}]",
        "routes: [{match: {platform: slack}, agent: coder, enabled: 0}]",
    ],
)
def test_a_rule_that_is_off_takes_nothing(home, entry):
    """`enabled` is read as Hermes reads words for switches."""
    router = Router(load(home, HEAD + entry + "\n"))
    assert router.route(Inbound(ChatRef("slack", "1"), "hi", "m")).agent == "main"


def test_profile_routes_count_without_multiplex_profiles_and_serve_their_agents(home):
    """The switch is about who is served; a profile that a rule names is served anyhow."""
    config = load(
        home,
        "model: builtin/offline\nmultiplex_profiles: false\nprofile_routes: [{platform: slack, profile: alpha}]\n",
        {"profiles/alpha/": "", "profiles/beta/": ""},
    )
    assert list(config.agents) == ["main", "alpha"]
    assert Router(config).route(Inbound(ChatRef("slack", "1"), "hi", "m")).agent == "alpha"


def test_the_profile_routes_at_top_level_come_first(home):
    """As in Hermes; what then does not count is a warning."""
    config = load(
        home,
        HEAD
        + "profile_routes: [{platform: slack, profile: coder}]\ngateway: {profile_routes: [{platform: irc, profile: coder}]}\n",
    )
    assert [rule.platform for rule in config.bindings] == ["slack"]
    assert config.warnings == (
        f"{home}/config.yaml:4: gateway.profile_routes does not count, because profile_routes at top level does",
    )


def test_platforms_without_an_adapter_are_listed_once(home):
    """However many rules name one, and whether it is enabled as well or not."""
    config = load(
        home,
        HEAD + "bindings: [{agent: coder, slack: a}, {agent: coder, slack: b}, {agent: fam, api_server: c}]\n"
        "platforms: {slack: {enabled: true}, irc: {enabled: true}}\n",
    )
    assert config.unserved_platforms == ("irc", "slack")


def test_a_chat_type_that_nobody_knows_is_a_warning(home):
    """It may be a new platform's, and it may be a slip."""
    config = load(home, HEAD + "routes: [{match: {chat_type: gruop}, agent: coder}]\n")
    assert config.warnings == (
        f"{home}/config.yaml:3: routes[0].match.chat_type: no adapter is known for chats of type 'gruop'; did you mean 'group'?",
    )


def test_dm_scope_and_unmatched_reach_the_config(home):
    """And are per-chat and default when nothing is said."""
    config = load(home, HEAD + "gateway: {dm_scope: per-peer, unmatched: reject}\n")
    assert (config.dm_scope, config.unmatched) == ("per-peer", "reject")
    assert (load(home, HEAD).dm_scope, load(home, HEAD).unmatched) == ("per-chat", "default")


EMPTY = "must not be empty; write an id, or remove it"
ANY = "is no id; to match any, leave this key out"


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        ("bindings: {}", ["bindings: must be a list, found a mapping; correct it"]),
        ("bindings: [x]", ["bindings[0]: must be a mapping, found text; correct it"]),
        (
            "bindings: [{agent: coder}]",
            ["bindings[0]: would take every message; name a platform or a match, or set default_agent"],
        ),
        (
            "bindings: [{agent: coder, match: {}}]",
            ["bindings[0]: would take every message; name a platform or a match, or set default_agent"],
        ),
        ("bindings: [{telegram: x}]", ["bindings[0].agent: is missing; add it"]),
        ("bindings: [{agent: coder, telegram: 1, slack: 2}]", ["bindings[0].slack: is one match too many; write a binding for each"]),
        (
            "bindings: [{agent: coder, telegram: 1, match: {chat_id: 2}}]",
            ["bindings[0].telegram: is one match too many; write a binding for each"],
        ),
        ("bindings: [{agent: coder, telegram: ''}]", [f"bindings[0].telegram: {EMPTY}"]),
        ("bindings: [{agent: coder, telegram: }]", [f"bindings[0].telegram: {EMPTY}"]),
        ("bindings: [{agent: coder, telegram: [1]}]", ['bindings[0].telegram: must be a chat id or "*", found a list; correct it']),
        ("bindings: [{agent: nobody, telegram: 1}]", ["bindings[0].agent: there is no agent 'nobody'; make it: mkdir -p HOME/profiles/nobody, or add it to agents:"]),
        ("bindings: [{agent: ../../etc, telegram: 1}]", ["bindings[0].agent: there is no agent '../../etc'; there are: main, coder, fam"]),
        ("bindings: [{agent: default, telegram: 1}]", ["bindings[0].agent: there is no agent 'default'; the root home's agent is called 'main'"]),
        ("bindings: [{agent: coder, match: {platfrm: telegram, chat_id: 1}}]", ["bindings[0].match.platfrm: unknown key; did you mean 'platform'?"]),
        ("bindings: [{agent: coder, match: {chat_id: '*'}}]", [f"bindings[0].match.chat_id: {ANY}"]),
        ("bindings: [{agent: coder, match: telegram}]", ["bindings[0].match: must be a mapping, found text; correct it"]),
        ("routes: [{agent: coder, match: {thread_id: }}]", [f"routes[0].match.thread_id: {EMPTY}"]),
        ("routes: [{agent: coder, match: {thread_id: ~}}]", [f"routes[0].match.thread_id: {EMPTY}"]),
        ("routes: [{agent: coder, match: {user_id: ' '}}]", [f"routes[0].match.user_id: {EMPTY}"]),
        (
            "routes: [{agent: nobody, match: {platform: telegramm}}]",
            [
                "routes[0].agent: there is no agent 'nobody'; make it: mkdir -p HOME/profiles/nobody, or add it to agents:",
                "routes[0].match.platform: unknown platform 'telegramm'; did you mean 'telegram'?",
            ],
        ),
        (
            "routes: [{agent: coder, match: {chat_type: Group, peer: x}}]",
            ["routes[0].match.peer: is the user of a direct message, and chat_type says another one; write user_id"],
        ),
        ("profile_routes: 5", ["profile_routes: must be a list of routes, found a number; correct it"]),
        ("profile_routes: [5]", ["profile_routes[0]: must be a mapping, found a number; correct it"]),
        (
            "profile_routes: [{chat_id: 1}]",
            ["profile_routes[0].platform: is missing; add it", "profile_routes[0].profile: is missing; add it"],
        ),
        (
            "gateway: {profile_routes: [{platform: slack, profile: coder, chatid: 1}]}",
            ["gateway.profile_routes[0].chatid: unknown key; did you mean 'chat_id'?"],
        ),
        (
            "profile_routes: [{platform: slack, profile: coder, user_id: 1}]",
            ["profile_routes[0].user_id: unknown key; possible: chat_id, enabled, guild_id, name, platform, profile, thread_id"],
        ),
        ("profile_routes: [{platform: slack, profile: ../x}]", ["profile_routes[0].profile: there is no agent '../x'; there are: main, coder, fam"]),
        ("profile_routes: [{platform: slack, profile: coder, guild_id: ''}]", [f"profile_routes[0].guild_id: {EMPTY}"]),
        ("profile_routes: {slck: {1: coder}}", ["profile_routes.slck: unknown platform 'slck'; did you mean 'slack'?"]),
        ("profile_routes: {slack: {1: {2: {3: coder}}}}", ["profile_routes.slack.1.2: must be the name of a profile, found a mapping; correct it"]),
        ("profile_routes: {slack: {1: {2: }}}", ["profile_routes.slack.1.2: must be the name of a profile, found nothing; correct it"]),
        ("profile_routes: {slack: {'*': coder}}", [f"profile_routes.slack.*: {ANY}"]),
        ("telegram: {topic_profiles: [1]}", ["telegram.topic_profiles: must be a mapping of chat:thread to profile, found a list; correct it"]),
        ("platforms: 5", ["platforms: must be a mapping, found a number; correct it"]),
        ("telegram: {topic_profiles: {'-100': coder}}", ['telegram.topic_profiles.-100: must be a chat and its thread with a colon between, such as "-100123:7"']),
        ("telegram: {topic_profiles: {'1:2': nobody}}", ["telegram.topic_profiles.1:2: there is no agent 'nobody'; make it: mkdir -p HOME/profiles/nobody, or add it to agents:"]),
        ("bindings: [{agent: coder, chat_id: 5, slack: x}]", ["bindings[0].chat_id: unknown key; it belongs below match:"]),
        ("gateway: {dm_scope: all}", ["gateway.dm_scope: must be 'per-chat', 'per-peer' or 'main', found 'all'"]),
        (
            "gateway: {serve: [main]}\nbindings: [{agent: coder, slack: x}]",
            ["bindings[0].agent: agent coder is not in gateway.serve; add it there"],
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_rule_has_its_line(home, config, lines):
    """One line for each mistake, in every format, and no other."""
    number = 3 + config.count("\n")
    assert mistakes(home, HEAD + config + "\n") == [f"HOME/config.yaml:{number}: {line}" for line in lines]


def test_a_mistake_in_a_shorthand_suggests_a_platform(home):
    """The key may be a platform's name or one of a binding's own."""
    [line] = mistakes(home, HEAD + "bindings: [{agent: coder, telegrm: 1, match: {chat_id: 1}}]\n")
    assert line == "HOME/config.yaml:3: bindings[0].telegrm: unknown key; did you mean 'telegram'?"


def tie(*entries):
    """Return the places of rules that tie, each with the first that it ties with."""
    made = [RouteRule("a", **{"platform": "slack", **entry}, where=str(number)) for number, entry in enumerate(entries)]
    return [(int(first.where), int(later.where)) for first, later in ties(made)]


def test_rules_that_only_their_order_tells_apart_are_ties():
    """The same values, or different keys of one tier that one message can have together."""
    assert tie({"chat_id": "1"}, {"chat_id": "2"}, {"chat_id": "1"}) == [(0, 2)]
    assert tie({"user_id": "u"}, {"peer": "v"}, {"peer": "u"}) == [(0, 2)]
    assert tie({"guild_id": "g"}, {"team_id": "t"}) == [(0, 1)]
    assert tie({"guild_id": "g"}, {"team_id": "t", "platform": "irc"}) == []
    assert tie({"chat_id": "1"}, {"chat_id": "1", "thread_id": "2"}, {"chat_id": "1", "enabled": False}) == []


def test_config_warns_of_ties(home):
    """Each is named with its line and the one that counts; many are told as a number."""
    config = load(
        home, HEAD + "bindings: [{agent: coder, slack: x}]\nprofile_routes: [{platform: slack, chat_id: x, profile: fam}]\n"
    )
    assert config.warnings == (
        f"{home}/config.yaml:4: platform=slack, chat_id=x -> fam is as specific as {home}/config.yaml:3: platform=slack, chat_id=x -> coder; where both match, the latter counts because it comes first",
    )
    many = ", ".join(["{agent: coder, slack: x}"] * (TOLD + 3))
    warnings = load(home, HEAD + f"bindings: [{many}]\n").warnings
    assert warnings[-1] == "2 more rules are as specific as an earlier one that could match the same message"


@pytest.mark.slow
def test_a_config_may_have_many_routes(home):
    """Ten thousand are read, and the last one counts."""
    entries = "".join(f"- {{agent: coder, match: {{platform: slack, chat_id: c{number}}}}}\n" for number in range(10_000))
    router = Router(load(home, HEAD + "routes:\n" + entries))
    assert router.route(Inbound(ChatRef("slack", "c9999"), "hi", "m")).agent == "coder"
    assert router.route(Inbound(ChatRef("slack", "c10000"), "hi", "m")).agent == "main"


@pytest.mark.slow
def test_mistakes_in_many_routes_take_no_longer_than_they_are_many(home):
    """A slip in each of two thousand entries is two thousand lines."""
    entries = "".join("- {agent: coder, match: {platform: slack}, enable: no}\n" for _ in range(2_000))
    assert len(mistakes(home, HEAD + "routes:\n" + entries)) == 2_000


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "*", "coder", "telegram", "1:2", "x"])
KEYS = st.sampled_from(
    ["agent", "match", "telegram", "platform", "chat_id", "profile", "enabled", "1", "-100:7", "extra", "topic_profiles"]
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@pytest.mark.slow
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_whatever_stands_there_is_rules_or_mistakes(routes, bindings, profile_routes, platforms):
    """No shape of data makes the reader fail, and what it lets through is whole."""
    data = {
        "routes": routes,
        "bindings": bindings,
        "profile_routes": profile_routes,
        "platforms": platforms,
        "telegram": platforms,
    }
    problems = ProblemList()
    found = read_rules(parse_document(yaml.safe_dump(data), "f.yaml", problems=problems), problems)
    assert problems.problems or all(rule.rule.match for rule in found.all)
    assert all(problem.message and problem.line >= 1 for problem in problems.problems)
