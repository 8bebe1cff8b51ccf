"""Several bots of one gateway: every message is answered once, in order, by the right agent, whatever goes wrong on the way."""

from __future__ import annotations

import time

import pytest

from tests.servers.telegram_server import telegram_thread
from tests.support.gateways import KEY, hermes_iso, running_gateway

BOTS = {"default": "111:AAAA", "sales": "222:BBBB", "alice": "333:CCCC"}
AGENTS = {"default": "main", "sales": "coder", "alice": "alice"}
MESSAGES = 5
CHATS = {chat: name for first, name in ((11, "default"), (21, "sales"), (31, "alice")) for chat in range(first, first + 4)}

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def write_home(home, base_url):
    """Write a home with a bot of its own, one that a route gives to an agent, and one of a profile's."""
    (home / "profiles" / "alice").mkdir(parents=True)
    (home / "config.yaml").write_text(
        f"""\
model: builtin/offline
agents: {{coder: {{}}, alice: {{}}}}
routes: [{{match: {{platform: telegram, account_id: sales}}, agent: coder}}]
platforms:
  api_server: {{enabled: true, extra: {{port: 0, key: {KEY}}}}}
  telegram:
    enabled: true
    extra: {{base_url: "{base_url}", allow_from: ["*"], accounts: {{sales: {{token: "{BOTS["sales"]}"}}}}}}
"""
    )
    (home / ".env").write_text(f"TELEGRAM_BOT_TOKEN={BOTS['default']}\n")
    alice = f"telegram: {{base_url: '{base_url}', allow_from: [32, 33, 34], unauthorized_dm_behavior: pair}}\n"
    (home / "profiles" / "alice" / "config.yaml").write_text(alice)
    (home / "profiles" / "alice" / ".env").write_text(f"TELEGRAM_BOT_TOKEN={BOTS['alice']}\n")


def wait_for(condition, timeout=60):
    """Wait until something is so."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def test_every_message_is_answered_once_in_order_by_the_right_agent(tmp_path):
    """With 429s, cut connections, errors and duplicated updates; a stranger is let in by a code."""
    home = tmp_path / "home"
    with telegram_thread() as server:
        write_home(home, server.base_url)
        with running_gateway("--home", str(home)) as gateway:
            assert gateway.ready.strip().endswith("chats=telegram:default,telegram:sales,telegram:alice")
            server.call(server.world.say, BOTS["alice"], 31, "let me in")
            wait_for(lambda: server.world.texts(31))
            code = server.world.texts(31)[0].partition("pairing code is ")[2][:8]
            said = hermes_iso("chat", "--home", str(home), "--agent", "alice", "-q", f"/pairing approve telegram {code}")
            assert "telegram:31 may talk to agent alice" in said.stdout
            for kind, method, options in (
                ("429", "sendMessage", {"value": 1, "token": BOTS["sales"]}),
                ("502", "editMessageText", {"times": 2}),
                ("cut", "getUpdates", {"times": 1}),
                ("duplicate", "getUpdates", {"times": 3}),
                ("reorder", "getUpdates", {"times": 2}),
            ):
                server.call(server.fault, kind, method, **options)
            for number in range(MESSAGES):
                for chat, name in CHATS.items():
                    server.call(server.world.say, BOTS[name], chat, f"message {number} of {chat}")

            def answers(chat):
                return [text for text in server.call(server.world.texts, chat) if "message" in text]

            wait_for(lambda: all(len(answers(chat)) >= MESSAGES and "of" in answers(chat)[-1] for chat in CHATS), 100)
            time.sleep(1.5)  # a last edit, or an answer too many, would come now
            for chat, name in CHATS.items():
                texts = answers(chat)
                said = [text.partition("): ")[2] for text in texts]
                assert said == [f"message {number} of {chat}" for number in range(MESSAGES)]
                assert all(text.startswith(f"agent={AGENTS[name]} ") for text in texts)
