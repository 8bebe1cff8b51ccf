"""Tests of hermes_iso.agents."""

from hermes_iso.agents import ModelSettings


def test_model_settings_show_no_key():
    """Neither the key nor the headers occur in the repr, which may land in a log."""
    settings = ModelSettings("openai", "m", "http://x/v1", "chat_completions", "s3cret", headers={"X-Auth": "s3cret"})
    assert "s3cret" not in repr(settings)
