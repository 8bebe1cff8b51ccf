"""What a config says about people: an agent's persona and those to choose from, its admins, the commands of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes_iso.agents import BusyMode
from hermes_iso.config.known import PLATFORMS
from hermes_iso.config.problems import ProblemList, numbered, suggestion
from hermes_iso.config.schema import CommandRules
from hermes_iso.config.source import Source
from hermes_iso.config.yaml_text import Document, KeyPath, kind_of
from hermes_iso.profile_files import read_persona

_SCOPES = (
    ("dm", "allow_admin_from", "user_allowed_commands"),
    ("group", "group_allow_admin_from", "group_user_allowed_commands"),
)
PERSONA = (
    "You are a helpful assistant. You work with the tools that you are offered, say plainly what you did and what you"
    " could not do, and ask when a request can be read in two ways."
)
"""Who an agent is that no personality and no SOUL.md describes."""
PERSONA_CHARS = 20_000
"""Most characters of a persona that a session can choose."""


def admins(source: Source, root: Source, *, problems: ProblemList) -> frozenset[str]:
    """Return an agent's admins as PLATFORM:USER; what is wrong is noted."""
    found = set()
    for index, entry in numbered(source.overlay.admins):
        platform, colon, user = entry.partition(":")
        platform, user = platform.strip().lower(), user.strip()
        message = ""
        if not colon or not user:
            message = f"{entry[:80]!r} is no admin; write PLATFORM:USER, as in telegram:123"
        elif platform not in PLATFORMS:
            message = f"unknown platform {platform[:40]!r}{suggestion(platform, PLATFORMS) or '; correct it'}"
        if message:
            root.document.complain(problems, (*source.overlay_at, "admins", index), message=message)
        else:
            found.add(f"{platform}:{user}")
    return frozenset(found)


def command_rules(document: Document, *, problems: ProblemList) -> dict[tuple[str, str], CommandRules]:
    """Return who may use which commands, by platform and scope.

    The keys are Hermes', in `<platform>`, `platforms.<platform>` and its `extra`: the first that says something. How a
    platform is spelled there makes no difference: a rule that did not count would let everybody do everything.
    """
    rules = {}
    sections = document.get("platforms")
    for platform in sorted(PLATFORMS):
        spelled = [key for key in (sections if isinstance(sections, dict) else ()) if key.strip().lower() == platform]
        places = [(platform,), *(("platforms", key, *below) for key in spelled for below in ((), ("extra",)))]
        said = [_scope_rules(document, at, problems) for at in places if isinstance(document.get(*at), dict)]
        for scope, admin_key, allowed_key in _SCOPES:
            admin_ids = next((each[admin_key] for each in said if admin_key in each), frozenset())
            allowed = next((each[allowed_key] for each in said if allowed_key in each), frozenset())
            if not allowed and scope == "dm":
                allowed = next((each[_SCOPES[1][2]] for each in said if _SCOPES[1][2] in each), frozenset())
            if admin_ids:
                names = frozenset(name.lstrip("/").lower() for name in allowed)
                rules[platform, scope] = CommandRules(admin_ids, names)
    return rules


def _scope_rules(document: Document, at: KeyPath, problems: ProblemList) -> dict[str, frozenset[str]]:
    """Return the lists that one section has, each as texts; what is no list is noted."""
    found = {}
    for _, *keys in _SCOPES:
        for key in keys:
            value = document.get(*at, key)
            if value is not None:
                found[key] = words_at(document, (*at, key), value, problems)
    return found


def words_at(document: Document, at: KeyPath, value: Any, problems: ProblemList) -> frozenset[str]:
    """Return the words of a list, or of a text with commas, as they stand in the file: an id is no number."""
    if isinstance(value, list):
        words = []
        for index, item in enumerate(value):
            if isinstance(item, list | dict):
                message = f"must be an id or a name, found {kind_of(item)}; correct it"
                document.complain(problems, (*at, index), message=message)
            words.append(document.texts.get((*at, index), ""))
    elif isinstance(value, dict | bool):
        document.complain(problems, at, message=f"must be a list, found {kind_of(value)}; correct it")
        words = []
    else:
        words = document.texts.get(at, str(value)).split(",")
    return frozenset(word.strip() for word in words if word.strip())


def persona_of(source: Source, root: Source, *, problems: ProblemList) -> str:
    """Return the personality, else the profile's SOUL.md, else the root's, else the built-in persona."""
    personality = (source.overlay.personality or "").strip()
    if personality:
        return personality
    for home in dict.fromkeys((source.home, root.home)):
        if home == root.home and source.id != root.id and root.overlay.allow_soul_edit:
            problems.warn(
                f"agent {source.id} does not have the home's SOUL.md, because agent {root.id} may write that;"
                " give it one of its own, or a personality"
            )
            break
        text, warning = read_persona(home / "SOUL.md")
        if warning:
            problems.warn(warning)
        if text:
            return text
    return PERSONA


def busy_input_mode(source: Source, root: Source) -> BusyMode:
    """Return what `display.busy_input_mode` says, in the profile's config or else in the root's: any other word is Hermes' own.

    Where neither says anything a message waits, so that nobody's answer is cut short unasked.
    """
    for document in (source.document, root.document):
        said = str(document.get("display", "busy_input_mode") or "").strip().lower()
        if said:
            return "queue" if said == "queue" else "steer" if said == "steer" else "interrupt"
    return "queue"


def personalities(source: Source, root: Source) -> dict[str, str]:
    """Return the personas by name that the agent's own config or the root's defines, as Hermes spells them."""
    found: dict[str, str] = {}
    for document in (root.document, source.document):
        for at in (("agent", "personalities"), ("personalities",)):
            section = document.get(*at)
            for name, value in section.items() if isinstance(section, dict) else ():
                text = _persona(value)
                if text:
                    found[str(name).strip().lower()] = text
    return found


def _persona(value: Any) -> str:
    """Return a persona: a text, or what a mapping says of prompt, tone and style."""
    if isinstance(value, str):
        return value.strip()[:PERSONA_CHARS]
    if not isinstance(value, Mapping):
        return ""
    parts = [str(value.get("system_prompt") or "").strip()]
    parts += [f"{key.capitalize()}: {value[key]}" for key in ("tone", "style") if isinstance(value.get(key), str)]
    return "\n".join(filter(None, parts))[:PERSONA_CHARS]
