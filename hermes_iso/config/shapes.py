"""The shapes of our own config keys as strict pydantic models, and each validation error as a sentence for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator, model_validator

from hermes_iso.config.problems import ProblemList, possible
from hermes_iso.config.sizes import size_reader
from hermes_iso.config.yaml_text import Document, KeyPath, kind_of
from hermes_iso_sandbox.confinement import Limits

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def as_switch(value: Any) -> Any:
    """Turn the words that Hermes takes for a switch into a bool; leave anything else to the validation."""
    if isinstance(value, str) and value.strip().lower() in (*_TRUE, *_FALSE):
        return value.strip().lower() in _TRUE
    return value


def _as_mapping(value: Any) -> Any:
    """Turn `model: provider/name` into the mapping it stands for."""
    return {"default": value} if isinstance(value, str) else value


def _as_served(value: Any) -> Any:
    """Turn `serve: all` into a list with the one entry that can't be a name."""
    return [EVERYBODY] if value == "all" else value


def _or_empty(value: Any) -> Any:
    """Take a key with nothing behind it for an empty mapping."""
    return {} if value is None else value


class _Gap(str):
    """The empty text that stands where a malformed item of a list stood."""

    __slots__ = ()


_GAP: Final = _Gap()


def _or_gap(value: Any, validate: Callable[[Any], str]) -> str:
    return value if value is _GAP else validate(value)


