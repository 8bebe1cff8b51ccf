"""From an agent's Markdown to Discord's messages: it reads Markdown itself, and all that is to be done is to cut it.

A code block that is cut ends in the one message and begins again in the next one. Discord counts characters; UTF-16 units are
never fewer, and that is what is counted here.
"""

from __future__ import annotations

import re

from hermes_iso_adapters.chat_text import end_of_piece, units

MESSAGE_UNITS = 2000
"""UTF-16 units that a message may have."""
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]{0,40})[^`\n]*$", re.MULTILINE)
_ROOM = 60
"""Units that are kept free for what begins a code block again and ends it: a language, and fences of up to 8."""


def pieces_of(markdown: str, limit: int = MESSAGE_UNITS) -> list[str]:
    """Return the messages that a Markdown text becomes, in order; none for a blank one. `limit` is in UTF-16 units."""
    text = markdown.replace("\r\n", "\n").strip("\n").rstrip()
    pieces: list[str] = []
    head, start = "", 0
    while start < len(text):
        end = end_of_piece(text, start, limit - len(head))
        body, next_head = _whole(head + text[start:end])
        if units(body) > limit or (next_head and end < len(text)):
            end = end_of_piece(text, start, limit - _ROOM)
            body, next_head = _whole(head + text[start:end])
        pieces += [body] if body else []
        head, start = next_head, end
    return pieces


def _whole(part: str) -> tuple[str, str]:
    """Return a part with its last code block ended, and the line that begins that block again, '' where none was open."""
    fence, head = _open_fence(part)
    return (f"{part.rstrip()}\n{fence}", head) if fence else (part.strip("\n").rstrip(), "")


def _open_fence(part: str) -> tuple[str, str]:
    """Return the fence that a part leaves open, and the line that opens it again; two empty texts where there is none."""
    fence = head = ""
    for found in _FENCE.finditer(part):
        if not fence:
            fence = found[1][:8]
            head = f"{fence}{found[2]}\n"
        elif found[1].startswith(fence) and not found[2]:
            fence = head = ""
    return fence, head
