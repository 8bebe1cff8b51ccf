"""The shapes of what one agent may have to do with another: shared directories and messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hermes_iso.config.shapes import PathText, Shape, Texts


class SharedPathShape(Shape):
    """`agents.<id>.shared_paths[]`: a directory that this agent has in common with others, who say the same of it."""

    name: Annotated[str, Field(min_length=1)]
    path: Annotated[PathText, Field(min_length=1)]
    mode: Literal["ro", "rw"] = "ro"
    partners: Texts = Field(alias="with")


class MessagesShape(Shape):
    """`agents.<id>.messages`: to which agents and chats it may write, and from which agents it takes messages."""

    to: Texts = Field(default_factory=list)
    senders: Texts = Field(default_factory=list, alias="from")
    chats: dict[str, str] = Field(default_factory=dict)
