"""Where logs go: to stderr, because stdout belongs to results; JSON lines, or columns for somebody who watches."""

from __future__ import annotations

import logging
import sys

import structlog

_TALKATIVE = ("httpx", "httpcore", "telegram")
"""Libraries that log URLs, in which a bot's token stands, or what people write."""


def configure_logs(level: int) -> None:
    """Send everything from `level` (of the module logging) upwards to stderr. Called once, by a command that serves turns."""
    on_terminal = sys.stderr.isatty()
    render = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, force=True)
