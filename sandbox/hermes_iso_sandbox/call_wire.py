"""The messages of a function's call, in place of a turn's: frames as in `wire`, shared by both sides; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, get_args


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Ask a turn process to call one function, in place of a turn: pickled by value, as base64, in as many pieces as it takes.

    The host made it and never reads such a thing itself. more: whether another piece follows.
    """

    t: ClassVar[str] = "function"
    pickled: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class Yielded:
    """Carry a value that a function yielded, or a piece of it: JSON text, see `guest.values`. more: whether a piece follows."""

    t: ClassVar[str] = "yielded"
    text: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """End a function's call with its value, in pieces as Yielded has them."""

    t: ClassVar[str] = "returned"
    text: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class Raised:
    """End a function's call with what it raised: the class's name, its text, and the traceback as text."""

    t: ClassVar[str] = "raised"
    kind: str
    message: str
    traceback: str


FunctionMessage: TypeAlias = Yielded | Returned | Raised
FUNCTION_MESSAGES: dict[str, type[Any]] = {cls.t: cls for cls in get_args(FunctionMessage)}
"""What a guest may say about a call."""
