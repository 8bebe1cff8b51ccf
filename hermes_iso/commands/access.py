"""Who may use which command, and who is an admin of an agent; pure."""

from __future__ import annotations

from hermes_iso.agents import Agent
from hermes_iso.config.schema import CommandRules, Config
from hermes_iso.messages import Inbound

ALWAYS = frozenset({"start", "help", "commands", "whoami"})
"""Commands that everybody may use who may talk to the agent."""
_OPERATORS = "console"
_KEYS = "api_server"
_DIRECT = frozenset({"dm", "direct", "private", ""})


def sender_ids(inbound: Inbound) -> tuple[str, ...]:
    """Return the names of a message's sender as configs write them, after the platform.

    Over HTTP it is the key's name: the X-Hermes headers are only what the key's holder says.
    """
    if inbound.chat.platform.lower() == _KEYS:
        return (inbound.namespace,)
    return tuple(filter(None, (inbound.user_id, inbound.user_id_alt)))


def rules_for(config: Config, inbound: Inbound) -> CommandRules:
    """Return the rules of the platform for this kind of chat; without admins there is none."""
    scope = "dm" if inbound.chat.chat_type.lower() in _DIRECT else "group"
    return config.command_rules.get((inbound.chat.platform.lower(), scope), CommandRules())


def is_admin(config: Config, agent: Agent, inbound: Inbound) -> bool:
    """Say whether the sender is an admin of the agent; whoever sits at the console is its operator."""
    platform, names = inbound.chat.platform.lower(), sender_ids(inbound)
    entries = {f"{platform}:*", *(f"{platform}:{name}" for name in names)}
    return (
        platform == _OPERATORS
        or not entries.isdisjoint(agent.admins)
        or not rules_for(config, inbound).admins.isdisjoint(names)
    )


def may_use(name: str, config: Config, agent: Agent, inbound: Inbound) -> bool:
    """Say whether the sender may use a command, as Hermes decides: where a platform names admins, the others may use a list."""
    rules = rules_for(config, inbound)
    return not rules.admins or name in ALWAYS or name in rules.allowed or is_admin(config, agent, inbound)
