"""Probes of the policy: a guest that uses what its agent was not granted. Nothing that it says about itself may count."""

from __future__ import annotations

from hermes_iso.prove.probe import Probe
from hermes_iso.prove.stage import DENIED_TOOLS, LIMITED
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
)
