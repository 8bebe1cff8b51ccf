"""Responses, runs and requests with an Idempotency-Key: kept, found by who made them, and by nobody else."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from hermes_iso.inbox.settings import InboxSettings
from hermes_iso_sandbox import wire
from tests.support.chats import MemoryChats
from tests.support.http import serving
from tests.support.line import CODER_KEY, echo, make_config

BOUND = {"authorization": f"Bearer {CODER_KEY}"}


@asynccontextmanager
async def api(home, script=echo, **more):
    """Serve with an inbox."""
    async with serving(home, script, chats=MemoryChats(), **more) as served:
        yield served.client, served


class Gate:
    """A script that answers once it may, and counts."""

    def __init__(self):
        self.begun, self.may = trio.Event(), trio.Event()
        self.count = 0

    async def __call__(self, guest):
        request = await guest.hear()
        self.count += 1
        await guest.say(wire.TextDelta("hel"))
        self.begun.set()
        async with trio.open_nursery() as nursery:

            async def stop():
                await guest.hear()
                await guest.say(wire.TurnDone("hel", [], interrupted=True))

            nursery.start_soon(stop)
            await self.may.wait()
            nursery.cancel_scope.cancel()
        await guest.say(wire.TurnDone(request.text, [{"role": "assistant", "content": request.text}]))


async def ended(client, run_id):
    """Wait for a run's end, by its events, and return the run."""
    await client.get(f"/v1/runs/{run_id}/events")
    return (await client.get(f"/v1/runs/{run_id}")).json()


async def test_run_is_taken_then_told(tmp_path):
    """202 with a queued run; its events and its state tell the rest."""
    async with api(tmp_path / "home") as (client, _):
        taken = await client.post("/v1/runs", json={"input": "hello"})
        assert taken.status_code == 202
        assert taken.json()["status"] == "queued"
        run_id = taken.json()["run_id"]
        lines = (await client.get(f"/v1/runs/{run_id}/events")).text.split("\n\n")
        events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data")]
        assert [each["event"] for each in events] == ["message.delta", "message.delta", "run.completed"]
        assert "".join(each["delta"] for each in events[:2]) == events[2]["output"] == "hello"
        run = (await client.get(f"/v1/runs/{run_id}")).json()
        assert (run["status"], run["output"], run["error"]) == ("completed", "hello", None)
        assert run["usage"]["total_tokens"] == 0


async def test_stopped_run_is_cancelled(tmp_path):
    """A run that works, and one that waits for it."""
    gate = Gate()
    async with api(tmp_path / "home", gate) as (client, _):
        session = {"x-hermes-session-id": "s"}
        first = (await client.post("/v1/runs", json={"input": "a"}, headers=session)).json()["run_id"]
        await gate.begun.wait()
        second = (await client.post("/v1/runs", json={"input": "b"}, headers=session)).json()["run_id"]
        assert (await client.get(f"/v1/runs/{first}")).json()["status"] == "running"
        for run_id in (second, first):
            assert (await client.post(f"/v1/runs/{run_id}/stop")).json()["status"] == "cancelled"
            assert (await client.get(f"/v1/runs/{run_id}")).json()["status"] == "cancelled"
        assert gate.count == 1


async def test_failed_run_says_why(tmp_path):
    """The kind of the failure and its sentence."""

    async def die(guest):
        await guest.hear()

    async with api(tmp_path / "home", die) as (client, _):
        run_id = (await client.post("/v1/runs", json={"input": "a"})).json()["run_id"]
        run = await ended(client, run_id)
        assert (run["status"], run["output"], run["error"]["code"]) == ("failed", None, "guest_died")


async def test_what_one_key_and_agent_made_does_not_exist_for_others(tmp_path):
    """404 for another key, under another agent's path, and as a previous response."""
    async with api(tmp_path / "home") as (client, _):
        run = (await client.post("/p/coder/v1/runs", json={"input": "a"})).json()["run_id"]
        response = (await client.post("/p/coder/v1/responses", json={"input": "a"})).json()["id"]
        for path in (f"/v1/runs/{run}", f"/v1/responses/{response}"):
            assert (await client.get(path)).status_code == 200
            assert (await client.get(f"/p/coder{path}")).status_code == 200
            assert (await client.get(f"/p/main{path}")).status_code == 404
            assert (await client.get(path, headers=BOUND)).status_code == 404
        assert (await client.post(f"/v1/runs/{run}/stop", headers=BOUND)).status_code == 404
        assert (await client.get(f"/v1/runs/{run}/events", headers=BOUND)).status_code == 404
        assert (await client.delete(f"/v1/responses/{response}", headers=BOUND)).status_code == 404
        on = {"input": "b", "previous_response_id": response}
        for path, headers in (("/v1/responses", BOUND), ("/p/main/v1/responses", {})):
            refused = await client.post(path, json=on, headers=headers)
            assert (refused.status_code, refused.json()["error"]["param"]) == (404, "previous_response_id")
        assert (await client.get(f"/v1/runs/{response}")).status_code == 404


