"""The native engine: its loop, its history, its ends."""

import json
import time

import pytest

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.engines.native import CALLS_LIMIT, UNKNOWN_LIMIT, take_turn
from hermes_iso_sandbox.guest.link import CallError
from tests.support.fake_link import FakeLink, calls, interrupted_after, says

ALL = ["terminal", "process", "read_file", "write_file", "patch", "search_files", "execute_code", "memory", "todo"]


def request(text="hello", *, tools=ALL, history=(), limit=10, persona="You are Ada."):
    """Return a request for one turn."""
    return wire.TurnRequest("t1", "ada", "key", "s1", text, list(history), persona, "Be brief.", list(tools), limit)


def turn(script, **asked):
    """Take a turn with a scripted model; return its end and the link."""
    with FakeLink(*script) as link:
        done = take_turn(request(**asked), link)
        wire.encode(done)
        return done, link


def roles(messages):
    """Return the roles of messages in order."""
    return [message["role"] for message in messages]


def test_answer_without_tools_is_streamed_and_returned(workspace):
    """A plain answer comes as pieces, as the text, and as the one new message."""
    done, link = turn([says("Hello there")])
    assert done == wire.TurnDone("Hello there", [{"role": "assistant", "content": "Hello there"}])
    assert [event.text for event in link.sent] == ["Hel", "lo there"]


def test_model_sees_system_history_and_text_in_order(workspace):
    """The call holds the system prompt first, then the history as it came, then the new text."""
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    _, link = turn([says("x")], text="c", history=history)
    [(method, params)] = link.calls
    assert method == "model"
    assert params["messages"][1:] == [*history, {"role": "user", "content": "c"}]
    system = params["messages"][0]
    assert system["role"] == "system"
    assert system["content"].startswith("You are Ada.")
    assert str(workspace) in system["content"]
    assert system["content"].endswith("Be brief.")


def test_tool_calls_are_done_in_order_and_told(workspace):
    """Each call runs, is announced before and after, and its result goes to the model under its id."""
    wanted = calls(("terminal", {"command": "echo one"}), ("terminal", {"command": "echo two"}), text="Looking.")
    done, link = turn([wanted, says("done")])
    assert done.text == "done"
    assert roles(done.messages) == ["assistant", "tool", "tool", "assistant"]
    assert [json.loads(m["content"])["output"] for m in done.messages[1:3]] == ["one", "two"]
    assert [m["tool_call_id"] for m in done.messages[1:3]] == ["call_0", "call_1"]
    assert link.calls[1][1]["messages"][-3:] == done.messages[:3]
    events = [event for event in link.sent if not isinstance(event, wire.TextDelta)]
    assert [type(event).__name__ for event in events] == ["ToolCalled", "ToolReturned"] * 2
    assert events[0].preview == "echo one"
    assert events[1].ok is True


@pytest.mark.parametrize("arguments", ["{not json", "[1]", '{"timeout": 5}', '{"command": 5}', "[" * 100_000])
def test_bad_arguments_are_an_error_for_the_model(workspace, arguments):
    """Arguments that are no JSON, no object, incomplete or of the wrong type are answered, and the turn goes on."""
    done, link = turn([calls(("terminal", arguments)), says("sorry")])
    assert "error" in json.loads(done.messages[1]["content"])
    assert done.text == "sorry"
    assert [event.ok for event in link.sent if isinstance(event, wire.ToolReturned)] == [False]


def test_tool_that_is_not_granted_is_refused_by_name(workspace):
    """A tool outside the grant does nothing; the model is told what it has."""
    marker = workspace / "made"
    done, _ = turn([calls(("terminal", {"command": f"touch {marker}"})), says("ok")], tools=["read_file", "todo"])
    assert "read_file, todo" in json.loads(done.messages[1]["content"])["error"]
    assert not marker.exists()


def test_turn_fails_when_model_calls_only_unknown_tools(workspace):
    """A model that calls an unknown tool again and again ends the turn with one sentence that names the tool."""
    with FakeLink(*[calls(("fly", {}))] * UNKNOWN_LIMIT) as link, pytest.raises(TurnFault, match="'fly'") as caught:
        take_turn(request(), link)
    assert caught.value.kind == "bad_response"
    assert len(link.calls) == UNKNOWN_LIMIT


