"""The gateway: routes messages to agents and runs each turn in a fresh process in that agent's sandbox."""

__version__ = "0.1.0"
