"""How probes of the door talk to it: a client that sends what it is told, and the judgement by what the far host heard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hermes_iso.prove.probe import BrokenProbeError
from hermes_iso.prove.stage import ALLOWED
from hermes_iso.prove.trial import Trial, evidence

CLIENT = r"""
DOOR = ('127.0.0.1', int(os.environ.get('http_proxy', ':3128').rpartition(':')[2]))


def answer(client):
    '''Return the status of the next answer on a connection, 0 when there is none.'''
    got = b''
    try:
        while b'\r\n\r\n' not in got and (more := client.recv(65536)):
            got += more
    except OSError:
        pass
    words = got.split(b' ', 2)
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0


def ask(request, where=None):
    '''Return the status that the door answers to a request, or somebody else who listens there.'''
    try:
        with socket.create_connection(where or DOOR, 10) as client:
            client.sendall(request.encode('latin-1'))
            return answer(client)
    except OSError:
        return 0


def get(target, path='hole', where=None):
    '''Ask for http://TARGET/MARK-PATH.'''
    host = target.rpartition('@')[2]
    return ask(f'GET http://{target}/{MARK}-{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n', where)


def tunnel(target):
    '''Open a tunnel and ask for /MARK-hole in it; return the status of the tunnel.'''
    try:
        with socket.create_connection(DOOR, 10) as client:
            client.sendall(f'CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n'.encode())
            status = answer(client)
            if status == 200:
                client.sendall(f'GET /{MARK}-hole HTTP/1.1\r\nHost: {target}\r\n\r\n'.encode())
                answer(client)
            return status
    except OSError:
        return 0


def scan(besides=()):
    '''Return the ports of the loopback where somebody accepts; a socket may happen to connect to itself.'''
    found = []
    for port in range(1, 65536):
        if port not in besides:
            with socket.socket() as client:
                if client.connect_ex(('127.0.0.1', port)) == 0 and client.getsockname()[1] != port:
                    found.append(port)
    return found
"""
"""What guest code finds beside the prelude to talk to its door; not a client that repairs or refuses anything."""
WORKS = "control(get(ALLOWED, 'control') == 200, 'the door leads to what is allowed')\n"
"""The control: without it silence would prove nothing."""


def holder(trial: Trial) -> Trial:
    """Return the same run as the agent that has the door, with one that has none as its peer."""
    return replace(trial, me=trial.stage.agents[0], peer=trial.stage.agents[1])


async def send(trial: Trial, code: str, **given: Any) -> str:
    """Run guest code as the holder of the door, which must work; return what it reports and what the far host heard."""
    trial, host = holder(trial), trial.stage.far_host
    found = await trial.attack(CLIENT + WORKS + code, ALLOWED=ALLOWED, PORT=host.port, **given)
    if not host.heard(f"/{trial.mark}-control"):
        raise BrokenProbeError("the far host did not hear what is allowed")
    return evidence(found + ["the request arrived"] * host.heard(f"/{trial.mark}-hole"))
