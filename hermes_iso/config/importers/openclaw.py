"""Import an openclaw.json: its agents and bindings as ours.

Where something has no counterpart, the rule is that nothing gets wider by leaving it out: a binding that asks for more than can
be said here is not carried over at all, and a tool that was denied stays denied under the names that it has here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hermes_iso.config.importers.imported import Imported
from hermes_iso.config.importers.openclaw_tools import translate_tools
from hermes_iso.config.known import PLATFORMS, name_complaint, normal_name
from hermes_iso.config.schema import MAIN
from hermes_iso.errors import UsageError
from hermes_iso.profile_files import UnreadableError, read_bounded

_CHANNELS = {"msteams": "teams", "googlechat": "google_chat", "home-assistant": "homeassistant"}
_SCOPES = {"main": "main", "per-peer": "per-peer", "per-channel-peer": "per-peer", "per-account-channel-peer": "per-chat"}
_MATCH_KEYS = frozenset({"channel", "accountId", "peer", "guildId", "teamId"})
_ALWAYS = (
    "workspaces, memory, skills, sessions and tokens lie outside of this file and stay where they are;"
    " copy what an agent shall keep into its home here: SOUL.md, memories/, skills/, workspace/"
)
_HINTS = {
    "channels": "accounts, tokens and who may write; set up each platform in this home's own config and .env",
    "auth": "credentials; put keys into .env",
    "env": "environment and secrets; put them into the .env of the agent that needs them",
    "secrets": "secrets; put them into the .env of the agent that needs them",
    "models": "model providers; write them as model: or providers: in config.yaml",
    "gateway": "the gateway's own address and token; see platforms.api_server",
    "$include": "parts of the config in other files; import each by itself",
    "broadcast": "one message to several agents; a message has one agent here",
}
_AGENT_HINTS = {
    "workspace": "its files are not copied",
    "agentDir": "its credentials and state are not copied",
    "sandbox": "every agent is sandboxed here; see agents.<id>.sandbox",
    "identity": "write it as personality: or into SOUL.md",
}


def import_openclaw(path: Path) -> Imported:
    """Return an OpenClaw config as ours. Raises UsageError when the file can't be read or is none."""
    document = _read(path / "openclaw.json" if path.is_dir() else path)
    return _Converter(document).convert()


def _read(path: Path) -> dict[str, Any]:
    import json5  # here, because every other command would wait for it at its start

    try:
        content = read_bounded(path)
        if content is None:
            raise UsageError(f"{path} does not exist: name an openclaw.json or the directory that holds it.")
        text = content.decode("utf-8-sig")
        document = json5.loads(text, allow_duplicate_keys=False)
    except UnreadableError as error:
        raise UsageError(f"{path} {error}.") from error
    except RecursionError as error:
        raise UsageError(f"{path} nests too deeply to be an OpenClaw config.") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON5: {' '.join(str(error).split())[:200]}.") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} is no OpenClaw config: it must hold an object.")
    return document


