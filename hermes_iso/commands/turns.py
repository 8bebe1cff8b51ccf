"""Commands on turns: stop, queue, steer, background."""

from __future__ import annotations

import secrets
from dataclasses import replace

from hermes_iso.commands.command import Ask, Call, Command, Reply
from hermes_iso.session_settings import SessionSettings

_MARK = "bg_"


async def _stop(call: Call) -> Reply:
    """Stop the turn that runs in the session; with `all` those beside it too."""
    everything = call.args == "all"
    turns = call.desk.around() if everything else call.desk.running()
    for turn in turns:
        call.desk.runner.interrupt(turn.turn_id)
    waiting = call.desk.waiting()
    rest = f" Of this chat {waiting} more {'waits' if waiting == 1 else 'wait'}, to be taken next." if waiting else ""
    if not turns:
        return f"Nothing runs in this session.{rest}"
    return ("The running turn was stopped." if len(turns) == 1 else f"{len(turns)} running turns were stopped.") + rest


async def _queue(call: Call) -> Reply:
    """Ask something after the turn that runs: every message does, so this is one."""
    return call.ask(call.args) if call.args else "Usage: /queue TEXT."


async def _steer(call: Call) -> Reply:
    """Say something to the running turn; where none takes it, it is a turn of its own."""
    if not call.args:
        return "Usage: /steer TEXT."
    for turn in call.desk.running():
        if await call.desk.runner.steer(turn.turn_id, call.args):
            return "The running turn has it."
    return call.ask(call.args)


async def _background(call: Call) -> Reply:
    """Ask something beside the session: a turn without its history, which leaves none there."""
    if not call.args:
        return "Usage: /background TEXT."
    row = await call.desk.book.current() if call.stored else None
    settings = SessionSettings.from_text(row.settings if row else "{}")
    session_id = f"{_MARK}{secrets.token_hex(8)}"
    answerable = call.inbound.answerable and not call.inbound.session_id  # whoever named one asks in that session alone
    inbound = replace(call.inbound, text=call.args, history=(), session_id=session_id, process_key=None, answerable=answerable)
    return Ask(inbound, settings=settings, beside=True)


COMMANDS = (
    Command(
        "stop", _stop, "Stop the turn that runs in this session; `all`: those in the background too.", "[all]", stored=True
    ),
    Command("queue", _queue, "Ask something once the running turn has ended.", "TEXT", aliases=("q",)),
    Command("steer", _steer, "Tell the running turn something before its next step.", "TEXT", stored=True),
    Command("background", _background, "Ask something beside this session.", "TEXT", aliases=("bg", "btw")),
)
