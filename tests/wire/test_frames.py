"""The wire's promises: golden frames, and strictness towards whatever a hostile process sends."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso_sandbox import wire

GOLDEN_REQUEST = (
    b'{"t":"turn","turn_id":"t1","agent":"coder","session_key":"agent:coder:console:dm:cli","session_id":"s1","text":"hi",'
    b'"history":[],"persona":"You are.","instructions":"","tools":["terminal"],"max_iterations":5,"engine":"native",'
    b'"narrowing":{"execute":false,"read_only":["/workspace"]},"facts":{}}'
)
NARROWING = wire.Narrowing(execute=False, read_only=["/workspace"])
REQUEST = wire.TurnRequest("t1", "coder", "agent:coder:console:dm:cli", "s1", "hi", [], "You are.", "", ["terminal"], 5)


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (wire.TextDelta("né"), b'{"t":"text","text":"n\xc3\xa9"}'),
        (wire.BrokerCall(1, "model", {"messages": []}), b'{"t":"call","call_id":1,"method":"model","params":{"messages":[]}}'),
        (wire.TurnFailed("auth", "no key"), b'{"t":"failed","kind":"auth","message":"no key"}'),
        (wire.Interrupt("stop"), b'{"t":"interrupt","reason":"stop"}'),
        (wire.Steer("blue"), b'{"t":"steer","text":"blue"}'),
        (wire.SteerTaken(), b'{"t":"steer_taken"}'),
        (replace(REQUEST, narrowing=NARROWING), GOLDEN_REQUEST),
    ],
)
def test_encode_keeps_the_golden_bytes(message: wire.Message, body: bytes) -> None:
    """A message's bytes on the wire do not change by accident."""
    assert wire.encode(message) == len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "message",
    [REQUEST, replace(REQUEST, narrowing=NARROWING), wire.BrokerAnswer(1, True, {"a": [1, 2.5, None, "x"]}), wire.Interrupt()],
)
def test_decode_gives_back_what_encode_took(message: wire.Message) -> None:
    """A host message survives the way to the guest unchanged."""
    assert wire.decode(wire.encode(message)[4:], wire.HOST_MESSAGES) == message


def test_request_without_a_narrowing_has_none() -> None:
    """The field may be missing, and so may each of its own; then nothing is taken away."""
    body = GOLDEN_REQUEST.partition(b',"narrowing"')[0]
    assert wire.decode(body + b"}", wire.HOST_MESSAGES) == REQUEST
    assert wire.decode(body + b',"narrowing":{}}', wire.HOST_MESSAGES) == REQUEST


@pytest.mark.parametrize(
    "narrowing",
    [
        "null",
        "[]",
        '{"execute":0}',
        '{"execute":null}',
        '{"read_only":"/"}',
        '{"read_only":[1]}',
        '{"no_network":true}',
        '{"t":"x"}',
    ],
)
def test_narrowing_that_is_not_understood_is_no_request(narrowing: str) -> None:
    """A turn never begins with less taken away than was meant: an unknown field or a wrong type refuses the whole frame."""
    body = GOLDEN_REQUEST.partition(b'"narrowing"')[0] + f'"narrowing":{narrowing}}}'.encode()
    with pytest.raises(wire.WireError):
        wire.decode(body, wire.HOST_MESSAGES)


def test_encode_keeps_lone_surrogates_as_escapes() -> None:
    """Text that is no Unicode does not break the frame."""
    body = wire.encode(wire.TextDelta("\ud800"))[4:]
    assert json.loads(body)["text"] == "\ud800"


