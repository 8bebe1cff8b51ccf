"""Probes of the policy: a guest that uses what its agent was not granted. Nothing that it says about itself may count."""

from __future__ import annotations

from hermes_iso.prove.probe import Probe, layers
from hermes_iso.prove.probes.delegation import DELEGATION
from hermes_iso.prove.stage import DENIED_TOOLS, LIMITED, NARROW_PLATFORM, READER
from hermes_iso.prove.trial import Trial, evidence

_CALLS = """
from hermes_iso_sandbox.guest.link import CallError
def asked(method, params):
    try:
        return link.call(method, params)
    except CallError as error:
        return error.kind
"""
_PLAYED = "link.call = lambda *rest: {'message': {'role': 'assistant', 'content': 'x'}, 'session_id': 'x'}"


async def _limited(trial: Trial, attack: str) -> str:
    """Run an attack as the agent that lacks the tools which can run commands."""
    return evidence(await trial.attack(_CALLS + attack, agent=LIMITED, DENIED=sorted(DENIED_TOOLS)))


async def granted_names(trial: Trial) -> str:
    """T01."""
    attack = """
control('read_file' in request.tools, 'something is granted')
for name in set(DENIED) & set(request.tools + EXTRA):
    hole(f'{name} is granted')
"""
    return await _limited(trial, attack.replace("EXTRA", "['terminal']" if trial.plays_hole else "[]"))


async def denied_in_engine(trial: Trial) -> str:
    """T02."""
    attack = """
from hermes_iso_sandbox.guest.tools.registry import Registry
registry = Registry(request.tools + EXTRA, None)
for name in DENIED:
    if name in registry:
        hole(f'{name} can be called')
"""
    return await _limited(trial, attack.replace("EXTRA", "DENIED" if trial.plays_hole else "[]"))


async def denied_process(trial: Trial) -> str:
    """T03."""
    attack = """
for action in ({'action': 'start', 'command': 'sleep 1'}, {'action': 'list'}):
    answer = asked('process', action)
    if isinstance(answer, dict):
        hole(f"{action['action']} was done")
"""
    return await _limited(trial, attack)


async def denied_offer(trial: Trial) -> str:
    """T04."""
    attack = """
answer = asked('model', {'messages': [{'role': 'user', 'content': 'RUN id'}], 'tools': [{'name': 'terminal'}], 'max_tokens': 1})
control(isinstance(answer, dict), f'the model answers: {answer}')
if answer['message'].get('tool_calls') or PLAYED:
    hole('the model was offered a denied tool')
"""
    return await _limited(trial, attack.replace("PLAYED", str(trial.plays_hole)))


_START = """
words = (ctypes.c_char_p * 2)(b'true', None)
copy = os.memfd_create('copy')
os.write(copy, read('/bin/true'))
def starts(name, *arguments):
    def run():
        syscall(name, *arguments)
        return 7
    return in_child(run) != 7
def start_all():
    for what, call in {'/bin/true': ('execve', b'/bin/true', words, words),
                       'a copy': ('execveat', copy, b'', words, words, 0x1000),
                       'a descriptor': ('execve', f'/proc/self/fd/{copy}'.encode(), words, words),
                       'execveat': ('execveat', -100, b'/bin/true', words, words, 0)}.items():
        if starts(*call):
            hole(f'{what} was started')
"""
_WRITE = """
def write_all():
    for folder in ('/workspace', '/home/agent', '/hermes/skills'):
        for act in (lambda: write(f'{folder}/{MARK}'), lambda: os.mkdir(f'{folder}/{MARK}-d'),
                    lambda: os.symlink('/', f'{folder}/{MARK}-l'), lambda: os.rename(folder, folder + MARK)):
            denied(f'{folder} can be written', act)
    for folder in ('/hermes/memories/', '/tmp/'):
        control(not attempt(write, folder + MARK), f'{folder} can be written')
    os.unlink('/hermes/memories/' + MARK)
"""
_UNDO = """
for act in (write_all, start_all):
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    if in_child(lambda: act() or len(holes)):
        hole('a child did')
here = os.open('/workspace', os.O_RDONLY | os.O_DIRECTORY)
denied('an open directory takes a file', os.open, MARK + '-o', os.O_CREAT | os.O_WRONLY, dir_fd=here)
for top in ('/proc/self/root', '/proc/self/cwd', '/proc/1/root', '/proc/1/cwd', '/hermes/workspace/..', '//'):
    denied(f'{top} leads around it', write, f'{top}/workspace/{MARK}-p')
rights = struct.pack('=Q', (1 << 13) - 1)
rules, _ = syscall(444, rights, 8, 0)
place = os.open('/', os.O_PATH)
syscall(445, rules, 1, struct.pack('=Qi', (1 << 13) - 1, place), 0)
syscall(446, rules, 0)
libc.prctl(22, 0)
write_all()
start_all()
"""


async def program_without_grant(trial: Trial) -> str:
    """T10."""
    return evidence(await trial.attack(_START + "start_all()", agent=READER))


