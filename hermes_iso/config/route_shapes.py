"""The shapes of routes, as strict pydantic models."""

from __future__ import annotations

from hermes_iso.config.shapes import Shape, Switch


class MatchShape(Shape):
    """`routes[].match`: ids are the text as it stands in the file."""

    platform: str | None = None
    chat_id: str | None = None
    thread_id: str | None = None


class RouteShape(Shape):
    """`routes[]`: the first that matches wins."""

    match: MatchShape
    agent: str
    enabled: Switch = True
