"""A session's own settings: stored and read, and what they make of an agent."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.agents import ModelSettings
from hermes_iso.errors import TurnError
from hermes_iso.session_settings import NO_SETTINGS, SessionSettings
from tests.support.line import make_agent

words = st.text(max_size=20)


@given(st.builds(SessionSettings, words, words, words, st.frozensets(words, max_size=4)))
def test_settings_survive_the_disk(settings: SessionSettings) -> None:
    """What is stored is what is read; nothing set is an empty object."""
    assert SessionSettings.from_text(settings.as_text()) == settings
    assert NO_SETTINGS.as_text() == "{}"


def test_session_comes_before_the_agent(tmp_path: Path) -> None:
    """Model, persona and reasoning are the session's where it says so, and the agent's elsewhere."""
    other = ModelSettings("lab", "other", "http://x/v1", "chat_completions")
    agent = make_agent(tmp_path, name_model=lambda name: other, personalities={"poet": "You rhyme."})
    changed = SessionSettings(model="lab/other", reasoning="high", personality="poet").applied(agent)
    assert changed.model == replace(other, reasoning="high")
    assert changed.persona == "You rhyme."
    assert NO_SETTINGS.applied(agent) == agent


@pytest.mark.parametrize("settings", [SessionSettings(model="lab/gone"), SessionSettings(personality="gone")])
def test_name_that_leads_nowhere_fails_the_turn(tmp_path: Path, settings: SessionSettings) -> None:
    """A config that changed meanwhile is told, with the way back; nothing else is chosen instead."""
    with pytest.raises(TurnError, match="goes back") as caught:
        settings.applied(make_agent(tmp_path))
    assert caught.value.kind == "config"
