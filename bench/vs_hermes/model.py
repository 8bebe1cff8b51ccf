"""The model that both gateways ask: scripted, on 127.0.0.1, in a process of its own. `python -m bench.vs_hermes.model`.

The last user message says what it does; it counts the requests and keeps none of them:

    [AFTER <seconds> ]RUN <command>         call `terminal` with that command
    [AFTER <seconds> ]TOOL <name> <json>    call that tool
    TELL                                    answer with what the people of this conversation have said so far
    [AFTER <seconds> ]anything else         answer `echo: ` and the text

After a tool's result it answers `RESULT:` and the result. With AFTER it waits that long before each answer, as a model does.
`GET /count` returns how many completions it was asked for.
"""

from __future__ import annotations

import json
import re
from typing import Any

import h11
import trio

from tests.servers.model_dialects import Conversation, decide, openai_events, openai_whole, read_conversation
from tests.servers.model_server import Http

_AFTER = re.compile(r"AFTER (\d+(?:\.\d+)?) ")
_MODELS = {"object": "list", "data": [{"id": "test", "object": "model", "created": 1, "owned_by": "test"}]}


def scripted(talk: Conversation) -> float:
    """Translate the script of a message into the test server's words; return the seconds to wait."""
    after = _AFTER.match(talk.user_text)
    text = talk.user_text[after.end() :] if after else talk.user_text
    if text.startswith("RUN "):
        text = f"CALL terminal {json.dumps({'command': text[4:]})}"
    elif text.startswith("TOOL "):
        text = f"CALL {text[5:]}"
    talk.user_text = text
    return float(after[1]) if after else 0.0


def told(body: dict[str, Any]) -> str:
    """Return all that people have said in a conversation."""
    said = [message.get("content") for message in body["messages"] if message.get("role") == "user"]
    return f"TOLD: {json.dumps(said)}"


class BenchModel:
    """Answers the requests of all connections, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve the requests of one connection, one after the other."""
        stream.setsockopt(6, 1, 1)  # TCP_NODELAY
        http = Http(stream)
        try:
            while (request := await http.read_request()) is not None:
                await self._answer(http, request.path, request.body)
                if not http.next_cycle():
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, http: Http, path: str, body: Any) -> None:
        if path == "/count":
            await http.send_json(200, {"count": self.count})
        elif not path.endswith("/chat/completions"):
            await http.send_json(200 if path.endswith("/models") else 404, _MODELS)
        else:
            self.count += 1
            talk = read_conversation(body, {}, anthropic=False)
            await trio.sleep(scripted(talk))
            call, text = (None, told(body)) if talk.user_text == "TELL" else decide(talk)
            if not body.get("stream"):
                await http.send_json(200, openai_whole(talk, call, text))
                return
            await http.start_events()
            await http.send_event("".join(openai_events(talk, call, text)))
            await http.end_events()


async def main() -> None:
    """Serve on a free port, whose URL is printed, until the process is ended."""
    model = BenchModel()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(f"http://127.0.0.1:{listener.socket.getsockname()[1]}", flush=True)
    await trio.serve_listeners(model.serve, [listener])


if __name__ == "__main__":
    trio.run(main)
