"""From `agents.<id>.secrets` to each Secret: host, header and form are checked, and the value is read where it does not cost.

A file and a name of the environment are read when the config is. A command is not run then, because every `config check` and
`agent list` would run it, but when a request first needs it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from hermes_iso.broker.egress.heads import FRAMING
from hermes_iso.broker.egress.names import AddressLiteralError, read_authority
from hermes_iso.config.agent_shapes import SecretShape, ValueFromShape
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.source import Names, Source
from hermes_iso.config.yaml_text import Document, KeyPath
from hermes_iso.credentials import LONGEST, Secret, value_complaint
from hermes_iso.profiles import OPERATOR_DIRECTORIES, Profile, is_within

TLS_PORT = 443
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z", re.ASCII)
_TAKEN = re.compile(
    r"HOME|USER|LOGNAME|SHELL|PWD|LANG|LC_.*|PATH|TERM|TZ|IFS|ENV|BASH_ENV|HERMES_HOME|HERMES_SESSION_ID|HERMES_ISO_.*|LD_.*"
    r"|PYTHON.*|(HTTPS?|ALL|NO|NPM_CONFIG_HTTPS?)_PROXY|NPM_CONFIG_.*",
    re.IGNORECASE,
)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_FORM = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z")


def read_secrets(source: Source, root: Source, *, names: Names, problems: ProblemList) -> tuple[Secret, ...]:
    """Return an agent's secrets; one that is wrong is noted and left out."""
    reader = _Reader(source, root.document, names, problems)
    found = (reader.secret(name, shape) for name, shape in source.overlay.secrets.items())
    return tuple(secret for secret in found if secret is not None)


def told_by_environment(sources: Iterable[Source]) -> frozenset[str]:
    """Return the names of the environment that hold secrets: no agent gets them from a `.env`."""
    shapes = (shape.value_from.env for source in sources for shape in source.overlay.secrets.values())
    return frozenset(name for name in shapes if name)


def check_hidden(sources: Iterable[Source], profiles: Iterable[Profile], document: Document, problems: ProblemList) -> None:
    """Note every secret's file that some agent can see."""
    visible = {place: profile.id for profile in profiles for place in _visible(profile)}
    for source in sources:
        for name, shape in source.overlay.secrets.items():
            real = os.path.realpath(shape.value_from.file or "/")
            agent = next((agent for place, agent in visible.items() if is_within(real, place)), None)
            if shape.value_from.file and agent is not None:
                at = (*source.overlay_at, "secrets", name, "value_from", "file")
                message = f"{shape.value_from.file} lies where agent {agent} can see it; move it elsewhere"
                document.complain(problems, at, message=message)


