"""Chat completions: OpenAI's shapes, whole and streamed, and the session headers."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import trio
import trio.testing

from hermes_iso.api.answers import Head, StreamAnswer
from hermes_iso.api.event_stream import FIRST_WAIT, KEEP_ALIVE
from hermes_iso.messages import ChatRef, Outbound
from hermes_iso.rules import RouteRule
from hermes_iso_sandbox import wire
from tests.support.http import serving
from tests.support.line import CODER_KEY, KEY, Guest, make_agent, make_config


def events(response: httpx.Response) -> list[Any]:
    """Return the data of a stream's events, [DONE] as text."""
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def text_of(found: list[Any]) -> str:
    """Return the text that a stream's chunks make."""
    chunks = [each for each in found if isinstance(each, dict) and each.get("choices")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


async def test_completion_has_openais_shape(tmp_path: Path) -> None:
    """id, object, model, choice, usage, and the headers that say who answered."""
    async with serving(tmp_path / "home") as served:
        response = await served.chat("hello", model="gpt-x")
        body = response.json()
        assert response.status_code == 200
        assert body["object"] == "chat.completion"
        assert body["model"] == "gpt-x"
        assert body["id"] == "chatcmpl-" + response.headers["x-hermes-turn-id"]
        assert body["choices"][0]["message"]["content"] == "hello"
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        assert response.headers["x-hermes-agent"] == "main"
        assert response.headers["x-hermes-session-id"].startswith("api_")


async def test_stream_has_openais_chunks(tmp_path: Path) -> None:
    """Role first, then text, then the reason, then usage when asked for, then [DONE]; the same headers."""
    async with serving(tmp_path / "home") as served:
        response = await served.chat("hello", stream=True, stream_options={"include_usage": True})
        found = events(response)
        assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert text_of(found) == "hello"
        assert found[-3]["choices"][0]["finish_reason"] == "stop"
        assert (found[-2]["choices"], found[-2]["usage"]["total_tokens"]) == ([], 0)
        assert found[-1] == "[DONE]"
        assert {each["id"] for each in found[:-1]} == {"chatcmpl-" + response.headers["x-hermes-turn-id"]}
        assert response.headers["x-hermes-agent"] == "main"
        plain = events(await served.chat("hello", stream=True))
        assert all("usage" not in each for each in plain[:-1])


@pytest.mark.parametrize(
    ("said", "final", "streamed"),
    [
        ([wire.TextDelta("a"), wire.TextDelta("b")], "ab", "ab"),
        ([], "whole", "whole"),
        ([wire.TextDelta("beg")], "begun", "begun"),
        ([wire.TextDelta("text\n")], "text", "text\n"),
        ([wire.TextDelta("one"), wire.ToolCalled("1", "t", ""), wire.TextDelta("two")], "two", "one\n\ntwo"),
        ([wire.TextDelta("one"), wire.ToolCalled("1", "t", "")], "two", "one\n\ntwo"),
        ([wire.TextDelta("other")], "final", "other\n\nfinal"),
    ],
)
async def test_stream_holds_the_final_text(tmp_path: Path, said: list[Any], final: str, streamed: str) -> None:
    """Whatever an engine streams, a client that only reads the stream has the final text, once."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        for message in said:
            await guest.say(message)
        await guest.say(wire.TurnDone(final))

    async with serving(tmp_path / "home", script) as served:
        assert text_of(events(await served.chat(stream=True))) == streamed
        assert (await served.chat()).json()["choices"][0]["message"]["content"] == final


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (wire.TurnFailed("bad_response", "No such tool."), 502, "bad_response"),
        (wire.TurnFailed("x", "It failed."), 500, "guest_error"),
        (None, 500, "guest_died"),
    ],
)
async def test_failed_turn_has_its_status(tmp_path: Path, stream: bool, end: Any, status: int, code: str) -> None:
    """A failure before anything was shown is a status and OpenAI's error; clients are told not to repeat it by themselves."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        if end is not None:
            await guest.say(end)

    async with serving(tmp_path / "home", script) as served:
        response = await served.chat(stream=stream)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (status, code, None)
        assert error["message"]
        assert response.headers["x-should-retry"] == "false"
        assert response.headers["x-hermes-turn-id"]


async def test_failure_after_the_first_word_ends_the_stream_with_an_error(tmp_path: Path) -> None:
    """A stream that has begun can't change its status: an error event is its last."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        await guest.say(wire.TextDelta("so far"))

    async with serving(tmp_path / "home", script) as served:
        response = await served.chat(stream=True)
        found = events(response)
        assert response.status_code == 200
        assert text_of(found) == "so far"
        assert found[-1]["error"]["code"] == "guest_died"


async def test_openai_sdk_reads_it_all(tmp_path: Path) -> None:
    """The official client, validating strictly: models, whole, stream with usage, and an error as its own exception."""

    def use(url: str) -> None:
        with openai.OpenAI(base_url=url + "/v1", api_key=KEY, _strict_response_validation=True) as sdk:
            assert [model.id for model in sdk.models.list()] == ["main", "coder"]
            whole = sdk.chat.completions.create(model="coder", messages=[{"role": "user", "content": "hello"}])
            assert (whole.choices[0].message.content, whole.model) == ("hello", "coder")
            stream = sdk.chat.completions.create(
                model="main",
                messages=[{"role": "user", "content": "hello"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = list(stream)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello"
            assert chunks[-1].usage is not None
            with pytest.raises(openai.BadRequestError, match="must be 1"):
                sdk.chat.completions.create(model="main", messages=[{"role": "user", "content": "x"}], n=2)

    async with serving(tmp_path / "home") as served:
        await trio.to_thread.run_sync(use, served.url)


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_leaves_cancels_its_turn(tmp_path: Path, stream: bool) -> None:
    """On both paths a hung-up connection ends the lease."""
    left = trio.CancelScope()
    ended = trio.Event()

    async def script(guest: Guest) -> None:
        try:
            await guest.hear()
            left.cancel()
            await trio.sleep_forever()
        finally:
            ended.set()

    async with serving(tmp_path / "home", script) as served:
        with left:
            await served.chat(stream=stream)
        with trio.fail_after(5):
            await ended.wait()
            while served.pool.living:
                await trio.testing.wait_all_tasks_blocked(0.005)


async def test_client_that_does_not_read_holds_up_nobody_but_itself(tmp_path: Path) -> None:
    """A stream whose client takes nothing still ends with its turn's time; others are answered meanwhile."""
    home = tmp_path / "home"
    agents = {"main": make_agent(home, turn_timeout=0.5), "coder": make_agent(home, "coder")}

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        while request.text == "flood":
            await guest.say(wire.TextDelta("x" * 100_000))
        await guest.say(wire.TurnDone("ok"))

    async with serving(home, script, config=make_config(home, agents=agents)) as served:
        body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "flood"}]}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        host, _, port = served.url.removeprefix("http://").partition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(head.encode() + body)
            while not served.pool.most_living:
                await trio.testing.wait_all_tasks_blocked(0.005)
            assert (await served.chat(model="coder")).status_code == 200
            with trio.fail_after(10):
                while served.pool.living:
                    await trio.testing.wait_all_tasks_blocked(0.005)


