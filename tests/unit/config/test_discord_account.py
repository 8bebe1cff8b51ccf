"""Discord's bots in a config."""

from __future__ import annotations

import pytest

from tests.support.homes import load, mistakes

MODEL = "model: builtin/offline\n"

TOKEN = "MTEx.Gabc.def-ghi"


def test_a_token_in_the_env_file_is_a_bot(tmp_path):
    """With Hermes' defaults; lists and roles of the `.env` count."""
    env = f"DISCORD_BOT_TOKEN={TOKEN}\nDISCORD_ALLOWED_USERS=7\nDISCORD_ALLOWED_ROLES=9\nDISCORD_ALLOWED_CHANNELS=5,6\n"
    config = load(tmp_path / "home", MODEL + "discord: {require_mention: false}\n", {".env": env})
    (account,) = config.chat_accounts
    rules = config.access["discord", "default"]
    assert (account.platform, account.account_id, account.token) == ("discord", "default", TOKEN)
    assert (rules.users, rules.roles, rules.pairs) == ({"7"}, {"9"}, False)
    settings = account.settings
    assert (settings["require_mention"], settings["auto_thread"], settings["allowed_channels"]) == (False, True, {"5", "6"})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("discord: {token: 'a b'}", "discord.token: is no bot token"),
        ("discord: {token: abc, base_url: 'http://127.0.0.1:1'}", "discord.base_url: needs the other one of"),
        (
            "discord: {token: abc, base_url: 'http://x', gateway_url: 'http://x'}",
            "discord.gateway_url: must be a ws or wss URL",
        ),
        ("discord: {token: abc, reply_to_mode: never}", "discord.reply_to_mode: must be first, all or off"),
        ("discord: {token: abc, auto_thread: maybe}", "discord.auto_thread: must be true or false"),
        ("discord: {token: abc, accounts: {b: {token: def, auto_tread: no}}}", "auto_tread: unknown key; did you mean"),
        ("discord: {token: abc, accounts: {b: {token: abc}}}", "is the same token as"),
    ],
)
def test_each_mistake_is_one_line(tmp_path, text, line):
    """Where it stands and what to do."""
    (found,) = mistakes(tmp_path / "home", MODEL + text)
    assert line in found
