"""The model host through a real door to a real server: what goes on, what comes back, and what is refused."""

import json

import httpx
import pytest
import trio
import trio.testing
from openai import OpenAI

from hermes_iso.broker.budgets import Budget, BudgetLimits
from hermes_iso.broker.model_host.host import BODY_BYTES
from hermes_iso.broker.models import ModelBroker, ModelLimits
from hermes_iso.policy import Layer, ToolPolicy
from tests.servers.model_server import serve_model_server
from tests.support.hosts import Log, hosted, make_agent, question
from tests.support.model_calls import KEY, make_settings

QUICK = ModelLimits(backoff=0.001)
CHAT = "/chat/completions"


def raw(body):
    """Return the bytes of a chat completion's request, straight to the door."""
    content = json.dumps(body).encode()
    head = f"POST /v1{CHAT} HTTP/1.1\r\ncontent-type: application/json\r\nhost: localhost\r\nconnection: close\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


@pytest.fixture
async def server():
    async with serve_model_server() as server:
        yield server


@pytest.fixture
async def broker():
    async with ModelBroker(QUICK) as broker:
        yield broker


@pytest.fixture
def log():
    return Log()


@pytest.fixture
async def client(broker, server, log):
    """Give a client in the sandbox of an agent whose model speaks OpenAI's dialect."""
    async with hosted(broker, make_agent(make_settings(server.base_url)), log) as (_, client):
        yield client


async def test_a_question_goes_on_byte_for_byte_with_the_real_key(client, server):
    """The provider sees the guest's bytes, the gateway's key, and nothing of who asks."""
    body = b'{ "model":"test",  "messages":[{"role":"user","content":"h\\u00e9llo"}], "temperature":1.0 }'
    theirs = {
        "authorization": "Bearer guess", "x-api-key": "guess", "api-key": "guess", "cookie": "a=b", "x-custom": "1",
        "x-forwarded-for": "10.0.0.1", "forwarded": "for=10.0.0.1", "x-real-ip": "10.0.0.1",
        "content-type": "application/json", "openai-beta": "x=1", "idempotency-key": "1",
    }  # fmt: skip
    answer = await client.post(CHAT, content=body, headers=theirs)
    asked = server.requests[0]
    assert answer.json()["choices"][0]["message"]["content"] == "echo: héllo"
    assert asked.body == json.loads(body)
    assert asked.headers["content-length"] == str(len(body))
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert set(asked.headers) == {
        "host", "accept", "accept-encoding", "user-agent", "authorization", "content-type", "content-length", "openai-beta",
    }  # fmt: skip
    assert asked.headers["user-agent"] == "hermes-iso"


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_openai_sdk_works_unchanged(broker, server, log, streamed):
    """With its own base_url and proxy settings alone, and any key string."""
    async with hosted(broker, make_agent(make_settings(server.base_url)), log) as (door, _):

        def ask():
            with httpx.Client(proxy=door.url, trust_env=False) as http:
                sdk = OpenAI(base_url="http://model.local/v1", api_key="anything", http_client=http, max_retries=0)
                assert [model.id for model in sdk.models.list()] == ["test"]
                messages = [{"role": "user", "content": "hi there"}]
                if not streamed:
                    return sdk.chat.completions.create(model="test", messages=messages).choices[0].message.content
                options = {"include_usage": True}
                chunks = sdk.chat.completions.create(model="test", messages=messages, stream=True, stream_options=options)
                return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

        assert await trio.to_thread.run_sync(ask) == "echo: hi there"
    assert log.last["end"] == "ended"
    assert log.last["completion_tokens"] == 3


