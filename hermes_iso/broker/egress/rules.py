"""EgressRules: which hosts an agent's turns may reach; pure, denies by default, and a deny beats every allow.

A rule names hosts and ports; it may also name methods and paths, which can only be seen in plain HTTP. A tunnel (CONNECT) hides
them, so an allow with methods or paths never opens a tunnel, and a deny with them closes it. The same goes for a path that can
be read in two ways, such as one with `%2f` or `..`: no allow by path takes it, and every deny by path does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from hermes_iso.broker.egress.names import AddressLiteralError, normal_host, port_number, split_port
from hermes_iso.broker.egress.presets import PRESETS

PRESET_NAMES = tuple(sorted(PRESETS))
WEB_PORTS = frozenset({80, 443})
"""What an allowed host without a port means; a denied one means every port."""
_TWO_READINGS = re.compile(r"%(?:2f|5c|25)|\\|//|[\x00-\x1f\x7f]", re.IGNORECASE)
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host, or with `below` all names that end in `name`. ports: None for every port."""

    name: str
    below: bool
    ports: frozenset[int] | None

    def matches(self, host: str, port: int) -> bool:
        """Say whether a host, in its one spelling, and a port are meant."""
        return (host.endswith(self.name) if self.below else host == self.name) and (self.ports is None or port in self.ports)


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One entry of `allow` or `deny`. methods, paths: None for all.

    written: as people wrote it; key: where in the config, such as agents.coder.egress.deny[0]; place: its FILE:LINE.
    """

    written: str
    hosts: tuple[HostPattern, ...]
    methods: frozenset[str] | None = None
    paths: tuple[str, ...] | None = None
    key: str = field(default="", compare=False)
    place: str = field(default="", compare=False)

    @property
    def everywhere(self) -> bool:
        """Whether the rule is about all requests to every host."""
        return not self.limited and any(pattern.below and not pattern.name for pattern in self.hosts)

    @property
    def limited(self) -> bool:
        """Whether the rule is about some requests to its hosts only."""
        return self.methods is not None or self.paths is not None

    @property
    def requests(self) -> str:
        """The requests that a limited rule is about, as people read them."""
        return f"{'/'.join(sorted(self.methods or ())) or 'any method'} {' '.join(self.paths or ()) or 'any path'}"

    def concerns(self, host: str, port: int) -> bool:
        """Say whether the rule is about a host and port at all."""
        return any(pattern.matches(host, port) for pattern in self.hosts)

    def allows(self, host: str, port: int, method: str | None, path: str | None) -> bool:
        """Say whether this rule, as an allow, takes a request; without a method it is a tunnel."""
        if not self.concerns(host, port) or not self.limited:
            return self.concerns(host, port)
        return method is not None and (self.methods is None or method in self.methods) and self._has_path(path, unclear=False)

    def denies(self, host: str, port: int, method: str | None, path: str | None) -> bool:
        """Say whether this rule, as a deny, takes a request; without a method it is a tunnel, which could hold any."""
        if not self.concerns(host, port) or not self.limited:
            return self.concerns(host, port)
        return method is None or ((self.methods is None or method in self.methods) and self._has_path(path, unclear=True))

    def _has_path(self, path: str | None, *, unclear: bool) -> bool:
        """Say whether a path is one of this rule's; `unclear` is the answer for one that can be read in two ways."""
        if self.paths is None:
            return True
        read = clear_path(path or "")
        return unclear if read is None else any(_fits(pattern, read) for pattern in self.paths)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of one request.

    rule: what decided, with its FILE:LINE; told: the same for the guest, which learns nothing of the host's paths.
    fix: what the operator writes to have it otherwise; empty when it is allowed.
    """

    allowed: bool
    rule: str
    told: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What one agent may reach. key, place: where the rules stand in the config, for people."""

    allow: tuple[EgressRule, ...] = ()
    deny: tuple[EgressRule, ...] = ()
    key: str = field(default="egress", compare=False)
    place: str = field(default="", compare=False)

    @property
    def opens(self) -> bool:
        """Whether there is anything to reach: without it an agent needs no door."""
        return bool(self.allow)

    def decide(self, host: str, port: int, method: str | None = None, path: str | None = None) -> Verdict:
        """Return the verdict on a request to a host in its one spelling; without a method, on a tunnel to it."""
        allowing = next((rule for rule in self.allow if rule.allows(host, port, method, path)), None)
        add = f'add the line  - "{host}:{port}"  to {self.key}.allow ({self.place})'
        for rule in self.deny:
            if rule.denies(host, port, method, path):
                remove = f"remove {rule.written} from {self.key}.deny ({rule.place})"
                fix = remove if allowing else f"{remove}, and {add}"
                return Verdict(False, _named(rule), f"{rule.key} denies {rule.written}", fix)
        if allowing is not None:
            return Verdict(True, _named(allowing), f"{allowing.key} allows {allowing.written}")
        limited = next((rule for rule in self.allow if rule.concerns(host, port)), None)
        if limited is None:
            why = f"{self.key}.allow holds no rule for it"
            return Verdict(False, f"{why} ({self.place})", why, add)
        why = f"{limited.key} allows {limited.requests} alone, in plain HTTP"
        why += "; a tunnel hides what is asked" if method is None else ""
        return Verdict(False, f"{why} ({limited.place})", why, add)


