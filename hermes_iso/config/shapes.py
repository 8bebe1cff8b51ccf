"""What the shapes of config sections have in common: strictness, and the types that forgive what Hermes forgives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

PATH_BYTES, PART_BYTES = 2_000, 255
"""Longest path in a config, and its longest part; Linux takes paths of twice that, of which a home's own is a part."""
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def as_switch(value: Any) -> Any:
    """Turn the words that Hermes takes for a switch into a bool; leave anything else to the validation."""
    if isinstance(value, str) and value.strip().lower() in (*_TRUE, *_FALSE):
        return value.strip().lower() in _TRUE
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return value


def as_mapping(value: Any) -> Any:
    """Turn `model: provider/name` into the mapping it stands for."""
    return {"default": value} if isinstance(value, str) else value


def or_empty(value: Any) -> Any:
    """Take a key with nothing behind it for an empty mapping."""
    return {} if value is None else value


def as_tools(value: Any) -> Any:
    """Turn a tool profile's name, or a list of tools, into the mapping it stands for; refuse what is no form of `tools`."""
    if isinstance(value, str):
        return {"profile": value}
    if isinstance(value, list):
        return {"allow": value}
    if not isinstance(value, dict):
        raise PydanticCustomError("tools", "not a form of tools")
    return value


def as_path(value: str) -> str:
    """Refuse a path that no system call takes: one with a null character, or too long as a whole or between two slashes."""
    encoded = value.encode("utf-8", "surrogatepass")
    if b"\0" in encoded or len(encoded) > PATH_BYTES or max(map(len, encoded.split(b"/"))) > PART_BYTES:
        raise PydanticCustomError("path", "no path")
    return value


def not_nothing(value: Any) -> Any:
    """Refuse a list's key with nothing behind it: it is not clear whether that means all or none."""
    if value is None:
        raise PydanticKnownError("list_type")
    return value


class _Gap(str):
    """The empty text that stands where a malformed item of a list stood."""

    __slots__ = ()


GAP: Final = _Gap()


def _or_gap(value: Any, validate: Callable[[Any], str]) -> str:
    return value if value is GAP else validate(value)


Switch = Annotated[bool, BeforeValidator(as_switch)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
Texts = list[Annotated[str, Field(min_length=1), WrapValidator(_or_gap)]]
"""Texts, none empty; one that was malformed leaves a gap, so that the others keep their places: see `problems.numbered`."""


PathText = Annotated[str, AfterValidator(as_path)]
Paths = list[Annotated[str, Field(min_length=1), AfterValidator(as_path), WrapValidator(_or_gap)]]
"""Texts that are paths."""


class Shape(BaseModel):
    """Strict, frozen, and closed: a key that no field names is a mistake."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, data: Any) -> Any:
        """Take a key with nothing behind it for an empty section."""
        return {} if data is None else data


class Open(Shape):
    """A section of Hermes': what it holds beside the keys read here is ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)
