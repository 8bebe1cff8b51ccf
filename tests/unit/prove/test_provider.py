"""The provider that means harm: what it gives back is the key that it was asked with, else the probes of it prove nothing."""

from __future__ import annotations

import base64

import pytest

from hermes_iso.prove.provider import ERRORS, REDIRECTS, is_whole, provider_answer

KEY = "key-0123456789"


def asked(wish: str) -> bytes:
    """Return a question with a wish and a key."""
    body = f'{{"content": "{wish} mark-c03-12-mark"}}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("wish-body", KEY),
        ("wish-head", f"X-Request-Id: {KEY}\r\n"),
        ("wish-base", base64.b64encode(KEY.encode()).decode()),
        ("wish-hex", KEY.encode().hex()),
        ("wish-split", KEY),
        *((f"wish-error-{status}", f"The key {KEY} is wrong") for status in ERRORS),
        *((f"wish-redirect-{status}", f"Location: http://127.0.0.1:7/c03-12-hole?{KEY}\r\n") for status in REDIRECTS),
    ],
)
def test_every_wish_gives_the_key_back(wish: str, said: str) -> None:
    """In the way that the wish names, and with the status that it asks for."""
    answer = b"".join(provider_answer(asked(wish), 7)).decode()
    assert said in answer
    status = wish.rpartition("-")[2]
    assert answer.startswith(f"HTTP/1.1 {status if status.isdigit() else 200} ")


def test_a_split_answer_has_the_key_in_no_piece() -> None:
    """It can be found over the borders of pieces alone."""
    assert not [piece for piece in provider_answer(asked("wish-split"), 7) if KEY.encode() in piece]


def test_a_question_without_a_wish_gets_a_plain_answer() -> None:
    """It is the control of the probes, and holds no key."""
    answer = b"".join(provider_answer(asked("wish-well"), 7))
    assert b"fine" in answer
    assert KEY.encode() not in answer


def test_a_request_is_whole_with_its_body() -> None:
    """Not with a part of it, and without a length with its head."""
    question = asked("wish-body")
    assert (is_whole(question), is_whole(question[:-1]), is_whole(b"GET / HTTP/1.1\r\n\r\n")) == (True, False, True)
    assert not is_whole(b"GET / HTTP/1.1\r\n")
