"""The names of Hermes' tools and of the toolsets that group them: what a config of Hermes may say; names only, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping


def _names(text: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(text.split())


_SINGLE: Mapping[str, tuple[str, ...]] = {
    "web": _names("web_search web_extract"),
    "search": _names("web_search"),
    "x_search": _names("x_search"),
    "vision": _names("vision_analyze"),
    "video": _names("video_analyze"),
    "image_gen": _names("image_generate"),
    "video_gen": _names("video_generate xai_video_edit xai_video_extend"),
    "computer_use": _names("computer_use"),
    "terminal": _names("terminal process"),
    "skills": _names("skills_list skill_view skill_manage"),
    "browser": _names(
        "browser_navigate browser_snapshot browser_click browser_type browser_scroll browser_back browser_press"
        " browser_get_images browser_vision browser_console browser_cdp browser_dialog web_search"
    ),
    "cronjob": _names("cronjob"),
    "file": _names("read_file write_file patch search_files"),
    "tts": _names("text_to_speech"),
    "todo": _names("todo"),
    "memory": _names("memory"),
    "context_engine": (),
    "session_search": _names("session_search"),
    "project": _names("project_list project_create project_switch"),
    "clarify": _names("clarify"),
    "code_execution": _names("execute_code"),
    "delegation": _names("delegate_task"),
    "homeassistant": _names("ha_list_entities ha_get_state ha_list_services ha_call_service"),
    "kanban": _names(
        "kanban_show kanban_list kanban_complete kanban_block kanban_heartbeat kanban_comment kanban_create kanban_link"
        " kanban_unblock kanban_attach kanban_attach_url kanban_attachments"
    ),
    "discord": _names("discord"),
    "discord_admin": _names("discord_admin"),
    "yuanbao": _names("yb_query_group_info yb_query_group_members yb_send_dm yb_search_sticker yb_send_sticker"),
    "feishu_doc": _names("feishu_doc_read"),
    "feishu_drive": _names(
        "feishu_drive_list_comments feishu_drive_list_comment_replies feishu_drive_reply_comment feishu_drive_add_comment"
    ),
    "spotify": _names(
        "spotify_playback spotify_devices spotify_queue spotify_search spotify_playlists spotify_albums spotify_library"
    ),
}
_GUI = _names("read_terminal close_terminal")


def _union(*toolsets: str) -> tuple[str, ...]:
    """Return the tools of several single toolsets, each once."""
    return tuple(dict.fromkeys(tool for toolset in toolsets for tool in _SINGLE[toolset]))


_WORK = _union("web", "terminal", "file", "vision", "skills", "browser", "todo", "memory", "session_search")
_DELEGATED = _union("code_execution", "delegation")
_CORE = (
    *_WORK,
    *_GUI,
    *_union(
        "image_gen", "tts", "clarify", "code_execution", "delegation", "cronjob", "homeassistant", "kanban", "computer_use"
    ),
)
_ALL_CORE_PLATFORMS = _names(
    "telegram whatsapp slack signal bluebubbles homeassistant email mattermost matrix dingtalk weixin qqbot wecom"
    " wecom-callback sms"
)
_FEISHU = _union("feishu_doc", "feishu_drive")
_DISCORD = _union("discord", "discord_admin")

TOOLSETS: Mapping[str, tuple[str, ...]] = {
    **_SINGLE,
    "debugging": _union("terminal", "web", "file"),
    "safe": _union("web", "vision", "image_gen"),
    "coding": (*_WORK, *_GUI, "clarify", *_DELEGATED),
    "hermes-acp": (*_WORK, *_DELEGATED),
    "hermes-api-server": (*_WORK, *_DELEGATED, *_union("image_gen", "cronjob", "homeassistant")),
    "hermes-cli": _CORE,
    "hermes-cron": _CORE,
    **{f"hermes-{platform}": _CORE for platform in _ALL_CORE_PLATFORMS},
    "hermes-discord": (*_CORE, *_DISCORD),
    "hermes-feishu": (*_CORE, *_FEISHU),
    "hermes-yuanbao": (*_CORE, *_SINGLE["yuanbao"]),
    "hermes-webhook": _union("web", "vision", "clarify"),
    "hermes-gateway": (*_CORE, *_DISCORD, *_FEISHU, *_SINGLE["yuanbao"]),
}
"""Toolset to its tools, those of the toolsets that it includes among them."""

KNOWN_TOOLS: frozenset[str] = frozenset(tool for tools in TOOLSETS.values() for tool in tools) | {"send_message"}
"""Every tool of Hermes, also those that no engine here offers: a policy may name them. send_message is in no toolset."""

_TALK = _union("todo", "memory", "session_search", "clarify")
TOOL_PROFILES: Mapping[str, frozenset[str] | None] = {
    "minimal": frozenset(_TALK),
    "coding": frozenset(TOOLSETS["coding"]),
    "messaging": frozenset(
        (*_TALK, *_union("web", "vision", "image_gen", "tts", "cronjob"), "skills_list", "skill_view", "send_message")
    ),
    "full": None,
}
"""What a tool profile begins with; None begins with every tool. None of minimal and messaging touches files or programs."""


def tools_named(name: str) -> frozenset[str]:
    """Return the tools of a toolset, or the one tool of that name, or none. A name that is both means the toolset."""
    return frozenset(TOOLSETS.get(name, (name,) if name in KNOWN_TOOLS else ()))
