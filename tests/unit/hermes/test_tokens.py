"""Token files: locked against Hermes' own command line, written at once, and only where a login got new tokens."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
import trio

from hermes_iso.hermes import tokens
from hermes_iso.hermes.resolved import ResolverFaultError
from hermes_iso.hermes.tokens import locked, login_hosts, write_back


def store(token: str, **more: str) -> str:
    """Return a token file's contents."""
    return json.dumps({"providers": {"x": {"refresh_token": token, **more}}})


def test_new_tokens_are_written_under_the_files_own_mode(tmp_path: Path) -> None:
    """Through a symlink too, which stays one; nothing else is left in the directory."""
    real, link = tmp_path / "real.json", tmp_path / "auth.json"
    real.write_text(store("old"))
    real.chmod(0o640)
    link.symlink_to(real)
    assert write_back({"auth.json": link}, {"auth.json": store("old")}, {"auth.json": store("new")}) == (link,)
    assert json.loads(real.read_text()) == json.loads(store("new"))
    assert real.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["auth.json", "real.json"]


@pytest.mark.parametrize(
    "after",
    [store("old", updated_at="now"), store(""), "{}", "", "no json", "[" * 50_000],
    ids=["times", "cleared", "nothing", "gone", "text", "deep"],
)
def test_a_file_without_new_tokens_stays_as_it_is(tmp_path: Path, after: str) -> None:
    """Reading a profile changes nothing of it, and no token is taken away."""
    path = tmp_path / "auth.json"
    path.write_text(store("old"))
    before = path.stat()
    assert write_back({"auth.json": path}, {"auth.json": store("old")}, {"auth.json": after}) == ()
    assert path.stat() == before


def test_no_file_is_made_where_there_was_none(tmp_path: Path) -> None:
    """What a helper makes up stays its own."""
    assert write_back({"auth.json": tmp_path / "auth.json"}, {}, {"auth.json": store("new")}) == ()
    assert os.listdir(tmp_path) == []


async def test_a_held_lock_is_waited_for_and_then_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Hermes' own name of it, which its command line takes as well."""
    monkeypatch.setattr(tokens, "LOCK_TIMEOUT", 0.2)
    path = tmp_path / "auth.json"
    path.write_text("{}")
    async with locked({"auth.json": path}):
        with open(tmp_path / "auth.lock") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(ResolverFaultError, match=r"auth\.lock"):
            async with locked({"auth.json": path}):
                raise AssertionError("two hold it")
    async with locked({"auth.json": path}):
        await trio.lowlevel.checkpoint()


async def test_a_profile_without_token_files_gets_no_lock_file(tmp_path: Path) -> None:
    """Nothing is left in a home that has no logins."""
    async with locked({"auth.json": tmp_path / "auth.json"}):
        assert os.listdir(tmp_path) == []


def test_login_services_are_found_where_hermes_keeps_them() -> None:
    """In the state of a provider and in pools alike."""
    text = json.dumps(
        {"providers": {"x": {"portal_base_url": "https://a.example"}}, "credential_pool": {"y": [{"portal_base_url": 3}]}}
    )
    assert login_hosts({"auth.json": text, "other": "no json"}) == ("https://a.example",)