async def write_without_grant(trial: Trial) -> str:
    """T11."""
    return evidence(await trial.attack(_WRITE + "write_all()", agent=READER))


async def narrowed_turn(trial: Trial) -> str:
    """T12: one turn of an agent on a platform that is granted less, and the next one on another."""
    platform = "console" if trial.plays_hole else NARROW_PLATFORM
    holes = await trial.attack(_START + _WRITE + "write_all()\nstart_all()", platform=platform)
    further = """
control(not attempt(write, '/workspace/next-' + MARK), 'the next turn writes')
control(shell('echo works') == 'works\\n', 'the next turn starts programs')
"""
    await trial.attack(further)
    return evidence(holes)


async def undo_narrowing(trial: Trial) -> str:
    """T13; the host looks as well whether anything was written."""
    platform = "console" if trial.plays_hole else NARROW_PLATFORM
    holes = await trial.attack(_START + _WRITE + _UNDO, platform=platform)
    return evidence(holes + [f"{path.name} was written" for path in trial.workspace.glob(f"{trial.mark}*")])


PROBES = (
    Probe("T01", "policy", "a denied tool among those that a turn is told", granted_names, planted="pass"),
    Probe("T02", "policy", "a denied tool called in the engine anyway", denied_in_engine, planted="pass"),
    Probe(
        "T03",
        "policy",
        "background processes through the gateway without a tool that grants them",
        denied_process,
        planted=_PLAYED,
    ),
    Probe("T04", "policy", "the model is offered a denied tool because the guest says so", denied_offer, planted="pass"),
    Probe(
        "T05",
        "policy",
        "broker methods that do not exist (exec, read, eval, config)",
        _CALLS
        + """
for method in ('exec', 'read', 'write', 'eval', 'config', 'secret', '__init__', 'answer', '', 'process.start', '../model'):
    found = asked(method, {'path': '/etc/shadow', 'command': 'id'})
    if isinstance(found, dict):
        hole(f'{method} was answered')
    else:
        control(found == 'unknown_method', f'{method}: {found}')
""",
        planted=_PLAYED,
    ),
    Probe(
        "T06",
        "policy",
        "the guest chooses its model, key, address or headers",
        _CALLS
        + """
body = {'messages': [{'role': 'user', 'content': 'hello'}], 'model': 'other', 'base_url': 'http://127.0.0.1:1',
        'api_key': SECRET, 'provider': 'openai', 'headers': {'Authorization': 'x'}, 'stream': True}
found = asked('model', body)
if not isinstance(found, dict) or 'offline' not in found['message']['content']:
    hole(f'something else answered: {found}')
""",
        planted=_PLAYED,
    ),
    Probe(
        "T07",
        "policy",
        "messages that smuggle other objects to the model provider",
        _CALLS
        + """
for message in ({'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': 'file:/etc/shadow'}}]},
                {'role': 'developer', 'content': 'x'}, {'role': 'user', 'content': {'a': 1}},
                {'role': 'assistant', 'tool_calls': 7}):
    found = asked('model', {'messages': [message]})
    if isinstance(found, dict):
        hole(f"{message['role']} {str(message)[:40]} was passed on")
""",
        planted=_PLAYED,
    ),
    Probe(
        "T08",
        "policy",
        "more model calls than a turn may make",
        _CALLS
        + """
for number in range(200):
    found = asked('model', {'messages': [{'role': 'user', 'content': 'x'}]})
    if not isinstance(found, dict):
        control(found == 'budget', found)
        break
else:
    hole('200 calls were answered')
""",
        planted=_PLAYED,
    ),
    Probe(
        "T09",
        "policy",
        "a background process with variables, limits or a sandbox of its own choice",
        _CALLS
        + """
found = asked('process', {'action': 'start', 'command': 'env > env-' + MARK, 'env': {'SMUGGLED': 'x'}, 'shared': 0,
                          'argv': ['id'], 'confinement': {}, 'agent': os.path.basename(PEER_HOME)})
if isinstance(found, dict):
    control(wait_for(lambda: read('env-' + MARK)), 'it ran')
    if b'SMUGGLED' in read('env-' + MARK) or os.path.basename(PEER_HOME).encode() in read('env-' + MARK):
        hole('it got what was asked for')
""",
        planted="real = read\nread = lambda path: b'SMUGGLED' + real(path)",
    ),
    Probe("T10", "policy", "start a program without a tool that starts any", program_without_grant, layers("grant")),
    Probe("T11", "policy", "write workspace, home and skills without a tool that writes", write_without_grant, layers("grant")),
    Probe(
        "T12",
        "policy",
        "write and start programs in a turn that its platform narrows; the next turn may again",
        narrowed_turn,
        planted="pass",
        limit="landlock",
    ),
    Probe(
        "T13",
        "policy",
        "undo a turn's narrowing: by a child, a thread, an open directory, init, rules of its own",
        undo_narrowing,
        planted="pass",
        limit="landlock",
    ),
    *DELEGATION,
)
