"""Every command there is, in the order in which /help shows them."""

from __future__ import annotations

from hermes_iso.commands import info, notes, sessions, settings, turns
from hermes_iso.commands.command import Command

COMMANDS: tuple[Command, ...] = (*info.COMMANDS, *sessions.COMMANDS, *turns.COMMANDS, *settings.COMMANDS, *notes.COMMANDS)
