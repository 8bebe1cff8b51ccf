"""Which accounts of chat platforms a home turns on: several of one platform, and those that are a profile's own.

The home's own account of a platform is called `default`, further ones as `accounts` names them, and a profile's own account
after its agent. What an account's section does not say, the platform's sections say for all of the home's accounts. A profile
has only what its own files say: neither its token nor its lists come from the home, or it would be the home's bot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from hermes_iso.adapter import ChatAccount
from hermes_iso.config.chat_sections import Found, SectionReader, sections_of
from hermes_iso.config.problems import ProblemList, possible
from hermes_iso.config.schema import MAIN, AccessRules
from hermes_iso.config.shapes import as_switch
from hermes_iso.config.source import Names, Source
from hermes_iso.config.yaml_text import KeyPath

DEFAULT_ACCOUNT = "default"
"""The home's own account of a platform."""
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_LISTS = ("allow_from", "group_allow_from", "group_allowed_chats", "allowed_roles", "unauthorized_dm_behavior")
Settings: TypeAlias = Callable[[SectionReader], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ChatPlatform:
    """How the accounts of one platform are configured.

    token: what the secret of an account is called in its section. env: the `.env` name that turns the home's account on and
    holds its secret. complaint: says what is wrong with a secret, or ''. settings: reads the rest. keys: what an entry of
    `accounts` may hold beside the secret. admits: whether there are lists of who may talk, and pairing.
    elsewhere: a key that turns the platform on in another way, which is not served here.
    """

    name: str
    token: str
    env: str
    complaint: Callable[[str], str]
    settings: Settings
    keys: frozenset[str]
    admits: bool = True
    elsewhere: str = ""


@dataclass(slots=True)
class ChatAccounts:
    """The accounts that were found, and who may talk through them. platforms: those that have an adapter here."""

    platforms: frozenset[str]
    accounts: list[ChatAccount] = field(default_factory=list)
    access: dict[tuple[str, str], AccessRules] = field(default_factory=dict)
    agent_access: dict[tuple[str, str], AccessRules] = field(default_factory=dict)


def read_chat_accounts(
    platforms: Mapping[str, ChatPlatform], root: Source, sources: Mapping[str, Source], *, names: Names, problems: ProblemList
) -> ChatAccounts:
    """Return the accounts of the home and of the served profiles; what is wrong is noted.

    names: where the home's tokens are looked up. One secret for two accounts is a mistake that names both places.
    """
    found = ChatAccounts(frozenset(platforms))
    tokens: dict[tuple[str, str], Found] = {}
    for platform in platforms.values():
        reader = _AccountReader(platform, problems, found, tokens)
        reader.read(root, names, owner=None)
        for agent, source in sources.items():
            if agent != MAIN:
                reader.read(source, Names((source.env.values,)), owner=agent)
    return found


@dataclass(frozen=True, slots=True)
class _AccountReader:
    """Reads the accounts of one platform."""

    platform: ChatPlatform
    problems: ProblemList
    found: ChatAccounts
    tokens: dict[tuple[str, str], Found]

    def read(self, source: Source, names: Names, *, owner: str | None) -> None:
        """Read what one home says; `owner` is the agent whose profile it is, None for the root home."""
        sections = sections_of(source.document, self.platform.name)
        reader = self._reader(source, sections, names)
        if owner is not None and self.platform.admits and (rules := _access(reader)).says_something:
            self.found.agent_access[self.platform.name, owner] = rules
        switch = _switch(reader)
        further = reader.mapping("accounts") if owner is None else {}
        token = reader.text(self.platform.token, self.platform.env)
        if switch is False or not (switch or token):
            return
        if token is not None:
            self._add(reader, owner or DEFAULT_ACCOUNT, token, owner)
        elif not further and not self._is_elsewhere(reader):
            where = f"{source.document.file}:{source.document.line(sections[0] if sections else ())}"
            what = f"is turned on and has no {self.platform.token}, so it is not served"
            todo = f"set {self.platform.env} in {source.env_file}, or enabled: false"
            self.problems.warn(f"{where}: {self.platform.name} {what}; {todo}")
        for name, section in further.items():
            self._read_further(reader, name, section)

    def _reader(self, source: Source, sections: tuple[KeyPath, ...], names: Names) -> SectionReader:
        return SectionReader(self.platform.name, source, sections, names, self.problems, env=source.env.values)

    def _is_elsewhere(self, reader: SectionReader) -> bool:
        """Say whether the platform is turned on in a way that is not served, after a warning of that."""
        at = reader.at(self.platform.elsewhere) if self.platform.elsewhere else None
        if at is not None:
            where = f"{reader.document.file}:{reader.document.line(at)}"
            self.problems.warn(f"{where}: {'.'.join(map(str, at))} is not served; give the bridge an account instead")
        return at is not None

    def _read_further(self, reader: SectionReader, name: str, section: Any) -> None:
        """Read one entry of `accounts`."""
        at = reader.at("accounts")
        assert at is not None
        here = (*at, name)
        if not _ACCOUNT.match(name) or name == DEFAULT_ACCOUNT:
            reader.complain(
                here, f"{name[:80]!r} can't be an account's name; use up to 64 letters, digits, . _ and -, not default"
            )
            return
        if not isinstance(section, dict):
            reader.complain(here, f"must be a mapping with a {self.platform.token}; correct it")
            return
        known = self.platform.keys | {self.platform.token, "enabled"} | (set(_LISTS) if self.platform.admits else set())
        for key in section:
            if key not in known:
                reader.complain((*here, key), f"unknown key{possible(key, known)}")
        own = self._reader(reader.source, (here,), reader.names)
        if _switch(own) is False:
            return
        token = own.text(self.platform.token, f"{self.platform.env}_{name}".upper().replace("-", "_").replace(".", "_"))
        if token is None:
            reader.complain(here, f"has no {self.platform.token}; add one")
            return
        self._add(self._reader(reader.source, (here, *reader.sections), reader.names), name, token, None)

    def _add(self, reader: SectionReader, name: str, token: Found, agent: str | None) -> None:
        """Add an account, unless its secret is wrong or another account's."""
        complaint = self.platform.complaint(token.text)
        first = self.tokens.setdefault((self.platform.name, token.text), token)
        account = ChatAccount(self.platform.name, name, token.text, agent, self.platform.settings(reader))
        key = (account.chat_platform, name)
        if complaint:
            self.problems.add(token.file, token.line, key=token.key, message=complaint)
        elif first is not token:
            message = f"is the same {self.platform.token} as {first.place}; every account needs one of its own"
            self.problems.add(token.file, token.line, key=token.key, message=message)
        elif key in self.found.access:
            message = f"there are two {self.platform.name} accounts called {name!r}; rename the one in accounts"
            self.problems.add(token.file, token.line, key=token.key, message=message)
        else:
            self.found.access[key] = _access(reader) if self.platform.admits else AccessRules(users=frozenset({"*"}))
            self.found.accounts.append(account)


def _switch(reader: SectionReader) -> bool | None:
    """Return what `enabled` says, None when it says nothing."""
    said = reader.at("enabled") is not None or reader.name_of("enabled") in reader.env
    return reader.switch("enabled", default=False) if said else None


def _access(reader: SectionReader) -> AccessRules:
    """Return who may talk through an account, as Hermes has it."""
    users = reader.words("allow_from", reader.name_of("allowed_users"), always="GATEWAY_ALLOWED_USERS")
    everybody = (reader.env.get(name, "") for name in (reader.name_of("allow_all_users"), "GATEWAY_ALLOW_ALL_USERS"))
    if reader.at("allow_from") is None and any(as_switch(word) is True for word in everybody):
        users |= {"*"}
    rules = AccessRules(
        users,
        reader.words("group_allow_from", reader.name_of("group_allowed_users")),
        reader.words("group_allowed_chats"),
        reader.words("allowed_roles"),
    )
    return replace(rules, pairs=_pairs(reader, rules))


def _pairs(reader: SectionReader, rules: AccessRules) -> bool:
    """Say whether strangers are offered a pairing code: as the config says, else where there is no list."""
    found = reader.text("unauthorized_dm_behavior", "-")
    document = reader.document
    for at in (("unauthorized_dm_behavior",), ("gateway", "unauthorized_dm_behavior")):
        value = document.get(*at)
        if found is None and isinstance(value, str):
            found = Found(value.strip(), document.file, document.line(at), ".".join(at))
    if found is None:
        return not rules.says_something
    if found.text.lower() not in ("pair", "ignore"):
        reader.problems.add(found.file, found.line, key=found.key, message="must be pair or ignore; correct it")
    return found.text.lower() == "pair"


def as_written(name: str) -> ChatPlatform:
    """Return how accounts of a platform are configured that only its adapter knows."""

    def settings(reader: SectionReader) -> Mapping[str, Any]:
        merged: dict[str, Any] = {}
        for at in reversed(reader.sections):
            merged |= reader.document.get(*at)
        return {key: value for key, value in merged.items() if key not in ("token", "extra", "accounts", "enabled", *_LISTS)}

    return ChatPlatform(name, "token", f"{name}_bot_token".upper(), lambda _: "", settings, frozenset({"extra"}))
