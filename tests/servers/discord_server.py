"""A Discord for tests, on 127.0.0.1: REST and the gateway's websocket, the real protocol, misbehaving on request.

As a program: `python -m tests.servers.discord_server --port 0` prints its URL; a bot's `base_url` is that plus `/api/v10`, its
`gateway_url` the same with ws. There `POST /control/<method>` calls a method of the World or of the server with a JSON object
of its arguments (say, use, fault, close), `GET /control/transcript` returns what bots asked. In a test: `async with
serve_discord() as server`, or `with discord_thread() as server` beside code that blocks.

Faults, for so many requests of a kind (`POST messages`, `*` is any): `429` (value: retry_after), any other status, `cut` (the
connection closes before anything is done), `cut_after` (it is done, and the connection closes), `slow` (value: seconds); of the
gateway: `connect` (the websocket is refused).
"""

from __future__ import annotations

import argparse
import json
import re
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import h11
import trio
import wsproto
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, Request, TextMessage

from tests.servers.discord_world import MESSAGE_CHARS, PUBLIC_THREAD, RefusalError, Session, World, user
from tests.servers.telegram_server import Fault, HangupError, parse_body

_READ = 1 << 16


@dataclass
class Asked:
    """One request of a bot. kind: the method and the last word of its path."""

    token: str
    kind: str
    path: str
    body: Any
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    status: int = 0
    at: float = field(default_factory=time.monotonic)


