"""How the accounts of each chat platform that is served here are configured: Telegram's bots, Discord's, and bridges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hermes_iso.chat_adapters import find_adapters
from hermes_iso.config.chat_accounts import ChatAccounts, ChatPlatform, as_written, read_chat_accounts
from hermes_iso.config.chat_sections import SectionReader, reply_mode, url_of
from hermes_iso.config.discord_account import DISCORD
from hermes_iso.config.known import ADAPTED, PLATFORMS
from hermes_iso.config.problems import ProblemList, possible
from hermes_iso.config.source import Names, Source

SECRET_MINIMUM = 16
"""Fewest characters of a secret that signs messages."""
_BRIDGED = (PLATFORMS - ADAPTED - {"local", "cli"}) | {"webhook"}
_BOT_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{3,120}\Z")
_SECRET_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}\Z")
_ID_LISTS = ("allowed_chats", "allowed_topics", "ignored_threads", "free_response_chats", "free_response_topics")
_SWITCHES = {
    "require_mention": False,
    "exclusive_bot_mentions": True,
    "guest_mode": False,
    "disable_link_previews": False,
}
_URLS = ("base_url", "base_file_url", "webhook_url", "proxy_url")
_TELEGRAM_KEYS = frozenset(
    {*_ID_LISTS, *_SWITCHES, *_URLS, "mention_patterns", "reply_to_mode", "webhook_secret", "webhook_host", "webhook_port"}
)


def _telegram(reader: SectionReader) -> Mapping[str, Any]:
    """Return the settings of a bot; the adapter relies on every key being there."""
    found: dict[str, Any] = {key: reader.switch(key, default=default) for key, default in _SWITCHES.items()}
    if reader.at("require_mention") is None and isinstance(reader.document.get("require_mention"), bool):
        found["require_mention"] = reader.document.get("require_mention")
    found |= {key: reader.words(key) for key in _ID_LISTS}
    found |= {key: url_of(reader, key) for key in _URLS}
    found["mention_patterns"] = _patterns(reader)
    found["reply_to_mode"] = reply_mode(reader)
    return {**found, **_webhook_mode(reader, found["webhook_url"])}


def _webhook_mode(reader: SectionReader, url: str) -> Mapping[str, Any]:
    """Return where Telegram's own calls are taken, where it is to call; without a secret anybody could."""
    secret = reader.text("webhook_secret")
    host = reader.text("webhook_host")
    if url and (secret is None or not _SECRET_TOKEN.match(secret.text)):
        at = reader.at("webhook_url") or ()
        wanted = f"a webhook_secret of {SECRET_MINIMUM} to 256 letters, digits, _ and -"
        reader.complain(at, f"needs {wanted}; set {reader.name_of('webhook_secret')}")
    return {
        "webhook_secret": secret.text if secret else "",
        "webhook_host": host.text if host else "127.0.0.1",
        "webhook_port": reader.number("webhook_port", default=8443, most=65535),
    }


def _patterns(reader: SectionReader) -> tuple[str, ...]:
    """Return the regular expressions that address the bot as a mention does, in the order in which they stand."""
    at = reader.at("mention_patterns")
    value = None if at is None else reader.document.get(*at)
    patterns = [value] if isinstance(value, str) else value or []
    found: list[str] = []
    for pattern in patterns if isinstance(patterns, list) else []:
        try:
            re.compile(pattern)
        except (re.error, TypeError, RecursionError):
            reader.complain(at or (), "holds what is no regular expression; correct it")
        else:
            found.append(pattern)
    return tuple(found)


def _bot_token(token: str) -> str:
    """Say what is wrong with a bot's token, or ''; never repeats it."""
    return "" if _BOT_TOKEN.match(token) else "is no bot token: digits, a colon, and letters, digits, _ or -; correct it"


def _webhook(reader: SectionReader) -> Mapping[str, Any]:
    """Return the settings of a bridge."""
    host = reader.text("host")
    urls = reader.words("callback_urls")
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            at = reader.at("callback_urls") or ()
            reader.complain(at, f"{url[:80]!r} is no http or https URL without a query; correct it")
    platform = reader.text("platform", "-")
    if platform is not None and platform.text.lower() not in _BRIDGED:
        message = f"must be webhook or a platform that has no adapter here{possible(platform.text, _BRIDGED)}"
        reader.problems.add(platform.file, platform.line, key=platform.key, message=message)
    return {
        "host": host.text if host else "127.0.0.1",
        "port": reader.number("port", default=8644, most=65535),
        "platform": platform.text.lower() if platform else "webhook",
        "callback_urls": tuple(sorted(urls)),
    }


def _bridge_secret(secret: str) -> str:
    """Say what is wrong with a bridge's secret, or ''."""
    if len(secret) < SECRET_MINIMUM:
        return f"is {len(secret)} characters long; a secret needs at least {SECRET_MINIMUM}"
    return ""


PLATFORMS_SERVED: Mapping[str, ChatPlatform] = {
    "telegram": ChatPlatform("telegram", "token", "TELEGRAM_BOT_TOKEN", _bot_token, _telegram, _TELEGRAM_KEYS),
    "discord": DISCORD,
    "webhook": ChatPlatform(
        "webhook",
        "secret",
        "WEBHOOK_SECRET",
        _bridge_secret,
        _webhook,
        frozenset({"host", "port", "callback_urls", "platform"}),
        admits=False,
        elsewhere="routes",
    ),
}
"""The platforms whose accounts are read here, by name."""


def read_chats(root: Source, sources: Mapping[str, Source], *, names: Names, problems: ProblemList) -> ChatAccounts:
    """Return the accounts of chat platforms that a home and its served profiles turn on; see `read_chat_accounts`."""
    others = {name: as_written(name) for name in find_adapters() if name not in PLATFORMS_SERVED}
    return read_chat_accounts({**PLATFORMS_SERVED, **others}, root, sources, names=names, problems=problems)
