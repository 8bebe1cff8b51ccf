"""The console adapter: one person at a terminal, one chat."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

import trio

from hermes_iso.adapter import Line
from hermes_iso.errors import HermesIsoError
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress, Receipt

PLATFORM = "console"
_QUIT = "/quit"
_NO_ANSWER = "/deny"
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Terminal(Protocol):
    """Where the person sits. `interactive`: somebody watches, so that prompts and streamed text make sense."""

    interactive: bool

    async def read_line(self, prompt: str) -> str | None:
        """Return the next line without its end, or None when there is no more. Called by the adapter, one at a time."""

    async def read_ahead(self) -> list[str] | None:
        """Return lines that were typed, without a prompt, or None at the end of input. Cancelling takes nothing away."""

    def write(self, text: str) -> None:
        """Show text of the agent at once."""

    def complain(self, sentence: str) -> None:
        """Show a sentence that is no answer."""

    def listen(self) -> AbstractContextManager[AsyncIterator[int]]:
        """Return the interrupts (Ctrl-C) that come while the context is open; they end nothing by themselves."""


class StandardTerminal:
    """stdin, stdout and stderr of this process."""

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._begun = ""
        if self.interactive:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  # input() edits lines with it once it is imported

    async def read_line(self, prompt: str) -> str | None:
        """Return the next line of stdin. Cancelling leaves the read behind; it ends with the process."""
        begun, self._begun = self._begun, ""
        try:
            return begun + await trio.to_thread.run_sync(_input, prompt if self.interactive else None, abandon_on_cancel=True)
        except EOFError:
            if self.interactive:
                self.write("\n")
            return None

    async def read_ahead(self) -> list[str] | None:
        """Wait for lines of a terminal that nobody else reads now; one that was only begun is kept for the next reader."""
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        typed = os.read(sys.stdin.fileno(), 65536).decode("utf-8", "replace")
        *lines, self._begun = (self._begun + typed).split("\n")
        return lines if typed else None

    def write(self, text: str) -> None:
        """Write to stdout; on a terminal without the control characters with which an agent could drive it."""
        sys.stdout.write(_CONTROLS.sub("", text) if sys.stdout.isatty() else text)
        sys.stdout.flush()

    def complain(self, sentence: str) -> None:
        """Write a line to stderr."""
        print(_CONTROLS.sub("", sentence), file=sys.stderr, flush=True)  # noqa: T201  # the terminal is this adapter's platform

    @contextlib.contextmanager
    def listen(self) -> Iterator[AsyncIterator[int]]:
        """Receive SIGINT while the context is open."""
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            yield signals


def _input(prompt: str | None) -> str:
    """Read a line in a thread; only a person needs a prompt and line editing."""
    if prompt is not None:
        return input(prompt)
    line = sys.stdin.buffer.readline()
    if not line:
        raise EOFError
    return line.decode("utf-8", "replace").rstrip("\r\n")


class ConsoleAdapter:
    """Carry what a person types to an agent and show the answers.

    agent: who is asked; None lets the routes decide. session: names the conversation, so that the next chat continues it.
    question: ask this alone and end. `failed` is True once a turn ended with an error.
    """

    name = PLATFORM

    def __init__(
        self,
        *,
        agent: str | None = None,
        session: str = "cli",
        question: str | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        self.failed = False
        self._agent = agent
        self._chat = ChatRef(platform=PLATFORM, chat_id=session)
        self._question = question
        self._terminal = StandardTerminal() if terminal is None else terminal
        self._streams = self._terminal.interactive and question is None
        self._shown = ""
        self._typed: list[str | None] = []
        self._asked = trio.Event()

    async def serve_adapter(self, line: Line, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until the person ends the chat (end of input or /quit) or the one question is answered.

        Raises RouteRejectedError, DrainingError or what else kept the one question from being asked.
        """
        task_status.started()
        if self._question is not None:
            await self._ask(line, self._question)
        elif self._terminal.interactive:
            with self._terminal.listen() as interrupts:
                await self._converse(line, interrupts)
        else:
            while (text := await self._terminal.read_line("")) is not None and text.strip() != _QUIT:
                await self._ask_and_answer(line, text)

    async def _converse(self, line: Line, interrupts: AsyncIterator[int]) -> None:
        """Take turns with a person; an interrupt ends the running turn, and between turns it says how to leave."""
        turn: trio.CancelScope | None = None

        async def watch() -> None:
            async for _ in interrupts:
                if turn is None:
                    self._terminal.complain("\nCtrl-D or /quit ends the chat.")
                else:
                    turn.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            while (text := await self._next()) is not None and text.strip() != _QUIT:
                with trio.CancelScope() as turn:
                    await self._ask_and_listen(line, text)
                if turn.cancelled_caught:
                    self._terminal.complain("\nThe turn was interrupted.")
                turn = None
            nursery.cancel_scope.cancel()

    async def _next(self) -> str | None:
        """Return what was typed while the last turn ran, else the next line."""
        return self._typed.pop(0) if self._typed else await self._terminal.read_line("> ")

    async def _ask_and_answer(self, line: Line, text: str) -> None:
        """Ask; the next line of the input answers what the agent asks back, and its end leaves that unanswered."""

        async def answer() -> None:
            while True:
                await self._asked.wait()
                self._asked = trio.Event()
                said = await self._terminal.read_line("")
                await self._ask_safely(line, _NO_ANSWER if said is None else said, beside=True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await self._ask_safely(line, text)
            nursery.cancel_scope.cancel()

    async def _ask_and_listen(self, line: Line, text: str) -> None:
        """Ask, and meanwhile take what is typed: commands and answers are said beside the turn, all else waits for its end."""
        unanswered = 1

        async def ask(text: str, *, beside: bool) -> None:
            nonlocal unanswered
            await self._ask_safely(line, text, beside=beside)
            unanswered -= 1
            if not unanswered:
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ask, text, beside=False))
            while (lines := await self._terminal.read_ahead()) is not None:
                for typed in lines:
                    command = typed.lstrip().startswith("/") and typed.strip() != _QUIT
                    if command or (self._asked.is_set() and typed.strip()):
                        self._asked = self._asked if command else trio.Event()
                        unanswered += 1
                        nursery.start_soon(partial(ask, typed, beside=True))
                    else:
                        self._typed.append(typed)
            self._typed.append(None)

    async def _ask_safely(self, line: Line, text: str, *, beside: bool = False) -> None:
        """Ask unless the line is blank; a refusal is shown and the chat goes on."""
        if not text.strip():
            return
        try:
            await self._ask(line, text, beside=beside)
        except HermesIsoError as error:
            self.failed = True
            self._terminal.complain(str(error))

    async def _ask(self, line: Line, text: str, *, beside: bool = False) -> None:
        inbound = Inbound(
            chat=self._chat,
            text=text,
            platform_id=uuid.uuid4().hex,
            agent=self._agent,
            answerable=self._question is None,
        )
        if beside:
            await line.handle(inbound, self._deliver_beside, self._relay_beside)
        else:
            self._shown, self._asked = "", trio.Event()
            await line.handle(inbound, self._deliver, self._relay)

    async def _relay(self, progress: Progress) -> None:
        """Show a running turn to somebody who watches, and a question of it to everybody."""
        await self._relay_beside(progress)
        if not self._streams:
            return
        if progress.kind == "text":
            self._shown += progress.text
            self._terminal.write(progress.text)
        elif progress.kind in ("tool_called", "status"):
            start = "\n" if self._shown and not self._shown.endswith("\n") else ""
            self._terminal.write(f"{start}[{progress.name or 'status'}] {' '.join(progress.text.split())[:100]}\n")
            self._shown = ""

    async def _relay_beside(self, progress: Progress) -> None:
        """Show nothing of a turn beside the one that is watched but what it asks."""
        if progress.kind == "question":
            start = "\n" if self._shown and not self._shown.endswith("\n") else ""
            self._terminal.write(f"{start}{progress.text}\n")
            self._shown = ""
            self._asked.set()

    async def _deliver(self, outbound: Outbound) -> Receipt:
        """Show the answer, or what of it was not streamed yet."""
        if outbound.error is not None:
            self.failed = True
            self._terminal.complain(("\n" if self._shown else "") + outbound.text)
        else:
            rest = outbound.text.removeprefix(self._shown) if self._shown else outbound.text
            apart = bool(self._shown) and not outbound.text.startswith(self._shown)
            end = "" if outbound.text.endswith("\n") else "\n"
            self._terminal.write(("\n" if apart else "") + rest + end)
        return Receipt(outbound, platform_id=f"{PLATFORM}-{outbound.turn_id}")

    async def _deliver_beside(self, outbound: Outbound) -> Receipt:
        """Show the answer to a command on lines of its own, amid those of the turn that runs."""
        start = "\n" if self._shown and not self._shown.endswith("\n") else ""
        if outbound.error is not None:
            self.failed = True
            self._terminal.complain(start + outbound.text)
        else:
            self._terminal.write(start + outbound.text.removesuffix("\n") + "\n")
        return Receipt(outbound, platform_id=f"{PLATFORM}-{outbound.turn_id}")
