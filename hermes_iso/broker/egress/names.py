"""Host names and HOST:PORT as rules compare them: one spelling for each host, and no address passes for a name."""

from __future__ import annotations

import re

import idna

LONGEST = 253
"""Characters of a host name."""
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z", re.ASCII)
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}\Z", re.ASCII)


class AddressLiteralError(ValueError):
    """An address stands where a name belongs."""


def normal_host(text: str) -> str:
    """Return a host name in its one spelling: IDNA's ASCII form, lower case, without a dot at the end.

    Raises AddressLiteralError for an address in any form that some system reads as one, ValueError for what is no name.
    """
    if not 0 < len(text) <= 4 * LONGEST:
        raise ValueError(_no_name(text))
    if any(letter in text for letter in "[]:%"):
        raise AddressLiteralError(f"{text[:80]!r} is an address and not a name")
    name = _ascii(text).lower().removesuffix(".")
    if len(name) > LONGEST or not all(_LABEL.match(label) for label in name.split(".")):
        raise ValueError(_no_name(text))
    # 127.0.0.1, 127.1, 0x7f.1, 2130706433: no top-level domain is a number, so what ends in one is read as an address.
    if _NUMBER.match(name.rpartition(".")[2]):
        raise AddressLiteralError(f"{text[:80]!r} is an address and not a name")
    return name


def split_port(text: str) -> tuple[str, str | None]:
    """Return what stands before the last colon and what stands behind it; None without a colon. Brackets keep theirs."""
    if text.endswith("]") or ":" not in text:
        return text, None
    host, _, port = text.rpartition(":")
    return host, port


def port_number(text: str) -> int:
    """Return the port that a text names. Raises ValueError."""
    if not _PORT.match(text) or not 0 < int(text) <= 65535:
        raise ValueError(f"{text[:20]!r} is no port: write a number from 1 to 65535")
    return int(text)


def read_authority(text: str, *, default_port: int | None = None) -> tuple[str, int]:
    """Return the host, in its one spelling, and the port of HOST:PORT. Raises ValueError, AddressLiteralError."""
    host, port = split_port(text)
    if port is None and default_port is None:
        raise ValueError(f"{text[:80]!r} has no port: write HOST:PORT")
    number = default_port if port is None else port_number(port)
    assert number is not None
    return normal_host(host), number


def _ascii(text: str) -> str:
    """Return a name in ASCII. Raises ValueError."""
    if text.isascii():
        return text
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(_no_name(text)) from error


def _no_name(text: str) -> str:
    return f"{text[:80]!r} is no host name"
