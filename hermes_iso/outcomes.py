"""Outcome: how a turn ended, in words that are fit for the person who asked, whatever the guest said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hermes_iso.errors import ConfigError, ModelError, TurnError
from hermes_iso.history import MalformedHistoryError, Message, check_history, clean_text
from hermes_iso.messages import Usage
from hermes_iso_sandbox import wire
from hermes_iso_sandbox.errors import FloodError, GuestDiedError, LimitError, ProtocolError, SandboxError

SHOWN_LENGTH = 500
"""Most characters of a guest's own word on a failure, or of a preview of a tool's arguments."""
NAME_LENGTH = 64
"""Most characters of a tool's name."""
STOPPED = "The turn was stopped before it had said anything."
"""The answer of a turn that was interrupted without a word."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended. `error` is the kind of a failure; then `text` is its sentence and there are no messages.

    messages: what the history gains after the user's message, checked.
    """

    text: str
    messages: tuple[Message, ...] = ()
    usage: Usage = field(default_factory=Usage)
    interrupted: bool = False
    error: str | None = None
    retry_after: float | None = None


def said_instead(text: str) -> Outcome:
    """Return the outcome of a message that the gateway answers in the place of a turn."""
    return Outcome(text, ({"role": "assistant", "content": text},))


def failed(error: TurnError, usage: Usage = Usage()) -> Outcome:  # noqa: B008  # frozen
    """Return the outcome of a turn that failed."""
    interrupted = error.kind == "interrupted"
    return Outcome(str(error), usage=usage, error=error.kind, retry_after=error.retry_after, interrupted=interrupted)


def outcome_of(
    end: wire.TurnDone | wire.TurnFailed, *, usage: Usage, model_failure: ModelError | None, told: Sequence[str] = ()
) -> Outcome:
    """Return how a turn ended by the guest's last message. Raises TurnError.

    model_failure: why the turn's latest model call failed; then a failure is told in the broker's words, not the guest's.
    told: what the user said to the running turn: the only messages of a user that it can have.
    """
    if isinstance(end, wire.TurnFailed):
        if model_failure is not None:
            raise TurnError(model_failure.kind, str(model_failure), model_failure.retry_after)
        kind = end.kind if end.kind == "bad_response" else "guest_error"
        raise TurnError(kind, shown(end.message) or "The agent's process could not finish the turn.")
    text = clean_text(end.text) or (STOPPED if end.interrupted else "")
    try:
        messages = _with_told(check_history(end.messages, ("assistant", "tool", "user")), told)
    except MalformedHistoryError as error:
        text = f"The agent's process ended its turn with a malformed history: messages{error.place} must {error.wanted}."
        raise TurnError("protocol", text) from error
    if not messages and text:
        messages = [{"role": "assistant", "content": text}]
    return Outcome(text, tuple(messages), usage, end.interrupted)


def _with_told(messages: list[Message], told: Sequence[str]) -> list[Message]:
    """Return a turn's messages with the user's own as they were really said. Raises MalformedHistoryError for a made-up one."""
    words = iter(told)
    checked: list[Message] = []
    for number, message in enumerate(messages):
        if message["role"] == "user":
            said = next(words, None)
            if said is None:
                raise MalformedHistoryError(f"[{number}].role", "be assistant or tool")
            checked.append({"role": "user", "content": clean_text(said)})
        else:
            checked.append(message)
    return checked


def translated(error: ConfigError | SandboxError) -> TurnError:
    """Return a foreign failure in the words of a turn. What lies on the host is for the log and not for the chat."""
    match error:
        case ConfigError():
            return TurnError("config", "The agent's files can't be used as they stand; the gateway's log says why.")
        case FloodError():
            return TurnError("flood", str(error))
        case ProtocolError():
            return TurnError("protocol", str(error))
        case LimitError():
            return TurnError("limit", str(error))
        case GuestDiedError():
            return TurnError("guest_died", str(error))
    return TurnError("internal", "No sandbox could be had for this turn: the gateway's log and `hermes-iso doctor` say why.")


def shown(text: str) -> str:
    """Return a guest's words fit for one line: no control characters, bounded."""
    line = _UNPRINTABLE.sub(" ", clean_text(text[: 4 * SHOWN_LENGTH])).strip()
    return line if len(line) <= SHOWN_LENGTH else line[: SHOWN_LENGTH - 1] + "…"


def shown_name(name: str) -> str:
    """Return a tool's name as a guest gave it, without what can't be printed, bounded."""
    return "".join(filter(str.isprintable, name[: 4 * NAME_LENGTH]))[:NAME_LENGTH]
