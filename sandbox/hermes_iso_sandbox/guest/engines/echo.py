"""An engine without a model: it answers with what it was asked. It measures the sandbox alone, and proves that one works."""

from __future__ import annotations

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.link import Link


def take_turn(request: wire.TurnRequest, link: Link) -> wire.TurnDone:  # noqa: ARG001  # every engine has this form
    """Answer with the request's text."""
    return wire.TurnDone(request.text)
