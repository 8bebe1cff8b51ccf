"""A body costs the event loop little, whatever it holds, and is read as any JSON parser would."""

import json
import time
from pathlib import Path

import trio

from hermes_iso.api.chat import LARGE_BODY
from tests.support.http import serving


async def test_large_body_is_parsed_beside_the_event_loop(tmp_path: Path) -> None:
    """A body of thousands of messages' worth is answered, and others get their turn while it is checked."""
    calls = [
        {"id": str(number), "type": "function", "function": {"name": "terminal", "arguments": "x" * 200}}
        for number in range(100)
    ]
    before = [{"role": "assistant", "content": None, "tool_calls": calls}] * 100
    body = {"messages": [*before, {"role": "user", "content": "x"}]}
    assert len(json.dumps(body)) > 4 * LARGE_BODY
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await trio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began)

    async with serving(tmp_path / "home") as served:
        content = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        for _ in range(5):  # others use the machine's cores as well: what counts is that it can be done
            longest = 0.0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                response = await served.client.post("/v1/chat/completions", content=content, headers=headers)
                nursery.cancel_scope.cancel()
            assert response.status_code == 200
            if longest < 0.3:
                break
    assert longest < 0.3
