"""What a profile means is asked once, and again when a file changes, a login ends, or the answer was a failure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hermes_iso.errors import ModelError
from hermes_iso.hermes.models import HermesModels
from hermes_iso.hermes.profile import HermesProfile
from hermes_iso.hermes.resolved import OFFLINE, ResolverFaultError
from tests.unit.hermes.test_resolved import ANSWER, FAILED, MODEL


class Helper:
    """Answers what a test says, and counts. `now` is its clock."""

    def __init__(self) -> None:
        self.answer: Any = ANSWER
        self.asked: list[Mapping[str, Any]] = []
        self.now = 1000.0

    async def __call__(self, python: Any, question: Mapping[str, Any], *, logins: Any = (), resolve: Any = None) -> bytes:
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return json.dumps(self.answer).encode()


@pytest.fixture
def helper() -> Helper:
    """Return a helper."""
    return Helper()


@pytest.fixture
def models(helper: Helper) -> HermesModels:
    """Return models that ask it."""
    return HermesModels(helper, clock=lambda: helper.now)


@pytest.fixture
def profile(tmp_path: Path) -> HermesProfile:
    """Return a root home's profile."""
    (tmp_path / "config.yaml").write_text("model: {default: vendor/name, provider: openrouter}\n")
    return HermesProfile("main", tmp_path, tmp_path, Path("/nowhere/python"))


def edit(profile: HermesProfile, name: str, content: str, at: int) -> None:
    """Write a file of the home, at a time of its own."""
    (profile.home / name).write_text(content)
    os.utime(profile.home / name, (at, at))


async def test_the_same_files_are_asked_about_once(helper: Helper, models: HermesModels, profile: HermesProfile) -> None:
    """Each edit is another question."""
    first = await models.of(profile)
    assert await models.of(profile) is first
    assert len(helper.asked) == 1
    edit(profile, ".env", "OPENROUTER_API_KEY=x\n", 5)
    await models.of(profile)
    assert len(helper.asked) == 2


async def test_a_login_is_asked_about_before_it_ends(helper: Helper, models: HermesModels, profile: HermesProfile) -> None:
    """Two minutes before, so that no request goes out with a token that is over."""
    helper.answer = ANSWER | {"main": MODEL | {"expires_at": 2000.0}}
    await models.of(profile)
    helper.now = 1879.0
    await models.of(profile)
    assert len(helper.asked) == 1
    helper.now = 1881.0
    await models.of(profile)
    assert len(helper.asked) == 2


async def test_a_renewed_login_is_written_back(helper: Helper, models: HermesModels, profile: HermesProfile) -> None:
    """Before the answer counts; that it changed the file is no reason to ask again."""
    edit(profile, "auth.json", '{"providers": {"x": {"refresh_token": "old"}}}', 5)
    renewed = '{"providers": {"x": {"refresh_token": "new"}}}'
    helper.answer = ANSWER | {"auth": {"auth.json": renewed}}
    await models.of(profile)
    await models.of(profile)
    assert (profile.home / "auth.json").read_text() == renewed
    assert len(helper.asked) == 1


async def test_a_main_model_that_cant_be_used_is_one_sentence_until_the_files_change(
    helper: Helper, models: HermesModels, profile: HermesProfile
) -> None:
    """It names the agent, says what is missing, and where that goes."""
    helper.answer = ANSWER | {"main": FAILED}
    for _ in range(2):
        with pytest.raises(ModelError, match=r"agent main can't be used: No key .*; see .*/\.env\.$") as caught:
            await models.of(profile)
    assert caught.value.kind == "auth"
    assert len(helper.asked) == 1
    helper.answer = ANSWER
    edit(profile, ".env", "ZAI_API_KEY=x\n", 5)
    assert (await models.of(profile)).main.model == "vendor/name"


@pytest.mark.parametrize("broken", [ResolverFaultError("it is not there"), {"main": 1}])
async def test_a_failure_of_the_helper_is_said_and_tried_again_soon(
    helper: Helper, models: HermesModels, profile: HermesProfile, broken: object
) -> None:
    """Not at every request, each of which would start a process."""
    helper.answer = broken
    for _ in range(2):
        with pytest.raises(ModelError, match="The models of agent main can't be told"):
            await models.of(profile)
    assert len(helper.asked) == 1
    helper.answer, helper.now = ANSWER, helper.now + 6
    await models.of(profile)


async def test_the_builtin_model_needs_no_helper(helper: Helper, models: HermesModels, profile: HermesProfile) -> None:
    """Nor a package: it is the gateway's own."""
    edit(profile, "config.yaml", "model: builtin/offline\n", 5)
    assert (await models.of(profile)).main is OFFLINE
    assert helper.asked == []


async def test_keys_that_rest_go_on_resting_when_files_change(
    helper: Helper, models: HermesModels, profile: HermesProfile
) -> None:
    """What a provider said of a key has nothing to do with an edit."""
    known = await models.of(profile)
    known.pools["main"].failed("sk-first", 429, None)
    edit(profile, ".env", "A=1\n", 5)
    assert (await models.of(profile)).pools["main"].take() == ["sk-second", "sk-first"]


async def test_a_switch_is_another_question(helper: Helper, models: HermesModels, profile: HermesProfile) -> None:
    """It changes nothing of what the profile means."""
    helper.answer = ANSWER | {"main": MODEL | {"model": "other"}}
    for _ in range(2):
        assert (await models.of(profile, "other")).main.model == "other"
    assert [each["model"] for each in helper.asked] == ["", "other"]
    helper.answer = ANSWER | {"main": FAILED}
    with pytest.raises(ModelError, match="No model 'third' can be used"):
        await models.of(profile, "third")