def test_unknown_tools_are_forgiven_when_a_known_one_comes_between(workspace):
    """Only answers in a row count."""
    script = [calls(("fly", {})), calls(("fly", {})), calls(("todo", {})), calls(("fly", {})), calls(("fly", {})), says("ok")]
    assert turn(script)[0].text == "ok"


def test_last_call_asks_for_a_summary_when_steps_are_used_up(workspace):
    """After max_iterations calls one more asks for a summary; what asked for it is not in the history."""
    done, link = turn([calls(("todo", {})), calls(("todo", {})), says("summary")], limit=2)
    assert done.text == "summary"
    assert len(link.calls) == 3
    assert link.calls[2][1]["messages"][-1]["role"] == "user"
    assert roles(done.messages) == ["assistant", "tool", "assistant", "tool", "assistant"]


def test_tool_calls_of_the_summary_are_dropped(workspace):
    """A model that goes on calling tools is not obeyed; the history has no call without a result."""
    done, _ = turn([calls(("todo", {})), calls(("todo", {}))], limit=1)
    assert "used up its steps" in done.text
    assert done.messages[-1] == {"role": "assistant", "content": done.text}


def test_used_up_turn_says_so_when_the_summary_fails(workspace):
    """A failing summary leaves a clear sentence, not a failed turn."""
    done, _ = turn([calls(("todo", {})), CallError("upstream", "The model is down.")], limit=1)
    assert "used up its steps" in done.text
    assert "The model is down." in done.text


def test_model_error_fails_the_turn_with_its_kind(workspace):
    """An error of the model broker is the turn's error, word for word."""
    with FakeLink(CallError("rate_limited", "Too many.")) as link, pytest.raises(TurnFault, match="Too many") as caught:
        take_turn(request(), link)
    assert caught.value.kind == "rate_limited"


def test_empty_answer_is_asked_again_once(workspace):
    """One empty answer is forgiven; the second fails the turn."""
    assert turn([says(""), says("now")])[0].messages == [{"role": "assistant", "content": "now"}]
    with FakeLink(says(""), says(" ")) as link, pytest.raises(TurnFault, match="neither text nor a tool call"):
        take_turn(request(), link)


def test_interrupt_while_the_model_speaks_keeps_what_it_said(workspace):
    """The partial text is the answer and is in the history."""
    done, _ = turn([interrupted_after("Half a sen")])
    assert done == wire.TurnDone("Half a sen", [{"role": "assistant", "content": "Half a sen"}], interrupted=True)


def test_what_the_turn_is_told_meanwhile_is_part_of_the_next_call(workspace):
    """Said while a tool runs, it follows the tool's result as a message of the user, and the host hears that it was taken."""

    def wanted(link, on_chunk):
        link.told = ["and also blue"]
        return calls(("todo", {}))

    done, link = turn([wanted, says("done")])
    assert roles(link.calls[-1][1]["messages"])[-3:] == ["assistant", "tool", "user"]
    assert done.messages[-2:] == [{"role": "user", "content": "and also blue"}, {"role": "assistant", "content": "done"}]
    assert [type(event) for event in link.sent].count(wire.SteerTaken) == 1


def test_what_the_turn_is_told_at_its_end_is_answered_too(workspace):
    """Said while the model gives its last answer, it leads to one more call rather than to nothing."""

    def last(link, on_chunk):
        link.told = ["wait"]
        return says("first")

    done, link = turn([last, says("second")])
    assert done.text == "second"
    assert [message["content"] for message in done.messages] == ["first", "wait", "second"]
    assert len(link.calls) == 2


def test_interrupt_before_a_command_leaves_every_call_a_result(workspace):
    """No command is begun after an interrupt; every call has a result and the turn says that it was interrupted."""

    def wanted(link, on_chunk):
        link.interrupt()
        return calls(("terminal", {"command": "sleep 60"}), ("todo", {}), text="On it.")

    started = time.monotonic()
    done, _ = turn([wanted])
    assert time.monotonic() - started < 5
    assert done.interrupted
    assert done.text == "On it."
    assert roles(done.messages) == ["assistant", "tool", "tool", "assistant"]


