"""A config.yaml that a program changes: whole or not at all, with what the file was besides its text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hermes_iso.config_file import open_config
from hermes_iso.errors import UsageError


def rewrite(home: Path, text: str) -> None:
    """Put a text in place of the home's config."""
    with open_config(home) as file:
        file.replace(text)


def test_mode_owner_and_byte_order_mark_stay(tmp_path):
    """Only the text changes."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    with open_config(tmp_path) as file:
        assert file.text == "a: 1\r\n"
        file.replace("a: 2\r\n")
    after = path.stat()
    assert path.read_bytes() == b"\xef\xbb\xbfa: 2\r\n"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_symlink_stays_and_its_target_is_written(tmp_path):
    """A config that lives elsewhere goes on living there."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (elsewhere / "real.yaml").write_text("a: 1\n")
    (home / "config.yaml").symlink_to("../elsewhere/real.yaml")
    rewrite(home, "a: 2\n")
    assert os.readlink(home / "config.yaml") == "../elsewhere/real.yaml"
    assert (elsewhere / "real.yaml").read_text() == "a: 2\n"
    assert os.listdir(elsewhere) == ["real.yaml"]


def test_first_file_is_private(tmp_path):
    """A home without a config gets one that its owner alone can read."""
    rewrite(tmp_path, "a: 1\n")
    assert (tmp_path / "config.yaml").stat().st_mode & 0o777 == 0o600


def test_edit_of_somebody_else_is_never_lost(tmp_path):
    """What was changed between reading and writing stays, and nothing is left beside it."""
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\n")
    with open_config(tmp_path) as file:
        path.write_text("a: theirs\n")
        with pytest.raises(UsageError, match="changed by somebody else"):
            file.replace("a: 2\n")
    assert path.read_text() == "a: theirs\n"
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_second_command_is_refused_while_the_first_is_at_it(tmp_path):
    """Two commands never write over each other."""
    second = open_config(tmp_path, patience=0)
    with open_config(tmp_path), pytest.raises(UsageError, match="Another command is changing"):
        second.__enter__()
    with open_config(tmp_path) as file:
        assert file.content is None


def test_file_that_cannot_be_text_is_refused(tmp_path):
    """Bytes that are not UTF-8, a directory and a missing home are one sentence each."""
    (tmp_path / "config.yaml").write_bytes(b"a: \xff\n")
    with open_config(tmp_path) as file, pytest.raises(UsageError, match="not UTF-8"):
        assert file.text
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(UsageError, match="is a directory"), open_config(tmp_path):
        pass
    with pytest.raises(UsageError, match="can't be used as a home"), open_config(tmp_path / "none"):
        pass
