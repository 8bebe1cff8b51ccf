"""What a turn of hermes-agent begins with: the conversation as state.db has it, brought to where the gateway's session is.

Of a session that the gateway keeps, the engine's own record is the truth: it holds what the model was really told, compressed
where it had become too long, and Hermes' own commands go on from it. The gateway's copy serves commands and search. When a
turn ends, the last thing that the user said is noted in state.db. Does the gateway's copy end with something else by the next
turn, then people took something back there (/undo, /retry), and as much is taken back here, by Hermes' own means. What was
said meanwhile through Hermes itself stays. Does the copy begin with a summary that is new (/compress), then the copy takes the
place of the conversation, as after a compression of Hermes' own: what it replaces stays in state.db to be found. A title that
people gave the session there (/title, /new) becomes its title here.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

Message = dict[str, Any]

_MARK = "hermes_iso.last:"
"""In state.db, before a session's id: a digest of what the user had said last when its last turn here ended."""
_SUMMARY = "hermes_iso.summary:"
"""The same, of the summary that its conversation begins with."""
_TITLE = "hermes_iso.title:"
"""The same, of the title that the gateway gave it."""


def begin(database: Any, session_id: str, told: list[Message], *, summed_up: bool = False) -> tuple[str, list[Message]]:
    """Return the session that holds the conversation now, and its messages; `told` is the gateway's copy.

    summed_up: whether the copy begins with a summary: two messages that stand for what it replaced.
    A session that state.db does not know begins with that copy: its first turns were another engine's.
    """
    tip = database.get_compression_tip(session_id) or session_id
    row = database.get_session(tip)
    if row is None:
        return tip, told
    if row.get("ended_at"):
        database.reopen_session(tip)
    if summed_up and _changed(database, _SUMMARY + session_id, str(told[1].get("content"))):
        database.archive_and_compact(tip, told)
    last = _last_said(told)
    mark = database.get_meta(_MARK + session_id)
    if mark is not None and mark != _digest(last):
        _rewind(database, tip, last)
    return tip, database.get_messages_as_conversation(tip, repair_alternation=True)


def finish(database: Any, session_id: str, text: str, title: str) -> None:
    """Note what the user said last, now that this turn is done, and give the session a title that is new.

    One that another session has, or that Hermes does not take, is the gateway's alone.
    """
    database.set_meta(_MARK + session_id, _digest(text))
    if title and _changed(database, _TITLE + session_id, title):
        with contextlib.suppress(ValueError):
            database.set_session_title(database.get_compression_tip(session_id) or session_id, title)


def _changed(database: Any, key: str, text: str) -> bool:
    """Say whether a text is another than at the last time, and note it."""
    digest = _digest(text)
    if database.get_meta(key) == digest:
        return False
    database.set_meta(key, digest)
    return True


def _last_said(messages: list[Message]) -> str:
    """Return the last text of the user; empty when there is none."""
    return next((str(each.get("content") or "") for each in reversed(messages) if each["role"] == "user"), "")


def _digest(text: str) -> str:
    """Return what stands for a text."""
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).hexdigest()


def _rewind(database: Any, session_id: str, last: str) -> None:
    """Take back what came after the exchange that began with `last`; all of it when that is empty."""
    said = [message for message in database.get_messages(session_id) if message["role"] == "user"]
    texts = [str(message["content"] or "").strip() for message in said]
    if last and last.strip() not in texts:
        return
    after = len(texts) - texts[::-1].index(last.strip()) if last else 0
    if after < len(said):
        database.rewind_to_message(session_id, said[after]["id"])
