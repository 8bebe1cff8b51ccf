"""Which platforms a home turns on, by its config or by the secrets in its `.env`, or names in a rule, and can't be served."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from hermes_iso.config.known import ADAPTED, PLATFORM_SECRETS, PLATFORMS
from hermes_iso.config.problems import ProblemList, possible
from hermes_iso.config.shapes import as_switch
from hermes_iso.config.yaml_text import Document, kind_of


def unserved_platforms(
    document: Document,
    names: Mapping[str, str],
    *,
    named: Iterable[str | None],
    served: Container[str],
    problems: ProblemList,
) -> tuple[str, ...]:
    """Return the platforms that a home turns on or that a rule names, sorted, without those that are served here.

    served: the platforms of installed adapters, and those whose chats a bridge carries.
    """
    found = {platform for platform, name in PLATFORM_SECRETS.items() if names.get(name, "").strip()}
    section: Any = document.get("platforms")
    if section is not None and not isinstance(section, dict):
        document.complain(problems, ("platforms",), message=f"must be a mapping, found {kind_of(section)}; correct it")
        section = None
    for name, settings in (section or {}).items():
        platform = name.lower()
        if platform not in PLATFORMS:
            document.complain(problems, ("platforms", name), message=f"unknown platform{possible(name, PLATFORMS)}")
        if isinstance(settings, dict) and as_switch(settings.get("enabled", False)) is True:
            found.add(platform)
        elif settings is not None and not isinstance(settings, dict):
            message = f"must be a mapping, found {kind_of(settings)}; correct it"
            document.complain(problems, ("platforms", name), message=message)
    found |= {platform for platform in named if platform is not None}
    return tuple(sorted(platform for platform in found - ADAPTED if platform not in served))
