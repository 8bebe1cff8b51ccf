"""What hermes-agent asks of people: its questions and its approvals, put through the gateway, which knows whom to ask.

Hermes has a person approve a command by a callback that tells the gateway of it, and waits until somebody settles that. Here
the callback itself asks and settles its own entry before it returns, so that a decision is never another command's. What is
approved for longer is for the gateway to remember: inside, every approval is for once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from hermes_iso_sandbox.guest.engines.hermes.talk import Talk
from hermes_iso_sandbox.guest.link import CallError

JsonObject = dict[str, Any]


class Asking:
    """Puts the questions of one turn."""

    def __init__(self, talk: Talk, session_key: str) -> None:
        self._talk = talk
        self._key = session_key
        self._approval: Any = import_module("tools.approval")

    def attach(self, agent: Any) -> None:
        """Have the agent ask here. To Hermes this process is a gateway's, with the one session of its turn."""
        os.environ["HERMES_GATEWAY_SESSION"] = "1"
        os.environ["HERMES_SESSION_KEY"] = self._key
        if not os.environ.get("TIRITH_BIN") and shutil.which("tirith") is None:
            os.environ["TIRITH_ENABLED"] = "false"  # a scanner that Hermes would load from the network for the first command
        agent.clarify_callback = self._clarify
        self._approval.register_gateway_notify(self._key, self._approve)

    def _clarify(self, question: str, choices: Sequence[str] | None) -> str:
        """Return the answer to a question, or that there is none."""
        answer = self._ask({"kind": "clarify", "question": question, "choices": list(choices or ())})
        return str(answer["answer"]) if answer["given"] else f"[no answer: {answer['reason']}]"

    def _approve(self, data: JsonObject) -> None:
        """Have a person decide on a command, and settle the entry that waits for it."""
        asked = {
            "kind": "approval",
            "command": str(data.get("command", "")),
            "description": str(data.get("description", ""))[:500],
            "patterns": [str(each)[:200] for each in data.get("pattern_keys") or () if str(each).strip()],
            "permanent": bool(data.get("allow_permanent", True)),
        }
        answer = self._ask(asked)
        approved = answer["given"] and answer["decision"] != "deny"
        with self._approval._lock:
            waiting = self._approval._gateway_queues.get(self._key, ())
            entry = next(each for each in waiting if each.data is data)
        entry.result, entry.reason = "once" if approved else "deny", answer.get("reason") or None
        entry.event.set()

    def _ask(self, params: JsonObject) -> JsonObject:
        """Ask, and return what came of it; a refusal of the gateway's is no answer either."""
        try:
            return self._talk.call("ask", params)
        except CallError as error:
            return {"given": False, "reason": error.message}
