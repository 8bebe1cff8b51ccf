"""The tools as models are told of them: the same names and arguments as the guest's, and Hermes' toolsets."""

import pytest

from hermes_iso.tools import KNOWN_TOOLS, TOOLS, TOOLSETS
from hermes_iso_sandbox.guest.tools.registry import ALL

GUEST = {tool.name: tool for tool in ALL}
EXPECTED = [
    "terminal",
    "process",
    "read_file",
    "write_file",
    "patch",
    "search_files",
    "execute_code",
    "memory",
    "todo",
    "clarify",
    "delegate_task",
    "session_search",
    "send_message",
    "skills_list",
    "skill_view",
    "cronjob",
]


def test_tools_are_those_of_the_guest():
    """Host and guest know the same tools, those of Hermes that the engine has."""
    assert list(TOOLS) == EXPECTED
    assert set(GUEST) == set(TOOLS)
    assert set(TOOLS) <= KNOWN_TOOLS


@pytest.mark.parametrize("name", EXPECTED)
def test_spec_has_the_arguments_that_the_guest_accepts(name):
    """Names, types and choices of a spec are what the guest checks; what the guest needs is required."""
    parameters = TOOLS[name].parameters
    accepted = GUEST[name].arguments
    assert {key: schema["type"] for key, schema in parameters["properties"].items()} == {
        key: argument.kind for key, argument in accepted.items()
    }
    for key, schema in parameters["properties"].items():
        assert tuple(schema.get("enum", ())) == accepted[key].choices
        assert schema["description"]
    assert {key for key, argument in accepted.items() if argument.required} <= set(parameters["required"])
    assert set(parameters["required"]) <= set(accepted)
    assert TOOLS[name].description


def test_toolsets_are_those_of_hermes():
    """All 57 toolsets with their 79 tools are known, and the one that is in none; a composite holds what it includes."""
    assert (len(TOOLSETS), len(KNOWN_TOOLS)) == (57, 80)
    assert set(TOOLSETS["debugging"]) == {*TOOLSETS["terminal"], *TOOLSETS["web"], *TOOLSETS["file"]}
    assert set(TOOLSETS["hermes-telegram"]) < set(TOOLSETS["hermes-gateway"])
    assert TOOLSETS["hermes-webhook"] == ("web_search", "web_extract", "vision_analyze", "clarify")
    assert all(len(set(tools)) == len(tools) for tools in TOOLSETS.values())