async def test_curl_works_straight_at_the_door(broker, server, log):
    """Without a proxy setting too: a request to the door itself is one to the model host."""
    async with hosted(broker, make_agent(make_settings(server.base_url)), log) as (door, _):
        words = ["curl", "-sS", "--noproxy", "*", f"{door.url}/v1/chat/completions", "-H", "content-type: application/json"]
        done = await trio.run_process([*words, "-d", json.dumps(question("hi"))], capture_stdout=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "echo: hi"


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropics_dialect_goes_to_a_provider_of_it(broker, server, log, streamed):
    """With the version and beta that the client names, and the key in the header of that dialect."""
    settings = make_settings(server.base_url, api_mode="anthropic_messages")
    body = {"model": "test", "max_tokens": 9, "stream": streamed, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-api-key": "any", "anthropic-version": "2099-01-01", "anthropic-beta": "b-1"}
    async with hosted(broker, make_agent(settings), log) as (_, client):
        answer = await client.post("/messages?beta=true", json=body, headers=headers)
        wrong = await client.post(CHAT, json=question("hi"))
    assert ("message_stop" if streamed else "echo: hi") in answer.text
    asked = server.requests[0]
    assert asked.path == "/v1/messages?beta=true"
    assert [asked.headers[name] for name in headers] == [KEY, "2099-01-01", "b-1"]
    assert wrong.status_code == 404
    assert "The model test speaks Anthropic's dialect and is not here" in wrong.json()["error"]["message"]
    assert log.entries[0][1]["completion_tokens"] == 2


async def test_a_question_of_the_other_dialect_is_told_where_to_go(client):
    """One sentence, in the shape that the asking client reads."""
    answer = await client.post("/messages", json=question("hi"))
    assert answer.status_code == 404
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["message"] == (
        "The model test speaks OpenAI's dialect and is not here: there are GET /v1/models, POST /v1/chat/completions,"
        " POST /v1/responses, POST /v1/embeddings."
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 404),
        ("POST", "/models", 404),
        ("POST", "/files", 404),
        ("POST", f"{CHAT}/", 404),
        ("GET", "/models/test", 200),
        ("GET", "/models/other", 404),
        ("DELETE", "/models/test", 404),
    ],
)
async def test_there_is_nothing_but_the_endpoints(client, server, method, path, status):
    """No other path of a provider is in reach."""
    assert (await client.request(method, path)).status_code == status
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 415),
        (b"x", {"content-type": "application/json", "content-encoding": "gzip"}, 415),
        (b'{"model": "gpt-9"}', {"content-type": "application/json; charset=utf-8"}, 403),
        (b" " * (BODY_BYTES + 1), {"content-type": "application/json"}, 413),
    ],
)
async def test_what_can_not_go_on_has_its_status_and_reaches_nobody(client, server, content, headers, status):
    """And clients are told not to repeat it."""
    answer = await client.post(CHAT, content=content, headers=headers)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")
    assert answer.json()["error"]["message"].endswith(".")
    assert server.requests == []


async def test_a_header_that_can_not_be_sent_is_an_answer(client, server):
    """A guest's header goes on as it is, where it can."""
    headers = {"content-type": "application/json", "anthropic-beta": b"\xff"}
    answer = await client.post(CHAT, content=json.dumps({"model": "test", "messages": []}), headers=headers)
    assert (answer.status_code, server.requests) == (503, [])
    assert "holds characters that can't be sent" in answer.text


async def test_a_denied_tool_is_taken_out_and_the_journal_says_so(broker, server, log):
    """Policy holds for what programs ask as well."""
    agent = make_agent(make_settings(server.base_url), policy=ToolPolicy((Layer("agent", deny=frozenset({"terminal"})),)))
    tools = [{"type": "function", "function": {"name": name}} for name in ("terminal", "mine", "read_file")]
    async with hosted(broker, agent, log) as (_, client):
        await client.post(CHAT, json=question("hi", tools=tools))
    assert [tool["function"]["name"] for tool in server.requests[0].body["tools"]] == ["mine", "read_file"]
    assert log.last["tools_removed"] == ["terminal"]


async def test_a_key_that_a_provider_repeats_is_not_passed_on(client):
    """Not as it is, and not with blanks between; the status is the provider's."""
    answer = await client.post(CHAT, json=question("LEAKKEY"))
    assert answer.status_code == 401
    assert KEY not in answer.text
    assert " ".join(KEY) not in answer.text
    assert "[key]" in answer.json()["error"]["message"]


async def test_a_key_in_a_good_answer_cuts_it(broker, server, log):
    """Whoever put it there: a whole answer does not begin, and a stream ends before it."""
    async with hosted(broker, make_agent(make_settings(server.base_url)), log) as (door, _):
        whole = await door.talk(raw(question(f"say {KEY}")))
        call = question(f'CALL x {{"a": "{KEY}", "b": "{KEY}", "c": "{KEY}"}}', stream=True)
        streamed = await door.talk(raw(call))
    assert whole.startswith(b"HTTP/1.1 403")
    assert streamed.startswith(b"HTTP/1.1 200")
    assert not streamed.endswith(b"0\r\n\r\n")
    assert KEY.encode() not in whole + streamed
    assert [entry["end"] for _, entry in log.entries] == ["leak", "leak"]