def parse_rule(
    written: str,
    *,
    deny: bool = False,
    methods: Iterable[str] | None = None,
    paths: Iterable[str] | None = None,
    key: str = "",
    place: str = "",
) -> EgressRule:
    """Return the rule that a text stands for: HOST, HOST:PORT, *.HOST, HOST:*, or a preset.

    Raises ValueError with a sentence without a subject, such as "'a b' is no host name".
    """
    hosts = PRESETS.get(written, (written,))
    patterns = tuple(_pattern(text, deny=deny) for text in hosts)
    wanted = None if methods is None else frozenset(_method(method) for method in methods)
    shown = written if wanted is None and paths is None else f"{written} (some requests)"
    return EgressRule(shown, patterns, wanted, None if paths is None else tuple(map(_path, paths)), key, place)


def clear_path(path: str) -> str | None:
    """Return a request's path without its query and percent-decoded, or None when a server may read it in another way."""
    plain = path.partition("?")[0]
    if _TWO_READINGS.search(plain):
        return None
    decoded = unquote(plain, errors="replace")
    if _TWO_READINGS.search(decoded) or any(part.partition(";")[0] in (".", "..") for part in decoded.split("/")):
        return None
    return decoded


def _pattern(text: str, *, deny: bool) -> HostPattern:
    """Return the pattern of HOST, HOST:PORT, *.HOST:PORT, *, *:PORT. Raises ValueError."""
    if "/" in text:
        raise ValueError(f"{text[:80]!r} is an address of the web: write its host alone, HOST or HOST:PORT")
    host, port = split_port(text)
    ports = None if deny else WEB_PORTS
    if port is not None:
        ports = None if port == "*" else frozenset({port_number(port)})
    if host == "*":
        return HostPattern("", True, ports)
    below = host.startswith("*.")
    if "*" in host.removeprefix("*."):
        raise ValueError(f"{text[:80]!r} has a * in the middle: only *.NAME and * alone are understood")
    try:
        name = normal_host(host.removeprefix("*."))
    except AddressLiteralError as error:
        raise ValueError(f"{error}: rules are about names; egress.resolve may lead a name to an address") from error
    if "." not in name and port is None:
        raise ValueError(f"{text[:80]!r} is neither a preset ({', '.join(PRESET_NAMES)}) nor a host with a domain or a port")
    return HostPattern(f".{name}" if below else name, below, ports)


def _method(text: str) -> str:
    if not _METHOD.match(text.upper()):
        raise ValueError(f"{text[:40]!r} is no method such as GET")
    return text.upper()


def _path(text: str) -> str:
    if not text.startswith("/") or clear_path(text) != text or "?" in text:
        raise ValueError(f"{text[:80]!r} is no path such as /v1/* (plain characters, no query; * stands for any)")
    return text


def _fits(pattern: str, path: str) -> bool:
    """Say whether a path fits a pattern, in which * stands for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path, re.DOTALL) is not None


def _named(rule: EgressRule) -> str:
    """Name a rule and its place."""
    return f"{rule.written}, {rule.key} {rule.place}".strip(" ,")
