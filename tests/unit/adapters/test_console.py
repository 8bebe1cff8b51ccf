"""The console adapter against a scripted terminal and a scripted line."""

from __future__ import annotations

import contextlib
import math

import pytest
import trio
import trio.testing

from hermes_iso.errors import DrainingError
from hermes_iso.messages import Outbound, Progress
from hermes_iso_adapters.console import ConsoleAdapter, StandardTerminal


class ScriptedTerminal:
    """Types the given lines; keeps what it was shown."""

    def __init__(self, *lines, interactive=True, ahead=()):
        self.interactive = interactive
        self.lines = list(lines)
        self.ahead = list(ahead)
        self.prompts = []
        self.shown = ""
        self.complaints = []
        self.interrupt, self._interrupts = trio.open_memory_channel(math.inf)

    async def read_line(self, prompt):
        await trio.lowlevel.checkpoint()
        self.prompts.append(prompt)
        return self.lines.pop(0) if self.lines else None

    async def read_ahead(self):
        await trio.testing.wait_all_tasks_blocked()
        return self.ahead.pop(0) if self.ahead else await trio.sleep_forever()

    def write(self, text):
        self.shown += text

    def complain(self, sentence):
        self.complaints.append(sentence)

    def listen(self):
        return contextlib.nullcontext(self._interrupts)


class ScriptedLine:
    """Answers every inbound with its text in capitals, after the given progress."""

    def __init__(self, *progress, error=None, refuse=None):
        self.progress = progress
        self.error = error
        self.refuse = refuse
        self.inbounds = []

    async def handle(self, inbound, deliver, relay):
        self.inbounds.append(inbound)
        if self.refuse:
            raise self.refuse
        for each in self.progress:
            await relay(each)
        outbound = Outbound(inbound.chat, inbound.text.upper(), "turn-1", "main", "session-1", error=self.error)
        return await deliver(outbound)


class StuckLine:
    """Never answers; says when it was asked and when it was cancelled."""

    def __init__(self):
        self.asked = trio.Event()
        self.cancelled = False

    async def handle(self, inbound, deliver, relay):
        self.asked.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            self.cancelled = True
            raise


async def test_question_prints_only_the_answer():
    """One question: nothing but the answer is shown, not even what was streamed."""
    terminal, line = ScriptedTerminal(), ScriptedLine(Progress("text", "HE"), Progress("tool_called", "ls", "terminal"))
    await ConsoleAdapter(agent="coder", session="s", question="hello", terminal=terminal).serve_adapter(line)
    assert terminal.shown == "HELLO\n"
    assert terminal.prompts == []
    (inbound,) = line.inbounds
    assert (inbound.agent, inbound.text, inbound.chat.platform, inbound.chat.chat_id) == ("coder", "hello", "console", "s")


async def test_question_raises_when_it_is_refused():
    """A refusal of the one question reaches the caller, which makes an exit code of it."""
    with pytest.raises(DrainingError):
        await ConsoleAdapter(question="x", terminal=ScriptedTerminal()).serve_adapter(
            ScriptedLine(refuse=DrainingError("stops"))
        )


async def test_failed_turn_is_a_complaint_and_not_an_answer():
    """A turn's error goes beside the answers and is remembered."""
    terminal = ScriptedTerminal()
    adapter = ConsoleAdapter(question="why", terminal=terminal)
    await adapter.serve_adapter(ScriptedLine(error="timeout"))
    assert (terminal.shown, terminal.complaints, adapter.failed) == ("", ["WHY"], True)


@pytest.mark.parametrize("interactive", [True, False])
async def test_chat_continues_one_session_until_quit(interactive):
    """Every line of a conversation belongs to the same chat, blank lines are skipped, /quit ends it."""
    terminal = ScriptedTerminal("one", "  ", "two", "/quit", "three", interactive=interactive)
    line = ScriptedLine()
    await ConsoleAdapter(terminal=terminal).serve_adapter(line)
    assert [inbound.text for inbound in line.inbounds] == ["one", "two"]
    assert {inbound.chat.chat_id for inbound in line.inbounds} == {"cli"}
    assert len({inbound.platform_id for inbound in line.inbounds}) == 2
    assert terminal.shown == "ONE\nTWO\n"


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        ([Progress("text", "HE"), Progress("text", "LLO")], "HELLO\n"),
        ([Progress("text", "HE")], "HELLO\n"),
        ([Progress("text", "I look"), Progress("tool_called", "ls\n-l", "terminal")], "I look\n[terminal] ls -l\nHELLO\n"),
        ([Progress("text", "other")], "other\nHELLO\n"),
    ],
)
async def test_streamed_text_is_shown_once(progress, shown):
    """What was streamed is not repeated by the answer, and what was not is added."""
    terminal = ScriptedTerminal("hello")
    await ConsoleAdapter(terminal=terminal).serve_adapter(ScriptedLine(*progress))
    assert terminal.shown == shown


