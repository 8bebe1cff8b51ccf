"""How Discord's bots are configured: Hermes' keys, as far as they say who is answered and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hermes_iso.config.chat_accounts import ChatPlatform
from hermes_iso.config.chat_sections import SectionReader, reply_mode, url_of

_TOKEN = re.compile(r"[\x21-\x7e]{1,300}\Z")
_ID_LISTS = ("allowed_channels", "ignored_channels", "free_response_channels", "no_thread_channels")
_SWITCHES = {"require_mention": True, "thread_require_mention": False, "auto_thread": True, "slash_commands": True}
_URLS = {"base_url": ("http", "https"), "gateway_url": ("ws", "wss"), "proxy_url": ("http", "https")}


def _settings(reader: SectionReader) -> Mapping[str, Any]:
    """Return the settings of a bot; the adapter relies on every key being there."""
    found: dict[str, Any] = {key: reader.switch(key, default=default) for key, default in _SWITCHES.items()}
    found |= {key: reader.words(key) for key in _ID_LISTS}
    found |= {key: url_of(reader, key, schemes) for key, schemes in _URLS.items()}
    if bool(found["base_url"]) != bool(found["gateway_url"]):
        at = reader.at("base_url") or reader.at("gateway_url") or ()
        reader.complain(at, "needs the other one of base_url and gateway_url; set both or none")
    found["reply_to_mode"] = reply_mode(reader)
    return found


def _complaint(token: str) -> str:
    """Say what is wrong with a bot's token, or ''; never repeats it."""
    return "" if _TOKEN.match(token) else "is no bot token: it has blanks or other characters that none has; correct it"


DISCORD = ChatPlatform(
    "discord",
    "token",
    "DISCORD_BOT_TOKEN",
    _complaint,
    _settings,
    frozenset({*_ID_LISTS, *_SWITCHES, *_URLS, "reply_to_mode"}),
)
"""Discord's bots."""
