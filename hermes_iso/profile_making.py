"""Make an agent's home in Hermes' layout, empty or with what Hermes' own `profile create --clone` takes along."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from hermes_iso.config.cloning import as_of_profile
from hermes_iso.config.template import PROFILE_ENV, soul_text
from hermes_iso.copying import copy_file, copy_tree
from hermes_iso.errors import UsageError
from hermes_iso.profile_files import UnreadableError, read_bounded
from hermes_iso.profiles import Profile

LAYOUT = ("cron", "home", "logs", "memories", "plans", "sessions", "skills", "skins", "workspace")
"""The directories of a new profile; Hermes' own."""
MEMORIES = ("MEMORY.md", "USER.md")


def make_profile(where: Path, name: str, source: Profile | None, *, of_root: bool = False) -> None:
    """Make the home of a new agent at `where`, as a whole or not at all; it belongs to whom the directory above belongs.

    source: whose config.yaml, .env, SOUL.md, skills and memories it begins with; its sessions, workspace and home stay its
    own. of_root: the source is the root home, whose files say things about the gateway that are left out.
    Raises UsageError, also when there is something at `where`.
    """
    try:
        where.parent.mkdir(mode=0o700, exist_ok=True)
        beside = where.with_name(f".new-{secrets.token_hex(6)}")
        beside.mkdir(mode=0o700)
        try:
            for directory in LAYOUT:
                (beside / directory).mkdir(mode=0o700)
            files = {"SOUL.md": soul_text(name).encode(), ".env": PROFILE_ENV.encode()}
            if source is not None:
                files |= _operators_files(source.home, of_root)
                _copy_agents_files(source, beside)
            for file, content in files.items():
                _write(beside / file, content)
            _give(beside, where.parent)
            if os.path.lexists(where):
                raise UsageError(f"{where} is there already: nothing was changed.")
            beside.rename(where)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        raise UsageError(f"{where} can't be made ({error.strerror}: {error.filename}): nothing was changed.") from error


def _operators_files(home: Path, of_root: bool) -> dict[str, bytes]:
    """Return the files of a source's operator that a new profile begins with."""
    found: dict[str, bytes] = {}
    for name in ("config.yaml", ".env", "SOUL.md"):
        try:
            content = read_bounded(home / name)
        except UnreadableError as error:
            raise UsageError(f"{home / name} {error}.") from error
        if content is not None:
            found[name] = content
    if of_root:
        found |= as_of_profile(found, home)
    return found


def _copy_agents_files(source: Profile, target: Path) -> None:
    """Copy skills and memories, which the source's agent can write."""
    skills = Path(source.directories.get("skills", source.home / "skills"))
    if skills.is_dir():
        copy_tree(skills, target / "skills")
    memories = Path(source.directories.get("memories", source.home / "memories"))
    for name in MEMORIES:
        copy_file(memories / name, target / "memories" / name)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _give(tree: Path, like: Path) -> None:
    """Give what root made to whom a directory belongs: the gateway may run as somebody else."""
    owner = like.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for place, directories, files, descriptor in os.fwalk(tree, follow_symlinks=False):
        del place
        for name in (".", *directories, *files):
            os.chown(name, owner.st_uid, owner.st_gid, dir_fd=descriptor, follow_symlinks=False)
