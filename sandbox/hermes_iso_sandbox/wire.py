"""Frames and messages between host and guest: the only file that both sides share; standard library only.

A frame is four bytes of length, big-endian, and that many bytes of UTF-8 JSON: one object whose key `t` names the message
and whose other keys are the message's fields. Nothing else crosses: no pickle, no file descriptors from guest to host.

The host reads what a hostile process wrote, so decoding is strict. A frame is refused when it is longer than `FRAME_LIMIT`, is
not UTF-8 JSON, nests deeper than `DEPTH_LIMIT`, holds an integer of more than 64 bits, NaN, Infinity, or a key twice, or is
not exactly one known message with exactly its fields. There is no recovery: after one bad frame the channel is closed.
"""

from __future__ import annotations

import itertools
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeAlias, get_args

FRAME_LIMIT = 1 << 20
"""Longest frame body, in bytes."""
DEPTH_LIMIT = 64
"""Deepest nesting of JSON arrays and objects in a frame."""
NODE_LIMIT = 10_000
"""Most arrays and objects in a frame: an empty list costs the reader far more than its two bytes."""
VALUE_LIMIT = 20_000
"""Most values in a frame, for the same reason."""
QUOTE_LIMIT = 250_000
"""Most quotation marks in a frame, inside texts too: telling texts from structure costs time for each."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a JSON value may be: arrays and objects, values, and quotation marks."""

    nodes: int
    values: int
    quotes: int


FRAME_SHAPE = Shape(NODE_LIMIT, VALUE_LIMIT, QUOTE_LIMIT)
HEADER = struct.Struct(">I")

Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]


class WireError(Exception):
    """A frame broke the rules of the wire; the text says which, and never repeats what the frame held."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What one turn may do less than its sandbox lets it; part of a TurnRequest. The turn process applies it to itself first.

    execute: False refuses to start programs. read_only: paths inside below which nothing may be written.
    """

    t: ClassVar[str] = "narrowing"
    execute: bool = True
    read_only: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Ask a turn process to take its one turn. Plain data: no secret is ever a field of it.

    facts: what an engine other than the native one is told besides; empty for that.
    """

    t: ClassVar[str] = "turn"
    turn_id: str
    agent: str
    session_key: str
    session_id: str
    text: str
    history: list[JsonObject]
    persona: str
    instructions: str
    tools: list[str]
    max_iterations: int
    engine: str = "native"
    narrowing: Narrowing = field(default_factory=Narrowing)
    facts: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MakeReady:
    """Tell a turn process that waits to make its engine ready ahead of the request: a turn is likely to come soon."""

    t: ClassVar[str] = "make_ready"


@dataclass(frozen=True, slots=True)
class BrokerChunk:
    """Carry one piece of a streamed answer to broker call `call_id`."""

    t: ClassVar[str] = "chunk"
    call_id: int
    data: JsonObject


@dataclass(frozen=True, slots=True)
class BrokerAnswer:
    """End broker call `call_id`: `data` is the result, or, when not `ok`, {"kind", "message"}."""

    t: ClassVar[str] = "answer"
    call_id: int
    ok: bool
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Ask the turn to stop soon and to answer with what it has."""

    t: ClassVar[str] = "interrupt"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Steer:
    """Tell the turn something as its user, to be taken in before its next call of the model."""

    t: ClassVar[str] = "steer"
    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Carry a piece of the answer as it is made."""

    t: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """Say that a tool starts; `preview` is a short text of its arguments."""

    t: ClassVar[str] = "tool_called"
    call_id: str
    name: str
    preview: str


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """Say that a tool ended, after `seconds`."""

    t: ClassVar[str] = "tool_returned"
    call_id: str
    name: str
    ok: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """Tell the person who waits how the turn goes on, such as that the model is asked again; no part of the answer."""

    t: ClassVar[str] = "status"
    text: str


@dataclass(frozen=True, slots=True)
class BrokerCall:
    """Ask the trusted side for something that a guest may not do itself."""

    t: ClassVar[str] = "call"
    call_id: int
    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class SteerTaken:
    """Say that the oldest `Steer` not yet taken is part of the conversation now, as a message of the user."""

    t: ClassVar[str] = "steer_taken"


@dataclass(frozen=True, slots=True)
class TurnDone:
    """End the turn: the answer's text, and the messages that the session's history gains.

    Their roles are assistant and tool, and user for what the turn was told by `Steer`.
    """

    t: ClassVar[str] = "done"
    text: str
    messages: list[JsonObject] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """End the turn with one sentence for the person who asked; `kind` is a short word for programs."""

    t: ClassVar[str] = "failed"
    kind: str
    message: str


HostMessage: TypeAlias = TurnRequest | MakeReady | BrokerChunk | BrokerAnswer | Interrupt | Steer
GuestMessage: TypeAlias = TextDelta | ToolCalled | ToolReturned | Status | BrokerCall | SteerTaken | TurnDone | TurnFailed


class Message(Protocol):
    """A message of this module, or of `call_wire`: a dataclass with slots."""

    t: ClassVar[str]
    __slots__: tuple[str, ...]


HOST_MESSAGES: dict[str, type[Any]] = {cls.t: cls for cls in get_args(HostMessage)}
GUEST_MESSAGES: dict[str, type[Any]] = {cls.t: cls for cls in get_args(GuestMessage)}


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "JsonObject": (dict,),
    "Narrowing": (dict,),
    "list[str]": (list,),
    "list[JsonObject]": (list,),
}
_ITEMS: dict[str, type] = {"list[str]": str, "list[JsonObject]": dict}


def encode(message: Message) -> bytes:
    """Return the whole frame of a message. Raise WireError when its body would exceed FRAME_LIMIT."""
    return encode_object({"t": message.t, **_fields(message)})


def _fields(value: Message | Narrowing) -> JsonObject:
    """Return the fields of a message as JSON."""
    body = {name: getattr(value, name) for name in value.__slots__}
    return {name: _fields(field) if isinstance(field, Narrowing) else field for name, field in body.items()}


def encode_object(value: JsonObject) -> bytes:
    """Return the frame of a plain JSON object. Raise WireError when it is too long or not JSON."""
    try:
        data = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        data.decode("utf-8")
    except UnicodeDecodeError:
        data = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"not a JSON value: {type(error).__name__}") from error
    if len(data) > FRAME_LIMIT:
        raise WireError(f"a frame of {len(data)} bytes is over the limit of {FRAME_LIMIT}")
    return HEADER.pack(len(data)) + data


def decode(body: bytes, known: Mapping[str, type[Any]]) -> Any:
    """Return the message in a frame's body, one of `known` (HOST_MESSAGES or GUEST_MESSAGES). Raise WireError otherwise."""
    value = decode_object(body)
    cls = known.get(value.pop("t", ""))  # an unhashable `t` cannot get here: see decode_object
    if cls is None:
        raise WireError("unknown message")
    return _built(cls, value)