async def test_a_redirect_is_not_followed(client, server):
    """The key goes nowhere else."""
    answer = await client.post(CHAT, json=question("REDIRECT"))
    assert answer.status_code == 503
    assert "redirect" in answer.json()["error"]["message"]
    assert "location" not in answer.headers
    assert len(server.requests) == 1


@pytest.mark.parametrize(("text", "asked"), [("STATUS 503 2", 3), ("RETRYAFTER 0.01 1", 2)])
async def test_a_failure_that_passes_is_tried_again(client, server, text, asked):
    """As the engine's own calls are, while no byte of an answer was passed on."""
    answer = await client.post(CHAT, json=question(text))
    assert answer.status_code == 200
    assert len(server.requests) == asked


async def test_a_lasting_failure_has_the_providers_status(client):
    """429 with what it says about waiting; a refusal at once."""
    waiting = await client.post(CHAT, json=question("RETRYAFTER 99"))
    assert (waiting.status_code, waiting.headers["retry-after"]) == (429, "99")
    refused = await client.post(CHAT, json=question("STATUS 422"))
    assert (refused.status_code, refused.json()["error"]["type"]) == (422, "test_error")
    gone = await client.post(CHAT, json=question("DOWN"))
    assert gone.status_code == 502


async def test_a_fallback_takes_over_before_the_first_byte(broker, server, log):
    """With its own name and key; one of another dialect is passed over; a model asked for by its own name has none."""
    down = make_settings(server.base_url, model="status-500")
    other = make_settings(server.base_url, model="m-2", api_mode="anthropic_messages")
    spare = make_settings(server.base_url, model="test", api_key="sk-spare-0123456789")
    late = make_settings(server.base_url, model="cut-off")
    agent = make_agent(down, fallbacks=(other, spare), models=(make_settings(server.base_url, model="status-501"), late))
    async with hosted(broker, agent, log) as (door, client):
        answer = await client.post(CHAT, json=question("hi") | {"model": "status-500"})
        assert answer.json()["choices"][0]["message"]["content"] == "echo: hi"
        assert server.requests[-1].body["model"] == "test"
        assert server.requests[-1].headers["authorization"] == "Bearer sk-spare-0123456789"
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert log.last["model"] == "test"
        alone = await client.post(CHAT, json=question("hi") | {"model": "status-501"})
        assert alone.status_code == 501
        assert not (await door.talk(raw(question("hi", stream=True) | {"model": "cut-off"}))).endswith(b"0\r\n\r\n")
        assert log.last["end"] == "cut"


