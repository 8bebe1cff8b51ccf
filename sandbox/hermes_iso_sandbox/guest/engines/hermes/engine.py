"""The hermes-agent of one turn process: made ready while the process waits, given its session when the request is there.

What is made ready belongs to the agent alone and to no session: its database, its AIAgent with the agent's own model and tools.
No thread of it lives before the request, because what a request takes away binds the thread that takes it and those that it
starts; and the tools that this turn is not granted are taken out before the model hears of any.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.engines.hermes import history
from hermes_iso_sandbox.guest.engines.hermes.showing import Showing
from hermes_iso_sandbox.guest.engines.hermes.state import make_room
from hermes_iso_sandbox.guest.engines.hermes.talk import Talk
from hermes_iso_sandbox.guest.link import Link

JsonObject = dict[str, Any]
URL = "http://model.local/v1"
"""The model host of the turn's door; see `door`."""
KEY = "inside-the-sandbox"
"""Stands for the key, which the gateway puts in."""


class HermesEngine:
    """One hermes-agent. settings: as JSON, what `hermes_iso.engines` writes. proxies: what says where the door is.

    While it is made it looks for nothing outside: without a proxy there is no way there, and it learns that at once.
    """

    def __init__(self, settings: str, proxies: dict[str, str]) -> None:
        self._settings: JsonObject = json.loads(settings)
        self._fault: TurnFault | None = None
        os.environ["TERMINAL_CWD"] = os.getcwd()
        try:
            make_room()
            self._database = import_module("hermes_state").SessionDB()
            self._agent = self._make_agent()
            os.environ.update(proxies)
            self._agent._replace_primary_openai_client(reason="door")
            _pause_logging()
        except TurnFault as fault:
            self._fault = fault
        except Exception as error:
            self._fault = _fault_of(error)

    def take_turn(self, request: wire.TurnRequest, link: Link) -> wire.TurnDone:
        """Answer one request. Raises TurnFault when the turn can't be finished."""
        if self._fault is not None:
            raise self._fault
        talk = Talk(link)
        agent = self._agent
        showing = Showing(talk, agent)
        _resume_logging()
        session_id, messages = self._open_session(request)
        self._fit(request, session_id)
        showing.attach()
        talk.listen(agent.interrupt, showing.told)
        try:
            result = agent.run_conversation(request.text, conversation_history=messages, task_id=session_id)
        except Exception as error:
            raise _fault_of(error) from error
        done = showing.done(result)
        if request.facts.get("stored", True):
            history.finish(self._database, request.session_id, request.text)
        self._close()
        return done

    def _make_agent(self) -> Any:
        """Return an AIAgent for the agent's own model with all of its tools, for no session yet."""
        wanted = self._settings
        config = import_module("hermes_cli.config").load_config()
        platform = wanted["platform"]
        toolsets = import_module("hermes_cli.tools_config")._get_platform_tools(config, platform)
        return import_module("run_agent").AIAgent(
            base_url=URL,
            api_key=KEY,
            provider="custom",
            api_mode=wanted["api_mode"],
            model=wanted["model"],
            max_iterations=wanted["max_iterations"],
            quiet_mode=True,
            platform=platform,
            enabled_toolsets=sorted(toolsets),
            session_id="waiting",
            session_db=self._database,
        )

    def _open_session(self, request: wire.TurnRequest) -> tuple[str, list[JsonObject]]:
        """Return the id of the session and what was said in it. A session that the caller keeps leaves nothing behind."""
        if request.facts.get("stored", True):
            return history.begin(self._database, request.session_id, request.history)
        self._agent._persist_disabled = True
        return request.session_id, request.history

    def _fit(self, request: wire.TurnRequest, session_id: str) -> None:
        """Give what was made ready its session and take from it the tools that this turn is not granted."""
        agent, facts = self._agent, request.facts
        agent.session_id = session_id
        agent._end_session_on_close = False
        agent._gateway_session_key = request.session_key
        agent.platform = facts.get("platform", agent.platform)
        agent.ephemeral_system_prompt = request.instructions or None
        import_module("gateway.session_context").set_current_session_id(session_id)
        compressor = agent.context_compressor
        if callable(bind := getattr(compressor, "bind_session_state", None)):
            bind(session_db=self._database, session_id=session_id)
        granted = frozenset(request.tools)
        agent.tools = [tool for tool in agent.tools or () if tool["function"]["name"] in granted]
        agent.valid_tool_names = {tool["function"]["name"] for tool in agent.tools}

    def _close(self) -> None:
        """Let go of what would else be lost with this process: log lines on their way, and the journal of the database."""
        import_module("hermes_logging").drain_log_queue()
        self._database.close()


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
    sentence = " ".join(str(error).split())[:400] or type(error).__name__
    return TurnFault("engine", f"hermes-agent could not take this turn: {type(error).__name__}: {sentence}")
