"""An engine that runs the request's text as Python in the turn process itself, for leak and attack probes.

No configuration can choose it. It adds nothing to what an agent can do: whoever holds a turn can run any code in it.
"""

from __future__ import annotations

from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.link import Link


def take_turn(request: wire.TurnRequest, link: Link) -> wire.TurnDone:
    """Run the text; answer with what it leaves in the name `answer`."""
    names: dict[str, Any] = {"answer": "", "link": link, "request": request}
    exec(compile(request.text, "<probe>", "exec"), names)
    return wire.TurnDone(str(names["answer"]))
