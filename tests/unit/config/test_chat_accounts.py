"""Which accounts of chat platforms a home turns on, and what is wrong with them."""

from __future__ import annotations

import pytest

from tests.support.homes import load, mistakes

MODEL = "model: builtin/offline\n"
TOKEN, OTHER = "111:AAAA-first", "222:BBBB-second"


@pytest.fixture
def home(tmp_path):
    """Return where a home goes."""
    return tmp_path / "home"


def accounts(config):
    """Return each account's platform, name, agent and token."""
    return [(each.platform, each.account_id, each.agent, each.token) for each in config.chat_accounts]


@pytest.mark.parametrize(
    ("text", "files", "environ"),
    [
        (f"platforms: {{telegram: {{enabled: true, token: '{TOKEN}'}}}}", {}, {}),
        (f"platforms: {{Telegram: {{extra: {{token: '{TOKEN}'}}}}}}", {}, {}),
        (f"telegram: {{token: '{TOKEN}'}}", {}, {}),
        ("", {".env": f"TELEGRAM_BOT_TOKEN={TOKEN}\n"}, {}),
        ("", {}, {"TELEGRAM_BOT_TOKEN": TOKEN}),
        ("telegram: {token: '${BOT}'}", {".env": f"BOT={TOKEN}\n"}, {}),
    ],
)
def test_a_bot_is_turned_on_in_all_of_hermes_forms(home, text, files, environ):
    """By its section, its token in `.env`, or the gateway's environment."""
    config = load(home, MODEL + text, files, **environ)
    assert accounts(config) == [("telegram", "default", None, TOKEN)]
    assert TOKEN not in repr(config)


def test_a_bot_that_is_switched_off_is_not_there(home):
    """Although there is a token."""
    config = load(home, MODEL + "platforms: {telegram: {enabled: false}}\n", {".env": f"TELEGRAM_BOT_TOKEN={TOKEN}\n"})
    assert config.chat_accounts == ()


def test_several_bots_and_those_of_profiles(home):
    """Each has a name; a profile's own is its agent's, and takes nothing from the home."""
    config = load(
        home,
        MODEL
        + f"""
agents: {{alice: {{}}, bob: {{}}}}
telegram: {{require_mention: true}}
platforms: {{telegram: {{extra: {{accounts: {{sales: {{token: '{OTHER}', require_mention: false}}}}}}}}}}
""",
        {".env": f"TELEGRAM_BOT_TOKEN={TOKEN}\n", "profiles/alice/.env": "TELEGRAM_BOT_TOKEN=333:CCCC\n"},
    )
    assert accounts(config) == [
        ("telegram", "default", None, TOKEN),
        ("telegram", "sales", None, OTHER),
        ("telegram", "alice", "alice", "333:CCCC"),
    ]
    assert [each.settings["require_mention"] for each in config.chat_accounts] == [True, False, False]


def test_who_may_talk_is_said_by_account_and_by_profile(home):
    """A profile's lists count for its agent alone; the gateway's environment says nothing of that."""
    config = load(
        home,
        MODEL
        + f"""
agents: {{alice: {{}}, bob: {{}}}}
platforms: {{telegram: {{extra: {{allow_from: [0123], accounts: {{sales: {{token: '{OTHER}', allow_from: '*'}}}}}}}}}}
""",
        {
            ".env": f"TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_GROUP_ALLOWED_CHATS=-100,-200\nGATEWAY_ALLOWED_USERS=9\n",
            "profiles/alice/.env": "TELEGRAM_ALLOWED_USERS=5\n",
            "profiles/bob/config.yaml": "telegram: {unauthorized_dm_behavior: ignore}\n",
        },
        TELEGRAM_ALLOW_ALL_USERS="true",
        TELEGRAM_ALLOWED_USERS="666",
    )
    default = config.access["telegram", "default"]
    assert (default.users, default.group_chats, default.pairs) == ({"0123", "9"}, {"-100", "-200"}, False)
    assert config.access["telegram", "sales"].users == {"*", "9"}
    assert config.agent_access["telegram", "alice"].users == {"5"}
    assert ("telegram", "bob") not in config.agent_access


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", True),
        ("telegram: {allow_from: [1]}", False),
        ("unauthorized_dm_behavior: ignore", False),
        ("gateway: {unauthorized_dm_behavior: ignore}", False),
        ("telegram: {allow_from: [1], unauthorized_dm_behavior: pair}", True),
    ],
)
def test_strangers_are_offered_a_code_where_there_is_no_list(home, text, pairs):
    """Unless the config says otherwise."""
    config = load(home, MODEL + text, {".env": f"TELEGRAM_BOT_TOKEN={TOKEN}\n"})
    assert config.access["telegram", "default"].pairs is pairs


def test_bridges_have_a_secret_and_a_platform(home):
    """Whose chats they carry: that one is served, then."""
    secret = "0123456789abcdef"
    config = load(
        home,
        MODEL
        + f"""
routes: [{{match: {{platform: teams}}, agent: main}}, {{match: {{platform: slack}}, agent: main}}]
platforms:
  webhook:
    enabled: true
    extra: {{port: 1, accounts: {{a365: {{secret: {secret}, platform: Teams, callback_urls: ['https://b.example/x']}}}}}}
""",
    )
    assert accounts(config) == [("webhook", "a365", None, secret)]
    assert config.chat_accounts[0].chat_platform == "teams"
    assert config.chat_accounts[0].settings["callback_urls"] == ("https://b.example/x",)
    assert config.access["teams", "a365"].users == {"*"}
    assert config.unserved_platforms == ("slack",)


