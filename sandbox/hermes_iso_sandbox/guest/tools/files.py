"""The file tools, gathered: read_file, write_file, patch and search_files, and the agent's skills."""

from __future__ import annotations

from hermes_iso_sandbox.guest.tools import reading, searching, skills, writing

TOOLS = (*reading.TOOLS, *writing.TOOLS, *searching.TOOLS, *skills.TOOLS)