async def test_both_ways_to_a_model_share_one_budget(broker, server, log):
    """Calls, tokens and bytes that programs cost are the turn's; when they are spent there is 429."""
    budget, above = Budget(max_iterations=1), Budget(max_iterations=90)
    async with hosted(broker, make_agent(make_settings(server.base_url)), log, (budget, above)) as (_, client):
        answers = [await client.post(CHAT, json=question("one two")) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert "has made its 5 model calls" in answers[-1].json()["error"]["message"]
    assert (budget.usage.calls, above.usage.calls) == (5, 5)
    assert budget.usage.completion_tokens == 5 * 3


async def test_an_answer_beyond_the_budget_is_cut(broker, server, log):
    """A stream without end ends with the bytes that a turn may have."""
    budget = Budget(max_iterations=9, limits=BudgetLimits(answer_bytes=5000))
    async with hosted(broker, make_agent(make_settings(server.base_url)), log, (budget,)) as (door, client):
        answer = await door.talk(raw(question("FLOOD", stream=True)))
        assert len(answer) < 10_000
        assert not answer.endswith(b"0\r\n\r\n")
        assert (await client.post(CHAT, json=question("hi"))).status_code == 429


async def test_the_turns_deadline_is_kept(broker, server, log):
    """An answer that does not begin by then is 504, one that has begun is cut."""
    agent = make_agent(make_settings(server.base_url))
    async with hosted(broker, agent, log, seconds=0.3) as (_, client):
        answer = await client.post(CHAT, json=question("SLOW"))
        assert answer.status_code == 504
    async with hosted(broker, agent, log, seconds=2) as (door, _):
        answer = await door.talk(raw(question("HANG", stream=True)))
    assert answer.startswith(b"HTTP/1.1 200")
    assert not answer.endswith(b"0\r\n\r\n")


async def test_a_client_that_goes_ends_the_providers_answer(broker, server, log):
    """Nobody pays for words that nobody hears."""
    async with hosted(broker, make_agent(make_settings(server.base_url)), log) as (door, _):
        async with await door.connect() as stream:
            await stream.send_all(raw(question("FLOOD", stream=True)))
            await stream.receive_some(1)
        with trio.fail_after(5):
            while not log.entries:
                await trio.sleep(0.01)
    assert log.last["end"] == "cut"


@pytest.mark.parametrize(
    ("text", "more", "found"),
    [
        ("hi", {}, "built-in offline model"),
        ("hi", {"stream": True, "stream_options": {"include_usage": True}}, "data: [DONE]"),
        ("RUN ls", {"tools": [{"type": "function", "function": {"name": "terminal"}}]}, '"name":"terminal"'),
    ],
)
async def test_the_built_in_model_answers_too(broker, log, text, more, found):
    """Chat completions, streamed and not; it has no other endpoint."""
    async with hosted(broker, make_agent(make_settings()), log) as (_, client):
        answer = await client.post(CHAT, json=question(text, **more) | {"model": "offline"})
        assert found in answer.text
        assert (await client.post("/embeddings", json={"model": "offline", "input": "x"})).status_code == 404
        assert (await client.post(CHAT, json={"model": "offline", "messages": [{"role": "x"}]})).status_code == 400


async def test_no_cookie_of_one_answer_comes_with_another_question(broker):
    """A provider's cookie would tie the agents of a gateway together."""
    head = b"HTTP/1.1 200 OK\r\nset-cookie: who=coder; Path=/\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    heads = []

    async def serve(stream):
        data = b""
        while more := await stream.receive_some(1 << 16):
            data += more
            if data.endswith(b"}"):
                heads.append(data)
                data = b""
                await stream.send_all(head)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
        async with hosted(broker, make_agent(make_settings(url)), Log()) as (_, client):
            for _ in range(2):
                answer = await client.post(CHAT, json=question("hi"))
                assert "set-cookie" not in answer.headers
        nursery.cancel_scope.cancel()
    assert len(heads) == 2
    assert not any(b"cookie" in each.lower() for each in heads)


@pytest.mark.slow
async def test_two_hundred_streams_lose_and_merge_no_event(broker):
    """Each piece of a provider is one piece of its own stream, whole and in order, whatever else streams."""
    streams, events = 200, 20
    inside = 0
    everybody = trio.Event()

    async def serve(stream):
        nonlocal inside
        data = b""
        while not data.endswith(b"}"):
            data += await stream.receive_some(1 << 16)
        who = json.loads(data[data.index(b"\r\n\r\n") + 4 :])["who"]
        inside += 1
        if inside == streams:
            everybody.set()
        await everybody.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(events):
            event = b'data: {"who": %d, "number": %d}\n\n' % (who, number)
            await stream.send_all(b"%x\r\n%s\r\n" % (len(event), event))
        await stream.send_all(b"0\r\n\r\n")
        await stream.receive_some(1)

    async def ask(port, who):
        body = json.dumps({"model": "test", "who": who}).encode()
        head = (
            b"POST http://model.local/v1/chat/completions HTTP/1.1\r\nhost: model.local\r\ncontent-type: application/json\r\n"
        )
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head + b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body))
            data = b""
            while more := await stream.receive_some(1 << 16):
                data += more
        rest = data[data.index(b"\r\n\r\n") + 4 :]
        pieces = []
        while not rest.startswith(b"0\r\n"):
            size, _, rest = rest.partition(b"\r\n")
            pieces.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        assert pieces == [b'data: {"who": %d, "number": %d}\n\n' % (who, number) for number in range(events)]

    budget = Budget(max_iterations=streams)
    budget._places = trio.Semaphore(streams)  # a turn has two places; the promise is about those of all turns together
    async with trio.open_nursery() as servers:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=streams)
        servers.start_soon(trio.serve_listeners, serve, listeners)
        agent = make_agent(make_settings(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1"))
        async with hosted(broker, agent, Log(), (budget,), connections=streams) as (door, _), trio.open_nursery() as clients:
            for who in range(streams):
                clients.start_soon(ask, door.port, who)
        servers.cancel_scope.cancel()
