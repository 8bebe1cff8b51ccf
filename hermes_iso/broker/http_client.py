"""HttpClient: posts to providers over connections that it keeps open: plain HTTP/1.1, with a deadline on every wait.

A general client does more than a gateway wants (cookies, redirects, proxies, unpacking), and doing it costs time in every call
(docs/decisions/0010). This one sends a request in one piece, hands the answer on piece by piece as it comes, and keeps
a connection whose answer was read to its end. A server may close such a connection just when the next request is on its way:
one that ends without a byte of answer on a connection that was used before is sent once more, on a new one.
"""

from __future__ import annotations

import select
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import h11
import trio

KEPT_CONNECTIONS = 32
KEPT_SECONDS = 30.0
"""Longest time that a connection is kept for another request."""
HEAD_BYTES = 1 << 16
"""Longest head of an answer, and longest line that says how long a chunk is."""
INTERIM_ANSWERS = 16
"""Answers like `100 Continue` before the one that counts."""
_READ_BYTES = 1 << 16
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host, port."""
Fault: TypeAlias = Literal["unsendable", "unreachable", "untrusted", "silent", "broken"]


class HttpError(Exception):
    """An exchange failed.

    fault: the request is no HTTP, of which this says no more, for a key may be in it; no connection; TLS was not agreed on;
    nothing came in time; it broke off or is no HTTP.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


class HttpResponse:
    """An answer whose head is there. headers: names in lower case. To be closed, which does not wait."""

    __slots__ = ("_client", "_connection", "headers", "status")

    def __init__(self, client: HttpClient, connection: _Connection, head: h11.Response) -> None:
        self.status = head.status_code
        self.headers: Mapping[str, str] = _joined(head)
        self._client = client
        self._connection: _Connection | None = connection

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    async def read(self) -> bytes:
        """Return the next piece of the body as it was sent, none at its end. Raises HttpError, RuntimeError once closed."""
        if self._connection is None:
            raise RuntimeError("an answer that was closed can't be read")
        return await self._connection.receive_piece(self._client.silence)

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else end it; that is all it does, however often."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.take_back(connection)


