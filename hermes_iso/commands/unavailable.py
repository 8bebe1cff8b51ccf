"""Hermes' commands that are not available here, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping

_TERMINAL = "it belongs to Hermes' own terminal"
_PROCESS = "it would change the whole gateway, which serves other agents too"
_CONFIG = "the operator's config decides that"
_LATER = "this version does not have it"

_REASONS: Mapping[str, str] = {
    _TERMINAL: "clear redraw history save prompt compose snapshot snap handoff statusbar sb timestamps ts verbose skin"
    " indicator pet hatch generate-pet journey learning memory-graph copy paste image quit exit browser busy footer",
    _PROCESS: "restart update debug platform platforms gateway reload reload-mcp reload-skills codex-runtime plugins",
    _CONFIG: "config toolsets bundles yolo fast",
    _LATER: "topic branch fork rollback goal subgoal moa voice learn suggestions suggest blueprint bp curator kanban insights"
    " topup subscription upgrade version v",
}
UNAVAILABLE: Mapping[str, str] = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Name or alias to the reason."""
