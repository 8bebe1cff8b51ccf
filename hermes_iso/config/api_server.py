"""From `platforms.api_server` and the root's `.env` to ApiSettings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from hermes_iso.config.known import normal_name
from hermes_iso.config.problems import ProblemList, numbered, possible
from hermes_iso.config.root_shapes import ApiExtraShape
from hermes_iso.config.schema import ApiKey, ApiSettings
from hermes_iso.config.shapes import as_switch
from hermes_iso.config.source import Names, Source
from hermes_iso.config.validation import validated
from hermes_iso.config.yaml_text import Document, KeyPath, kind_of

KEY_MINIMUM = 16
"""Fewest characters of an API key; Hermes' own bound."""
MAIN_KEY = "default"
"""The name of the key that opens every agent."""
_AT: KeyPath = ("platforms", "api_server")
_ENV_FIELDS = (("API_SERVER_KEY", "key"), ("API_SERVER_HOST", "host"))


@dataclass(slots=True)
class ApiReader:
    """Reads the API's settings from the root home; what is wrong is noted."""

    document: Document
    root: Source
    names: Names = field(repr=False)
    agents: Collection[str]
    problems: ProblemList

    def settings(self) -> ApiSettings | None:
        """Return the API's settings, or None where it is not enabled. The environment's words win, as in Hermes."""
        section = self.document.get(*_AT)
        switched = isinstance(section, dict) and as_switch(section.get("enabled", False))
        if isinstance(section, dict) and not isinstance(switched, bool):
            self._wrong("enabled", f"must be true or false, found {kind_of(switched)}; correct it")
        wanted = as_switch(self.names.get("API_SERVER_ENABLED") or "") is True or bool(self.names.get("API_SERVER_KEY"))
        if not (switched is True or wanted):
            return None
        data = section.get("extra") if isinstance(section, dict) else None
        extra = validated(ApiExtraShape, self.document, below=(*_AT, "extra"), data=data or {}, problems=self.problems)
        said = {field: self.names.get(name) for name, field in _ENV_FIELDS}
        keys = self._keys(extra, said["key"])
        origins = self.names.get("API_SERVER_CORS_ORIGINS") or ""
        return ApiSettings(
            host=said["host"] or extra.host or "127.0.0.1",
            port=self._port(extra),
            keys=keys,
            hosts=frozenset(host.lower() for host in extra.hosts),
            origins=frozenset(filter(None, (o.strip() for o in origins.split(",")))) or frozenset(extra.cors_origins),
            strict_model=extra.strict_model,
        )

    def _port(self, extra: ApiExtraShape) -> int:
        text = self.names.get("API_SERVER_PORT")
        if text is None:
            return 8642 if extra.port is None else extra.port
        if text.isascii() and text.isdecimal() and int(text) <= 65535:
            return int(text)
        self._complain_of_name("API_SERVER_PORT", f"is {text[:20]!r}, but a port is a number up to 65535; correct it")
        return 8642

    def _keys(self, extra: ApiExtraShape, from_env: str | None) -> tuple[ApiKey, ...]:
        at = (*_AT, "extra", "key")
        main = from_env or self._expanded(extra.key or "", at)
        keys = [ApiKey(MAIN_KEY, main)] if main else []
        if from_env:
            self._complain_of_name("API_SERVER_KEY", key_complaint(main))
        elif main:
            self._long_enough(main, at)
        for name, shape in extra.keys.items():
            at = (*_AT, "extra", "keys", name)
            if name == MAIN_KEY:
                self._complain(at, f"{name!r} is the name of extra.key; choose another")
            key = self._long_enough(self._expanded(shape.key, (*at, "key")), (*at, "key"))
            keys.append(ApiKey(name, key, self._bound_to(shape.agents, (*at, "agents"))))
        self._check_distinct(keys)
        if not (keys or extra.key):
            self._wrong("key", f"is missing: set API_SERVER_KEY in .env to at least {KEY_MINIMUM} characters")
        return tuple(keys)

    def _bound_to(self, agents: list[str] | None, at: KeyPath) -> frozenset[str] | None:
        if agents is None:
            return None
        for index, name in numbered(agents):
            if normal_name(name) not in self.agents:
                self._complain((*at, index), f"there is no agent {name!r}{possible(name, self.agents)}")
        return frozenset(map(normal_name, agents))

    def _check_distinct(self, keys: list[ApiKey]) -> None:
        first: dict[str, str] = {}
        for key in keys:
            other = first.setdefault(key.key, key.name)
            if other != key.name:
                self._complain((*_AT, "extra", "keys", key.name), f"is the same key as {other!r}; every key must differ")

    def _long_enough(self, key: str, at: KeyPath) -> str:
        complaint = key_complaint(key)
        if complaint:
            self._complain(at, complaint)
        return key

    def _expanded(self, text: str, at: KeyPath) -> str:
        expanded, missing = self.names.expand(text)
        for name in missing:
            self._complain(at, f"refers to {name}, which is set nowhere; add it to the home's .env")
        return expanded.strip()

    def _wrong(self, key: str, message: str) -> None:
        at: KeyPath = (*_AT, "enabled") if key == "enabled" else (*_AT, "extra", key)
        self._complain(at, message)

    def _complain(self, at: KeyPath, message: str) -> None:
        self.document.complain(self.problems, at, message=message)

    def _complain_of_name(self, name: str, message: str) -> None:
        """Note what is wrong with a name's value, if anything, where it stands: in the `.env` or in the environment."""
        if not message:
            return
        if self.root.env.values.get(name, "").strip():
            self.problems.add(str(self.root.env_file), self.root.env.lines[name], key=name, message=message)
        else:
            self.problems.add(self.document.file, 1, key=f"{name} in the gateway's environment", message=message)


def key_complaint(key: str) -> str:
    """Say what is wrong with an API key, or ''."""
    if len(key) < KEY_MINIMUM:
        return f"is {len(key)} characters long; a key needs at least {KEY_MINIMUM}"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "holds a blank or a character that an HTTP header can't carry; use letters and digits"
    return ""
