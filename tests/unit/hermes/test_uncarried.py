"""Providers that can't be carried are found wherever a config names them."""

from __future__ import annotations

from hermes_iso.hermes.helper.describing import UNCARRIED as HELPERS
from hermes_iso.hermes.uncarried import UNCARRIED, uncarried_providers


def test_a_refused_provider_is_named_with_its_place_and_reason() -> None:
    """By any of the names that Hermes has for it."""
    config = {
        "model": {"provider": "AWS", "default": "nova"},
        "fallback_providers": [{"provider": "openrouter"}, {"provider": "vertex-ai", "model": "g"}, "odd"],
        "auxiliary": {"vision": {"provider": "bedrock"}, "mcp": {"provider": "auto"}, "transient_retries": 2},
        "delegation": {"provider": "copilot-acp"},
    }
    found = uncarried_providers(config)
    assert [(key, name) for key, name, _ in found] == [
        ("model.provider", "bedrock"),
        ("delegation.provider", "copilot-acp"),
        ("fallback_providers[1].provider", "vertex"),
        ("auxiliary.vision.provider", "bedrock"),
    ]
    assert all(why for _, _, why in found)


def test_an_ordinary_config_has_none() -> None:
    """Nor has one that is odd."""
    assert uncarried_providers({"model": "a/b", "auxiliary": [], "fallback_model": {"provider": 3}}) == ()


def test_both_lists_name_the_same_providers() -> None:
    """That of the helper, which runs elsewhere, and that of whoever only reads the config."""
    assert set(HELPERS) == set(UNCARRIED)
