"""The demo: a throw-away home, and what to try in it."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso.config.template import write_home

PREFIX = "hermes-iso-demo-"
"""How the directory's name starts; `make key` finds it by that."""


_JUST_MADE = 3600.0
"""Seconds for which a home without a lock file may belong to a demo that is still starting."""


@contextmanager
def demo_config() -> Iterator[Config]:
    """Make a home with agents main and coder in a temporary directory; it is removed on leaving.

    The environment is not looked at: the demo must not pick up a key, a port or a model of another home. Homes that
    demos left behind because they were killed are removed first.
    """
    remove_stale_homes(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        write_home(home, ["coder"], demo=True)
        yield load_config(home, {})


def remove_stale_homes(directory: Path) -> None:
    """Remove this user's demo homes in `directory` that no demo runs on; no symlink is followed, and no error matters."""
    with os.scandir(directory) as entries:
        homes = [entry for entry in entries if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False)]
    for entry in homes:
        try:
            if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                _remove_unless_held(Path(entry.path))
        except OSError:
            continue


def _remove_unless_held(home: Path) -> None:
    """Remove a home whose lock can be had, or that has none and is not new. Raises OSError."""
    try:
        # Anybody may make names in the temporary directory, but only this user within a directory of this user.
        lock = os.open(home / "hermes-iso" / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        if time.time() - home.lstat().st_mtime > _JUST_MADE:
            shutil.rmtree(home, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(home, ignore_errors=True)
    finally:
        os.close(lock)


def own_command() -> str:
    """Return how this program can be called again from a shell in another directory."""
    if os.path.basename(sys.argv[0]) == "hermes-iso":
        return shlex.quote(os.path.abspath(sys.argv[0]))
    return f"{shlex.quote(sys.executable)} -m hermes_iso"


def what_to_try(config: Config, url: str) -> str:
    """Return commands for another terminal, with the real address and key of a running demo."""
    assert config.api is not None
    command = own_command()
    home = shlex.quote(str(config.home))
    return f"""
Try in another terminal (here, Ctrl-C stops the demo and removes it):

export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={config.api.keys[0].key}

curl -sw '\\n' $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "coder", "messages": [{{"role": "user", "content": "RUN pwd; id -u; ls -a /hermes"}}]}}'

{sys.executable} -c 'from openai import OpenAI
answer = OpenAI().chat.completions.create(model="main", messages=[{{"role": "user", "content": "hello"}}])
print(answer.choices[0].message.content)'

{command} chat --home {home} --agent coder -q 'RUN cat /proc/1/comm; hostname'
{command} chat --home {home} --agent main
{command} exec --home {home} --agent coder -- ps aux
"""
