"""Probes between tenants: what one agent, or one user of an agent, can reach of another's."""

from __future__ import annotations

import random
from dataclasses import replace

from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.prove.host import meeting
from hermes_iso.prove.probe import BrokenProbeError, Probe, layers
from hermes_iso.prove.trial import Trial, evidence

_ONE_SANDBOX = layers("tenant", "session")
_ONE_SESSION = layers("session")
_PLANT = """
code = '''
import ctypes, socket, sys, time
one, two = socket.socket(), socket.socket(socket.AF_UNIX)
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
one.bind(('127.0.0.1', %d))
two.bind(chr(0) + %r)
one.listen()
two.listen()
for place in ('/tmp/', '/dev/shm/'):
    open(place + %r, 'w').close()
assert ctypes.CDLL(None).shmget(%d, 4096, 0o1666) >= 0
print('ready', flush=True)
time.sleep(60)
''' % (PORT, MARK, MARK, PORT)
script = f'/workspace/{MARK}.py'
write(script, code)
name = background(f'exec {sys.executable} -I {script}')
control(wait_for(lambda: 'ready' in call('poll', session_id=name)['output']), 'the peer has planted')
os.unlink(script)
"""
_CLEAR = """
for each in call('list')['processes']:
    if MARK in each['command']:
        call('kill', session_id=each['session_id'])
found, _ = syscall('shmget', PORT, 1, 0)
if found >= 0:
    syscall('shmctl', found, 0, None)
for place in ('/tmp/', '/dev/shm/'):
    attempt(os.unlink, place + MARK)
"""
_CONNECT = """
with socket.socket(FAMILY) as client:
    if attempt(client.connect, ADDRESS) == 0:
        hole('it answered')
"""
_ABSTRACT = _CONNECT.replace("FAMILY", "socket.AF_UNIX").replace("ADDRESS", "chr(0) + MARK")
_TCP = _CONNECT.replace("FAMILY", "socket.AF_INET").replace("ADDRESS", "('127.0.0.1', PORT)")
_FILE = "if os.path.lexists(PLACE + MARK): hole('the file is there')"
_TMP = "PLACE = '/tmp/'\n" + _FILE
_SHM = "PLACE = '/dev/shm/'\n" + _FILE
_SEGMENT = "if syscall('shmget', PORT, 1, 0)[0] >= 0: hole('the segment is there')"
_LIST = "for each in call('list')['processes']:\n    if MARK in each['command']: hole('its process is listed')"


async def _look(trial: Trial, look: str, planter: str) -> str:
    """Let a background process of `planter` hold everything that can be held, look for one thing of it, and clear up."""
    port = random.SystemRandom().randrange(20_000, 60_000)
    await trial.attack(_PLANT, agent=planter, chat="planter", PORT=port)
    try:
        return evidence(await trial.attack(look, chat="looker", PORT=port))
    finally:
        await trial.attack(_CLEAR, agent=planter, chat="planter", PORT=port)


def _peers(id: str, what: str, look: str, without: frozenset[str] = _ONE_SANDBOX) -> Probe:  # noqa: A002  # a probe's id
    """Return the probe that looks for something of another agent's background process."""

    async def attack(trial: Trial) -> str:
        return await _look(trial, look, trial.peer)

    return Probe(id, "tenant", f"peer sandbox's {what}", attack, without, alone="ipc" in without)


def _users(id: str, what: str, look: str) -> Probe:  # noqa: A002  # a probe's id
    """Return the probe that looks for something of another user's background process under the same agent."""

    async def attack(trial: Trial) -> str:
        return await _look(trial, look, trial.me)

    return Probe(id, "tenant", f"another user's {what}, under the same agent", attack, _ONE_SESSION)


async def kill_by_id(trial: Trial) -> str:
    """X09: read, write to and end a peer's background process by its id."""
    start = "write('id-' + MARK, background('sleep 60; : ' + MARK))"
    await trial.attack(start, agent=trial.peer, chat="planter")
    name = (trial.stage.workspace(trial.peer) / f"id-{trial.mark}").read_text(encoding="utf-8")
    attack = """
from hermes_iso_sandbox.guest.link import CallError
for action in ('poll', 'log', 'write', 'kill'):
    try:
        call(action, session_id=NAME, data='x')
        hole(f'{action} worked')
    except CallError as error:
        control(error.kind == 'not_found', f'{action}: {error.kind}')
"""
    try:
        return evidence(await trial.attack(attack, NAME=name))
    finally:
        await trial.attack(_CLEAR, agent=trial.peer, chat="planter", PORT=1)


async def values_of_peer(trial: Trial) -> str:
    """X06: the values of a peer's .env, and its memory files."""
    await trial.attack("write('/hermes/memories/MEMORY.md', 'of the peer: ' + MARK)", agent=trial.peer)
    look = """
control(read('/hermes/.env'), 'the own file is there')
value = f'own-value-of-{os.path.basename(PEER_HOME)}'
for where, data in (('.env', read('/hermes/.env')), ('the environment', shell('env')),
                    ('memory', read('/hermes/memories/MEMORY.md'))):
    seek(value, data, where)
    seek('of the peer: ' + MARK, data, where)
"""
    return evidence(await trial.attack(look))


