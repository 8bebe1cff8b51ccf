"""The command compress: a turn without tools sums up the older part of a session, and the summary takes its place."""

from __future__ import annotations

from dataclasses import replace

from hermes_iso.commands.command import Call, Reply
from hermes_iso.errors import TurnError
from hermes_iso.history import SUMMARY_TITLE
from hermes_iso.work import Work

KEPT = 2
"""Exchanges that stay as they are."""
_ORDER = (
    "Sum up our conversation so far for yourself, so that you can go on with it when only your summary is left: what was"
    " asked, what was done and found (names, paths, figures, decisions), what is open. Answer with the summary alone."
)


async def compress(call: Call) -> Reply:
    """Replace all but the last exchanges by a summary; the built-in offline model can't make one, so they are dropped."""
    kept, focus = _arguments(call.args)
    with call.desk.alone():
        turn = await call.desk.sessions.older(call.desk.turn_id, call.inbound, call.route, kept)
        if turn is None:
            return f"There is nothing to shorten: this session has no more than {kept} exchanges."
        agent = turn.settings.applied(call.agent)
        if agent.model.api_mode == "offline":
            gone, left = await call.desk.book.shorten(kept, call.desk.turn_id, ())
            return (
                f"The built-in offline model can't sum up: the {gone} oldest messages were dropped, and the last"
                f" {left} are kept."
            )
        order = _ORDER + (f" What matters most: {focus}" if focus else "")
        asked = replace(turn, inbound=replace(call.inbound, text=order), row=None)  # it is no part of the session
        outcome = await call.desk.runner.run(Work.without_tools(asked, agent, relay=call.desk.relay, log=call.desk.log))
        await call.desk.sessions.charge(turn, outcome.usage)
        if outcome.error is not None or outcome.interrupted or not outcome.text.strip():
            kind = outcome.error or "interrupted"
            raise TurnError(
                kind, f"The history stays as it was: {outcome.text or 'there was no summary.'}", outcome.retry_after
            )
        summary = [{"role": "user", "content": SUMMARY_TITLE}, {"role": "assistant", "content": outcome.text}]
        gone, left = await call.desk.book.shorten(kept, call.desk.turn_id, summary)
    return f"{gone} messages were summed up in {len(outcome.text)} characters; the history has {left} messages now."


def _arguments(args: str) -> tuple[int, str]:
    """Return how many exchanges stay, and what the summary is to hold on to."""
    word, _, rest = args.partition(" ")
    if word != "here":
        return KEPT, args
    number = rest.strip()
    return (min(int(number[:4]), 1000) if number.isascii() and number.isdecimal() else KEPT), ""
