"""`route explain`: which agent, session and rule would take a message."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter

from hermes_iso.cli.options import HomeOption, JsonOption, hooks_of, print_json, read_config, say
from hermes_iso.config.known import PLATFORMS
from hermes_iso.config.problems import possible
from hermes_iso.errors import UsageError
from hermes_iso.hooks.installed import choosing
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.routing import Router

LOST_PER_LINE = 100
"""Most rules that lost in one answer to a line of stdin."""

Value = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
_CHAT_KEYS = (
    "platform",
    "chat_id",
    "chat_type",
    "thread_id",
    "parent_chat_id",
    "guild_id",
    "team_id",
    "account_id",
)
_USER_KEYS = ("user_id", "user_id_alt")


def add_commands(app: App) -> None:
    """Add the group `route`."""
    group = App(name="route", help="Ask where messages go.")
    group.command(explain)
    app.command(group)


def explain(
    *,
    platform: Value = None,
    account_id: Value = None,
    guild_id: Value = None,
    team_id: Value = None,
    chat_type: Value = None,
    chat_id: Value = None,
    parent_chat_id: Value = None,
    thread_id: Value = None,
    user_id: Value = None,
    user_id_alt: Value = None,
    stdin: Annotated[bool, Parameter(negative=(), help="Read JSON objects of these keys, one per line.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Say which agent, session key and rule would take such a message, and why the other rules do not."""
    given = {
        "platform": platform,
        "account_id": account_id,
        "guild_id": guild_id,
        "team_id": team_id,
        "chat_type": chat_type,
        "chat_id": chat_id,
        "parent_chat_id": parent_chat_id,
        "thread_id": thread_id,
        "user_id": user_id,
        "user_id_alt": user_id_alt,
    }
    named = next((key for key, value in given.items() if value is not None), None)
    if stdin and named:
        raise UsageError(
            f"--stdin reads every message from stdin: leave out --{named.replace('_', '-')}, or leave out --stdin."
        )
    if not stdin and platform is None:
        raise UsageError("Which platform the message comes from is missing: give --platform NAME, or --stdin.")
    config = read_config(home)
    router = Router(config)
    if stdin:
        return _explain_lines(router)
    answer = router.explain(make_inbound(given)).as_json()
    if as_json:
        print_json(answer)
    else:
        _print_answer(answer)
        for hook in choosing(hooks_of(config)):
            print(f"hook:        {hook} may name another agent for such a message; it is not asked here")
    return 0


def make_inbound(given: dict[str, Any]) -> Inbound:
    """Return the message that `given` describes: keys as the options with underscores, values text or None.

    Raises UsageError for another key or value, or without a platform that Hermes has.
    """
    unknown = sorted(given.keys() - {*_CHAT_KEYS, *_USER_KEYS})
    if unknown:
        raise UsageError(f"Unknown key {unknown[0]!r}; known are: {', '.join((*_CHAT_KEYS, *_USER_KEYS))}.")
    values = {key: _text(key, value) for key, value in given.items() if value is not None}
    if not values.get("platform"):
        raise UsageError("The key 'platform' is missing or empty.")
    platform = values["platform"].lower()
    if platform not in PLATFORMS:
        raise UsageError(f"Unknown platform {platform[:40]!r}{possible(platform, PLATFORMS)}")
    user_id, user_id_alt = (values.pop(key, None) for key in _USER_KEYS)
    values.setdefault("chat_id", "")
    return Inbound(chat=ChatRef(**values), text="", platform_id="explain", user_id=user_id, user_id_alt=user_id_alt)


def _text(key: str, value: Any) -> str:
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UsageError(f"The value of {key!r} holds half a character (a lone surrogate), which no message can.")
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UsageError(f"The value of {key!r} must be text.")


def _explain_lines(router: Router) -> int:
    """Answer each line of stdin with one line; a line that can't be read is answered with {"error"} and exit code 2.

    Of the rules that lost a line tells LOST_PER_LINE, so that many messages against many rules do not make gigabytes.
    """
    status = 0
    for number, line in enumerate(sys.stdin.buffer, start=1):
        if not line.strip():
            continue
        try:
            answer = router.explain(make_inbound(_read_object(line)), LOST_PER_LINE).as_json()
        except UsageError as error:
            say(f"hermes-iso: line {number}: {error}")
            answer = {"error": str(error)}
            status = 2
        print(json.dumps(answer, ensure_ascii=False), flush=True)
    return status


def _read_object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise UsageError("This line is not JSON.") from error
    if not isinstance(value, dict):
        raise UsageError("This line is not a JSON object.")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's members, `-` in their names as `_`. Raises UsageError when one is there twice."""
    found: dict[str, Any] = {}
    for written, value in pairs:
        key = written.replace("-", "_")
        if key in found:
            raise UsageError(f"The key {key!r} is here twice; keep one.")
        found[key] = value
    return found


def _print_answer(answer: dict[str, Any]) -> None:
    if answer["agent"] is None:
        print(f"rejected: {answer['rule']}")
    else:
        print(f"agent:       {answer['agent']}")
        print(f"session key: {answer['session_key']}")
        print(f"rule:        {answer['rule']} (decided by {answer['tier']})")
    for lost in answer["rejected"]:
        print(f"not:         {lost['rule']}: {lost['reason']}")
