"""Commands on what a session has of its own: model, personality, reasoning, tools."""

from __future__ import annotations

from dataclasses import replace

from hermes_iso.agents import ModelSettings
from hermes_iso.commands.command import NEEDS_SESSION, Call, Command, Reply
from hermes_iso.errors import UsageError
from hermes_iso.outcomes import shown
from hermes_iso.policy import Layer
from hermes_iso.session_settings import EFFORTS, NO_SETTINGS, SessionSettings
from hermes_iso.tools import KNOWN_TOOLS, TOOLS

_BACK = frozenset({"default", "reset", "none"})


def model_name(model: ModelSettings) -> str:
    """Return a model as people call it: never its address or key."""
    return f"{model.provider}/{model.model}" if model.model else "none is configured"


async def settings_of(call: Call) -> SessionSettings:
    """Return the settings of the chat's session."""
    row = await call.desk.book.current() if call.stored else None
    return SessionSettings.from_text(row.settings) if row else NO_SETTINGS


async def _model(call: Call) -> Reply:
    """Show or set the session's model."""
    name = call.args
    if not name:
        settings = await settings_of(call)
        where = "set for this session; /model default goes back" if settings.model else f"of agent {call.agent.id}"
        return f"Model: {model_name(settings.applied(call.agent).model)} ({where})."
    if not call.stored:
        return NEEDS_SESSION
    if name in _BACK:
        await call.desk.book.change(lambda settings: replace(settings, model=""))
        return f"Model of this session: {model_name(call.agent.model)}, as agent {call.agent.id} has it."
    try:
        model = call.agent.name_model(name)
    except UsageError as error:
        return str(error)
    await call.desk.book.change(lambda settings: replace(settings, model=name))
    return f"Model of this session: {model_name(model)}. /model default goes back."


async def _personality(call: Call) -> Reply:
    """Show, choose or leave a personality of the config's."""
    name, known = call.args.lower(), call.agent.personalities
    listed = f"There are: {', '.join(known)}." if known else "The config defines none (key personalities)."
    if not name:
        return f"Personality: {(await settings_of(call)).personality or 'none'}. {listed}"
    if not call.stored:
        return NEEDS_SESSION
    if name in _BACK:
        await call.desk.book.change(lambda settings: replace(settings, personality=""))
        return f"This session has agent {call.agent.id}'s own persona again."
    if name not in known:
        return f"There is no personality {shown(name)[:60]!r}. {listed}"
    await call.desk.book.change(lambda settings: replace(settings, personality=name))
    return f"This session has the personality {name} now; /personality none goes back."


async def _reasoning(call: Call) -> Reply:
    """Show or set how hard the session's model is told to think."""
    level = call.args.lower()
    settings = await settings_of(call)
    if not level:
        said = settings.reasoning or "as the model does by itself"
        return f"Reasoning: {said}. Levels: {', '.join(EFFORTS)}; default goes back."
    if not call.stored:
        return NEEDS_SESSION
    if level in ("default", "reset"):
        await call.desk.book.change(lambda settings: replace(settings, reasoning=""))
        return "The model of this session thinks as it does by itself again."
    if level not in EFFORTS:
        return f"There is no level {shown(level)[:40]!r}: write one of {', '.join(EFFORTS)}, or default."
    model = settings.applied(call.agent).model
    if model.api_mode != "chat_completions":
        return f"The model {model_name(model)} can't be told how hard to think: only those of OpenAI's API can."
    await call.desk.book.change(lambda settings: replace(settings, reasoning=level))
    return f"Reasoning of this session: {level}. /reasoning default goes back."


async def _tools(call: Call) -> Reply:
    """List the tools, or take one away from the session, or give it back: never more than the policy grants."""
    word, _, rest = call.args.partition(" ")
    if word in ("", "list"):
        return _listed(call, await settings_of(call))
    names = frozenset(rest.split())
    unknown = sorted(names - KNOWN_TOOLS - TOOLS.keys())
    if word not in ("off", "on", "disable", "enable") or not names:
        return "Usage: /tools [list | off NAME… | on NAME…]."
    if unknown:
        return f"There is no tool {shown(unknown[0])[:60]!r}: /tools lists them."
    if not call.stored:
        return NEEDS_SESSION
    if word in ("off", "disable"):
        await call.desk.book.change(lambda settings: replace(settings, denied_tools=settings.denied_tools | names))
        return f"Taken away from this session: {', '.join(sorted(names))}."
    await call.desk.book.change(lambda settings: replace(settings, denied_tools=settings.denied_tools - names))
    still = [(name, _refusal(call, NO_SETTINGS, name)) for name in sorted(names)]
    denied = "; ".join(f"{name} is denied by {why}" for name, why in still if why)
    return f"This session no longer takes away: {', '.join(sorted(names))}." + (f" But {denied}." if denied else "")


def _listed(call: Call, settings: SessionSettings) -> str:
    """Return the tools, each granted or with what denies it."""
    lines = []
    for name in call.agent.offered:
        why = _refusal(call, settings, name)
        lines.append(f"- {name}: {f'denied by {why}' if why else 'granted'}")
    return "\n".join([f"Tools of agent {call.agent.id} in this session:", *lines])


def _refusal(call: Call, settings: SessionSettings, name: str) -> str:
    """Return the layer that denies a tool here, or ''. Where that is written on the host is for admins."""
    places = {f"deny {each}": "/tools on gives it back" for each in settings.denied_tools}
    policy = call.agent.policy.narrowed(Layer("session", deny=settings.denied_tools, places=places))
    layer, _, place = policy.refusal(name, call.route.reply_to.platform).partition(": ")
    shown_place = f" ({place})" if place and (call.admin or layer == "session") else ""
    return f"the {layer}{shown_place}" if layer else ""


COMMANDS = (
    Command("model", _model, "Show or set the model of this session.", "[NAME | default]"),
    Command("personality", _personality, "Show or choose the personality of this session.", "[NAME | none]"),
    Command("reasoning", _reasoning, "Show or set how hard this session's model thinks.", "[LEVEL | default]"),
    Command("tools", _tools, "List the tools; take some away from this session, or give them back.", "[off | on NAME…]"),
)