BAD = {
    "not JSON": b"hello",
    "not UTF-8": b'{"t":"text","text":"\xff"}',
    "a list": b"[]",
    "no t": b'{"text":"x"}',
    "unknown t": b'{"t":"shutdown"}',
    "t of another type": b'{"t":["text"],"text":"x"}',
    "a host's message": b'{"t":"interrupt"}',
    "missing field": b'{"t":"text"}',
    "unknown field": b'{"t":"text","text":"x","more":1}',
    "wrong type": b'{"t":"text","text":1}',
    "true for a number": b'{"t":"call","call_id":true,"method":"m","params":{}}',
    "list of wrong items": b'{"t":"done","text":"x","messages":[1]}',
    "duplicate key": b'{"t":"text","text":"x","text":"y"}',
    "NaN": b'{"t":"tool_returned","call_id":"1","name":"n","ok":true,"seconds":NaN}',
    "Infinity": b'{"t":"tool_returned","call_id":"1","name":"n","ok":true,"seconds":-Infinity}',
    "overflowing float": b'{"t":"tool_returned","call_id":"1","name":"n","ok":true,"seconds":1e999}',
    "65 bits": b'{"t":"call","call_id":%d,"method":"m","params":{}}' % (1 << 64),
    "a million digits": b'{"t":"call","call_id":' + b"9" * 1_000_000 + b',"method":"m","params":{}}',
    "nested lists": b'{"t":"call","call_id":1,"method":"m","params":{"a":' + b"[" * 65 + b"]" * 65 + b"}}",
    "very nested lists": b"[" * 500_000,
    "brackets out of order": b"]" * 200 + b"[" * 200,
    "too many lists": b'{"t":"call","call_id":1,"method":"m","params":{"a":[' + b"[]," * 100_001 + b"[]]}}",
    "too many texts": b'{"t":"call","call_id":1,"method":"m","params":{"a":[' + b'"",' * 100_000 + b'""]}}',
    "too many numbers": b'{"t":"call","call_id":1,"method":"m","params":{"a":[' + b"1," * 30_000 + b"1]}}",
    "a text that never ends": b"[" * 70 + b'\\"' * 120_000,
    "quotation marks without end": b"[" * 70 + b'\\"' * 500_000,
    "pickle": b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "too long": b'{"t":"text","text":"' + b"x" * wire.FRAME_LIMIT + b'"}',
    "empty": b"",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_decode_refuses_what_breaks_the_rules(body: bytes) -> None:
    """No frame outside the rules becomes a message, and the error never repeats what it held."""
    with pytest.raises(wire.WireError) as caught:
        wire.decode(body, wire.GUEST_MESSAGES)
    assert len(str(caught.value)) < 200


def test_brackets_inside_strings_do_not_count_as_nesting() -> None:
    """A text full of brackets is a text."""
    assert wire.decode(wire.encode(wire.TextDelta('["\\' + "[" * 5000))[4:], wire.GUEST_MESSAGES).text.count("[") == 5001


@given(st.binary(max_size=300))
def test_decode_of_any_bytes_gives_a_message_or_a_wire_error(body: bytes) -> None:
    """Nothing else than WireError ever escapes the decoder."""
    try:
        message = wire.decode(body, wire.GUEST_MESSAGES)
    except wire.WireError:
        return
    assert type(message) in wire.GUEST_MESSAGES.values()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["t", "text", "call_id", "method", "params", "x"]), json_values))
def test_decode_of_any_object_gives_a_message_or_a_wire_error(value: dict[str, object]) -> None:
    """The same for JSON that comes close to a message."""
    with contextlib.suppress(wire.WireError):
        wire.decode(json.dumps(value).encode(), wire.GUEST_MESSAGES)


@given(st.lists(st.text(max_size=50), min_size=1, max_size=8), st.data())
def test_reader_cuts_frames_however_the_stream_is_chopped(texts: list[str], data: st.DataObject) -> None:
    """Frames come out whole and in order, whatever the reads' sizes."""
    stream = b"".join(wire.encode(wire.TextDelta(text)) for text in texts)
    reader, got = wire.FrameReader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += reader.feed(stream[:size])
        stream = stream[size:]
    assert [wire.decode(body, wire.GUEST_MESSAGES).text for body in got] == texts
    assert not reader.partial


def test_reader_refuses_a_length_of_four_gigabytes_before_taking_it_in() -> None:
    """A header alone can't make the host wait for, or keep, a huge frame."""
    with pytest.raises(wire.WireError):
        wire.FrameReader().feed(b"\xff\xff\xff\xff")
