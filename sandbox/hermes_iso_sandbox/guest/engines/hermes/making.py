"""Make an AIAgent of hermes-agent for no session yet, and fit it to a turn: its model, its session, its tools."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hermes_iso_sandbox.guest.engines.hermes.background import keep_beyond_turn
from hermes_iso_sandbox.guest.engines.hermes.extensions import load_plugins, start_servers
from hermes_iso_sandbox.guest.engines.hermes.grants import enforce
from hermes_iso_sandbox.guest.engines.hermes.talk import Talk
from hermes_iso_sandbox.wire import TurnRequest

JsonObject = dict[str, Any]
PLATFORM = "api_server"
"""What a waiting process is made ready for; the tools of other platforms are looked up when their turn is there."""
PLATFORMS = {"console": "cli", "agent": "api_server"}
"""Platforms that Hermes calls otherwise, or does not have."""
ASKED = ("provider", "base_url", "api_key", "api_mode", "model")
"""What of the settings, and of a turn's facts, says which model is asked and where."""


class Maker:
    """Makes agents of one profile. settings: what `hermes_iso.engines` writes. database: the profile's state.db."""

    def __init__(self, settings: JsonObject) -> None:
        self._settings = settings
        self._config: JsonObject = import_module("hermes_cli.config").load_config()
        load_plugins(self._config)
        self.database: Any = import_module("hermes_state").SessionDB()
        self._usual = self._make(settings)

    def fitted(self, request: TurnRequest, session_id: str, talk: Talk) -> Any:
        """Return the agent of this turn: the one that waits, or another where the session has a model of its own."""
        facts = request.facts
        usual = all(facts[name] == self._settings[name] for name in ASKED)
        agent = self._usual if usual else self._make(facts)
        agent._gateway_session_key = request.session_key
        agent.ephemeral_system_prompt = "\n\n".join(filter(None, (facts.get("persona"), request.instructions))) or None
        if effort := facts.get("reasoning"):
            agent.reasoning_config = {"enabled": effort != "none", "effort": effort}
        self._join(agent, session_id, stored=facts.get("stored", True))
        _unlock(agent, facts["key"])
        self._grant(agent, request)
        keep_beyond_turn(talk)
        return agent

    def _make(self, asked: JsonObject) -> Any:
        """Return an AIAgent for a model with all tools of the usual platform, for no session yet."""
        agent = import_module("run_agent").AIAgent(
            **{name: asked[name] for name in ASKED},
            fallback_model=import_module("hermes_cli.fallback_config").get_fallback_chain(self._config),
            max_iterations=self._settings["max_iterations"],
            quiet_mode=True,
            platform=PLATFORM,
            enabled_toolsets=self._toolsets(PLATFORM),
            session_id="waiting",
            session_db=self.database,
        )
        agent._api_max_retries = 1  # the gateway has tried again by then
        agent._end_session_on_close = False
        return agent

    def _toolsets(self, platform: str) -> list[str]:
        """Return the toolsets that Hermes offers on a platform."""
        return sorted(import_module("hermes_cli.tools_config")._get_platform_tools(self._config, platform))

    def _join(self, agent: Any, session_id: str, *, stored: bool) -> None:
        """Give an agent its session; one that the caller keeps leaves nothing behind."""
        agent.session_id = session_id
        if not stored:
            agent._persist_disabled = True
            agent._get_session_db_for_recall = lambda: self.database
        context = import_module("gateway.session_context")
        context.set_current_session_id(session_id)
        context.declare_stateless_channel()  # what it starts aside would end with the turn
        if callable(bind := getattr(agent.context_compressor, "bind_session_state", None)):
            bind(session_db=self.database, session_id=session_id)

    def _grant(self, agent: Any, request: TurnRequest) -> None:
        """Take from an agent the tools that this turn is not granted, and start what brings others."""
        facts = request.facts
        others = facts.get("others", False)
        allowed = enforce(request.tools, facts.get("refused", ()), others=others)
        started = others and start_servers(self._config)
        platform = str(PLATFORMS.get(facts["platform"], facts["platform"]))
        if started or platform != PLATFORM:
            agent.platform, agent.enabled_toolsets = platform, self._toolsets(platform)
            agent.tools = _offered(agent.enabled_toolsets)
        agent.tools = [tool for tool in agent.tools or () if allowed(tool["function"]["name"])]
        agent.valid_tool_names = {tool["function"]["name"] for tool in agent.tools}
        if agent._memory_manager:
            import_module("agent.memory_manager").inject_memory_provider_tools(agent)


def _offered(toolsets: list[str]) -> list[JsonObject]:
    """Return what Hermes tells a model of the tools of these toolsets."""
    return import_module("model_tools").get_tool_definitions(enabled_toolsets=toolsets, quiet_mode=True) or []


def _unlock(agent: Any, key: str) -> None:
    """Give the clients of the model the key by which they are let in."""
    agent.api_key = agent._primary_runtime["api_key"] = key
    if agent.api_mode == "anthropic_messages":
        agent._anthropic_api_key = agent._primary_runtime["anthropic_api_key"] = key
        agent._rebuild_anthropic_client()
        return
    agent._client_kwargs["api_key"] = agent._primary_runtime["client_kwargs"]["api_key"] = key
    agent._replace_primary_openai_client(reason="turn")
