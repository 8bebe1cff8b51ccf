"""Only addresses of the public internet, in whatever form an inner one is dressed."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.broker.egress.addresses import is_own, refusal

INNER = [
    *(("0.0.0.0", "unspecified"), ("127.0.0.1", "loopback"), ("127.255.255.254", "loopback"), ("10.0.0.1", "private")),
    *(("172.16.0.1", "private"), ("172.31.255.255", "private"), ("192.168.1.1", "private"), ("169.254.1.1", "link-local")),
    *(("169.254.169.254", "metadata"), ("169.254.170.2", "metadata"), ("168.63.129.16", "metadata")),
    *(("100.64.0.1", "carrier-grade NAT"), ("100.127.255.255", "carrier-grade NAT"), ("100.100.100.200", "metadata")),
    *(("224.0.0.1", "multicast"), ("239.255.255.250", "multicast"), ("255.255.255.255", "reserved")),
    *(("192.0.0.192", "metadata"), ("192.0.2.1", "reserved"), ("198.18.0.1", "reserved"), ("198.51.100.1", "reserved")),
    *(("203.0.113.1", "reserved"), ("192.88.99.1", "reserved"), ("240.0.0.1", "reserved")),
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
]


@pytest.mark.parametrize(("address", "kind"), INNER)
def test_inner_address_is_refused_in_every_dress(address, kind):
    """As it is, mapped into IPv6, through NAT64 and 6to4: it is the same place."""
    number = int(ipaddress.IPv4Address(address))
    assert refusal(address) == kind
    for dressed in (
        f"::ffff:{address}",
        str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))),
    ):
        assert refusal(dressed) == kind, dressed
    assert refusal(f"::{address}") in ("reserved", "unspecified", "loopback")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_taken_in_the_same_dresses(address):
    """The neighbours of inner networks are public."""
    number = int(ipaddress.IPv4Address(address))
    assert refusal(address) == refusal(f"::ffff:{address}") == ""
    assert refusal(str(ipaddress.IPv6Address((0x64FF9B << 96) | number))) == ""


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        *(
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "reserved"),
            ("fe80::1", "link-local"),
            ("fe80::1%eth0", "link-local"),
        ),
        *(("fc00::1", "private"), ("fd12:3456::1", "private"), ("fd00:ec2::254", "metadata"), ("fd20:ce::254", "metadata")),
        *(("fec0::1", "private"), ("ff02::1", "multicast"), ("2001:db8::1", "reserved"), ("2001::1", "reserved")),
        *(("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"), ("64:ff9b:1::1", "private"), ("100::1", "reserved")),
        *(
            ("3fff::1", "reserved"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
            ("2606:4700::1111", ""),
            ("2a00:1450::1", ""),
        ),
    ],
)
def test_address_of_ipv6_is_of_its_kind(address, kind):
    """Only what is given out for the internet is reached; Teredo never."""
    assert refusal(address) == kind


@given(st.integers(0, 2**32 - 1))
def test_what_the_standard_library_calls_inner_is_refused(number):
    """No address that Python does not call global is public here."""
    address = ipaddress.IPv4Address(number)
    if not address.is_global or address.is_multicast:
        assert refusal(str(address))


@given(st.integers(0, 2**128 - 1))
def test_ipv6_outside_of_global_unicast_is_refused(number):
    """No address of IPv6 that Python does not call global is public here, but for those that lead to one of IPv4."""
    address = ipaddress.IPv6Address(number)
    leads = address in ipaddress.IPv6Network("64:ff9b::/96") or address.ipv4_mapped or address.sixtofour
    if not leads and (not address.is_global or address.is_multicast):
        assert refusal(str(address))


def test_own_addresses_are_known():
    """An address of this machine is one that a socket can be bound to."""
    assert is_own("127.0.0.1")
    assert not is_own("198.51.100.77")