@dataclass
class DiscordServer:
    """A running server. transcript: every request of bots; heard: what they sent over the gateway, by opcode."""

    url: str = ""
    world: World = field(default_factory=World)
    transcript: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    heard: list[tuple[int, Any]] = field(default_factory=list)
    cuts: list[trio.CancelScope] = field(default_factory=list)
    token: Any = None

    @property
    def base_url(self) -> str:
        """What a bot's `base_url` is."""
        return f"{self.url}/api/v10"

    @property
    def gateway_url(self) -> str:
        """What a bot's `gateway_url` is."""
        return f"{self.url.replace('http', 'ws', 1)}/"

    def fault(self, kind: str, method: str = "*", **options: Any) -> None:
        """Let something go wrong."""
        self.faults.append(Fault(str(kind), method, **options))

    def asked(self, kind: str) -> list[Asked]:
        """Return the requests of a kind."""
        return [each for each in self.transcript if each.kind == kind]

    def call(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call something in the server's thread, from another."""
        return trio.from_thread.run_sync(lambda: work(*args, **options), trio_token=self.token)

    def opcode(self, op: int, data: Any = None) -> None:
        """Send an opcode to every connected bot: 7 is RECONNECT, 9 INVALID_SESSION (true: it may resume)."""
        for session in self.world.sessions.values():
            if op == 9 and not data:
                session.gone = True
            if session.listener is not None:
                session.listener({"op": op, "d": data, "s": None, "t": None})

    def cut(self) -> None:
        """Cut every connection of the gateway, without a word."""
        for scope in self.cuts:
            scope.cancel()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it ends."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 16)
        seen = b""
        try:
            while connection.our_state is h11.IDLE:
                request, body = None, b""
                while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                    if event is h11.NEED_DATA:
                        data = await stream.receive_some(_READ)
                        seen += data if request is None else b""
                        connection.receive_data(data)
                    elif isinstance(event, h11.Request):
                        request = event
                        if (b"upgrade", b"websocket") in [(key, value.lower()) for key, value in event.headers]:
                            await self._serve_gateway(stream, seen)
                            return
                    elif isinstance(event, h11.Data):
                        body += event.data
                    else:
                        raise HangupError
                assert request is not None
                await self._serve_one(connection, stream, request, body)
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return
                connection.start_next_cycle()
                seen = b""
        except (HangupError, h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            await trio.aclose_forcefully(stream)

    # REST

    async def _serve_one(
        self, connection: h11.Connection, stream: trio.SocketStream, request: h11.Request, body: bytes
    ) -> None:
        path, _, query = request.target.decode().partition("?")
        headers = {"content-type": "application/json"}
        if path.startswith("/attachments/"):
            content = self.world.files.get(path, b"")
            status = 200 if content else 404
        elif path.startswith("/control/"):
            status, content = 200, json.dumps(self._control(path.rpartition("/")[2], body), default=str).encode()
        else:
            status, content, more = await self._answer(request, path.removeprefix("/api/v10"), dict(parse_qsl(query)), body)
            headers |= more
        headers["content-length"] = str(len(content))
        if status == 204:
            del headers["content-type"], headers["content-length"]
        data = connection.send(h11.Response(status_code=status, headers=list(headers.items())))
        data += (connection.send(h11.Data(data=content)) if content else b"") + connection.send(h11.EndOfMessage())
        await stream.send_all(data)

    def _control(self, what: str, body: bytes) -> Any:
        if what == "transcript":
            return [{"kind": e.kind, "path": e.path, "body": e.body, "status": e.status} for e in self.transcript]
        found = getattr(self.world, what, None) or getattr(self, what)
        return found(**json.loads(body or b"{}"))

    async def _answer(
        self, request: h11.Request, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        told = {key.decode().lower(): value.decode() for key, value in request.headers}
        fields, files = parse_body(told["content-type"], body) if "multipart" in told.get("content-type", "") else ({}, {})
        content = json.loads(fields.get("payload_json") or (body if not files and not fields else b"") or b"{}")
        words = [each for each in path.split("/") if each and not each.isdecimal()]
        kind = f"{request.method.decode()} {words[-1] if words else ''}"
        asked = Asked(told.get("authorization", "").removeprefix("Bot "), kind, path, content, files)
        self.transcript.append(asked)
        headers = {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "49", "x-ratelimit-reset-after": "1.0"}
        headers |= {"x-ratelimit-reset": str(time.time() + 1), "x-ratelimit-bucket": kind.replace(" ", "-"), "via": "1.1 test"}
        fault = next((e for e in self.faults if e.method in ("*", kind) and e.times > 0 and e.kind != "connect"), None)
        try:
            if fault is not None:
                fault.times -= 1
                if fault.kind == "cut":
                    raise HangupError
                if fault.kind == "slow":
                    await trio.sleep(fault.value)
                if fault.kind == "429":
                    asked.status = 429
                    limited = {"message": "You are being rate limited.", "retry_after": fault.value, "global": False}
                    return 429, json.dumps(limited).encode(), headers | {"retry-after": str(fault.value)}
                if fault.kind.isdecimal():
                    raise RefusalError(int(fault.kind), "Internal Server Error")
            result = self._do(asked, query)
            asked.status = 204 if result is None else 200
        except RefusalError as refusal:
            asked.status, result = refusal.status, {"message": str(refusal), "code": refusal.code}
        if fault is not None and fault.kind == "cut_after":
            raise HangupError
        return asked.status, b"" if result is None else json.dumps(result).encode(), headers

    def _do(self, asked: Asked, query: dict[str, str]) -> Any:
        """Do what a bot asks."""
        world = self.world
        if found := re.fullmatch(r"/interactions/(\d+)/([\w-]+)/callback", asked.path):
            return {"interaction": {"id": found[1], "type": 2}, "resource": {"type": 4}}
        bot = world.bot(asked.token)
        if asked.path == "/users/@me":
            return bot
        if asked.path == "/oauth2/applications/@me":
            about = {"name": "test", "description": "", "icon": None, "bot_public": True, "bot_require_code_grant": False}
            return about | {"id": bot["id"], "owner": user(1), "verify_key": "", "flags": 0, "interactions_endpoint_url": None}
        if asked.path.endswith("/commands"):
            world.commands[asked.token] = asked.body
            return []
        if found := re.fullmatch(r"/guilds/\d+/members/(\d+)", asked.path):
            return world.member(int(found[1])) | {"user": user(int(found[1]))}
        found = re.fullmatch(r"/channels/(\d+)(?:/(messages|typing)(?:/(\d+)(/threads)?)?)?", asked.path)
        if found is None:
            raise RefusalError(404, "404: Not Found")
        channel_id = int(found[1])
        if channel_id not in world.channels:
            raise RefusalError(404, "Unknown Channel", 10003)
        if found[2] is None:
            return world.channels[channel_id]
        if found[2] == "typing":
            return None
        return self._messages(asked, bot, channel_id, None if found[3] is None else int(found[3]), bool(found[4]), query)

    def _messages(
        self, asked: Asked, bot: dict[str, Any], channel_id: int, number: int | None, thread: bool, query: dict[str, str]
    ) -> Any:
        world, method = self.world, asked.kind.partition(" ")[0]
        messages = world.messages[channel_id]
        if number is None and method == "GET":
            after = int(query.get("after", 0))
            found = [each for each in messages.values() if int(each["id"]) > after]
            return found[: int(query.get("limit", 50))][::-1]
        if number is None:
            return self._post(asked, bot, channel_id)
        if number not in messages:
            raise RefusalError(404, "Unknown Message", 10008)
        if thread:
            if number in world.channels:
                raise RefusalError(400, "A thread has already been created for this message", 160004)
            guild = int(world.channels[channel_id]["guild_id"])
            made = world.channel(number, guild, kind=PUBLIC_THREAD, parent=channel_id, owner=int(bot["id"]))
            return made | {"name": asked.body["name"]}
        if method == "GET":
            return messages[number]
        if messages[number]["author"]["id"] != bot["id"]:
            raise RefusalError(403, "Cannot edit a message authored by another user", 50005)
        if method == "DELETE":
            del messages[number]
            return None
        messages[number]["content"] = self._checked(asked.body["content"])
        return messages[number]

    def _post(self, asked: Asked, bot: dict[str, Any], channel_id: int) -> Any:
        """Put a bot's message into a channel, unless it is there."""
        world, body = self.world, asked.body
        nonce = str(body.get("nonce", ""))
        if body.get("enforce_nonce") and nonce in world.nonces:
            return world.messages[channel_id][world.nonces[nonce]]
        text = body.get("content") or ""
        if not text and not asked.files:
            raise RefusalError(400, "Cannot send an empty message", 50006)
        attachments = [self.add_file(content, name) for name, content in asked.files.values()]
        message = world.message(channel_id, bot, content=self._checked(text), attachments=attachments)
        message |= {"message_reference": body["message_reference"]} if "message_reference" in body else {}
        world.nonces[nonce] = int(message["id"])
        event = dict(message) | {"guild_id": world.channels[channel_id].get("guild_id")}
        world.dispatch("MESSAGE_CREATE", event, guild_id=event["guild_id"] or channel_id)
        return message

    def _checked(self, text: str) -> str:
        if len(text.encode("utf-16-le")) // 2 > MESSAGE_CHARS:
            raise RefusalError(400, "Must be 2000 or fewer in length.", 50035)
        return text

    def add_file(self, content: bytes, name: str = "file", media_type: str = "text/plain") -> dict[str, Any]:
        """Keep a file, and return what a message says of it."""
        number = self.world.number()
        path = f"/attachments/1/{number}/file"
        self.world.files[path] = content
        about = {"id": str(number), "filename": name, "size": len(content), "content_type": media_type}
        return about | {"url": f"{self.url}{path}", "proxy_url": f"{self.url}{path}"}

    # The gateway

    async def _serve_gateway(self, stream: trio.SocketStream, data: bytes) -> None:
        ws = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        ws.receive_data(data)
        request = next(ws.events())
        assert isinstance(request, Request)
        fault = next((each for each in self.faults if each.kind == "connect" and each.times > 0), None)
        if fault is not None:
            fault.times -= 1
            await stream.send_all(ws.send(RejectConnection(status_code=503)))
            return
        await stream.send_all(ws.send(AcceptConnection()))
        squeeze = zlib.compressobj()
        send, receive = trio.open_memory_channel[dict[str, Any]](10_000)
        session: Session | None = None
        sending = trio.Lock()

        async def put(data: bytes) -> None:
            async with sending:
                await stream.send_all(data)

        async def write() -> None:
            async for event in receive:
                packed = squeeze.compress(json.dumps(event).encode()) + squeeze.flush(zlib.Z_SYNC_FLUSH)
                await put(ws.send(BytesMessage(packed)))

        with trio.CancelScope() as scope:
            self.cuts.append(scope)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(write)
                    send.send_nowait({"op": 10, "d": {"heartbeat_interval": 41250}, "s": None, "t": None})
                    while True:
                        for event in ws.events():
                            if isinstance(event, TextMessage):
                                session = self._hear(json.loads(event.data), session, send.send_nowait)
                            elif isinstance(event, CloseConnection):
                                await put(ws.send(event.response()))
                                raise HangupError
                            elif isinstance(event, Ping):
                                await put(ws.send(event.response()))
                        data = await stream.receive_some(_READ)
                        if not data:
                            raise HangupError
                        ws.receive_data(data)
            except* (HangupError, trio.BrokenResourceError, trio.ClosedResourceError, wsproto.utilities.ProtocolError):
                pass
        self.cuts.remove(scope)
        if session is not None and session.listener == send.send_nowait:
            session.listener = None

    def _hear(self, said: dict[str, Any], session: Session | None, listener: Callable[[Any], None]) -> Session | None:
        """Take what a bot sends: IDENTIFY, RESUME or a heartbeat."""
        world, data = self.world, said.get("d")
        self.heard.append((said["op"], data))
        if said["op"] == 1:
            listener({"op": 11, "d": None, "s": None, "t": None})
        elif said["op"] == 2:
            session = Session(data["token"], f"session-{len(world.sessions)}", listener=listener)
            world.sessions[session.id] = session
            self._welcome(session)
        elif said["op"] == 6:
            session = world.sessions.get(data["session_id"])
            if session is None or session.gone:
                listener({"op": 9, "d": False, "s": None, "t": None})
                return None
            for event in session.events[data["seq"] :]:
                listener(event)
            session.listener = listener
            world.send(session, "RESUMED", {})
        return session

    def _welcome(self, session: Session) -> None:
        world, bot = self.world, self.world.bot(session.token)
        guilds = [each for each in world.guilds if world.only.get(each, session.token) == session.token]
        ready = {"v": 10, "user": bot, "session_id": session.id, "resume_gateway_url": self.gateway_url}
        ready |= {"guilds": [{"id": str(each), "unavailable": True} for each in guilds]}
        world.send(session, "READY", ready | {"application": {"id": bot["id"], "flags": 0}})
        for each in guilds:
            world.send(session, "GUILD_CREATE", world.guild_create(each))


@asynccontextmanager
async def serve_discord(port: int = 0) -> AsyncIterator[DiscordServer]:
    """Serve on 127.0.0.1 while the body runs."""
    server = DiscordServer(token=trio.lowlevel.current_trio_token())
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, server.serve, port)
        server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield server
        nursery.cancel_scope.cancel()


@contextmanager
def discord_thread() -> Iterator[DiscordServer]:
    """Serve in a thread of its own while the body runs; talk to the server with its `call`."""
    ready, stop, found = threading.Event(), trio.Event(), []

    async def main() -> None:
        async with serve_discord() as server:
            found.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        trio.from_thread.run_sync(stop.set, trio_token=found[0].token)
        thread.join()


async def main(port: int) -> None:
    """Serve until interrupted."""
    async with serve_discord(port) as server:
        print(server.url, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a Discord for tests.")
    parser.add_argument("--port", type=int, default=0)
    trio.run(main, parser.parse_args().port)
