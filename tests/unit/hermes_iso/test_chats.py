"""Chat accounts are supervised one by one: what happens to one of them is nothing to the others."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest
import trio

from hermes_iso.adapter import CallAnswer, ChatAccount, Doorway
from hermes_iso.chats import ServedChats
from hermes_iso.errors import AdapterError, DeliveryError
from hermes_iso.messages import ChatRef
from hermes_iso_adapters.telegram import TelegramAdapter
from tests.servers.telegram_server import serve_telegram
from tests.support.telegram import TOKEN, ListIntake, ListNotes, account_of, outbound


class Scripted:
    """An adapter that does what its account's settings say."""

    def __init__(self, account) -> None:
        self.account = account
        self.served = 0
        self.doorway = account.settings.get("doorway")

    async def serve_adapter(self, intake, *, task_status=trio.TASK_STATUS_IGNORED):
        self.served += 1
        errors = self.account.settings.get("errors", ())
        if self.served <= len(errors):
            raise errors[self.served - 1]
        await trio.sleep_forever()

    async def receive(self, call):
        if call.body == b"crash":
            raise ZeroDivisionError
        return CallAnswer(200, {"path": call.path, "who": self.account.account_id})

    @asynccontextmanager
    async def answering(self, chat, *, reply_to, notes):
        yield self.account.account_id

    def status(self):
        return {"state": "connected", "served": self.served}


def account(name, token="1:AAAA-secret", **settings):
    """Return an account of a platform that only this test has."""
    return ChatAccount("scripted", name, token, None, settings)


def config(*accounts):
    """Return a config with these accounts."""
    return SimpleNamespace(chat_accounts=accounts)


@asynccontextmanager
async def serving(*accounts, load=lambda: Scripted):
    """Serve accounts."""
    chats = ServedChats(config(*accounts), {"scripted": SimpleNamespace(load=load)})
    async with trio.open_nursery() as nursery:
        await nursery.start(chats.serve, ListIntake())
        yield chats
        nursery.cancel_scope.cancel()


def states(chats):
    """Return each account's state."""
    return {each["account"]: each["state"] for each in chats.status()}


async def wait_for(condition):
    """Wait until something is so."""
    with trio.fail_after(10):
        while not condition():
            await trio.sleep(0.01)


async def test_an_adapter_that_ends_is_started_again_and_the_others_go_on():
    """Later each time; its state and the reason are told, without the token."""
    errors = (AdapterError("The network is down."), ValueError("with 1:AAAA-secret in it"))
    async with serving(account("good"), account("bad", errors=errors)) as chats:
        await wait_for(lambda: states(chats) == {"good": "connected", "bad": "backing_off"})
        assert [each["last_error"] for each in chats.status() if each["account"] == "bad"] == ["The network is down."]
        await wait_for(lambda: "ValueError" in str(chats.status()))
        await wait_for(lambda: states(chats) == {"good": "connected", "bad": "connected"})
        assert {each["account"]: each["restarts"] for each in chats.status()} == {"good": 0, "bad": 2}
        assert "AAAA" not in str(chats.status())


async def test_a_crash_is_logged_without_the_token(capsys):
    """Also where it stands in the error's own text."""
    async with serving(account("bad", errors=(ValueError("with 1:AAAA-secret in it"),))) as chats:
        await wait_for(lambda: states(chats) == {"bad": "backing_off"})
    printed = capsys.readouterr()
    assert "ValueError: with TOKEN in it" in printed.out + printed.err
    assert "AAAA" not in printed.out + printed.err


async def test_an_answer_finds_its_account_or_says_why_not():
    """By platform and account; what a bridge adds to its account's name makes no difference."""
    async with serving(account("a"), account("b")) as chats:
        await wait_for(lambda: states(chats) == {"a": "connected", "b": "connected"})
        for name, found in (("a", "a"), ("b", "b"), ("b/tenant", "b")):
            chat = ChatRef("scripted", "1", account_id=name)
            async with chats.answering(chat, reply_to=None, notes=ListNotes()) as answering:
                assert answering == found
        for chat in (ChatRef("scripted", "1", account_id="c"), ChatRef("other", "1", account_id="a")):
            opening = chats.answering(chat, reply_to=None, notes=ListNotes())
            with pytest.raises(DeliveryError) as caught:
                await opening.__aenter__()
            assert not caught.value.again


async def test_a_reload_starts_ends_and_replaces_accounts():
    """What has not changed goes on as it is."""
    kept = account("kept")
    async with serving(kept, account("gone"), account("changed")) as chats:
        await wait_for(lambda: set(states(chats).values()) == {"connected"})
        before = {each["account"]: each for each in chats.status()}
        chats.use(config(kept, account("changed", other=1), account("fresh")))
        await wait_for(lambda: states(chats) == dict.fromkeys(("kept", "changed", "fresh"), "connected"))
        assert before["kept"]["served"] == 1


async def test_an_adapter_that_is_not_installed_says_what_to_install():
    """And is tried again rarely."""

    def load():
        raise ImportError("No module named 'telegram'")

    async with serving(account("a"), load=load) as chats:
        await wait_for(lambda: states(chats) == {"a": "failed"})
        assert "pip install 'hermes-iso[scripted]'" in chats.status()[0]["last_error"]


async def test_accounts_share_an_address_by_their_paths():
    """Each gets its own calls; what is none of theirs, too long, or crashes one of them, harms nobody."""
    with trio.socket.socket() as free:
        await free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    doors = {name: Doorway("127.0.0.1", port, f"/hooks/{name}") for name in ("a", "b")}
    async with serving(*(account(name, doorway=door) for name, door in doors.items())) as chats:
        await wait_for(lambda: set(states(chats).values()) == {"connected"})
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for path, status in (("/hooks/a", 200), ("/hooks/b/x", 200), ("/hooks/ab", 404), ("/", 404)):
                assert (await client.post(path)).status_code == status
            assert (await client.post("/hooks/b/x?y=1")).json() == {"path": "/x", "who": "b"}
            assert (await client.post("/hooks/a", content=b"crash")).status_code == 500
            assert (await client.post("/hooks/a", content=b"x" * ((1 << 20) + 1))).status_code == 413
            chats.use(config(account("a", doorway=doors["a"])))
            await wait_for(lambda: set(states(chats)) == {"a"})
            assert (await client.post("/hooks/b")).status_code == 404


async def test_telegram_brings_updates_to_the_gateways_doorway():
    """In webhook mode the adapter is served at its path, and what Telegram brings is taken."""
    with trio.socket.socket() as free:
        await free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"webhook_url": f"http://127.0.0.1:{port}/hook", "webhook_secret": "s" * 16, "webhook_port": port}
    intake = ListIntake()
    async with serve_telegram() as server, trio.open_nursery() as nursery:
        bot = account_of(server, **settings)
        chats = ServedChats(config(bot), {"telegram": SimpleNamespace(load=lambda: TelegramAdapter)})
        await nursery.start(chats.serve, intake)
        server.world.say(TOKEN, 42, "hello")
        [inbound] = await intake.wait_for(1)
        async with chats.answering(inbound.chat, reply_to=inbound.platform_id, notes=ListNotes()) as answering:
            await answering.finish(outbound(inbound, "here"), ())
        nursery.cancel_scope.cancel()
    assert server.world.texts(42) == ["here"]
    assert server.asked("getUpdates") == []
