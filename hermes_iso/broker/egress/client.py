"""Client: the guest's end of one connection: requests in, answers out, every byte counted."""

from __future__ import annotations

from contextlib import suppress

import h11
import trio

from hermes_iso.broker.egress.door import Door, Passage
from hermes_iso.broker.egress.heads import HEAD_BYTES, BadRequestError, Headers, check_beginning, check_head

READ_BYTES = 1 << 16
"""Most bytes that are read or written at a time."""
_LINGER_TIMEOUT = 1.0
_LINGER_BYTES = 1 << 18
"""How long, and for how many bytes, what a client still sends is read before its connection is closed."""


class ClientGoneError(Exception):
    """The client has closed its connection, or taken nothing for too long."""


class Client:
    """One connection of a guest. `passage` counts its bytes, where one is set. Is a LocalExchange."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, door: Door) -> None:
        self.passage: Passage | None = None
        self.started = self.gone = False
        self.head_bytes = 0
        self._stream = stream
        self._door = door
        self._waiting = b""
        self._http = _server()
        self._request: h11.Request | None = None

    @property
    def request(self) -> h11.Request:
        """The request that is being answered."""
        assert self._request is not None
        return self._request

    async def next_request(self) -> h11.Request | None:
        """Return the next request, or None when the client ended or sent none for too long. Raises BadRequestError."""
        self.passage, self.started, self._request, self.head_bytes = None, False, None, 0
        self._http = _server()
        if not self._waiting:
            with trio.move_on_after(self._door.limits.idle_timeout):
                self._waiting = await self.read()
        if not self._waiting:
            return None
        if b"\r\n\r\n" not in self._waiting:
            await self._wait_for_head()
        head = self._take_head()
        check_head(head)
        self._http.receive_data(head)
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise BadRequestError(f"The request is malformed: {error}.") from error
        assert isinstance(event, h11.Request)
        self._request = event
        if self._waiting and event.method != b"CONNECT":
            self._http.receive_data(self._waiting)
            self._waiting = b""
        return event

    async def _wait_for_head(self) -> None:
        """Read until the empty line at the end of a head is there, or more than a head may be. Raises BadRequestError."""
        checked, seen = False, 0
        with trio.move_on_after(self._door.limits.head_timeout):
            while self._waiting.find(b"\r\n\r\n", max(seen - 3, 0)) < 0:
                checked = checked or check_beginning(self._waiting)
                seen = len(self._waiting)
                if seen > HEAD_BYTES:
                    return
                more = await self.read()
                if not more:
                    raise BadRequestError("The request ended in the middle of its head.")
                self._waiting += more
            return
        raise BadRequestError("The head of the request took too long.", 408)

    def _take_head(self) -> bytes:
        """Return a head with the empty line at its end; what follows it waits. Raises BadRequestError."""
        end = self._waiting.find(b"\r\n\r\n")
        self.head_bytes = end + 4
        if not 0 <= end <= HEAD_BYTES:
            raise BadRequestError(f"The head of the request is longer than {HEAD_BYTES} bytes.")
        head, self._waiting = self._waiting[: end + 4], self._waiting[end + 4 :]
        return head

    @property
    def spoke_early(self) -> bool:
        """Whether bytes came behind the head of a CONNECT."""
        return bool(self._waiting)

    async def wait_early(self) -> None:
        """Return when the client sends something although it should wait, or when it has gone."""
        self._waiting = await self.read()
        self.gone = not self._waiting

    async def receive(self) -> bytes:
        """Return the next bytes of the request's body, none at its end. Raises BadRequestError."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequestError("The request's body is malformed or was cut off.") from error
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self.read())
            elif not isinstance(event, h11.Data):
                return b""
            elif event.data:
                return bytes(event.data)

    async def start(self, status: int, headers: Headers, data: bytes = b"") -> None:
        """Send the head of an answer, in one go with the first bytes of its body if there are any. Raises ClientGoneError."""
        self.started = True
        head = self._http.send(h11.Response(status_code=status, headers=list(headers))) or b""
        await self.write(head + (self._http.send(h11.Data(data=data)) or b"" if data else b""))

    async def send(self, data: bytes) -> None:
        """Send bytes of an answer's body. Raises ClientGoneError."""
        await self._write(h11.Data(data=data))

    async def finish(self) -> bool:
        """End the answer; return whether another request may follow on this connection."""
        if self._http.our_state is h11.SEND_BODY:
            await self._write(h11.EndOfMessage())
        with suppress(h11.RemoteProtocolError):
            if self._http.their_state is h11.SEND_BODY:
                self._http.next_event()  # the end of a body that nobody read, where it is there already
        self._waiting = self._http.trailing_data[0]
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def answer(self, status: int, sentence: str, *, last: bool = False) -> None:
        """Send a whole answer of one sentence; with `last`, the end of the connection is announced. Raises ClientGoneError."""
        body = f"{sentence}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await self.start(status, [*headers, (b"connection", b"close")] if last else headers)
        if self._request is None or self._request.method != b"HEAD":
            await self.send(body)
        await self._write(h11.EndOfMessage())

    async def linger(self) -> None:
        """Say that nothing more comes, and let the client read what came: closing on bytes unread would throw that away."""
        with trio.move_on_after(_LINGER_TIMEOUT), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_eof()
            left = _LINGER_BYTES
            while left > 0 and (data := await self.read()):
                left -= len(data)

    async def open_tunnel(self) -> None:
        """Say that the tunnel is there. Raises ClientGoneError."""
        self.started = True
        reason = b"Connection established"
        await self._write(h11.Response(status_code=200, headers=[], reason=reason))

    async def read(self) -> bytes:
        """Return bytes as they come, none at the end."""
        try:
            data = bytes(await self._stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        self._count(up=len(data))
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes as they are. Raises ClientGoneError."""
        self._count(down=len(data))
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGoneError from error

    async def end_writing(self) -> None:
        """Say that nothing more comes, while the client may still send."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_eof()

    async def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            await self.write(data)

    def _count(self, *, up: int = 0, down: int = 0) -> None:
        if self.passage is None:
            self._door.count(up=up, down=down)
        else:
            self.passage.moved(up=up, down=down)


def _server() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