class _Converter:
    """Converts one document; notes what it can't carry over."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._left: list[str] = [_ALWAYS]

    def convert(self) -> Imported:
        """Return what becomes of the document."""
        entries = self._entries()
        agents = {name: self._agent(name, entry) for name, entry in entries.items()}
        default = next((name for name, entry in entries.items() if entry.get("default") is True), next(iter(entries), MAIN))
        bindings = self._bindings(agents)
        config: dict[str, Any] = {"default_agent": default, "agents": agents or {MAIN: {}}}
        config |= {"bindings": bindings} if bindings else {}
        config |= self._scope()
        self._note_the_rest()
        return Imported(config, tuple(dict.fromkeys(self._left)))

    def _entries(self) -> dict[str, dict[str, Any]]:
        """Return the agents by id: `agents.list`, or `agents.entries` in newer files."""
        agents = self._section("agents")
        listed = [(entry.get("id"), entry) for entry in _dicts(agents.get("list"))]
        keyed = agents.get("entries")
        listed += [(name, entry or {}) for name, entry in keyed.items()] if isinstance(keyed, dict) else []
        found: dict[str, dict[str, Any]] = {}
        for written, entry in listed:
            name = normal_name(str(written or ""))
            complaint = name_complaint(name) or ("is there twice" if name in found else "")
            if complaint or not isinstance(entry, dict):
                self._left.append(f"agent {str(written)[:80]!r} and its bindings: {complaint or 'is no object'}")
            else:
                found[name] = entry
        return found

    def _agent(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        defaults = self._section("agents").get("defaults")
        defaults = defaults if isinstance(defaults, dict) else {}
        overlay: dict[str, Any] = {}
        model = self._model(name, entry.get("model")) or self._model(name, defaults.get("model"))
        if model:
            overlay["model"] = model
        tools = translate_tools(
            (self._document.get("tools"), entry.get("tools")), lambda what: self._left.append(f"agents.{name}: {what}")
        )
        if tools:
            overlay["tools"] = tools
        for key in sorted(entry.keys() - {"id", "default", "name", "model", "tools"}):
            self._left.append(f"agents.{name}.{key}: {_AGENT_HINTS.get(key, 'has no counterpart here')}")
        for key in sorted(defaults.keys() - {"model"}):
            self._left.append(f"agents.defaults.{key}: {_AGENT_HINTS.get(key, 'has no counterpart here')}")
        return overlay

    def _model(self, name: str, model: Any) -> str:
        """Return the model of a text or of {primary, fallbacks}."""
        if isinstance(model, dict):
            if model.get("fallbacks"):
                self._left.append(f"agents.{name}.model.fallbacks: an agent has one model here")
            model = model.get("primary")
        return model if isinstance(model, str) else ""

    def _bindings(self, agents: dict[str, Any]) -> list[dict[str, Any]]:
        written = self._document.get("bindings")
        entries = written if isinstance(written, list) else []
        return [binding for index, entry in enumerate(entries) for binding in self._binding(index, entry, agents)]

    def _binding(self, index: int, entry: Any, agents: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a binding as ours, or nothing after noting why it can't be said here."""
        match = entry.get("match") if isinstance(entry, dict) else None
        if not isinstance(match, dict):
            return self._no_binding(index, "has no match")
        agent = normal_name(str(entry.get("agentId", "")))
        if entry.get("type", "route") != "route":
            return self._no_binding(index, f"its type {str(entry['type'])[:40]!r} has no counterpart here")
        if agent not in agents and agent != MAIN:
            return self._no_binding(index, f"there is no agent {agent[:80]!r}")
        if further := sorted(key for key in match.keys() - _MATCH_KEYS if match[key]):
            return self._no_binding(index, f"{', '.join(further)} can't be asked for here, and without it more would match")
        channel = str(match.get("channel", "")).strip().lower()
        platform = _CHANNELS.get(channel, channel.replace("-", "_"))
        if platform not in PLATFORMS:
            return self._no_binding(index, f"the channel {channel[:40]!r} is no platform here")
        peer = _peer(match.get("peer"))
        if peer is None:
            return self._no_binding(index, "its peer can't be read")
        if "peer" in peer:
            self._left.append(f"bindings[{index}]: look whether {platform} spells the person's id here as {peer['peer']!r}")
        keys = {"guild_id": match.get("guildId"), "team_id": match.get("teamId")}
        named = {key: str(value) for key, value in keys.items() if value}
        return [{"agent": agent, "match": {"platform": platform, **self._account(channel, match), **named, **peer}}]

    def _no_binding(self, index: int, why: str) -> list[dict[str, Any]]:
        self._left.append(f"bindings[{index}]: {why}")
        return []

    def _account(self, channel: str, match: dict[str, Any]) -> dict[str, str]:
        """Return the account that a binding means. Without a word it is the default one, which matters if there are more."""
        account = match.get("accountId")
        if account == "*":
            return {}
        settings = self._section("channels").get(channel)
        settings = settings if isinstance(settings, dict) else {}
        accounts = settings.get("accounts")
        default = str(settings.get("defaultAccount") or "default")
        chosen = str(account or default)
        several = isinstance(accounts, dict) and accounts.keys() - {chosen}
        return {"account_id": chosen} if several or chosen != default else {}

    def _scope(self) -> dict[str, Any]:
        """Return who shares direct messages."""
        written = self._section("session").get("dmScope")
        if written is None:
            self._left.append(
                "session.dmScope: was not set, so that all direct messages shared a session; here each chat has its own"
            )
            return {}
        if not isinstance(written, str) or written not in _SCOPES:
            self._left.append(f"session.dmScope {str(written)[:40]!r}: is unknown here; each chat has its own session")
            return {}
        if written == "per-peer":
            self._left.append("session.dmScope per-peer: a peer is one platform's user here, and has a session on each")
        return {"gateway": {"dm_scope": _SCOPES[written]}}

    def _note_the_rest(self) -> None:
        """Note every section that was not looked at."""
        for key in sorted(self._document.keys() - {"agents", "bindings", "tools", "session", "$schema", "meta"}):
            self._left.append(f"{key}: {_HINTS.get(key, 'has no counterpart here')}")
        for key in sorted(self._section("session").keys() - {"dmScope"}):
            self._left.append(f"session.{key}: has no counterpart here")

    def _section(self, name: str) -> dict[str, Any]:
        found = self._document.get(name)
        return found if isinstance(found, dict) else {}


def _peer(peer: Any) -> dict[str, str] | None:
    """Return what a peer asks for, {} without one, None when it can't be read. `*` is everybody of its kind."""
    if peer is None:
        return {}
    kind = str(peer.get("kind", "")).lower() if isinstance(peer, dict) else ""
    written = str(peer.get("id", "")).strip() if kind in ("dm", "direct", "group", "channel") else ""
    if not written:
        return None
    if kind in ("dm", "direct"):
        return {"chat_type": "dm"} if written == "*" else {"peer": written}
    chat, _, topic = written.partition(":topic:")
    if chat == "*":
        return {"chat_type": kind}
    return {"chat_id": chat, **({"thread_id": topic} if topic else {})}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
