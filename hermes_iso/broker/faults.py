"""What can go wrong with a provider, as one clear sentence that never holds a key.

A provider's own words are useful and not to be trusted: they may repeat the key that was sent, hold control characters or run
to megabytes. So they are cleaned in this order: control characters out first (else one inside the key would hide it from
the search and its removal would restore it), then every secret, also with blanks inside, then the cut.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.egress.heads import FRAMING
from hermes_iso.errors import ModelError

SAID_LIMIT = 300
"""Most characters of a provider's own words in an error."""
_SECRET_LENGTH = 4
"""A shorter value is a filler such as `x`, not a secret, and cutting it out would only garble texts."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_KINDS: Mapping[str, str] = {
    "authentication_error": "auth",
    "permission_error": "auth",
    "invalid_api_key": "auth",
    "rate_limit_error": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "429": "rate_limited",
    "overloaded_error": "unreachable",
    "api_error": "unreachable",
    "server_error": "unreachable",
    "invalid_request_error": "refused",
    "request_too_large": "refused",
    "not_found_error": "config",
}


class TransientError(Exception):
    """Wraps a failure that another try may mend; `error` is what to raise when there is none."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(str(error))
        self.error = error


class AnswerFaultError(Exception):
    """An answer that can't be used, found by a reader of answers; the text is the provider's or the reader's own."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


@dataclass(frozen=True, slots=True)
class Provider:
    """Who is asked, as far as errors need it. `secrets` never leave this object."""

    name: str
    host: str
    model: str
    key_hint: str
    secrets: tuple[str, ...] = field(repr=False)

    @staticmethod
    def of(settings: ModelSettings) -> Provider:
        """Name the provider of these settings. Raise ModelError (config, auth) when they can't make a request at all."""
        who = Provider(
            name=settings.provider,
            host=_host(settings.base_url),
            model=settings.model,
            key_hint=settings.key_hint or f"the api_key of provider {settings.provider}",
            secrets=tuple(filter(None, (settings.api_key, *settings.spare_keys, *settings.headers.values()))),
        )
        if settings.provider == "none":
            where = f": set {settings.key_hint}" if settings.key_hint else ": set `model` in config.yaml"
            raise ModelError("config", f"No model is configured{where}, or use `model: builtin/offline`.")
        _check_address(settings, who)
        if settings.key_hint and not settings.api_key:
            raise ModelError("auth", f"{who} needs a key and none is set: put it into {settings.key_hint}.")
        if settings.api_key and not _HEADER_VALUE.fullmatch(settings.api_key):
            raise ModelError("auth", f"The key for {who} holds blanks or characters that no key has: check {who.key_hint}.")
        for name, value in settings.headers.items():
            sound = _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)
            if not sound or name.lower().encode() in FRAMING - {b"host"}:
                raise ModelError("config", f"A header configured for {who} can't be sent: check its name and value.")
        return who

    def __str__(self) -> str:
        return f"{self.name} at {self.host}"

    def clean(self, text: str) -> str:
        """Return a provider's words fit to be shown: one line, no secret, at most SAID_LIMIT characters."""
        line = "".join(char if char.isprintable() else " " if char.isspace() else "" for char in text)
        spelled = sorted((each for each in self.secrets if len(each) >= _SECRET_LENGTH), key=len, reverse=True)
        if spelled:
            line = re.sub("|".join(r"\s*".join(map(re.escape, each)) for each in spelled), "[key]", line)
        line = " ".join(line.split())
        return line if len(line) <= SAID_LIMIT else line[: SAID_LIMIT - 1] + "…"

    def error(self, kind: str, happened: str, *, said: str = "", retry_after: float | None = None) -> ModelError:
        """Return a ModelError of one sentence: this provider, what happened (may hold `{said}`), what to do."""
        quoted = self.clean(said)
        return ModelError(kind, f"{self} " + happened.replace("{said}", f" ({quoted})" if quoted else ""), retry_after)

    def status_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError | TransientError:
        """Return the error of an answer that is not 2xx; a TransientError where another try may help."""
        said = error_text(body)
        if 300 <= status < 400:
            text = f"answered with a redirect ({status}), never followed because the key would travel along: check base_url."
            return self.error("config", text)
        if status in {401, 403}:
            return self.error("auth", f"refused the key with status {status}{{said}}: check {self.key_hint}.", said=said)
        if status == 402:
            return self.error(
                "auth", f"wants to be paid first (status 402){{said}}: see to the account of {self.key_hint}.", said=said
            )
        if status == 404:
            text = f"knows no such address or model (status 404){{said}}: check base_url and the model {self.model}."
            return self.error("config", text, said=said)
        if status == 429:
            wait = retry_after(headers)
            when = "later" if wait is None else f"in {wait:.0f} seconds"
            text = f"takes no more requests for now (status 429){{said}}: try again {when}."
            return TransientError(self.error("rate_limited", text, said=said, retry_after=wait))
        if status == 408 or status >= 500:
            text = f"failed with status {status}{{said}}: try again later."
            return TransientError(self.error("unreachable", text, said=said, retry_after=retry_after(headers)))
        return self.error(
            "refused", f"refused the request with status {status}{{said}}: check the model {self.model}.", said=said
        )

    def answer_error(self, fault: AnswerFaultError) -> ModelError | TransientError:
        """Return the error of a fault inside an answer whose status was good."""
        error = self.error(fault.kind, "failed{said}: try again, or choose another model.", said=fault.text)
        return TransientError(error) if fault.kind in {"rate_limited", "unreachable"} else error


def fault_of(error: Any) -> AnswerFaultError:
    """Return the fault that an error object in an otherwise good answer stands for."""
    if not isinstance(error, dict):
        return AnswerFaultError("bad_response", error if isinstance(error, str) else "it reported an error")
    words = [str(error.get(key)) for key in ("type", "code")]
    kind = next((_KINDS[word] for word in words if word in _KINDS), "bad_response")
    message = error.get("message")
    return AnswerFaultError(kind, message if isinstance(message, str) else "it reported an error")


def error_text(body: bytes) -> str:
    """Return the words in an error body: the message of the usual JSON shapes, else the text itself unless it is a web page."""
    text = body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text
    for _ in range(3):
        if isinstance(value, list) and value:
            value = value[0]
        if not isinstance(value, dict):
            break
        place = ".".join(map(str, value["loc"])) + ": " if isinstance(value.get("loc"), list) else ""
        value = next((value[key] for key in ("error", "message", "detail", "msg") if value.get(key)), "")
        value = place + value if isinstance(value, str) else value
    return value if isinstance(value, str) else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a provider asks to wait, from `retry-after-ms` or `retry-after` (seconds or a date)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
            return float(value) / unit
        if value and name == "retry-after":
            try:
                return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
            except (ValueError, OverflowError):
                return None
    return None


def _host(base_url: str) -> str:
    """Return host and port of an address, and never what else it may hold."""
    try:
        parts = urlsplit(base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or "no address"
    except ValueError:
        return "an address that can't be read"


def _check_address(settings: ModelSettings, who: Provider) -> None:
    """Raise ModelError(config) unless base_url is an http(s) address without a user name in it."""
    try:
        parts = urlsplit(settings.base_url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[\x21-\x7e]+", settings.base_url):
        raise ModelError("config", f"The base_url of provider {who.name} is not an http or https address: correct it.")
    if "@" in parts.netloc:
        text = f"The base_url of provider {who.name} holds a user name or password: put the key into {who.key_hint} instead."
        raise ModelError("config", text)
