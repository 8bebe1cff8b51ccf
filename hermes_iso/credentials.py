"""Secret: a credential that programs in a sandbox use without having it: inside is a placeholder, outside the value goes in.

Where a request to the secret's host carries the placeholder in the declared header, that header is written anew by the
operator's format: nothing that the guest wrote stands beside the value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import trio

LONGEST = 16 << 10
"""Most characters of a value: it has to go into a header."""
PLACEHOLDER = "hermes-iso-secret-"
"""What placeholders begin with; the secret's name follows."""
SHORTEST = 8
"""Characters that a value must have: a shorter one could not be looked for in answers."""
_VALUE = re.compile(r"[\x21-\x7e]+")
_BASIC = re.compile(r"basic +", re.IGNORECASE)


@dataclass(slots=True)
class Told:
    """What a secret's command said; asked for once for each time that the config is loaded."""

    value: str | None = None
    lock: trio.Lock = field(default_factory=trio.Lock)


@dataclass(frozen=True, slots=True)
class Secret:
    """One credential of one agent.

    name: what the environment inside calls it. host: in its one spelling. header: lower case. form: the header's value with {}
    for the secret's; after `Basic `, USER:PASSWORD that is encoded here.
    value: None when a command tells it. command: its argv, run on the host.
    """

    name: str
    host: str
    port: int
    header: str
    form: str
    value: str | None = field(default=None, repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    told: Told = field(default_factory=Told, repr=False, compare=False)

    @property
    def placeholder(self) -> str:
        """What stands for the value inside of the sandbox."""
        return PLACEHOLDER + self.name

    def is_in(self, header: bytes) -> bool:
        """Say whether a header's value carries the placeholder, plainly or in Basic credentials."""
        text = header.decode("latin-1")
        pattern = re.compile(re.escape(self.placeholder) + r"(?![A-Za-z0-9_])")
        return any(map(pattern.search, (text, _basic_inside(text))))

    def written(self, value: str) -> bytes:
        """Return the whole header's value."""
        text = self.form.replace("{}", value)
        basic = _BASIC.match(text)
        if basic is None:
            return text.encode()
        return b"Basic " + base64.b64encode(text[basic.end() :].encode())


def value_complaint(value: str) -> str:
    """Say why a value can't be a secret's, without repeating any of it, or ''."""
    if not SHORTEST <= len(value) <= LONGEST:
        return f"has {len(value)} characters, and a secret has {SHORTEST} to {LONGEST}"
    return "" if _VALUE.fullmatch(value) else "holds blanks, line breaks or characters that no header takes"


def with_secrets(
    headers: Iterable[tuple[bytes, bytes]], secrets: Iterable[tuple[Secret, str]]
) -> tuple[list[tuple[bytes, bytes]], tuple[str, ...]]:
    """Return headers with each placeholder in its declared header replaced, and the names of the secrets that were put in."""
    written, used = list(headers), list[str]()
    for secret, value in secrets:
        for index, (name, content) in enumerate(written):
            if name == secret.header.encode() and secret.is_in(content):
                written[index] = (name, secret.written(value))
                used.append(secret.name)
    return written, tuple(used)


def _basic_inside(text: str) -> str:
    """Return what Basic credentials hold, or ''."""
    basic = _BASIC.match(text)
    if basic is None:
        return ""
    try:
        return base64.b64decode(text[basic.end() :], validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
