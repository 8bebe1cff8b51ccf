"""Every exception that the gateway raises; imports nothing, so that everybody may import it."""

from __future__ import annotations

from dataclasses import dataclass


class HermesIsoError(Exception):
    """The root of the gateway's own errors; its text is one sentence for a person."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a config file: where (line counts from 1), which key, what, and what to do."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


class ConfigError(HermesIsoError):
    """The configuration can't be used; `problems` holds every reason, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class UsageError(HermesIsoError):
    """What was asked on the command line can't be done as asked: exit 2."""


class UnsupportedError(HermesIsoError):
    """This machine can't give what was asked; the text says the fix: exit 3."""


class HomeBusyError(HermesIsoError):
    """Another gateway holds this home: exit 2. `pid` is 0 when unknown."""

    def __init__(self, message: str, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class RouteRejectedError(HermesIsoError):
    """No route takes this message and `unmatched: reject` is set, or it names an agent that is not served."""


class DrainingError(HermesIsoError):
    """The gateway is about to stop and takes no new turns."""


class ModelError(HermesIsoError):
    """A model call failed. `kind`: unreachable, timeout, auth, rate_limited, bad_response, cut, refused, budget, config.

    `retry_after` is seconds, where the provider said so.
    """

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class TurnError(HermesIsoError):
    """A turn failed. `kind` is a word: a ModelError's kind, or timeout, limit, guest_died, protocol, flood, internal."""

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class GatewayGoneError(HermesIsoError):
    """The gateway that a command used ended before it answered: what was asked may have begun."""


class DeliveryError(HermesIsoError):
    """An answer could not be handed to its adapter.

    `again`: whether another try can help and can't bring it twice; `after`: in how many seconds.
    """

    def __init__(self, message: str, *, again: bool = False, after: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.after = after


class InboxFullError(HermesIsoError):
    """A message was not taken: its chat, or the gateway, has as many waiting as it may. `after`: seconds to wait."""

    def __init__(self, message: str, after: float = 5.0) -> None:
        super().__init__(message)
        self.after = after


class DiskFullError(InboxFullError):
    """A message was not taken: the disk takes nothing more."""


class AttachmentError(HermesIsoError):
    """A file that came with a message could not be had: one sentence for whoever sent it."""


class AdapterError(HermesIsoError):
    """A chat platform can't be used now: one sentence without any secret. `after`: seconds to wait at least.

    `failed`: only its operator can mend that, so that it is tried again rarely.
    """

    def __init__(self, message: str, *, after: float = 0.0, failed: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.failed = failed
