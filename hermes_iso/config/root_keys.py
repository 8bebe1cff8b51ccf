"""The root config.yaml's own keys: unknown ones, and what is left, validated.

Routes in all their formats are read elsewhere: see `config.routes`.
"""

from __future__ import annotations

from hermes_iso.config.known import (
    HERMES_GATEWAY_KEYS,
    ROOTS,
    STRICT_ROOTS,
)
from hermes_iso.config.problems import ProblemList, suggestion
from hermes_iso.config.root_shapes import OurKeys
from hermes_iso.config.validation import validated
from hermes_iso.config.yaml_text import Document, KeyPath


def read_root_keys(document: Document, problems: ProblemList) -> OurKeys:
    """Return the keys that are ours, after noting unknown ones."""
    for name in document.data:
        if name not in ROOTS and (name,) not in document.odd_keys:
            message = f"unknown key{suggestion(name, ROOTS) or '; correct or remove it'}"
            document.complain(problems, (name,), message=message)
    for path in document.odd_keys:
        if (len(path) == 1 or path[0] in STRICT_ROOTS) and not _is_id(path):
            document.complain(problems, path, message="is not text; write this key in quotes")
    data = {name: value for name, value in document.data.items() if name in OurKeys.model_fields}
    gateway = data.get("gateway")
    if isinstance(gateway, dict):
        ignored = HERMES_GATEWAY_KEYS | {"profile_routes"}
        data["gateway"] = {key: value for key, value in gateway.items() if key not in ignored}
        for key in ("group_sessions_per_user", "thread_sessions_per_user", "max_concurrent_sessions"):
            if key in data["gateway"]:
                data.setdefault(key, data["gateway"].pop(key))
    for key in [key for key, value in data.items() if value is None]:
        del data[key]
    return validated(OurKeys, document, below=(), data=data, problems=problems)


def _is_id(path: KeyPath) -> bool:
    """Say whether a key is an id in a mapping of routes, which is the text as it stands there."""
    return path[:2] == ("gateway", "profile_routes") or "topic_profiles" in path
