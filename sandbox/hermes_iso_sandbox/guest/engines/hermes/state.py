"""Where hermes-agent's own files lie: below the agent's `.agent`, which the top-level names in /hermes lead to."""

from __future__ import annotations

import os

HOME = "/hermes"
DIRECTORIES = ("logs", "image_cache", "audio_cache", "pairing", "checkpoints")
"""Directories that Hermes makes at the top of its home."""


def make_room() -> None:
    """Make what the links of /hermes lead to."""
    for name in DIRECTORIES:
        os.makedirs(f"{HOME}/.agent/{name}", mode=0o700, exist_ok=True)
