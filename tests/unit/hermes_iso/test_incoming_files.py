"""Files that come with messages: named safely, beneath the agent's own directory, and not too many."""

from __future__ import annotations

import os

import pytest

from hermes_iso import incoming_files
from hermes_iso.errors import AttachmentError
from hermes_iso.incoming_files import INSIDE, safe_name, with_files
from hermes_iso.messages import Attachment, ChatRef, Inbound
from hermes_iso.profiles import Profile


@pytest.fixture
def profile(tmp_path):
    """Make an agent's profile."""
    profile = Profile("a", tmp_path / "home")
    profile.ensure_directories()
    return profile


async def take(profile, *attachments, content=b"content"):
    """Take files and return the message's text."""

    async def fetch(attachment, limit):
        if attachment.reference == "gone":
            raise AttachmentError("it is gone")
        return content

    inbound = Inbound(ChatRef("telegram", "1"), "look", "1", attachments=attachments)
    found = await with_files(inbound, profile, fetch)
    assert found.attachments == ()
    return found.text


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/shadow", "shadow"),
        ("..", "document"),
        ("", "document"),
        (".bashrc", "bashrc"),
        ("a\x00b\nc.txt", "abc.txt"),
        ("in\u202efdp.exe", "infdp.exe"),
        ("z\u200bw.txt", "zw.txt"),
        ("a;rm -rf *.sh", "a_rm -rf _.sh"),
        ("Übung ä.txt", "Übung ä.txt"),
        ("x" * 300 + ".pdf", "x" * 88 + ".pdf"),
        ("日" * 100, "日" * 33),
        ("-rf", "rf"),
    ],
)
def test_of_a_senders_name_only_harmless_characters_stay(name, safe):
    """It is no path, hides nothing, and is short."""
    assert safe_name(name, "document") == safe
    assert len(safe_name(name, "document").encode()) <= 100


async def test_a_file_lies_where_its_agent_finds_it(profile):
    """Under a new name each time, for its owner alone, and never unpacked."""
    text = await take(profile, *[Attachment("document", "id", "../bomb.zip", size=7)] * 2)
    stored = sorted(os.listdir(profile.home / "cache" / "inbox"))
    assert len(stored) == 2
    assert all(name.endswith("-bomb.zip") for name in stored)
    assert {(profile.home / "cache/inbox" / name).read_bytes() for name in stored} == {b"content"}
    assert {(profile.home / "cache/inbox" / name).stat().st_mode & 0o777 for name in stored} == {0o600}
    assert all(f"[document {INSIDE}/{name} (7 bytes)]" in text for name in stored)


@pytest.mark.parametrize("kind", ["symlink", "file"])
async def test_a_trap_in_the_inboxs_place_is_not_walked_into(profile, tmp_path, kind):
    """An agent can't have the gateway write elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    inbox = profile.home / "cache" / "inbox"
    if kind == "symlink":
        inbox.symlink_to(elsewhere)
    else:
        inbox.write_text("")
    assert "could not be stored" in await take(profile, Attachment("document", "id", "a.txt"))
    assert os.listdir(elsewhere) == []


async def test_a_file_that_can_not_be_had_is_told_of(profile, monkeypatch):
    """Too large, gone, or one too many: the message still comes, and says so."""
    text = await take(profile, Attachment("photo", "id", size=21 << 20), Attachment("photo", "gone"))
    assert text.splitlines() == [
        "look",
        "[photo photo was not taken: it is larger than the 20 MiB that are taken]",
        "[photo photo was not taken: it is gone]",
    ]
    assert "1 more files were not taken" in await take(profile, *[Attachment("photo", "gone")] * 21)
    monkeypatch.setattr(incoming_files, "INBOX_FILES", 1)
    await take(profile, Attachment("photo", "id"))
    assert "is full" in await take(profile, Attachment("photo", "id"))
