"""A Telegram Bot API server for tests, on 127.0.0.1: the real protocol over HTTP, misbehaving on request.

As a program: `python -m tests.servers.telegram_server --port 0` prints its URL; a bot's `base_url` is that plus `/bot`. There
`POST /control/<method>` calls a method of the World or of the server with a JSON object of its arguments (say, edit, fault),
`GET /control/transcript` returns what bots asked. In a test: `async with serve_telegram() as server`, or `with
telegram_thread() as server` beside code that blocks.

Faults, for so many requests of a method (`*` is any) of one bot or of all: `429` (value: retry_after), any other status,
`cut` (the connection closes before anything is done), `cut_after` (it is done, and the connection closes), `slow` (value:
seconds), `garbage` (no JSON); of getUpdates also `duplicate` (the updates come once more) and `reorder`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import h11
import httpx
import trio

from tests.servers.telegram_world import BotState, RefusalError, World

_READ = 1 << 16
TERMINATED = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


class HangupError(Exception):
    """The connection is to be closed at once."""


@dataclass
class Fault:
    """Something that is to go wrong."""

    kind: str
    method: str = "*"
    times: float = 1
    value: float = 0
    token: str = ""


@dataclass
class Asked:
    """One request of a bot. `status` is 0 where nothing was answered; files by field: name and contents."""

    token: str
    method: str
    params: dict[str, Any]
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    status: int = 0
    result: Any = None
    at: float = field(default_factory=time.monotonic)


@dataclass
class TelegramServer:
    """A running server. `transcript` has every request of bots, oldest first."""

    url: str = ""
    world: World = field(default_factory=World)
    transcript: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    nursery: trio.Nursery | None = None
    token: Any = None

    @property
    def base_url(self) -> str:
        """What a bot's `base_url` is."""
        return f"{self.url}/bot"

    def fault(self, kind: str, method: str = "*", **options: Any) -> None:
        """Let something go wrong."""
        self.faults.append(Fault(str(kind), method, **options))

    def asked(self, method: str, token: str = "") -> list[Asked]:
        """Return the requests of a method, of one bot or of all."""
        return [each for each in self.transcript if each.method == method and token in ("", each.token)]

    def call(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call something in the server's thread, from another."""
        return trio.from_thread.run_sync(lambda: work(*args, **options), trio_token=self.token)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it ends."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 16)
        try:
            while connection.our_state is h11.IDLE:
                await self._serve_one(connection, stream)
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except (HangupError, h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_one(self, connection: h11.Connection, stream: trio.SocketStream) -> None:
        request, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(_READ))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                raise HangupError
        assert request is not None
        status, content = await self._answer(request, body)
        headers = [("content-length", str(len(content))), ("content-type", "application/json")]
        data = connection.send(h11.Response(status_code=status, headers=headers))
        data += connection.send(h11.Data(data=content)) + connection.send(h11.EndOfMessage())
        await stream.send_all(data)

    async def _answer(self, request: h11.Request, body: bytes) -> tuple[int, bytes]:
        path = request.target.decode().partition("?")[0]
        query = dict(parse_qsl(request.target.decode().partition("?")[2]))
        if found := re.fullmatch(r"/file/bot([^/]+)/(.+)", path):
            content = self.world.files.get(found[2])
            return (404, b"{}") if content is None or found[1] not in self.world.bots else (200, content)
        if found := re.fullmatch(r"/control/(\w+)", path):
            return self._control(found[1], body)
        found = re.fullmatch(r"/bot([^/]+)/(\w+)", path)
        if found is None:
            return 404, b'{"ok": false, "error_code": 404, "description": "Not Found"}'
        kind = dict(request.headers).get(b"content-type", b"").decode()
        params, files = parse_body(kind, body)
        asked = Asked(found[1], found[2], query | params, files)
        self.transcript.append(asked)
        return await self._answer_bot(asked)

    async def _answer_bot(self, asked: Asked) -> tuple[int, bytes]:
        fault = self._due(asked)
        try:
            if fault is not None:
                await self._misbehave(fault)
            result = await self._do(asked, fault)
            answer, asked.status, asked.result = {"ok": True, "result": result}, 200, result
        except RefusalError as refusal:
            asked.status = refusal.status
            answer = {"ok": False, "error_code": refusal.status, "description": str(refusal)}
            answer |= {"parameters": refusal.parameters} if refusal.parameters else {}
        if fault is not None and fault.kind == "cut_after":
            raise HangupError
        if fault is not None and fault.kind == "garbage":
            return 200, b"<html>not JSON"
        return asked.status, json.dumps(answer).encode()

    def _due(self, asked: Asked) -> Fault | None:
        for fault in self.faults:
            if fault.method in ("*", asked.method) and fault.token in ("", asked.token) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    async def _misbehave(self, fault: Fault) -> None:
        if fault.kind == "cut":
            raise HangupError
        if fault.kind == "slow":
            await trio.sleep(fault.value)
        if fault.kind == "429":
            after = int(fault.value)
            raise RefusalError(429, f"Too Many Requests: retry after {after}", retry_after=after)
        if fault.kind == "409":
            raise RefusalError(409, TERMINATED)
        if fault.kind.isdecimal():
            raise RefusalError(int(fault.kind), "Internal Server Error")

    async def _do(self, asked: Asked, fault: Fault | None) -> Any:
        """Do what a bot asks."""
        bot, params = self.world.bot(asked.token), asked.params
        match asked.method:
            case "getMe":
                return bot.user | {"can_join_groups": True, "can_read_all_group_messages": True}
            case "getUpdates":
                return await self._updates(bot, params, fault)
            case "setWebhook":
                bot.webhook, bot.secret = params["url"], params.get("secret_token", "")
                bot.wake()
                assert self.nursery is not None
                self.nursery.start_soon(self._bring, bot, bot.webhook)
                return True
            case "deleteWebhook":
                bot.webhook = ""
                return True
            case "setMyCommands":
                bot.commands = json.loads(params["commands"])
                return True
            case "sendMessage":
                entities = json.loads(params.get("entities", "[]"))
                return self.world.send(bot, params, text=params.get("text", ""), entities=entities)
            case "editMessageText":
                return self.world.rewrite(bot, params)
            case "deleteMessage":
                return self.world.remove(params)
            case "sendPhoto" | "sendDocument":
                return self._send_file(bot, asked)
            case "getFile":
                return self._file(params["file_id"])
            case "sendChatAction" | "answerCallbackQuery":
                return True
        raise RefusalError(404, "Not Found: method not found")

    async def _updates(self, bot: BotState, params: dict[str, Any], fault: Fault | None) -> Any:
        """Hold a request for updates open until there are some; asking confirms those before `offset`."""
        if bot.webhook:
            raise RefusalError(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook first")
        if "offset" in params:
            offset = int(params["offset"])
            bot.updates = [each for each in bot.updates if number_of(each) >= offset]
        bot.polls += 1
        mine = bot.polls
        bot.wake()
        with trio.move_on_after(float(params.get("timeout", 0))):
            while not bot.updates and bot.polls == mine and not bot.webhook:
                await bot.news.wait()
        if bot.polls != mine:
            raise RefusalError(409, TERMINATED)
        found = bot.updates[: int(params.get("limit", 100))]
        if fault is not None and fault.kind == "duplicate":
            return [*found, *found]
        return found[::-1] if fault is not None and fault.kind == "reorder" else found

    async def _bring(self, bot: BotState, url: str) -> None:
        """Bring updates to a webhook, in order, each until it was taken."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while bot.webhook == url:
                if not bot.updates:
                    await bot.news.wait()
                    continue
                try:
                    headers = {"X-Telegram-Bot-Api-Secret-Token": bot.secret}
                    answer = await client.post(url, json=bot.updates[0], headers=headers)
                    if answer.status_code == 200:
                        bot.updates.pop(0)
                        continue
                except httpx.HTTPError:
                    pass
                await trio.sleep(0.2)

    def _send_file(self, bot: BotState, asked: Asked) -> Any:
        kind = {"sendPhoto": "photo", "sendDocument": "document"}[asked.method]
        name, content = next(iter(asked.files.values()))
        if kind == "photo" and not content.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
            raise RefusalError(400, "Bad Request: IMAGE_PROCESS_FAILED")
        file_id = self.add_file(content, name)
        about: Any = {"file_id": file_id, "file_unique_id": file_id, "file_size": len(content)}
        about |= {"file_name": name} if kind == "document" else {"width": 1, "height": 1}
        return self.world.send(bot, asked.params, **{kind: [about] if kind == "photo" else about})

    def add_file(self, content: bytes, name: str = "file") -> str:
        """Keep a file, and return its id."""
        file_id = f"documents/file_{len(self.world.files)}"
        self.world.files[file_id] = content
        return file_id

    def _file(self, file_id: str) -> Any:
        if file_id not in self.world.files:
            raise RefusalError(400, "Bad Request: invalid file_id")
        size = len(self.world.files[file_id])
        if size > 20 << 20:
            raise RefusalError(400, "Bad Request: file is too big")
        return {"file_id": file_id, "file_unique_id": file_id, "file_size": size, "file_path": file_id}

    def _control(self, what: str, body: bytes) -> tuple[int, bytes]:
        if what == "transcript":
            told = [{"token": e.token, "method": e.method, "params": e.params, "status": e.status} for e in self.transcript]
            return 200, json.dumps(told).encode()
        found = getattr(self.world, what, None) or getattr(self, what)
        result = found(**json.loads(body or b"{}"))
        return 200, json.dumps(result, default=str).encode()


def number_of(update: Any) -> int:
    """Return the number of an update, 0 for one that has none."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) else 0


def parse_body(kind: str, body: bytes) -> tuple[dict[str, Any], dict[str, tuple[str, bytes]]]:
    """Return the fields and the files of a request's body."""
    if kind.startswith("application/json"):
        found = json.loads(body)
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}, {}
    boundary = re.search(r'boundary="?([^";]+)', kind)
    if boundary is None:
        return dict(parse_qsl(body.decode(), keep_blank_values=True)), {}
    fields: dict[str, Any] = {}
    files = {}
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        filename = re.search(rb'filename="([^"]*)"', head)
        content = content.removesuffix(b"\r\n")
        if name and filename:
            files[name[1].decode()] = (filename[1].decode(), content)
        elif name:
            fields[name[1].decode()] = content.decode()
    return fields, files


@asynccontextmanager
async def serve_telegram(port: int = 0) -> AsyncIterator[TelegramServer]:
    """Serve on 127.0.0.1 while the body runs."""
    server = TelegramServer(token=trio.lowlevel.current_trio_token())
    async with trio.open_nursery() as nursery:
        server.nursery = nursery
        listeners = await nursery.start(trio.serve_tcp, server.serve, port)
        server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield server
        nursery.cancel_scope.cancel()


@contextmanager
def telegram_thread() -> Iterator[TelegramServer]:
    """Serve in a thread of its own while the body runs; talk to the server with its `call`."""
    ready, stop, found = threading.Event(), trio.Event(), []

    async def main() -> None:
        async with serve_telegram() as server:
            found.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        found[0].call(stop.set)
        thread.join(10)


async def _main(port: int) -> None:
    async with serve_telegram(port) as server:
        print(server.url, flush=True)
        await trio.sleep(math.inf)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    trio.run(_main, parser.parse_args().port)
