"""The operator edits `.env` and `config.yaml` under a running turn; the real text is never inside, nor changed from inside.

Editors and every atomic writer replace a file by rename. A cover mounted over a name in a writable directory is lost at that
moment, in every namespace; so no directory with such a file is bound at all, and this is the test of it.
"""

import os
from pathlib import Path

import pytest
import trio

from tests.support.arena import Arena, open_arena

RENAMES = 200
FILES = (".env", "config.yaml")
POLL = """
import hashlib, os, subprocess, time
from hermes_iso_sandbox import wire
home = os.environ['HERMES_HOME']
seen = {}
def look():
    for name in ('.env', 'config.yaml'):
        path = os.path.join(home, name)
        try:
            text = open(path, errors='replace').read()
            if 'OPERATOR-ONLY' in text:
                seen['read ' + name] = True
        except OSError:
            pass
        for change in (lambda: open(path, 'a').write('CHANGED-INSIDE'), lambda: os.unlink(path + '.none')):
            try:
                change()
            except OSError:
                pass
"""
TURN = (
    POLL
    + """
script = '''
while [ ! -e stop ]; do
    cat $HERMES_HOME/.env $HERMES_HOME/config.yaml 2>/dev/null | grep -q OPERATOR-ONLY && echo read > seen-by-background
    echo CHANGED-INSIDE 2>/dev/null >> $HERMES_HOME/.env
done
'''
link.call('process', {'action': 'start', 'command': script, 'cwd': os.getcwd()})
open('polling', 'w').close()
while not os.path.exists('stop'):
    look()
if os.path.exists('seen-by-background'):
    seen['background'] = True
answer = ','.join(sorted(seen)) or 'nothing'
"""
)


def real_text(number: int) -> str:
    """Return what the operator's file says at its n-th edit: no other program has a reason to write this."""
    return f"# OPERATOR-ONLY edit {number}\n"


async def rename_under_a_turn(arena: Arena) -> str:
    """Replace both files of agent a by rename while a turn polls them; return what the turn saw."""
    profile = arena.home / "profiles" / "a"
    workspace = profile / "workspace"
    saw: list[str] = []

    async def turn() -> None:
        saw.append(await arena.ask("a", TURN))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        with trio.fail_after(30):
            while not (workspace / "polling").exists():
                await trio.sleep(0.01)
        for number in range(RENAMES):
            for name in FILES:
                fresh = profile / f"{name}.new"
                fresh.write_text(real_text(number))
                os.rename(fresh, profile / name)
            await trio.sleep(0.002)
        (workspace / "stop").touch()
    return saw[0]


@pytest.mark.parametrize("isolated", [False, True], ids=["without isolation", "isolated"])
async def test_rename_under_a_live_turn_never_uncovers_the_real_file(tmp_path: Path, isolated: bool) -> None:
    """The probe sees and spoils the real text with isolation off; through the real pool it does neither."""
    async with open_arena(tmp_path / "home", isolated=isolated, engine="probe") as arena:
        saw = await rename_under_a_turn(arena)
    texts = [(tmp_path / "home/profiles/a" / name).read_text() for name in FILES]
    if isolated:
        assert saw == "nothing"
        assert texts == [real_text(RENAMES - 1)] * 2
    else:
        assert "read .env" in saw
        assert any("CHANGED-INSIDE" in text for text in texts)