def _built(cls: type[Any], value: JsonObject) -> Any:
    """Return a message, or a value inside of one, of exactly the fields that its class has. Raise WireError otherwise."""
    wanted = {f.name: f for f in fields(cls)}
    if value.keys() - wanted.keys():
        raise WireError(f"{cls.t}: unknown field")
    for name, spec in wanted.items():
        if name not in value:
            if spec.default is MISSING and spec.default_factory is MISSING:
                raise WireError(f"{cls.t}: field {name} is missing")
            continue
        _check_type(cls.t, name, str(spec.type), value[name])
        if spec.type == Narrowing.__name__:
            value[name] = _built(Narrowing, value[name])
    return cls(**value)


def _check_type(kind: str, name: str, annotation: str, value: Json) -> None:
    """Raise WireError unless `value` has the type that the field's annotation names."""
    wrong = not isinstance(value, _TYPES[annotation]) or (isinstance(value, bool) and annotation != "bool")
    item = _ITEMS.get(annotation)
    if wrong or (item is not None and any(not isinstance(each, item) for each in value)):
        raise WireError(f"{kind}: field {name} has the wrong type")


def decode_object(body: bytes) -> JsonObject:
    """Return the JSON object in `body` under the strict rules of this module. Raise WireError otherwise."""
    if len(body) > FRAME_LIMIT:
        raise WireError(f"a frame of {len(body)} bytes is over the limit of {FRAME_LIMIT}")
    value = decode_json(body, FRAME_SHAPE)
    if not isinstance(value, dict) or not isinstance(value.get("t", ""), str):
        raise WireError("not a JSON object with a text `t`")
    return value


def decode_json(body: bytes, shape: Shape) -> Json:
    """Return the JSON value in `body`, with the rules of frames but these bounds. Raise WireError otherwise."""
    _check_shape(body, shape)
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise WireError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise WireError("not JSON by the rules of the wire") from None


_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A text, or what is left of one that does not end. Possessive: giving back what was read would cost the square of it."""
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[]{},"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _check_shape(body: bytes, shape: Shape) -> None:
    """Bound nesting, node and value count before the JSON parser sees the body: parsing is where a hostile shape costs.

    The host reads frames on its event loop, so what one frame can cost is a delay for everybody else.
    """
    if body.count(b"[") + body.count(b"{") <= DEPTH_LIMIT and body.count(b",") <= shape.values:
        return
    if body.count(b'"') > shape.quotes:
        raise WireError(f"more than {shape.quotes} quotation marks")
    structure = _STRINGS.sub(b"", body).translate(None, _NOT_STRUCTURE)
    if structure.count(b",") > shape.values:
        raise WireError(f"more than {shape.values} values")
    brackets = structure.replace(b",", b"")
    if len(brackets) > 2 * shape.nodes:
        raise WireError(f"more than {shape.nodes} arrays and objects")
    if max(itertools.accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH_LIMIT:
        raise WireError(f"nested deeper than {DEPTH_LIMIT}")


def _small_int(text: str) -> int:
    """Read an integer of at most 64 bits: a longer one is slow to read and fits no field."""
    if len(text) > 20 or not -(1 << 63) <= (number := int(text)) < (1 << 64):
        raise ValueError("integer of more than 64 bits")
    return number


def _small_float(text: str) -> float:
    """Read a float; one that overflows would become Infinity."""
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError("number too large")
    return number


def _no_constant(text: str) -> Json:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(text)


def _unique_keys(pairs: list[tuple[str, Json]]) -> JsonObject:
    """Build an object, refusing a key that comes twice: two readers could take different ones."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


_DECODER = json.JSONDecoder(
    parse_int=_small_int,
    parse_float=_small_float,
    parse_constant=_no_constant,
    object_pairs_hook=_unique_keys,
)


class FrameReader:
    """Cut a byte stream into frame bodies; keeps no more than one frame and one read's worth of bytes."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in bytes as they came and return the bodies that are now whole. Raise WireError on an oversized header."""
        self._buffer += data
        bodies = []
        while len(self._buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer)
            if length > FRAME_LIMIT:
                raise WireError(f"a frame of {length} bytes is over the limit of {FRAME_LIMIT}")
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[HEADER.size : end]))
            del self._buffer[:end]
        return bodies

    @property
    def partial(self) -> bool:
        """True when the stream ended inside a frame."""
        return bool(self._buffer)
