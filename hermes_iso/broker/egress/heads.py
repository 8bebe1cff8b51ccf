"""The head of a request, read strictly: what two readers could understand in two ways is refused. Pure.

h11 parses the head, but forgives more than a door may: folded lines, lone line feeds, the same Content-Length twice, both
Content-Length and Transfer-Encoding. So the bytes are checked first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import h11

from hermes_iso.broker.egress.names import AddressLiteralError, normal_host, port_number, read_authority, split_port

HEAD_BYTES = 32 << 10
"""Longest head of a request."""
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade"
    b" http2-settings".split()
)
"""Headers that are about one connection and never go on to the next, besides those that `Connection` names."""
FRAMING = HOP_BY_HOP | frozenset(b"host content-length content-encoding accept-encoding expect".split())
"""Headers that whoever sends a request writes by itself: nobody configures them."""
Headers = Iterable[tuple[bytes, bytes]]

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]{1,40}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)\Z")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ABSOLUTE = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^#]*)\Z", re.IGNORECASE)


class BadRequestError(Exception):
    """A request is not one that a door takes; its text is a sentence for the guest."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is for.

    kind: `tunnel` to a host; `plain`, an http URL; `local`, something of the gateway's own.
    path: with its query; empty for a tunnel. address: the host is an address, which no door leads to.
    """

    kind: Literal["tunnel", "plain", "local"]
    host: str
    port: int
    path: str = ""
    address: bool = False


def check_beginning(data: bytes) -> bool:
    """Return whether a request's first line is there, and right. Raises BadRequestError as soon as it can't become so."""
    if data and not 0x41 <= data[0] <= 0x5A:
        raise BadRequestError("This is an HTTP/1.1 proxy, and what was sent is no HTTP request.")
    line, found, _ = data.partition(b"\r\n")
    if not found:
        return False
    parts = _REQUEST_LINE.match(line)
    if parts is None:
        raise BadRequestError("The request line is malformed: METHOD TARGET HTTP/1.1 is what a proxy takes.")
    if (parts[3], parts[4]) not in ((b"1", b"1"), (b"1", b"0")):
        raise BadRequestError("The request is in another version of HTTP than 1.1 and 1.0.")
    return True


def check_head(head: bytes) -> None:
    """Raise BadRequestError for a whole head, the empty line at its end included, that could be read in two ways."""
    check_beginning(head)
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if _NO_TEXT.search(head) or any(b"\r" in line or b"\n" in line for line in lines):
        raise BadRequestError("The head of the request holds a control character or a lone line break.")
    fields = [_field(line) for line in lines[1:]]
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if lengths and codings:
        raise BadRequestError("A request has a Content-Length or a Transfer-Encoding, and this one has both.")
    if len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]{1,18}", value) for value in lengths):
        raise BadRequestError("A request has one Content-Length, a number, and this one has others.")
    if codings and (codings != [b"chunked"] or lines[0].endswith(b"1.0")):
        raise BadRequestError("The only Transfer-Encoding that is taken is one `chunked`, in HTTP/1.1.")
    if any(name == b"upgrade" for name, _ in fields):
        raise BadRequestError("An upgrade to another protocol is not possible here: use CONNECT.")


def _field(line: bytes) -> tuple[bytes, bytes]:
    """Return a header's name, lower case, and value. Raises BadRequestError."""
    if line[:1] in (b" ", b"\t"):
        raise BadRequestError("A header is folded over two lines: write it in one.")
    name, colon, value = line.partition(b":")
    if not colon or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise BadRequestError("A header is malformed: NAME: VALUE is what a proxy takes.")
    return name.lower(), value.strip(b" \t")


def read_target(request: h11.Request) -> Target:
    """Return what a request is for. Raises BadRequestError."""
    method, text = request.method, request.target.decode("ascii")
    if method == b"CONNECT":
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers):
            raise BadRequestError("A CONNECT has no body, and this one announces one.")
        host, port, address = _authority(text, None)
        target = Target("tunnel", host, port, "", address)
    elif text.startswith("/") or (text == "*" and method == b"OPTIONS"):
        host, port, address = _authority(_host_header(request) or "localhost", 80)
        return Target("local", host, port, text, address)
    else:
        target = _absolute(text)
    _check_host(request, target)
    return target


def _absolute(text: str) -> Target:
    """Return the target of http://HOST:PORT/PATH. Raises BadRequestError."""
    parts = _ABSOLUTE.match(text)
    if parts is None:
        raise BadRequestError("The target is neither HOST:PORT (CONNECT) nor http://HOST/PATH.")
    if parts[1].lower() != "http":
        raise BadRequestError("Only http:// goes through as a plain request: for https use CONNECT HOST:443.")
    host, port, address = _authority(parts[2], 80)
    return Target("plain", host, port, parts[3] if parts[3].startswith("/") else f"/{parts[3]}", address)


def _authority(text: str, default_port: int | None) -> tuple[str, int, bool]:
    """Return host, port and whether the host is an address. Raises BadRequestError."""
    if "@" in text:
        raise BadRequestError("A target names no user and no password.")
    try:
        return *read_authority(text, default_port=default_port), False
    except AddressLiteralError:
        return _address(text, default_port)
    except ValueError as error:
        raise BadRequestError(f"The target is malformed: {error}.") from error


def _address(text: str, default_port: int | None) -> tuple[str, int, bool]:
    """Return an address as it was written, and its port. Raises BadRequestError when there is none."""
    host, port = split_port(text)
    try:
        return host[:80], default_port if port is None and default_port else port_number(port or ""), True
    except ValueError as error:
        raise BadRequestError(f"The target is malformed: {error}.") from error


def _host_header(request: h11.Request) -> str:
    return next((value.decode("latin-1") for name, value in request.headers if name == b"host"), "")


def _check_host(request: h11.Request, target: Target) -> None:
    """Raise BadRequestError when the Host header, where there is one, names another host than the target."""
    header = _host_header(request)
    if not header or target.address:
        return
    host, port = split_port(header)
    # A client may leave out the port of a tunnel's Host; that of a plain request would then be 80.
    meant = str(target.port if target.kind == "tunnel" else 80) if port is None else port
    try:
        same = normal_host(host) == target.host and port_number(meant) == target.port
    except ValueError:
        same = False
    if not same:
        raise BadRequestError("The Host header differs from the target.")


def end_to_end(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of a message that go on to the other side."""
    headers = list(headers)
    named = {part.strip().lower() for name, value in headers if name == b"connection" for part in value.split(b",")}
    dropped = (HOP_BY_HOP | named) - {b"content-length"}  # without its length a body would be read as the next message
    return [(name, value) for name, value in headers if name not in dropped]
