"""Inspector of answers: one that carries a secret's value back is cut before it, and reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from hermes_iso.broker.egress.dialing import NoWayError
from hermes_iso.broker.egress.heads import Headers
from hermes_iso.broker.watching import Watch, spellings


class SecretLeakError(NoWayError):
    """An answer carried a value back."""


class SecretInspector:
    """Looks for values in one answer. `permitted` says why its request is no longer permitted, or ''."""

    def __init__(self, values: Iterable[str], written: Sequence[bytes], permitted: Callable[[], str]) -> None:
        self._patterns = (*spellings(values), *(each for each in written if each))
        self._watch = Watch(self._patterns)
        self._permitted = permitted

    def check_headers(self, headers: Headers) -> None:
        """Raise NoWayError for a value in an answer's headers, and for a body that can't be looked into."""
        for name, content in headers:
            if any(pattern in content or pattern.lower() in name for pattern in self._patterns):
                raise SecretLeakError("The host's answer carried a secret back: it was not passed on.", refused=True)
            if name == b"content-encoding" and content.lower() != b"identity":
                raise NoWayError("The host sent a compressed answer, which was not asked for and can't be looked into.")

    def take(self, piece: bytes) -> bytes:
        """Return what of the body may go on now. Raises NoWayError."""
        why = self._permitted()
        if why:
            raise NoWayError(f"The answer was cut: {why}.", refused=True)
        passed = self._watch.take(piece)
        if passed is None:
            raise SecretLeakError("The host's answer carried a secret back: it was cut.", refused=True)
        return passed

    def rest(self) -> bytes:
        """Return what was held back until the body's end."""
        return self._watch.rest()
