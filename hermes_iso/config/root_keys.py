"""The root config.yaml's own keys: unknown ones, those of later versions, and what is left, validated.

Routes in all their formats are read elsewhere: see `config.routes`.
"""

from __future__ import annotations

from typing import Any

from hermes_iso.config.known import (
    HERMES_GATEWAY_KEYS,
    NOT_BUILT,
    ROOTS,
    STRICT_ROOTS,
)
from hermes_iso.config.problems import ProblemList, suggestion
from hermes_iso.config.root_shapes import OurKeys
from hermes_iso.config.validation import validated
from hermes_iso.config.yaml_text import Document, KeyPath


def read_root_keys(document: Document, problems: ProblemList) -> OurKeys:
    """Return the keys that are ours, after noting unknown ones and those of later versions."""
    for name in document.data:
        if name not in ROOTS and (name,) not in document.odd_keys:
            message = f"unknown key{suggestion(name, ROOTS) or '; correct or remove it'}"
            document.complain(problems, (name,), message=message)
    for path in document.odd_keys:
        if (len(path) == 1 or path[0] in STRICT_ROOTS) and not _is_id(path):
            document.complain(problems, path, message="is not text; write this key in quotes")
    data = {name: value for name, value in document.data.items() if name in OurKeys.model_fields}
    for pattern in NOT_BUILT:
        data = _refuse(data, pattern, (), document, problems)
    gateway = data.get("gateway")
    if isinstance(gateway, dict):
        ignored = HERMES_GATEWAY_KEYS | {"profile_routes"}
        data["gateway"] = {key: value for key, value in gateway.items() if key not in ignored}
        for key in ("group_sessions_per_user", "thread_sessions_per_user"):
            if key in data["gateway"]:
                data.setdefault(key, data["gateway"].pop(key))
    for key in [key for key, value in data.items() if value is None]:
        del data[key]
    return validated(OurKeys, document, below=(), data=data, problems=problems)


def _is_id(path: KeyPath) -> bool:
    """Say whether a key is an id in a mapping of routes, which is the text as it stands there."""
    return path[:2] == ("gateway", "profile_routes") or "topic_profiles" in path


def _refuse(data: Any, pattern: tuple[str, ...], at: KeyPath, document: Document, problems: ProblemList) -> Any:
    """Return `data` without the keys that `pattern` names; each is noted as not available."""
    head, rest = pattern[0], pattern[1:]
    if isinstance(data, list) and rest:
        return [_refuse(item, rest, (*at, index), document, problems) for index, item in enumerate(data)]
    if not isinstance(data, dict):
        return data
    kept: dict[str, Any] = {}
    for key, value in data.items():
        if head not in ("*", key):
            kept[key] = value
        elif rest:
            kept[key] = _refuse(value, rest, (*at, key), document, problems)
        else:
            message = "not available in this version; remove it"
            document.complain(problems, (*at, key), message=message)
    return kept