def _visible(profile: Profile) -> Iterable[str]:
    """Yield the host directories that an agent sees, and its SOUL.md."""
    yield from profile.directories.values()
    yield from (bind.source for bind in profile.binds)
    yield from (os.path.realpath(profile.home / name) for name in (*OPERATOR_DIRECTORIES, "SOUL.md"))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the secrets of one agent."""

    source: Source
    document: Document
    names: Names
    problems: ProblemList

    def secret(self, name: str, shape: SecretShape) -> Secret | None:
        """Return a secret, or None after noting what is wrong with it."""
        before = len(self.problems.problems)
        self._check_name(name)
        place = self._host(name, shape.host)
        form = self._form(name, shape)
        if not _HEADER.match(shape.header) or shape.header.lower().encode() in FRAMING:
            self._wrong(name, "header", message=f"{shape.header[:60]!r} can't carry a credential; name another header")
        value, command = self._value(name, shape.value_from)
        if place is None or len(self.problems.problems) > before:
            return None
        return Secret(name, *place, shape.header.lower(), form, value, command)

    def _check_name(self, name: str) -> None:
        if not _NAME.match(name):
            self._wrong(name, message=f"{name[:60]!r} can't be a secret's name; use letters, digits and _")
        elif _TAKEN.fullmatch(name):
            self._wrong(name, message=f"{name} means something else in the environment of a turn; choose another name")
        if name in self.source.overlay.sandbox.env:
            self._wrong(name, message=f"sandbox.env lets {name} in as it is; remove it there")

    def _host(self, name: str, text: str) -> tuple[str, int] | None:
        try:
            return read_authority(text, default_port=TLS_PORT)
        except AddressLiteralError as error:
            self._wrong(name, "host", message=f"{error}; write a name: egress.resolve may lead it to an address")
        except ValueError as error:
            self._wrong(name, "host", message=f"{error}; write HOST or HOST:PORT, without https:// and without *")
        return None

    def _form(self, name: str, shape: SecretShape) -> str:
        form = shape.format if shape.format is not None else "Bearer {}" if shape.header.lower() == "authorization" else "{}"
        if form.count("{}") != 1 or not _FORM.match(form):
            self._wrong(name, "format", message='must hold {} once, in plain characters, such as "Bearer {}"; correct it')
        elif form.lower().startswith("basic ") and ":" not in form:
            self._wrong(name, "format", message='must be "Basic USER:{}" or "Basic {}:PASSWORD"; it is encoded by the gateway')
        return form

    def _value(self, name: str, shape: ValueFromShape) -> tuple[str | None, tuple[str, ...]]:
        """Return the value, or the command that tells it."""
        written = self.document.get(*self.source.overlay_at, "secrets", name, "value_from") or {}
        given = [key for key in ValueFromShape.model_fields if written.get(key) is not None]
        if len(given) != 1:
            self._wrong(name, "value_from", message=f"must hold one of file, command and env, found {len(given)}; correct it")
            return None, ()
        if shape.command is not None:
            return None, self._command(name, shape.command)
        value = None  # also where what is written was no text, and is noted already
        if shape.file is not None:
            value = self._from_file(name, shape.file)
        elif shape.env is not None:
            value = self._from_env(name, shape.env)
        complaint = value_complaint(value) if value is not None else ""
        if complaint:
            self._wrong(name, "value_from", given[0], message=f"what it leads to {complaint}; correct it")
        return value, ()

    def _command(self, name: str, words: list[str]) -> tuple[str, ...]:
        if not words or not all(words):
            self._wrong(name, "value_from", "command", message="must not be empty; write [PROGRAM, ARGUMENT, …]")
        elif not os.path.isabs(words[0]) or not os.access(words[0], os.X_OK):
            message = f"{words[0][:100]!r} is not the absolute path of a program that can be run; correct it"
            self._wrong(name, "value_from", "command", message=message)
        return tuple(words)

    def _from_env(self, name: str, variable: str) -> str | None:
        value = self.names.get(variable)
        if value is None:
            message = f"refers to {variable[:60]!r}, which is set nowhere; add it to {self.source.env_file}"
            self._wrong(name, "value_from", "env", message=message)
        if variable in self.source.overlay.sandbox.env:
            self._wrong(name, "value_from", "env", message=f"sandbox.env lets {variable} in as it is; remove it there")
        return value

    def _from_file(self, name: str, path: str) -> str | None:
        complaint, value = _read_file(path)
        if complaint:
            self._wrong(name, "value_from", "file", message=f"{path[:200]} {complaint}")
        return None if complaint else value

    def _wrong(self, name: str, *below: str, message: str) -> None:
        at: KeyPath = (*self.source.overlay_at, "secrets", name, *below)
        self.document.complain(self.problems, at, message=message)


def _read_file(path: str) -> tuple[str, str]:
    """Return what is wrong with a secret's file, or '', and what it holds."""
    if not os.path.isabs(path):
        return "is not an absolute path; write one", ""
    try:
        descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return f"can't be read ({error.strerror}); correct the path or its permissions", ""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return "is not a file; name one", ""
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o077:
            return "is open to others; give it to the gateway's user alone: chmod 600", ""
        return "", os.read(descriptor, LONGEST + 2).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)
