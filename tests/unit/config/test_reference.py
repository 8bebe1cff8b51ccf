"""docs/reference/config.md against the shapes: every key, with its default, and nothing else."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from hermes_iso.config.chat_platforms import PLATFORMS_SERVED
from hermes_iso.config.validation import SHAPES
from tests.support.homes import load

PAGE = Path(__file__).parents[3] / "docs/reference/config.md"
ROW = re.compile(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \| (.+) \|$", re.MULTILINE)
PLACES = {
    "agents": ".<id>",
    "routes": "[]",
    "bindings": "[]",
    "profile_routes": "[]",
    "shared_paths": "[]",
    "keys": ".<NAME>",
    "secrets": ".<NAME>",
    "allow": "[]",
    "deny": "[]",
}


def written(pattern):
    """Return a key path as the page writes it."""
    text = ""
    for before, part in zip((None, *pattern), pattern, strict=False):
        text += PLACES[before] if part == "*" else f".{part}" if text else part
    return text


def default_of(field):
    """Return a field's default as the page writes it."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "a section"
    value = int(value) if isinstance(value, float) else value
    return "–" if value is None else f"`{yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}`"


def of_chats(key):
    """Say whether a key is one of a chat platform's, or of Hermes' own sections that are read without a shape."""
    return key.startswith(tuple(f"platforms.{platform}." for platform in PLATFORMS_SERVED)) or key == "display.busy_input_mode"


def known_keys():
    """Return every key of the shapes that is no section of others, with its default."""
    keys = {
        written((*pattern, field.alias or name)): default_of(field)
        for pattern, shape in SHAPES
        for name, field in shape.model_fields.items()
    }
    return {key: value for key, value in keys.items() if not any(other.startswith((f"{key}.", f"{key}[")) for other in keys)}


def test_every_key_is_documented_with_its_default():
    """The tables and the shapes name the same keys and defaults."""
    documented = {key: default.strip() for key, default, _ in ROW.findall(PAGE.read_text())}
    assert {key: default for key, default in documented.items() if not of_chats(key)} == known_keys()


@pytest.mark.parametrize("platform", PLATFORMS_SERVED.values(), ids=PLATFORMS_SERVED)
def test_every_key_of_a_chat_platform_is_documented(platform):
    """The table of a platform has the keys that its accounts may have, and no others."""
    begin = f"platforms.{platform.name}."
    documented = {
        key.removeprefix(begin).removeprefix("extra.") for key, _, _ in ROW.findall(PAGE.read_text()) if key.startswith(begin)
    }
    lists = {"allow_from", "group_allow_from", "group_allowed_chats", "allowed_roles", "unauthorized_dm_behavior"}
    own = platform.keys | {"enabled", platform.token, "accounts.<NAME>"}
    assert documented - lists == own  # the lists of who may talk are the same for all platforms that have any
    assert bool(documented & lists) == platform.admits


def test_every_key_has_a_meaning_and_most_an_example():
    """A row says what the key does; keys that are not another's spelling show how it is written."""
    for key, _, meaning in ROW.findall(PAGE.read_text()):
        assert len(meaning) > 15, key


def test_the_pages_example_loads(tmp_path):
    """What the page shows is a config."""
    example = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    config = load(tmp_path / "home", example, {".env": "API_SERVER_KEY=0123456789abcdef\n"})
    assert list(config.agents) == ["main", "coder"]


HOW_TO = PAGE.parents[1] / "how-to/route-messages.md"


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL))
def test_the_how_tos_examples_load(tmp_path, example):
    """What the page on routes shows is a config without a warning but that of platforms without an adapter."""
    assert load(tmp_path / "home", example).warnings == ()
