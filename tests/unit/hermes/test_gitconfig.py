"""What of a .gitconfig is offered to agents, and that it goes where it should."""

from __future__ import annotations

import hashlib

import pytest

from hermes_iso.hermes import gitconfig

WHOLE = """\
[user]
	name = Me  # my name
	email = me@example.com
	signingkey = ABCDEF
[credential]
	helper = store
[url "https://token-canary@github.com/"]
	insteadOf = https://github.com/
[http "https://x"]
	extraheader = Authorization: canary
[include]
	path = ~/.private
[core]
	autocrlf = input
	sshCommand = ssh -i canary
	hooksPath = /hooks
[alias]
	st = status
	run = "!sh -c canary"
[pull]
	rebase = true
[push]
	x = https://u:canary@host/
"""


def test_only_harmless_lines_are_offered(tmp_path):
    """Names and looks; no key, helper, header, address with a password, program or other file."""
    (tmp_path / ".gitconfig").write_text(WHOLE)
    assert gitconfig.offered(tmp_path).decode() == (
        "[user]\n\tname = Me  # my name\n\temail = me@example.com\n[core]\n\tautocrlf = input\n"
        "[alias]\n\tst = status\n[pull]\n\trebase = true\n"
    )


def test_nothing_is_offered_where_there_is_nothing(tmp_path):
    """No file, or none of its lines."""
    assert gitconfig.offered(tmp_path) == b""
    (tmp_path / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    assert gitconfig.offered(tmp_path) == b""


def test_it_is_put_once_and_taken_back_if_unchanged(tmp_path):
    """HOME is made for it where it is missing, and goes with it."""
    assert gitconfig.is_wanted(tmp_path)
    gitconfig.put(tmp_path, b"one")
    gitconfig.put(tmp_path, b"two")
    assert (tmp_path / "home/.gitconfig").read_bytes() == b"one"
    assert not gitconfig.is_wanted(tmp_path)
    assert not gitconfig.take_back(tmp_path, hashlib.sha256(b"two").hexdigest(), made=True)
    assert gitconfig.take_back(tmp_path, hashlib.sha256(b"one").hexdigest(), made=True)
    assert not (tmp_path / "home").exists()


def test_a_home_that_leads_elsewhere_gets_nothing(tmp_path):
    """No symlink is followed."""
    other = tmp_path / "other"
    other.mkdir()
    home = tmp_path / "profile"
    home.mkdir()
    (home / "home").symlink_to(other)
    assert not gitconfig.is_wanted(home)
    with pytest.raises(OSError, match="home"):
        gitconfig.put(home, b"x")
    assert list(other.iterdir()) == []
