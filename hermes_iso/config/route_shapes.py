"""The shapes of routes in their three written-out forms, as strict pydantic models; see `config.routes`."""

from __future__ import annotations

from hermes_iso.config.shapes import Shape, Switch


class MatchShape(Shape):
    """`routes[].match`: ids are the text as it stands in the file. What is not there matches anything."""

    platform: str | None = None
    account_id: str | None = None
    guild_id: str | None = None
    team_id: str | None = None
    chat_type: str | None = None
    chat_id: str | None = None
    parent_chat_id: str | None = None
    thread_id: str | None = None
    user_id: str | None = None
    peer: str | None = None


class RouteShape(Shape):
    """`routes[]`: the first that matches wins. Its match is checked by itself."""

    match: MatchShape
    agent: str
    enabled: Switch = True


class BindingShape(Shape):
    """`bindings[]`: the most specific that matches wins. One key more, the name of a platform, may stand in for `match`."""

    agent: str
    match: MatchShape | None = None
    enabled: Switch = True


class ProfileRouteShape(Shape):
    """`gateway.profile_routes[]`, as Hermes has it."""

    platform: str
    profile: str
    name: str | None = None
    guild_id: str | None = None
    chat_id: str | None = None
    thread_id: str | None = None
    enabled: Switch = True
