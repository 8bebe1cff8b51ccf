"""Warm up the template of hermes-agent: import it, take one throw-away turn offline, and take back what that turn left.

Whatever a module keeps from its first turn (settings, prompts, skills, the answers of checks) is kept by path or by name, and
all profiles have the same paths. So nothing of that turn may stay: the globals of Hermes' modules get back what they held
before it, but for classes and modules that were loaded late, which is what the turn is taken for.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import os
import sys
import time
import types
from collections import deque
from importlib import import_module
from typing import Any

from hermes_iso_sandbox.guest.engines.hermes import shortcuts

HOME = "/hermes"
ENVIRONMENT = {
    "HERMES_HOME": HOME,
    "HOME": "/home/agent",
    "USER": "agent",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
KEPT = {"HERMES_SKIP_SSL_GUARD": "1"}
"""What all turns have in their environment besides: the bundle of certificates was checked here, which takes 20 ms."""
CONFIG = """_config_version: 33
model: {default: warm, provider: custom, base_url: "http://model.local/v1", context_length: 200000}
terminal: {backend: local, cwd: /workspace}
"""
TOPS = frozenset(
    {"agent", "cron", "gateway", "hermes_cli", "hermes_constants", "hermes_logging", "hermes_state", "hermes_time"}
    | {"model_tools", "plugins", "providers", "run_agent", "tools", "toolsets", "utils"}
)
"""The top-level names of hermes-agent's own modules that a turn uses."""
LATE = (
    "agent.agent_init agent.agent_runtime_helpers agent.anthropic_adapter agent.aux_accounting agent.bounded_response"
    " agent.chat_completion_helpers agent.coding_context agent.conversation_loop agent.copilot_acp_client"
    " agent.credits_tracker agent.display agent.errors agent.gemini_native_adapter agent.gemini_schema agent.image_routing"
    " agent.kanban_stop agent.lmstudio_reasoning agent.models_dev agent.moonshot_schema agent.prompt_caching"
    " agent.rate_limit_tracker agent.reasoning_timeouts agent.shell_hooks agent.ssl_guard agent.ssl_verify"
    " agent.stream_single_writer"
    " agent.subdirectory_hints agent.system_prompt agent.think_scrubber agent.tool_executor agent.transports"
    " agent.transports.anthropic agent.transports.base agent.transports.bedrock agent.transports.chat_completions"
    " agent.transports.codex agent.transports.types agent.turn_finalizer agent.turn_retry_state"
    " agent.verification_evidence agent.verification_stop agent.verify_hooks gateway.session_context hermes_cli.codex_models"
    " hermes_cli.moa_config hermes_cli.model_normalize hermes_cli.models hermes_cli.profiles hermes_cli.runtime_provider"
    " hermes_cli.skin_engine hermes_cli.tools_config tools.ansi_strip tools.budget_config tools.checkpoint_manager"
    " tools.env_passthrough tools.hook_output_spill tools.mcp_tool tools.schema_sanitizer tools.skill_provenance"
    " tools.tool_output_limits tools.tool_result_storage tools.tool_search"
)
"""Modules that only a turn would load: loaded before it, so that what they hold then is known."""
STAYS = frozenset({"tools.env_probe"})
"""Modules whose findings are about the machine and not about a profile."""


