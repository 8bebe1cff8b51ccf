"""Commands on the sessions of a chat: new, sessions, resume, title, undo, retry, compress."""

from __future__ import annotations

import time
from dataclasses import replace

from hermes_iso.commands.command import Ask, Call, Command, Reply
from hermes_iso.commands.compress import compress
from hermes_iso.outcomes import shown
from hermes_iso.session_book import Listed

TITLE_CHARS = 100


def counted(count: int, word: str) -> str:
    """Return a number with its word."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def title_of(text: str) -> str:
    """Return a title as it is kept: one line, printable, bounded."""
    return shown(text)[:TITLE_CHARS].strip()


async def _new(call: Call) -> Reply:
    """Begin a fresh session; what runs in the old one is stopped."""
    old = await call.desk.book.current()  # before the stop: from there on what runs may be stored, and then count as used last
    for turn in call.desk.running():
        call.desk.runner.interrupt(turn.turn_id)
    row = await call.desk.book.begin(title_of(call.args))
    ids = {"old_session_id": old.session_id if old else "", "new_session_id": row.session_id}
    await call.desk.hooks.session_reset(call.inbound, call.route, **ids, reason="new_session")
    titled = f" {row.title!r}" if row.title else ""
    return f"New session{titled}: {row.session_id}. The earlier one is kept: /sessions lists them, /resume goes back."


async def _sessions(call: Call) -> Reply:
    """List the sessions of the chat, or go to one."""
    word, _, rest = call.args.partition(" ")
    everybody = word == "all"
    if everybody:
        word, _, rest = rest.strip().partition(" ")
    if everybody and not call.admin:
        return "Only an admin of this agent may list the sessions of other chats."
    query = rest.strip() if word == "search" else ""
    if word == "search" and not query:
        return "Usage: /sessions search TEXT."
    if word and not query:
        return await _resume(replace(call, args=call.args))
    listed = await call.desk.book.listed(everybody=everybody, query=query)
    if not listed:
        return f"No session holds {shown(query)!r}." if query else "There is no session here yet."
    numbered = not everybody and not query
    lines = [_line(number, each, numbered=numbered) for number, each in enumerate(listed, 1)]
    return "\n".join(["Sessions, the one used last first (/resume goes to one):", *lines])


def _line(number: int, listed: Listed, *, numbered: bool) -> str:
    """Return a session as a list shows it."""
    row = listed.session
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(row.used_at))
    mark = f"{number}. " if numbered else "- "
    here = " (this one)" if listed.current else ""
    words = row.title or shown(listed.preview)
    return f"{mark}{row.session_id}{here}, {when} UTC, {counted(row.turns, 'turn')}{': ' + words if words else ''}"


async def _resume(call: Call) -> Reply:
    """Go back to an earlier session of this chat."""
    if not call.args:
        return await _sessions(call)
    found = await call.desk.book.resume(call.args, everybody=call.admin)
    if found is None:
        return f"This chat has no session {shown(call.args)[:80]!r}: /sessions lists those that it has."
    row, copied = found
    what = "A copy of that session goes on here as" if copied else "Back in session"
    return f"{what} {row.session_id}{': ' + row.title if row.title else ''} ({counted(row.turns, 'turn')})."


async def _title(call: Call) -> Reply:
    """Show or set the title of the chat's session."""
    if not call.args:
        row = await call.desk.book.current()
        if row is None:
            return "There is no session here yet."
        return f"Session {row.session_id} is called {row.title!r}." if row.title else f"Session {row.session_id} has no title."
    title = title_of(call.args)
    if not title:
        return "A title needs a character that can be shown."
    row = await call.desk.book.rename(title)
    return f"Session {row.session_id} is called {title!r} now."


async def _undo(call: Call) -> Reply:
    """Remove the last exchanges."""
    word = call.args.partition(" ")[0] or "1"
    if not (word.isascii() and word.isdecimal() and 0 < int(word[:9]) <= 1000):
        return f"Usage: /undo [N], and {shown(word)[:20]!r} is no number from 1 to 1000."
    with call.desk.alone():
        gone = await call.desk.book.undo(int(word))
    if gone is None:
        return "There is nothing to take back in this session."
    what = "The last exchange was" if gone.count == 1 else f"The last {gone.count} exchanges were"
    return f"{what} taken out of the history. It began with: {shown(gone.text)[:200]}"


async def _retry(call: Call) -> Reply:
    """Ask the last message once more; the new answer takes the place of the old one."""
    with call.desk.alone():
        last = await call.desk.book.last()
    if last is None:
        return "There is nothing to ask again in this session."
    return Ask(replace(call.inbound, text=last.text), replaces=last.turn_id)


COMMANDS = (
    Command("new", _new, "Begin a fresh session in this chat.", "[TITLE]", aliases=("reset",), stored=True),
    Command("sessions", _sessions, "List this chat's sessions, or search them.", "[search TEXT | NAME]", stored=True),
    Command("resume", _resume, "Go back to an earlier session of this chat.", "[NAME | ID | N]", stored=True),
    Command("title", _title, "Show or set the title of this session.", "[TEXT]", stored=True),
    Command("retry", _retry, "Ask the last message again; the new answer replaces the old one.", stored=True),
    Command("undo", _undo, "Take the last exchange, or the last N, out of the history.", "[N]", stored=True),
    Command("compress", compress, "Shorten the history to a summary.", "[here [N] | FOCUS]", aliases=("compact",), stored=True),
)
