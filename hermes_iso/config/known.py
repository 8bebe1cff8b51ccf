"""The words a config may use: Hermes' root keys and platforms, reserved names, and what this version does not have yet."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
"""What an agent may be called; Hermes' rule for profiles."""
RESERVED_NAMES = frozenset({"hermes", "default", "test", "tmp", "root", "sudo"})

REMOVED = ".hermes-iso-removed"
"""The file that marks a profile whose agent was removed: it is an agent again only when the config names it."""

OUR_ROOTS = frozenset({"default_agent", "agents", "engines", "egress", "routes", "bindings", "gateway", "subagent"})
HERMES_ROOTS = frozenset(
    re.findall(
        r"\S+",
        "model providers fallback_providers credential_pool_strategies toolsets max_concurrent_sessions max_live_sessions agent"
        " terminal web browser checkpoints mcp tool_output tool_loop_guardrails compression kanban prompt_caching openrouter"
        " bedrock auxiliary display dashboard privacy tts stt voice context memory delegation prefill_messages_file goals moa"
        " skills curator honcho timezone slack discord whatsapp telegram mattermost matrix approvals command_allowlist"
        " quick_commands platform_hints hooks hooks_auto_accept personalities security cron code_execution tools logging"
        " model_catalog network gateway streaming sessions onboarding updates lsp x_search secrets computer_use desktop vertex"
        " _config_version custom_providers fallback_model mcp_servers image_gen video_gen plugins smart_model_routing"
        " platform_toolsets known_plugin_toolsets session_reset group_sessions_per_user thread_sessions_per_user"
        " stt_echo_transcripts reset_triggers always_log_local filter_silence_narration multiplex_profiles profile_routes"
        " platforms require_mention unauthorized_dm_behavior signal max_turns context_file_max_chars file_read_max_chars"
        " mcp_discovery_timeout human_delay paste_collapse_threshold paste_collapse_threshold_fallback"
        " paste_collapse_char_threshold provider_routing model_aliases clarify worktree worktree_sync",
    )
)
STRICT_ROOTS = OUR_ROOTS | {"model", "platforms", "platform_toolsets", "terminal", "agent"}
"""Sections that are read here, so that a key in them that is not text is a mistake."""

ADAPTED = frozenset({"api_server", "console", "discord", "telegram", "webhook"})
"""Platforms that have an adapter here."""
PLATFORMS = ADAPTED | frozenset(
    re.findall(
        r"\S+",
        "weixin whatsapp whatsapp_cloud signal bluebubbles yuanbao qqbot webhook msgraph_webhook relay telegram discord slack"
        " matrix mattermost email feishu dingtalk wecom wecom_callback teams google_chat irc line ntfy sms"
        " homeassistant simplex"
        " photon raft local cli",
    )
)
ROOTS = OUR_ROOTS | HERMES_ROOTS | (PLATFORMS - {"api_server", "console", "local", "cli"})
"""The root keys of a config.yaml: Hermes also reads a section of each chat platform's name."""
TOOL_PLATFORMS = PLATFORMS | {"agent", "cron"}
"""What a list of tools can be for: also agents that write to each other, and Hermes' jobs, which no route can name."""
PLATFORM_SECRETS = {
    "telegram": "TELEGRAM_BOT_TOKEN",
    "discord": "DISCORD_BOT_TOKEN",
    "slack": "SLACK_BOT_TOKEN",
    "mattermost": "MATTERMOST_TOKEN",
    "matrix": "MATRIX_ACCESS_TOKEN",
    "homeassistant": "HASS_TOKEN",
    "email": "EMAIL_PASSWORD",
    "signal": "SIGNAL_HTTP_URL",
    "sms": "TWILIO_AUTH_TOKEN",
}
"""The `.env` name that turns a platform on in Hermes without any word in its config.yaml."""


def normal_name(text: str) -> str:
    """Return a name as Hermes compares it."""
    return text.strip().lower()


def name_complaint(name: str) -> str:
    """Return what is wrong with an agent's name, or ''."""
    if name in RESERVED_NAMES:
        meant = "; the root home's agent is called 'main'" if name in ("default", "root") else ""
        return f"{name!r} is a reserved name; choose another{meant}"
    if not NAME.match(name):
        return f"{name[:80]!r} can't be an agent's name; use up to 64 of a-z, 0-9, _ and -, the first a letter or digit"
    return ""


HERMES_GATEWAY_KEYS = frozenset(
    re.findall(
        r"\S+",
        "api_server delivery_ledger max_inbound_media_bytes media_delivery_allow_dirs message_timestamps"
        " platform_connect_timeout"
        " respawn_storm restart_loop_guard scale_to_zero strict trust_recent_files"
        " trust_recent_files_seconds write_sessions_json"
        " session_reset quick_commands stt stt_echo_transcripts systemd_watchdog_seconds streaming"
        " reset_triggers always_log_local session_store_max_age_days unauthorized_dm_behavior filter_silence_narration"
        " sessions_dir platforms default_reset_policy reset_by_type reset_by_platform",
    )
)
"""Hermes' own settings below `gateway`, accepted and ignored."""
