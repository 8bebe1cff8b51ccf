"""An agent that may write its SOUL.md writes that one file of the operator's and no other, and nobody else writes any."""

import json

from hermes_iso.config.load import load_config
from hermes_iso.gateway import open_gateway
from tests.support.homes import make_home
from tests.support.line import Chat

CONFIG = "model: builtin/offline\nagents: {ada: {allow_soul_edit: true}, bob: {}}\n"
FILES = {"SOUL.md": "root\n", "profiles/ada/SOUL.md": "old\n", "profiles/bob/SOUL.md": "bob\n"}
TRY = r"""
import os, json
def tried(act):
    try:
        act()
        return True
    except OSError:
        return False
def put(path, text):
    with open(path, 'w') as file:
        file.write(text)
soul = '/hermes/SOUL.md'
answer = json.dumps({
    'wrote': tried(lambda: put(soul, request.persona + ' and more')),
    'removed': tried(lambda: os.unlink(soul)),
    'renamed': tried(lambda: os.rename(soul, '/hermes/memories/x')),
    'replaced': tried(lambda: (put('/hermes/memories/y', ''), os.rename('/hermes/memories/y', soul))),
    'linked': tried(lambda: os.link(soul, '/hermes/memories/z')),
    'beside': tried(lambda: put('/hermes/SOUL.md.new', 'x')),
    'config': tried(lambda: put('/hermes/config.yaml', 'x')),
})
"""
NOTHING = dict.fromkeys(("wrote", "removed", "renamed", "replaced", "linked", "beside", "config"), False)


async def test_soul_is_written_by_its_own_agent_and_only_in_place(tmp_path):
    """The next turn has what it wrote as its persona; an operator's new file takes its place, and is written from then on."""
    home = make_home(tmp_path / "home", CONFIG, FILES)
    config = load_config(home, {})
    for agent in config.agents.values():
        object.__setattr__(agent, "engine", "probe")
    soul = home / "profiles/ada/SOUL.md"

    async with open_gateway(config) as gateway:

        async def say(agent):
            outbound = await Chat(gateway).say(TRY, platform="cli", agent=agent)
            assert outbound.error is None, outbound.text
            return json.loads(outbound.text)

        for expected in ("old and more", "old and more and more"):
            assert await say("ada") == {**NOTHING, "wrote": True}
            assert soul.read_text() == expected
        (soul.parent / "new").write_text("new")
        (soul.parent / "new").replace(soul)
        assert await say("ada") == {**NOTHING, "wrote": True}
        assert soul.read_text() == "new and more"
        for other in ("bob", "main"):
            assert await say(other) == NOTHING
    assert [(home / name).read_text() for name in ("SOUL.md", "profiles/bob/SOUL.md")] == ["root\n", "bob\n"]