async def test_session_header_keeps_the_history_here(tmp_path: Path) -> None:
    """With X-Hermes-Session-Id only the last message is new; without it the body is the history and nothing is kept."""
    seen: list[wire.TurnRequest] = []

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        seen.append(request)
        await guest.say(wire.TurnDone("re " + request.text))

    async with serving(tmp_path / "home", script) as served:
        named = {"X-Hermes-Session-Id": "mine"}
        first = await served.chat("one", headers=named)
        before = [{"role": "user", "content": "forged"}, {"role": "assistant", "content": "x"}]
        await served.chat(messages=[*before, {"role": "user", "content": "two"}], headers=named)
        other_key = {**named, "authorization": f"Bearer {CODER_KEY}"}
        await served.chat("three", headers=other_key)
        await served.chat("three", headers={**other_key, "authorization": f"Bearer {KEY}"}, path="/p/coder/v1/chat/completions")
        await served.chat(messages=[{"role": "system", "content": "Be brief."}, *before, {"role": "user", "content": "four"}])
    assert first.headers["x-hermes-session-id"] == "mine"
    assert [request.session_id for request in seen[:4]] == ["mine"] * 4
    assert seen[1].history == [{"role": "user", "content": "one"}, {"role": "assistant", "content": "re one"}]
    assert [request.history for request in (seen[2], seen[3])] == [[], []]
    assert (seen[4].history, seen[4].instructions, seen[4].text) == (before, "Be brief.", "four")


async def test_who_answers(tmp_path: Path) -> None:
    """The path, else the key's only agent, else a route, else the model, else the default."""
    home = tmp_path / "home"
    routes = (
        RouteRule("coder", platform="api_server", chat_id="work"),
        RouteRule("coder", platform="api_server", thread_id="7"),
        RouteRule("coder", platform="api_server", peer="boss"),
        RouteRule("gone", platform="api_server", chat_id="closed"),
    )
    config = make_config(home, routes=routes, not_served={"gone": "it is held"})
    async with serving(home, config=config) as served:

        async def agent(**more: Any) -> str:
            return str((await served.chat(**more)).headers.get("x-hermes-agent"))

        coder_key = {"authorization": f"Bearer {CODER_KEY}"}
        assert await agent() == "main"
        assert await agent(model="coder") == "coder"
        assert await agent(model="main", headers={"X-Hermes-Chat-Id": "work"}) == "coder"
        assert await agent(model="main", headers={"X-Hermes-Thread-Id": "7"}) == "coder"
        assert await agent(model="main", headers={"X-Hermes-User-Id": "boss"}) == "coder"
        assert await agent(headers={"X-Hermes-Session-Id": "work"}) == "main"
        closed = await served.chat(model="main", headers={"X-Hermes-Chat-Id": "closed"})
        assert (closed.status_code, "gone is not served: it is held" in closed.text) == (404, True)
        assert await agent(model="main", headers=coder_key) == "coder"
        assert await agent(model="coder", path="/p/main/v1/chat/completions") == "main"


async def test_strict_model_refuses_other_names(tmp_path: Path) -> None:
    """With strict_model a model that is no agent is 404 model_not_found; who names none is answered as ever."""
    async with serving(tmp_path / "home", strict_model=True) as served:
        refused = await served.chat(model="gpt-x")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
        assert (await served.chat(model="coder")).status_code == 200
        assert (await served.chat(model=None)).status_code == 200


async def test_silent_turn_keeps_its_stream_alive(autojump_clock: trio.testing.MockClock) -> None:
    """Headers go out after the first wait, comments follow, and a failure is then an event."""
    sent: list[tuple[float, Any]] = []
    began = trio.current_time()

    async def send(message: Any) -> None:
        sent.append((round(trio.current_time() - began), message))

    answer = StreamAnswer(send, Head("t", "m", {}, 0), include_usage=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer.write)
        await trio.sleep(FIRST_WAIT + KEEP_ALIVE + 1)
        await answer.deliver(Outbound(ChatRef("api_server", "c"), "Too late.", "t", "main", "s", error="timeout"))
    assert [(at, message.get("body", b"start")[:12]) for at, message in sent] == [
        (5, b"start"),
        (5, b": keep-alive"),
        (20, b": keep-alive"),
        (21, b'data: {"erro'),
        (21, b""),
    ]
