"""From an agent's Markdown to Telegram's messages: plain text with entities, cut where it may be cut.

Telegram can parse Markdown itself, and then refuses a whole message for one stray asterisk, and a cut inside of a code block
breaks both halves. So the Markdown is read here into text and spans of style; the text is cut, and each piece has the spans
that lie in it. That never fails to be valid: what is not understood stays as it was written, and so do names such as __init__.
Telegram counts UTF-16 units.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from telegram import MessageEntity

from hermes_iso_adapters.chat_text import end_of_piece, units

MESSAGE_UNITS = 4096
"""UTF-16 units that a message may have."""
MOST_ENTITIES = 100
"""Entities of a message that Telegram takes."""
LINE_CHARS = 8_000
"""Characters of a line whose inline styles are read; a longer one is no prose."""
_NESTING = 6
_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]{0,40})[^`\n]*\Z")
_HEADING = re.compile(r"[ ]{0,3}#{1,6}[ \t]+(.*?)[ \t#]*\Z")
_QUOTE = re.compile(r"[ ]{0,3}>[ \t]?(.*)\Z")
_BULLET = re.compile(r"([ \t]*)[*+-][ \t]+(.*)\Z")
_INLINE = re.compile(
    r"\\(?P<escaped>[\\`*_{}\[\]()#+.!~|>-])"
    r"|(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|\[(?P<label>[^\[\]\n]+)\]\((?P<url>(?:https?|tg|mailto):[^\s()]+(?:\([^\s()]*\)[^\s()]*)*)\)"
    r"|\*\*(?=\S)(?P<bold>.+?)(?<=\S)\*\*"
    r"|(?<!\w)__(?=\S)(?P<strong>[^_\n]*? [^_\n]*?)(?<=\S)__(?!\w)"
    r"|~~(?=\S)(?P<struck>.+?)(?<=\S)~~"
    r"|\|\|(?=\S)(?P<spoiler>.+?)(?<=\S)\|\|"
    r"|(?<!\w)\*(?=[^\s*])(?P<italic>[^*\n]*?)(?<=\S)\*(?![\w*])"
    r"|(?<!\w)_(?=[^\s_])(?P<slanted>[^_\n]*?)(?<=\S)_(?!\w)"
)
_STYLES = {
    "bold": MessageEntity.BOLD,
    "strong": MessageEntity.BOLD,
    "struck": MessageEntity.STRIKETHROUGH,
    "spoiler": MessageEntity.SPOILER,
    "italic": MessageEntity.ITALIC,
    "slanted": MessageEntity.ITALIC,
}


@dataclass(frozen=True, slots=True)
class Span:
    """A style of a part of a text: character `start` up to `end`; `extra` is a link's URL or a code block's language."""

    start: int
    end: int
    kind: str
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that fits into one message, with its styles."""

    text: str
    spans: tuple[Span, ...] = ()

    @property
    def entities(self) -> list[MessageEntity]:
        """Return its styles as Telegram wants them, in UTF-16 units."""
        found = []
        for span in self.spans[:MOST_ENTITIES]:
            offset, length = units(self.text[: span.start]), units(self.text[span.start : span.end])
            url = span.extra if span.kind == MessageEntity.TEXT_LINK else None
            language = span.extra or None if span.kind == MessageEntity.PRE else None
            found.append(MessageEntity(span.kind, offset, length, url=url, language=language))
        return found


def pieces_of(markdown: str, limit: int = MESSAGE_UNITS) -> list[Piece]:
    """Return the messages that a Markdown text becomes, in order; none for a blank one. `limit` is in UTF-16 units."""
    whole = _read(markdown)
    return [piece for piece in (_trimmed(each) for each in _cut(whole, limit)) if piece.text]