async def test_interrupt_ends_the_turn_and_not_the_chat():
    """Ctrl-C cancels the running turn; the prompt comes back."""
    terminal, line = ScriptedTerminal("wait"), StuckLine()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ConsoleAdapter(terminal=terminal).serve_adapter, line)
        await line.asked.wait()
        terminal.interrupt.send_nowait(2)
    assert line.cancelled
    assert terminal.complaints == ["\nThe turn was interrupted."]
    assert len(terminal.prompts) == 2


class StoppableLine(ScriptedLine):
    """Answers at once, but `wait` only when /stop is asked."""

    def __init__(self):
        super().__init__()
        self.stopped = trio.Event()

    async def handle(self, inbound, deliver, relay):
        if inbound.text == "wait":
            await relay(Progress("text", "WA"))
            await self.stopped.wait()
        elif inbound.text == "/stop":
            self.stopped.set()
        return await super().handle(inbound, deliver, relay)


@pytest.mark.parametrize(
    ("ahead", "asked", "shown"),
    [
        ([["/status"], ["/stop"]], ["/status", "/stop", "wait"], "WA\n/STATUS\n\n/STOP\nIT\n"),
        ([["later", " "], ["/stop"]], ["/stop", "wait", "later", "last"], "WA\n/STOP\nIT\nLATER\nLAST\n"),
        ([["/quit", "never"], ["/stop"]], ["/stop", "wait"], "WA\n/STOP\nIT\n"),
    ],
)
async def test_commands_do_not_wait_for_the_turn_and_other_lines_do(ahead, asked, shown):
    """What is typed while a turn runs: a command is asked at once, /quit and all else once it has ended."""
    terminal, line = ScriptedTerminal("wait", "last", ahead=ahead), StoppableLine()
    await ConsoleAdapter(terminal=terminal).serve_adapter(line)
    said = [inbound.text for inbound in line.inbounds]
    assert (said[: len(asked)], terminal.shown[: len(shown)]) == (asked, shown)


async def test_end_of_input_waits_for_the_turn():
    """Ctrl-D while a turn runs ends the chat with the turn's answer, and no further line is asked for."""
    terminal, line = ScriptedTerminal("wait", "never", ahead=[None]), StoppableLine()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ConsoleAdapter(terminal=terminal).serve_adapter, line)
        await trio.testing.wait_all_tasks_blocked(0.01)
        line.stopped.set()
    assert ([inbound.text for inbound in line.inbounds], terminal.shown) == (["wait"], "WAIT\n")


async def test_refusal_in_a_conversation_is_shown_and_the_chat_goes_on():
    """A gateway that stops refuses each line with its sentence."""
    terminal = ScriptedTerminal("one", "two", interactive=False)
    adapter = ConsoleAdapter(terminal=terminal)
    await adapter.serve_adapter(ScriptedLine(refuse=DrainingError("It is about to stop.")))
    assert terminal.complaints == ["It is about to stop."] * 2
    assert adapter.failed


def test_standard_terminal_strips_controls_only_on_a_terminal(capsys):
    """A pipe gets the answer byte for byte."""
    StandardTerminal().write("a\x1b[2Jb\n")
    assert capsys.readouterr().out == "a\x1b[2Jb\n"


class AskingLine(ScriptedLine):
    """Asks back in the first turn, and answers it with what was said to that."""

    def __init__(self):
        super().__init__()
        self.said = trio.Event()

    async def handle(self, inbound, deliver, relay):
        if self.inbounds:
            self.said.set()
            return await super().handle(inbound, deliver, relay)
        self.inbounds.append(inbound)
        await relay(Progress("question", "Which one?", "clarify"))
        await self.said.wait()
        return await deliver(Outbound(inbound.chat, f"got {self.inbounds[1].text}", "turn-1", "main", "session-1"))


@pytest.mark.parametrize(("lines", "said"), [(("ask", "this one"), "this one"), (("ask",), "/deny")])
async def test_next_line_of_the_input_answers_a_question(lines, said):
    """Where no terminal is; at the end of the input nobody answers."""
    terminal, line = ScriptedTerminal(*lines, interactive=False), AskingLine()
    with trio.fail_after(5):
        await ConsoleAdapter(terminal=terminal).serve_adapter(line)
    assert [inbound.text for inbound in line.inbounds] == ["ask", said]
    assert terminal.shown.startswith("Which one?\n")
    assert terminal.shown.endswith(f"got {said}\n")


async def test_line_that_is_typed_answers_a_question():
    """It does not wait for the turn that asks."""
    terminal, line = ScriptedTerminal("ask", ahead=[["this one"]]), AskingLine()
    with trio.fail_after(5):
        await ConsoleAdapter(terminal=terminal).serve_adapter(line)
    assert [inbound.text for inbound in line.inbounds] == ["ask", "this one"]
    assert line.inbounds[0].answerable


async def test_one_question_alone_can_not_be_asked_back():
    """With -q nobody is there to answer, and the gateway is told so."""
    line = ScriptedLine()
    await ConsoleAdapter(question="x", terminal=ScriptedTerminal()).serve_adapter(line)
    assert not line.inbounds[0].answerable