EVERYBODY = "*"
"""In `gateway.serve`: all agents that the home has."""
Switch = Annotated[bool, BeforeValidator(as_switch)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
Texts = list[Annotated[str, Field(min_length=1), WrapValidator(_or_gap)]]
"""Texts, none empty; one that was malformed leaves a gap, so that the others keep their places: see `problems.numbered`."""


class _Shape(BaseModel):
    """Strict, frozen, and closed: a key that no field names is a mistake."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, data: Any) -> Any:
        """Take a key with nothing behind it for an empty section."""
        return {} if data is None else data


class _Open(_Shape):
    """A section of Hermes': what it holds beside the keys read here is ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


ShapeT = TypeVar("ShapeT", bound=_Shape)


class ModelShape(_Open):
    """`model`: which model answers."""

    default: str | None = None
    model: str | None = None
    provider: str | None = None
    base_url: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    api_mode: str | None = None
    headers: dict[str, str] = Field(default_factory=dict, repr=False)


class OverlayModelShape(ModelShape):
    """`agents.<id>.model`: ours, so nothing else may stand there."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SandboxShape(_Shape):
    """`agents.<id>.sandbox`: how the agent's turns are confined."""

    isolation: Literal["namespace"] = "namespace"
    memory: Annotated[int, BeforeValidator(size_reader("32M"))] = Field(default="512M", validate_default=True)
    pids: Annotated[int, Field(ge=16, le=1 << 20)] = 128
    cpu: Annotated[float, Field(ge=0.01, le=1024)] = 1.0
    disk: Annotated[int, BeforeValidator(size_reader("1M"))] = Field(default="2G", validate_default=True)
    inodes: Annotated[int, Field(ge=100, le=1 << 40)] = 200_000
    turn_timeout: Seconds = 600.0
    background_timeout: Seconds = 3600.0
    writable: Texts = Field(default_factory=list)
    readable: Texts = Field(default_factory=list)
    path: Texts = Field(default_factory=list)
    env: Texts = Field(default_factory=list)

    def limits(self) -> Limits:
        """Return the limits of the sandbox. One that the config writes out must hold, a default holds where it can."""
        return Limits(
            memory=self.memory,
            processes=self.pids,
            cpu=self.cpu,
            disk=self.disk,
            inodes=self.inodes,
            required=frozenset({"memory", "pids", "cpu", "disk", "inodes"} & self.model_fields_set),
        )


class AgentShape(_Shape):
    """`agents.<id>`: an overlay on the agent's home."""

    default: Switch = False
    model: Annotated[OverlayModelShape | None, BeforeValidator(_as_mapping)] = None
    provider: str | None = None
    personality: str | None = None
    home_dir: str | None = None
    engine: Literal["native"] = "native"
    sandbox: SandboxShape = Field(default_factory=SandboxShape)


class MatchShape(_Shape):
    """`routes[].match`: ids are the text as it stands in the file."""

    platform: str | None = None
    chat_id: str | None = None
    thread_id: str | None = None


class RouteShape(_Shape):
    """`routes[]`: the first that matches wins."""

    match: MatchShape
    agent: str
    enabled: Switch = True


class GatewayShape(_Shape):
    """`gateway`: who is served. Hermes' own settings beside these are accepted and ignored."""

    serve: Annotated[Texts | None, BeforeValidator(_as_served)] = None
    unmatched: Literal["default", "reject"] = "default"
    multiplex_profiles: Switch | None = None


class ApiKeyShape(_Shape):
    """`platforms.api_server.extra.keys.<NAME>`: a key of its own for some agents; without `agents` for all."""

    key: str = Field(repr=False)
    agents: Texts | None = None


class ApiExtraShape(_Open):
    """`platforms.api_server.extra`: the HTTP API."""

    host: Annotated[str, Field(min_length=1)] | None = None
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    key: str | None = Field(default=None, repr=False)
    keys: dict[str, ApiKeyShape] = Field(default_factory=dict)
    hosts: Texts = Field(default_factory=list)
    cors_origins: Texts = Field(default_factory=list)
    strict_model: Switch = False


class OurKeys(_Shape):
    """The root keys that are ours, and those of Hermes' that decide the same things."""

    default_agent: str | None = None
    agents: dict[str, AgentShape] = Field(default_factory=dict)
    routes: list[RouteShape | None] = Field(default_factory=list)
    gateway: GatewayShape = Field(default_factory=GatewayShape)
    multiplex_profiles: Switch | None = None
    group_sessions_per_user: Switch = True
    thread_sessions_per_user: Switch = False


class TerminalShape(_Open):
    """`terminal`: where a turn starts."""

    cwd: str | None = None


class HermesAgentShape(_Open):
    """`agent`: how long a turn may go on, and what it may never use."""

    max_turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    disabled_toolsets: Texts | None = None


class HermesKeys(_Open):
    """What is read of each home's config.yaml, the root's and a profile's, as Hermes reads it."""

    model: Annotated[ModelShape | None, BeforeValidator(_as_mapping)] = None
    terminal: TerminalShape = Field(default_factory=TerminalShape)
    agent: HermesAgentShape = Field(default_factory=HermesAgentShape)
    platform_toolsets: Annotated[dict[str, Texts], BeforeValidator(_or_empty)] = Field(default_factory=dict)
    max_turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    timezone: str | None = None


SHAPES: tuple[tuple[tuple[str, ...], type[_Shape]], ...] = (
    ((), OurKeys),
    (("agents", "*"), AgentShape),
    (("agents", "*", "model"), OverlayModelShape),
    (("agents", "*", "sandbox"), SandboxShape),
    (("routes", "*"), RouteShape),
    (("routes", "*", "match"), MatchShape),
    (("gateway",), GatewayShape),
    ((), HermesKeys),
    (("model",), ModelShape),
    (("terminal",), TerminalShape),
    (("agent",), HermesAgentShape),
    (("platforms", "api_server", "extra"), ApiExtraShape),
    (("platforms", "api_server", "extra", "keys", "*"), ApiKeyShape),
)
"""Which shape rules at which key path; `*` is any key or place in a list."""


def validated(shape: type[ShapeT], document: Document, *, below: KeyPath, data: Any, problems: ProblemList) -> ShapeT:
    """Return `data` as a `shape`, without the parts that are wrong: each of those is a Problem.

    `below` is the key path of `data` in the document. What is right still counts, so that later checks find their
    mistakes in the same run.
    """
    while True:
        try:
            return shape.model_validate(data)
        except ValidationError as error:
            for wrong in error.errors(include_url=False):
                path = (*below, *wrong["loc"])
                message = _unquoted(document, path, wrong["type"]) or _sentence(path, dict(wrong))
                document.complain(problems, path, message=message)
                data = _without(data, wrong["loc"][:-1] if wrong["type"] == "missing" else wrong["loc"])


def _without(data: Any, path: KeyPath) -> Any:
    """Return a copy of `data` without the value at `path`; an item leaves a gap, so that the others keep their places."""
    if not path:
        return {}
    if len(path) == 2 and path[0] == "routes" and isinstance(data, dict) and isinstance(data.get("routes"), list):
        return {**data, "routes": [None if index == path[1] else route for index, route in enumerate(data["routes"])]}
    head, rest = path[0], path[1:]
    if isinstance(data, dict) and head in data:
        lower = _without(data[head], rest) if rest else None
        return {key: lower if key == head else value for key, value in data.items() if rest or key != head}
    if isinstance(data, list) and isinstance(head, int) and head < len(data):
        lower = _without(data[head], rest) if rest else _GAP
        return [lower if index == head else value for index, value in enumerate(data)]
    return data if data is None or data is _GAP else {}


def _sentence(path: KeyPath, wrong: dict[str, Any]) -> str:
    """Say what is wrong and what to do, without ever repeating a value that may be a secret."""
    kind, context, found = wrong["type"], wrong.get("ctx", {}), wrong.get("input")
    if kind == "extra_forbidden":
        return f"unknown key{possible(str(path[-1]), _known_beside(path))}"
    if kind == "missing":
        return "is missing; add it"
    if kind == "literal_error" and found in _LATER.get(str(path[-1]), ()):
        return f"{found!r} is not available in this version; write {context.get('expected')}, or remove it"
    if kind == "literal_error":
        return f"must be {context.get('expected')}, found {found!r:.60}"
    if kind in ("string_too_short", "too_short"):
        return "must not be empty; write something, or remove it"
    if kind == "size":
        return f"must be a size such as 512M or 2G (a whole number with K, M or G), found {found!r:.60}"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {next(iter(context.values()), '')}, found {found!r:.60}"
    return f"must be {_WANTED.get(kind, 'of another kind')}, found {kind_of(found)}{_hint(kind, found)}"


def _unquoted(document: Document, path: KeyPath, kind: str) -> str:
    """Say how to write a `~` that YAML took for nothing, or ''."""
    if document.get(*path) is not None or document.texts.get(path) != "~":
        return ""
    written = '["~"]' if kind == "list_type" else '"~"'
    return f"is nothing, because YAML reads a bare ~ so; write it in quotes: {written}"


_LATER = {"engine": ("hermes",), "isolation": ("process", "interpreter")}
"""Values that a later version has."""
_BOUNDS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than_equal": "at most",
    "less_than": "less than",
}
_WANTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "finite_number": "a number",
}


def _hint(kind: str, found: Any) -> str:
    """Say what to do about a value of the wrong kind."""
    if kind == "string_type" and isinstance(found, int | float):
        return "; write it in quotes"
    if kind == "list_type" and isinstance(found, str):
        return "; write it as [one, two]"
    return "; correct it"


def _known_beside(path: KeyPath) -> set[str]:
    """Return the keys that are known where `path` ends."""
    parent = path[:-1]
    for pattern, shape in SHAPES:
        if len(pattern) == len(parent) and all(want in ("*", part) for want, part in zip(pattern, parent, strict=True)):
            return set(shape.model_fields)
    return set()
