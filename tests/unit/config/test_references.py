"""Where a config names an agent: everything that would lead nowhere without it, and nothing else."""

from __future__ import annotations

import pytest

from hermes_iso.config.problems import ProblemList, key_text
from hermes_iso.config.references import references, without_agent
from hermes_iso.config.yaml_text import parse_document


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("routes: [{match: {platform: x}, agent: Coder }, {match: {platform: y}, agent: main}]", ["routes[0]"]),
        ("bindings: [{agent: main, telegram: '1'}, {agent: coder, whatsapp: '*'}]", ["bindings[1]"]),
        ("profile_routes: [{name: coder, platform: x, profile: main}, {platform: x, profile: coder}]", ["profile_routes[1]"]),
        ("gateway: {profile_routes: [{platform: x, profile: coder}]}", ["gateway.profile_routes[0]"]),
        ("gateway: {profile_routes: {telegram: {'1': {'7': coder}, '2': main}}}", ["gateway.profile_routes.telegram.1.7"]),
        ("telegram: {topic_profiles: {'-1:7': coder, '-1:8': main}}", ["telegram.topic_profiles.-1:7"]),
        ("platforms: {telegram: {extra: {topic_profiles: {'-1:7': coder}}}}", ["platforms.telegram.extra.topic_profiles.-1:7"]),
        ("gateway: {serve: [main, coder]}", ["gateway.serve[1]"]),
        ("gateway: {serve: all}", []),
        (
            "platforms: {api_server: {extra: {keys: {a: {key: x, agents: [coder, main]}}}}}",
            ["platforms.api_server.extra.keys.a.agents[0]"],
        ),
        ("agents: {main: {messages: {to: [coder], from: [main]}}}", ["agents.main.messages.to[0]"]),
        ("agents: {main: {shared_paths: [{name: d, with: [coder]}]}}", ["agents.main.shared_paths[0]"]),
        ("agents: {main: {shared_paths: [{name: d, with: [coder, x]}]}}", ["agents.main.shared_paths[0].with[0]"]),
        ("model: coder\nagents: {coder: {model: coder}}", []),
    ],
)
def test_every_place_that_names_the_agent_is_found(config, found):
    """Routes of each format, names in lists, and directories shared with nobody else."""
    data = parse_document(config, "FILE", problems=ProblemList()).data
    assert [key_text(path) for path in references(data, "coder")] == found


def test_edits_go_from_the_end_and_spare_what_the_overlay_takes_with_it():
    """Places in one list are taken away from its end; what stands in the agent's own overlay needs no edit of its own."""
    config = """\
agents:
  Coder: {messages: {to: [coder]}, shared_paths: [{name: d, with: [coder]}]}
routes: [{agent: coder}, {agent: main}, {agent: coder}]
"""
    named, edits = without_agent(parse_document(config, "FILE", problems=ProblemList()), "coder")
    assert named == ("routes[0] (FILE:3)", "routes[2] (FILE:3)")
    assert [edit.path for edit in edits] == [("routes", 2), ("routes", 0), ("agents", "Coder")]
