"""Which addresses a door may reach: those of the public internet, and of them none that is this machine's own."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("unspecified", ("0.0.0.0/8", "::/128")),
    ("loopback", ("127.0.0.0/8", "::1/128")),
    ("metadata", ("169.254.169.254/32", "169.254.170.0/24", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32")),
    ("metadata", ("fd00:ec2::/32", "fd20:ce::254/128")),
    ("private", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10", "64:ff9b:1::/48")),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("carrier-grade NAT", ("100.64.0.0/10",)),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("reserved", ("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24")),
    ("reserved", ("240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20")),
)
"""The networks that no door reaches, by what they are; Teredo lies in 2001::/23."""
_REFUSED: tuple[tuple[str, IPv4Network | IPv6Network], ...] = tuple(
    (kind, ip_network(text)) for kind, texts in _KINDS for text in texts
)
_EMBEDDING = ((IPv6Network("::ffff:0:0/96"), 0), (IPv6Network("64:ff9b::/96"), 0), (IPv6Network("2002::/16"), 80))
"""IPv6 networks whose addresses lead to an IPv4 address, and how many bits stand behind it: mapped, NAT64, 6to4."""
_GLOBAL = IPv6Network("2000::/3")
"""The only part of IPv6 that is given out for the internet."""


def refusal(text: str) -> str:
    """Say what kind of address this is when no door may reach it, or return '' for one of the public internet."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "link-local"
        inner = _embedded(address)
        if inner is not None:
            return refusal(str(inner))
    kind = next((kind for kind, network in _REFUSED if address.version == network.version and address in network), "")
    if kind:
        return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL:
        return "reserved"
    return "this machine's own" if is_own(text) else ""


def is_own(text: str) -> bool:
    """Say whether an address belongs to this machine: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((text, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, or None."""
    for network, behind in _EMBEDDING:
        if address in network:
            return IPv4Address(int(address) >> behind & 0xFFFFFFFF)
    return None
