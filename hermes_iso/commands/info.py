"""Commands that only tell something: start, help, status, profile, agents, whoami, usage."""

from __future__ import annotations

from hermes_iso.commands.access import sender_ids
from hermes_iso.commands.command import Call, Command, Reply
from hermes_iso.commands.sessions import counted
from hermes_iso.commands.settings import model_name, settings_of
from hermes_iso.messages import Usage
from hermes_iso.outcomes import shown


async def _start(call: Call) -> Reply:
    """Greet somebody who has just found the agent."""
    return f"This is agent {call.agent.id}. Write what you want done; /help lists the commands."


async def _help(call: Call) -> Reply:
    """List the commands that the sender may use."""
    lines = [
        f"/{command.name}{' ' + command.usage if command.usage else ''}: {command.summary}"
        for command in call.usable
        if call.admin or not command.admin
    ]
    return "\n".join(["Commands:", *lines, "Anything else goes to the agent."])


async def _status(call: Call) -> Reply:
    """Tell how the session does."""
    settings = await settings_of(call)
    row = await call.desk.book.current() if call.stored else None
    count = await call.desk.book.count_messages() if call.stored else len(call.inbound.history or ())
    waiting = call.desk.waiting()
    named = (
        f"{row.session_id}{' (' + row.title + ')' if row.title else ''}" if row else "none yet" if call.stored else "not kept"
    )
    beside = len(call.desk.around()) - len(call.desk.running())
    state = "running" if call.desk.running() else "idle"
    more = f", {waiting} waiting" if waiting else ""
    more += f", {beside} in the background" if beside else ""
    return "\n".join(
        [
            f"Session: {named}",
            f"Agent: {call.agent.id}",
            f"Model: {model_name(settings.applied(call.agent).model)}",
            f"State: {state}{more}",
            f"Messages: {count}",
        ]
    )


async def _profile(call: Call) -> Reply:
    """Tell which profile answers here: that of the agent to whom this chat is routed."""
    home = f"\nHome: {call.agent.profile.home}" if call.admin else ""
    return f"Profile: {call.agent.id}{home}"


async def _agents(call: Call) -> Reply:
    """Tell who answers in this chat and what runs in it; an admin is told of all that are served."""
    turns = call.desk.around()
    lines = [f"Agent of this chat: {call.agent.id}", f"Turns running in it: {len(turns)}"]
    if call.admin:
        lines.append(f"Served here: {', '.join(call.config.agents)}")
    return "\n".join(lines)


async def _agent(call: Call) -> Reply:
    """Tell who answers; the routes decide it, not a chat."""
    if call.args and call.args.lower() != call.agent.id:
        return f"Agent {call.agent.id} answers in this chat: the routes of the gateway's config decide that, not a command."
    return await _agents(call)


async def _whoami(call: Call) -> Reply:
    """Tell the sender who they are here."""
    who = ", ".join(sender_ids(call.inbound)) or "not named"
    allowed = "all" if call.admin else ", ".join(f"/{command.name}" for command in call.usable if not command.admin)
    return "\n".join(
        [
            f"Platform: {call.inbound.chat.platform}",
            f"User: {shown(who)}",
            f"Admin: {'yes' if call.admin else 'no'}",
            f"Agent: {call.agent.id}",
            f"Commands: {allowed}",
        ]
    )


async def _usage(call: Call) -> Reply:
    """Tell what the session has cost."""
    row = await call.desk.book.current()
    usage = row.usage if row else Usage()
    total = usage.prompt_tokens + usage.completion_tokens
    return (
        f"This session: {counted(row.turns if row else 0, 'turn')}, {counted(usage.calls, 'model call')}, {total} tokens"
        f" ({usage.prompt_tokens} in, {usage.completion_tokens} out)."
    )


COMMANDS = (
    Command("start", _start, "Say who answers here."),
    Command("help", _help, "List the commands.", aliases=("commands",)),
    Command("status", _status, "Show session, agent, model, and whether a turn runs."),
    Command("profile", _profile, "Show which profile answers here."),
    Command("agents", _agents, "Show which agent answers here and what runs.", aliases=("tasks",)),
    Command("agent", _agent, "Show which agent answers here.", "[NAME]"),
    Command("whoami", _whoami, "Show who you are here, and what you may do."),
    Command("usage", _usage, "Show what this session has cost.", stored=True),
)