class HttpClient:
    """Posts requests; one for all who ask. Times in seconds.

    connect_timeout: for finding, reaching and trusting a host. silence: longest wait for the head of an answer, from the
    request's beginning on, and for each piece of its body. kept: connections that are kept open for another request.
    """

    def __init__(self, tls: ssl.SSLContext, *, connect_timeout: float, silence: float, kept: int = KEPT_CONNECTIONS) -> None:
        self.silence = silence
        self._kept = kept
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._idle: deque[_Connection] = deque()
        self._closed = False

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> HttpResponse:
        """Post to an http(s) URL and return the answer once its head is there. Raises HttpError.

        headers: names in lower case; Host and Content-Length are added. Cancelling it ends the connection.
        """
        origin, request = _prepared(url, headers, len(content))
        connection = self._take(origin)
        if connection is not None:
            try:
                return await self._exchange(connection, request, content)
            except HttpError as error:
                if error.fault != "broken" or connection.heard:
                    raise
        return await self._exchange(await self._connect(origin), request, content)

    def take_back(self, connection: _Connection) -> None:
        """Keep a connection for another request if it is fit for one, else end it."""
        if self._closed or not connection.make_ready():
            connection.close()
            return
        self._idle.append(connection)
        while len(self._idle) > self._kept or self._idle[0].age > KEPT_SECONDS:
            self._idle.popleft().close()

    def close(self) -> None:
        """End all connections that are kept; those in use end with their answers."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self, origin: Origin) -> _Connection | None:
        """Return a kept connection that still stands, the one that was used last, or None."""
        for connection in [each for each in reversed(self._idle) if each.origin == origin]:
            self._idle.remove(connection)
            if connection.age <= KEPT_SECONDS and not connection.spoke:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin) -> _Connection:
        """Connect, and agree on TLS where it is asked for. Raises HttpError."""
        scheme, host, port = origin
        try:
            with trio.fail_after(self._connect_timeout):
                plain = await trio.open_tcp_stream(host, port)
                stream: trio.abc.Stream = plain
                if scheme == "https":
                    stream = await _secured(plain, self._tls, host)
        except (OSError, UnicodeError, trio.TooSlowError) as error:
            raise HttpError("unreachable") from error
        return _Connection(origin, plain, stream)

    async def _exchange(self, connection: _Connection, request: h11.Request, content: bytes) -> HttpResponse:
        """Send a request and wait for the head of its answer. Raises HttpError."""
        try:
            with trio.move_on_after(self.silence):
                await connection.send(request, content)
                return HttpResponse(self, connection, await connection.receive_head())
            raise HttpError("silent")
        except BaseException:
            connection.close()
            raise


class _Connection:
    """One connection to a provider. heard: whether a byte of the latest request's answer came."""

    def __init__(self, origin: Origin, plain: trio.SocketStream, stream: trio.abc.Stream) -> None:
        self.origin = origin
        self.heard = False
        self._plain = plain
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._since = 0.0
        self._deaf = False

    @property
    def age(self) -> float:
        """Seconds since it was last used."""
        return trio.current_time() - self._since

    @property
    def spoke(self) -> bool:
        """Whether the server has ended it, or sent what was not asked for: it would be taken for the next answer.

        Over TLS that may have been read already, together with the end of the answer before, and wait to be decrypted.
        """
        if isinstance(self._stream, trio.SSLStream) and (self._stream.pending() or self._stream._incoming.pending):
            return True
        poll = select.poll()
        poll.register(self._plain.socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def send(self, request: h11.Request, content: bytes) -> None:
        """Send a request as one piece."""
        http = self._http
        parts = (http.send(event) or b"" for event in (request, h11.Data(data=content), h11.EndOfMessage()))
        try:
            await self._stream.send_all(b"".join(parts))
        except _GONE:
            self._deaf = True  # a server that reads no further may have answered before

    async def receive_head(self) -> h11.Response:
        """Return the head of an answer. Raises HttpError."""
        for _ in range(1 + INTERIM_ANSWERS):
            while (event := self._at_hand()) is h11.NEED_DATA:
                await self._receive()
            if not isinstance(event, h11.InformationalResponse):
                break
        if not isinstance(event, h11.Response):
            raise HttpError("broken")
        return event

    async def receive_piece(self, silence: float) -> bytes:
        """Return the next piece of an answer's body, none at its end. Raises HttpError."""
        while self._http.their_state is h11.SEND_BODY:
            event = self._at_hand()
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)
            if event is h11.NEED_DATA:
                with trio.move_on_after(silence) as patience:
                    await self._receive()
                if patience.cancelled_caught:
                    raise HttpError("silent")
        return b""

    def _at_hand(self) -> object:
        """Return the event that has come, NEED_DATA where none has. Raises HttpError."""
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise HttpError("broken") from error

    async def _receive(self) -> None:
        """Take in what comes next. Raises HttpError."""
        try:
            data = await self._stream.receive_some(_READ_BYTES)
        except _GONE as error:
            raise HttpError("broken") from error
        self.heard = self.heard or bool(data)
        self._http.receive_data(bytes(data))

    def make_ready(self) -> bool:
        """Prepare for another request; return whether that is possible."""
        http = self._http
        with suppress(h11.RemoteProtocolError):
            if http.their_state is h11.SEND_BODY:
                http.next_event()  # the end, where it came with the last piece
        if self._deaf or http.their_state is not h11.DONE or http.our_state is not h11.DONE or http.trailing_data[0]:
            return False
        http.start_next_cycle()
        self.heard, self._since = False, trio.current_time()
        return True

    def close(self) -> None:
        """End it at once."""
        self._plain.socket.close()


def _prepared(url: str, headers: Mapping[str, str], length: int) -> tuple[Origin, h11.Request]:
    """Return where a request goes, and its head. Raises HttpError."""
    try:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        origin = (parts.scheme, host, parts.port or (443 if secure else 80))
        framed = {"host": parts.netloc, **headers, "content-length": str(length)}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return origin, h11.Request(method="POST", target=target, headers=list(framed.items()))
    except (h11.LocalProtocolError, ValueError):
        pass
    raise HttpError("unsendable")  # out here: what h11 says has the header's value in it, and must not be its context


async def _secured(plain: trio.SocketStream, tls: ssl.SSLContext, host: str) -> trio.abc.Stream:
    """Return a stream over TLS to a host that is trusted. Raises HttpError."""
    stream = trio.SSLStream(plain, tls, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException as error:
        plain.socket.close()
        if isinstance(error, _GONE):
            raise HttpError("untrusted") from error
        raise
    return stream


def _joined(head: h11.Response) -> dict[str, str]:
    """Return an answer's headers; values of a name that stands there more than once are joined."""
    found: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
