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
from hermes_iso_sandbox.guest.engines.hermes.background import keep_beyond_turn
from hermes_iso_sandbox.guest.engines.hermes.extensions import load_plugins, start_servers
from hermes_iso_sandbox.guest.engines.hermes.grants import enforce
from hermes_iso_sandbox.guest.engines.hermes.shortcuts import nobody_to_ask
from hermes_iso_sandbox.guest.engines.hermes.showing import Showing
from hermes_iso_sandbox.guest.engines.hermes.state import check_writable, make_room
from hermes_iso_sandbox.guest.engines.hermes.talk import Talk
from hermes_iso_sandbox.guest.link import Link

JsonObject = dict[str, Any]
PLATFORM = "api_server"
"""What a waiting process is made ready for; the tools of other platforms are looked up when their turn is there."""
PLATFORMS = {"console": "cli", "agent": "api_server"}
"""Platforms that Hermes calls otherwise, or does not have."""
ASKED = ("provider", "base_url", "api_key", "api_mode", "model")
"""What of the settings, and of a turn's facts, says which model is asked and where."""


class HermesEngine:
    """One hermes-agent. settings: as JSON, what `hermes_iso.engines` writes. proxies: what says where the door is.

    While it is made it looks for nothing outside: without a proxy there is no way there, and it learns that at once.
    """

    def __init__(self, settings: str, proxies: dict[str, str]) -> None:
        self._settings: JsonObject = json.loads(settings)
        os.environ["TERMINAL_CWD"] = os.getcwd()
        self._ready = False
        with contextlib.suppress(Exception), nobody_to_ask():  # it is tried again, and told, when somebody is there
            self._make_ready()
        _pause_logging()
        os.environ.update(proxies)

    def _make_ready(self) -> None:
        """Make what belongs to no session."""
        make_room()
        self._config: JsonObject = import_module("hermes_cli.config").load_config()
        load_plugins(self._config)
        self._database = import_module("hermes_state").SessionDB()
        self._agent = self._make_agent(self._settings)
        self._ready = True

    def take_turn(self, request: wire.TurnRequest, link: Link) -> wire.TurnDone:
        """Answer one request. Raises TurnFault when the turn can't be finished."""
        talk = Talk(link)
        try:
            if not self._ready:
                self._make_ready()
            check_writable(os.environ["HERMES_HOME"])
            _resume_logging()
            session_id, messages = self._open_session(request)
            self._fit(request, session_id)
            keep_beyond_turn(talk)
            showing = Showing(talk, self._agent)
            Asking(talk, request.session_key).attach(self._agent)
            talk.listen(self._agent.interrupt, showing.told)
            result = self._agent.run_conversation(request.text, conversation_history=messages, task_id=session_id)
            done = showing.done(result)
            if request.facts.get("stored", True):
                history.finish(self._database, request.session_id, request.text)
            else:
                self._database.delete_session_if_empty(session_id)
        except TurnFault:
            raise
        except Exception as error:
            raise _fault_of(error) from error
        finally:
            import_module("hermes_logging").drain_log_queue()
        self._database.close()
        return done

    def _make_agent(self, asked: JsonObject) -> Any:
        """Return an AIAgent for a model with all tools of the usual platform, for no session yet."""
        agent = import_module("run_agent").AIAgent(
            **{name: asked[name] for name in ASKED},
            fallback_model=import_module("hermes_cli.fallback_config").get_fallback_chain(self._config),
            max_iterations=self._settings["max_iterations"],
            quiet_mode=True,
            platform=PLATFORM,
            enabled_toolsets=self._toolsets(PLATFORM),
            session_id="waiting",
            session_db=self._database,
        )
        agent._api_max_retries = 1  # the gateway has tried again by then
        agent._end_session_on_close = False
        return agent

    def _toolsets(self, platform: str) -> list[str]:
        """Return the toolsets that Hermes offers on a platform."""
        return sorted(import_module("hermes_cli.tools_config")._get_platform_tools(self._config, platform))

    def _open_session(self, request: wire.TurnRequest) -> tuple[str, list[JsonObject]]:
        """Return the id of the session and what was said in it. A session that the caller keeps leaves nothing behind."""
        if request.facts.get("stored", True):
            return history.begin(self._database, request.session_id, request.history)
        return request.session_id, request.history

    def _fit(self, request: wire.TurnRequest, session_id: str) -> None:
        """Give what was made ready this turn's model, session and tools."""
        facts = request.facts
        if any(facts[name] != self._settings[name] for name in ASKED):
            self._agent = self._make_agent(facts)
        agent = self._agent
        agent.session_id = session_id
        agent._gateway_session_key = request.session_key
        if not facts.get("stored", True):
            agent._persist_disabled = True
            agent._get_session_db_for_recall = lambda: self._database
        agent.ephemeral_system_prompt = "\n\n".join(filter(None, (facts.get("persona"), request.instructions))) or None
        if effort := facts.get("reasoning"):
            agent.reasoning_config = {"enabled": effort != "none", "effort": effort}
        context = import_module("gateway.session_context")
        context.set_current_session_id(session_id)
        context.declare_stateless_channel()  # what it starts aside would end with the turn
        if callable(bind := getattr(agent.context_compressor, "bind_session_state", None)):
            bind(session_db=self._database, session_id=session_id)
        self._unlock(facts["key"])
        self._grant(request)

    def _unlock(self, key: str) -> None:
        """Give the clients of the model the key by which they are let in."""
        agent = self._agent
        agent.api_key = agent._primary_runtime["api_key"] = key
        if agent.api_mode == "anthropic_messages":
            agent._anthropic_api_key = agent._primary_runtime["anthropic_api_key"] = key
            agent._rebuild_anthropic_client()
            return
        agent._client_kwargs["api_key"] = agent._primary_runtime["client_kwargs"]["api_key"] = key
        agent._replace_primary_openai_client(reason="turn")

    def _grant(self, request: wire.TurnRequest) -> None:
        """Take from it the tools that this turn is not granted, and start what brings others."""
        agent, facts = self._agent, request.facts
        allowed = enforce(request.tools, facts.get("refused", ()), others=facts.get("others", False))
        started = facts.get("others", False) and start_servers(self._config)
        platform = str(PLATFORMS.get(facts["platform"], facts["platform"]))
        if started or platform != PLATFORM:
            agent.platform, agent.enabled_toolsets = platform, self._toolsets(platform)
            agent.tools = self._offered(agent.enabled_toolsets)
        agent.tools = [tool for tool in agent.tools or () if allowed(tool["function"]["name"])]
        agent.valid_tool_names = {tool["function"]["name"] for tool in agent.tools}
        if agent._memory_manager:
            import_module("agent.memory_manager").inject_memory_provider_tools(agent)

    def _offered(self, toolsets: list[str]) -> list[JsonObject]:
        """Return what Hermes tells a model of the tools of these toolsets."""
        return import_module("model_tools").get_tool_definitions(enabled_toolsets=toolsets, quiet_mode=True) or []


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