def test_what_is_not_served_is_a_warning(home):
    """A platform without a secret, and Hermes' own webhook routes."""
    config = load(
        home, MODEL + "platforms:\n  telegram: {enabled: true}\n  webhook: {enabled: true, extra: {routes: {x: {}}}}\n"
    )
    assert config.chat_accounts == ()
    assert [warning.replace(str(home), "HOME") for warning in config.warnings] == [
        (
            "HOME/config.yaml:3: telegram is turned on and has no token, so it is not served;"
            " set TELEGRAM_BOT_TOKEN in HOME/.env, or enabled: false"
        ),
        "HOME/config.yaml:4: platforms.webhook.extra.routes is not served; give the bridge an account instead",
    ]


@pytest.mark.parametrize(
    ("text", "files", "line"),
    [
        ("telegram: {token: nonsense}", {}, "config.yaml:2: telegram.token: is no bot token: digits, a colon, and letters"),
        ("", {".env": "TELEGRAM_BOT_TOKEN=nonsense\n"}, ".env:1: TELEGRAM_BOT_TOKEN: is no bot token"),
        ("telegram: {token: '${NOWHERE}'}", {}, "config.yaml:2: telegram.token: refers to NOWHERE, which is set nowhere"),
        ("telegram: {token: {}}", {}, "config.yaml:2: telegram.token: must be text, found a mapping"),
        ("telegram: {accounts: [1]}", {}, "config.yaml:2: telegram.accounts: must be a mapping, found a list"),
        ("telegram: {enabled: true, accounts: {a b: {}}}", {}, "telegram.accounts.a b: 'a b' can't be an account's name"),
        ("telegram: {enabled: true, accounts: {default: {}}}", {}, "telegram.accounts.default: 'default' can't be"),
        ("telegram: {enabled: true, accounts: {a: {}}}", {}, "telegram.accounts.a: has no token; add one"),
        ("telegram: {enabled: true, accounts: {a: 7}}", {}, "telegram.accounts.a: must be a mapping with a token"),
        (
            "telegram: {enabled: true, accounts: {a: {token: '1:AAAA', reqire_mention: x}}}",
            {},
            "a.reqire_mention: unknown key; did you mean 'require_mention'?",
        ),
        (
            "telegram: {token: '1:AAAA', require_mention: maybe}",
            {},
            "telegram.require_mention: must be true or false, found text",
        ),
        ("telegram: {token: '1:AAAA', allow_from: {a: 1}}", {}, "telegram.allow_from: must be a list, found a mapping"),
        ("telegram: {token: '1:AAAA', base_url: ftp://x}", {}, "telegram.base_url: must be an http or https URL"),
        ("telegram: {token: '1:AAAA', reply_to_mode: never}", {}, "telegram.reply_to_mode: must be first, all or off"),
        (
            "telegram: {token: '1:AAAA', mention_patterns: ['(']}",
            {},
            "mention_patterns: holds what is no regular",
        ),
        (
            "telegram: {token: '1:AAAA', webhook_url: https://x.example/h}",
            {},
            "webhook_url: needs a webhook_secret of 16",
        ),
        ("telegram: {token: '1:AAAA', unauthorized_dm_behavior: shout}", {}, "must be pair or ignore; correct it"),
        ("telegram: {token: '1:AAAA', webhook_port: 99999}", {}, "telegram.webhook_port: must be a whole number up to 65535"),
        ("webhook: {enabled: true, secret: short}", {}, "webhook.secret: is 5 characters long; a secret needs at least 16"),
        (
            "webhook: {enabled: true, secret: 0123456789abcdef, platform: telegram}",
            {},
            "webhook.platform: must be webhook or a platform that has no adapter here",
        ),
        (
            "webhook: {enabled: true, secret: 0123456789abcdef, callback_urls: ['ftp://x/y']}",
            {},
            "webhook.callback_urls: 'ftp://x/y' is no http or https URL",
        ),
    ],
)
def test_each_mistake_is_one_line(home, text, files, line):
    """Where it stands and what to do, never with a secret in it."""
    found = mistakes(home, MODEL + text, files)
    assert len(found) == 1
    assert line in found[0]
    assert "nonsense" not in found[0]


@pytest.mark.parametrize(
    ("text", "files", "second", "first"),
    [
        (
            f"telegram: {{token: '{TOKEN}', accounts: {{b: {{token: '{TOKEN}'}}}}}}",
            {},
            "config.yaml:2: telegram.accounts.b.token",
            "telegram.token (HOME/config.yaml:2)",
        ),
        (
            "agents: {alice: {}}",
            {".env": f"A=1\nTELEGRAM_BOT_TOKEN={TOKEN}\n", "profiles/alice/.env": f"TELEGRAM_BOT_TOKEN={TOKEN}\n"},
            "profiles/alice/.env:1: TELEGRAM_BOT_TOKEN",
            "TELEGRAM_BOT_TOKEN (HOME/.env:2)",
        ),
    ],
)
def test_one_token_twice_is_a_mistake_that_names_both_places(home, text, files, second, first):
    """Two bots can't be one."""
    [line] = mistakes(home, MODEL + text, files)
    assert second in line
    assert f"is the same token as {first}; every account needs one of its own" in line
    assert TOKEN not in line


def test_an_account_and_a_profile_can_not_have_one_name(home):
    """Routes and the ledger know an account by it."""
    files = {"profiles/alice/.env": f"TELEGRAM_BOT_TOKEN={OTHER}\n"}
    [line] = mistakes(
        home, MODEL + f"agents: {{alice: {{}}}}\ntelegram: {{enabled: true, accounts: {{alice: {{token: '{TOKEN}'}}}}}}", files
    )
    assert "there are two telegram accounts called 'alice'; rename the one in accounts" in line