def _read(markdown: str) -> Piece:
    """Return a whole text without its marks, and its styles."""
    builder = _Builder()
    fence, language, begun = "", "", 0
    for line in markdown.replace("\r\n", "\n").split("\n"):
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2]:
                builder.end_code(begun, language)
                fence = ""
            else:
                builder.line(line)
        elif found:
            fence, language, begun = found[1], found[2], builder.length
        else:
            _read_line(line, builder)
    if fence:
        builder.end_code(begun, language)
    return builder.whole()


def _read_line(line: str, builder: _Builder) -> None:
    """Read a line outside of code: a heading, a quote, an item of a list, or prose."""
    begun = builder.length
    if len(line) > LINE_CHARS:
        builder.line(line)
    elif heading := _HEADING.match(line):
        _read_inline(heading[1], builder)
        builder.end_line((Span(begun, builder.length, MessageEntity.BOLD),))
    elif quote := _QUOTE.match(line):
        _read_inline(quote[1], builder)
        builder.end_line((Span(begun, builder.length, MessageEntity.BLOCKQUOTE),))
    else:
        bullet = _BULLET.match(line)
        builder.add(f"{bullet[1]}• " if bullet else "")
        _read_inline(bullet[2] if bullet else line, builder)
        builder.end_line()


def _read_inline(text: str, builder: _Builder, depth: int = 0) -> None:
    """Read the styles within a line."""
    position = 0
    for found in _INLINE.finditer(text) if depth < _NESTING else ():
        builder.add(text[position : found.start()])
        position, begun, name = found.end(), builder.length, found.lastgroup or ""
        if name == "escaped":
            builder.add(found["escaped"])
        elif found["code"] is not None:
            code = found["code"]
            builder.add(code[1:-1] if code.strip() and code[0] == code[-1] == " " else code)
            builder.style(begun, MessageEntity.CODE)
        elif found["url"] is not None:
            _read_inline(found["label"], builder, depth + 1)
            builder.style(begun, MessageEntity.TEXT_LINK, found["url"])
        else:
            _read_inline(found[name], builder, depth + 1)
            builder.style(begun, _STYLES[name])
    builder.add(text[position:])


class _Builder:
    """Gathers text and spans."""

    def __init__(self) -> None:
        self.length = 0
        self._parts: list[str] = []
        self._spans: list[Span] = []

    def add(self, text: str) -> None:
        self._parts.append(text)
        self.length += len(text)

    def style(self, start: int, kind: str, extra: str = "") -> None:
        if self.length > start:
            self._spans.append(Span(start, self.length, kind, extra))

    def line(self, text: str) -> None:
        self.add(text + "\n")

    def end_line(self, spans: tuple[Span, ...] = ()) -> None:
        self._spans += [span for span in spans if span.end > span.start]
        self.add("\n")

    def end_code(self, start: int, language: str) -> None:
        """End a code block: the line break before the closing fence is not a part of it."""
        if self.length > start:
            self._spans.append(Span(start, self.length - 1, MessageEntity.PRE, language))

    def whole(self) -> Piece:
        return Piece("".join(self._parts), tuple(sorted(self._spans, key=lambda span: (span.start, -span.end))))


def _cut(whole: Piece, limit: int) -> Iterator[Piece]:
    """Cut a text into pieces that fit."""
    start = 0
    while start < len(whole.text):
        end = end_of_piece(whole.text, start, limit)
        yield _part(whole, start, end)
        start = end


def _part(whole: Piece, start: int, end: int) -> Piece:
    """Return a part of a text with the styles that lie in it."""
    spans = (
        replace(span, start=max(span.start, start) - start, end=min(span.end, end) - start)
        for span in whole.spans
        if span.start < end and span.end > start
    )
    return Piece(whole.text[start:end], tuple(spans))


def _trimmed(piece: Piece) -> Piece:
    """Return a piece without blank lines at its start and blanks at its end, which Telegram would take away."""
    start = len(piece.text) - len(piece.text.lstrip("\n"))
    end = len(piece.text.rstrip())
    trimmed = _part(piece, start, max(start, end))
    return Piece(trimmed.text, tuple(span for span in trimmed.spans if span.end > span.start))
