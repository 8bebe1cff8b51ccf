"""What a profile takes of the root home's files: all but what they say about the gateway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from hermes_iso.config.edit import Remove, edited
from hermes_iso.config.known import OUR_ROOTS
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.yaml_text import parse_document

_GATEWAYS = OUR_ROOTS | {"platforms", "profile_routes", "multiplex_profiles"}
"""The root keys that are about the gateway: who is served, where, and with which keys."""
_API_NAME = re.compile(rb"\s*(?:export\s+)?API_SERVER_")


def as_of_profile(files: Mapping[str, bytes], home: Path) -> dict[str, bytes]:
    """Return the root's config.yaml and .env as a profile may have them; `home` names them in errors. Raises UsageError."""
    found: dict[str, bytes] = {}
    if "config.yaml" in files:
        text, file = files["config.yaml"].decode("utf-8-sig"), str(home / "config.yaml")
        data = parse_document(text, file, problems=ProblemList()).data
        found["config.yaml"] = edited(text, [Remove((root,)) for root in data if root in _GATEWAYS], file).encode("utf-8")
    if ".env" in files:
        lines = files[".env"].splitlines(keepends=True)
        found[".env"] = b"".join(line for line in lines if not _API_NAME.match(line))
    return found
