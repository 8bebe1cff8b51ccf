"""What is shown of a turn of hermes-agent, and its end, for results that are played here."""

from types import SimpleNamespace
from typing import Any

import pytest

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.engines.hermes.showing import PREVIEW, Showing


class Said:
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, message: Any) -> None:
        self.messages.append(message)


def agent() -> Any:
    """Return what is used of an AIAgent."""
    made = SimpleNamespace(_pending_steer=None)

    def drain() -> str | None:
        text, made._pending_steer = made._pending_steer, None
        return text

    made._drain_pending_steer = drain
    made.steer = lambda text: setattr(made, "_pending_steer", text)
    return made


def test_text_and_tools_are_shown_and_the_history_is_plain() -> None:
    """Pieces and tools become messages; what the gateway's copy gains has the keys that it knows and nothing else."""
    said, made = Said(), agent()
    showing = Showing(said, made)  # type: ignore[arg-type]
    made.tool_start_callback("c1", "terminal", {"command": "ls  -l"})
    made.tool_complete_callback("c1", "terminal", {}, '{"error": "no"}')
    made.status_callback("lifecycle", "asked again " * 1000)
    made.stream_delta_callback("done")
    call = {"id": "c1", "type": "function", "function": {"name": "terminal", "arguments": "{}", "more": 1}, "call_id": "c1"}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [call], "reasoning": None},
        {"role": "tool", "tool_call_id": "c1", "content": "x", "name": "terminal"},
        {"role": "assistant", "content": "done", "finish_reason": "stop"},
    ]
    done = showing.done({"final_response": "done", "messages": messages})
    assert [type(message) for message in said.messages] == [wire.ToolCalled, wire.ToolReturned, wire.Status, wire.TextDelta]
    assert len(said.messages[2].text) == PREVIEW
    assert (said.messages[0].preview, said.messages[1].ok) == ("ls -l", False)
    plain = {"id": "c1", "type": "function", "function": {"name": "terminal", "arguments": "{}"}}
    assert done.messages == [
        {"role": "assistant", "content": None, "tool_calls": [plain]},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
        {"role": "assistant", "content": "done"},
    ]


def test_the_empty_line_that_hermes_puts_after_tools_is_not_shown() -> None:
    """The host sets what is said apart; lines within a text stay."""
    said, made = Said(), agent()
    Showing(said, made)  # type: ignore[arg-type]
    for text in ("before", None, "\n\nafter", "\n\nmore"):
        made.stream_delta_callback(text)
    assert [message.text for message in said.messages] == ["before", "after", "\n\nmore"]


def test_an_interrupted_turn_ends_with_what_was_said() -> None:
    """Not with Hermes' own word for it."""
    said, made = Said(), agent()
    showing = Showing(said, made)  # type: ignore[arg-type]
    made.stream_delta_callback("par")
    made.stream_delta_callback("tial")
    done = showing.done({"final_response": "Operation interrupted.", "interrupted": True, "messages": []})
    assert (done.text, done.interrupted) == ("partial", True)


@pytest.mark.parametrize("result", [{"failed": True, "error": "no\nway"}, {"final_response": "", "error": "no way"}])
def test_a_turn_that_hermes_gave_up_is_a_fault(result: dict[str, Any]) -> None:
    """Its sentence is Hermes' own, on one line."""
    with pytest.raises(TurnFault, match=r"^no way$"):
        Showing(Said(), agent()).done(result)  # type: ignore[arg-type]


def test_what_the_turn_is_told_is_taken_once_it_is_not_put_back() -> None:
    """Hermes drains a word before a call of the model and puts it back where there is no tool's result to add it to."""
    said, made = Said(), agent()
    showing = Showing(said, made)  # type: ignore[arg-type]
    showing.told("look here")
    made._pending_steer = made._drain_pending_steer()  # put back
    assert said.messages == []
    assert made._drain_pending_steer() == "look here"
    assert made._drain_pending_steer() is None
    assert said.messages == [wire.SteerTaken()]
