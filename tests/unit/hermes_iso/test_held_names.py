"""Tests of hermes_iso.held_names."""

import pytest

from hermes_iso.held_names import HeldNames


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "ANYTHING_API_KEY",
        "ANTHROPIC_TOKEN",
        "HF_TOKEN",
        "OPENAI_BASE_URL",
        "API_SERVER_KEY",
        "API_SERVER_PORT",
        "TELEGRAM_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "EMAIL_PASSWORD",
        "GH_TOKEN",
        "AUXILIARY_VISION_BASE_URL",
        "GATEWAY_RELAY_SECRET",
        "FAL_KEY",
        "SUDO_PASSWORD",
        "AWS_BEARER_TOKEN_BEDROCK",
    ],
)
def test_secrets_of_providers_and_platforms_are_held(name):
    """Every name of Hermes' provider and platform tables stays outside, and every *_API_KEY."""
    assert name in HeldNames()


@pytest.mark.parametrize("name", ["CRM_PASSWORD", "DATABASE_URL", "AWS_ACCESS_KEY_ID", "EMAIL_SIGNATURE", "LINE_WIDTH"])
def test_the_agents_own_names_are_not_held(name):
    """What no table lists and no provider refers to is the agent's own."""
    assert name not in HeldNames()


def test_a_name_that_a_provider_refers_to_is_held():
    """A reference from the config holds any name back."""
    assert "CRM_PASSWORD" in HeldNames(referred=frozenset({"CRM_PASSWORD"}))


def test_a_name_handed_back_is_not_held():
    """`sandbox.env` wins over every reason to hold a name."""
    held = HeldNames(referred=frozenset({"X_API_KEY"}), handed_back=frozenset({"X_API_KEY"}))
    assert "X_API_KEY" not in held