def warm_up() -> None:
    """Do it. Raises what hermes-agent raises."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    os.makedirs(HOME, exist_ok=True)
    with open(f"{HOME}/config.yaml", "w", encoding="utf-8") as file:
        file.write(CONFIG)
    import_module("tools.env_probe").warm_environment_probe_async()  # it waits for programs, so it goes on meanwhile
    import_module("run_agent")
    import_module("openai")
    for name in LATE.split():
        with contextlib.suppress(ImportError):
            import_module(name)
    _keep_certificates()
    shortcuts.install()
    held = _globals()
    os.chdir("/workspace")
    contextvars.copy_context().run(_take_turn)
    os.chdir("/")
    _stop_threads()
    _give_back(held)
    os.environ.clear()
    os.environ.update(before)
    os.environ.update(KEPT)


def _keep_certificates() -> None:
    """Load the certificates that hosts are checked by once: a client that loads them for itself takes 20 ms for it."""
    transports: Any = import_module("httpx._transports.default")
    usual = transports.create_ssl_context
    loaded = usual()

    def create(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:  # httpx' form
        own = cert is not None or verify is not True or os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}
        return usual(verify=verify, cert=cert, trust_env=trust_env) if own else loaded

    transports.create_ssl_context = create


def _take_turn() -> None:
    """Take a turn that calls the terminal once, with a model that is played here."""
    agent_class: Any = import_module("run_agent").AIAgent
    httpx: Any = import_module("httpx")
    usual = agent_class.__dict__["_build_keepalive_http_client"]

    def answer(request: Any) -> Any:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=_answer(json.loads(request.content)))

    def client(*_: Any, **__: Any) -> Any:
        return httpx.Client(transport=httpx.MockTransport(answer))

    terminal: Any = import_module("tools.terminal_tool")
    start, terminal._start_cleanup_thread = terminal._start_cleanup_thread, lambda: None  # it would end a second later
    agent_class._build_keepalive_http_client = staticmethod(client)
    database = import_module("hermes_state").SessionDB()
    try:
        agent = agent_class(
            base_url="http://model.local/v1",
            api_key="none",
            provider="custom",
            api_mode="chat_completions",
            model="warm",
            quiet_mode=True,
            platform="api_server",
            enabled_toolsets=sorted(import_module("hermes_cli.tools_config")._get_platform_tools({}, "api_server")),
            session_id="warm",
            session_db=database,
            stream_delta_callback=lambda _: None,
        )
        agent.run_conversation("hello", conversation_history=[], task_id="warm")
        agent.close()
    finally:
        terminal._start_cleanup_thread = start
        agent_class._build_keepalive_http_client = usual
        database.close()


def _answer(body: dict[str, Any]) -> bytes:
    """Return the events of the model's answer: a call of the terminal first, then a word."""
    if body["messages"][-1]["role"] == "tool":
        deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": "ok"}, None), ({}, "stop")]
    else:
        function = {"name": "terminal", "arguments": '{"command": "true"}'}
        calls = [{"index": 0, "id": "call_1", "type": "function", "function": function}]
        deltas = [({"role": "assistant", "tool_calls": calls}, None), ({}, "tool_calls")]
    head = {"id": "warm", "object": "chat.completion.chunk", "created": 0, "model": "warm"}
    events = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    events.append({**head, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


def _stop_threads() -> None:
    """End the threads that Hermes keeps, and wait for those that end by themselves."""
    logging: Any = import_module("hermes_logging")
    import_module("tools.terminal_tool").cleanup_all_environments()
    logging._reset_queued_handlers()
    logging.clear_session_context()
    deadline = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)


def _globals() -> dict[tuple[str, str], Any]:
    """Return what the globals of Hermes' modules hold that a turn may change: a copy of each container."""
    held = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in TOPS and name not in STAYS:
            for key, value in list(vars(module).items()):
                if not key.startswith("__"):
                    held[name, key] = (value, _copy(value))
    return held


def _copy(value: Any) -> Any:
    """Return a container's contents; None for what is none."""
    return value.copy() if isinstance(value, dict | list | set | deque) else None


def _give_back(held: dict[tuple[str, str], Any]) -> None:
    """Give the globals back what they held, but for classes, functions and modules that were loaded late."""
    for (name, key), (value, contents) in held.items():
        module = sys.modules[name]
        if contents is not None:
            _refill(value, contents)
        elif hasattr(value, "cache_clear"):
            value.cache_clear()
        now = vars(module).get(key)
        if now is not value and not isinstance(now, type | types.FunctionType | types.ModuleType):
            setattr(module, key, value)


def _refill(container: Any, contents: Any) -> None:
    """Put back what a container held."""
    if container != contents:
        container.clear()
        (container.extend if isinstance(container, list | deque) else container.update)(contents)