async def namespaces_of_peer(trial: Trial) -> str:
    """X10: the namespaces of two agents' turns at a time."""
    names = ("mnt", "pid", "net", "ipc", "user", "uts", "cgroup")
    tell = f"meet(' '.join(os.readlink(f'/proc/self/ns/{{name}}') for name in {names!r}))"
    look = """
for link in LINKS.split():
    name = link.partition(':')[0]
    if os.readlink(f'/proc/self/ns/{name}') == link:
        hole(f'{link} is shared')
"""
    async with meeting(trial, tell, agent=trial.peer) as links:
        return evidence(await trial.attack(look, LINKS=links))


async def history_of_user(trial: Trial) -> str:
    """X15: what one user said to an agent, in the history that the gateway gives the turns of another."""
    return await _history(trial, ChatRef("console", f"{trial.mark}-1"), ChatRef("console", f"{trial.mark}-2"))


async def history_by_key(trial: Trial) -> str:
    """X16: two chats whose session keys read the same, because an id holds a colon."""
    one = ChatRef("telegram", trial.mark, "group", thread_id="7")
    return await _history(trial, one, ChatRef("telegram", f"{trial.mark}:7", "group"))


async def _history(trial: Trial, one: ChatRef, two: ChatRef) -> str:
    """Say something in one chat and return whether the history of the other holds it."""
    answers = []
    for chat in (one, one, one if trial.plays_hole else two):
        inbound = Inbound(chat, f"answer = repr(request.history)  # {trial.mark}", platform_id=trial.mark, agent=trial.me)
        answers.append((await trial.send(replace(inbound, user_id="u"))).text)
    if trial.mark not in answers[1]:
        raise BrokenProbeError("the gateway keeps no history")
    return "its history holds it" if trial.mark in answers[2] else ""


async def words_of_user(trial: Trial) -> str:
    """X17: what one user said to an agent, asked for in the turn of another: by words, with forged names, and by its id."""
    one, two = (ChatRef("console", f"{trial.mark}-{number}") for number in ("1", "2"))
    said = await trial.send(Inbound(one, f"answer = ''  # {trial.mark}", platform_id=trial.mark, agent=trial.me))
    ask = f"""
from hermes_iso_sandbox.guest.link import CallError
chat = {one.chat_id!r}
forged = dict(agent={trial.me!r}, profile={trial.me!r}, chat=chat, chat_id=chat, user_id='', namespace='')
found = []
words = {{'query': {trial.mark!r}}}
for params in (words, {{**words, **forged}}, {{'session_id': {said.session_id!r}, **forged}}):
    try:
        found.append(repr(link.call('session_search', params)))
    except CallError as error:
        found.append(error.kind)
answer = chr(10).join(found)
"""
    control, *answers = [
        (await trial.send(Inbound(chat, ask, platform_id=trial.mark, agent=trial.me, history=()))).text
        for chat in (one, one if trial.plays_hole else two)
    ]
    if control.count(said.session_id) < 3:
        raise BrokenProbeError(f"the user's own words were not found: {control[:200]}")
    return "the other's session was shown" if said.session_id in answers[0] else ""


PROBES = (
    _peers("X01", "abstract socket", _ABSTRACT),
    _peers("X02", "TCP server on loopback", _TCP),
    _peers("X03", "/tmp file", _TMP),
    _peers("X04", "/dev/shm file", _SHM),
    _peers("X05", "SysV segment", _SEGMENT, layers("ipc")),
    Probe("X06", "tenant", "values of a peer's .env, and its memory", values_of_peer, layers("tenant")),
    Probe(
        "X07",
        "tenant",
        "the peer's home by its host path",
        """
for path in (PEER_HOME, PEER_HOME + '/workspace', PEER_HOME + '/memories', '/hermes/profiles', '/hermes/../' + PEER_HOME):
    if os.path.lexists(path) and attempt(os.listdir, path) == 0:
        hole(f'listed {path}')
""",
        layers("view"),
    ),
    _peers("X08", "background processes in the list", _LIST),
    Probe("X09", "tenant", "peer's background process by its id (poll, write, kill)", kill_by_id, _ONE_SANDBOX),
    Probe("X10", "tenant", "a namespace in common with a peer's turn", namespaces_of_peer, layers("tenant")),
    _users("X11", "/tmp file", _TMP),
    _users("X12", "TCP server on loopback", _TCP),
    _users("X13", "abstract socket", _ABSTRACT),
    _users("X14", "background processes in the list", _LIST),
    Probe("X15", "tenant", "another user's messages in the history, under the same agent", history_of_user, planted="pass"),
    Probe("X16", "tenant", "the history of a chat whose session key reads the same", history_by_key, planted="pass"),
    Probe("X17", "tenant", "another user's words through the search in sessions", words_of_user, planted="pass"),
)
