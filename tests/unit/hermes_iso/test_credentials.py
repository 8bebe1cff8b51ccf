"""Secret: where its placeholder counts, what is written instead, and what it shows of itself."""

import base64

import pytest

from hermes_iso.credentials import Secret, value_complaint, with_secrets

VALUE = "0123456789-value"
TOKEN = Secret("TOKEN", "h.example", 443, "authorization", "Bearer {}", VALUE)
BASIC = Secret("TOKEN", "h.example", 443, "authorization", "Basic bot:{}", VALUE)


def basic(text):
    """Return Basic credentials."""
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"Bearer hermes-iso-secret-TOKEN", True),
        (b"token hermes-iso-secret-TOKEN;x", True),
        (basic(b"user:hermes-iso-secret-TOKEN"), True),
        (b"basic " + base64.b64encode(b"hermes-iso-secret-TOKEN:"), True),
        (b"Bearer hermes-iso-secret-TOKEN2", False),
        (b"Bearer hermes-iso-secret-TOKEN_X", False),
        (b"Bearer HERMES-ISO-SECRET-TOKEN", False),
        (basic(b"user:hermes-iso-secret-TOKENS"), False),
        (b"Basic !!!", False),
        (b"Bearer " + VALUE.encode(), False),
        (b"\xff\xfe", False),
    ],
)
def test_a_placeholder_counts_as_a_whole_word(header, found):
    """Plainly and in Basic credentials."""
    assert TOKEN.is_in(header) is found


@pytest.mark.parametrize(("secret", "written"), [(TOKEN, f"Bearer {VALUE}".encode()), (BASIC, basic(b"bot:" + VALUE.encode()))])
def test_the_declared_header_is_written_anew(secret, written):
    """All of it, and each time that it stands there; others stay."""
    headers = [(b"authorization", b"x hermes-iso-secret-TOKEN y"), (b"x-other", b"hermes-iso-secret-TOKEN")]
    assert with_secrets(headers * 2, [(secret, VALUE)]) == ([(b"authorization", written), headers[1]] * 2, ("TOKEN", "TOKEN"))


def test_a_secret_does_not_show_its_value_or_command():
    """What is printed by mistake holds neither."""
    secret = Secret("T", "h.example", 443, "authorization", "Bearer {}", VALUE, ("/bin/echo", VALUE))
    secret.told.value = VALUE
    assert VALUE not in f"{secret} {secret!r}"


@pytest.mark.parametrize("value", ["", "1234567", "with blank in it", "line\nbreak-123", "ümlaut-12345", "x" * 16385])
def test_a_value_that_no_header_takes_is_described_and_not_repeated(value):
    """Nor one that is too short to be looked for."""
    complaint = value_complaint(value)
    assert complaint
    assert not value or value not in complaint