def test_interrupt_during_a_command_is_told_as_failed_tool(workspace):
    """The tool that was running is reported as ended and not ok."""

    class EagerHost(FakeLink):
        def send(self, message):
            super().send(message)
            if isinstance(message, wire.ToolCalled):
                self.interrupt()

    started = time.monotonic()
    with EagerHost(calls(("terminal", {"command": "sleep 60"}))) as link:
        done = take_turn(request(), link)
    assert time.monotonic() - started < 5
    assert done.interrupted
    assert done.text == ""
    assert [event.ok for event in link.sent if isinstance(event, wire.ToolReturned)] == [False]


@pytest.mark.slow
def test_conversation_that_is_too_long_loses_the_oldest_results_first(workspace):
    """What would not fit in a frame is shortened from the oldest tool result on, and says so; the newest stays whole."""
    (workspace / "big").write_text(("y" * 99 + "\n") * 900)
    script = [calls(("read_file", {"path": "big", "limit": 2000}))] * 14
    done, link = turn([*script, says("ok")], limit=20)
    last = link.calls[-1][1]["messages"]
    results = [message["content"] for message in last if message["role"] == "tool"]
    assert "left out here to make room" in results[0]
    assert json.loads(results[-1])["total_lines"] == 900
    assert done.text == "ok"


def test_message_that_can_not_fit_fails_with_a_sentence(workspace):
    """A text larger than a model call may be is refused in words."""
    with FakeLink() as link, pytest.raises(TurnFault, match="begin a new one") as caught:
        take_turn(request("z" * 950_000), link)
    assert caught.value.kind == "too_large"


def test_longest_answer_still_fits_in_a_frame(workspace):
    """An answer of nearly a frame is returned whole, although the history can't hold it a second time."""
    done, _ = turn([says("w" * 960_000)])
    assert len(done.text) == 960_000
    assert "left out" in done.messages[-1]["content"]


def test_half_surrogates_do_not_break_a_frame(workspace):
    """What no UTF-8 can carry is replaced before it is sent."""
    done, _ = turn([says("broken \ud800 text")])
    assert done.text == "broken ? text"


def test_ids_of_calls_are_made_unique(workspace):
    """Two calls with the same id, or with none, get results of their own."""
    wanted = calls(("todo", {}), ("todo", {}))
    for call in wanted["message"]["tool_calls"]:
        call["id"] = "same"
    done, _ = turn([wanted, says("ok")])
    ids = [call["id"] for call in done.messages[0]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [message["tool_call_id"] for message in done.messages[1:3]] == ids


def test_answer_with_very_many_calls_is_cut(workspace):
    """Only so many calls of one answer are done, and the history holds no other."""
    done, _ = turn([calls(*[("todo", {})] * 500), says("ok")])
    assert len(done.messages[0]["tool_calls"]) == len(done.messages) - 2 == CALLS_LIMIT


def test_todo_list_is_carried_in_the_history(workspace):
    """A later turn of the session sees the list as the last todo call left it."""
    todos = [{"id": "1", "content": "sweep", "status": "pending"}]
    first, _ = turn([calls(("todo", {"todos": todos})), says("ok")])
    second, _ = turn([calls(("todo", {})), says("ok")], history=[{"role": "user", "content": "a"}, *first.messages])
    assert json.loads(second.messages[1]["content"])["todos"] == todos


def test_cd_is_seen_by_the_next_command_and_by_file_tools(workspace):
    """The working directory moves with `cd` for the rest of the turn."""
    (workspace / "sub").mkdir()
    (workspace / "sub" / "note").write_text("here\n")
    script = [
        calls(("terminal", {"command": "cd sub"})),
        calls(("terminal", {"command": "pwd"}), ("read_file", {"path": "note"})),
    ]
    done, _ = turn([*script, says("ok")])
    results = [json.loads(message["content"]) for message in done.messages if message["role"] == "tool"]
    assert results[1]["output"].endswith("/sub")
    assert results[2]["content"] == "1|here"


def test_turn_without_tools_costs_little(workspace):
    """The engine itself takes less than a millisecond for a plain answer (the best of many, on a busy machine)."""
    best = 1.0
    for _ in range(50):
        with FakeLink(says("hi")) as link:
            started = time.perf_counter()
            take_turn(request(), link)
            best = min(best, time.perf_counter() - started)
    assert best < 0.001
