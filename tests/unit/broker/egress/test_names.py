"""One spelling for each host, and no address in any spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.broker.egress.names import AddressLiteralError, normal_host, port_number, read_authority


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("Bücher.Example", "xn--bcher-kva.example"),
        ("xn--BCHER-kva.example", "xn--bcher-kva.example"),
        ("ｅｘａｍｐｌｅ。com", "example.com"),
        ("faß.example", "xn--fa-hia.example"),
        ("my_bucket.s3.example", "my_bucket.s3.example"),
        ("localhost", "localhost"),
        ("1and1.example", "1and1.example"),
        ("0x.example", "0x.example"),
    ],
)
def test_name_has_one_spelling(written, name):
    """Case, the dot at the end and IDNA make no difference, and doing it twice changes nothing."""
    assert normal_host(written) == name
    assert normal_host(name) == name


@pytest.mark.parametrize(
    "written",
    [
        *("127.0.0.1", "127.1", "127.0.0.1.", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0", "1.2.3.4.5", "0x"),
        *("example.123", "example.0x7f", "[::1]", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "[fe80::1%25eth0]", "fe80::1%1"),
        *("１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "a%00b", "user:pw"),
    ],
)
def test_address_is_no_name(written):
    """Whatever some system reads as an address is none, however it is written."""
    with pytest.raises(AddressLiteralError):
        normal_host(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a.com..",
        "-a.com",
        "a-.com",
        "a b",
        "a\x00b",
        "a/b",
        "a@b",
        "a\\b",
        "*.a",
        "a" * 64,
        "é" * 300,
        "a." * 200,
        "xn--.ü",
        "\u202eabc.com",
        "a\u200d.com",
    ],
)
def test_what_is_no_name_is_refused(written):
    """A name is letters, digits, - and _ in labels that a resolver takes."""
    with pytest.raises(ValueError, match="is no host name"):
        normal_host(written)


@given(st.text(max_size=80))
def test_any_text_is_a_plain_name_or_refused(text):
    """Whatever is written, what comes out is ASCII, ends in no number and stays as it is."""
    try:
        name = normal_host(text)
    except ValueError:
        return
    assert name.isascii()
    assert name == name.lower()
    assert not name.rpartition(".")[2].isdigit()
    assert normal_host(name) == name


@pytest.mark.parametrize("text", ["0", "65536", "-1", "+1", " 1", "1 ", "٣", "", "443x", "0x50", "000443000"])
def test_port_is_a_number_in_ascii(text):
    """From 1 to 65535 and nothing else."""
    with pytest.raises(ValueError, match="is no port"):
        port_number(text)


def test_authority_needs_a_port_unless_there_is_a_default():
    """HOST:PORT, and HOST where the port is known."""
    assert read_authority("A.b:443") == ("a.b", 443)
    assert read_authority("a.b", default_port=80) == ("a.b", 80)
    with pytest.raises(ValueError, match="has no port"):
        read_authority("a.b")
