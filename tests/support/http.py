"""The HTTP API over a gateway of scripts, served on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import trio

from hermes_iso.api.server import serve_api
from hermes_iso.background import Background
from hermes_iso.gateway import Gateway
from hermes_iso.no_chats import NO_CHATS
from tests.support.line import KEY, FakePool, Script, echo, make_config, open_line


@dataclass(frozen=True)
class Served:
    """What a test of the API has in hand."""

    url: str
    client: httpx.AsyncClient
    gateway: Gateway
    pool: FakePool

    async def chat(self, text: str = "hello", path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
        """Post a chat completion; `headers` are added, further keywords go into the body."""
        headers = more.pop("headers", {})
        body = {"model": "any", "messages": [{"role": "user", "content": text}], **more}
        return await self.client.post(path, json=body, headers=headers)


@asynccontextmanager
async def serving(
    home: Path, script: Script = echo, *, config: Any = None, hooks: Any = None, chats: Any = NO_CHATS, **api: Any
) -> AsyncIterator[Served]:
    """Serve; `api` changes the API's settings. chats: those of an inbox that is served, which kept requests need."""
    config = config or make_config(home)
    config = replace(config, api=replace(config.api, **api))
    async with open_line(home, script, config=config, hooks=hooks, chats=chats) as (gateway, pool), Background() as nursery:
        url: str = await nursery.start(serve_api, gateway, config.api)
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            yield Served(url, client, gateway, pool)


async def send_raw(url: str, data: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    host, _, port = url.removeprefix("http://").partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        answer = b""
        try:
            await stream.send_all(data)
            while chunk := await stream.receive_some(1 << 16):
                answer += chunk
        except trio.BrokenResourceError:
            pass
        return answer
