"""A provider that means harm: it gives back the key that it was asked with, in the way that the question names. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

ERRORS = (400, 401, 403, 404, 422)
"""Statuses of errors that the harmful provider can answer with; none of them is asked for again."""
REDIRECTS = (301, 302, 303, 307, 308)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(r"\r\nauthorization: *bearer +(\S+)", re.IGNORECASE)
_WISH = re.compile(r"wish-([a-z]+)-?(\d*)")
_EVENT = "data: "
Pieces: TypeAlias = list[bytes]


def is_whole(request: bytes | bytearray) -> bool:
    """Say whether a request is there with its body."""
    head, end, body = bytes(request).partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def provider_answer(request: bytes, port: int) -> Pieces:
    """Return the answer, in pieces, to a question in whose body stands `wish-NAME` or `wish-NAME-STATUS`.

    port: where its redirects lead on the loopback, with the key in the address.
    """
    text = request.decode("latin-1")
    found, wish = _KEY.search(text), _WISH.search(text.partition("\r\n\r\n")[2])
    key = found[1] if found else ""
    name, status = (wish[1], int(wish[2] or 200)) if wish else ("", 200)
    answers: Mapping[str, Callable[[], Pieces]] = {
        "error": lambda: _answer(status, _error(f"The key {key} is wrong", key)),
        "redirect": lambda: _answer(status, "{}", f"Location: http://127.0.0.1:{port}/{_mark(text)}-hole?{key}\r\n"),
        "body": lambda: _answer(200, _completion(key)),
        "head": lambda: _answer(200, _completion("x"), f"X-Request-Id: {key}\r\n"),
        "base": lambda: _answer(200, _completion(base64.b64encode(key.encode()).decode())),
        "hex": lambda: _answer(200, _completion(key.encode().hex())),
        "split": lambda: _in_pieces(f"{_EVENT}{_completion(key)}\n\n"),
    }
    return answers.get(name, lambda: _answer(200, _completion("fine")))()


def _mark(text: str) -> str:
    """Return the word of one run that a question holds."""
    found = re.search(r"mark-([a-z0-9-]+)-mark", text)
    return found[1] if found else ""


def _error(sentence: str, key: str) -> str:
    return json.dumps({"error": {"message": sentence, "type": key, "code": key, "param": key}})


def _completion(words: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    return json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "harmful", "choices": [choice]})


def _answer(status: int, body: str, headers: str = "") -> Pieces:
    """Return a whole answer as one piece."""
    head = f"HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return [f"{head}{headers}\r\n{body}".encode("latin-1")]


def _in_pieces(body: str) -> Pieces:
    """Return a stream of events in pieces so small that no value stands in one of them."""
    head = "HTTP/1.1 200 So\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    return [head.encode(), *(body[at : at + 5].encode("latin-1") for at in range(0, len(body), 5))]