async def test_response_goes_on_from_an_earlier_one(tmp_path):
    """The history is the conversation so far, also where two go on from the same one."""
    heard = []

    async def note(guest):
        request = await guest.hear()
        heard.append([each["content"] for each in request.history])
        await guest.say(wire.TurnDone(f"to {request.text}", [{"role": "assistant", "content": f"to {request.text}"}]))

    async with api(tmp_path / "home", note) as (client, _):
        first = (await client.post("/v1/responses", json={"input": "a"})).json()
        assert first["output"][0]["content"][0]["text"] == "to a"
        for text in ("b", "c"):
            body = {"input": text, "previous_response_id": first["id"]}
            latest = (await client.post("/v1/responses", json=body)).json()
            assert latest["previous_response_id"] == first["id"]
        await client.post("/v1/responses", json={"input": "d", "previous_response_id": latest["id"]})
    assert heard == [[], ["a", "to a"], ["a", "to a"], ["a", "to a", "c", "to c"]]


async def test_deleted_and_unstored_responses_are_gone(tmp_path):
    """Neither can be asked for or gone on from."""
    async with api(tmp_path / "home") as (client, _):
        kept = (await client.post("/v1/responses", json={"input": "a"})).json()["id"]
        unstored = (await client.post("/v1/responses", json={"input": "a", "store": False})).json()["id"]
        assert (await client.delete(f"/v1/responses/{kept}")).json()["deleted"] is True
        for response in (kept, unstored):
            assert (await client.get(f"/v1/responses/{response}")).status_code == 404
            on = {"input": "b", "previous_response_id": response}
            assert (await client.post("/v1/responses", json=on)).status_code == 404


async def test_repeated_request_has_the_same_answer(tmp_path):
    """Also while the first one still runs, whole or streamed, on every path; another body with the key is refused."""
    gate = Gate()
    async with api(tmp_path / "home", gate) as (client, _):
        answers: list[httpx.Response] = []
        body = {"model": "x", "messages": [{"role": "user", "content": "hello"}]}

        async def ask(**more):
            key = {"idempotency-key": "k"}
            answers.append(await client.post("/v1/chat/completions", json={**body, **more}, headers=key))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await gate.begun.wait()
            nursery.start_soon(ask)
            await trio.sleep(0.05)
            gate.may.set()
        await ask()
        assert gate.count == 1
        assert len({answer.text for answer in answers}) == 1
        assert answers[0].json()["choices"][0]["message"]["content"] == "hello"
        await ask(stream=True)
        assert (answers[-1].status_code, answers[-1].json()["error"]["code"]) == (409, "idempotency_conflict")
        other = await client.post("/p/coder/v1/chat/completions", json=body, headers={"idempotency-key": "k"})
        assert other.status_code == 200
        assert gate.count == 2
        runs = [await client.post("/v1/runs", json={"input": "a"}, headers={"idempotency-key": "r"}) for _ in range(2)]
        assert runs[0].json()["run_id"] == runs[1].json()["run_id"]


@pytest.mark.parametrize("headers", [{"idempotency-key": "k"}, {}])
async def test_client_that_hangs_up_leaves_what_it_can_come_back_for(tmp_path, headers):
    """With a key the turn goes on; a response without one is stopped."""
    gate = Gate()
    async with api(tmp_path / "home", gate) as (client, served):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def leave():
                    await gate.begun.wait()
                    scope.cancel()

                nursery.start_soon(leave)
                await client.post("/v1/responses", json={"input": "hello"}, headers=headers)
        if headers:
            gate.may.set()
            again = await client.post("/v1/responses", json={"input": "hello"}, headers=headers)
            assert again.json()["output"][0]["content"][0]["text"] == "hello"
        else:
            with trio.fail_after(20):
                await served.gateway.front.wait_idle()
        assert gate.count == 1


async def test_run_that_a_dead_gateway_left_is_done_by_the_next(tmp_path):
    """What was accepted is there after the restart, under the same id."""

    async def hang(guest):
        await trio.sleep_forever()

    async with api(tmp_path / "home", hang) as (client, _):
        run_id = (await client.post("/v1/runs", json={"input": "hello"})).json()["run_id"]
    async with api(tmp_path / "home") as (client, _):
        assert (await ended(client, run_id))["output"] == "hello"


async def test_full_inbox_is_429(tmp_path):
    """With Retry-After, and nothing kept."""
    config = make_config(tmp_path / "home", inbox=InboxSettings(max_queued=1))
    gate = Gate()
    async with api(tmp_path / "home", gate, config=config) as (client, _):
        await client.post("/v1/runs", json={"input": "a"})
        refused = await client.post("/v1/runs", json={"input": "b"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
        assert refused.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": 7}, "input"),
        ({"input": ""}, "input[0].content"),
        ({"input": []}, "input"),
        ({"input": [{"type": "function_call"}]}, "input[0].type"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": {}, "text": "x"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": {}, "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "input[1].role"),
        ({"input": "x", "instructions": 1}, "instructions"),
        ({"input": "x", "instructions": "y" * 200_000}, "instructions"),
        ({"input": "x", "metadata": {"a": 1}}, "metadata"),
        ({"input": "x", "stream": "yes"}, "stream"),
        ({"input": "x", "previous_response_id": 1}, "previous_response_id"),
    ],
)
async def test_wrong_field_of_a_response_is_named(tmp_path, body, param):
    """400 with the field, before anything is taken."""
    async with api(tmp_path / "home") as (client, served):
        for path in ("/v1/responses", "/v1/runs"):
            refused = await client.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
        assert served.gateway.front.inbox.open == 0


async def test_two_names_of_a_conversation_do_not_go_together(tmp_path):
    """previous_response_id and a session's header each name one."""
    async with api(tmp_path / "home") as (client, _):
        body = {"input": "a", "previous_response_id": "resp_x"}
        refused = await client.post("/v1/responses", json=body, headers={"x-hermes-session-id": "s"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "previous_response_id")
