"""What an error may quote, and settings that can't make a request."""

from __future__ import annotations

from email.utils import formatdate
from time import time

import pytest

from hermes_iso.broker.faults import SAID_LIMIT, Provider, error_text, retry_after
from hermes_iso.errors import ModelError
from tests.support.model_calls import KEY, make_settings

URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    "spelled",
    [KEY, " ".join(KEY), "\x00".join(KEY), "\u200b".join(KEY), "\n".join(KEY), f"a{KEY}{KEY}b", "\x1b[31m" + KEY],
)
def test_key_is_cut_out_however_it_is_spelled(spelled):
    """Blanks, control and invisible characters inside a repeated key do not save it."""
    shown = Provider.of(make_settings(URL)).clean(f"wrong key {spelled}!")
    assert KEY not in shown.replace(" ", "")
    assert "[key]" in shown
    assert shown.isprintable()


def test_secret_in_a_header_is_cut_out_and_fillers_are_not():
    """Configured headers may hold keys too; a value of a letter or two is no secret."""
    who = Provider.of(make_settings(URL, api_key="x", headers={"x-token": "secret-token"}))
    assert who.clean("exact secret-token") == "exact [key]"


def test_quoted_words_are_cut_after_the_key_is_out():
    """The cut to 300 characters can't leave half of a key."""
    shown = Provider.of(make_settings(URL)).clean("x" * (SAID_LIMIT - 8) + KEY)
    assert len(shown) <= SAID_LIMIT
    assert KEY[:5] not in shown


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"message": "a"}}', "a"),
        (b'{"error": "b"}', "b"),
        (b'{"message": "c"}', "c"),
        (b'{"detail": [{"loc": ["body", "stream_options"], "msg": "extra"}]}', "body.stream_options: extra"),
        (b'[{"error": {"message": "e"}}]', "e"),
        (b"plain", "plain"),
        (b"<html>x</html>", ""),
        (b'{"odd": 1}', ""),
        (b"", ""),
    ],
)
def test_error_text_finds_the_words(body, text):
    """The usual shapes of an error body are read, and a web page is not quoted."""
    assert error_text(body) == text


def test_retry_after_is_seconds_milliseconds_or_a_date():
    """All spellings of the wait are understood, and nonsense is none."""
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after-ms": "250", "retry-after": "7"}) == 0.25
    assert 50 < (retry_after({"retry-after": formatdate(time() + 60, usegmt=True)}) or 0) < 61
    assert retry_after({"retry-after": formatdate(0, usegmt=True)}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"base_url": "ftp://h/v1"}, "config"),
        ({"base_url": "h:80/v1"}, "config"),
        ({"base_url": "http://[::1/v1"}, "config"),
        ({"base_url": "http://h:99999/v1"}, "config"),
        ({"base_url": f"http://user:{KEY}@h/v1"}, "config"),
        ({"base_url": "http://h/v1\r\nx: y"}, "config"),
        ({"headers": {"x-y": "a\nb"}}, "config"),
        ({"headers": {"x y": "a"}}, "config"),
        ({"headers": {"Transfer-Encoding": "gzip"}}, "config"),
        ({"api_key": f"{KEY}\n"}, "auth"),
        ({"api_key": f"{KEY}\u00e9"}, "auth"),
        ({"api_key": ""}, "auth"),
    ],
)
def test_settings_that_cannot_make_a_request_are_one_sentence(changes, kind):
    """What could not travel in a request is found before, and said without the key."""
    with pytest.raises(ModelError) as caught:
        Provider.of(make_settings(**({"base_url": URL} | changes)))
    assert caught.value.kind == kind
    assert KEY not in str(caught.value)


def test_provider_keeps_its_secrets_out_of_its_repr():
    """A provider in a log or a traceback shows no key."""
    assert KEY not in repr(Provider.of(make_settings(URL)))
