"""Every command there is, in the order in which /help shows them."""

from __future__ import annotations

from hermes_iso.commands import answers, info, notes, pairing, sessions, settings, turns
from hermes_iso.commands.command import Command

_FAMILIES = (info, sessions, turns, answers, settings, notes, pairing)
COMMANDS: tuple[Command, ...] = tuple(command for family in _FAMILIES for command in family.COMMANDS)
