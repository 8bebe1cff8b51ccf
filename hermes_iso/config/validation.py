"""From a section as it was read to its shape: what is right still counts, and each mistake is a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from hermes_iso.config.agent_shapes import (
    AgentShape,
    MessagesShape,
    OverlayModelShape,
    SandboxShape,
    SecretShape,
    SharedPathShape,
    SubagentsShape,
    ToolsShape,
    ValueFromShape,
)
from hermes_iso.config.egress_shapes import AgentEgressShape, EgressRuleShape, EgressShape
from hermes_iso.config.hermes_shapes import HermesAgentShape, HermesKeys, ModelShape, TerminalShape
from hermes_iso.config.problems import ProblemList, possible
from hermes_iso.config.root_shapes import (
    ApiExtraShape,
    ApiKeyShape,
    EnginesShape,
    GatewayShape,
    HermesEngineShape,
    InboxShape,
    OurKeys,
    SubagentShape,
)
from hermes_iso.config.route_shapes import BindingShape, MatchShape, ProfileRouteShape, RouteShape
from hermes_iso.config.shapes import GAP, PART_BYTES, PATH_BYTES, Shape
from hermes_iso.config.yaml_text import Document, KeyPath, kind_of

ShapeT = TypeVar("ShapeT", bound=Shape)

SHAPES: tuple[tuple[tuple[str, ...], type[Shape]], ...] = (
    ((), OurKeys),
    (("agents", "*"), AgentShape),
    (("agents", "*", "model"), OverlayModelShape),
    (("agents", "*", "sandbox"), SandboxShape),
    (("agents", "*", "shared_paths", "*"), SharedPathShape),
    (("agents", "*", "messages"), MessagesShape),
    (("agents", "*", "tools"), ToolsShape),
    (("agents", "*", "secrets", "*"), SecretShape),
    (("agents", "*", "secrets", "*", "value_from"), ValueFromShape),
    (("agents", "*", "subagents"), SubagentsShape),
    (("agents", "*", "subagents", "model"), OverlayModelShape),
    (("agents", "*", "egress"), AgentEgressShape),
    (("agents", "*", "egress", "allow", "*"), EgressRuleShape),
    (("agents", "*", "egress", "deny", "*"), EgressRuleShape),
    (("egress",), EgressShape),
    (("engines",), EnginesShape),
    (("engines", "hermes"), HermesEngineShape),
    (("subagent",), SubagentShape),
    (("subagent", "model"), OverlayModelShape),
    (("routes", "*"), RouteShape),
    (("routes", "*", "match"), MatchShape),
    (("bindings", "*"), BindingShape),
    (("gateway", "profile_routes", "*"), ProfileRouteShape),
    (("gateway",), GatewayShape),
    (("gateway", "inbox"), InboxShape),
    ((), HermesKeys),
    (("model",), ModelShape),
    (("terminal",), TerminalShape),
    (("agent",), HermesAgentShape),
    (("platforms", "api_server", "extra"), ApiExtraShape),
    (("platforms", "api_server", "extra", "keys", "*"), ApiKeyShape),
)
"""Which shape rules at which key path; `*` is any key or place in a list."""
_LISTS = ("routes", "shared_paths")
"""Lists of sections: None stands where a malformed one stood."""


def validated(shape: type[ShapeT], document: Document, *, below: KeyPath, data: Any, problems: ProblemList) -> ShapeT:
    """Return `data` as a `shape`, without the parts that are wrong: each of those is a Problem.

    `below` is the key path of `data` in the document. What is right still counts, so that later checks find their
    mistakes in the same run.
    """
    while True:
        try:
            return shape.model_validate(data)
        except ValidationError as error:
            data = _noted(error, shape, document, below=below, data=data, problems=problems)


def validated_entry(
    shape: type[ShapeT], document: Document, *, below: KeyPath, data: dict[str, Any], problems: ProblemList
) -> ShapeT | None:
    """Return an entry of a list as a `shape`, or None where a key that it needs is missing or wrong; see `validated`."""
    while True:
        try:
            return shape.model_validate(data)
        except ValidationError as error:
            data = _noted(error, shape, document, below=below, data=data, problems=problems)
            wrong = {str(each["loc"][0]) for each in error.errors(include_url=False)}
            if any(shape.model_fields[key].is_required() for key in wrong & shape.model_fields.keys()):
                return None


def _noted(
    error: ValidationError, shape: type[Shape], document: Document, *, below: KeyPath, data: Any, problems: ProblemList
) -> Any:
    """Note every mistake of a section; return its data without what is wrong."""
    for wrong in error.errors(include_url=False):
        path = _as_written(document, (*below, *wrong["loc"]))
        known = shape.model_fields if len(wrong["loc"]) == 1 else _known_beside(path)
        message = _unquoted(document, path, wrong["type"]) or _sentence(path, dict(wrong), known)
        document.complain(problems, path, message=message)
        data = _without(data, wrong["loc"][:-1] if wrong["type"] == "missing" else wrong["loc"])
    return data


def _as_written(document: Document, path: KeyPath) -> KeyPath:
    """Return where an item of a list stands that is short for a mapping: without the key that the list stands for."""
    short = (*path[:-2], *path[-1:])
    return short if path not in document.lines and isinstance(path[-1], int) and short in document.lines else path


def _without(data: Any, path: KeyPath) -> Any:
    """Return a copy of `data` without the value at `path`; an item leaves a gap, so that the others keep their places."""
    if not path:
        return {}
    head, rest = path[0], path[1:]
    if len(path) == 2 and head in _LISTS and isinstance(data, dict) and isinstance(data.get(head), list):
        return {**data, head: [None if index == path[1] else item for index, item in enumerate(data[head])]}
    if isinstance(data, dict) and head in data:
        lower = _without(data[head], rest) if rest else None
        return {key: lower if key == head else value for key, value in data.items() if rest or key != head}
    if isinstance(data, list) and isinstance(head, str):  # it is short for a mapping with this key
        return _without(data, rest)
    if isinstance(data, list) and isinstance(head, int) and head < len(data):
        lower = _without(data[head], rest) if rest else GAP
        return [lower if index == head else value for index, value in enumerate(data)]
    return data if data is None or data is GAP else {}


def _sentence(path: KeyPath, wrong: dict[str, Any], known: Iterable[str]) -> str:
    """Say what is wrong and what to do, without ever repeating a value that may be a secret. `known`: keys for this place."""
    kind, context, found = wrong["type"], wrong.get("ctx", {}), wrong.get("input")
    if kind == "extra_forbidden":
        return f"unknown key{possible(str(path[-1]), known)}"
    if kind == "missing":
        return "is missing; add it"
    if kind == "literal_error" and found in _LATER.get(str(path[-1]), ()):
        return f"{found!r} is not available in this version; write {context.get('expected')}, or remove it"
    if kind == "literal_error":
        return f"must be {context.get('expected')}, found {found!r:.60}"
    if kind == "wanted":
        return f"must be {context['wanted']}, found {found!r:.60}; correct it"
    if kind in ("string_too_short", "too_short"):
        return "must not be empty; write something, or remove it"
    if kind == "size":
        return f"must be a size such as 512M or 2G (a whole number with K, M or G), found {found!r:.60}"
    if kind == "path":
        longest = f"{PATH_BYTES} bytes or {PART_BYTES} in one part"
        return f"is no path: it holds a null character, or is longer than {longest}; correct it"
    if kind == "tools":
        forms = "a tool profile, a list of tools, or a mapping of profile, also_allow, allow and deny"
        return f"must be {forms}, found {kind_of(found)}; full grants everything"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {next(iter(context.values()), '')}, found {found!r:.60}"
    return f"must be {_WANTED.get(kind, 'of another kind')}, found {kind_of(found)}{_hint(kind, found)}"


def _unquoted(document: Document, path: KeyPath, kind: str) -> str:
    """Say how to write a `~` that YAML took for nothing, or ''."""
    if document.get(*path) is not None or document.texts.get(path) != "~":
        return ""
    written = '["~"]' if kind == "list_type" else '"~"'
    return f"is nothing, because YAML reads a bare ~ so; write it in quotes: {written}"


_LATER = {"isolation": ("process", "interpreter")}
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
            return {field.alias or name for name, field in shape.model_fields.items()}
    return set()
