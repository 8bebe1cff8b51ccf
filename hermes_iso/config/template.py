"""write_home: the files of a new home, as `init` and `run --demo` make it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from hermes_iso.config.known import name_complaint, normal_name
from hermes_iso.config.schema import MAIN
from hermes_iso.errors import UsageError

_CONFIG = """\
# The gateway's config. Every key: docs/reference/config.md. Check it with: hermes-iso config check

# Which model answers: provider/name. builtin/offline needs no key and no network, and says so.
model: builtin/offline
# model: anthropic/claude-sonnet-4-5         # its key: ANTHROPIC_API_KEY in .env
# model: openrouter/openai/gpt-5-mini        # its key: OPENROUTER_API_KEY in .env
# model:                                     # any server with an OpenAI-compatible API
#   provider: custom
#   default: my-model
#   base_url: http://127.0.0.1:8000/v1

# Who gets what no route takes.
default_agent: main

# Overlays on the agents' homes. Agent main lives in this directory, the others in profiles/<name>.
{agents}
# Which chat belongs to whom; the first match wins.
# routes:
#   - match: {{platform: telegram, chat_id: "-100123"}}
#     agent: {example}

gateway:
  serve: all                # or a list of agents
  unmatched: default        # default | reject

# The HTTP API. Its key is API_SERVER_KEY in .env and opens every agent.
platforms:
  api_server:
    enabled: true
    extra:
      host: 127.0.0.1
      port: 8642
"""
_NO_AGENT = """\
# agents:
#   coder:
#     model: provider/name
"""
_AGENT = """\
  {name}:
    # model: provider/name
    # personality: "Who this agent is; without it, SOUL.md in its home counts."
    # tools: coding                          # minimal, messaging, coding, full, or a list of tools; without it everything
    # egress: {{allow: [pypi, "github.com:443"]}}   # hosts that its turns may reach; without it none
    # shared_paths: [{{name: drafts, path: /srv/drafts, mode: rw, with: [main]}}]   # main needs one that names {name}
    # messages: {{to: [main], from: [main]}} # whom it may write to with send_message; main needs the counterpart
    sandbox: {{turn_timeout: 600}}
"""
_ENV = """\
# Secrets of this home. Keys of model providers and API_SERVER_KEY never enter a sandbox.
API_SERVER_KEY={key}
"""
PROFILE_ENV = "# What stands here reaches the turns of this agent alone; keys of model providers stay outside.\n"
_SOUL = "You are {name}, a helpful assistant. You say plainly what you did and what you could not do.\n"
_FILES = ("config.yaml", ".env", "SOUL.md", "profile.yaml")
"""What makes a directory somebody's home already."""
_DEMO_SOULS = {
    MAIN: "You are main, the demo's general assistant. You answer briefly.\n",
    "coder": "You are coder, the demo's programmer. You work in your own workspace and show the commands you run.\n",
}


def write_home(home: Path, agents: Sequence[str], *, demo: bool) -> list[str]:
    """Make a home with agent main and `agents`, and return their names as they are in it, main first.

    Written are a commented config, a fresh API key, SOUL.md and profile directories.

    Everything is 0700 or 0600. Raises UsageError when a name can't be an agent's or a file is there already; then
    nothing was written.
    """
    names = _checked(agents)
    homes = {MAIN: home, **{name: home / "profiles" / name for name in names}}
    souls = {name: (_DEMO_SOULS.get(name) if demo else None) or soul_text(name) for name in homes}
    blocks = "agents:\n" + "".join(_AGENT.format(name=name) for name in names) if names else _NO_AGENT
    texts = {
        home / "config.yaml": _CONFIG.format(agents=blocks, example=names[0] if names else "main"),
        home / ".env": _ENV.format(key=secrets.token_urlsafe(32)),
        **{where / "SOUL.md": souls[name] for name, where in homes.items()},
        **{homes[name] / ".env": PROFILE_ENV for name in names},
    }
    for path in (*texts, *(where / name for where in homes.values() for name in _FILES)):
        if os.path.lexists(path):
            raise UsageError(f"{path} is there already; init never overwrites: choose another --home, or move it away")
    try:
        for where in (home, home / "profiles", *homes.values()):
            where.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in texts.items():
            _write(path, text)
    except OSError as error:
        raise UsageError(f"can't make a home at {home}: {error.strerror} ({error.filename}); choose another --home") from error
    return list(homes)


def soul_text(name: str) -> str:
    """Return the persona that a new agent begins with."""
    return _SOUL.format(name=name)


def _checked(agents: Sequence[str]) -> list[str]:
    """Return the names besides main, normalised, each once."""
    names = [name for name in dict.fromkeys(map(normal_name, agents)) if name != MAIN]
    for name in names:
        complaint = name_complaint(name)
        if complaint:
            raise UsageError(complaint)
    return names


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
