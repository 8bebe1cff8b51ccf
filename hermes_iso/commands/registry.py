"""Every command there is, in the order in which /help shows them."""

from __future__ import annotations

from hermes_iso.commands import info, notes, pairing, sessions, settings, turns
from hermes_iso.commands.command import Command

_FILES = (info, sessions, turns, settings, notes, pairing)
COMMANDS: tuple[Command, ...] = tuple(command for file in _FILES for command in file.COMMANDS)
