"""Gate: who may ask at all. The Host and Origin of a request, its key, and the headers that name a chat."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from hermes_iso.api.errors import ApiError, RawHeaders
from hermes_iso.config.schema import ApiKey, ApiSettings

HEADER_LENGTH = 256
"""Longest value of an X-Hermes header, in characters."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of the key, and the agents it opens (None: all that are served)."""

    name: str
    agents: frozenset[str] | None

    def may_use(self, agent: str) -> bool:
        """Say whether the key opens an agent."""
        return self.agents is None or agent in self.agents

    @property
    def only_agent(self) -> str | None:
        """The agent of a key that opens just one."""
        return next(iter(self.agents)) if self.agents is not None and len(self.agents) == 1 else None


class Gate:
    """Checks requests against the API's settings."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        bound = settings.host.strip("[]").lower()
        self._any_address = bound in {"0.0.0.0", "::", ""}  # noqa: S104  # compared, not bound
        own = _LOOPBACK if bound in _LOOPBACK or self._any_address else frozenset[str]()
        self._hosts = own | {bound} | {host.lower() for host in settings.hosts}

    def check_source(self, headers: RawHeaders) -> str | None:
        """Refuse a Host that is not ours and an Origin that is not allowed; return the Origin, if there is one.

        A page in somebody's browser can reach a loopback address by a name of its own, but then Host tells that name.
        """
        hosts, origins = values(headers, b"host"), values(headers, b"origin")
        host = host_name(hosts[0]) if len(hosts) == 1 else None
        if host is None or not (host in self._hosts or (self._any_address and _is_address(host))):
            shown = ", ".join(hosts)[:100] or "none"
            text = (
                f"The Host {shown!r} is not one of this API: use the bound address, or add the name to api_server.extra.hosts."
            )
            raise ApiError(403, text, code="host_not_allowed")
        if not origins:
            return None
        allowed = self._settings.origins
        if len(origins) > 1 or not ("*" in allowed or origins[0] in allowed):
            text = f"The Origin {origins[0][:100]!r} is not allowed: add it to api_server.extra.cors_origins."
            raise ApiError(403, text, code="origin_not_allowed")
        return origins[0]

    def caller(self, headers: RawHeaders) -> Caller:
        """Return whose key the request carries. Raises ApiError(401); how long that takes tells nothing about the keys."""
        given = values(headers, b"authorization")
        scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
        found = _same_key(self._settings.keys, token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            what = "The key is not one of this API's" if given else "There is no key in this request"
            text = f"{what}: send it as `Authorization: Bearer KEY`."
            raise ApiError(401, text, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
        return Caller(found.name, found.agents)


def _same_key(keys: Sequence[ApiKey], token: str) -> ApiKey | None:
    """Return the key that was given, comparing with every one in constant time."""
    given = token.encode("utf-8", "surrogatepass")
    found = None
    for key in keys:
        if hmac.compare_digest(key.key.encode(), given):
            found = key
    return found


def hermes_header(headers: RawHeaders, name: str) -> str | None:
    """Return an X-Hermes header, None when it is absent or empty. Raises ApiError(400)."""
    raw = [value for key, value in headers if key.lower() == name.lower().encode()]
    if not raw or raw == [b""]:
        return None
    try:
        text = raw[0].decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if len(raw) > 1 or len(text) > HEADER_LENGTH or not text.isprintable():
        message = f"{name} must be given once, with 1 to {HEADER_LENGTH} characters and no control characters."
        raise ApiError(400, message, code="invalid_header", param=name)
    return text


def values(headers: RawHeaders, name: bytes) -> list[str]:
    """Return all values of a header."""
    return [value.decode("latin-1").strip() for key, value in headers if key.lower() == name]


def host_name(value: str) -> str | None:
    """Return the name or address in a Host header, without its port; None when it is not one."""
    value = value.lower()
    if value.startswith("["):
        address, closed, rest = value[1:].partition("]")
        return address if closed and (not rest or (rest[0] == ":" and rest[1:].isdigit())) else None
    name, colon, port = value.partition(":")
    return name.rstrip(".") if name and (not colon or port.isdigit()) else None


def _is_address(host: str) -> bool:
    """Say whether a host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
