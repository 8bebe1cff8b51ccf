"""The shapes of `egress`: what an agent may reach, and the operator's resolver map, as strict pydantic models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, WrapValidator
from pydantic_core import PydanticCustomError

from hermes_iso.config.shapes import GAP, Shape, Texts


class EgressRuleShape(Shape):
    """One entry of `allow` or `deny`: a text is short for its host alone."""

    host: str
    methods: Annotated[Texts, Field(min_length=1)] | None = None
    paths: Annotated[Texts, Field(min_length=1)] | None = None


def _as_rule(value: Any, validate: Callable[[Any], EgressRuleShape]) -> EgressRuleShape | None:
    """Read a text or a mapping; an entry that was malformed leaves a gap, so that the others keep their places."""
    if value is GAP:
        return None
    if isinstance(value, str):
        value = {"host": value}
    if not (isinstance(value, dict) and isinstance(value.get("host"), str) and value["host"]):
        raise PydanticCustomError("wanted", "no rule", {"wanted": "a host, a preset, or a mapping with a host"})
    return validate(value)


Rules = list[Annotated[EgressRuleShape | None, WrapValidator(_as_rule)]]


class AgentEgressShape(Shape):
    """`agents.<id>.egress`: what its turns may reach."""

    allow: Rules = Field(default_factory=list)
    deny: Rules = Field(default_factory=list)


class EgressShape(Shape):
    """`egress`: how the gateway finds hosts."""

    resolve: dict[str, str] = Field(default_factory=dict)
