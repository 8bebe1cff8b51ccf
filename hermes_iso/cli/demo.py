"""The demo: a throw-away home, and what to try in it."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso.config.template import write_home

PREFIX = "hermes-iso-demo-"
"""How the directory's name starts; `make key` finds it by that."""


@contextmanager
def demo_config() -> Iterator[Config]:
    """Make a home with agents main and coder in a temporary directory; it is removed on leaving.

    The environment is not looked at: the demo must not pick up a key, a port or a model of another home.
    """
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        write_home(home, ["coder"], demo=True)
        yield load_config(home, {})


def what_to_try(config: Config, url: str) -> str:
    """Return commands for another terminal, with the real address and key of a running demo."""
    assert config.api is not None
    command = sys.argv[0] if os.path.basename(sys.argv[0]) == "hermes-iso" else f"{sys.executable} -m hermes_iso"
    home = shlex.quote(str(config.home))
    return f"""
Try in another terminal (here, Ctrl-C stops the demo and removes it):

export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={config.api.keys[0].key}

curl -s $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" -H 'Content-Type: application/json' \\
  -d '{{"model": "coder", "messages": [{{"role": "user", "content": "RUN pwd; id -u; ls -a /hermes"}}]}}'

{sys.executable} -c 'from openai import OpenAI
answer = OpenAI().chat.completions.create(model="main", messages=[{{"role": "user", "content": "hello"}}])
print(answer.choices[0].message.content)'

{command} chat --home {home} --agent coder -q 'RUN cat /proc/1/comm; hostname'
{command} chat --home {home} --agent main
{command} exec --home {home} --agent coder -- ps aux
"""
