"""What of a profile the helper is told: its own files, and the root home's where it has no model of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from hermes_iso.hermes.profile import HermesProfile
from hermes_iso.hermes.resolved import ResolverFaultError

PYTHON = Path("/nowhere/python")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root home with a model and a key, and a profile that is empty."""
    (tmp_path / "config.yaml").write_text(
        "model: {default: root-model, provider: custom}\nproviders: {mine: {api: x}}\nagents: {coder: {}}\ndisplay: {a: 1}\n"
    )
    (tmp_path / ".env").write_text("ROOT_KEY=root-secret\n")
    (tmp_path / "auth.json").write_text('{"providers": {}}')
    (tmp_path / "profiles" / "coder").mkdir(parents=True)
    return tmp_path


def profile(root: Path, **changes: object) -> HermesProfile:
    """Return the profile `coder`."""
    return HermesProfile("coder", root / "profiles" / "coder", root, PYTHON, **changes)  # type: ignore[arg-type]


def test_a_profile_without_a_model_has_the_root_homes(root: Path) -> None:
    """With the names that its key is looked up by; nothing else of the root's config."""
    question = profile(root, environment={"FROM_SHELL": "1"}).question()
    assert yaml.safe_load(question["files"]["profiles/coder/config.yaml"]) == {
        "model": {"default": "root-model", "provider": "custom"},
        "providers": {"mine": {"api": "x"}},
    }
    assert question["environment"] == {"FROM_SHELL": "1", "ROOT_KEY": "root-secret"}
    assert question["profile"] == "coder"
    assert "auth.json" in question["files"]


def test_a_profile_with_a_model_has_nothing_of_the_root_but_its_logins(root: Path) -> None:
    """As with Hermes itself, which reads logins of the root home where a profile has none."""
    home = root / "profiles" / "coder"
    (home / "config.yaml").write_text("model: {default: own}\nauxiliary: {vision: {model: v}}\nrouting: 1\nplatforms: {x: 1}\n")
    (home / ".env").write_text("OWN=1\n")
    question = profile(root).question()
    assert yaml.safe_load(question["files"]["profiles/coder/config.yaml"]) == {
        "model": {"default": "own"}, "auxiliary": {"vision": {"model": "v"}}, "routing": 1,
    }  # fmt: skip
    assert question["environment"] == {}
    assert question["files"]["profiles/coder/.env"] == "OWN=1\n"
    assert question["files"]["auth.json"] == '{"providers": {}}'


def test_the_overlay_counts_before_the_profile(root: Path) -> None:
    """One that says where the model is takes nothing of the profile's; one that names a model alone stays there."""
    (root / "profiles" / "coder" / "config.yaml").write_text("model: {default: own, provider: zai, api_key: k}\n")
    assert profile(root, said={"default": "other"}).config()[1]["model"] == {
        "default": "other",
        "provider": "zai",
        "api_key": "k",
    }
    assert profile(root, said={"default": "o", "provider": "nous"}).config()[1]["model"] == {"default": "o", "provider": "nous"}


def test_a_home_elsewhere_stands_alone(root: Path, tmp_path: Path) -> None:
    """Hermes takes it for a root home, whose logins are its own."""
    home = tmp_path / "elsewhere"
    home.mkdir()
    alone = HermesProfile("coder", home, root, PYTHON)
    (home / "config.yaml").write_text("model: x")
    question = alone.question()
    assert question["profile"] == ""
    assert set(question["files"]) == {"config.yaml", ".env"}


@pytest.mark.parametrize("name", ["config.yaml", ".env", "auth.json"])
def test_any_edit_of_the_files_that_count_is_seen(root: Path, name: str) -> None:
    """In the profile and in the root home."""
    known = profile(root).identity()
    assert profile(root).identity() == known
    for home in (root, root / "profiles" / "coder"):
        (home / name).write_text(f"# {home}\n")
        os.utime(home / name, ns=(1, 1))
        assert profile(root).identity() != known
        known = profile(root).identity()


@pytest.mark.parametrize(
    ("content", "said"),
    [("model: [", r"config\.yaml:\d+ is not valid YAML"), ("- a\n", "is no mapping"), ("[" * 200, "nests deeper")],
)
def test_a_config_that_cant_be_read_is_said_with_its_line(root: Path, content: str, said: str) -> None:
    """The turn says so, and the next one looks again."""
    (root / "profiles" / "coder" / "config.yaml").write_text(content)
    with pytest.raises(ResolverFaultError, match=said):
        profile(root).question()


@pytest.mark.parametrize(
    ("text", "offline"),
    [("model: builtin/offline", True), ("model: {default: builtin/offline}", True),
     ("model: {provider: builtin, model: offline}", True), ("model: {default: offline, provider: custom}", False),
     ("display: {}", False)],
)  # fmt: skip
def test_the_builtin_model_is_known_without_hermes(root: Path, text: str, offline: bool) -> None:
    """It has no provider that Hermes could know."""
    (root / "config.yaml").write_text(text)
    here = profile(root)
    assert here.is_offline(here.config()[1]) is offline
