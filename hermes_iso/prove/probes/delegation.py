"""Probes of delegation: a guest that wants more of its subagents than it may have itself. Part of the category policy."""

from __future__ import annotations

import trio

from hermes_iso.prove.probe import BrokenProbeError, Probe
from hermes_iso.prove.stage import DENIED_TOOLS, LIMITED, READER
from hermes_iso.prove.trial import Trial, evidence

_CALLS = """
from hermes_iso_sandbox.guest.link import CallError
def asked(method, params):
    try:
        return link.call(method, params)
    except CallError as error:
        return error.kind
def summaries(**params):
    found = asked('delegate', params)
    control(isinstance(found, dict), f'delegating: {found}')
    return [each['summary'] for each in found['results']]
"""
_FURTHER = """
from hermes_iso_sandbox.guest.link import CallError
try:
    link.call('delegate', {'goal': 'answer = 1'})
    answer = 'delegated'
except CallError as error:
    answer = error.kind
"""
_SPENDING = """
from hermes_iso_sandbox.guest.link import CallError
answer = 0
try:
    while answer < 200:
        link.call('model', {'messages': [{'role': 'user', 'content': 'x'}]})
        answer += 1
except CallError:
    pass
"""
CHILDREN, CALLS = 5, 94
"""What one turn may have by default: subagents in all, and model calls, those of its subagents included."""
END_SECONDS = 1.0
"""Seconds that a subagent sleeps before it does what only one can do that outlives its parent."""


async def ungranted_methods(trial: Trial) -> str:
    """T14."""
    attack = """
for method, params in {'delegate': {'goal': 'answer = 1'}, 'process': {'action': 'list'}, 'session_search': {'query': 'x'},
                       'send_message': {'agent': os.path.basename(PEER_HOME), 'to': os.path.basename(PEER_HOME),
                                        'message': 'x', 'text': 'x'}}.items():
    found = asked(method, params)
    if isinstance(found, dict):
        hole(f'{method} was done')
    else:
        control(found in ('not_granted', 'unknown_method'), f'{method}: {found}')
"""
    return evidence(await trial.attack(_CALLS + attack, agent=READER))


async def wider_grant(trial: Trial) -> str:
    """T16."""
    attack = """
wanted = ['terminal', 'file', 'code_execution', 'memory', 'clarify', 'cronjob', 'send_message', 'delegation', 'todo']
[granted] = summaries(goal="answer = ' '.join(request.tools)", toolsets=wanted)
control('todo' in granted, f'it is granted {granted}')
for name in {*DENIED, 'memory', 'clarify', 'cronjob', 'send_message', 'delegate_task'} & set(granted.split()):
    hole(f'a subagent is granted {name}')
"""
    return evidence(await trial.attack(_CALLS + attack, agent=LIMITED, DENIED=sorted(DENIED_TOOLS)))


async def too_many(trial: Trial) -> str:
    """T17; the host counts what they left behind."""
    attack = """
begin = f"open('began-{MARK}-' + request.turn_id, 'w').close()"
for number in range(300):
    asked('delegate', {'goal': begin} if number % 2 else {'tasks': [{'goal': begin}] * 4})
"""
    holes = await trial.attack(_CALLS + attack)
    begun = len(list(trial.workspace.glob(f"began-{trial.mark}-*")))
    if not begun:
        raise BrokenProbeError("no subagent was begun")
    return evidence([*holes, *([f"{begun} subagents were begun"] if begun > CHILDREN else [])])


async def outlives_parent(trial: Trial) -> str:
    """T19; the host looks after the parent's answer."""
    attack = """
link.send(wire.BrokerCall(999, 'delegate', {'goal': f'''
import time
open('began-{MARK}', 'w').close()
time.sleep({SECONDS})
open('late-{MARK}', 'w').close()
'''}))
control(wait_for(lambda: os.path.exists('began-' + MARK)), 'it began')
if PLAYED:
    open('late-' + MARK, 'w').close()
"""
    holes = await trial.attack(_CALLS + attack, SECONDS=END_SECONDS, PLAYED=trial.plays_hole)
    await trio.sleep(2 * END_SECONDS)
    return evidence(holes + ["a subagent went on" for _ in trial.workspace.glob(f"late-{trial.mark}")])


def _played(summary: str) -> str:
    """Return guest code that plays a host whose subagents answer with `summary`."""
    return f"link.call = lambda *rest: {{'message': {{}}, 'session_id': 'x', 'results': [{{'summary': {summary!r}}}]}}"


DELEGATION = (
    Probe("T14", "policy", "broker methods of tools that are not granted", ungranted_methods, planted=_played("")),
    Probe(
        "T15",
        "policy",
        "a subagent that delegates further than it may",
        f"{_CALLS}\nfound = summaries(goal={_FURTHER!r})\nif found != ['not_granted']:\n    hole(f'it was told {{found}}')\n",
        planted=_played("delegated"),
    ),
    Probe(
        "T16",
        "policy",
        "a subagent with tools that its parent lacks or none may have",
        wider_grant,
        planted=_played("todo terminal"),
    ),
    Probe(
        "T17",
        "policy",
        "more subagents than a turn may have",
        too_many,
        planted="link.call = lambda *rest: [open(f'began-{MARK}-{number}', 'w').close() for number in range(9)]",
    ),
    Probe(
        "T18",
        "policy",
        "more model calls by way of subagents",
        f"{_CALLS}\ncode = {_SPENDING!r}\nspent = sum(map(int, summaries(tasks=[{{'goal': code}}] * 3)))\n"
        "while spent < 300 and isinstance(asked('model', {'messages': [{'role': 'user', 'content': 'x'}]}), dict):\n"
        f"    spent += 1\ncontrol(spent >= {CALLS - 4}, f'{{spent}} calls were answered')\n"
        f"if spent > {CALLS}:\n    hole(f'{{spent}} calls were answered')\n",
        planted=_played("100"),
    ),
    Probe("T19", "policy", "a subagent that outlives its parent", outlives_parent, planted="pass"),
)
