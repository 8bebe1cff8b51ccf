"""The tools that do nothing here: the host does what they are for, and they ask it."""

from __future__ import annotations

from hermes_iso_sandbox.guest.tools import clarify, delegation, sessions

TOOLS = (*clarify.TOOLS, *delegation.TOOLS, *sessions.TOOLS)
