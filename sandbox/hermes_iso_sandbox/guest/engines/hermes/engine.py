"""The hermes-agent of one turn process: made ready while the process waits, given its session when the request is there.

What is made ready belongs to the agent alone and to no session: its database, its AIAgent with the agent's own model and tools.
No thread of it lives before the request, because what a request takes away binds the thread that takes it and those that it
starts; and the tools that this turn is not granted are taken out before the model hears of any.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from importlib import import_module
from pathlib import Path
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.engines.hermes import history
from hermes_iso_sandbox.guest.engines.hermes.asking import Asking
from hermes_iso_sandbox.guest.engines.hermes.making import Maker
from hermes_iso_sandbox.guest.engines.hermes.shortcuts import nobody_to_ask
from hermes_iso_sandbox.guest.engines.hermes.showing import Showing
from hermes_iso_sandbox.guest.engines.hermes.state import check_writable, make_room
from hermes_iso_sandbox.guest.engines.hermes.talk import Talk
from hermes_iso_sandbox.guest.link import Link


class HermesEngine:
    """One hermes-agent. settings: as JSON, what `hermes_iso.engines` writes. proxies: what says where the door is.

    While it is made it looks for nothing outside: without a proxy there is no way there, and it learns that at once.
    """

    def __init__(self, settings: str, proxies: dict[str, str]) -> None:
        self._settings: dict[str, Any] = json.loads(settings)
        self._maker: Maker | None = None
        os.environ["TERMINAL_CWD"] = os.getcwd()
        with contextlib.suppress(Exception), nobody_to_ask():  # it is tried again, and told, when somebody is there
            self._maker = self._make_ready()
        _pause_logging()
        os.environ.update(proxies)

    def take_turn(self, request: wire.TurnRequest, link: Link) -> wire.TurnDone:
        """Answer one request. Raises TurnFault when the turn can't be finished."""
        try:
            maker = self._maker or self._make_ready()
            check_writable(os.environ["HERMES_HOME"])
            _resume_logging()
            return _converse(maker, request, Talk(link))
        except TurnFault:
            raise
        except Exception as error:
            raise _fault_of(error) from error
        finally:
            import_module("hermes_logging").drain_log_queue()

    def _make_ready(self) -> Maker:
        """Make what belongs to no session."""
        make_room()
        return Maker(self._settings)


def _converse(maker: Maker, request: wire.TurnRequest, talk: Talk) -> wire.TurnDone:
    """Take the turn. A session that the caller keeps leaves nothing behind."""
    database, stored = maker.database, request.facts.get("stored", True)
    session_id, messages = request.session_id, request.history
    if stored:
        session_id, messages = history.begin(database, session_id, messages, summed_up=request.facts["summed_up"])
    agent = maker.fitted(request, session_id, talk)
    showing = Showing(talk, agent)
    Asking(talk, request.session_key).attach(agent)
    talk.listen(agent.interrupt, showing.told)
    done = showing.done(agent.run_conversation(request.text, conversation_history=messages, task_id=session_id))
    if stored:
        history.finish(database, request.session_id, request.text, request.facts["title"])
    else:
        database.delete_session_if_empty(session_id)
    database.close()
    return done


def _pause_logging() -> None:
    """End the thread that writes the logs until there is a turn to log."""
    logging: Any = import_module("hermes_logging")
    logging._reset_queued_handlers()
    logging._logging_initialized = False


def _resume_logging() -> None:
    """Write logs again."""
    import_module("hermes_logging").setup_logging(hermes_home=Path(os.environ["HERMES_HOME"]))


def _fault_of(error: Exception) -> TurnFault:
    """Return one sentence for what hermes-agent raised."""
    if isinstance(error, sqlite3.DatabaseError):
        sentence = f"hermes-agent can't use this agent's state.db ({error}): restore it from a backup, or move it away."
        return TurnFault("engine", sentence)
    sentence = " ".join(str(error).split())[:400] or "it did not say why"
    return TurnFault("engine", f"hermes-agent could not take this turn: {type(error).__name__}: {sentence}")
